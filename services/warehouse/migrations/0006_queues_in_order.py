"""Lanes from outside count what was ever parked in them: what comes next lies behind what waits already."""

from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.execute(
        "UPDATE cursors c SET sequence = waiting.last, version = c.version + 1 "
        "FROM (SELECT queue, max(place) AS last FROM parked WHERE queue <> '' AND doc->>'sequence' IS NULL GROUP BY queue) "
        "AS waiting WHERE c.lane = waiting.queue"
    )
