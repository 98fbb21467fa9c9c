"""A cancel that holds back a part of an order: what left goes on, what the buyer never gets is owed back (O10)."""

from collections.abc import Sequence
from datetime import timedelta

import pytest

from services.orders.domain.order import Fulfillment, OrderStatus
from shared.events.aftersales import CaseKind
from shared.events.base import Event
from shared.events.orders import (
    CancelRefused,
    CancelRequested,
    Hold,
    OrderCanceled,
    OrderEscalated,
    PaymentAnomaly,
    PaymentAnomalyFound,
)
from shared.values import PaymentMethod
from tests.builders import cancel, confirmed, paid, submitted
from tests.harness import refused_by
from tests.orders.world import (
    KEPT,
    World,
    case_closed,
    case_opened,
    case_rejected,
    delivered,
    kept_back,
    packed,
    refund,
    returned,
    shipped,
)

DAY = timedelta(days=1)


async def one_left(*facts: Event, cod: bool = False) -> World:
    """The first of two parcels left, these facts came, and the buyer wants out."""
    world = World()
    method = PaymentMethod.COD if cod else PaymentMethod.PREPAID
    await world.bench.outside(submitted(payment_method=method))
    if not cod:
        await world.bench.outside(paid())
    await world.bench.outside(confirmed(cod_accepted=True))
    await world.bench.hear(packed(), shipped(last=False), *facts)
    outcome = await world.bench.outside(cancel())
    assert outcome.refusal is None, outcome.refusal
    assert len(world.bench.said_of(CancelRequested)) == 1
    return world


async def hear(world: World, facts: Sequence[Event]) -> None:
    for fact in facts:
        await world.bench.hear(fact)
    assert world.bench.store.rows("parked") == []


@pytest.mark.requirement("O10")
async def test_what_is_kept_back_is_told_and_the_rest_is_with_the_courier() -> None:
    world = await one_left()
    await hear(world, [kept_back()])
    assert [e.kept_back for e in world.bench.said_of(CancelRefused)] == [KEPT]
    assert world.order.standing() == []
    assert (world.order.status, world.order.fulfillment) == (OrderStatus.APPROVED, Fulfillment.SHIPPED)
    await world.bench.pass_time(3 * DAY)
    assert not world.bench.said_of(OrderEscalated), "nothing is late to leave any more"


@pytest.mark.requirement("O16")
@pytest.mark.parametrize("arrives_first", [True, False])
async def test_an_order_whose_buyer_keeps_what_had_left_completes(arrives_first: bool) -> None:
    case = [case_opened(CaseKind.LATE_CANCEL), case_rejected(), case_closed(CaseKind.LATE_CANCEL, 0)]
    if arrives_first:
        world = await one_left(delivered(last=False))
        await hear(world, [kept_back(last=True), *case])
    else:
        world = await one_left()
        await hear(world, [kept_back(), delivered(), *case])
    assert (world.order.status, world.order.fulfillment) == (OrderStatus.APPROVED, Fulfillment.DELIVERED)
    await world.bench.pass_time(8 * DAY)
    assert world.order.status is OrderStatus.COMPLETED


@pytest.mark.requirement("O10")
async def test_an_order_ends_when_what_had_left_came_back() -> None:
    world = await one_left()
    await hear(world, [kept_back(), refund(5000, "C-1"), case_opened(CaseKind.LATE_CANCEL, "C-2")])
    await hear(world, [returned(), refund(5000, "C-2")])
    await hear(world, [case_closed(CaseKind.LATE_CANCEL, 5000, "C-2")])
    assert world.order.status is OrderStatus.CANCELED
    assert world.bench.said_of(OrderCanceled)[0].refund.amount == 0, "both cases gave theirs back"


@pytest.mark.requirement("O10")
@pytest.mark.parametrize("given_back", [0, 5000])
async def test_when_all_that_left_was_turned_round_before_the_order_is_canceled_as_a_whole(
    given_back: int,
) -> None:
    case = [returned(last=False), case_opened(CaseKind.RETURNED_PARCEL)]
    world = await one_left(*case, *([refund(given_back)] if given_back else []))
    await hear(world, [kept_back(last=True)])
    assert not world.bench.said_of(CancelRefused)
    assert [e.refund.amount for e in world.bench.said_of(OrderCanceled)] == [10000 - given_back]
    await hear(world, [case_closed(CaseKind.RETURNED_PARCEL, given_back)])
    assert len(world.bench.said_of(OrderCanceled)) == 1


@pytest.mark.requirement("O3")
@pytest.mark.parametrize("arrives_first", [True, False])
async def test_cash_for_what_is_kept_back_is_not_due(arrives_first: bool) -> None:
    first = [delivered(cod=5000, last=False)] if arrives_first else []
    world = await one_left(*first, cod=True)
    await hear(world, [kept_back(last=arrives_first, cod_due=5000)])
    await hear(world, [] if arrives_first else [delivered(cod=5000)])
    await world.bench.pass_time(5 * DAY)
    assert not world.bench.said_of(PaymentAnomalyFound)
    assert (world.order.payment_status, world.order.due) == ("cod_collected", 5000)


@pytest.mark.requirement("O3")
async def test_cash_that_was_taken_for_what_is_kept_back_is_looked_into() -> None:
    world = await one_left(delivered(cod=10000, last=False), cod=True)
    assert not world.bench.said_of(PaymentAnomalyFound), "all of it was due"
    await hear(world, [kept_back(last=True, cod_due=5000)])
    found = world.bench.said_of(PaymentAnomalyFound)
    assert [(e.anomaly, e.amount.amount, e.expected.amount) for e in found] == [
        (PaymentAnomaly.OVERPAID, 10000, 5000)
    ]
    assert world.order.standing() == [Hold.PAYMENT_ANOMALY]


@pytest.mark.requirement("O10")
async def test_it_is_asked_once_and_nothing_can_be_held_back_later() -> None:
    world = await one_left()
    await hear(world, [kept_back()])
    again = await world.bench.outside(cancel())
    assert refused_by(again) == "cancel_refused_before"
    assert Hold.CANCEL_PENDING not in world.order.standing()


@pytest.mark.requirement("O10")
async def test_with_everything_gone_a_case_decides() -> None:
    world = World()
    await world.bench.outside(submitted(address_confirmed=True))
    await world.bench.outside(paid())
    await hear(world, [packed(), shipped(), case_opened(CaseKind.RETURNED_PARCEL)])
    outcome = await world.bench.outside(cancel())
    assert refused_by(outcome) == "too_late_to_cancel"
