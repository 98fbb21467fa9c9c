"""Whatever comes, in whatever order: what must hold for every order at every moment."""

import asyncio
from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.orders.handlers.addresses import ConfirmAddress
from services.orders.handlers.closing import CancelOrder, ConfirmReceipt
from services.orders.handlers.release import LiftHold, PlaceHold
from shared.events.inbox import PaymentCaptured
from shared.events.orders import (
    Hold,
    OrderCanceled,
    OrderCompleted,
    OrderExpired,
    OrderMessageRefused,
    OrderPaid,
    OrderReleased,
    PaymentRecorded,
)
from shared.values import PaymentMethod
from tests.builders import PERSONAL, cancel, confirmed, paid, receipt, submitted
from tests.harness import SUPERVISOR
from tests.orders.world import ORDER, World

Action = Callable[[World], Coroutine[Any, Any, Any]]
MOVED = PERSONAL.model_copy(update={"address": PERSONAL.address.model_copy(update={"city": "上海市"})})


def _later(act: Callable[[World], None]) -> Action:
    async def action(world: World) -> None:
        act(world)

    return action


def _actions(cod: bool, sure: bool) -> st.SearchStrategy[Action]:
    method = PaymentMethod.COD if cod else PaymentMethod.PREPAID
    order = submitted(payment_method=method, address_confirmed=sure)
    hold = st.sampled_from(list(Hold))
    payment = st.builds(
        paid,
        payment_id=st.sampled_from(["p1", "p2", "p3"]),
        amount=st.sampled_from([0, 1, 4000, 6000, 10000, 10001]),
        currency=st.sampled_from(["CNY", "CNY", "CNY", "USD"]),
    )
    agent: list[st.SearchStrategy[Action]] = [
        hold.map(lambda h: lambda w: w.bench.ask(PlaceHold(order_id=ORDER, hold=h, reason="so"))),
        hold.map(
            lambda h: lambda w: w.bench.ask(LiftHold(order_id=ORDER, hold=h, reason="so"), actor=SUPERVISOR)
        ),
        st.just(lambda w: w.bench.ask(ConfirmAddress(order_id=ORDER, cod_accepted=True, personal=MOVED))),
        st.just(lambda w: w.bench.ask(CancelOrder(order_id=ORDER, reason="so"))),
        st.just(lambda w: w.bench.ask(ConfirmReceipt(order_id=ORDER, reason="so"))),
    ]
    shop: list[st.SearchStrategy[Action]] = [
        st.just(lambda w: w.bench.outside(order)),
        payment.map(lambda p: lambda w: w.pay(p)),
        st.just(lambda w: w.pay(paid(payment_id="p1"))),
        st.just(lambda w: w.bench.outside(confirmed(cod_accepted=True))),
        st.just(lambda w: w.bench.outside(cancel())),
        st.just(lambda w: w.bench.outside(receipt())),
    ]
    others: list[st.SearchStrategy[Action]] = [
        st.tuples(st.booleans(), st.booleans()).map(
            lambda c: _later(lambda w: w.warehouse_reads(reachable=c[0], stock=c[1]))
        ),
        st.just(_later(World.warehouse_works)),
        st.booleans().map(lambda b: _later(lambda w: w.courier(brings=b, cod=10000 if cod else 0))),
        st.just(_later(World.aftersales_reads)),
        st.booleans().map(lambda b: _later(lambda w: w.aftersales_closes(pays=b))),
        st.booleans().map(lambda b: lambda w: w.orders_hear(cases=b)),
        st.just(World.settle),
        st.sampled_from([1, 30, 60 * 24, 60 * 24 * 4, 60 * 24 * 9]).map(
            lambda minutes: lambda w: w.bench.pass_time(timedelta(minutes=minutes))
        ),
    ]
    return st.one_of(*agent, *shop, *others)


def check(world: World) -> None:
    """What holds at every moment."""
    said, order = world.bench.said, world.known
    assert world.bench.store.rows("parked") == []
    assert len([e for e in said if isinstance(e, OrderCanceled | OrderExpired | OrderCompleted)]) <= 1
    assert len([e for e in said if isinstance(e, OrderPaid)]) <= 1
    for place, event in enumerate(said):
        if isinstance(event, OrderReleased):
            assert world.standing(said[:place]) == []
            counted = sum(e.amount.amount for e in said[:place] if isinstance(e, PaymentRecorded))
            assert event.payment_method is PaymentMethod.COD or counted == 10000
            assert not any(isinstance(e, OrderCanceled | OrderExpired | OrderCompleted) for e in said[:place])
    if order is None:
        return
    assert order.paid <= order.total
    assert order.held == bool(order.standing())
    assert not order.closed or set(order.standing()) <= {Hold.PAYMENT_ANOMALY}
    assert (
        not order.awaits_payment
        or order.closed
        or order.held
        or f"orders.unpaid_due/{ORDER}" in world.bench.store.timers
    )
    assert world.standing(said) == order.standing()


def kept(world: World) -> None:
    """Every captured payment is booked, waits for its order, or was refused with an event."""
    order = world.known
    booked = {(p.payment_id, p.whole, p.currency) for p in order.payments} if order else set()
    waiting = {(p.payment_id, p.amount, p.currency) for p in world.bench.store.rows("early_payments")}
    refusals = world.bench.said_of(OrderMessageRefused)
    given_back = len([e for e in refusals if e.refused_type == PaymentCaptured.wire_type])
    lost = [key for key in world.captured if key[1] and key not in booked | waiting]
    assert len(lost) <= given_back
    if order:
        for currency in ("CNY", "USD"):
            captured = sum(key[1] for key in world.captured if key[2] == currency and key in booked)
            assert sum(p.whole for p in order.payments if p.currency == currency) == captured


@pytest.mark.requirement("O3")
@pytest.mark.requirement("O7")
@pytest.mark.requirement("O10")
@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data(), cod=st.booleans(), sure=st.booleans(), early=st.booleans(), in_two=st.booleans())
def test_no_interleaving_releases_what_is_held_or_closes_twice_or_parks(
    data: st.DataObject, cod: bool, sure: bool, early: bool, in_two: bool
) -> None:
    actions = data.draw(st.lists(_actions(cod, sure), max_size=40))
    order = submitted(
        payment_method=PaymentMethod.COD if cod else PaymentMethod.PREPAID, address_confirmed=sure
    )

    async def live() -> None:
        world = World(in_two=in_two)
        if not early:
            await world.bench.outside(order)
        for action in actions:
            await action(world)
            check(world)
            kept(world)
        await world.settle()
        check(world)
        kept(world)

    asyncio.run(live())
