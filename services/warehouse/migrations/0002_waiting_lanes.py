"""Indexes of what waits: it is looked for every few seconds, among all lanes and parked messages there ever were."""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_index("cursors_waiting", "cursors", ["lane"], postgresql_where="state = 'gap'")
    op.create_index("parked_waiting", "parked", ["state"], postgresql_where="queue <> ''")
