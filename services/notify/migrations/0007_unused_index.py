"""No query finds contacts by their buyer: what that index costs every order is saved."""

from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.drop_index("ix_contacts_buyer_id", "contacts")
