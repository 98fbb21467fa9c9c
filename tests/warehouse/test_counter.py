"""Self-pickup: the buyer takes the parcel over the counter, and that is its delivery (W7)."""

from datetime import timedelta

import pytest

from shared.events import inbox
from shared.events.warehouse import (
    CanceledShipmentLeft,
    CodCollected,
    FulfillmentPacked,
    ShipmentDelivered,
    ShipmentShipped,
)
from shared.values import DeliveryMethod, Money, PaymentMethod
from tests.warehouse.floor import Floor

PICKUP = DeliveryMethod.SELF_PICKUP


@pytest.fixture
async def floor() -> Floor:
    floor = Floor()
    await floor.stock(quantity=9)
    return floor


@pytest.mark.requirement("W7")
async def test_what_the_buyer_takes_over_the_counter_is_delivered(floor: Floor) -> None:
    number = await floor.packed(await floor.release(delivery_method=PICKUP))
    assert await floor.code(inbox.HandOverScanned, tracking_number=number) == "ok"
    assert [e.last for e in floor.bench.said_of(ShipmentShipped)] == [True]
    said = floor.bench.said_of(ShipmentDelivered)
    assert [(e.last, e.delivered_at, e.cod_collected) for e in said] == [(True, floor.now, 0)]
    assert [e.delivery_method for e in said] == [PICKUP]
    assert (floor.parcel_row(number).state, floor.parcel_row(number).tracking_status) == (
        "delivered",
        "delivered",
    )
    assert await floor.code(inbox.HandOverScanned, tracking_number=number) == "already_left"
    await floor.track(number, "delivered", courier="pickup")
    assert len(floor.bench.said_of(ShipmentDelivered)) == 1
    floor.adds_up()


@pytest.mark.requirement("W7")
async def test_the_last_of_several_parcels_fetched_delivers_the_order(floor: Floor) -> None:
    await floor.pick(await floor.release(delivery_method=PICKUP))
    await floor.count(TEA=2)
    one = [{"sku": "TEA", "quantity": 1}]
    numbers = [await floor.parcel(lines=one), await floor.parcel(lines=one)]
    for number in numbers:
        assert await floor.code(inbox.HandOverScanned, tracking_number=number) == "ok"
    assert [e.last for e in floor.bench.said_of(ShipmentDelivered)] == [False, True]


@pytest.mark.requirement("W7")
async def test_cash_due_is_paid_at_the_counter(floor: Floor) -> None:
    await floor.release(delivery_method=PICKUP, payment_method=PaymentMethod.COD, cod_due=200)
    number = await floor.packed()
    (packed,) = floor.bench.said_of(FulfillmentPacked)
    assert (packed.delivery_method, packed.to_pay) == (PICKUP, Money(amount=200, currency="CNY"))
    await floor.scan(inbox.HandOverScanned, tracking_number=number)
    assert [e.cod_collected for e in floor.bench.said_of(ShipmentDelivered)] == [200]


@pytest.mark.requirement("W7", "O3")
async def test_cash_taken_at_the_counter_before_a_cancel_is_told_though_its_scan_comes_after_it(
    floor: Floor,
) -> None:
    await floor.release(delivery_method=PICKUP, payment_method=PaymentMethod.COD, cod_due=200)
    number = await floor.packed()
    then = floor.now
    await floor.bench.pass_time(timedelta(minutes=5))
    await floor.cancel()
    for _ in range(2):
        await floor.bench.pass_time(timedelta(minutes=5))
        await floor.scan(inbox.HandOverScanned, tracking_number=number, scanned_at=then)
    (left,) = floor.bench.said_of(CanceledShipmentLeft)
    assert (left.delivery_method, left.to_pay) == (PICKUP, Money(amount=200, currency="CNY"))
    assert [(e.amount, e.collected) for e in floor.bench.said_of(CodCollected)] == [(200, 200)]
    floor.adds_up()


@pytest.mark.requirement("W11")
async def test_a_parcel_that_waits_at_the_counter_has_not_left(floor: Floor) -> None:
    number = await floor.packed(await floor.release(delivery_method=PICKUP))
    await floor.track(number, "available_for_pickup", courier="pickup")
    assert not floor.bench.said_of(ShipmentShipped)
    assert await floor.code(inbox.HandOverScanned, tracking_number=number) == "ok"
    assert len(floor.bench.said_of(ShipmentDelivered)) == 1


@pytest.mark.requirement("W11")
async def test_a_parcel_brought_to_another_counter_is_delivered_when_it_is_fetched_there(
    floor: Floor,
) -> None:
    number = await floor.packed(await floor.release(delivery_method=PICKUP))
    await floor.track(number, "in_transit", courier="pickup")
    await floor.track(number, "available_for_pickup", courier="pickup")
    assert not floor.bench.said_of(ShipmentDelivered)
    assert await floor.code(inbox.HandOverScanned, tracking_number=number) == "ok"
    assert len(floor.bench.said_of(ShipmentDelivered)) == len(floor.bench.said_of(ShipmentShipped)) == 1


@pytest.mark.requirement("W7")
async def test_a_parcel_that_a_courier_takes_is_not_delivered_by_its_hand_over(floor: Floor) -> None:
    number = await floor.packed(await floor.release())
    await floor.scan(inbox.HandOverScanned, tracking_number=number)
    assert not floor.bench.said_of(ShipmentDelivered)
