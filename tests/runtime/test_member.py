"""Kafka clients end when they are told: heartbeats whose cancellation an answer swallows, a send that nobody answers, a start
that is not over, somebody who still asks (X2)."""

import asyncio
import gc
from types import SimpleNamespace

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.conn import AIOKafkaConnection
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.errors import KafkaError

from shared.runtime import member
from shared.runtime.member import begin, end_heartbeats, end_producer, leave
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


async def test_a_client_that_is_canceled_while_it_starts_leaves_no_connection(probe: Probe):
    await probe.topics()
    make = (await probe.writer())._producer
    for moment in range(40):
        producer = make()
        starting = asyncio.create_task(begin(producer.start()))
        await asyncio.sleep(moment / 2000)
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
        await end_producer(producer)
        assert connections() == [], moment


async def test_a_client_that_has_left_opens_no_connection_for_who_still_asks(probe: Probe):
    await probe.topics()
    consumer = AIOKafkaConsumer("orders", bootstrap_servers=probe.broker.bootstrap)
    await consumer.start()
    await leave(consumer)
    with pytest.raises((KafkaError, TimeoutError)):
        await asyncio.wait_for(consumer.end_offsets([TopicPartition("orders", 0)]), 0.5)
    assert connections() == []


@pytest.mark.parametrize("moment", [0, 0.02, 0.05, 0.1, 0.2, 0.5])
async def test_a_service_that_is_stopped_while_it_starts_leaves_no_client(probe: Probe, moment: float):
    await probe.topics()
    runtime = await probe.writer()
    await runtime.start()
    await asyncio.sleep(moment)
    await runtime.stop()
    assert connections() == []


def connections() -> list[AIOKafkaConnection]:
    """All of this process that are open."""
    return [
        found for found in gc.get_objects() if isinstance(found, AIOKafkaConnection) and found.connected()
    ]
