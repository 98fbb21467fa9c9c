"""What couriers say that they collected: each piece of cash is told on once, whenever they say it (W11)."""

import pytest

from shared.events import inbox
from shared.events.warehouse import CodCollected, ShipmentDelivered
from shared.values import PaymentMethod
from tests.warehouse.floor import Floor


@pytest.fixture
async def floor() -> Floor:
    floor = Floor()
    await floor.stock()
    await floor.release(payment_method=PaymentMethod.COD, cod_due=200)
    return floor


async def out(floor: Floor) -> str:
    number = await floor.packed()
    await floor.scan(inbox.HandOverScanned, tracking_number=number)
    return number


def told(floor: Floor) -> tuple[list[int], list[tuple[int, int]]]:
    with_delivery = [e.cod_collected for e in floor.bench.said_of(ShipmentDelivered)]
    return with_delivery, [(e.amount, e.collected) for e in floor.bench.said_of(CodCollected)]


@pytest.mark.requirement("W11")
async def test_cash_told_with_the_delivery_and_told_again_counts_once(floor: Floor) -> None:
    number = await out(floor)
    for _ in range(2):
        await floor.track(number, "delivered", cod_collected=200)
    await floor.track(number, "delivered", cod_collected=200, occurred_at=floor.now.replace(second=30))
    assert told(floor) == ([200], [])


@pytest.mark.requirement("W11")
async def test_cash_told_of_later_is_told_on(floor: Floor) -> None:
    number = await out(floor)
    await floor.track(number, "delivered")
    await floor.track(number, "delivered", cod_collected=150)
    await floor.track(number, "delivered", cod_collected=200, occurred_at=floor.now.replace(second=30))
    assert told(floor) == ([0], [(150, 150), (50, 200)])


@pytest.mark.requirement("W11")
async def test_cash_told_of_before_the_delivery_is_not_counted_again_with_it(floor: Floor) -> None:
    number = await out(floor)
    await floor.track(number, "out_for_delivery", cod_collected=200)
    await floor.track(number, "delivered", cod_collected=200)
    assert told(floor) == ([0], [(200, 200)])


@pytest.mark.requirement("W11")
async def test_cash_for_a_canceled_parcel_that_left_is_told_on(floor: Floor) -> None:
    number = await floor.packed()
    await floor.cancel()
    await floor.track(number, "delivered", cod_collected=200)
    assert told(floor) == ([], [(200, 200)])
