"""Cash that was told with a delivery stands on its parcel, so that it is not counted again when its courier repeats it."""

from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.execute(
        """UPDATE shipments SET version = version + 1, doc = doc || jsonb_build_object('cod_collected', said.cash)
           FROM (SELECT data::jsonb->>'shipment_id' AS parcel, sum((data::jsonb->>'cod_collected')::bigint) AS cash
                 FROM event_log WHERE type = 'warehouse.shipment_delivered.v1' GROUP BY 1) said
           WHERE said.parcel = shipment_id AND said.cash > 0"""
    )
