"""A group member that leaves off its heartbeats before it joins anew.

aiokafka cancels the task once and waits for its end. Before Python 3.12 `wait_for` takes an answer that has just come for the
end of its own cancellation; the heartbeats then go on for ever, nobody joins anew, and the member keeps partitions that it does
not read.
"""

import asyncio
from typing import Any

from aiokafka.consumer.group_coordinator import GroupCoordinator

AGAIN = 0.2
"""Seconds after which a task that goes on is canceled again."""


def end_heartbeats() -> None:
    """Let every consumer of this process cancel its heartbeats until they have ended."""
    GroupCoordinator._stop_heartbeat_task = _stop


async def _stop(coordinator: Any) -> None:
    task = coordinator._heartbeat_task
    while task is not None and not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=AGAIN)
    coordinator._heartbeat_task = None
