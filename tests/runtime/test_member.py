"""Kafka clients end when they are told: heartbeats whose cancellation an answer swallows, a send that nobody answers (X2)."""

import asyncio
from types import SimpleNamespace

import pytest
from aiokafka.consumer.group_coordinator import GroupCoordinator

from shared.runtime import member
from shared.runtime.member import end_heartbeats, end_producer
from tests.runtime.probe import Probe
from tests.runtime.waiting import PATIENCE, frozen

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
    await asyncio.wait_for(GroupCoordinator._stop_heartbeat_task(coordinator), PATIENCE)
    assert coordinator._heartbeat_task is None
    assert missed == 3


async def test_a_producer_ends_though_its_broker_answers_nothing(
    probe: Probe, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(member, "LEAVE_SECONDS", 0.5)
    await probe.topics()
    producer = (await probe.writer())._producer()
    await producer.start()
    with frozen(probe.broker.pid):
        await producer.send("orders", b"an event", partition=0)
        await asyncio.sleep(0.1)  # it is on its way
        await asyncio.wait_for(end_producer(producer), PATIENCE)
    assert producer._sender.sender_task.done()
