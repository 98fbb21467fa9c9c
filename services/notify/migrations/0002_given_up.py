"""Messages that were given up are counted often."""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_index("messages_given_up", "messages", ["channel"], postgresql_where="state = 'failed'")
