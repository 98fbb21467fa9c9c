"""The timer door: looks for timers that are due and takes them through a turn, on whatever clock the service runs.

After a start, and whenever the database or Kafka was away or the host stood still, what was said meanwhile is heard first: an
order that was paid in time while its service was down must not be closed for want of the payment (X1).
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from math import inf
from typing import Any

import structlog

from shared.runtime.store import Unavailable
from shared.runtime.tasks import Signal
from shared.runtime.turn import Turns

log = structlog.get_logger(__name__)

EVERY = 0.5
"""Seconds between looks."""
BATCH = 200
HEARD_FIRST_SECONDS = 15 * 60
"""How long timers wait at most for what was said meanwhile: Kafka may be away for longer, and deadlines are watched."""
STOOD_STILL_SECONDS = 10
"""A look that comes so long after the one before was kept from coming."""


class DueTimers:
    """Run `run()` as a task. `caught_up` returns once the time is known and all that was said before the call is applied;
    `deaf` says whether nothing can be heard just now."""

    def __init__(
        self, turns: Turns[Any], caught_up: Callable[[], Awaitable[None]], deaf: Callable[[], bool]
    ) -> None:
        self.turns = turns
        self.caught_up = caught_up
        self.deaf = deaf
        self.trouble: str | None = None
        self.looked_at = turns.clock.now()
        """The clock's time at the last look that left nothing due."""
        self._woken = Signal()

    def wake(self) -> None:
        """Something is due at once, or the clock was moved."""
        self._woken.set()

    async def run(self) -> None:
        """Handle what falls due, for ever."""
        delay, looked, deaf = 0.1, -inf, False
        while True:
            self._woken.clear()
            try:
                if self._seconds() - looked > STOOD_STILL_SECONDS or (self.deaf() and not deaf):
                    await self.turns.run_timers(0)  # whether the database is there
                    self.trouble = None
                    await self._hear_first()
                deaf = self.deaf()
                now = self.turns.clock.now()
                claimed = await self.turns.run_timers(BATCH)
            except Unavailable as away:
                self.trouble, looked = f"the database cannot be reached: {away}", -inf
            except Exception:
                self.trouble = "timers fail; see the log"
                log.exception("timers failed", service=self.turns.service.name)
            else:
                self.trouble, delay, looked = None, 0.1, self._seconds()
                if claimed == 0:
                    self.looked_at = now
                    await self._woken.within(EVERY)
                continue
            await asyncio.sleep(delay)
            delay = min(delay * 2, 5)

    def _seconds(self) -> float:
        """A clock that tells how long a look was kept from coming. The monotonic one of a host stands still with the host where
        that is a virtual one: only the database knows then."""
        clock = self.turns.clock
        return time.monotonic() if clock.driven else clock.now().timestamp()

    async def _hear_first(self) -> None:
        try:
            await asyncio.wait_for(self.caught_up(), HEARD_FIRST_SECONDS)
        except TimeoutError:
            log.warning("timers go on before all was heard", service=self.turns.service.name)
