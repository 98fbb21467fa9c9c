"""No second index for "once": a message's id is made of its event, audience and template already."""

from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.drop_index("messages_once", "messages")
