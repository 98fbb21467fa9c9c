"""The outbox: positions of events still to be sent, as the relay reads them, and as a lost topic is filled again from the log.

It is written once for each event and emptied as often. While somebody holds an old snapshot of the database (a backup does, for
an hour), no vacuum takes away what was deleted, and who began at the first position would walk past all of it at each look. So
a look begins where all before it is known to be sent.
"""

import time
from typing import Any

from shared.runtime.postgres import Pool

FILLED = 0
"""A position of no event: the outbox was filled from the log again, and what is to be sent begins anywhere."""
LOOK_BACK = 60.0
"""Seconds after which a look begins at the first position all the same: what was put there by hand is sent too."""

LONG = 24 * 60 * 60.0
"""Seconds that a filling may take."""

# one snapshot for all of it. Who wrote a row tells one writing of it from the next
_LOOK = f"""
WITH unsent AS (
  (SELECT position, xmin AS writing FROM outbox WHERE position = {FILLED})
  UNION ALL (SELECT position, xmin FROM outbox WHERE position > $1 ORDER BY position LIMIT $2)
)
SELECT array_agg(position ORDER BY position), array_agg(writing ORDER BY position), pg_snapshot_xmin(pg_current_snapshot())
FROM unsent
"""
# only rows as they were read: one that was put there again meanwhile, to fill a topic made anew, is still to be sent, and who
# wrote it had written none that was read with it. No join: by statistics of a time when nothing waited, it would read the whole
# outbox for each position
_SENT = """
WITH gone AS (DELETE FROM outbox WHERE position = ANY($1::bigint[]) AND xmin = ANY($2::xid[])) SELECT pg_current_xact_id()
"""
# a row that is there already is written anew: the relay may have sent it to the topic that is gone, and is about to delete it
_REFILL = f"""
INSERT INTO outbox (position)
(SELECT {FILLED}) UNION ALL (SELECT position FROM event_log WHERE position > $1 ORDER BY position)
ON CONFLICT (position) DO UPDATE SET position = excluded.position
"""


class Outbox:
    """What one sender finds there, for as long as it leads; over its connection."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self.begin = 0
        """All positions up to here were sent, and nobody is about to commit one."""
        self._through: tuple[int, int] | None = None
        """A position that was sent, and a transaction of ours after it."""
        self._looked_back = time.monotonic()

    async def unsent(self, limit: int) -> dict[int, Any]:
        """The first positions that are still to be sent, in order, each with which writing of its row it is."""
        begin = self.begin
        if time.monotonic() - self._looked_back > LOOK_BACK:
            begin, self._looked_back = 0, time.monotonic()
        positions, writings, ended = await self.connection.fetchrow(_LOOK, begin, limit)
        unsent = dict(zip(positions or (), writings or (), strict=True))
        if FILLED in unsent:
            self.begin, self._through = 0, None
            await self.connection.execute(_SENT, [FILLED], [unsent[FILLED]])
            return await self.unsent(limit)
        # Positions are given in order, and committed in any. Who was given one before that which was sent had begun to write by
        # then, for a turn numbers its events last: once all are through that began before ours, no other can come up
        if self._through and ended >= self._through[1]:
            self.begin, self._through = self._through[0], None
        if unsent:
            self.begin = min(self.begin, next(iter(unsent)) - 1)
        return unsent

    async def sent(self, done: dict[int, Any]) -> None:
        """These are done with, unless they were put there again since they were read."""
        ours = await self.connection.fetchval(_SENT, list(done), list(set(done.values())))
        self._through = self._through or (max(done), ours)


async def republish(pool: Pool, after: int = 0) -> int:
    """Put every event after a position of the log back into the outbox, to fill a lost or rebuilt topic again; consumers skip
    what they know. Returns how many events will be sent.

    Writers wait meanwhile. An event committed beside a filling that does not see it could be sent, and be done with, before
    the events of its stream that come before it.
    """
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("SET LOCAL statement_timeout = 0")  # a long log takes its time
        await connection.execute("LOCK TABLE outbox IN EXCLUSIVE MODE", timeout=LONG)
        status: str = await connection.execute(_REFILL, after, timeout=LONG)
    return int(status.rsplit(" ", 1)[1]) - 1
