"""A lane belongs to whoever has its cursor: who waited for it sees what was done, and nothing passes its head (X2)."""

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from shared.events.inbox import ReceiptConfirmed
from shared.events.orders import OrderEventParked, OrderMessageRefused
from shared.runtime.bookkeeping import CURSORS, Cursor
from shared.runtime.commands import asked
from shared.runtime.desk import Want
from shared.runtime.memory import MemoryTransaction
from shared.runtime.messages import Incoming, Raw, Status
from shared.runtime.parking import SkipParked
from shared.runtime.postgres import FEW, PostgresStore
from shared.runtime.running import Runtime
from shared.runtime.service import Service, on
from shared.runtime.store import Ask, Changes
from tests.runtime.meddling import Gate, Meddled, once
from tests.runtime.probe import MOST, NOTES, Note, Probe, ProbeDesk, decoded, note, outside, receipt_of
from tests.runtime.test_parking import OPS
from tests.runtime.waiting import PATIENCE
from tests.warehouse.floor import Floor

pytestmark = pytest.mark.requirement("X2")

LANE = "orders.inbox|external_number/shop n"


def receipts(runtime: Runtime, *ids: str) -> list[Incoming]:
    """Messages of one lane without sequences, each under its id."""
    raws = (Raw("orders.inbox", 0, n, b"n", tuple(outside(id)), receipt_of("n")) for n, id in enumerate(ids))
    return decoded(runtime, *raws)


async def states(runtime: Runtime) -> list[tuple[str, str]]:
    return [(p.message_id, str(p.state)) for p in await runtime.parking.list_()]


def skipped(runtime: Runtime, key: str) -> Incoming:
    return asked(SkipParked(parked_key=key, reason="a test order"), OPS, runtime.clock.now())


async def blocked(runtime: Runtime) -> None:
    """Until a session of this database waits for a row."""
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    while not await runtime.pool.fetchval(waiting):
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("others", [1, FEW + 1])
async def test_who_waited_for_a_cursor_sees_the_rows_that_its_holder_added(probe: Probe, others: int) -> None:
    writer = await probe.writer()
    store = PostgresStore(writer.pool)
    async with store.transaction() as tx:
        await tx.save(Changes(upserts=[(CURSORS, [(Cursor("lane", 1), 1)])]))
    asks = [Ask(CURSORS, ["lane"]), Ask(NOTES, [f"n{number:03}" for number in range(others)])]

    async def second() -> Any:
        async with store.transaction() as tx:
            return await tx.load(asks)

    async with store.transaction() as first:
        await first.load(asks)
        waiting = asyncio.create_task(second())
        await asyncio.wait_for(blocked(writer), PATIENCE)
        await first.save(
            Changes(upserts=[(CURSORS, [(Cursor("lane", 2), 2)]), (NOTES, [(Note("n000", 7), 1)])])
        )
    assert await waiting == [[(Cursor("lane", 2), 2)], [(Note("n000", 7), 1)]]


async def test_a_turn_asks_for_the_cursors_of_its_lanes_before_anything_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    firsts: list[str] = []
    load = MemoryTransaction.load

    async def noted(self: MemoryTransaction, asks: Sequence[Ask]) -> Any:
        firsts.append(asks[0].rows.name)
        assert CURSORS not in [ask.rows for ask in asks[1:]]
        return await load(self, asks)

    monkeypatch.setattr(MemoryTransaction, "load", noted)
    floor = Floor()
    await floor.stock()
    assert CURSORS.name in firsts


async def test_a_skip_leaves_no_message_behind_that_is_queued_at_the_same_moment(probe: Probe) -> None:
    writer, ops = await probe.writer(), await probe.writer()
    probe.broken.add("n")
    assert [o.status for o in await writer.turns.run(receipts(writer, "1"))] == [Status.PARKED]
    (parked,) = await ops.parking.list_()
    gate = Gate()
    writer.turns.store = Meddled(PostgresStore(writer.pool), saving=once(gate.hold))
    queueing = asyncio.create_task(writer.turns.run(receipts(writer, "2")))
    await gate.reached.wait()
    skipping = asyncio.create_task(ops.turns.run([skipped(ops, parked.parked_key)]))
    await asyncio.wait_for(blocked(ops), PATIENCE)
    gate.opened.set()
    assert [o.status for o in await queueing + await skipping] == [Status.QUEUED, Status.DONE]

    probe.broken.clear()
    assert [o.status for o in await ops.turns.run(receipts(ops, "3"))] == [Status.QUEUED]
    assert [o.status for o in await ops.parking.retry(LANE)] == [Status.DONE, Status.DONE]
    assert await states(ops) == []


async def test_nothing_passes_the_head_of_its_lane_when_the_database_refuses_that_again(probe: Probe) -> None:
    def receipt(event: ReceiptConfirmed, desk: ProbeDesk) -> None:
        amount = MOST + 1 if desk.envelope.id == "1" else 1  # the table takes no more than MOST
        desk.notes.put((desk.notes.get("n") or Note("n")).plus(amount))

    def needs(event: ReceiptConfirmed, desk: ProbeDesk) -> Iterator[Want]:
        yield desk.notes.want("n")

    handlers = (on(ReceiptConfirmed, receipt, needs),)
    writer = await probe.of(
        Service("orders", probe.desk, handlers, OrderEventParked, OrderMessageRefused, ("orders.inbox",))
    )
    waiting = [Status.PARKED, Status.QUEUED, Status.QUEUED]
    assert [o.status for o in await writer.turns.run(receipts(writer, "1", "2", "3"))] == waiting
    assert [o.status for o in await writer.parking.retry(LANE)] == waiting
    assert await states(writer) == [("1", "failed"), ("2", "queued"), ("3", "queued")]
    assert await note(writer, "n") is None


@pytest.mark.requirement("N2")
async def test_of_each_message_that_stops_a_lane_staff_are_told_also_if_it_had_waited(probe: Probe) -> None:
    writer = await probe.writer()
    probe.broken.add("n")
    await writer.turns.run(receipts(writer, "1", "2"))
    (first, _) = await writer.parking.list_()
    await writer.turns.run([skipped(writer, first.parked_key)])
    assert [o.status for o in await writer.parking.retry(LANE)] == [Status.PARKED]
    assert [o.status for o in await writer.parking.retry(LANE)] == [Status.PARKED]
    told = "SELECT data::jsonb ->> 'parked_id' FROM event_log WHERE type = 'orders.event_parked.v1' ORDER BY position"
    assert [r[0] for r in await writer.pool.fetch(told)] == [f"{LANE} shop 1", f"{LANE} shop 2"]
