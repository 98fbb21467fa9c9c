"""A member that must join its group anew leaves off its heartbeats, also when an answer swallows a cancellation (X2)."""

import asyncio
from types import SimpleNamespace

import pytest
from aiokafka.consumer.group_coordinator import GroupCoordinator

from shared.runtime.member import end_heartbeats

pytestmark = pytest.mark.requirement("X2")


async def test_heartbeats_that_miss_their_cancellation_are_canceled_again():
    end_heartbeats()
    missed = 0

    async def beat() -> None:
        nonlocal missed
        while True:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                missed += 1
                if missed > 2:
                    raise

    coordinator = SimpleNamespace(_heartbeat_task=asyncio.create_task(beat()))
    await asyncio.sleep(0)
    await asyncio.wait_for(GroupCoordinator._stop_heartbeat_task(coordinator), 5)
    assert coordinator._heartbeat_task is None
    assert missed == 3
