"""Indexes that lists of orders are read along: without them each look at a list reads all orders there ever were."""

from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.create_index("orders_newest", "orders", ["placed_at", "order_id"])
    op.create_index("orders_held", "orders", ["placed_at", "order_id"], postgresql_where="held")
