"""No query finds parcels by their order or returns by their state: what those indexes cost every parcel is saved."""

from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.drop_index("ix_shipments_order_id", "shipments")
    op.drop_index("ix_dock_state", "dock")
