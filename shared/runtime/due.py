"""The timer door: looks for timers that are due and takes them through a turn, on whatever clock the service runs.

After a start, what was said meanwhile is heard first: an order that was paid in time while its service was down must not be
closed for want of the payment (X1).
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import structlog

from shared.runtime.store import Unavailable
from shared.runtime.turn import Turns

log = structlog.get_logger(__name__)

EVERY = 0.5
"""Seconds between looks on the wall clock; a driven clock wakes the loop when it is moved."""
BATCH = 200
HEARD_FIRST_SECONDS = 15 * 60
"""How long timers wait at most for what was said before a start: Kafka may be away for longer, and deadlines are watched."""


class DueTimers:
    """Run `run()` as a task. `caught_up` returns once all that was said before it was called is applied."""

    def __init__(self, turns: Turns[Any], caught_up: Callable[[], Awaitable[None]]) -> None:
        self.turns = turns
        self.caught_up = caught_up
        self.trouble: str | None = None
        self.looked_at = turns.clock.now()
        """The clock's time at the last look that left nothing due."""
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """Something is due at once."""
        self._woken.set()

    async def run(self) -> None:
        """Handle what falls due, for ever."""
        try:
            await asyncio.wait_for(self.caught_up(), HEARD_FIRST_SECONDS)
        except TimeoutError:
            log.warning("timers go on before all was heard", service=self.turns.service.name)
        delay = 0.1
        while True:
            now = self.turns.clock.now()
            self._woken.clear()
            try:
                claimed = await self.turns.run_timers(BATCH)
            except Unavailable as away:
                self.trouble = f"the database cannot be reached: {away}"
            except Exception:
                self.trouble = "timers fail; see the log"
                log.exception("timers failed", service=self.turns.service.name)
            else:
                self.trouble, delay = None, 0.1
                if claimed == 0:
                    self.looked_at = now
                    if self.turns.clock.now() <= now or not self.turns.clock.driven:
                        await self._moved_or_woken()
                continue
            await asyncio.sleep(delay)
            delay = min(delay * 2, 5)

    async def _moved_or_woken(self) -> None:
        waits = [
            asyncio.ensure_future(self.turns.clock.moved(EVERY)),
            asyncio.ensure_future(self._woken.wait()),
        ]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
