"""The Kafka door: whatever lies in a topic gets its stated answer, and nothing of it fails the batch (X2, O1)."""

import asyncio
import json
import time
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer

from shared.runtime.auth import new_key_pair
from shared.runtime.decoding import raw_of
from shared.runtime.messages import Incoming, Raw
from shared.runtime.postgres import PostgresStore
from shared.runtime.running import Runtime
from shared.values import ActorKind
from tests.runtime import stand
from tests.runtime.meddling import Gate, Meddled, once
from tests.runtime.probe import (
    Note,
    Probe,
    decoded,
    note,
    outside,
    paid,
    parked,
    raw,
    receipt_of,
)
from tests.runtime.waiting import PATIENCE, until

pytestmark = pytest.mark.requirement("X2")


async def refusals(writer: Runtime) -> list[tuple[str, str, str | None]]:
    """(id, code, field) of what was answered."""
    rows = await writer.pool.fetch(
        "SELECT data FROM event_log WHERE type = 'orders.message_refused.v1' ORDER BY position"
    )
    said = [json.loads(r["data"]) for r in rows]
    return [(_place(d["refused"]), d["code"], d["field"]) for d in said]


def _place(name: str) -> str:
    """Where it lay, of a record that is known by that and by what it holds."""
    topic, *place = name.split("/")
    return "/".join([topic, *place[:2]])


@pytest.mark.requirement("O1")
async def test_each_unusable_message_of_an_inbox_is_answered_and_the_good_ones_are_handled(
    probe: Probe, monkeypatch: pytest.MonkeyPatch
):
    await probe.topics()
    body = receipt_of("n")
    monkeypatch.setattr(stand, "PRIVATE", new_key_pair()[0])
    forged = f"Bearer {stand.token(kind=ActorKind.SYSTEM, name='shop')}".encode()
    monkeypatch.undo()
    records: list[tuple[list[tuple[str, bytes]], bytes | None]] = [
        (outside("good-1"), body),
        (outside("binary", ce_source=b"\xff\xfe"), body),
        (outside("no-type", ce_type=None), body),
        (outside("", ce_id=None), body),
        (outside("unknown", ce_type=b"orders.inbox.wish.v1"), body),
        (outside("other-inbox", ce_type=b"tracking.inbox.tracking_reported.v1"), body),
        (outside("garbage"), b"\x00\xff{"),
        (outside("empty"), None),
        (outside("list"), b"[]"),
        (outside("extra"), body[:-1] + b',"amount":1}'),
        (outside("no-token", authorization=None), body),
        (outside("bad-token", authorization=b"Bearer nonsense"), body),
        (outside("forged", authorization=forged), body),
        ([*outside("twice"), ("ce_id", b"twice")], body),
        ([], b"hello"),
        (outside("good-2"), body),
    ]
    await probe.send("orders.inbox", *records)
    writer = await probe.writer()
    await writer.start()

    async def both() -> bool:
        return await note(writer, "n") == Note("n", 2, (1, 1))

    await until(both)
    answered = await refusals(writer)
    places = {n: f"orders.inbox/0/{n}" for n in range(len(records))}
    assert answered == [
        (places[1], "malformed", "headers"),
        ("no-type", "malformed", "type"),
        (places[3], "malformed", "id"),
        ("unknown", "unknown_type", "type"),
        ("other-inbox", "unknown_type", "type"),
        ("garbage", "invalid", "data"),
        ("empty", "invalid", "data"),
        ("list", "invalid", "data"),
        ("extra", "invalid", "amount"),
        ("no-token", "token_missing", "authorization"),
        ("bad-token", "token_invalid", "authorization"),
        ("forged", "token_invalid", "authorization"),
        (places[13], "malformed", "headers"),
        (places[14], "token_missing", "authorization"),
    ]
    assert await parked(writer) == []


async def test_a_null_header_does_not_stop_the_reader(probe: Probe):
    writer, reader = await probe.writer(), await probe.reader()
    good = raw(paid("a", 1), 1)
    null = [("ce_id", None), *good.headers[3:]]
    spoiled = Raw("orders", 0, 9, None, tuple(null), good.body)  # type: ignore[arg-type]
    outcomes = await reader.turns.run(decoded(reader, spoiled, good))
    assert [o.status for o in outcomes] == ["parked", "done"]
    refused = Raw("orders.inbox", 0, 4, None, tuple(null), b"")  # type: ignore[arg-type]
    assert [o.status for o in await writer.turns.run(decoded(writer, refused))] == ["refused"]


async def test_what_cannot_be_read_on_our_own_topics_is_parked_on_its_own_stream(probe: Probe):
    await probe.topics()
    good = [raw(paid(name, 1), n) for name in "ab" for n in (1, 2)]
    newer = dict(good[0].headers) | {"ce_type": b"orders.order_sung.v1", "ce_sequence": b"3"}
    records = [
        (good[0].headers, good[0].body),
        (good[1].headers, b"not json"),
        ((), b"who am I"),
        (tuple((dict(good[0].headers) | {"ce_sequence": b"first"}).items()), good[0].body),
        (tuple(newer.items()), b"{}"),
        (good[2].headers, good[2].body),
        (good[3].headers, good[3].body[:-1] + b',"added_in_a_later_version":1}'),
    ]
    await probe.send("orders", *records)
    reader = await probe.reader()
    await reader.start()

    async def all_read() -> bool:
        return await note(reader, "b") == Note("b", 2, (1, 1))

    await until(all_read)
    assert await note(reader, "a") == Note("a", 1, (1,))
    assert sorted((_place(stream), state) for stream, state in await parked(reader)) == [
        ("order/a", "failed"),
        ("order/a", "queued"),
        ("orders/0/2", "failed"),
        ("orders/0/3", "failed"),
    ]


async def test_another_record_at_the_same_place_of_a_topic_made_anew_is_not_taken_for_the_old_one(
    probe: Probe,
):
    writer, reader = await probe.writer(), await probe.reader()
    first, same, other = (Raw("orders.inbox", 0, 4, None, (("ce_id", id),), b"") for id in (b"1", b"1", b"2"))
    outcomes = [(await writer.turns.run(decoded(writer, r)))[0].status for r in (first, same, other)]
    assert outcomes == ["refused", "duplicate", "refused"]
    assert [(id, code) for id, code, _ in await refusals(writer)] == [
        ("1", "token_missing"),
        ("2", "token_missing"),
    ]
    ours = [Raw("orders", 0, 4, None, (), body) for body in (b"who", b"am I")]
    assert [o.status for o in await reader.turns.run(decoded(reader, *ours))] == ["parked", "parked"]


async def test_a_crash_between_commit_and_offset_commit_does_nothing_twice(probe: Probe):
    await probe.topics()
    await probe.send("orders.inbox", (outside("1"), receipt_of("n")))
    await probe.send("orders", *((raw(paid("n", n), n).headers, raw(paid("n", n), n).body) for n in (1, 2)))
    for crashes in (True, False):
        for make, expected in ((probe.writer, Note("n", 1, (1,))), (probe.reader, Note("n", 3, (1, 2)))):
            runtime = await make()
            taken = _taken(runtime)
            await runtime.start()
            await until(partial(getattr, runtime.intake, "consumer"))
            if crashes:
                runtime.intake.consumer.commit = _died
            await until(lambda: len(taken) >= len(expected.amounts))  # noqa: B023  called at once
            assert await note(runtime, "n") == expected
            await runtime.stop()
    writer = await probe.writer()
    assert await writer.pool.fetchval("SELECT count(*) FROM event_log") == 1


def _taken(runtime: Runtime) -> list[Incoming]:
    """All messages of turns that were committed."""
    taken: list[Incoming] = []
    runtime.turns.after_commit.append(lambda messages, outcomes, changes: taken.extend(messages))
    return taken


async def _died(*_: Any) -> None:
    raise RuntimeError("the process died here")


async def test_an_id_used_for_two_messages_is_refused_once(probe: Probe):
    writer = await probe.writer()
    same = [
        Raw("orders.inbox", 0, n, None, tuple(outside("1")), receipt_of(name))
        for n, name in enumerate(["n", "n", "m", "m"])
    ]
    outcomes = [(await writer.turns.run(decoded(writer, r)))[0].status for r in same]
    assert outcomes == ["done", "duplicate", "refused", "duplicate"]
    assert await refusals(writer) == [("1", "id_reused", "id")]


@pytest.mark.requirement("X1")
async def test_a_record_that_waited_longer_than_its_token_was_good_is_taken(
    probe: Probe, monkeypatch: pytest.MonkeyPatch
):
    await probe.topics()
    await probe.send("orders.inbox", (outside("1"), receipt_of("n")))
    writer, now, later = await probe.writer(), time.time(), outside("2")
    monkeypatch.setattr(time, "time", lambda: now + 2 * 24 * 3600)
    await writer.start()
    await until(lambda: note(writer, "n"))
    assert await refusals(writer) == []
    record = SimpleNamespace(topic="orders.inbox", partition=0, offset=9, key=None, headers=later,
                             value=receipt_of("n"), timestamp=(now + 24 * 3600) * 1000)  # fmt: skip
    await writer.intake._apply([writer.intake.decode(raw_of(record))])
    assert await refusals(writer) == [("2", "token_expired", "authorization")]


async def test_a_turn_that_fails_is_waited_out_and_nothing_is_passed_over(probe: Probe):
    writer = await probe.writer()
    meddled = Meddled(writer.turns.store, saving=once(_bug))
    writer.turns.store = meddled
    record = SimpleNamespace(
        topic="orders.inbox",
        partition=0,
        offset=0,
        key=None,
        headers=outside("1"),
        value=receipt_of("n"),
        timestamp=0,
    )
    await writer.intake._apply([writer.intake.decode(raw_of(record))])
    assert meddled.attempts == 2
    assert await note(writer, "n") == Note("n", 1, (1,))
    assert writer.intake.failing is None


async def _bug(connection: Any) -> None:
    raise KeyError("a bug of the runtime")


async def test_a_stop_takes_no_batch_after_one_that_it_left(probe: Probe):
    await probe.topics()
    ids = [f"{number:02}" for number in range(1, 13)]
    await probe.send("orders.inbox", *((outside(id), receipt_of("n")) for id in ids))
    writer = await probe.writer()
    writer.intake._gathering.most = 2
    gate = Gate()
    writer.turns.store = Meddled(PostgresStore(writer.pool), saving=once(gate.hold))
    await writer.start()
    await asyncio.wait_for(gate.reached.wait(), PATIENCE)
    await until(lambda: writer.intake.places.given.get(("orders.inbox", 0)) == 4)  # the next batch waits
    stopping = asyncio.create_task(writer.stop())
    await until(lambda: writer.intake.places.taken)
    gate.opened.set()
    await stopping

    after = await probe.writer()
    await after.start()
    applied = "SELECT array_agg(right(key, 2) ORDER BY seen_at, key) FROM inbox"
    await until(partial(_counts, after, len(ids)))
    assert await after.pool.fetchval(applied) == ids


async def test_the_next_turn_does_not_wait_for_offsets_and_whoever_takes_the_partitions_does(
    probe: Probe, monkeypatch: pytest.MonkeyPatch
):
    gate, committed = Gate(), list[list[int]]()
    commit = AIOKafkaConsumer.commit

    async def slow(consumer: Any, offsets: dict[Any, int]) -> None:
        if not committed:
            await gate.hold(None)
        committed.append(sorted(offsets.values()))
        await commit(consumer, offsets)

    monkeypatch.setattr(AIOKafkaConsumer, "commit", slow)
    await probe.topics()
    await probe.send("orders.inbox", *((outside(f"{n}"), receipt_of("n")) for n in range(6)))
    writer = await probe.writer()
    writer.intake._gathering.most = 2
    await writer.start()
    await until(partial(_counts, writer, 4))
    draining = asyncio.create_task(writer.intake.drain(20))
    await asyncio.sleep(0.2)
    assert (committed, draining.done()) == ([], False)
    assert await _counts(writer, 4), "no third turn before the first batch's offsets"
    gate.opened.set()
    await draining
    assert committed[:2] == [[2], [4]]


async def _counts(runtime: Runtime, number: int) -> bool:
    return bool(await runtime.pool.fetchval("SELECT count(*) FROM inbox") == number)
