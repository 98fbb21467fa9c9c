"""Other systems may hand in by transactions of Kafka: what they took back is not taken, nor waited for (O1, X6)."""

from collections.abc import Sequence
from typing import Any, cast
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition

from deploy.embedded.postgres import EmbeddedPostgres
from deploy.topics import create_topics
from shared.runtime import standstill
from shared.runtime.running import Runtime
from tests.containers.parts import ContainerKafka
from tests.runtime.conftest import folder, server
from tests.runtime.probe import Note, Probe, note, outside, parked, receipt_of
from tests.runtime.waiting import until

__all__ = ["folder", "server"]

pytestmark = [pytest.mark.containers, pytest.mark.requirement("O1"), pytest.mark.requirement("X6")]


async def hand_in(kafka: ContainerKafka, ids: Sequence[str], *, take_back: bool) -> None:
    """Receipts of order n, all in one transaction."""
    async with AIOKafkaProducer(bootstrap_servers=kafka.bootstrap, transactional_id=str(uuid4())) as producer:
        await producer.begin_transaction()
        for id in ids:
            await producer.send_and_wait("orders.inbox", receipt_of("n"), b"", 0, headers=outside(id))
        await (producer.abort_transaction() if take_back else producer.commit_transaction())


async def test_what_was_taken_back_is_not_taken_and_nobody_waits_for_its_end(
    kafka: ContainerKafka, server: EmbeddedPostgres
) -> None:
    await create_topics(kafka.bootstrap, partitions=2)
    probe = Probe(server, cast(Any, kafka))
    await probe.clear()
    await hand_in(kafka, ["1", "2"], take_back=False)
    await hand_in(kafka, ["never"], take_back=True)
    writer = await probe.writer()
    await writer.start()

    async def lag_is_none() -> bool:
        return await writer.lag() == {"orders.inbox": 0}

    await until(lambda: note(writer, "n"))
    await until(lag_is_none)
    await writer.intake.places.caught_up()
    assert await note(writer, "n") == Note("n", 2, (1, 1))
    await hand_in(kafka, ["neither"], take_back=True)
    await hand_in(kafka, ["3"], take_back=False)
    await until(lambda: _noted(writer, 3))
    await until(lag_is_none)
    assert await standstill._waiting(writer.intake.consumer) == {}
    end = TopicPartition("orders.inbox", 0)
    assert (
        await writer.intake.consumer.committed(end) == (await writer.intake.consumer.end_offsets([end]))[end]
    )
    assert await parked(writer) == []
    await probe.stop()


async def _noted(writer: Runtime, total: int) -> bool:
    found = await note(writer, "n")
    return found is not None and found.total == total
