"""Orders and warehouse together: the ways of one order, and the races on them."""

from datetime import timedelta

import pytest

from services.orders.handlers.release import LiftHold
from services.warehouse.handlers.stock import RegisterSku
from shared.events import inbox
from shared.events.orders import (
    AddressConfirmationRequested,
    Hold,
    HoldPlaced,
    HoldRule,
    OrderCanceled,
    OrderCompleted,
    OrderEscalated,
    OrderReleased,
)
from shared.events.warehouse import (
    FulfillmentAllocated,
    FulfillmentBackordered,
    FulfillmentCheckFailed,
    ShipmentDelivered,
    ShipmentShipped,
    StockDepleted,
    StockReplenished,
    TrackingUpdated,
)
from shared.values import DeliveryMethod
from tests.builders import PERSONAL, cancel, confirmed, lines, oid, submitted
from tests.harness import START, SUPERVISOR, refused_by
from tests.town import CHECKER, PICKER, Town
from tests.warehouse.floor import ABROAD


@pytest.fixture
def town() -> Town:
    return Town()


@pytest.mark.requirement("O1")
@pytest.mark.requirement("W7")
async def test_an_order_goes_all_its_way(town: Town) -> None:
    await town.stock()
    order = await town.release()
    number = await town.ship(order)
    await town.track(number, "in_transit")
    await town.track(number, "delivered")
    await town.pass_time(timedelta(days=8))
    assert [e.order_id for e in town.said(OrderCompleted)] == [order]
    assert town.parked() == []
    level = town.row("warehouse", "levels", "TEA")
    assert (level.on_hand, level.allocated, level.locations) == (98, 0, {"A-1": 98})


@pytest.mark.requirement("W1")
async def test_levels_are_the_sum_of_their_moves(town: Town) -> None:
    await town.stock(quantity=10)
    await town.ship(await town.release("T-1"))
    canceled = await town.release("T-2")
    await town.pick(canceled)
    await town.outside(cancel("T-2"))
    moves = town.benches["warehouse"].store.ledgers["moves"]
    level = town.row("warehouse", "levels", "TEA")
    assert (
        (level.on_hand, level.allocated)
        == (sum(m.on_hand for m in moves), sum(m.allocated for m in moves))
        == (8, 0)
    )
    assert level.locations == {"A-1": 8}


@pytest.mark.requirement("W2")
async def test_the_last_piece_wanted_by_two_goes_to_the_first_and_the_next_stock_to_the_oldest_waiting(
    town: Town,
) -> None:
    await town.stock(quantity=2)
    for number in ("T-1", "T-2", "T-3"):
        await town.release(number)
        await town.pass_time(timedelta(seconds=1))
    assert [e.order_id for e in town.said(FulfillmentAllocated)] == [oid("T-1")]
    assert [e.order_id for e in town.said(FulfillmentBackordered)] == [oid("T-2"), oid("T-3")]
    assert len(town.said(StockDepleted)) == 1
    await town.stock(quantity=3)
    assert [e.order_id for e in town.said(FulfillmentAllocated)] == [oid("T-1"), oid("T-2")]
    assert town.row("warehouse", "levels", "TEA").available == 1
    assert len(town.said(StockReplenished)) == 1


@pytest.mark.requirement("W2")
async def test_an_order_short_of_two_skus_takes_nothing_until_it_can_have_all(town: Town) -> None:
    await town.stock("TEA", 5)
    goods = lines(("TEA", 2, 5000), ("CUP", 1, 900))
    await town.release(lines=goods)
    assert town.row("warehouse", "levels", "TEA").allocated == 0
    await town.stock("CUP", 1)
    assert town.row("warehouse", "fulfillments", oid()).state == "allocated"
    assert town.benches["warehouse"].store.rows("backorders") == []


@pytest.mark.requirement("W3")
async def test_a_wrong_item_and_one_too_many_are_refused_at_once(town: Town) -> None:
    await town.stock("TEA")
    await town.stock("CUP")
    order = await town.release()
    early = await town.scan(inbox.PickScanned, order_id=order, barcode="TEA", quantity=1)
    await town.scan(inbox.PickStartScanned, order_id=order)
    wrong = await town.scan(inbox.PickScanned, order_id=order, barcode="CUP", quantity=1)
    many = await town.scan(inbox.PickScanned, order_id=order, barcode="TEA", quantity=3)
    codes = [o.refusal.code for o in (early, wrong, many) if o.refusal]
    assert codes == ["not_now", "wrong_item", "too_many"]
    assert town.row("warehouse", "fulfillments", order).picks == ()


@pytest.mark.requirement("W4")
async def test_whoever_picked_may_not_check(town: Town) -> None:
    await town.stock()
    order = await town.release()
    await town.pick(order)
    refused = await town.scan(inbox.CheckStartScanned, PICKER, order_id=order)
    assert refused_by(refused) == "same_person"
    assert (await town.check(order)).refusal is None


@pytest.mark.requirement("W4")
async def test_a_difference_sends_the_order_back_with_the_difference_stated(town: Town) -> None:
    await town.stock()
    order = await town.release()
    await town.pick(order)
    await town.scan(inbox.CheckStartScanned, CHECKER, order_id=order)
    await town.scan(inbox.CheckScanned, CHECKER, order_id=order, barcode="TEA", quantity=1)
    outcome = await town.scan(inbox.CheckFinishScanned, CHECKER, order_id=order)
    assert outcome.answer["differences"] == [{"sku": "TEA", "quantity": 1, "difference": "too_few"}]
    assert len(town.said(FulfillmentCheckFailed)) == 1
    await town.ship(order)
    assert len(town.said(ShipmentShipped)) == 1


@pytest.mark.requirement("W5")
async def test_an_order_in_two_parcels_is_shipped_when_both_have_left(town: Town) -> None:
    await town.stock()
    order = await town.release()
    await town.pick(order)
    await town.check(order)
    half = [{"sku": "TEA", "quantity": 1}]
    first = await town.scan(inbox.PackScanned, order_id=order, weight_grams=200, lines=half)
    early = await town.scan(inbox.HandOverScanned, tracking_number=first.answer["tracking_number"])
    assert refused_by(early) == "not_packed"
    second = await town.scan(inbox.PackScanned, order_id=order, weight_grams=200)
    for parcel in (first, second):
        await town.scan(inbox.HandOverScanned, tracking_number=parcel.answer["tracking_number"])
        await town.track(parcel.answer["tracking_number"], "delivered")
    assert [e.last for e in town.said(ShipmentShipped)] == [False, True]
    assert [e.last for e in town.said(ShipmentDelivered)] == [False, True]


@pytest.mark.requirement("W6")
async def test_an_address_nobody_reaches_comes_back_to_orders(town: Town) -> None:
    await town.stock()
    far = PERSONAL.model_copy(update={"address": PERSONAL.address.model_copy(update={"country": "AQ"})})
    await town.outside(submitted(personal=far, address_confirmed=True, total=0, lines=lines(("TEA", 1, 0))))
    order = town.row("orders", "orders", oid())
    assert order.standing() == ["unreachable_address"]
    assert len(town.said(OrderReleased)) == 1


@pytest.mark.requirement("W6", "O6")
async def test_a_piece_that_is_too_heavy_waits_for_staff_and_its_buyer_is_not_asked_for_another_address(
    town: Town,
) -> None:
    await town.ask("warehouse", RegisterSku(sku="TEA", name="Tea", weight_grams=100_000), SUPERVISOR)
    await town.stock()
    order = await town.release(personal=ABROAD)
    lift = LiftHold(order_id=order, hold=Hold.UNREACHABLE_ADDRESS, reason="let us see")
    await town.ask("orders", lift)
    assert [(e.rule, e.heaviest, e.grams) for e in town.said(HoldPlaced)[-2:]] == [
        (HoldRule.TOO_HEAVY, "TEA", 100_000)
    ] * 2
    await town.pass_time(timedelta(hours=1))
    assert [e.unreachable for e in town.said(AddressConfirmationRequested)] == [False]
    assert not town.said(OrderEscalated)
    await town.ask("warehouse", RegisterSku(sku="TEA", name="Tea", weight_grams=100), SUPERVISOR)
    await town.ask("orders", lift)
    assert [e.order_id for e in town.said(FulfillmentAllocated)] == [order]


@pytest.mark.requirement("W6", "O6")
async def test_what_is_too_heavy_for_couriers_can_be_fetched_from_us(town: Town) -> None:
    await town.ask("warehouse", RegisterSku(sku="TEA", name="Tea", weight_grams=100_000), SUPERVISOR)
    await town.stock()
    order = await town.release(personal=ABROAD)
    assert town.row("orders", "orders", order).standing() == ["unreachable_address"]
    await town.outside(confirmed(personal=PERSONAL, delivery_method=DeliveryMethod.SELF_PICKUP))
    assert [e.order_id for e in town.said(FulfillmentAllocated)] == [order]


@pytest.mark.requirement("W7")
async def test_a_parcel_leaves_once_and_a_scan_sent_again_gets_the_first_answer(town: Town) -> None:
    await town.stock()
    number = await town.ship(await town.release())
    again = await town.scan(inbox.HandOverScanned, tracking_number=number)
    assert refused_by(again) == "already_left"
    assert len(town.said(ShipmentShipped)) == 1


@pytest.mark.requirement("O10")
@pytest.mark.parametrize("stage", ["allocated", "picking", "picked", "checked", "packed"])
async def test_a_cancel_in_the_warehouse_puts_everything_back(town: Town, stage: str) -> None:
    await town.stock(quantity=5)
    order = await town.release()
    if stage == "picking":
        await town.scan(inbox.PickStartScanned, order_id=order)
        await town.scan(inbox.PickScanned, order_id=order, barcode="TEA", quantity=1)
    elif stage != "allocated":
        await town.pick(order)
    if stage in ("checked", "packed"):
        await town.check(order)
    number = await town.pack(order) if stage == "packed" else None
    await town.outside(cancel())
    assert [e.refund.amount for e in town.said(OrderCanceled)] == [10000]
    level = town.row("warehouse", "levels", "TEA")
    assert (level.on_hand, level.allocated, level.locations) == (5, 0, {"A-1": 5})
    if number:
        late = await town.scan(inbox.HandOverScanned, tracking_number=number)
        assert refused_by(late) == "canceled"
    assert town.parked() == []


@pytest.mark.requirement("W11")
async def test_reports_late_doubled_and_out_of_order_never_undo_a_delivery(town: Town) -> None:
    await town.stock()
    number = await town.ship(await town.release())
    await town.pass_time(timedelta(hours=9))
    await town.track(number, "delivered", occurred_at=START + timedelta(hours=5))
    await town.track(number, "delivered", occurred_at=START + timedelta(hours=5))
    await town.track(number, "in_transit", occurred_at=START + timedelta(hours=9))
    assert len(town.said(ShipmentDelivered)) == 1
    assert [(e.status, e.reported) for e in town.said(TrackingUpdated)] == [
        ("delivered", "delivered"),
        ("delivered", "in_transit"),
    ]


@pytest.mark.requirement("W11")
async def test_a_report_for_a_parcel_not_known_yet_waits_for_it(town: Town) -> None:
    await town.stock()
    order = await town.release()
    await town.pick(order)
    await town.check(order)
    expected = town.benches["warehouse"].service.desk().couriers.by_code("sf").number(1)
    await town.track(expected, "in_transit")
    assert town.said(TrackingUpdated) == []
    assert await town.pack(order) == expected
    assert [e.status for e in town.said(TrackingUpdated)] == ["in_transit"]
    await town.scan(inbox.HandOverScanned, tracking_number=expected)
    assert town.parked() == []


@pytest.mark.requirement("W12")
async def test_the_retry_of_a_scan_changes_nothing(town: Town) -> None:
    scan = inbox.StockScanned(barcode="TEA", quantity=1, location="A-1", scanned_at=town.now)
    for _ in range(3):
        await town.outside(scan, PICKER, id="device-1-17")
    assert town.row("warehouse", "levels", "TEA").on_hand == 1


@pytest.mark.requirement("N1")
@pytest.mark.parametrize("first", ["delivered", "return_to_sender"])
async def test_the_last_parcel_makes_an_order_whole_only_where_the_others_arrived(
    town: Town, first: str
) -> None:
    await town.stock()
    one, other = await town.ship_apart(await town.release(), "TEA", "TEA")
    await town.track(one, first)
    await town.track(other, "delivered")
    assert town.said(ShipmentDelivered)[-1].whole == (first == "delivered")
