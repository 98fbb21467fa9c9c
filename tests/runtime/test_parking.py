"""A message that cannot be handled stops only its own stream, waits with those behind it in order, and can be mended (X2)."""

import base64
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from services.orders.desk import OrdersDesk, by_id
from services.orders.handlers import service as orders
from shared.events.base import Event
from shared.events.warehouse import FulfillmentPacked, FulfillmentPicked, FulfillmentPickStarted
from shared.runtime.chain import GENESIS
from shared.runtime.envelope import decode_ours, headers
from shared.runtime.messages import Incoming, Raw, Status
from shared.runtime.parking import MendParked, Parking, SkipParked, again, with_parking
from shared.runtime.postgres import Pool, PostgresStore
from shared.runtime.service import on
from shared.runtime.turn import Turns
from shared.values import Actor, ActorKind, Role
from tests.harness import START, Bench, refused_by
from tests.runtime.test_on_postgres import databases, pools

__all__ = ["databases", "pools"]

OPS = Actor(kind=ActorKind.OPERATOR, name="ops", role=Role.ADMINISTRATOR)


class Lot:
    """Orders with a handler that is broken until it is mended, and what arrives from the warehouse."""

    def __init__(self, pool: Pool) -> None:
        self.broken = True
        self.handled: list[tuple[str, str]] = []
        whole = orders()
        kept = tuple(
            h
            for h in whole.consumes
            if h.message not in (FulfillmentPickStarted, FulfillmentPicked, FulfillmentPacked)
        )
        own = tuple(
            on(e, self._handle, by_id) for e in (FulfillmentPickStarted, FulfillmentPicked, FulfillmentPacked)
        )
        service = with_parking(replace(whole, consumes=(*kept, *own)))
        self.bench: Bench[Any] = Bench(service)
        self.bench.turns = Turns(service, PostgresStore(pool), self.bench.clock)
        self.parking = Parking(self.bench.turns, pool, lambda raw, actor: decode_ours(raw))

    def _handle(self, event: Any, desk: OrdersDesk) -> None:
        if self.broken and isinstance(event, FulfillmentPicked) and event.picker == "bad":
            raise ZeroDivisionError
        self.handled.append((event.order_id, type(event).__name__))

    async def arrive(self, *events: tuple[Event, int]) -> list[Status]:
        """Records of the warehouse's topic: (event, its sequence)."""
        return [o.status for o in await self.bench.turns.run([record(e, n) for e, n in events])]


def record(event: Event, sequence: int) -> Incoming:
    row = {
        "stream": event.stream, "sequence": sequence, "type": event.wire_type, "time": START, "actor_kind": "service",
        "actor_name": "warehouse", "correlation_id": None, "causation_id": None, "trace": None, "previous": GENESIS,
    }  # fmt: skip
    told = tuple(headers(SimpleNamespace(**row), "/handover/warehouse"))
    body = event.model_dump_json().encode()
    return decode_ours(Raw("warehouse", 0, sequence, event.stream.encode(), told, body))


def story(order: str, picker: str = "li") -> tuple[tuple[Event, int], ...]:
    return (
        (FulfillmentPickStarted(order_id=order, picker=picker), 1),
        (FulfillmentPicked(order_id=order, picker=picker), 2),
        (FulfillmentPacked(order_id=order, shipments=("S",), packer=picker), 3),
    )


@pytest.fixture
async def lot(pools: dict[str, Pool]) -> Lot:
    return Lot(pools["orders"])


@pytest.mark.requirement("X2")
async def test_one_bad_message_stops_only_its_own_stream(lot: Lot) -> None:
    statuses = await lot.arrive(*story("a", "bad"), *story("b"))
    assert statuses == ["done", "parked", "queued", "done", "done", "done"]
    assert [p.state for p in await lot.parking.list_()] == ["failed", "queued"]
    assert await lot.arrive(*story("a", "bad")) == ["duplicate", "duplicate", "duplicate"]


@pytest.mark.requirement("X2")
async def test_after_the_cause_is_mended_a_retry_drains_the_stream_in_order(lot: Lot) -> None:
    await lot.arrive(*story("a", "bad"))
    lane = (await lot.parking.list_())[0].lane
    assert [o.status for o in await lot.parking.retry(lane)] == ["parked", "queued"]
    assert (await lot.parking.list_())[0].tries == 2
    lot.broken = False
    assert [o.status for o in await lot.parking.retry(lane)] == ["done", "done"]
    assert lot.handled == [
        ("a", "FulfillmentPickStarted"),
        ("a", "FulfillmentPicked"),
        ("a", "FulfillmentPacked"),
    ]
    assert await lot.parking.list_() == []
    assert await lot.arrive((FulfillmentPickStarted(order_id="a", picker="li"), 4)) == ["done"]


@pytest.mark.requirement("X2")
async def test_a_skipped_message_lets_those_behind_it_go_on_and_is_kept_with_the_reason(lot: Lot) -> None:
    await lot.arrive(*story("a", "bad"))
    first, second = await lot.parking.list_()
    behind = await lot.bench.ask(SkipParked(parked_key=second.parked_key, reason="a test order"), actor=OPS)
    assert refused_by(behind) == "not_first"
    await lot.bench.ask(SkipParked(parked_key=first.parked_key, reason="a test order"), actor=OPS)
    await lot.parking.retry(first.lane)
    assert lot.handled[-1] == ("a", "FulfillmentPacked")
    skipped = await lot.parking.list_("skipped")
    assert [p.note for p in skipped] == ["skipped by operator:ops: a test order"]


@pytest.mark.requirement("X2")
async def test_a_mended_message_is_handled_in_its_place(lot: Lot) -> None:
    await lot.arrive(*story("a", "bad"))
    first = (await lot.parking.list_())[0]
    body = {"order_id": "a", "picker": "li"}
    await lot.bench.ask(MendParked(parked_key=first.parked_key, body=body, reason="wrong picker"), actor=OPS)
    assert [o.status for o in await lot.parking.retry(first.lane)] == ["done", "done"]
    assert [what for _, what in lot.handled][-2:] == ["FulfillmentPicked", "FulfillmentPacked"]


@pytest.mark.requirement("X2", "O12")
async def test_what_was_mended_and_handled_is_kept_with_who_why_and_the_first_body(lot: Lot) -> None:
    await lot.arrive(*story("a", "bad"))
    first = (await lot.parking.list_())[0]
    for picker in ("bad", "li"):
        body = {"order_id": "a", "picker": picker}
        mended = MendParked(parked_key=first.parked_key, body=body, reason=f"it was {picker}")
        await lot.bench.ask(mended, actor=OPS)
        await lot.parking.retry(first.lane)
    assert await lot.parking.list_() == []
    (kept,) = await lot.parking.list_("mended")
    assert kept.original == first.body != kept.body
    assert [word in kept.note for word in (str(OPS), "it was bad", "it was li")] == [True] * 3
    again = await lot.bench.ask(SkipParked(parked_key=first.parked_key, reason="once more"), actor=OPS)
    assert again.refusal is not None
    assert again.refusal.detail == "this message was mended before, and waits no more"


@pytest.mark.requirement("X2")
async def test_what_others_wait_for_is_listed_first(lot: Lot) -> None:
    await lot.arrive(*story("a", "bad"), *story("b", "bad"))
    assert [p.state for p in await lot.parking.list_()] == ["failed", "failed", "queued", "queued"]


@pytest.mark.requirement("X2")
async def test_a_missing_message_is_noticed_and_waited_for(lot: Lot) -> None:
    started, picked, packed = story("a")
    assert await lot.arrive(started, packed) == ["done", "queued"]
    assert [p.reason for p in await lot.parking.list_()] == ["waits for 2 of its stream"]
    assert await lot.arrive(picked) == ["done"]
    lane = (await lot.parking.list_())[0].lane
    assert lane in await lot.parking._ready()
    await lot.parking.retry(lane)
    assert [what for _, what in lot.handled] == [
        "FulfillmentPickStarted",
        "FulfillmentPicked",
        "FulfillmentPacked",
    ]
    assert await lot.parking._ready() == []


@pytest.mark.requirement("X2")
async def test_a_gap_that_will_never_close_is_given_up_by_skipping_the_first_behind_it(lot: Lot) -> None:
    started, _, packed = story("a")
    again = FulfillmentPickStarted(order_id="a", picker="li")
    assert await lot.arrive(started, packed, (again, 4)) == ["done", "queued", "queued"]
    first, second = await lot.parking.list_()
    behind = await lot.bench.ask(SkipParked(parked_key=second.parked_key, reason="not the first"), actor=OPS)
    assert refused_by(behind) == "not_first"
    reason = "2 was never said: somebody else wrote to the topic"
    await lot.bench.ask(SkipParked(parked_key=first.parked_key, reason=reason), actor=OPS)
    assert await lot.parking._ready() == [first.lane]
    await lot.parking.retry(first.lane)
    assert [what for _, what in lot.handled] == ["FulfillmentPickStarted"] * 2
    assert await lot.parking.list_() == []
    assert await lot.arrive((again, 5)) == ["done"]


@pytest.mark.requirement("X2")
async def test_a_message_that_was_done_since_it_waited_can_not_be_skipped_any_more(lot: Lot) -> None:
    """All were sent again; the lane is yet to be looked at."""
    started, picked, packed = story("a")
    again = FulfillmentPickStarted(order_id="a", picker="li")
    assert await lot.arrive(started, packed, (again, 4)) == ["done", "queued", "queued"]
    assert await lot.arrive(started, picked, packed, (again, 4)) == ["duplicate", "done", "done", "done"]
    first, _ = await lot.parking.list_()
    late = await lot.bench.ask(SkipParked(parked_key=first.parked_key, reason="2 never comes"), actor=OPS)
    assert refused_by(late) == "not_parked"
    assert [o.status for o in await lot.parking.retry(first.lane)] == ["duplicate", "duplicate"]
    assert len(lot.handled) == 4
    assert await lot.parking.list_() == []


@pytest.mark.requirement("X2")
async def test_a_gap_behind_a_failed_message_is_given_up_the_same_way(lot: Lot) -> None:
    """What comes behind a failed message only queues; that some is missing shows once that one is done."""
    first, second, third = story("a", "bad")
    again = FulfillmentPickStarted(order_id="a", picker="li")
    assert await lot.arrive(first, second, (third[0], 4), (again, 5)) == [
        "done",
        "parked",
        "queued",
        "queued",
    ]
    failed, queued, last = await lot.parking.list_()
    refused = await lot.bench.ask(
        SkipParked(parked_key=queued.parked_key, reason="behind a failed one"), actor=OPS
    )
    assert refused_by(refused) == "not_first"
    lot.broken = False
    assert [o.status for o in await lot.parking.retry(failed.lane)] == ["done", "queued", "queued"]
    assert await lot.parking._ready() == []
    refused = await lot.bench.ask(SkipParked(parked_key=last.parked_key, reason="not the first"), actor=OPS)
    assert refused_by(refused) == "not_first"
    skipped = await lot.bench.ask(SkipParked(parked_key=queued.parked_key, reason="3 is lost"), actor=OPS)
    assert skipped.refusal is None
    assert await lot.parking._ready() == [failed.lane]
    assert [o.status for o in await lot.parking.retry(failed.lane)] == ["done"]
    assert await lot.parking.list_() == []


@pytest.mark.requirement("X2")
async def test_a_body_that_cannot_be_read_is_parked_without_its_content_in_the_reason(lot: Lot) -> None:
    good = record(*story("a")[0])
    assert good.raw is not None
    spoiled = decode_ours(
        replace(good.raw, body=b'{"order_id": "a", "picker": {"name": "\xe7\x8e\x8b\xe8\x8a\xb3"}}')
    )
    assert [o.status for o in await lot.bench.turns.run([spoiled])] == ["parked"]
    parked = (await lot.parking.list_())[0]
    assert "王芳" not in parked.reason + parked.traceback
    assert "王芳" in base64.b64decode(parked.body).decode()


@pytest.mark.requirement("X2")
async def test_a_timer_that_fails_is_parked_and_can_be_tried_again(pools: dict[str, Pool]) -> None:
    lot = Lot(pools["orders"])
    await pools["orders"].execute(
        "INSERT INTO timers VALUES ('orders.unpaid_due/x', 'orders.unpaid_due', $1, '{\"nonsense\": 1}')",
        START - timedelta(days=1),
    )
    assert await lot.bench.turns.run_timers() == 1
    assert [(p.door, p.type, p.state) for p in await lot.parking.list_()] == [
        ("timer", "orders.unpaid_due", "failed")
    ]
    assert await pools["orders"].fetchval("SELECT count(*) FROM timers") == 0


@pytest.mark.requirement("X2")
async def test_a_timer_that_was_skipped_and_fails_again_later_is_parked_again(pools: dict[str, Pool]) -> None:
    lot = Lot(pools["orders"])
    for _ in range(2):
        await due(pools["orders"], "x", 1)
        assert await lot.bench.turns.run_timers() == 1
        (parked,) = await lot.parking.list_()
        skipping = SkipParked(parked_key=parked.parked_key, reason="its order is closed")
        assert (await lot.bench.ask(skipping, actor=OPS)).status == Status.DONE
        assert await lot.parking.list_() == []
    (skipped,) = await lot.parking.list_("skipped")
    assert skipped.note == "; ".join(["skipped by operator:ops: its order is closed"] * 2)


@pytest.mark.requirement("X2")
async def test_a_timer_that_is_set_again_while_it_is_parked_is_tried_as_it_was_set_last(
    pools: dict[str, Pool],
) -> None:
    lot = Lot(pools["orders"])
    for number in (1, 2):
        await due(pools["orders"], "x", number)
        assert await lot.bench.turns.run_timers() == 1
    (parked,) = await lot.parking.list_()
    assert base64.b64decode(parked.body) == b'{"nonsense": 2}'
    assert parked.tries == 2


@pytest.mark.requirement("X2")
async def test_a_parked_timer_that_was_moved_is_not_tried_before_its_time(pools: dict[str, Pool]) -> None:
    """What it was set to meanwhile counts: an order would be closed that has three days to be paid."""
    lot, pool = Lot(pools["orders"]), pools["orders"]
    await due(pool, "x", 1)
    assert await lot.bench.turns.run_timers() == 1
    (parked,) = await lot.parking.list_()
    later = START + timedelta(days=3)
    await pool.execute(
        "INSERT INTO timers VALUES ($1, 'orders.unpaid_due', $2, '{}')", parked.message_id, later
    )
    assert [o.status for o in await lot.parking.retry(parked.lane)] == ["duplicate"]
    assert await lot.parking.list_() == []
    assert await pool.fetchval("SELECT due FROM timers") == later


@pytest.mark.requirement("O12")
async def test_a_retry_that_comes_after_a_skip_leaves_the_record_of_that(lot: Lot) -> None:
    await lot.arrive(*story("a", "bad"))
    failed, _ = await lot.parking.list_()
    late = again(failed, lambda raw, actor: decode_ours(raw))
    await lot.bench.ask(SkipParked(parked_key=failed.parked_key, reason="a test order"), actor=OPS)
    assert [o.status for o in await lot.bench.turns.run([late])] == ["duplicate"]
    skipped = await lot.parking.show(failed.parked_key)
    assert skipped is not None
    assert "skipped by operator:ops: a test order" in skipped.note


@pytest.mark.requirement("X2")
async def test_what_was_mended_while_a_retry_was_on_its_way_is_not_handled_as_it_was_before(lot: Lot) -> None:
    await lot.arrive(*story("a", "bad"))
    failed, _ = await lot.parking.list_()
    late = again(failed, lambda raw, actor: decode_ours(raw))
    body = {"order_id": "a", "picker": "li"}
    await lot.bench.ask(MendParked(parked_key=failed.parked_key, body=body, reason="wrong picker"), actor=OPS)
    lot.broken = False  # it could be handled either way
    assert [o.status for o in await lot.bench.turns.run([late])] == ["queued"]
    assert [o.status for o in await lot.parking.retry(failed.lane)] == ["done", "done"]
    assert [what for _, what in lot.handled][-2:] == ["FulfillmentPicked", "FulfillmentPacked"]


async def due(pool: Pool, key: str, number: int) -> None:
    """A timer that has fallen due, as no version of the service would set it."""
    await pool.execute(
        "INSERT INTO timers VALUES ($1, 'orders.unpaid_due', $2, $3)",
        f"orders.unpaid_due/{key}",
        START - timedelta(days=1),
        f'{{"nonsense": {number}}}',
    )
