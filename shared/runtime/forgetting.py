"""What came from outside is known by its id for a while, not for ever: long enough for every retry that could come."""

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


class Forgetting:
    """Forgets the ids of one service's messages from outside. Run `run()` as a task; every replica may."""

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
        """Forget the oldest ids of those seen longer ago than `kept_for`, at most BATCH; returns how many.

        On the wall, age is told by the database alone: a host that starts with a wrong clock must not forget what is young.
        """
        now: datetime | None = self.clock.now() if self.clock.driven else None
        status: str = await self.pool.execute(_FORGET, now, self.kept_for, BATCH)
        return int(status.rsplit(" ", 1)[1])
