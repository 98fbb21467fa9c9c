"""The relay sends everything, in order, whatever fails; topics can be filled again from the log (X2)."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from math import inf
from typing import Any

import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaConnectionError, KafkaTimeoutError
from asyncpg.pool import PoolConnectionProxy

from shared.runtime import outbox as outbox_module
from shared.runtime import postgres
from shared.runtime import relay as relay_module
from shared.runtime.commands import asked
from shared.runtime.outbox import Outbox, republish
from shared.runtime.postgres import make_pool
from shared.runtime.relay import Relay
from shared.runtime.running import Runtime
from shared.runtime.store import Changes
from shared.runtime.tasks import end
from tests.harness import AGENT
from tests.runtime.probe import Note, Pay, Probe, note, parked
from tests.runtime.waiting import PATIENCE, until, waits_for_a_lock

pytestmark = pytest.mark.requirement("X2")


class OneByOne:
    """A batch that is full with one record."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        self.body = b""

    def append(self, *, timestamp: None, key: bytes, value: bytes, headers: Any) -> object:
        if self.ids:
            return None
        self.ids.append(dict(headers)["ce_id"].decode())
        self.body = value
        return self

    def close(self) -> None: ...


class ByBytes(OneByOne):
    """A batch that is full with so many bytes: what is small may still fit where something large did not."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most = most

    def append(self, *, timestamp: None, key: bytes, value: bytes, headers: Any) -> object:
        if len(self.body) + len(value) > self.most:
            return None
        self.ids.append(dict(headers)["ce_id"].decode())
        self.body += value
        return self


class Wire:
    """A producer that fails when it is told to; `sent` is what was acknowledged, `bodies` what it held."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.bodies: list[bytes] = []
        self.tried = 0
        self.refuse_send: set[int] = set()
        self.refuse_ack: set[int] = set()
        self.awake = asyncio.Event()
        self.awake.set()

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def partitions_for(self, topic: str) -> set[int]:
        return {0}

    def create_batch(self) -> "OneByOne":
        return OneByOne()

    async def send_batch(self, batch: "OneByOne", topic: str, *, partition: int) -> "asyncio.Future[None]":
        self.tried += 1
        await self.awake.wait()
        if self.tried in self.refuse_send:
            raise KafkaTimeoutError
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self.tried in self.refuse_ack:
            future.set_exception(KafkaConnectionError())
        else:
            self.sent += batch.ids
            self.bodies.append(batch.body)
            future.set_result(None)
        return future


@asynccontextmanager
async def running(relay: Relay) -> AsyncIterator["asyncio.Task[None]"]:
    task = asyncio.create_task(relay.run())
    try:
        yield task
    finally:
        await end([task])


async def say(writer: Runtime, *note_ids: str) -> None:
    """One turn each."""
    for note_id in note_ids:
        incoming = asked(Pay(note_id=note_id), AGENT, writer.clock.now())
        await writer.turns.run([incoming])


def relay_of(writer: Runtime, wire: Any = None) -> Relay:
    make = (lambda: wire) if wire else writer._producer
    return Relay(writer.pool, make, "orders", writer.service.source)


async def empty(writer: Runtime) -> bool:
    return not await writer.pool.fetchval("SELECT count(*) FROM outbox")


async def test_every_event_arrives_in_the_order_in_which_it_was_said(probe: Probe):
    await probe.topics()
    writer = await probe.writer()
    await say(writer, *"abcabcaab" * 5)
    async with running(relay_of(writer)):
        await until(lambda: empty(writer))
        await say(writer, "a")
        await until(lambda: empty(writer))
    consumer = AIOKafkaConsumer(bootstrap_servers=probe.broker.bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    consumer.assign([TopicPartition("orders", n) for n in range(2)])
    arrived: dict[str, list[int]] = {}
    for _ in range(46):
        record = await asyncio.wait_for(consumer.getone(), PATIENCE)
        headers = {name: value.decode() for name, value in record.headers}
        assert record.key.decode() == headers["ce_subject"]
        arrived.setdefault(headers["ce_subject"], []).append(int(headers["ce_sequence"]))
    await consumer.stop()
    assert arrived == {
        f"order/{n}": list(range(1, count + 1)) for n, count in (("a", 21), ("b", 15), ("c", 10))
    }


async def test_what_was_sent_before_its_commit_was_told_is_not_kept(probe: Probe):
    """A look may come between the commit of a turn and its word to the relay."""
    writer = await probe.writer()
    told: list[Changes] = []
    writer.turns.after_commit.append(lambda messages, outcomes, changes: told.append(changes))
    relay = relay_of(writer, Wire())
    async with running(relay):
        await until(lambda: relay.leading)
        await say(writer, "a")
        await until(lambda: empty(writer))
        relay.committed(told[0])
        await until(lambda: not relay._kept)


@pytest.mark.parametrize("where", ["refuse_send", "refuse_ack"])
async def test_it_stops_at_the_first_failure_and_goes_on_from_there(probe: Probe, where: str):
    writer = await probe.writer()
    await say(writer, *"aaaaaa")
    wire = Wire()
    getattr(wire, where).add(4)
    relay = relay_of(writer, wire)
    async with running(relay):
        await until(lambda: empty(writer))
    # what was acknowledged behind the failure is sent again: nothing is taken for sent before all that comes before it
    assert wire.sent[-3:] == ["order/a/4", "order/a/5", "order/a/6"]
    assert set(wire.sent) == {f"order/a/{n}" for n in range(1, 7)}


async def test_nothing_goes_before_what_did_not_fit_into_the_batch(probe: Probe):
    """Kafka counts bytes: behind a large event that has to wait, a small one would still fit."""
    writer = await probe.writer()
    for amount in (1, 100_000, 1):
        await writer.turns.run([asked(Pay(note_id="a", amount=amount), AGENT, writer.clock.now())])
    small: int = await writer.pool.fetchval("SELECT min(length(data)) FROM event_log")

    class Small(Wire):
        def create_batch(self) -> OneByOne:
            return ByBytes(2 * small + 1)

    wire = Small()
    async with running(relay_of(writer, wire)):
        await until(lambda: empty(writer))
    assert wire.sent == ["order/a/1", "order/a/2", "order/a/3"]


async def test_it_survives_whatever_the_database_says(probe: Probe):
    writer = await probe.writer()
    wire = Wire()
    relay = relay_of(writer, wire)
    await writer.pool.execute("ALTER TABLE outbox RENAME TO outbox_not_yet")
    try:
        async with running(relay) as task:
            await until(lambda: relay.trouble not in (None, "starting"))
            await writer.pool.execute("ALTER TABLE outbox_not_yet RENAME TO outbox")
            await say(writer, "a")
            await until(lambda: wire.sent == ["order/a/1"])
            await until(lambda: relay.trouble is None)
            assert not task.done()
    finally:
        with suppress(asyncpg.UndefinedTableError):
            await writer.pool.execute("ALTER TABLE outbox_not_yet RENAME TO outbox")


async def test_of_two_replicas_one_sends_and_the_other_takes_over(
    probe: Probe, admin: "asyncpg.Connection[asyncpg.Record]"
):
    writers = [await probe.writer() for _ in range(2)]
    wires = [Wire(), Wire()]
    relays = [relay_of(w, wire) for w, wire in zip(writers, wires, strict=True)]
    async with running(relays[0]) as leader:
        await until(lambda: relays[0].leading)
        async with running(relays[1]):
            await until(lambda: relays[1].trouble is None)
            await say(writers[1], "a", "b")
            await until(lambda: empty(writers[0]))
            assert not relays[1].leading
            assert wires[1].sent == []
            # the leader is gone without a word: its connection drops, and nobody is there to connect again
            leader.cancel()
            await admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted"
            )
            await end([leader])
            await say(writers[1], "a")
            await until(lambda: empty(writers[1]))
            assert relays[1].leading
    assert wires[0].sent == ["order/a/1", "order/b/1"]
    assert wires[1].sent == ["order/a/2"]


async def test_a_leader_whose_connection_is_cut_leads_again_or_another_does(
    probe: Probe, admin: "asyncpg.Connection[asyncpg.Record]"
):
    writers = [await probe.writer() for _ in range(2)]
    wires = [Wire(), Wire()]
    relays = [relay_of(w, wire) for w, wire in zip(writers, wires, strict=True)]
    async with running(relays[0]), running(relays[1]):
        for sent in range(1, 4):
            await until(lambda: any(r.leading for r in relays))
            cut = await admin.fetch(
                "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted"
            )
            assert len(cut) == 1
            await say(writers[0], "a")
            await until(lambda: empty(writers[0]))
            assert set(wires[0].sent + wires[1].sent) == {f"order/a/{n}" for n in range(1, sent + 1)}


async def test_a_lock_whose_answer_was_lost_goes_with_its_connection(
    probe: Probe, monkeypatch: pytest.MonkeyPatch
):
    """In the pool it would keep everybody from sending, and each would think that another does."""
    writers = [await probe.writer() for _ in range(2)]
    fetch, lost = PoolConnectionProxy.fetchval, asyncio.Event()

    async def loses_it(self: Any, sql: str, *args: Any, **kwargs: Any) -> Any:
        found = await fetch(self, sql, *args, **kwargs)
        if "try_advisory" in sql and found and not lost.is_set():
            lost.set()
            raise TimeoutError
        return found

    monkeypatch.setattr(PoolConnectionProxy, "fetchval", loses_it)
    async with running(relay_of(writers[0], Wire())):
        await lost.wait()
        await asyncio.sleep(0)  # it lets go of the connection, and would take another after a while
    async with running(relay_of(writers[1], Wire())):
        await say(writers[1], "a")
        await until(lambda: empty(writers[1]))


async def test_a_leader_that_froze_loses_the_lead_and_does_no_harm_when_it_wakes(
    probe: Probe, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(relay_module, "LEASE", 1)
    writers = [await probe.writer() for _ in range(2)]
    wires = [Wire(), Wire()]
    relays = [relay_of(w, wire) for w, wire in zip(writers, wires, strict=True)]
    wires[0].awake.clear()
    async with running(relays[0]):
        await until(lambda: relays[0].leading)
        async with running(relays[1]):
            await say(writers[1], "a", "b")  # the frozen leader reads them, and no further
            await until(lambda: wires[0].tried)
            await until(lambda: relays[1].leading)
            await until(lambda: empty(writers[1]))
            wires[0].awake.set()
            await until(lambda: not relays[0].leading)
            await say(writers[0], "a")
            await until(lambda: empty(writers[0]))
    assert wires[1].sent == ["order/a/1", "order/b/1", "order/a/2"]
    assert wires[0].sent == ["order/a/1"], "sent again: its consumers know the sequence"


def test_a_broker_that_is_slow_does_not_cost_the_lead():
    assert relay_module.LEASE > relay_module.ACK_SECONDS


async def test_a_partition_that_takes_nothing_is_told_of_and_the_others_are_done_with(
    probe: Probe, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(relay_module, "ACK_SECONDS", 0.2)
    writer = await probe.writer()
    notes = [f"n{n}" for n in range(8)]
    await say(writer, *notes, *notes)

    class HalfDeaf(Wire):
        deaf = True

        async def partitions_for(self, topic: str) -> set[int]:
            return {0, 1}

        async def send_batch(self, batch: OneByOne, topic: str, *, partition: int) -> "asyncio.Future[None]":
            if partition == 0 and self.deaf:
                return asyncio.get_running_loop().create_future()
            return await super().send_batch(batch, topic, partition=partition)

    wire = HalfDeaf()
    relay = relay_of(writer, wire)
    async with running(relay):
        await until(lambda: writer.pool.fetchval("SELECT count(*) < 16 FROM outbox"))
        await until(lambda: "Kafka does not take them" in (relay.trouble or ""))
        wire.deaf = False
        await until(lambda: empty(writer))
    for stream in (f"order/{n}" for n in notes):
        assert [s for s in wire.sent if s.startswith(f"{stream}/")] == [f"{stream}/1", f"{stream}/2"]


async def test_a_topic_that_was_lost_is_filled_again_and_consumers_skip_what_they_know(probe: Probe):
    await probe.topics()
    writer, reader = await probe.writer(), await probe.reader()
    await writer.start()
    await reader.start()
    await say(writer, *"abab")
    known = {"a": Note("a", 2, (1, 1)), "b": Note("b", 2, (1, 1))}

    async def all_noted() -> bool:
        return {n: await note(reader, n) for n in "ab"} == known

    await until(all_noted)
    await writer.stop()
    await reader.stop()
    probe.broker.stop()

    await probe.topics()
    writer, reader = await probe.writer(), await probe.reader()
    await say(writer, "c")
    assert await republish(writer.pool) == 5, "with the one that was still waiting"
    await reader.start()
    await writer.start()
    await until(lambda: note(reader, "c"))
    assert await all_noted()
    assert await note(reader, "c") == Note("c", 1, (1,))
    assert await parked(reader) == []


async def test_what_is_being_committed_while_a_topic_is_filled_again_comes_after_all_before_it(probe: Probe):
    """Had the filling not seen it, the relay could send it first, and only once: out of order in the topic made anew."""
    writer = await probe.writer()
    await say(writer, *"aa")
    async with writer.pool.acquire() as connection:
        committing = connection.transaction()
        await committing.start()
        await connection.execute(
            """WITH said AS (
                 INSERT INTO event_log (stream, sequence, type, time, actor_kind, actor_name, data, previous, hash)
                 SELECT stream, 3, type, time, actor_kind, actor_name, data, hash, sha256(hash) FROM event_log
                 WHERE sequence = 2 RETURNING position)
               INSERT INTO outbox (position) SELECT position FROM said"""
        )
        filling = asyncio.create_task(republish(writer.pool))
        await until(lambda: waits_for_a_lock(writer.pool))
        await committing.commit()
    assert await filling == 3


async def test_what_is_being_sent_while_a_topic_is_filled_again_is_sent_once_more(probe: Probe):
    """What the relay has in hand may have gone to the topic that is no more."""
    writer = await probe.writer()
    await say(writer, *"aaa")

    class Filling(Wire):
        async def send_batch(self, *args: Any, **parts: Any) -> "asyncio.Future[None]":
            future = await super().send_batch(*args, **parts)
            if self.tried == 2:
                await republish(writer.pool)
            return future

    wire = Filling()
    async with running(relay_of(writer, wire)):
        await until(lambda: empty(writer))
    assert wire.sent == [f"order/a/{n}" for n in (1, 2, 1, 2, 3)], "the second was in hand"


async def test_what_is_said_after_a_filling_is_sent_after_it(probe: Probe, monkeypatch: pytest.MonkeyPatch):
    """The relay looks where it left off, and what is to be sent begins far before that."""
    monkeypatch.setattr(outbox_module, "LOOK_BACK", inf)
    writer = await probe.writer()
    wire = Wire()
    async with running(relay_of(writer, wire)):
        await say(writer, *"aaa")
        await until(lambda: empty(writer))
        async with writer.pool.acquire() as connection, connection.transaction():
            await connection.execute("LOCK TABLE outbox IN ACCESS EXCLUSIVE MODE")  # no look in between
            filling = asyncio.create_task(republish(writer.pool))
            await until(lambda: waits_for_a_lock(writer.pool))
        assert await filling == 3
        await say(writer, "a")
        await until(lambda: empty(writer))
    assert wire.sent == [f"order/a/{n}" for n in (1, 2, 3, 1, 2, 3, 4)]


@pytest.mark.parametrize("table", ["outbox", "event_log"])
async def test_a_filling_may_take_longer_than_any_statement_of_a_service(
    probe: Probe, monkeypatch: pytest.MonkeyPatch, table: str
):
    """A log may be long, and whoever writes is waited for."""
    monkeypatch.setattr(postgres, "BEYOND_SECONDS", 0)
    writer = await probe.writer()
    await say(writer, "a")
    async with make_pool(probe.url("orders"), size=1, statement_timeout_ms=800) as pool:
        async with writer.pool.acquire() as connection, connection.transaction():
            await connection.execute(f"LOCK TABLE {table}")
            filling = asyncio.create_task(republish(pool))
            await asyncio.sleep(1.5)
        assert await filling == 1


@pytest.fixture
def some_looks(monkeypatch: pytest.MonkeyPatch) -> Callable[[], Awaitable[None]]:
    """Wait until the relay has looked some times more."""
    looks = 0
    unsent = Outbox.unsent

    async def counted(outbox: Outbox, limit: int) -> dict[int, Any]:
        nonlocal looks
        found = await unsent(outbox, limit)
        looks += 1
        return found

    async def wait() -> None:
        enough = looks + 3
        await until(lambda: looks >= enough)

    monkeypatch.setattr(Outbox, "unsent", counted)
    return wait


async def test_what_was_put_there_by_hand_is_sent_too(
    probe: Probe, monkeypatch: pytest.MonkeyPatch, some_looks: Callable[[], Awaitable[None]]
):
    """Looks begin where all before it was sent; from time to time one begins at the first position all the same."""
    monkeypatch.setattr(outbox_module, "LOOK_BACK", 1)
    writer = await probe.writer()
    wire = Wire()
    async with running(relay_of(writer, wire)):
        for note_id in "abc":  # the place where looks begin moves on
            await say(writer, note_id)
            await until(lambda: empty(writer))
            await some_looks()
        await writer.pool.execute("INSERT INTO outbox VALUES (1)")
        await until(lambda: empty(writer))
    assert wire.sent == [f"order/{n}/1" for n in "abca"]


@pytest.mark.parametrize("began_first", [True, False])
async def test_what_is_committed_late_is_sent_though_later_positions_were_sent_before(
    probe: Probe,
    monkeypatch: pytest.MonkeyPatch,
    some_looks: Callable[[], Awaitable[None]],
    began_first: bool,
):
    """Positions are given in order, and committed in any; so are the numbers of transactions."""
    monkeypatch.setattr(outbox_module, "LOOK_BACK", inf)
    writer = await probe.writer()
    await say(writer, "a")
    wire = Wire()
    async with running(relay_of(writer, wire)), writer.pool.acquire() as one, writer.pool.acquire() as other:
        await until(lambda: empty(writer))
        late, soon = one.transaction(), other.transaction()
        await late.start()
        await soon.start()
        for connection in (one, other) if began_first else (other, one):
            await connection.execute("SELECT pg_current_xact_id()")
        await one.execute(_SAYS, "order/late")
        await other.execute(_SAYS, "order/soon")
        await soon.commit()
        await until(lambda: "order/soon/1" in wire.sent)
        await some_looks()
        await say(writer, "b")
        await until(lambda: empty(writer))
        await late.commit()
        await until(lambda: empty(writer))
    assert wire.sent == [f"order/{n}/1" for n in ("a", "soon", "b", "late")]


_SAYS = """
WITH said AS (
  INSERT INTO event_log (stream, sequence, type, time, actor_kind, actor_name, data, previous, hash)
  SELECT $1, 1, type, time, actor_kind, actor_name, data, previous, hash FROM event_log WHERE stream = 'order/a'
  RETURNING position)
INSERT INTO outbox (position) SELECT position FROM said
"""
