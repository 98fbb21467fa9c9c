"""An order may have been picked by several people, one after another: none of them may check it (W4)."""

from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.create_check_constraint(
        "checked_by_nobody_who_picked",
        "fulfillments",
        "checker IS NULL OR NOT coalesce(jsonb_exists(doc -> 'pickers', checker), false)",
    )
