"""Adjusted stock has a reason, as scrapped has (W1)."""

from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.drop_constraint("moves_scrap_has_reason", "moves")
    rule = "kind NOT IN ('scrapped', 'adjusted') OR reason <> ''"
    op.create_check_constraint("moves_have_reasons", "moves", rule)
