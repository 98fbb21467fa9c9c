"""What a service needs may be away at any time: it says so, waits, goes on by itself, and parks nothing for it (X6, X1)."""

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import asyncpg
import psutil
import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from deploy.embedded.child import free_port
from deploy.topics import create_topics
from shared.runtime import commands, intake, member, standstill
from shared.runtime.running import Runtime
from shared.runtime.store import Unavailable
from shared.runtime.tasks import end
from tests.harness import AGENT
from tests.runtime.probe import Note, Pay, Probe, away, note, outside, parked, receipt_of, until

pytestmark = [pytest.mark.requirement("X6"), pytest.mark.requirement("X1")]


def ready(runtime: Runtime) -> Any:
    async def look() -> bool:
        return not any((await runtime.readiness()).values())

    return look


def says(runtime: Runtime, part: str, text: str) -> Any:
    async def look() -> bool:
        return text in ((await runtime.readiness())[part] or "")

    return look


def noted(runtime: Runtime, note_id: str, *amounts: int) -> Any:
    async def look() -> bool:
        return await note(runtime, note_id) == Note(note_id, sum(amounts), amounts)

    return look


async def unsent_is(runtime: Runtime, count: int) -> bool:
    return bool(await runtime.pool.fetchval("SELECT count(*) FROM outbox") == count)


@contextmanager
def frozen(pid: int | None) -> Iterator[None]:
    """A process that takes connections and answers nothing, as behind a network that drops packets."""
    assert pid
    process = psutil.Process(pid)
    process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        process.send_signal(signal.SIGCONT)


async def test_a_database_that_is_away_at_the_start(probe: Probe):
    await probe.topics()
    await probe.send("orders.inbox", (outside("1"), receipt_of("n")))
    with away(probe.server):
        writer = await probe.writer()
        await writer.start()
        await until(says(writer, "database", "cannot be reached"))
        await until(lambda: "cannot be reached" in (writer.intake.trouble or ""))
    await until(noted(writer, "n", 1))
    await until(ready(writer))
    assert await parked(writer) == []


async def test_a_database_that_goes_away_later(probe: Probe, monkeypatch: pytest.MonkeyPatch):
    await probe.topics()
    writer, reader = await probe.writer(), await probe.reader()
    await writer.start()
    await reader.start()
    assert await writer.commands.ask(Pay(note_id="a"), AGENT) == {"total": 1}
    await until(noted(reader, "a", 1))
    await until(ready(writer))
    with away(probe.server):
        await probe.send("orders.inbox", *((outside(f"{m}"), receipt_of("n")) for m in range(20)))
        await until(lambda: "cannot be reached" in (writer.intake.trouble or ""))
        await until(says(writer, "timers", "cannot be reached"))
        assert (await writer.readiness())["database"] is not None
        assert await writer.lag() == {"orders.inbox": 20}
        monkeypatch.setattr(commands, "PATIENCE", 0)
        with pytest.raises(Unavailable):
            await writer.commands.ask(Pay(note_id="a"), AGENT)
    await until(noted(writer, "n", *[1] * 20))
    await until(noted(reader, "n", *[1] * 20))
    assert await writer.commands.ask(Pay(note_id="a"), AGENT) == {"total": 2}
    await until(noted(reader, "a", 1, 1))
    await until(ready(writer))
    await until(ready(reader))
    assert await parked(writer) == await parked(reader) == []
    assert await writer.lag() == {"orders.inbox": 0}


async def test_a_connection_that_was_cut_in_the_pool_is_an_outage_and_no_bug(probe: Probe):
    writer = await probe.writer()
    with pytest.raises(Unavailable):
        async with writer.turns.store.transaction():
            raise asyncpg.InternalClientError(
                "cannot switch to state 12; another operation (2) is in progress"
            )


async def test_a_database_without_its_tables_is_waited_for_too(probe: Probe):
    await probe.topics()
    writer = await probe.writer()
    await writer.pool.execute("ALTER SCHEMA public RENAME TO later")
    try:
        await writer.start()
        await until(says(writer, "database", "were migrations run?"))
        await until(says(writer, "relay", "cannot send"))
    finally:
        await writer.pool.execute("ALTER SCHEMA later RENAME TO public")
    assert await writer.commands.ask(Pay(note_id="a"), AGENT) == {"total": 1}
    await until(ready(writer))
    await until(lambda: unsent_is(writer, 0))


async def test_a_relay_that_reaches_everything_and_can_send_nothing_is_never_called_well(probe: Probe):
    await probe.topics()
    writer = await probe.writer()
    await writer.turns.run([commands.asked(Pay(note_id="a"), AGENT, writer.clock.now())])  # something to send
    await writer.pool.execute("ALTER TABLE event_log RENAME TO away")
    try:
        await writer.start()
        await until(says(writer, "relay", "cannot send"))
        for _ in range(100):
            assert writer.relay.trouble is not None
            await asyncio.sleep(0.01)
    finally:
        await writer.pool.execute("ALTER TABLE away RENAME TO event_log")
    await until(ready(writer))


async def test_a_broker_that_is_away_at_the_start(probe: Probe):
    writer, reader = await probe.writer(), await probe.reader()
    await writer.start()
    await reader.start()
    for runtime in (writer, reader):
        await until(says(runtime, "kafka", "Kafka"))
        await until(says(runtime, "relay", "cannot send"))
    assert await writer.commands.ask(Pay(note_id="a"), AGENT) == {"total": 1}
    assert await unsent_is(writer, 1)
    await probe.topics()
    await until(noted(reader, "a", 1))
    await until(ready(writer))
    await until(ready(reader))
    assert await parked(writer) == await parked(reader) == []


async def test_a_broker_that_answers_no_more_for_a_while(probe: Probe, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(intake, "ANSWER_SECONDS", 0.5)
    await probe.topics()
    writer, reader = await probe.writer(), await probe.reader()
    await writer.start()
    await reader.start()
    await writer.commands.ask(Pay(note_id="a"), AGENT)
    await until(noted(reader, "a", 1))
    with frozen(probe.broker.pid):
        assert await writer.commands.ask(Pay(note_id="a"), AGENT) == {"total": 2}
        await until(says(writer, "kafka", "Kafka"))
    await until(noted(reader, "a", 1, 1))
    await until(ready(writer))
    await until(ready(reader))
    assert await parked(writer) == await parked(reader) == []


async def test_the_first_of_several_bootstrap_servers_is_away(probe: Probe):
    await probe.topics()
    writer, reader = (
        await probe.writer(f"127.0.0.1:{free_port()},{probe.broker.bootstrap}"),
        await probe.reader(),
    )
    await writer.start()
    await reader.start()
    await probe.send("orders.inbox", (outside("1"), receipt_of("n")))
    await until(noted(writer, "n", 1))
    await until(noted(reader, "n", 1))
    await until(ready(writer))


async def test_topics_that_are_made_late(probe: Probe):
    probe.broker.start()
    writer, reader = await probe.writer(), await probe.reader()
    await writer.start()
    await reader.start()
    assert await writer.commands.ask(Pay(note_id="a"), AGENT) == {"total": 1}
    await until(says(writer, "kafka", "Kafka has no topic orders.inbox"))
    await create_topics(probe.broker.bootstrap, partitions=2)
    await until(noted(reader, "a", 1))
    await until(ready(writer))
    await until(ready(reader))


async def test_topics_that_are_deleted_and_made_anew_are_read_from_their_beginning(probe: Probe):
    await probe.topics()
    writer = await probe.writer()
    await writer.start()
    await probe.send("orders.inbox", *((outside(f"{m}"), receipt_of("n")) for m in range(5)))
    await until(noted(writer, "n", *[1] * 5))
    admin = AIOKafkaAdminClient(bootstrap_servers=probe.broker.bootstrap)
    await admin.start()
    await admin.delete_topics(["orders.inbox"])
    await until(says(writer, "kafka", "no topic orders.inbox"))
    await create_topics(probe.broker.bootstrap, partitions=1)
    # as many as were read before, and more: places of the old topic would skip the first
    await probe.send("orders.inbox", *((outside(f"{m}"), receipt_of("n")) for m in range(4, 14)))
    await admin.close()
    await until(noted(writer, "n", *[1] * 14))
    await until(ready(writer))


async def test_a_place_in_a_topic_that_is_gone_is_not_noted_for_the_one_made_anew(probe: Probe):
    """The client tries for ever to note it. Whoever reads the new topic next, after a restart or with other partitions, would
    pass over what lies before that place."""
    await probe.topics()
    writer = await probe.writer()
    await writer.start()
    admin = AIOKafkaAdminClient(bootstrap_servers=probe.broker.bootstrap)
    await admin.start()
    other = await asyncpg.connect(probe.url("orders"))
    async with other.transaction():
        await other.execute("LOCK TABLE notes")
        await probe.send("orders.inbox", (outside("read"), receipt_of("n")))
        await until(lambda: writer.intake._turn is not None)
        await admin.delete_topics(["orders.inbox"])
    await other.close()
    await until(noted(writer, "n", 1))
    await until(says(writer, "kafka", "no topic orders.inbox"))
    await create_topics(probe.broker.bootstrap, partitions=1)
    await admin.close()
    await until(ready(writer))
    assert not await writer.intake.consumer.committed(TopicPartition("orders.inbox", 0))


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
    await asyncio.wait_for(failed.wait(), 10)
    await probe.send("orders.inbox", (outside("1"), receipt_of("n")))
    await until(noted(writer, "n", 1))
    await until(ready(writer))


async def test_what_was_read_of_a_topic_made_anew_before_it_was_noticed_is_not_noted(probe: Probe):
    """The client may have read on from its place in the old topic; whoever began behind that would pass over the rest."""
    await probe.topics()
    writer = await probe.writer()
    await writer.start()
    await until(ready(writer))
    admin = AIOKafkaAdminClient(bootstrap_servers=probe.broker.bootstrap)
    await admin.start()
    await admin.delete_topics(["orders.inbox"])
    await until(says(writer, "kafka", "no topic orders.inbox"))
    places = writer.intake.places
    before = places.lives.copy()
    await create_topics(probe.broker.bootstrap, partitions=1)
    await admin.close()
    await until(lambda: not places.gone)
    read = SimpleNamespace(topic="orders.inbox", partition=0, offset=9)
    await places.commit([read], before)
    assert not await writer.intake.consumer.committed(TopicPartition("orders.inbox", 0))
    await places.commit([read], places.lives.copy())
    assert await writer.intake.consumer.committed(TopicPartition("orders.inbox", 0)) == 10


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
    await until(noted(writer, "n", 1, 1), patience=40)
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
    await until(noted(writer, "n", 1), patience=40)
    assert failed == ["stop", "start"]
    await until(ready(writer))


async def test_a_rebalance_waits_for_a_turn_no_longer_than_its_group_waits_for_it(probe: Probe):
    """Whoever comes later is left out, and what it has in hand is done by another."""
    await probe.topics()
    writer = await probe.writer()
    session = writer.settings.kafka_session_ms / 1000
    await writer.intake._busy.acquire()
    began = time.monotonic()
    await writer.intake.drain()
    assert session / 4 < time.monotonic() - began < session * 3 / 4
    writer.intake._busy.release()


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


async def test_topics_made_anew_for_a_replica_that_has_no_partition(probe: Probe):
    """It must not take all partitions that there are for its own, nor stop looking."""
    await probe.topics()
    writer = await probe.writer()
    await writer.start()
    await until(ready(writer))
    admin = AIOKafkaAdminClient(bootstrap_servers=probe.broker.bootstrap)
    await admin.start()
    writer.intake.consumer.assignment = set
    for _ in range(2):
        await admin.delete_topics(["orders.inbox"])
        # a client that lost its only broker, as on a busy machine, is replaced after half a minute
        await until(says(writer, "kafka", "no topic orders.inbox"), patience=50)
        await create_topics(probe.broker.bootstrap, partitions=1)
        await until(ready(writer))
    await admin.close()
    assert writer.intake.places.lives["orders.inbox"] == 4
