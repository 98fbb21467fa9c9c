"""Ending the loops of a service."""

import asyncio
from collections.abc import Collection
from typing import Any

AGAIN = 1.0
"""Seconds after which a loop that goes on is told again."""


async def end(tasks: Collection["asyncio.Task[Any]"]) -> None:
    """Cancel tasks until they have ended. Once is not enough: a connection that is cut, or a wait that ends, in the moment of
    the cancellation gives its own result in its place, and the loop goes on."""
    going = set(tasks)
    while going:
        for task in going:
            task.cancel()
        _, going = await asyncio.wait(going, timeout=AGAIN)
