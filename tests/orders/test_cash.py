"""Cash on delivery that is short, late, too much or not due is looked into, not passed over (O3)."""

from datetime import timedelta

import pytest

from services.orders.domain.order import OrderStatus, PaymentStatus
from services.orders.handlers.closing import CancelOrder
from services.orders.handlers.release import LiftHold
from shared.events.aftersales import CaseKind
from shared.events.orders import Hold, OrderCompleted, PaymentAnomaly, PaymentAnomalyFound
from shared.events.warehouse import CodCollected
from shared.values import PaymentMethod
from tests.builders import confirmed, paid, receipt, submitted
from tests.harness import START, SUPERVISOR
from tests.orders.world import (
    ORDER,
    World,
    case_closed,
    case_opened,
    delivered,
    fulfillment_canceled,
    returned,
    shipped,
)

DAY = timedelta(days=1)


@pytest.fixture
async def world() -> World:
    world = World()
    await world.bench.outside(submitted(payment_method=PaymentMethod.COD))
    await world.bench.outside(confirmed(cod_accepted=True))
    await world.bench.hear(shipped())
    return world


def cash(amount: int, collected: int | None = None) -> CodCollected:
    return CodCollected(
        order_id=ORDER,
        shipment_id="S-1",
        amount=amount,
        collected=collected or amount,
        reported_at=START,
    )


def odd(world: World) -> list[tuple[PaymentAnomaly, int, int]]:
    found = world.bench.said_of(PaymentAnomalyFound)
    return [(e.anomaly, e.amount.amount, e.expected.amount) for e in found]


@pytest.mark.requirement("O3")
async def test_cash_told_of_after_the_delivery_is_booked(world: World) -> None:
    await world.bench.hear(delivered(cod=0))
    assert world.order.payment_status is PaymentStatus.COD_DUE
    await world.bench.pass_time(DAY)
    await world.bench.hear(cash(10000))
    after: str = world.order.payment_status
    assert after == PaymentStatus.COD_COLLECTED
    await world.bench.pass_time(9 * DAY)
    assert (odd(world), world.order.status) == ([], OrderStatus.COMPLETED)


@pytest.mark.requirement("O3")
async def test_cash_that_nobody_tells_of_in_time_is_an_anomaly(world: World) -> None:
    await world.bench.hear(delivered(cod=0))
    await world.bench.pass_time(2 * DAY)
    assert odd(world) == []
    await world.bench.pass_time(2 * DAY)
    assert odd(world) == [(PaymentAnomaly.UNDERPAID_AT_CLOSING, 0, 10000)]
    assert world.order.standing() == [Hold.PAYMENT_ANOMALY]
    await world.bench.hear(cash(10000))
    assert world.order.payment_status is PaymentStatus.ANOMALOUS, "until somebody has looked"
    lift = LiftHold(order_id=ORDER, hold=Hold.PAYMENT_ANOMALY, reason="it came after all")
    await world.bench.ask(lift, actor=SUPERVISOR)
    after: str = world.order.payment_status
    assert after == PaymentStatus.COD_COLLECTED


@pytest.mark.requirement("O3")
async def test_cash_that_is_short_is_an_anomaly_at_once_and_once(world: World) -> None:
    await world.bench.hear(delivered(cod=9000))
    assert odd(world) == [(PaymentAnomaly.UNDERPAID_AT_CLOSING, 9000, 10000)]
    await world.bench.pass_time(9 * DAY)
    assert len(odd(world)) == 1
    assert world.order.status is OrderStatus.COMPLETED
    assert world.order.standing() == [Hold.PAYMENT_ANOMALY], "it outlives the order"


@pytest.mark.requirement("O3")
async def test_more_cash_than_is_due_is_an_anomaly(world: World) -> None:
    await world.bench.hear(delivered(cod=10000), cash(500, 10500))
    assert odd(world) == [(PaymentAnomaly.OVERPAID, 500, 0)]


@pytest.mark.requirement("O3")
async def test_cash_of_an_order_completed_by_its_buyer_is_still_waited_for(world: World) -> None:
    await world.bench.outside(receipt())
    assert len(world.bench.said_of(OrderCompleted)) == 1
    await world.bench.pass_time(4 * DAY)
    assert odd(world) == [(PaymentAnomaly.UNDERPAID_AT_CLOSING, 0, 10000)]


@pytest.mark.requirement("O3")
async def test_cash_for_a_parcel_that_came_back_is_an_anomaly(world: World) -> None:
    kind = CaseKind.REFUSED_COD
    await world.bench.hear(returned(), case_opened(kind), case_closed(kind, 0))
    assert world.order.status is OrderStatus.CANCELED
    await world.bench.hear(cash(10000))
    assert odd(world) == [(PaymentAnomaly.AFTER_CLOSING, 10000, 0)]
    assert world.order.owed_back == 0
    await world.bench.pass_time(9 * DAY)
    assert len(odd(world)) == 1


@pytest.mark.requirement("O3")
async def test_cash_for_an_order_that_was_paid_before_is_an_anomaly() -> None:
    world = World()
    await world.bench.outside(submitted(address_confirmed=True))
    await world.bench.outside(paid())
    await world.bench.hear(shipped(), delivered(cod=10000))
    assert odd(world) == [(PaymentAnomaly.NOT_DUE, 10000, 0)]
    assert world.order.paid == 10000
    assert [(p.amount, p.excess, p.counts) for p in world.order.payments] == [
        (10000, 0, True),
        (0, 10000, False),
    ]


@pytest.mark.requirement("O3")
async def test_of_a_parcel_that_was_refused_no_cash_is_due(world: World) -> None:
    await world.bench.hear(returned(cod_due=10000), case_opened(CaseKind.REFUSED_COD))
    await world.bench.hear(case_closed(CaseKind.REFUSED_COD, 0))
    assert world.order.status is OrderStatus.CANCELED
    assert world.order.payment_status is PaymentStatus.UNPAID


@pytest.mark.requirement("O3")
async def test_of_an_order_that_was_canceled_in_the_house_no_cash_is_due() -> None:
    world = World()
    await world.bench.outside(submitted(payment_method=PaymentMethod.COD))
    await world.bench.outside(confirmed(cod_accepted=True))
    await world.bench.ask(CancelOrder(order_id=ORDER, reason="changed their mind"))
    await world.bench.hear(fulfillment_canceled())
    assert world.order.payment_status is PaymentStatus.UNPAID


@pytest.mark.requirement("O3")
async def test_cash_that_was_taken_for_a_parcel_that_came_back_is_said_to_be(world: World) -> None:
    await world.bench.hear(cash(4000), returned(cod_due=10000), case_opened(CaseKind.REFUSED_COD))
    await world.bench.hear(case_closed(CaseKind.REFUSED_COD, 4000))
    assert world.order.payment_status is PaymentStatus.COD_COLLECTED
