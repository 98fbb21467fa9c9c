"""An index of ids from outside by age: they are forgotten once no retry can come any more."""

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_index(op.f("ix_inbox_seen_at"), "inbox", ["seen_at"])
