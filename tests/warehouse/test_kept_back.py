"""A cancel after one of several parcels left holds back what has not, and only that (O10, W1, W7)."""

from datetime import timedelta

import pytest

from shared.events import inbox
from shared.events.orders import OrderCanceled
from shared.events.warehouse import (
    CanceledShipmentLeft,
    FulfillmentAllocated,
    FulfillmentCanceled,
    FulfillmentCancelRefused,
    ShipmentDelivered,
    ShipmentReturned,
    ShipmentShipped,
)
from shared.values import DeliveryMethod, Money, PaymentMethod
from tests.warehouse.floor import Floor

ONE = [{"sku": "TEA", "quantity": 1}]


@pytest.fixture
async def floor() -> Floor:
    floor = Floor()
    await floor.stock(quantity=3)
    return floor


async def one_left(floor: Floor, **parts: object) -> tuple[str, str]:
    """An order of three pieces in two parcels, the first of which, with one piece, was handed over."""
    first = await floor.packed(await floor.release("o-1", ("TEA", 3), **parts), lines=ONE)
    second = await floor.parcel()
    assert await floor.code(inbox.HandOverScanned, tracking_number=first) == "ok"
    await floor.bench.pass_time(timedelta(minutes=1))
    return first, second


def refusal(floor: Floor) -> FulfillmentCancelRefused:
    (said,) = floor.bench.said_of(FulfillmentCancelRefused)
    return said


@pytest.mark.requirement("O10")
@pytest.mark.requirement("W7")
async def test_the_parcel_that_is_still_here_stays_and_its_stock_is_free(floor: Floor) -> None:
    first, second = await one_left(floor)
    await floor.cancel()
    assert [(line.sku, line.quantity) for line in refusal(floor).kept_back] == [("TEA", 2)]
    assert not floor.bench.said_of(FulfillmentCanceled)
    level = floor.level()
    assert (level.on_hand, level.allocated, level.locations) == (2, 0, {"A-1": 2})
    await floor.bench.pass_time(timedelta(minutes=1))
    assert await floor.code(inbox.HandOverScanned, tracking_number=second) == "canceled"
    assert await floor.code(inbox.HandOverScanned, tracking_number=first) == "already_left"
    (left,) = floor.bench.said_of(ShipmentShipped)
    assert [(line.sku, line.quantity) for line in left.lines] == [("TEA", 1)], "of three that were ordered"
    floor.adds_up()


@pytest.mark.requirement("W11")
@pytest.mark.parametrize(
    ("report", "said"), [("delivered", ShipmentDelivered), ("return_to_sender", ShipmentReturned)]
)
async def test_what_left_goes_its_way_and_is_the_last_of_its_order(
    floor: Floor, report: str, said: type[ShipmentDelivered] | type[ShipmentReturned]
) -> None:
    first, _ = await one_left(floor)
    await floor.cancel()
    assert not refusal(floor).last
    await floor.track(first, report)
    assert [e.last for e in floor.bench.said_of(said)] == [True]


@pytest.mark.requirement("W11")
@pytest.mark.parametrize("report", ["delivered", "return_to_sender"])
async def test_once_what_left_has_ended_nothing_more_is_to_come(floor: Floor, report: str) -> None:
    first, _ = await one_left(floor)
    await floor.track(first, report)
    await floor.cancel()
    assert refusal(floor).last


@pytest.mark.requirement("W11")
async def test_pieces_that_were_not_packed_yet_stay_too(floor: Floor) -> None:
    first = await floor.packed(await floor.release("o-1", ("TEA", 3)), lines=ONE)
    await floor.track(first, "in_transit")
    await floor.cancel()
    assert sum(line.quantity for line in refusal(floor).kept_back) == 2
    assert (floor.level().on_hand, floor.level().allocated) == (2, 0)
    await floor.track(first, "delivered")
    assert [e.last for e in floor.bench.said_of(ShipmentDelivered)] == [True]
    assert await floor.code(inbox.PackScanned, order_id="o-1", weight_grams=5) == "not_now"
    floor.adds_up()


@pytest.mark.requirement("W2")
async def test_who_waits_gets_what_stays(floor: Floor) -> None:
    await one_left(floor)
    await floor.release("waits", ("TEA", 2))
    await floor.cancel()
    assert [e.order_id for e in floor.bench.said_of(FulfillmentAllocated)] == ["o-1", "waits"]


@pytest.mark.requirement("O10")
async def test_cash_that_was_to_be_collected_for_what_stays_is_told(floor: Floor) -> None:
    await one_left(floor, payment_method=PaymentMethod.COD, cod_due=301)
    await floor.cancel()
    assert refusal(floor).cod_due == 201


@pytest.mark.requirement("W7")
async def test_of_parcels_at_the_counter_the_one_that_was_not_fetched_stays(floor: Floor) -> None:
    await one_left(floor, delivery_method=DeliveryMethod.SELF_PICKUP)
    await floor.cancel()
    assert refusal(floor).last


@pytest.mark.requirement("W12")
async def test_a_parcel_that_was_to_stay_and_left_before_that_is_told_and_booked_out(floor: Floor) -> None:
    _, second = await one_left(floor)
    then = floor.now
    await floor.bench.pass_time(timedelta(minutes=1))
    await floor.cancel()
    assert await floor.code(inbox.HandOverScanned, tracking_number=second, scanned_at=then) == "ok"
    assert [e.tracking_number for e in floor.bench.said_of(CanceledShipmentLeft)] == [second]
    assert floor.level().on_hand == 0
    floor.adds_up()


@pytest.mark.requirement("O10")
async def test_when_all_has_left_nothing_stays(floor: Floor) -> None:
    _, second = await one_left(floor)
    await floor.scan(inbox.HandOverScanned, tracking_number=second)
    await floor.cancel()
    assert (refusal(floor).kept_back, refusal(floor).last) == ((), False)


@pytest.mark.requirement("O10")
async def test_the_end_of_the_order_changes_nothing_more(floor: Floor) -> None:
    await one_left(floor)
    await floor.cancel()
    nothing = Money(amount=0, currency="CNY")
    await floor.bench.hear(OrderCanceled(order_id="o-1", reason="late_cancel", refund=nothing))
    await floor.cancel()
    assert [bool(e.kept_back) for e in floor.bench.said_of(FulfillmentCancelRefused)] == [True, False]
    assert (floor.level().on_hand, floor.parked()) == (2, [])
    floor.adds_up()
