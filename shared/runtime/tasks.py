"""The loops of a service: kept going, and ended."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Collection, Coroutine
from typing import Any

import structlog

log = structlog.get_logger(__name__)

PAUSE = 2.0
"""Seconds before a loop that ended by an error is begun again: what it does is all in the database."""
REMEMBERED = 10.0
"""Seconds that such an end is spoken of."""
AGAIN = 1.0
"""Seconds after which a loop that goes on is told again."""


class Signal(asyncio.Event):
    """Something that loops wait for, and may go on without."""

    async def within(self, seconds: float) -> None:
        """Return when it is set, or after so many seconds."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.wait(), seconds)


class Loops:
    """Loops that go on until they are ended; one that ends by an error it did not expect is begun again."""

    def __init__(self) -> None:
        self._tasks: list[asyncio.Task[None]] = []
        self._failed: dict[str, tuple[float, str]] = {}
        """Of each loop that ended by an error: when last, and by what."""

    def begin(self, loop: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run a loop in the background. One that returns is done."""
        name = getattr(loop, "__qualname__", "loop")
        self._tasks.append(asyncio.create_task(self._keep(name, loop), name=name))

    async def end(self, patience: float = 0) -> None:
        """End them all; those that end by themselves have so many seconds for it."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=patience)
        await end(self._tasks)

    @property
    def trouble(self) -> str | None:
        """A sentence when a loop ended by an error lately."""
        since = time.monotonic() - REMEMBERED
        ended = [f"{name} ({error})" for name, (at, error) in self._failed.items() if at > since]
        return f"begun again, see the log: {', '.join(ended)}" if ended else None

    async def _keep(self, name: str, loop: Callable[[], Coroutine[Any, Any, None]]) -> None:
        while True:
            try:
                return await loop()
            except Exception as error:
                self._failed[name] = time.monotonic(), type(error).__name__
                log.exception("loop is begun again", loop=name, seconds=PAUSE)
                await asyncio.sleep(PAUSE)


async def end(tasks: Collection["asyncio.Task[Any]"], *, again: float = AGAIN) -> None:
    """Cancel tasks until they have ended. Once is not enough: a connection that is cut, or a wait that ends, in the moment of
    the cancellation gives its own result in its place, and the loop goes on."""
    going = set(tasks)
    while going:
        for task in going:
            task.cancel()
        _, going = await asyncio.wait(going, timeout=again)
