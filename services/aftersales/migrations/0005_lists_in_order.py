"""Indexes that lists of cases are read along: without them each look at a list reads all cases there ever were."""

from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.create_index("cases_open", "cases", ["opened_at", "case_id"], postgresql_where="state <> 'closed'")
    op.create_index("cases_oldest", "cases", ["opened_at", "case_id"])
