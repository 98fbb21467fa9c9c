"""Waiting for a server that is starting: databases and brokers come up while the jobs that prepare them already run."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

Told = Callable[[str, float], None]
"""Is told each time why it is waited, and how many seconds are left."""


async def patiently(
    attempt: Callable[[], Awaitable[T]],
    awaited: Callable[[Exception], str | None],
    patience: float,
    waiting: Told | None = None,
) -> T:
    """Try until it works, for up to `patience` seconds after the first failure, each time a little later.

    `awaited` says in words what is waited for after an error. Raises at once what it has no words for, and what was met last
    when time is up.
    """
    clock, deadline, pause = asyncio.get_running_loop().time, None, 0.1
    while True:
        try:
            return await attempt()
        except Exception as error:
            now = clock()
            deadline = now + patience if deadline is None else deadline
            why, left = awaited(error), deadline - now
            if why is None or left < pause:
                raise
            if waiting:
                waiting(why, left)
        await asyncio.sleep(pause)
        pause = min(pause * 2, 3)
