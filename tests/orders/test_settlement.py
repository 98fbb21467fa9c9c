"""Money that does not match, from arrival to settlement: nothing is lost, and the order goes on as it should (O3, O4)."""

from datetime import timedelta
from typing import Any

import pytest

from services.orders.domain.order import OrderStatus, PaymentStatus
from services.orders.handlers.release import LiftHold, PlaceHold
from shared.events.aftersales import CaseKind
from shared.events.inbox import PaymentCaptured
from shared.events.orders import (
    Hold,
    OrderCanceled,
    OrderExpired,
    OrderMessageRefused,
    OrderPaid,
    OrderReleased,
    PaymentAnomalyFound,
    PaymentRecorded,
    PaymentUnclaimed,
)
from shared.values import Actor, ActorKind, PaymentMethod
from tests.builders import cancel, confirmed, paid, submitted
from tests.harness import SUPERVISOR, refused_by
from tests.orders.world import ORDER, World, case_opened, delivered, money, refund, shipped


@pytest.fixture
def world() -> World:
    return World()


async def settle_money(world: World) -> None:
    outcome = await world.bench.ask(
        LiftHold(order_id=ORDER, hold=Hold.PAYMENT_ANOMALY, reason="finance paid the rest back"),
        actor=SUPERVISOR,
    )
    assert outcome.refusal is None, outcome.refusal


@pytest.mark.requirement("O3")
async def test_of_too_much_the_due_part_counts_and_the_order_goes_once_the_rest_is_settled(
    world: World,
) -> None:
    await world.bench.outside(submitted(address_confirmed=True))
    await world.bench.outside(paid(amount=10001))
    assert not world.bench.said_of(OrderReleased)
    assert not world.bench.said_of(OrderPaid)
    assert world.bench.said_of(PaymentAnomalyFound)[0].amount.amount == 10001
    await settle_money(world)
    after: str = world.order.payment_status
    assert after == PaymentStatus.PAID
    assert [e.amount.amount for e in world.bench.said_of(PaymentRecorded)] == [10000]
    assert len(world.bench.said_of(OrderPaid)) == len(world.bench.said_of(OrderReleased)) == 1


@pytest.mark.requirement("O3")
async def test_a_right_payment_after_a_wrong_one_waits_for_the_settlement(world: World) -> None:
    await world.bench.outside(submitted(address_confirmed=True))
    await world.bench.outside(paid(payment_id="dollars", currency="USD"))
    await world.bench.outside(paid(payment_id="right"))
    assert world.order.payment_status == PaymentStatus.ANOMALOUS
    assert not world.bench.said_of(OrderReleased)
    await settle_money(world)
    after: str = world.order.payment_status
    assert after == PaymentStatus.PAID
    assert len(world.bench.said_of(OrderReleased)) == 1


@pytest.mark.requirement("O4")
async def test_an_order_whose_odd_payment_was_given_back_gets_time_to_pay_and_expires_then(
    world: World,
) -> None:
    await world.bench.outside(submitted())
    await world.bench.outside(paid(currency="USD"))
    await world.bench.pass_time(timedelta(days=4))
    assert world.order.status is OrderStatus.PLACED
    await settle_money(world)
    await world.bench.pass_time(timedelta(days=2))
    assert world.order.status is OrderStatus.PLACED
    await world.bench.pass_time(timedelta(days=2))
    assert len(world.bench.said_of(OrderExpired)) == 1


@pytest.mark.requirement("O4")
async def test_a_payment_after_closing_stays_in_sight_until_it_is_settled(world: World) -> None:
    await world.bench.outside(submitted())
    await world.bench.pass_time(timedelta(days=4))
    await world.bench.outside(paid())
    assert (world.order.held, world.order.standing()) == (True, [Hold.PAYMENT_ANOMALY])
    assert world.order.held_by() == "orders: payment_anomaly"
    other = await world.bench.ask(PlaceHold(order_id=ORDER, hold=Hold.CUSTOMER_REQUEST, reason="so"))
    assert refused_by(other) == "order_closed"
    await settle_money(world)
    assert (world.order.held, world.order.status) == (False, OrderStatus.EXPIRED)
    assert not world.bench.said_of(OrderReleased)


@pytest.mark.requirement("O3")
async def test_a_cancel_gives_back_what_counts_and_keeps_the_odd_rest_in_sight(world: World) -> None:
    await world.bench.outside(submitted())
    await world.bench.outside(paid(amount=10500))
    await world.bench.outside(cancel())
    assert world.bench.said_of(OrderCanceled)[0].refund == money(10000)
    assert (world.order.held, world.order.standing()) == (True, [Hold.PAYMENT_ANOMALY])
    await world.bench.outside(paid(payment_id="late"))
    assert len(world.bench.said_of(PaymentAnomalyFound)) == 2
    assert world.order.held


@pytest.mark.requirement("O3")
@pytest.mark.parametrize(
    ("first", "odd", "excess"),
    [
        ({}, {"amount": 500}, 500),
        ({"amount": 4000}, {"amount": 6500}, 500),
        ({}, {}, 10000),
        ({"amount": 4000}, {"amount": 6000, "payment_id": "first"}, 6000),
        ({}, {"currency": "USD"}, 0),
    ],
)
async def test_how_much_was_captured_beyond_the_price_is_told(
    world: World, first: dict[str, Any], odd: dict[str, Any], excess: int
) -> None:
    await world.bench.outside(submitted())
    await world.bench.outside(paid(**({"payment_id": "first"} | first)))
    await world.bench.outside(paid(**({"payment_id": "odd"} | odd)))
    assert [e.excess for e in world.bench.said_of(PaymentAnomalyFound)] == [excess]


@pytest.mark.requirement("O4")
async def test_all_of_a_payment_after_closing_is_beyond_the_price(world: World) -> None:
    await world.bench.outside(submitted())
    await world.bench.outside(cancel())
    await world.bench.outside(paid())
    assert [e.excess for e in world.bench.said_of(PaymentAnomalyFound)] == [10000]


@pytest.mark.requirement("O7")
async def test_no_hold_but_unsettled_money_outlives_its_order(world: World) -> None:
    await world.bench.outside(submitted())
    await world.bench.outside(cancel())
    assert (world.order.held, world.order.standing()) == (False, [])
    assert all(entry.lifted_by for entry in world.order.holds)


async def test_a_payment_of_nothing_changes_nothing(world: World) -> None:
    await world.bench.outside(submitted())
    await world.bench.outside(paid())
    world.bench.news()
    outcome = await world.bench.outside(paid(payment_id="nothing", amount=0))
    assert outcome.refusal is None
    assert world.bench.news() == []


@pytest.mark.requirement("O3")
async def test_the_same_anomaly_told_twice_is_one(world: World) -> None:
    await world.bench.outside(submitted())
    for amount in (4000, 6000, 6000):
        await world.bench.outside(paid(payment_id="p1", amount=amount))
    assert len(world.bench.said_of(PaymentAnomalyFound)) == 1


@pytest.mark.requirement("O3")
async def test_early_payments_under_one_id_are_both_kept(world: World) -> None:
    await world.bench.outside(paid(payment_id="p1", amount=4000))
    await world.bench.outside(paid(payment_id="p1", amount=6000))
    await world.bench.outside(submitted())
    payments = [(p.amount, p.excess, p.counts) for p in world.order.payments]
    assert payments == [(4000, 0, True), (0, 6000, False)]


@pytest.mark.requirement("O12")
async def test_an_early_payment_is_booked_in_the_name_of_whoever_told_of_it(world: World) -> None:
    bank = Actor(kind=ActorKind.SYSTEM, name="bank")
    await world.bench.outside(paid(), id="msg-7", source="bank", actor=bank)
    await world.bench.outside(submitted(), id="msg-8")
    said = {e.type.split(".")[1]: (e.actor_name, e.causation_id) for e in world.bench.store.event_log}
    assert said["payment_recorded"] == said["order_paid"] == ("bank", "msg-7")
    assert said["order_placed"] == ("shop", "msg-8")


async def test_an_early_payment_that_is_given_up_is_answered_under_its_own_id(world: World) -> None:
    await world.bench.outside(paid(), id="msg-7", source="bank")
    await world.bench.pass_time(timedelta(days=15))
    refusal = world.bench.said_of(OrderMessageRefused)[0]
    assert (refusal.refused, refusal.refused_source) == ("msg-7", "bank")
    assert refusal.refused_type == PaymentCaptured.wire_type


@pytest.mark.requirement("O3")
async def test_money_whose_order_never_comes_is_told_to_staff_and_not_only_to_its_sender(
    world: World,
) -> None:
    await world.bench.outside(paid(payment_id="p1", amount=4000), id="msg-7", source="bank")
    await world.bench.pass_time(timedelta(days=15))
    told = world.bench.said_of(PaymentUnclaimed)
    assert [(e.order_id, e.payment_id, e.amount.amount, e.told_by) for e in told] == [
        (ORDER, "p1", 4000, "bank")
    ]
    await world.bench.outside(submitted())
    assert world.order.payments == ()


async def test_an_order_of_nothing_is_paid_when_it_is_placed(world: World) -> None:
    await world.bench.outside(submitted(discount=10000, address_confirmed=True))
    assert len(world.bench.said_of(OrderPaid)) == len(world.bench.said_of(OrderReleased)) == 1


@pytest.mark.requirement("O3")
async def test_two_part_refunds_of_collected_cash_are_not_yet_a_whole_one(world: World) -> None:
    await world.bench.outside(submitted(payment_method=PaymentMethod.COD))
    await world.bench.outside(confirmed(cod_accepted=True))
    await world.bench.hear(shipped(), delivered(cod=10000), case_opened(CaseKind.RETURN))
    seen = []
    for amount in (3000, 2000, 5000):
        await world.bench.hear(refund(amount))
        seen.append(world.order.payment_status)
    assert seen == [
        PaymentStatus.PARTIALLY_REFUNDED,
        PaymentStatus.PARTIALLY_REFUNDED,
        PaymentStatus.REFUNDED,
    ]
