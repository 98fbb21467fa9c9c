"""The way back from the packing table, as long as nothing of the order left (W4, W5)."""

from datetime import timedelta
from typing import Any

import pytest

from services.warehouse.handlers.unpacking import Unpack
from shared.events import inbox
from shared.events.warehouse import (
    CanceledShipmentLeft,
    FulfillmentBackordered,
    FulfillmentCanceled,
    FulfillmentCheckStopped,
    FulfillmentPacked,
    ShipmentShipped,
    StockScrapped,
)
from shared.values import Actor
from tests.harness import AGENT, SUPERVISOR
from tests.warehouse.floor import CHECKER, PICKER, Floor

MINUTE = timedelta(minutes=1)
ONE = [{"sku": "TEA", "quantity": 1}]


@pytest.fixture
async def floor() -> Floor:
    """An order of two pieces, checked; two more lie on the shelf."""
    floor = Floor()
    await floor.stock(quantity=4)
    await floor.pick(await floor.release())
    await floor.count(TEA=2)
    return floor


async def unpack(floor: Floor, actor: Actor = SUPERVISOR, order: str = "o-1") -> str:
    outcome = await floor.bench.ask(Unpack(order_id=order, reason="a piece broke"), actor=actor)
    await floor.bench.pass_time(MINUTE)
    return outcome.refusal.code if outcome.refusal else str(outcome.answer["state"])


@pytest.mark.requirement("W4")
@pytest.mark.parametrize("free", [True, False])
async def test_a_piece_that_broke_on_the_packing_table_is_found_by_a_second_check(
    floor: Floor, free: bool
) -> None:
    if not free:
        await floor.release("o-2")
    assert await unpack(floor) == "picked"
    assert await floor.code(inbox.CheckStartScanned, PICKER, order_id="o-1") == "same_person"
    await floor.code(inbox.CheckStartScanned, CHECKER, order_id="o-1")
    for damaged in (False, True):
        scan = {"order_id": "o-1", "barcode": "TEA", "quantity": 1, "damaged": damaged}
        assert await floor.code(inbox.CheckScanned, CHECKER, **scan) == "ok"
    await floor.scan(inbox.CheckFinishScanned, CHECKER, order_id="o-1")
    assert [e.quantity for e in floor.bench.said_of(StockScrapped)] == [1]
    assert floor.work().state == ("picking" if free else "backordered")
    assert len(floor.bench.said_of(FulfillmentBackordered)) == (not free)
    floor.adds_up()


@pytest.mark.requirement("W5")
async def test_a_parcel_with_the_wrong_label_is_packed_anew_under_another_number(floor: Floor) -> None:
    wrong = await floor.parcel(weight_grams=50_000)  # 500 were meant
    assert await unpack(floor, PICKER) == "picked"
    told = [(e.checker, e.reason, e.unpacked) for e in floor.bench.said_of(FulfillmentCheckStopped)]
    assert told == [("zhao.min", "a piece broke", (wrong,))]
    assert (floor.work().packed, floor.work().counted, floor.work().shipments) == ((), (), ())
    assert floor.work().picked() == {"TEA": 2}, "they lie in the tote"
    await floor.count(TEA=2)
    right = await floor.parcel(weight_grams=500)
    assert [floor.parcel_row(n).courier for n in (wrong, right)] == ["heavy", "sf"]
    assert [e.shipments for e in floor.bench.said_of(FulfillmentPacked)] == [(wrong,), (right,)]
    assert await floor.code(inbox.HandOverScanned, tracking_number=right) == "ok"
    assert [(e.tracking_number, e.last) for e in floor.bench.said_of(ShipmentShipped)] == [(right, True)]
    assert floor.work().state == "shipped"
    floor.adds_up()


@pytest.mark.requirement("W5")
async def test_one_of_two_parcels_unpacked_before_the_other_is_packed_voids_it_and_all_cash_is_due_anew(
    floor: Floor,
) -> None:
    await floor.release("o-2", cod_due=200, payment_method="cod")
    await floor.pick("o-2")
    await floor.count("o-2", TEA=2)
    first = await floor.parcel("o-2", lines=ONE)
    assert await unpack(floor, order="o-2") == "picked"
    await floor.count("o-2", TEA=2)
    parcels = [await floor.parcel("o-2", lines=ONE) for _ in range(2)]
    assert [floor.parcel_row(n).cod_due for n in parcels] == [100, 100]
    assert floor.parcel_row(first).state == "canceled"


@pytest.mark.requirement("W5", "W12")
async def test_a_parcel_packed_offline_before_the_unpacking_and_told_of_later_is_void_too(
    floor: Floor,
) -> None:
    await floor.parcel(lines=ONE)
    offline = floor.now
    await floor.bench.pass_time(MINUTE)
    await unpack(floor)
    await floor.count(TEA=2)
    pack: dict[str, Any] = {"order_id": "o-1", "weight_grams": 500}
    told = await floor.told(inbox.PackScanned, **pack, lines=ONE, scanned_at=offline)
    assert told.startswith("old_scan: this scan is from before the order was unpacked")
    assert await floor.code(inbox.PackScanned, **pack) == "ok", "both pieces, in one parcel"
    assert floor.work().state == "packed"


@pytest.mark.requirement("W7")
async def test_a_parcel_that_was_unpacked_does_not_leave(floor: Floor) -> None:
    void = await floor.parcel()
    await unpack(floor)
    told = await floor.told(inbox.HandOverScanned, tracking_number=void)
    assert told == "canceled: this parcel was unpacked: its label is void"
    await floor.count(TEA=2)
    await floor.parcel()
    assert await floor.code(inbox.HandOverScanned, tracking_number=void) == "canceled"
    assert not floor.bench.said_of(ShipmentShipped)


@pytest.mark.requirement("W7", "W12")
@pytest.mark.parametrize("by_courier", [False, True])
async def test_one_that_left_before_it_was_unpacked_is_told_and_booked_out(
    floor: Floor, by_courier: bool
) -> None:
    void, then = await floor.parcel(), floor.now
    await floor.bench.pass_time(MINUTE)
    await unpack(floor)
    if by_courier:
        await floor.track(void, "in_transit")
    else:
        answer = (await floor.scan(inbox.HandOverScanned, tracking_number=void, scanned_at=then)).answer
        assert answer["hint"].startswith("this parcel was unpacked meanwhile")
    told = [(e.tracking_number, e.unpacked) for e in floor.bench.said_of(CanceledShipmentLeft)]
    assert told == [(void, True)]
    assert floor.level().on_hand == 2, "those on the shelf stand for it: the tote is empty"
    assert floor.work().state == "picked"
    floor.adds_up()


@pytest.mark.requirement("W7")
async def test_nothing_is_unpacked_once_a_parcel_has_left(floor: Floor) -> None:
    first = await floor.parcel(lines=ONE)
    await floor.track(first, "in_transit")
    assert await unpack(floor) == "already_left"
    await floor.parcel()
    assert await unpack(floor) == "already_left"


@pytest.mark.requirement("O10")
@pytest.mark.parametrize("canceled_first", [True, False])
async def test_a_cancel_and_an_unpacking_that_meet_put_everything_back_once(
    floor: Floor, canceled_first: bool
) -> None:
    void = await floor.parcel()
    if canceled_first:
        await floor.cancel()
        assert await unpack(floor) == "not_now"
    else:
        assert await unpack(floor) == "picked"
        await floor.cancel()
    assert len(floor.bench.said_of(FulfillmentCanceled)) == 1
    assert (floor.level().allocated, floor.level().locations) == (0, {"A-1": 4})
    await floor.bench.pass_time(MINUTE)
    assert await floor.code(inbox.HandOverScanned, tracking_number=void) == "canceled"
    await floor.track(void, "delivered")
    assert [e.unpacked for e in floor.bench.said_of(CanceledShipmentLeft)] == [False], "no order goes on"
    floor.adds_up()


@pytest.mark.requirement("W4")
async def test_whoever_checked_or_packed_unpacks_and_the_back_office(floor: Floor) -> None:
    assert await unpack(floor, order="o-9") == "unknown_order"
    assert await unpack(floor, PICKER) == "not_yours", "they have not packed any of it"
    assert await unpack(floor, CHECKER) == "picked"
    assert await unpack(floor) == "not_now"
    await floor.count(TEA=2)
    await floor.parcel()
    assert await unpack(floor, AGENT) == "not_yours"
    assert await unpack(floor, PICKER) == "picked"
