"""The orders service as a whole, in memory: each test is named as the rule that it holds."""

from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.orders.desk import OrdersDesk
from services.orders.domain.order import Fulfillment, Order, OrderStatus, PaymentStatus
from services.orders.domain.payment import Anomalous, Booked, book
from services.orders.handlers import service
from services.orders.handlers.addresses import ConfirmAddress
from services.orders.handlers.closing import CancelOrder
from services.orders.handlers.release import LiftHold, PlaceHold
from shared.events.aftersales import CaseClosed, CaseKind, CaseOpened, RefundRequested
from shared.events.base import Event
from shared.events.orders import (
    AddressConfirmationRequested,
    CancelRefused,
    CancelRequested,
    Hold,
    OrderCanceled,
    OrderCompleted,
    OrderEscalated,
    OrderExpired,
    OrderMessageRefused,
    OrderPaid,
    OrderPlaced,
    OrderReleased,
    Overdue,
    PaymentAnomaly,
    PaymentAnomalyFound,
)
from shared.events.warehouse import (
    FulfillmentAllocated,
    FulfillmentCanceled,
    FulfillmentCancelRefused,
    FulfillmentPacked,
    FulfillmentPickStarted,
    FulfillmentRefusal,
    FulfillmentRefused,
    ShipmentDelivered,
    ShipmentShipped,
)
from shared.runtime.messages import Status
from shared.values import DeliveryMethod, Money, PaymentMethod
from tests.builders import PERSONAL, cancel, confirmed, lines, oid, paid, receipt, submitted
from tests.harness import AGENT, START, SUPERVISOR, Bench, refused_by


@pytest.fixture
def bench() -> Bench[OrdersDesk]:
    return Bench(service())


def order(bench: Bench[OrdersDesk], number: str = "T-1") -> Order:
    found = bench.row("orders", oid(number))
    assert isinstance(found, Order)
    return found


def names(events: list[Event]) -> list[str]:
    return [type(e).__name__ for e in events]


async def release(bench: Bench[OrdersDesk]) -> None:
    await bench.outside(submitted(address_confirmed=True))
    await bench.outside(paid())
    bench.news()


def shipped(last: bool = True) -> ShipmentShipped:
    return ShipmentShipped(
        order_id=oid(), shipment_id="S-1", courier="sf", tracking_number="SF1", shipped_at=START, expected_at=None,
        delivery_method=DeliveryMethod.COURIER, last=last,
    )  # fmt: skip


def delivered(cod: int = 0) -> ShipmentDelivered:
    return ShipmentDelivered(
        order_id=oid(), shipment_id="S-1", delivered_at=START, cod_collected=cod, last=True
    )


# --- intake ----------------------------------------------------------------------------------------------------


@pytest.mark.requirement("O1")
async def test_an_order_handed_in_twice_is_one_order(bench: Bench[OrdersDesk]) -> None:
    first = await bench.outside(submitted(), id="a")
    again = await bench.outside(submitted(), id="a")
    other_id = await bench.outside(submitted(), id="b")
    assert (first.status, again.status, other_id.status) == (Status.DONE, Status.DUPLICATE, Status.DONE)
    assert first.answer["order_id"] == other_id.answer["order_id"] == oid()
    assert len(bench.said_of(OrderPlaced)) == 1


@pytest.mark.requirement("O1")
async def test_whoever_reads_of_an_order_can_book_it_by_its_fees(bench: Bench[OrdersDesk]) -> None:
    await bench.outside(
        submitted(delivery_fee=600, cod_fee=100, discount=50, payment_method=PaymentMethod.COD)
    )
    (said,) = bench.said_of(OrderPlaced)
    assert (said.total, said.delivery_fee, said.cod_fee, said.discount) == (10650, 600, 100, 50)


@pytest.mark.requirement("O1")
async def test_another_order_under_a_known_number_is_refused_and_changes_nothing(
    bench: Bench[OrdersDesk],
) -> None:
    await bench.outside(submitted())
    before = order(bench)
    outcome = await bench.outside(submitted(lines=lines(("TEA", 9, 5000))), id="x9")
    assert refused_by(outcome) == "order_exists"
    assert bench.said_of(OrderMessageRefused)[0].refused == "x9"
    assert order(bench) == before


async def test_the_same_id_with_another_body_is_refused(bench: Bench[OrdersDesk]) -> None:
    await bench.outside(submitted("T-1"), id="same")
    outcome = await bench.outside(submitted("T-2"), id="same")
    assert refused_by(outcome) == "id_reused"
    assert bench.row("orders", oid("T-2")) is None


@pytest.mark.requirement("O1", "O11")
async def test_an_order_that_is_still_to_be_placed_is_refused(bench: Bench[OrdersDesk]) -> None:
    """A local time sent as UTC is taken; an order of next year would have no promise that is ever overdue."""
    assert (await bench.outside(submitted("T-1", placed_at=START + timedelta(hours=14)))).refusal is None
    refusal = (await bench.outside(submitted("T-2", placed_at=START + timedelta(days=365)))).refusal
    assert refusal is not None
    assert (refusal.code, refusal.field) == ("clock_ahead", "placed_at")
    assert bench.row("orders", oid("T-2")) is None


@pytest.mark.requirement("O5")
async def test_the_same_goods_bought_twice_shortly_after_are_held(bench: Bench[OrdersDesk]) -> None:
    await bench.outside(submitted("T-1", buyer_id="b"))
    await bench.outside(submitted("T-2", buyer_id="b", placed_at=START + timedelta(minutes=5)))
    await bench.outside(submitted("T-3", buyer_id="b", placed_at=START + timedelta(hours=5)))
    held = [Hold.DUPLICATE_SUSPECTED in order(bench, n).standing() for n in ("T-1", "T-2", "T-3")]
    assert held == [False, True, False]


@pytest.mark.requirement("O5")
async def test_an_order_that_comes_late_does_not_hide_the_one_that_was_placed_last(
    bench: Bench[OrdersDesk],
) -> None:
    await bench.outside(submitted("T-2", buyer_id="b", placed_at=START + timedelta(hours=5)))
    await bench.outside(submitted("T-1", buyer_id="b"))
    await bench.outside(submitted("T-3", buyer_id="b", placed_at=START + timedelta(hours=5, minutes=5)))
    held = [Hold.DUPLICATE_SUSPECTED in order(bench, n).standing() for n in ("T-1", "T-2", "T-3")]
    assert held == [False, False, True]


# --- payment ---------------------------------------------------------------------------------------------------


@pytest.mark.requirement("O3")
async def test_part_payments_add_up(bench: Bench[OrdersDesk]) -> None:
    await bench.outside(submitted(address_confirmed=True))
    await bench.outside(paid(amount=4000, payment_id="p1"))
    assert order(bench).payment_status is PaymentStatus.PARTIALLY_PAID
    await bench.outside(paid(amount=6000, payment_id="p2"))
    assert order(bench).status is OrderStatus.APPROVED
    assert len(bench.said_of(OrderPaid)) == 1


@pytest.mark.requirement("O3")
@pytest.mark.parametrize(
    ("payment", "anomaly"),
    [
        (paid(amount=10001, payment_id="p"), PaymentAnomaly.OVERPAID),
        (paid(amount=10000, payment_id="p", currency="USD"), PaymentAnomaly.WRONG_CURRENCY),
    ],
)
async def test_what_does_not_match_is_held_and_never_released(
    bench: Bench[OrdersDesk], payment: Any, anomaly: PaymentAnomaly
) -> None:
    await bench.outside(submitted(address_confirmed=True))
    await bench.outside(payment)
    assert bench.said_of(PaymentAnomalyFound)[0].anomaly is anomaly
    assert order(bench).standing() == [Hold.PAYMENT_ANOMALY]
    assert not bench.said_of(OrderReleased)
    by_agent = await bench.ask(LiftHold(order_id=oid(), hold=Hold.PAYMENT_ANOMALY, reason="ok"), actor=AGENT)
    assert refused_by(by_agent) == "role_too_low"


@pytest.mark.requirement("O3")
async def test_a_payment_twice_is_an_anomaly_but_the_same_event_twice_is_not(
    bench: Bench[OrdersDesk],
) -> None:
    await bench.outside(submitted())
    await bench.outside(paid(payment_id="p1"))
    await bench.outside(paid(payment_id="p1"), id="sent-again")
    assert not bench.said_of(PaymentAnomalyFound)
    await bench.outside(paid(payment_id="p2"))
    assert bench.said_of(PaymentAnomalyFound)[0].anomaly is PaymentAnomaly.DUPLICATE


@pytest.mark.requirement("O3")
async def test_a_payment_that_comes_before_its_order_waits_for_it(bench: Bench[OrdersDesk]) -> None:
    await bench.outside(paid())
    await bench.outside(submitted(address_confirmed=True))
    assert order(bench).status is OrderStatus.APPROVED
    assert not bench.store.rows("early_payments")


async def test_a_payment_whose_order_never_comes_is_refused(bench: Bench[OrdersDesk]) -> None:
    await bench.outside(paid())
    await bench.pass_time(timedelta(days=15))
    assert bench.said_of(OrderMessageRefused)[0].code == "unknown_order"


@given(
    total=st.integers(1, 500),
    captured=st.lists(
        st.tuples(st.integers(0, 9), st.integers(1, 500), st.sampled_from(["CNY", "USD"])), max_size=8
    ),
)
def test_every_captured_payment_is_kept_and_what_counts_never_exceeds_the_total(
    total: int, captured: list[tuple[int, int, str]]
) -> None:
    bench = Bench(service())
    subject = _order(bench, total)
    for number, amount, currency in captured:
        kept = len(subject.payments)
        match book(subject, f"p{number}", amount, currency, START):
            case Booked(after) | Anomalous(after):
                assert len(after.payments) == kept + 1
                subject = after
        assert subject.paid <= subject.total
        if subject.payment_status is PaymentStatus.PAID:
            assert subject.paid == subject.total


def _order(bench: Bench[OrdersDesk], total: int) -> Order:
    from services.orders.handlers.intake import _new

    desk = bench.service.desk()
    event = submitted(lines=lines(("TEA", 1, total)))
    return _new(event, oid(), "digest", desk)


# --- unpaid ----------------------------------------------------------------------------------------------------


@pytest.mark.requirement("O4")
async def test_an_unpaid_order_is_closed_by_time_and_a_later_payment_is_an_anomaly(
    bench: Bench[OrdersDesk],
) -> None:
    await bench.outside(submitted())
    await bench.outside(paid(amount=3000, payment_id="part"))
    await bench.pass_time(timedelta(days=4))
    assert bench.said_of(OrderExpired)[0].refund == Money(amount=3000, currency="CNY")
    await bench.outside(paid(payment_id="late"))
    (found,) = bench.said_of(PaymentAnomalyFound)
    assert (found.anomaly, found.expected.amount, found.held) == (PaymentAnomaly.AFTER_CLOSING, 0, False)
    assert order(bench).status is OrderStatus.EXPIRED
    assert not bench.said_of(OrderReleased)


async def test_a_payment_in_the_instant_of_closing_wins_when_it_is_first(bench: Bench[OrdersDesk]) -> None:
    await bench.outside(submitted(address_confirmed=True))
    bench.clock.move_to(START + timedelta(days=3))
    await bench.outside(paid())
    await bench.turns.run_timers()
    assert order(bench).status is OrderStatus.APPROVED
    assert not bench.said_of(OrderExpired)


# --- confirmation ----------------------------------------------------------------------------------------------


@pytest.mark.requirement("O6")
async def test_after_payment_the_buyer_is_asked_and_after_ten_minutes_a_supervisor_is_told_once(
    bench: Bench[OrdersDesk],
) -> None:
    await bench.outside(submitted())
    assert not bench.said_of(AddressConfirmationRequested)
    await bench.outside(paid())
    asked = bench.said_of(AddressConfirmationRequested)[0]
    assert (asked.personal, asked.unreachable) == (PERSONAL, False)
    await bench.pass_time(timedelta(hours=1))
    escalated = bench.said_of(OrderEscalated)
    assert [e.overdue for e in escalated] == [Overdue.ADDRESS_CONFIRMATION]
    assert escalated[0].due == START + timedelta(minutes=10)
    await bench.outside(confirmed())
    assert order(bench).status is OrderStatus.APPROVED


@pytest.mark.requirement("O6")
async def test_an_address_no_courier_reaches_is_held_until_it_is_corrected(bench: Bench[OrdersDesk]) -> None:
    await release(bench)
    await bench.hear(
        FulfillmentRefused(order_id=oid(), reason=FulfillmentRefusal.UNREACHABLE_ADDRESS, detail="no courier")
    )
    assert order(bench).standing() == [Hold.UNREACHABLE_ADDRESS]
    assert order(bench).status is OrderStatus.PLACED
    assert [e.unreachable for e in bench.said_of(AddressConfirmationRequested)] == [True]
    better = PERSONAL.model_copy(update={"address": PERSONAL.address.model_copy(update={"city": "上海市"})})
    await bench.ask(ConfirmAddress(order_id=oid(), personal=better))
    assert [e.personal for e in bench.said_of(OrderReleased)] == [PERSONAL, better]


async def test_cod_needs_the_buyers_consent(bench: Bench[OrdersDesk]) -> None:
    await bench.outside(submitted(payment_method=PaymentMethod.COD))
    refused = await bench.outside(confirmed())
    assert refused_by(refused) == "cod_not_accepted"
    await bench.outside(confirmed(cod_accepted=True))
    released = bench.said_of(OrderReleased)[0]
    assert released.cod_due == 10000
    assert order(bench).payment_status is PaymentStatus.COD_DUE
    await bench.hear(shipped(), delivered(cod=10000))
    assert order(bench).payment_status is PaymentStatus.COD_COLLECTED


# --- holds and release -----------------------------------------------------------------------------------------


@pytest.mark.requirement("O7")
async def test_an_order_is_released_only_when_no_hold_stands(bench: Bench[OrdersDesk]) -> None:
    await bench.outside(submitted(address_confirmed=True))
    await bench.ask(PlaceHold(order_id=oid(), hold=Hold.CUSTOMER_REQUEST, reason="wait for my sister"))
    await bench.ask(PlaceHold(order_id=oid(), hold=Hold.AWAITING_AUDIT, reason="looks odd"))
    await bench.outside(paid())
    await bench.ask(LiftHold(order_id=oid(), hold=Hold.CUSTOMER_REQUEST, reason="she agrees"))
    assert not bench.said_of(OrderReleased)
    await bench.ask(LiftHold(order_id=oid(), hold=Hold.AWAITING_AUDIT, reason="fine"), actor=SUPERVISOR)
    assert len(bench.said_of(OrderReleased)) == 1
    lifted = order(bench).holds
    assert [(h.placed_by, h.lifted_by) for h in lifted] == [
        ("operator:agent.mei", "operator:agent.mei"),
        ("operator:agent.mei", "operator:supervisor.chen"),
    ]


@pytest.mark.requirement("O7")
@pytest.mark.parametrize("hold", [Hold.CANCEL_PENDING, Hold.ADDRESS_UNCONFIRMED, Hold.COD_UNCONFIRMED])
async def test_what_a_fact_lifts_nobody_lifts_by_hand(bench: Bench[OrdersDesk], hold: Hold) -> None:
    """With the cancel's hold gone, the warehouse's word that all is put back would end an order that somebody let go on."""
    cod = hold is Hold.COD_UNCONFIRMED
    method = PaymentMethod.COD if cod else PaymentMethod.PREPAID
    await bench.outside(submitted(payment_method=method, address_confirmed=hold is Hold.CANCEL_PENDING))
    if not cod:
        await bench.outside(paid())
    if hold is Hold.CANCEL_PENDING:
        await bench.outside(cancel())
    outcome = await bench.ask(LiftHold(order_id=oid(), hold=hold, reason="let it go"), actor=SUPERVISOR)
    assert refused_by(outcome) == "hold_not_by_hand"
    assert hold in order(bench).standing()


# --- cancel ----------------------------------------------------------------------------------------------------


@pytest.mark.requirement("O10")
async def test_a_cancel_before_the_release_is_done_at_once_and_owes_what_was_paid(
    bench: Bench[OrdersDesk],
) -> None:
    await bench.outside(submitted())
    await bench.outside(paid())
    await bench.outside(cancel())
    assert bench.said_of(OrderCanceled)[0].refund == Money(amount=10000, currency="CNY")
    assert not bench.said_of(CancelRequested)


@pytest.mark.requirement("O10")
@pytest.mark.parametrize(
    "facts",
    [
        [],
        [FulfillmentAllocated(order_id=oid(), lines=())],
        [FulfillmentPickStarted(order_id=oid(), picker="li")],
        [FulfillmentPacked(order_id=oid(), shipments=("S-1",), packer="li")],
    ],
)
async def test_a_cancel_after_the_release_is_the_warehouses_to_answer(
    bench: Bench[OrdersDesk], facts: list[Event]
) -> None:
    await release(bench)
    await bench.outside(cancel())
    await bench.hear(*facts)
    assert not bench.said_of(OrderCanceled)
    await bench.hear(FulfillmentCanceled(order_id=oid()))
    assert bench.said_of(OrderCanceled)[0].refund.amount == 10000
    assert order(bench).standing() == []


@pytest.mark.requirement("O10")
async def test_a_cancel_after_shipping_becomes_after_sales_business(bench: Bench[OrdersDesk]) -> None:
    await release(bench)
    await bench.ask(CancelOrder(order_id=oid(), reason="too late"))
    await bench.hear(shipped(), FulfillmentCancelRefused(order_id=oid(), reason="the parcel has left"))
    assert bench.said_of(CancelRefused)[0].paid.amount == 10000
    assert order(bench).status is OrderStatus.APPROVED
    await bench.hear(
        CaseOpened(order_id=oid(), case_id="C-1", kind=CaseKind.LATE_CANCEL, reason="late cancel"),
        RefundRequested(
            order_id=oid(), case_id="C-1", amount=Money(amount=10000, currency="CNY"), reason="back"
        ),
        CaseClosed(
            order_id=oid(),
            case_id="C-1",
            kind=CaseKind.LATE_CANCEL,
            refunded=Money(amount=10000, currency="CNY"),
        ),
    )
    assert order(bench).status is OrderStatus.CANCELED
    assert order(bench).payment_status is PaymentStatus.REFUNDED


async def test_a_cancel_that_meets_an_unreachable_address_is_done(bench: Bench[OrdersDesk]) -> None:
    await release(bench)
    await bench.outside(cancel())
    await bench.hear(
        FulfillmentRefused(
            order_id=oid(), reason=FulfillmentRefusal.UNREACHABLE_ADDRESS, detail="no courier"
        ),
    )
    assert order(bench).status is OrderStatus.CANCELED


# --- promises, completion, timeline ----------------------------------------------------------------------------


@pytest.mark.requirement("O11")
async def test_a_missed_promise_is_escalated_once_with_who_has_the_order(bench: Bench[OrdersDesk]) -> None:
    await release(bench)
    await bench.hear(FulfillmentPickStarted(order_id=oid(), picker="li"))
    await bench.pass_time(timedelta(days=30))
    assert [(e.overdue, e.held_by) for e in bench.said_of(OrderEscalated)] == [
        (Overdue.SHIP_BY, "warehouse: picking"),
        (Overdue.DELIVER_BY, "warehouse: picking"),
    ]


@pytest.mark.requirement("O12")
async def test_every_change_is_an_event_that_says_who_when_and_why(bench: Bench[OrdersDesk]) -> None:
    await release(bench)
    entries = bench.store.event_log
    assert [e.sequence for e in entries] == list(range(1, len(entries) + 1))
    assert all(e.actor_name == "shop" and e.causation_id and e.time == START for e in entries)
    assert all(after.previous == before.hash for before, after in pairwise(entries))


@pytest.mark.requirement("O14")
async def test_what_other_services_say_stands_in_the_orders_timeline(bench: Bench[OrdersDesk]) -> None:
    await release(bench)
    await bench.hear(FulfillmentPickStarted(order_id=oid(), picker="li"))
    heard = bench.store.ledgers["heard"]
    assert [(h.service, h.type) for h in heard] == [("warehouse", "warehouse.fulfillment_pick_started.v1")]
    assert order(bench).held_by() == "warehouse: picking"


@pytest.mark.requirement("O16")
async def test_a_delivered_order_completes_by_the_buyer_or_by_time(bench: Bench[OrdersDesk]) -> None:
    await release(bench)
    early = await bench.outside(receipt())
    assert refused_by(early) == "not_shipped"
    await bench.hear(shipped(), delivered())
    await bench.pass_time(timedelta(days=8))
    assert [e.confirmed_by_buyer for e in bench.said_of(OrderCompleted)] == [False]
    await bench.outside(receipt())
    assert len(bench.said_of(OrderCompleted)) == 1


@pytest.mark.requirement("O16")
async def test_an_open_case_extends_the_receipt_period(bench: Bench[OrdersDesk]) -> None:
    await release(bench)
    await bench.hear(shipped(), delivered())
    await bench.hear(CaseOpened(order_id=oid(), case_id="C", kind=CaseKind.RETURN, reason="too small"))
    await bench.pass_time(timedelta(days=30))
    assert not bench.said_of(OrderCompleted)
    money = Money(amount=0, currency="CNY")
    await bench.hear(CaseClosed(order_id=oid(), case_id="C", kind=CaseKind.RETURN, refunded=money))
    await bench.pass_time(timedelta(days=8))
    assert len(bench.said_of(OrderCompleted)) == 1


async def test_nothing_about_an_order_is_undone_by_late_news(bench: Bench[OrdersDesk]) -> None:
    await release(bench)
    await bench.hear(
        shipped(), delivered(), FulfillmentPacked(order_id=oid(), shipments=("S-1",), packer="li")
    )
    assert order(bench).fulfillment is Fulfillment.DELIVERED
    assert names(bench.news()) == []
