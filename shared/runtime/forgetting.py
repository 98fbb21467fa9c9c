"""What came from outside is known by its id for a while, not for ever: long enough for every retry that could come. So long are
also kept the bodies of messages that ops skipped or mended; who did it, and why, stays."""

import asyncio
from datetime import datetime, timedelta

import structlog

from shared.runtime.clock import Clock
from shared.runtime.postgres import Pool

log = structlog.get_logger(__name__)

EVERY = 60
"""Seconds between looks for ids that are old enough."""
BATCH = 1000
"""Ids forgotten in one statement; the next goes after a breath, so that turns are not kept waiting."""
BREATH = 0.05

# those that a turn has in hand, or another replica is about to forget, are passed over
_FORGET = """
DELETE FROM inbox WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM inbox WHERE seen_at < coalesce($1, now()) - $2::interval ORDER BY seen_at LIMIT $3
    FOR UPDATE SKIP LOCKED))
"""
# not by their queue, which is that of all that was ever given up: along the index of bodies
_EMPTY = """
UPDATE parked SET version = version + 1,
    doc = doc || '{"key": "", "headers": [], "body": "", "original": "", "traceback": ""}'
WHERE parked_key = ANY(ARRAY(
    SELECT parked_key FROM parked WHERE state IN ('skipped', 'mended') AND doc->>'body' <> ''
    AND (doc->>'parked_at')::timestamptz < coalesce($1, now()) - $2::interval LIMIT $3 FOR UPDATE SKIP LOCKED))
"""


class Forgetting:
    """Forgets the ids of one service's messages from outside, and what ops skipped or mended. Run `run()` as a task; every
    replica may."""

    def __init__(self, pool: Pool, clock: Clock, kept_for: timedelta) -> None:
        self.pool = pool
        self.clock = clock
        self.kept_for = kept_for

    async def run(self) -> None:
        """Look now and then, for ever."""
        while True:
            try:
                while await self.forget() == BATCH:
                    await asyncio.sleep(BREATH)
            except Exception as error:  # also tables that are not there yet; nothing waits for it
                log.warning("forgetting waits", error=type(error).__name__)
            await asyncio.sleep(EVERY)

    async def forget(self) -> int:
        """Forget the oldest ids of those seen longer ago than `kept_for`, at most BATCH, and as many bodies (X4); returns the
        larger of both numbers.

        On the wall, age is told by the database alone: a host that starts with a wrong clock must not forget what is young.
        """
        now: datetime | None = self.clock.now() if self.clock.driven else None
        done: list[str] = [
            await self.pool.execute(sql, now, self.kept_for, BATCH) for sql in (_FORGET, _EMPTY)
        ]
        return max(int(status.rsplit(" ", 1)[1]) for status in done)
