"""An index of parked messages that have their bodies: they are looked for every minute, among all that ops ever gave up."""

from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.create_index("parked_bodies", "parked", ["state"], postgresql_where="doc->>'body' <> ''")
