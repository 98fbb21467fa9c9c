"""A parcel of a canceled order that left all the same is not lost: people are told, its pieces are booked out (W1, W7)."""

from datetime import timedelta

import pytest

from services.warehouse.domain.stock import MoveKind
from shared.events import inbox
from shared.events.warehouse import (
    CanceledShipmentLeft,
    FulfillmentAllocated,
    ShipmentDelivered,
    ShipmentShipped,
    StockDepleted,
    StockReplenished,
)
from tests.warehouse.floor import Floor

MINUTE = timedelta(minutes=1)


@pytest.fixture
async def floor() -> Floor:
    floor = Floor()
    await floor.stock(quantity=5)
    await floor.release()
    return floor


async def canceled(floor: Floor) -> str:
    """A packed parcel whose order was canceled a while ago."""
    number = await floor.packed()
    await floor.bench.pass_time(10 * MINUTE)
    await floor.cancel()
    await floor.bench.pass_time(10 * MINUTE)
    return number


def left(floor: Floor) -> list[str]:
    return [e.tracking_number for e in floor.bench.said_of(CanceledShipmentLeft)]


@pytest.mark.requirement("W12")
async def test_a_hand_over_scanned_offline_before_the_cancel_says_that_the_parcel_is_gone(
    floor: Floor,
) -> None:
    number = await canceled(floor)
    then = floor.now - 15 * MINUTE
    assert await floor.code(inbox.HandOverScanned, tracking_number=number, scanned_at=then) == "ok"
    assert left(floor) == [number]
    said = floor.bench.said_of(CanceledShipmentLeft)[0]
    assert (said.left_at, said.canceled_at) == (then, floor.now - 10 * MINUTE)
    assert not floor.bench.said_of(ShipmentShipped)
    assert (floor.level().on_hand, floor.level().gone) == (3, 0)
    floor.adds_up()


@pytest.mark.requirement("W7")
async def test_a_hand_over_scanned_after_the_cancel_is_told_to_keep_the_parcel(floor: Floor) -> None:
    number = await canceled(floor)
    assert await floor.code(inbox.HandOverScanned, tracking_number=number) == "canceled"
    assert left(floor) == []
    assert floor.level().on_hand == 5


@pytest.mark.requirement("W11")
async def test_a_canceled_parcel_that_its_courier_has_is_told_once(floor: Floor) -> None:
    number = await canceled(floor)
    for status in ("exception", "in_transit", "out_for_delivery", "delivered", "delivered"):
        await floor.track(number, status)
        await floor.bench.pass_time(MINUTE)
    late = await floor.told(inbox.HandOverScanned, tracking_number=number, scanned_at=floor.now - MINUTE)
    assert late.startswith("already_left")
    assert left(floor) == [number]
    assert not floor.bench.said_of(ShipmentDelivered)
    assert floor.level().on_hand == 3
    floor.adds_up()


@pytest.mark.requirement("W1")
async def test_pieces_that_others_have_reserved_meanwhile_are_booked_out_once_any_come_free(
    floor: Floor,
) -> None:
    number = await canceled(floor)
    await floor.release("o-2", ("TEA", 4))
    await floor.track(number, "in_transit")
    assert (floor.level().on_hand, floor.level().allocated, floor.level().gone) == (4, 4, 1)
    await floor.release("waits", ("TEA", 1))
    await floor.stock(quantity=1)
    assert (floor.level().on_hand, floor.level().gone) == (4, 0), "what came stands for what is gone"
    assert [e.order_id for e in floor.bench.said_of(FulfillmentAllocated)] == ["o-1", "o-2"]
    await floor.stock(quantity=1)
    assert [e.order_id for e in floor.bench.said_of(FulfillmentAllocated)][-1] == "waits"
    floor.adds_up()


@pytest.mark.requirement("W1")
async def test_a_cancel_that_frees_pieces_books_out_first_what_is_gone(floor: Floor) -> None:
    number = await canceled(floor)
    await floor.release("o-2", ("TEA", 5))
    await floor.track(number, "in_transit")
    assert floor.level().gone == 2
    await floor.cancel("o-2")
    level = floor.level()
    assert (level.on_hand, level.allocated, level.available, level.gone) == (3, 0, 3, 0)
    gone = [m for m in floor.bench.store.ledgers["moves"] if m.kind is MoveKind.GONE]
    assert sum(m.quantity for m in gone) == 2
    assert all(m.reason for m in gone)
    assert [e.available for e in floor.bench.said_of(StockReplenished)] == [3]
    floor.adds_up()


@pytest.mark.requirement("W3")
async def test_a_damaged_piece_is_scrapped_also_where_others_are_gone(floor: Floor) -> None:
    number = await canceled(floor)
    await floor.release("o-2", ("TEA", 5))
    await floor.track(number, "in_transit")
    await floor.code(inbox.PickStartScanned, order_id="o-2")
    assert await floor.code(inbox.PickScanned, order_id="o-2", barcode="TEA", quantity=1, damaged=1) == "ok"
    assert (floor.work("o-2").state, floor.level().on_hand, floor.level().gone) == ("backordered", 2, 0)
    floor.adds_up()
    assert floor.parked() == []


@pytest.mark.requirement("W2")
async def test_shops_are_told_when_the_last_pieces_went_that_way() -> None:
    floor = Floor()
    await floor.stock(quantity=2)
    await floor.release()
    number = await canceled(floor)
    assert len(floor.bench.said_of(StockDepleted)) == 1
    await floor.track(number, "in_transit")
    assert len(floor.bench.said_of(StockDepleted)) == 2
    floor.adds_up()


@pytest.mark.requirement("W12")
async def test_a_device_whose_clock_is_behind_takes_no_canceled_parcel_out_of_the_books(floor: Floor) -> None:
    number = await canceled(floor)
    behind = floor.now - timedelta(hours=3)
    assert await floor.code(inbox.HandOverScanned, tracking_number=number, scanned_at=behind) == "old_scan"
    assert left(floor) == []
    assert floor.level().on_hand == 5


@pytest.mark.requirement("W12")
async def test_nor_does_one_that_packed_it_with_that_clock(floor: Floor) -> None:
    """Nobody has a label before we gave it: a parcel is packed at our time."""
    behind = floor.now - timedelta(days=30)
    await floor.pick()
    await floor.count(TEA=2)
    packed = await floor.scan(inbox.PackScanned, order_id="o-1", weight_grams=500, scanned_at=behind)
    number = packed.answer["tracking_number"]
    hour_later = behind + timedelta(hours=1)
    code = await floor.code(inbox.HandOverScanned, tracking_number=number, scanned_at=hour_later)
    assert code == "old_scan"
