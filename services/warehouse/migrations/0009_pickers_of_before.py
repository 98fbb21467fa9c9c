"""Whoever picks for an order since before all pickers were kept is one of them: taken back from them, it is not theirs to check
(W4)."""

from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.execute(
        """UPDATE fulfillments SET version = version + 1, doc = doc || jsonb_build_object('pickers', jsonb_build_array(picker))
           WHERE state IN ('picking', 'picked', 'checking') AND picker IS NOT NULL
           AND coalesce(doc->'picks', '[]') <> '[]' AND coalesce(doc->'pickers', '[]') = '[]'"""
    )
