"""Kafka clients that leave off for good what they are told to leave off.

aiokafka cancels a task once and waits for its end. Before Python 3.12 `wait_for` takes an answer that has just come for the end
of its own cancellation, and the task goes on: heartbeats then never end, and the member keeps partitions that it does not read.
A client that is canceled while it starts leaves the connection open by which it asks for its cluster, and one that was closed
opens new ones for whoever still asks it something.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any

from aiokafka.consumer.group_coordinator import GroupCoordinator

from shared.runtime.tasks import end

AGAIN = 0.2
"""Seconds after which heartbeats that go on are canceled again."""
LEAVE_SECONDS = 5
"""How long a client has to say goodbye; a member that does not is forgotten by its group after its session."""


def end_heartbeats() -> None:
    """Let every consumer of this process cancel its heartbeats until they have ended."""
    GroupCoordinator._stop_heartbeat_task = _stop


async def _stop(coordinator: Any) -> None:
    task = coordinator._heartbeat_task
    if task is not None:
        await end([task], again=AGAIN)
    coordinator._heartbeat_task = None


async def begin(starting: Coroutine[Any, Any, None]) -> None:
    """Let a client start, and not be canceled in the middle of it: whoever is, waits until it has started or failed."""
    task = asyncio.create_task(starting)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        try:
            await _ends(task)
        finally:
            task.cancel()
        raise


async def leave(consumer: Any) -> None:
    """End a consumer in whatever state it is: as it does so itself, or else task by task, without a word to its group."""
    leaving = asyncio.create_task(consumer.stop())
    coordinator, fetcher, client = consumer._coordinator, consumer._fetcher, consumer._client
    if not await _ends(leaving):
        tasks = [leaving, coordinator._coordination_task, coordinator._heartbeat_task, coordinator._commit_refresh_task,
                 fetcher._fetch_task, *fetcher._pending_tasks, client._sync_task]  # fmt: skip
        await end([task for task in tasks if task is not None])
    await _shut(client)


async def end_producer(producer: Any) -> None:
    """End a producer in whatever state it is: left to itself it tries for ever to send what a partition refuses."""
    stopping = asyncio.create_task(producer.stop())
    if await _ends(stopping):
        return
    await end([task for task in (stopping, producer._sender.sender_task) if task is not None])
    await _ends(asyncio.create_task(producer.client.close()))


async def _shut(client: Any) -> None:
    async def no_connection(*_: object, **__: object) -> None:
        """What aiokafka takes for a node that is not ready."""

    async def close() -> None:
        async with client._get_conn_lock:  # one that is just being opened is closed with the others
            await client.close()

    client._get_conn = no_connection
    await _ends(asyncio.create_task(close()))


async def _ends(task: "asyncio.Task[None]") -> bool:
    """True when it ends well, and in time."""
    await asyncio.wait([task], timeout=LEAVE_SECONDS)
    return task.done() and not task.cancelled() and task.exception() is None
