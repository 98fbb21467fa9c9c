"""Money given back is not money never paid: refunds do not make a paid order look unpaid (O3, O7)."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from services.orders.domain.order import Fulfillment, OrderStatus, PaymentStatus
from services.orders.handlers.release import LiftHold, PlaceHold
from shared.events.aftersales import CaseKind
from shared.events.base import Event
from shared.events.orders import Hold, HoldPlaced, OrderCanceled, OrderExpired, OrderPaid, OrderReleased
from tests.builders import cancel, confirmed, paid, submitted
from tests.harness import AGENT, SUPERVISOR
from tests.orders.world import (
    ORDER,
    World,
    allocated,
    case_closed,
    case_opened,
    delivered,
    packed,
    picked,
    refund,
    refused,
    shipped,
)


@pytest.fixture
def world() -> World:
    return World()


async def give_back(world: World, amount: int, case: str = "C-1", *, excess: int = 0) -> None:
    """After-sales pays a part back without goods; `excess` of it is what was paid too much."""
    await world.bench.hear(
        case_opened(CaseKind.REFUND_ONLY, case),
        refund(amount, case, excess=excess),
        case_closed(CaseKind.REFUND_ONLY, amount, case),
    )


async def lift(world: World, hold: Hold) -> None:
    outcome = await world.bench.ask(LiftHold(order_id=ORDER, hold=hold, reason="settled"), actor=SUPERVISOR)
    assert outcome.refusal is None, outcome.refusal


@pytest.mark.requirement("O7")
async def test_a_paid_order_of_which_a_part_was_given_back_is_released(world: World) -> None:
    await world.bench.outside(submitted())
    await world.bench.outside(paid())
    await give_back(world, 500)
    assert world.order.payment_status is PaymentStatus.PARTIALLY_REFUNDED
    await world.bench.outside(confirmed())
    assert len(world.bench.said_of(OrderReleased)) == 1


@pytest.mark.requirement("O3")
async def test_overpaid_money_that_was_paid_back_does_not_count_as_missing(world: World) -> None:
    await world.bench.outside(submitted(address_confirmed=True))
    await world.bench.outside(paid(amount=10500))
    await give_back(world, 500)
    assert not world.bench.said_of(OrderReleased)
    await lift(world, Hold.PAYMENT_ANOMALY)
    assert len(world.bench.said_of(OrderPaid)) == len(world.bench.said_of(OrderReleased)) == 1


@pytest.mark.requirement("O3")
@pytest.mark.requirement("O10")
@pytest.mark.parametrize(
    ("amount", "excess", "owed"), [(2000, 2000, 10000), (3000, 2000, 9000), (2000, 0, 8000)]
)
async def test_what_is_given_back_of_too_much_is_not_taken_from_the_price_when_the_order_is_canceled(
    world: World, amount: int, excess: int, owed: int
) -> None:
    await world.bench.outside(submitted())
    await world.bench.outside(paid(amount=12000))
    await give_back(world, amount, excess=excess)
    await lift(world, Hold.PAYMENT_ANOMALY)
    price_is_whole = PaymentStatus.PAID if owed == 10000 else PaymentStatus.PARTIALLY_REFUNDED
    assert world.order.payment_status is price_is_whole
    await world.bench.outside(cancel())
    assert [e.refund.amount for e in world.bench.said_of(OrderCanceled)] == [owed]
    await give_back(world, owed, "C-2")
    after: str = world.order.payment_status
    assert after == PaymentStatus.REFUNDED


@pytest.mark.requirement("O7")
async def test_an_order_paid_twice_and_given_back_once_is_no_present(world: World) -> None:
    await world.bench.outside(submitted())
    await world.bench.outside(paid())
    await world.bench.outside(paid(payment_id="again"))
    await give_back(world, 10000, excess=10000)
    await lift(world, Hold.PAYMENT_ANOMALY)
    await world.bench.outside(confirmed())
    assert len(world.bench.said_of(OrderReleased)) == 1
    assert world.order.payment_status is PaymentStatus.PAID


@pytest.mark.requirement("O7")
@pytest.mark.parametrize("at", [allocated, picked, packed])
async def test_a_person_is_told_when_goods_that_were_paid_back_are_still_in_the_house(
    world: World, at: Callable[[], Event]
) -> None:
    await world.bench.outside(submitted(address_confirmed=True))
    await world.bench.outside(paid())
    await world.bench.hear(at())
    await give_back(world, 4000)
    assert not world.order.standing()
    await give_back(world, 6000, "C-2")
    assert [e.hold for e in world.bench.said_of(HoldPlaced)] == [Hold.AWAITING_AUDIT]
    await world.bench.hear(shipped(), delivered())
    await lift(world, Hold.AWAITING_AUDIT)
    assert world.order.fulfillment is Fulfillment.DELIVERED
    assert len(world.bench.said_of(OrderReleased)) == 1


@pytest.mark.requirement("O7")
async def test_such_an_order_that_nobody_stops_ends_as_others_do(world: World) -> None:
    await world.bench.outside(submitted(address_confirmed=True))
    await world.bench.outside(paid())
    await world.bench.hear(picked())
    await give_back(world, 10000)
    await world.bench.hear(shipped(), delivered())
    await world.bench.pass_time(timedelta(days=30))
    assert world.order.status is OrderStatus.COMPLETED
    assert world.order.standing() == []


@pytest.mark.requirement("O7")
async def test_what_has_left_or_is_being_canceled_is_stopped_by_nobody(world: World) -> None:
    await world.bench.outside(submitted(address_confirmed=True))
    await world.bench.outside(paid())
    await world.bench.hear(shipped())
    await give_back(world, 10000)
    assert not world.bench.said_of(HoldPlaced)


@pytest.mark.requirement("O3")
async def test_a_part_refund_of_a_part_payment_leaves_the_rest_due(world: World) -> None:
    await world.bench.outside(submitted(address_confirmed=True))
    await world.bench.outside(paid(payment_id="first", amount=4000))
    await give_back(world, 500)
    await world.bench.outside(paid(payment_id="odd", currency="USD"))
    await lift(world, Hold.PAYMENT_ANOMALY)
    assert not world.bench.said_of(OrderPaid), "6000 are still due"
    await world.bench.outside(paid(payment_id="second", amount=6000))
    assert len(world.bench.said_of(OrderPaid)) == len(world.bench.said_of(OrderReleased)) == 1


@pytest.mark.requirement("O4")
async def test_a_part_paid_order_with_a_refund_still_expires(world: World) -> None:
    await world.bench.outside(submitted())
    await world.bench.outside(paid(amount=4000))
    await give_back(world, 500)
    await world.bench.pass_time(timedelta(days=4))
    assert [e.refund.amount for e in world.bench.said_of(OrderExpired)] == [3500]


@pytest.mark.requirement("O7")
async def test_an_order_that_came_back_from_the_warehouse_goes_again_after_a_part_refund(
    world: World,
) -> None:
    await world.bench.outside(submitted(address_confirmed=True))
    await world.bench.outside(paid())
    await world.bench.hear(refused())
    await give_back(world, 500)
    personal = submitted().personal
    better = personal.model_copy(update={"address": personal.address.model_copy(update={"city": "温州市"})})
    await world.bench.outside(confirmed(personal=better))
    assert len(world.bench.said_of(OrderReleased)) == 2


@pytest.mark.requirement("O7")
async def test_an_order_whose_whole_price_was_given_back_waits_for_a_person(world: World) -> None:
    await world.bench.outside(submitted())
    await world.bench.outside(paid())
    await give_back(world, 10000)
    await world.bench.outside(confirmed())
    assert not world.bench.said_of(OrderReleased)
    assert world.order.standing() == [Hold.AWAITING_AUDIT]
    await lift(world, Hold.AWAITING_AUDIT)
    assert len(world.bench.said_of(OrderReleased)) == 1, "a present, if somebody says so"


@pytest.mark.requirement("O3")
@pytest.mark.parametrize("then", [5000, 10000])
async def test_a_part_payment_that_was_given_back_whole_releases_nothing_by_itself(
    world: World, then: int
) -> None:
    """Half of the price would be in hand, or what was paid anew would be called too much: a person looks."""
    await world.bench.outside(submitted(address_confirmed=True))
    await world.bench.outside(paid(payment_id="first", amount=5000))
    await give_back(world, 5000)
    await world.bench.outside(paid(payment_id="second", amount=then))
    assert not world.bench.said_of(OrderReleased)
    assert Hold.AWAITING_AUDIT in world.order.standing()


@pytest.mark.requirement("O7")
async def test_an_order_given_back_whole_while_in_the_warehouse_is_stopped_when_it_comes_back(
    world: World,
) -> None:
    await world.bench.outside(submitted(address_confirmed=True))
    await world.bench.outside(paid())
    await give_back(world, 10000)
    await lift(world, Hold.AWAITING_AUDIT)
    await world.bench.hear(refused())
    assert set(world.order.standing()) == {Hold.UNREACHABLE_ADDRESS, Hold.AWAITING_AUDIT}


async def test_a_refund_after_the_end_holds_nothing(world: World) -> None:
    await world.bench.outside(submitted())
    await world.bench.outside(paid())
    await world.bench.ask(
        PlaceHold(order_id=ORDER, hold=Hold.CUSTOMER_REQUEST, reason="the buyer thinks"), actor=AGENT
    )
    await world.bench.outside(cancel())
    await give_back(world, 10000)
    assert (world.order.status, world.order.standing()) == (OrderStatus.CANCELED, [])
