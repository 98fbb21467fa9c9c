"""The timer door: looks for timers that are due and takes them through a turn, on whatever clock the service runs.

All that was said before a deadline is heard before it acts: an order that was paid in time must not be closed for want of the
payment, wherever that still waits (X1): in Kafka, while the service was down; behind thousands of others; or in the partition
of a replica that just died. What merely goes on in a turn of its own (`Timer.at_once`) waits for nothing.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Any

import structlog

from shared.runtime.store import Unavailable
from shared.runtime.tasks import Signal, end
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
    or nothing of that was for so many seconds: False (`Places.caught_up`)."""

    def __init__(self, turns: Turns[Any], caught_up: Callable[[float, float], Awaitable[bool]]) -> None:
        self.turns = turns
        self.caught_up = caught_up
        self.trouble: str | None = None
        self.looked_at = turns.clock.now()
        """The clock's time at the last look that left nothing due."""
        self._patience: float = HEARD_FIRST_SECONDS
        self._hearing: asyncio.Task[datetime] | None = None
        """Returns the time until which all is heard."""
        self._woken = Signal()

    def wake(self) -> None:
        """Something is due at once, or the clock was moved."""
        self._woken.set()

    async def run(self) -> None:
        """Handle what falls due, for ever."""
        try:
            await self._run()
        finally:
            await end([self._hearing] if self._hearing is not None else [])

    async def _run(self) -> None:
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
        if names := self.turns.service.at_once:
            await self._handle(now, names)
        if self._hearing is None:
            if not await self.turns.store.any_due(now):
                self.looked_at = now
                return
            self._hearing = asyncio.create_task(self._hear_first(now))
            self._hearing.add_done_callback(lambda heard: self.wake())
        elif self._hearing.done():
            heard, self._hearing = self._hearing, None
            until = min(heard.result(), now)  # the clock of a host alone was ahead, it may be
            await self._handle(until)
            self.looked_at = until

    async def _handle(self, until: datetime, names: Sequence[str] | None = None) -> None:
        while await self.turns.run_timers(BATCH, until, names):
            pass

    async def _hear_first(self, now: datetime) -> datetime:
        if await self.caught_up(self._patience, HEARD_FIRST_SECONDS):
            self._patience = HEARD_FIRST_SECONDS
        elif self._patience != GIVEN_UP_SECONDS:
            self._patience = GIVEN_UP_SECONDS
            log.warning("timers go on before all was heard", service=self.turns.service.name)
        return now
