"""A Kafka client that reads no more is replaced, and no other is (X2, X6)."""

import asyncio
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import asyncpg
import pytest
from aiokafka import TopicPartition

from shared.runtime import intake, member, standstill
from shared.runtime.tasks import end
from tests.runtime.probe import Probe, outside, receipt_of
from tests.runtime.waiting import PATIENCE, noted, ready, until

pytestmark = [pytest.mark.requirement("X2"), pytest.mark.requirement("X6")]


async def test_a_client_that_fails_in_a_way_of_its_own_is_asked_again(probe: Probe):
    await probe.topics()
    writer = await probe.writer()
    await writer.start()
    await until(ready(writer))
    getmany = writer.intake.consumer.getmany
    failed = asyncio.Event()

    async def fail(**_: Any) -> Any:
        failed.set()
        writer.intake.consumer.getmany = getmany
        raise AssertionError

    writer.intake.consumer.getmany = fail
    await asyncio.wait_for(failed.wait(), PATIENCE)
    await probe.send("orders.inbox", (outside("1"), receipt_of("n")))
    await until(noted(writer, "n", 1))
    await until(ready(writer))


async def reads_no_more(consumer: Any) -> None:
    await end([consumer._fetcher._fetch_task, *consumer._fetcher._pending_tasks])


async def cannot_even_stop(consumer: Any) -> None:
    await reads_no_more(consumer)
    consumer._coordinator.close = asyncio.Event().wait


@pytest.mark.parametrize("breaks", [reads_no_more, cannot_even_stop])
async def test_a_client_that_stands_still_is_replaced(
    probe: Probe, monkeypatch: pytest.MonkeyPatch, breaks: Callable[[Any], Awaitable[None]]
):
    """It keeps its partitions, says that all is well, and reads nothing."""
    monkeypatch.setattr(standstill, "LOOK_SECONDS", 0.2)
    monkeypatch.setattr(member, "LEAVE_SECONDS", 0.5)
    await probe.topics()
    writer = await probe.writer()
    await writer.start()
    await probe.send("orders.inbox", (outside("1"), receipt_of("n")))
    await until(noted(writer, "n", 1))
    first = writer.intake.consumer
    await breaks(first)
    await probe.send("orders.inbox", (outside("2"), receipt_of("n")))
    await until(noted(writer, "n", 1, 1))
    assert writer.intake.consumer is not first
    await until(ready(writer))


async def test_a_new_client_is_begun_until_one_reads(probe: Probe, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(standstill, "LOOK_SECONDS", 0.2)
    monkeypatch.setattr(intake, "AGAIN_SECONDS", 0.1)
    await probe.topics()
    writer = await probe.writer()
    await writer.start()
    await until(ready(writer))
    start, stop, failed = writer.intake.broker.start, writer.intake.broker.stop, list[str]()

    async def fails_to_start() -> None:
        failed.append("start")
        monkeypatch.setattr(writer.intake.broker, "start", start)
        raise RuntimeError("not now")

    async def fails_to_stop() -> None:
        failed.append("stop")
        monkeypatch.setattr(writer.intake.broker, "stop", stop)
        raise RuntimeError("not now either")

    monkeypatch.setattr(writer.intake.broker, "start", fails_to_start)
    monkeypatch.setattr(writer.intake.broker, "stop", fails_to_stop)
    await reads_no_more(writer.intake.consumer)
    await probe.send("orders.inbox", (outside("1"), receipt_of("n")))
    await until(noted(writer, "n", 1))
    assert failed == ["stop", "start"]
    await until(ready(writer))


async def test_a_client_is_not_replaced_for_a_turn_that_lasts_or_for_want_of_records(
    probe: Probe, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(standstill, "LOOK_SECONDS", 0.02)
    await probe.topics()
    writer = await probe.writer()
    await writer.start()
    await until(ready(writer))
    first = writer.intake.consumer
    other = await asyncpg.connect(probe.url("orders"))
    async with other.transaction():
        await other.execute("LOCK TABLE notes")
        for m in range(3):  # one in hand, one decoded, one unread
            await probe.send("orders.inbox", (outside(f"{m}"), receipt_of("n")))
            await asyncio.sleep(1)
    await other.close()
    await until(noted(writer, "n", 1, 1, 1))
    await asyncio.sleep(1)
    assert writer.intake.consumer is first


class Client:
    """Of many partitions with records in each it empties what it fetched of one before it gives of the next."""

    def __init__(self, partitions: int) -> None:
        self.at = {TopicPartition("orders", n): 0 for n in range(partitions)}
        self.taken = 0

    def read(self) -> None:
        self.taken += 1
        self.at[TopicPartition("orders", self.taken // 3 % len(self.at))] += 1

    def assignment(self) -> set[TopicPartition]:
        return {*self.at}

    async def end_offsets(self, partitions: list[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(partitions, 1_000_000)

    async def position(self, partition: TopicPartition) -> int:
        return self.at[partition]


@pytest.mark.parametrize(
    ("stands", "every"),
    [(False, 1), (True, 1), (True, 100)],
    ids=["waits its turn", "stands", "others trickle"],
)
async def test_a_partition_that_waits_for_its_turn_among_many_does_not_stand(
    monkeypatch: pytest.MonkeyPatch, stands: bool, every: int
):
    monkeypatch.setattr(standstill, "LOOK_SECONDS", 0)
    client, replaced = Client(48), asyncio.Event()

    async def begin_anew() -> None:
        replaced.set()

    intake = SimpleNamespace(
        consumer=client, busy=False, batches=0, begin_anew=begin_anew,
        turns=SimpleNamespace(service=SimpleNamespace(name="orders")),
    )  # fmt: skip
    watching = asyncio.create_task(standstill.watch(intake))  # type: ignore[arg-type]
    for step in range(2000):
        if step % every == 0:
            client.read()
        if stands:
            client.at[TopicPartition("orders", 7)] = 5
        intake.batches = client.taken
        await asyncio.sleep(0)
    assert replaced.is_set() == stands
    await end([watching])


async def test_a_rebalance_waits_for_a_turn_no_longer_than_its_group_waits_for_it(probe: Probe):
    """Whoever comes later is left out, and what it has in hand is done by another."""
    await probe.topics()
    writer = await probe.writer()
    session = writer.settings.kafka_session_ms / 1000
    assert session / 4 < writer.intake._rebalance_seconds < session * 3 / 4
    writer.intake._rebalance_seconds = 0.01
    async with writer.intake._busy:
        await asyncio.wait_for(writer.intake.drain(), PATIENCE)
