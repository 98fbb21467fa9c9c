"""The timer door: looks for timers that are due and takes them through a turn, on whatever clock the service runs.

All that was said before a timer fell due is heard before it acts: an order that was paid in time must not be closed for want of
the payment, wherever that still waits (X1): in Kafka, while the service was down; behind thousands of others; or in the
partition of a replica that just died.
"""

import asyncio
from collections.abc import Awaitable, Callable
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
"""How long timers wait while nothing is heard: Kafka may be away for longer, and deadlines are watched."""
GIVEN_UP_SECONDS = 3
"""How long each look waits after that, until all is heard again."""


class DueTimers:
    """Run `run()` as a task. `caught_up` returns once the time is known and all that was said before the call is applied: True;
    or nothing of that was for so many seconds: False."""

    def __init__(self, turns: Turns[Any], caught_up: Callable[[float], Awaitable[bool]]) -> None:
        self.turns = turns
        self.caught_up = caught_up
        self.trouble: str | None = None
        self.looked_at = turns.clock.now()
        """The clock's time at the last look that left nothing due."""
        self._patience: float = HEARD_FIRST_SECONDS
        self._woken = Signal()

    def wake(self) -> None:
        """Something is due at once, or the clock was moved."""
        self._woken.set()

    async def run(self) -> None:
        """Handle what falls due, for ever."""
        delay = 0.1
        while True:
            self._woken.clear()
            try:
                await self._look()
            except Unavailable as away:
                self.trouble, self._patience = f"the database cannot be reached: {away}", HEARD_FIRST_SECONDS
            except Exception:
                self.trouble = "timers fail; see the log"
                log.exception("timers failed", service=self.turns.service.name)
            else:
                self.trouble, delay = None, 0.1
                await self._woken.within(EVERY)
                continue
            await asyncio.sleep(delay)
            delay = min(delay * 2, 5)

    async def _look(self) -> None:
        now = self.turns.clock.now()
        if await self.turns.store.any_due(now):
            self.trouble = None
            await self._hear_first()
            now = min(now, self.turns.clock.now())  # that of a host alone was ahead, it may be
            while await self.turns.run_timers(BATCH, until=now):
                pass
        self.looked_at = now

    async def _hear_first(self) -> None:
        if await self.caught_up(self._patience):
            self._patience = HEARD_FIRST_SECONDS
        elif self._patience != GIVEN_UP_SECONDS:
            self._patience = GIVEN_UP_SECONDS
            log.warning("timers go on before all was heard", service=self.turns.service.name)
