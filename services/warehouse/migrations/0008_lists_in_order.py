"""An index that the list of all work is read along: without it each look at it reads all work there ever was."""

from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.create_index("fulfillments_oldest", "fulfillments", ["released_at", "order_id"])
