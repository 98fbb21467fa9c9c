"""What couriers report, against what the house did (W11)."""

from datetime import timedelta
from typing import Any

import pytest

from services.warehouse.handlers.tracking import KEPT_FOR
from shared.events import inbox
from shared.events.warehouse import (
    DeliveryFailed,
    FulfillmentCanceled,
    ShipmentDelivered,
    ShipmentEndDisputed,
    ShipmentReturned,
    ShipmentShipped,
    TrackingStatus,
    WarehouseMessageRefused,
)
from tests.town import COURIER, COURIERS, PICKER
from tests.warehouse.floor import Floor


@pytest.fixture
def floor() -> Floor:
    return Floor()


@pytest.mark.requirement("W11")
async def test_a_parcel_that_its_courier_has_cannot_be_canceled(floor: Floor) -> None:
    await floor.stock()
    number = await floor.packed(await floor.release())
    await floor.track(number, "in_transit")
    await floor.cancel()
    assert floor.bench.said_of(FulfillmentCanceled) == []


@pytest.mark.requirement("W11")
async def test_trouble_that_a_courier_tells_of_does_not_prove_that_it_has_the_parcel(floor: Floor) -> None:
    """It may be one of paper: an address that is not clear, a label that was not read."""
    await floor.stock()
    number = await floor.packed(await floor.release())
    await floor.track(number, "exception")
    await floor.cancel()
    assert len(floor.bench.said_of(FulfillmentCanceled)) == 1
    assert not floor.bench.said_of(ShipmentShipped)


@pytest.mark.requirement("W11")
async def test_a_canceled_parcel_is_not_told_as_delivered(floor: Floor) -> None:
    await floor.stock()
    number = await floor.packed(await floor.release())
    await floor.cancel()
    await floor.track(number, "delivered")
    assert floor.bench.said_of(ShipmentDelivered) == []


@pytest.mark.requirement("W11")
async def test_an_attempt_heard_of_after_the_delivery_is_not_told_as_failed(floor: Floor) -> None:
    await floor.stock()
    number = await floor.packed(await floor.release())
    await floor.scan(inbox.HandOverScanned, tracking_number=number)
    await floor.track(number, "delivered")
    await floor.track(number, "delivery_attempted", occurred_at=floor.now - timedelta(hours=3))
    assert floor.bench.said_of(DeliveryFailed) == []


@pytest.mark.requirement("W11")
@pytest.mark.parametrize(
    ("first", "then"), [("delivered", "return_to_sender"), ("return_to_sender", "delivered")]
)
async def test_a_courier_that_contradicts_itself_about_the_end_is_told_of_once_and_its_first_word_stands(
    floor: Floor, first: str, then: str
) -> None:
    await floor.stock()
    number = await floor.packed(await floor.release())
    await floor.scan(inbox.HandOverScanned, tracking_number=number)
    for status in (first, first, then, then, first, *["in_transit"] * 50, then):
        await floor.track(number, status)
        await floor.bench.pass_time(timedelta(hours=1))
    told = floor.bench.said_of(ShipmentEndDisputed)
    assert [(e.shipment_id, e.stands, e.reported) for e in told] == [(number, first, then)]
    assert [(line.sku, line.quantity) for line in told[0].lines] == [("TEA", 2)]
    assert floor.parcel_row(number).tracking_status is TrackingStatus(first)
    assert len(floor.bench.said_of(ShipmentDelivered)) + len(floor.bench.said_of(ShipmentReturned)) == 1


@pytest.mark.requirement("W11")
async def test_of_a_canceled_parcel_that_left_no_end_is_told_and_none_disputed(floor: Floor) -> None:
    await floor.stock()
    number = await floor.packed(await floor.release())
    await floor.cancel()
    for status in ("in_transit", "return_to_sender", "delivered"):
        await floor.track(number, status)
    assert not floor.bench.said_of(ShipmentEndDisputed)


@pytest.mark.requirement("W11")
async def test_a_parcel_that_left_by_its_couriers_word_keeps_when_it_left(floor: Floor) -> None:
    await floor.stock()
    number = await floor.packed(await floor.release())
    await floor.track(number, "delivered")
    assert floor.parcel_row(number).shipped_at is not None


@pytest.mark.requirement("W11")
async def test_an_early_report_never_stops_the_packing(floor: Floor) -> None:
    await floor.stock()
    await floor.pick(await floor.release())
    await floor.count(TEA=2)
    sf = COURIERS.by_code("sf")
    assert sf is not None
    await floor.track(sf.number(sf.number_first), "delivered")
    half = [{"sku": "TEA", "quantity": 1}]
    assert await floor.code(inbox.PackScanned, order_id="o-1", weight_grams=100, lines=half) == "ok"


@pytest.mark.requirement("W11")
@pytest.mark.parametrize(("courier", "code"), [("ems", "wrong_courier"), ("sf", "unknown_parcel")])
async def test_whoever_sent_a_report_that_came_too_early_is_told_when_it_is_refused(
    floor: Floor, courier: str, code: str
) -> None:
    sf = COURIERS.by_code("sf")
    assert sf is not None
    number = sf.number(sf.number_first)
    told: dict[str, Any] = {
        "courier": courier,
        "tracking_number": number,
        "status": "in_transit",
        "occurred_at": floor.now,
    }
    await floor.bench.outside(inbox.TrackingReported(**told), id="r-1", source="courier", actor=COURIER)
    if code == "wrong_courier":
        await floor.stock()
        assert await floor.packed(await floor.release()) == number
        assert floor.parcel_row(number).state == "ready"
    else:
        await floor.bench.pass_time(KEPT_FOR)
    said = floor.bench.said_of(WarehouseMessageRefused)
    assert [(e.refused, e.refused_source, e.code) for e in said] == [("r-1", "courier", code)]


@pytest.mark.requirement("W11")
@pytest.mark.parametrize("timers_run", [True, False])
async def test_a_report_on_a_number_that_nobody_had_is_not_told_of_the_parcel_that_gets_it(
    floor: Floor, timers_run: bool
) -> None:
    """Also where no timer gave it up before: the service was down."""
    sf = COURIERS.by_code("sf")
    assert sf is not None
    await floor.stock()
    await floor.pick(await floor.release())
    await floor.count(TEA=2)
    report: dict[str, Any] = {
        "tracking_number": sf.number(sf.number_first),
        "courier": "sf",
        "status": "delivered",
    }
    early = inbox.TrackingReported(**report, occurred_at=floor.now)
    await floor.bench.outside(early, id="r-1", source="courier", actor=COURIER)
    floor.bench.clock.move_to(floor.now + KEPT_FOR + timedelta(seconds=1))
    if timers_run:
        await floor.settle()
    number = await floor.parcel()
    assert number == report["tracking_number"]
    assert floor.parcel_row(number).state == "ready"
    said = floor.bench.said_of(WarehouseMessageRefused)
    assert [(e.refused, e.refused_source, e.code) for e in said] == [("r-1", "courier", "unknown_parcel")]
    assert await floor.code(inbox.HandOverScanned, tracking_number=number) == "ok"


@pytest.mark.requirement("O3")
@pytest.mark.parametrize("told", [(0, 10_000), (10_000, 0), (4_000, 10_000, 4_000)])
async def test_cash_that_was_told_of_too_early_is_not_lost_to_a_double(
    floor: Floor, told: tuple[int, ...]
) -> None:
    sf = COURIERS.by_code("sf")
    assert sf is not None
    for cash in told:
        await floor.track(sf.number(sf.number_first), "delivered", cod_collected=cash)
    await floor.stock()
    number = await floor.packed(await floor.release(cod_due=10_000, payment_method="cod"))
    assert floor.parcel_row(number).cod_collected == 10_000
    assert len(floor.bench.said_of(ShipmentDelivered)) == 1


@pytest.mark.requirement("O12")
async def test_what_comes_of_an_early_report_is_told_in_the_name_of_its_courier(floor: Floor) -> None:
    sf = COURIERS.by_code("sf")
    assert sf is not None
    number = sf.number(sf.number_first)
    early = inbox.TrackingReported(
        courier="sf", tracking_number=number, status=TrackingStatus.DELIVERED, occurred_at=floor.now
    )
    await floor.bench.outside(early, id="r-1", source="courier", actor=COURIER)
    await floor.stock()
    assert await floor.packed(await floor.release()) == number
    said = {e.type.split(".")[1]: (e.actor_name, e.causation_id) for e in floor.bench.store.event_log}
    for what in ("shipment_shipped", "tracking_updated", "shipment_delivered"):
        assert said[what] == (COURIER.name, "r-1")
    assert said["label_created"][0] == said["fulfillment_packed"][0] == PICKER.name


@pytest.mark.requirement("W11")
async def test_every_attempt_is_told_as_it_comes(floor: Floor) -> None:
    await floor.stock()
    number = await floor.packed(await floor.release())
    for hours in (1, 24):
        await floor.bench.pass_time(timedelta(hours=hours))
        await floor.track(number, "delivery_attempted")
    assert len(floor.bench.said_of(DeliveryFailed)) == 2


@pytest.mark.requirement("W11")
async def test_parcels_that_a_courier_had_before_all_were_packed_make_a_shipped_order(floor: Floor) -> None:
    await floor.stock()
    await floor.pick(await floor.release())
    await floor.count(TEA=2)
    first = await floor.parcel(lines=[{"sku": "TEA", "quantity": 1}])
    await floor.track(first, "delivered")
    assert [e.last for e in floor.bench.said_of(ShipmentDelivered)] == [False]
    second = await floor.parcel()
    assert await floor.code(inbox.HandOverScanned, tracking_number=second) == "ok"
    assert floor.work().state == "shipped"
    await floor.track(second, "delivered")
    assert [e.last for e in floor.bench.said_of(ShipmentDelivered)] == [False, True]
    floor.adds_up()


@pytest.mark.requirement("W11")
async def test_a_report_from_the_future_is_refused_and_stands_in_no_ones_way(floor: Floor) -> None:
    await floor.stock()
    number = await floor.packed(await floor.release())
    ahead = await floor.track(number, "delivered", occurred_at=floor.now + timedelta(days=365))
    assert ahead.refusal is not None
    assert (ahead.refusal.code, ahead.refusal.field) == ("clock_ahead", "occurred_at")
    assert not floor.bench.said_of(ShipmentDelivered)
    await floor.track(number, "delivered")
    assert [e.delivered_at for e in floor.bench.said_of(ShipmentDelivered)] == [floor.now]


@pytest.mark.requirement("A2")
async def test_a_report_from_long_ago_takes_nobodys_time_for_a_return_away(floor: Floor) -> None:
    await floor.stock()
    number = await floor.packed(await floor.release())
    packed_at = floor.now
    await floor.bench.pass_time(timedelta(days=1))
    await floor.track(number, "delivered", occurred_at=packed_at.replace(year=2000))
    assert [e.delivered_at for e in floor.bench.said_of(ShipmentDelivered)] == [packed_at]
