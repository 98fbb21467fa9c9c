"""Indexes that lists of messages are read along: without them each look at a list reads all messages there ever were."""

from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.create_index("messages_newest", "messages", ["due", "message_id"])
    op.create_index("messages_state", "messages", ["state", "due"])
