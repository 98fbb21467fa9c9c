"""Two things at once, and things that come late: both ways end well (O4, O5, O6, O10, O11, O16)."""

import asyncio
from collections.abc import Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest

from services.orders.domain.order import Fulfillment, OrderStatus
from services.orders.handlers.closing import ConfirmReceipt
from services.orders.handlers.release import LiftHold, PlaceHold
from shared.events.aftersales import CaseKind, RejectReason
from shared.events.base import Event
from shared.events.orders import (
    AddressConfirmationRequested,
    CancelRefused,
    CancelRequested,
    Hold,
    HoldPlaced,
    OrderCanceled,
    OrderCompleted,
    OrderEscalated,
    OrderExpired,
    OrderPaid,
    OrderPlaced,
    OrderReleased,
    Overdue,
    PaymentAnomaly,
    PaymentAnomalyFound,
)
from shared.runtime.memory import MemoryStore, MemoryTransaction
from shared.runtime.messages import Status
from shared.values import DeliveryMethod, PaymentMethod
from tests.builders import cancel, confirmed, oid, paid, receipt, submitted
from tests.harness import AGENT, START, SUPERVISOR, refused_by
from tests.orders.world import (
    ORDER,
    WAY,
    World,
    backordered,
    cancel_refused,
    case_closed,
    case_opened,
    case_rejected,
    delivered,
    fulfillment_canceled,
    packed,
    refund,
    refused,
    returned,
    shipped,
)


class SlowStore(MemoryStore):
    """Lets others run between what a turn reads and what it writes, as a database does."""

    @asynccontextmanager
    async def transaction(self) -> Any:
        tx = MemoryTransaction(self)
        yield tx
        await asyncio.sleep(0.001)
        tx.commit()


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def slow(world: World) -> World:
    world.bench.store = world.bench.turns.store = SlowStore()
    return world


async def released(world: World, **parts: Any) -> None:
    await world.bench.outside(submitted(address_confirmed=True, **parts))
    await world.bench.outside(paid())
    assert len(world.bench.said_of(OrderReleased)) == 1


async def hear(world: World, facts: Sequence[Event]) -> None:
    for fact in facts:
        await world.bench.hear(fact)


# --- two at once -------------------------------------------------------------------------------------------------


@pytest.mark.requirement("O1")
async def test_one_order_handed_in_many_times_at_once_is_one_order(slow: World) -> None:
    outcomes = await asyncio.gather(*(slow.bench.outside(submitted()) for _ in range(8)))
    assert {o.status for o in outcomes} == {Status.DONE}
    assert len(slow.bench.said_of(OrderPlaced)) == 1


@pytest.mark.requirement("O4")
@pytest.mark.parametrize("pay_first", [True, False])
async def test_a_payment_in_the_very_turn_of_closing_counts_or_is_an_anomaly(
    slow: World, pay_first: bool
) -> None:
    await slow.bench.outside(submitted(address_confirmed=True))
    slow.bench.clock.move_to(START + timedelta(days=3))
    both: list[Any] = [slow.bench.outside(paid()), slow.bench.turns.run_timers()]
    await asyncio.gather(*(both if pay_first else reversed(both)))
    kinds = [type(e) for e in slow.bench.said if isinstance(e, OrderPaid | OrderExpired)]
    assert len(kinds) == 1
    if kinds == [OrderExpired]:
        assert [e.anomaly for e in slow.bench.said_of(PaymentAnomalyFound)] == [PaymentAnomaly.AFTER_CLOSING]
        assert slow.order.held
    else:
        assert len(slow.bench.said_of(OrderReleased)) == 1


@pytest.mark.requirement("O3")
async def test_a_payment_and_its_order_at_once_find_each_other(slow: World) -> None:
    await asyncio.gather(slow.bench.outside(paid()), slow.bench.outside(submitted(address_confirmed=True)))
    await slow.bench.pass_time(timedelta(minutes=1))
    assert len(slow.bench.said_of(OrderReleased)) == 1


@pytest.mark.requirement("O10")
async def test_a_cancel_and_the_last_payment_at_once_end_in_one_way(slow: World) -> None:
    await slow.bench.outside(submitted(address_confirmed=True))
    await asyncio.gather(slow.bench.outside(paid()), slow.bench.outside(cancel()))
    await slow.settle()
    assert [e.refund.amount for e in slow.bench.said_of(OrderCanceled)] in ([0], [10000])
    owed = slow.bench.said_of(OrderCanceled)[0].refund.amount
    assert owed == 10000 or slow.order.standing() == [Hold.PAYMENT_ANOMALY]


@pytest.mark.requirement("O7")
async def test_two_agents_lifting_the_last_hold_at_once_release_the_order_once(slow: World) -> None:
    await slow.bench.outside(submitted(address_confirmed=True))
    await slow.bench.ask(PlaceHold(order_id=ORDER, hold=Hold.CUSTOMER_REQUEST, reason="wait"))
    await slow.bench.outside(paid())
    lift = LiftHold(order_id=ORDER, hold=Hold.CUSTOMER_REQUEST, reason="go")
    outcomes = await asyncio.gather(slow.bench.ask(lift, actor=AGENT), slow.bench.ask(lift, actor=SUPERVISOR))
    lifted, late = sorted(outcomes, key=lambda o: o.status)
    assert (lifted.status, refused_by(late)) == (Status.DONE, "no_such_hold")
    assert len(slow.bench.said_of(OrderReleased)) == 1


# --- cancel against each fact of the warehouse ---------------------------------------------------------------------


@pytest.mark.requirement("O10")
@pytest.mark.parametrize("steps", range(len(WAY) + 1))
@pytest.mark.parametrize("heard", [True, False])
async def test_a_cancel_meets_the_warehouse_at_every_step(world: World, steps: int, heard: bool) -> None:
    """Whether orders knew of the step or hears of it only after the cancel was asked."""
    await released(world)
    for _ in range(10):
        world.warehouse_reads()
    for _ in range(steps):
        world.warehouse_works()
        if heard:
            await world.settle()
    left = world.goods == "shipped"
    await world.bench.outside(cancel())
    await world.settle()
    assert world.bench.store.rows("parked") == []
    assert len(world.bench.said_of(CancelRequested)) == 1
    assert len(world.bench.said_of(OrderCanceled)) == (0 if left else 1)
    assert len(world.bench.said_of(CancelRefused)) == (1 if left else 0)
    assert Hold.CANCEL_PENDING not in world.order.standing()


@pytest.mark.requirement("O10")
@pytest.mark.parametrize("first", [None, True, False], ids=["under way", "arrived", "turned round"])
@pytest.mark.parametrize("heard", [True, False])
async def test_a_cancel_meets_the_warehouse_between_two_parcels(first: bool | None, heard: bool) -> None:
    world = World(in_two=True)
    await released(world)
    while world.goods != "one left":
        world.warehouse_reads()
        world.warehouse_works()
    if first is not None:
        world.courier(brings=first)
    if heard:
        await world.settle()
    await world.bench.outside(cancel())
    await world.settle()
    nothing_arrives = first is False
    assert len(world.bench.said_of(OrderCanceled)) == (1 if nothing_arrives else 0)
    assert len(world.bench.said_of(CancelRefused)) == (0 if nothing_arrives else 1)
    assert world.order.standing() == []
    assert world.bench.store.rows("parked") == []


@pytest.mark.requirement("O10")
async def test_a_backorder_can_be_canceled(world: World) -> None:
    await released(world)
    await world.bench.outside(cancel())
    await hear(world, [backordered(), fulfillment_canceled()])
    assert world.bench.said_of(OrderCanceled)[0].refund.amount == 10000


@pytest.mark.requirement("O10")
async def test_a_cancel_that_was_refused_is_not_asked_again(world: World) -> None:
    await released(world)
    await hear(world, [shipped()])
    await world.bench.outside(cancel())
    await hear(world, [cancel_refused()])
    again = await world.bench.outside(cancel())
    assert refused_by(again) == "cancel_refused_before"
    assert len(world.bench.said_of(CancelRequested)) == 1


@pytest.mark.requirement("O10")
@pytest.mark.parametrize("facts", [[shipped(), delivered()], [shipped(), returned()]])
async def test_what_the_buyer_has_or_what_comes_back_is_not_canceled(
    world: World, facts: list[Event]
) -> None:
    await released(world)
    await hear(world, facts)
    outcome = await world.bench.outside(cancel())
    assert refused_by(outcome) == "too_late_to_cancel"
    assert not world.bench.said_of(CancelRequested)


@pytest.mark.requirement("O10")
@pytest.mark.parametrize("why", [RejectReason.NOT_RETURNED, RejectReason.NOT_AS_AGREED])
async def test_a_late_cancel_whose_parcel_was_not_sent_back_leaves_the_order_to_its_buyer(
    world: World, why: RejectReason
) -> None:
    await released(world)
    await world.bench.outside(cancel())
    await hear(world, [shipped(), cancel_refused(), case_opened(CaseKind.LATE_CANCEL)])
    await hear(world, [case_rejected(why), case_closed(CaseKind.LATE_CANCEL, 0), delivered()])
    assert not world.bench.said_of(OrderCanceled)
    await world.bench.pass_time(timedelta(days=8))
    assert world.order.status is OrderStatus.COMPLETED


@pytest.mark.requirement("O10")
async def test_a_late_cancel_sent_back_after_delivery_ends_the_order(world: World) -> None:
    await released(world)
    await world.bench.outside(cancel())
    await hear(world, [shipped(), cancel_refused(), case_opened(CaseKind.LATE_CANCEL), delivered()])
    await hear(world, [refund(10000), case_closed(CaseKind.LATE_CANCEL, 10000)])
    assert world.order.status is OrderStatus.CANCELED


@pytest.mark.requirement("O10")
@pytest.mark.parametrize("reason", [None, RejectReason.NOT_AS_AGREED])
async def test_a_returned_parcel_ends_the_order_also_when_its_news_are_late(
    world: World, reason: RejectReason | None
) -> None:
    await world.bench.outside(submitted(payment_method=PaymentMethod.COD, address_confirmed=True))
    await world.bench.outside(confirmed(cod_accepted=True))
    await hear(world, [shipped(), case_opened(CaseKind.REFUSED_COD)])
    await hear(world, [case_rejected(reason)] if reason else [])
    await hear(world, [case_closed(CaseKind.REFUSED_COD, 0), returned()])
    assert world.order.status is OrderStatus.CANCELED
    assert world.bench.said_of(OrderCanceled)[0].refund.amount == 0


@pytest.mark.requirement("O16")
@pytest.mark.parametrize("late", [False, True])
async def test_a_parcel_that_the_buyer_has_after_all_leaves_them_the_order_and_what_is_due(
    world: World, late: bool
) -> None:
    await world.bench.outside(submitted(payment_method=PaymentMethod.COD, address_confirmed=True))
    await world.bench.outside(confirmed(cod_accepted=True))
    turned_round: list[Event] = [returned(cod_due=10000)]
    decided: list[Event] = [
        case_opened(CaseKind.REFUSED_COD),
        case_rejected(RejectReason.DELIVERED_AFTER_ALL, cod_due=10000),
        case_closed(CaseKind.REFUSED_COD, 0, ends=False),
    ]
    await hear(world, [shipped(), *(decided + turned_round if late else turned_round + decided)])
    assert (world.order.fulfillment, world.order.due) == (Fulfillment.DELIVERED, 10000)
    await world.bench.pass_time(timedelta(days=30))
    assert world.order.status is OrderStatus.COMPLETED
    assert [e.anomaly for e in world.bench.said_of(PaymentAnomalyFound)] == [
        PaymentAnomaly.UNDERPAID_AT_CLOSING
    ]


@pytest.mark.requirement("O3")
async def test_cash_that_is_due_after_all_is_looked_into_when_the_other_parcel_was_delivered_before() -> None:
    world = World(in_two=True)
    await world.bench.outside(submitted(payment_method=PaymentMethod.COD, address_confirmed=True))
    await world.bench.outside(confirmed(cod_accepted=True))
    await hear(world, [shipped(last=False), shipped("S-2"), returned("S-1", last=False, cod_due=4000)])
    await hear(world, [case_opened(CaseKind.REFUSED_COD), delivered("S-2", cod=6000)])
    assert not world.bench.said_of(PaymentAnomalyFound)
    await hear(world, [case_rejected(RejectReason.DELIVERED_AFTER_ALL, cod_due=4000)])
    assert [(e.amount.amount, e.expected.amount) for e in world.bench.said_of(PaymentAnomalyFound)] == [
        (6000, 10000)
    ]


# --- addresses -----------------------------------------------------------------------------------------------------


@pytest.mark.requirement("O6")
async def test_when_no_courier_reaches_the_address_the_buyer_is_asked_and_then_a_supervisor_told(
    world: World,
) -> None:
    await released(world)
    await hear(world, [refused()])
    assert len(world.bench.said_of(AddressConfirmationRequested)) == 1
    await world.bench.pass_time(timedelta(minutes=11))
    assert [(e.overdue, e.held_by) for e in world.bench.said_of(OrderEscalated)] == [
        (Overdue.ADDRESS_CONFIRMATION, "orders: unreachable_address")
    ]


@pytest.mark.requirement("O6")
async def test_another_way_of_delivery_mends_an_address_that_no_courier_reaches(world: World) -> None:
    await released(world)
    await hear(world, [refused()])
    await world.bench.outside(confirmed(delivery_method=DeliveryMethod.SELF_PICKUP))
    assert [e.delivery_method for e in world.bench.said_of(OrderReleased)] == [
        DeliveryMethod.COURIER,
        DeliveryMethod.SELF_PICKUP,
    ]


@pytest.mark.requirement("O6")
@pytest.mark.parametrize("hold", [Hold.ADDRESS_UNCONFIRMED, Hold.COD_UNCONFIRMED])
async def test_consent_of_the_buyer_cannot_be_lifted_away(world: World, hold: Hold) -> None:
    await world.bench.outside(submitted(payment_method=PaymentMethod.COD))
    outcome = await world.bench.ask(
        LiftHold(order_id=ORDER, hold=hold, reason="never mind"), actor=SUPERVISOR
    )
    assert refused_by(outcome) == "hold_not_by_hand"
    assert hold in world.order.standing()


@pytest.mark.requirement("O5")
async def test_an_order_after_a_canceled_one_is_not_a_duplicate(world: World) -> None:
    await world.bench.outside(submitted("T-1", buyer_id="b"))
    await world.bench.outside(cancel("T-1"))
    await world.bench.outside(submitted("T-2", buyer_id="b"))
    assert Hold.DUPLICATE_SUSPECTED not in world.bench.row("orders", oid("T-2")).standing()


@pytest.mark.requirement("O5")
async def test_a_third_order_is_like_the_first_though_the_second_was_canceled(world: World) -> None:
    for minute, number in enumerate(("T-1", "T-2", "T-3", "T-4")):
        placed_at = START + timedelta(minutes=minute)
        await world.bench.outside(submitted(number, buyer_id="b", placed_at=placed_at))
        if number in ("T-2", "T-3"):
            await world.bench.outside(cancel(number))
    doubles = [e.order_id for e in world.bench.said_of(HoldPlaced) if e.hold is Hold.DUPLICATE_SUSPECTED]
    assert doubles == [oid("T-2"), oid("T-3"), oid("T-4")]
    await world.bench.outside(cancel("T-1"))
    await world.bench.outside(cancel("T-4"))
    await world.bench.outside(submitted("T-5", buyer_id="b", placed_at=START + timedelta(minutes=9)))
    assert Hold.DUPLICATE_SUSPECTED not in world.bench.row("orders", oid("T-5")).standing()


# --- promises and completion -----------------------------------------------------------------------------------------


@pytest.mark.requirement("O11")
async def test_a_promise_that_passed_while_the_buyer_had_to_pay_is_told_once_they_did(world: World) -> None:
    await world.bench.outside(submitted(address_confirmed=True))
    await world.bench.pass_time(timedelta(hours=60))
    assert not world.bench.said_of(OrderEscalated)
    await world.bench.outside(paid())
    await world.bench.pass_time(timedelta(minutes=1))
    assert [e.overdue for e in world.bench.said_of(OrderEscalated)] == [Overdue.SHIP_BY]


@pytest.mark.requirement("O11")
async def test_an_order_stuck_on_odd_money_is_escalated_too(world: World) -> None:
    await world.bench.outside(submitted(address_confirmed=True))
    await world.bench.outside(paid(amount=10001))
    await world.bench.pass_time(timedelta(hours=49))
    assert [(e.overdue, e.held_by) for e in world.bench.said_of(OrderEscalated)] == [
        (Overdue.SHIP_BY, "orders: payment_anomaly")
    ]


@pytest.mark.requirement("O11")
async def test_an_order_of_two_parcels_has_left_when_both_have(world: World) -> None:
    await released(world)
    await hear(world, [packed(), shipped("S-1", last=False)])
    assert world.order.held_by() == "warehouse: packed"
    await world.bench.pass_time(timedelta(hours=49))
    assert [e.overdue for e in world.bench.said_of(OrderEscalated)] == [Overdue.SHIP_BY]
    await hear(world, [shipped("S-2")])
    assert world.order.held_by() == "courier"


@pytest.mark.requirement("O11")
@pytest.mark.parametrize("kind", [CaseKind.LATE_CANCEL, CaseKind.RETURNED_PARCEL])
async def test_goods_that_are_to_come_back_are_not_missed_at_the_buyers_unless_they_are_to_have_them_after_all(
    world: World, kind: CaseKind
) -> None:
    await released(world)
    turned = [returned()] if kind is CaseKind.RETURNED_PARCEL else []
    await hear(world, [packed(), shipped(), *turned, case_opened(kind)])
    await world.bench.pass_time(timedelta(days=30))
    assert not world.bench.said_of(OrderEscalated)
    await hear(world, [case_rejected(), case_closed(kind, 0, ends=False)])
    await world.bench.pass_time(timedelta(minutes=1))
    assert [e.overdue for e in world.bench.said_of(OrderEscalated)] == [Overdue.DELIVER_BY]


@pytest.mark.requirement("O1")
async def test_dispatch_is_never_promised_after_delivery(world: World) -> None:
    await world.bench.outside(submitted(deliver_by=START + timedelta(hours=20)))
    assert world.order.ship_by <= world.order.deliver_by


@pytest.mark.requirement("O16")
async def test_there_is_nothing_to_receive_of_a_canceled_order(world: World) -> None:
    await released(world)
    await world.bench.outside(cancel())
    await hear(world, [fulfillment_canceled()])
    outcome = await world.bench.outside(receipt())
    assert refused_by(outcome) == "order_closed"
    assert world.order.status is OrderStatus.CANCELED


@pytest.mark.requirement("O16")
async def test_receipt_before_the_couriers_word_completes_and_the_word_changes_nothing(world: World) -> None:
    await released(world)
    await hear(world, [shipped()])
    await world.bench.ask(ConfirmReceipt(order_id=ORDER, reason="the buyer called"))
    await hear(world, [delivered()])
    assert world.order.status is OrderStatus.COMPLETED
    assert world.order.fulfillment is Fulfillment.DELIVERED
    assert [e.confirmed_by_buyer for e in world.bench.said_of(OrderCompleted)] == [True]


@pytest.mark.requirement("O14")
async def test_a_completed_order_with_a_case_is_with_after_sales(world: World) -> None:
    await released(world)
    await hear(world, [shipped(), delivered()])
    await world.bench.outside(receipt())
    await hear(world, [case_opened(CaseKind.RETURN)])
    assert world.order.held_by() == "after-sales"
    await hear(world, [case_closed(CaseKind.RETURN, 0)])
    assert world.order.held_by() == "done"
