"""The warehouse alone: rules at the edges of what whole flows show."""

from datetime import timedelta
from typing import Any

import pytest

from services.warehouse.domain.stock import STAGING
from services.warehouse.handlers.stock import RegisterSku
from shared.events import inbox
from shared.events.warehouse import (
    FulfillmentAllocated,
    FulfillmentCanceled,
    ReturnInspected,
    ShipmentDelivered,
    ShipmentShipped,
    StockReceived,
    StockScrapped,
)
from shared.runtime.messages import Status
from tests.harness import SUPERVISOR, refused_by
from tests.warehouse.floor import CHECKER, PICKER, Floor

EAN = "6901234567892"


@pytest.fixture
def floor() -> Floor:
    return Floor()


@pytest.mark.requirement("W1")
async def test_a_receipt_scanned_twice_under_one_id_is_booked_once(floor: Floor) -> None:
    for _ in range(2):
        await floor.scan(inbox.StockScanned, id="scan-7", barcode="TEA", quantity=3, location="A-1",
                         scanned_at=floor.now)  # fmt: skip
    assert floor.level().on_hand == 3
    assert len(floor.bench.said_of(StockReceived)) == 1


@pytest.mark.requirement("W12")
@pytest.mark.parametrize(
    "barcode", [EAN, f"01{EAN.zfill(14)}10LOT7", f"https://id.gs1.org/01/{EAN.zfill(14)}"]
)
async def test_one_registered_article_is_known_by_ean_by_gs1_128_and_by_digital_link(
    floor: Floor, barcode: str
) -> None:
    await floor.bench.ask(RegisterSku(sku="TEA", name="Tea", barcodes=(EAN,)), actor=SUPERVISOR)
    await floor.stock(barcode, 4)
    assert floor.level("TEA").on_hand == 4


@pytest.mark.requirement("W12")
async def test_a_barcode_means_one_sku_only(floor: Floor) -> None:
    await floor.bench.ask(RegisterSku(sku="TEA", name="Tea", barcodes=(EAN,)), actor=SUPERVISOR)
    outcome = await floor.bench.ask(RegisterSku(sku="CUP", name="Cup", barcodes=(EAN,)), actor=SUPERVISOR)
    assert refused_by(outcome) == "barcode_taken"


@pytest.mark.requirement("W12")
@pytest.mark.parametrize("read", [EAN, EAN.zfill(14)])
async def test_a_barcode_under_which_stock_lies_is_not_given_to_another_sku(floor: Floor, read: str) -> None:
    await floor.stock(read, 3)
    await floor.release("o-1", (read, 2))
    await floor.scan(inbox.PickStartScanned, order_id="o-1")
    outcome = await floor.bench.ask(RegisterSku(sku="TEA", name="Tea", barcodes=(EAN,)), actor=SUPERVISOR)
    assert outcome.refusal is not None
    assert (outcome.refusal.code, outcome.refusal.status) == ("barcode_in_use", 409)
    assert f"under SKU {read}" in outcome.refusal.detail
    assert "on hand: 3, allocated: 2" in outcome.refusal.detail
    assert await floor.code(inbox.PickScanned, order_id="o-1", barcode=read, quantity=2) == "ok"


@pytest.mark.requirement("W12")
async def test_a_barcode_that_orders_wait_for_is_not_given_to_another_sku(floor: Floor) -> None:
    await floor.release("o-1", (EAN, 2))
    outcome = await floor.bench.ask(RegisterSku(sku="TEA", name="Tea", barcodes=(EAN,)), actor=SUPERVISOR)
    assert refused_by(outcome) == "barcode_in_use"


@pytest.mark.requirement("W12")
async def test_a_barcode_that_is_the_sku_itself_is_its_own_and_no_others(floor: Floor) -> None:
    itself = RegisterSku(sku=EAN, name="Tea", barcodes=(EAN,))
    assert (await floor.bench.ask(itself, actor=SUPERVISOR)).refusal is None
    without = RegisterSku(sku=EAN, name="Tea", barcodes=())
    assert (await floor.bench.ask(without, actor=SUPERVISOR)).refusal is None
    tea = RegisterSku(sku="TEA", name="Tea", barcodes=(EAN,))
    outcome = await floor.bench.ask(tea, actor=SUPERVISOR)
    assert refused_by(outcome) == "barcode_taken", "it is only out of stock"


@pytest.mark.requirement("W12")
async def test_a_name_or_weight_put_right_leaves_the_barcodes_as_they_are(floor: Floor) -> None:
    await floor.bench.ask(RegisterSku(sku="TEA", name="Tea", barcodes=(EAN,)), actor=SUPERVISOR)
    renamed = RegisterSku(sku="TEA", name="Green tea", weight_grams=250)
    outcome = await floor.bench.ask(renamed, actor=SUPERVISOR)
    assert outcome.answer["barcodes"] == sorted([EAN, EAN.zfill(14)])
    await floor.stock(EAN, 4)
    assert floor.level("TEA").on_hand == 4


@pytest.mark.requirement("X4")
async def test_who_made_a_sku_known_is_kept_and_when(floor: Floor) -> None:
    await floor.bench.ask(RegisterSku(sku="TEA", name="Tea", barcodes=(EAN,)), actor=SUPERVISOR)
    sku = floor.bench.row("skus", "TEA")
    assert (sku.registered_by, sku.registered_at) == (str(SUPERVISOR), floor.bench.clock.now())


@pytest.mark.requirement("W12")
async def test_a_barcode_whose_stock_has_left_can_be_registered(floor: Floor) -> None:
    await floor.stock(EAN, 2)
    number = await floor.packed(await floor.release("o-1", (EAN, 2)))
    assert await floor.code(inbox.HandOverScanned, tracking_number=number) == "ok"
    tea = RegisterSku(sku="TEA", name="Tea", barcodes=(EAN,))
    assert (await floor.bench.ask(tea, actor=SUPERVISOR)).refusal is None


@pytest.mark.requirement("W12")
async def test_a_scan_from_the_future_is_refused_and_a_late_one_counts_for_when_it_was_made(
    floor: Floor,
) -> None:
    await floor.stock()
    number = await floor.packed(await floor.release())
    made = floor.now
    await floor.bench.pass_time(timedelta(hours=6))
    ahead = floor.now + timedelta(hours=1)
    assert await floor.code(inbox.HandOverScanned, tracking_number=number, scanned_at=ahead) == "clock_ahead"
    assert await floor.code(inbox.HandOverScanned, tracking_number=number, scanned_at=made) == "ok"
    [shipped] = floor.bench.said_of(ShipmentShipped)
    assert shipped.shipped_at == made
    assert shipped.courier_name == "顺丰速运 SF Express"


@pytest.mark.requirement("W12")
async def test_an_offline_pick_from_before_a_failed_check_does_not_count_again(floor: Floor) -> None:
    await floor.stock()
    await floor.pick(await floor.release())
    made = floor.now
    await floor.bench.pass_time(timedelta(minutes=1))
    await floor.count(TEA=1)
    late = await floor.code(inbox.PickScanned, order_id="o-1", barcode="TEA", quantity=1, scanned_at=made)
    assert late == "old_scan"


@pytest.mark.requirement("W12")
async def test_a_checker_whose_clock_runs_ahead_does_not_keep_the_picker_from_picking(floor: Floor) -> None:
    await floor.stock()
    await floor.pick(await floor.release())
    made = floor.now
    await floor.bench.pass_time(timedelta(minutes=1))
    await floor.scan(inbox.CheckStartScanned, CHECKER, order_id="o-1")
    ahead = floor.now + timedelta(seconds=50)
    await floor.scan(inbox.CheckFinishScanned, CHECKER, order_id="o-1", scanned_at=ahead)
    scan: dict[str, Any] = {"order_id": "o-1", "barcode": "TEA", "quantity": 1}
    assert await floor.code(inbox.PickScanned, **scan, scanned_at=made) == "old_scan"
    assert await floor.code(inbox.PickScanned, **scan) == "ok"


@pytest.mark.requirement("W12")
async def test_a_picker_may_go_on_with_a_device_that_is_behind_the_one_of_the_start(floor: Floor) -> None:
    await floor.stock()
    await floor.release()
    ahead = floor.now + timedelta(seconds=50)
    await floor.scan(inbox.PickStartScanned, order_id="o-1", scanned_at=ahead)
    assert await floor.code(inbox.PickScanned, order_id="o-1", barcode="TEA", quantity=1) == "ok"


@pytest.mark.requirement("W12")
async def test_a_device_with_a_slow_clock_picks_once_it_scanned_the_order(floor: Floor) -> None:
    await floor.stock()
    await floor.pick(await floor.release())
    made = floor.now
    await floor.bench.pass_time(timedelta(minutes=5))
    await floor.count()
    scan: dict[str, Any] = {"order_id": "o-1", "barcode": "TEA", "quantity": 1}
    slow = floor.now - timedelta(minutes=2)
    assert await floor.code(inbox.PickScanned, **scan, scanned_at=slow) == "old_scan"
    assert await floor.code(inbox.PickStartScanned, order_id="o-1", scanned_at=slow) == "ok"
    assert await floor.code(inbox.PickScanned, **scan, scanned_at=made) == "old_scan"
    assert await floor.code(inbox.PickScanned, **scan, scanned_at=slow) == "ok"


@pytest.mark.requirement("W12")
async def test_what_was_started_and_picked_offline_counts_when_it_arrives(floor: Floor) -> None:
    await floor.stock()
    await floor.release()
    made = floor.now
    await floor.bench.pass_time(timedelta(hours=1))
    await floor.scan(inbox.PickStartScanned, order_id="o-1", scanned_at=made)
    scan: dict[str, Any] = {"order_id": "o-1", "barcode": "TEA", "quantity": 2}
    assert await floor.code(inbox.PickScanned, **scan, scanned_at=made + timedelta(minutes=1)) == "ok"


@pytest.mark.requirement("W3")
async def test_a_line_scanned_by_two_devices_at_once_is_picked_once(floor: Floor) -> None:
    await floor.stock()
    await floor.release()
    await floor.scan(inbox.PickStartScanned, order_id="o-1")
    elsewhere = PICKER.model_copy(update={"device": "scanner-9"})
    scan = inbox.PickScanned(order_id="o-1", barcode="TEA", quantity=2, scanned_at=floor.now)
    both = [floor.bench.from_outside(scan, actor=actor) for actor in (PICKER, elsewhere)]
    one, other = await floor.bench.turns.run(both)
    assert (one.status, refused_by(other)) == (Status.DONE, "not_now")
    assert floor.work().picked() == {"TEA": 2}
    floor.adds_up()


@pytest.mark.requirement("W3")
async def test_a_damaged_piece_is_scrapped_with_its_reason_and_replaced(floor: Floor) -> None:
    await floor.stock()
    await floor.release()
    await floor.scan(inbox.PickStartScanned, order_id="o-1")
    assert await floor.code(inbox.PickScanned, order_id="o-1", barcode="TEA", quantity=2, damaged=1) == "ok"
    assert [(e.sku, e.quantity) for e in floor.bench.said_of(StockScrapped)] == [("TEA", 1)]
    assert all(m.reason for m in floor.bench.store.ledgers["moves"] if m.kind == "scrapped")
    assert (floor.level().on_hand, floor.work().state) == (9, "picked")


@pytest.mark.requirement("W4")
async def test_a_checker_who_is_also_the_picker_is_refused_on_another_device_too(floor: Floor) -> None:
    await floor.stock()
    await floor.pick(await floor.release())
    same = PICKER.model_copy(update={"device": "scanner-2"})
    assert await floor.code(inbox.CheckStartScanned, same, order_id="o-1") == "same_person"


@pytest.mark.requirement("W4")
async def test_only_what_was_checked_is_packed(floor: Floor) -> None:
    await floor.stock()
    await floor.pick(await floor.release())
    assert await floor.code(inbox.PackScanned, order_id="o-1", weight_grams=100) == "not_now"


@pytest.mark.requirement("W6")
async def test_a_parcel_too_heavy_for_one_courier_goes_with_the_next_and_numbers_never_repeat(
    floor: Floor,
) -> None:
    await floor.stock()
    numbers = []
    for i, grams in enumerate((500, 500, 35_000)):
        numbers.append(await floor.packed(await floor.release(f"o-{i}"), weight_grams=grams))
    assert [floor.parcel_row(n).courier for n in numbers] == ["sf", "sf", "ems"]
    assert len(set(numbers)) == 3


@pytest.mark.requirement("W3")
@pytest.mark.parametrize("order", [(("A-1", 3), ("B-2", 2)), (("B-2", 2), ("A-1", 3))])
async def test_a_pick_list_over_two_shelves_is_picked_in_any_order(
    floor: Floor, order: tuple[tuple[str, int], ...]
) -> None:
    await floor.stock(quantity=3, location="A-1")
    await floor.stock(quantity=2, location="B-2")
    await floor.release("o-1", ("TEA", 5))
    shown = (await floor.scan(inbox.PickStartScanned, order_id="o-1")).answer["shelves"]
    assert shown == {"TEA": dict(sorted(order))}
    left = dict(order)
    for place, n in order:
        assert await floor.code(inbox.PickScanned, order_id="o-1", barcode="TEA", quantity=n) == "ok"
        del left[place]
        assert floor.level().locations == left | {STAGING: 5 - sum(left.values())}
    floor.adds_up()


@pytest.mark.requirement("W3")
async def test_pieces_of_several_shelves_may_be_scanned_at_once(floor: Floor) -> None:
    await floor.stock(quantity=3, location="A-1")
    await floor.stock(quantity=3, location="B-2")
    await floor.release("o-1", ("TEA", 5))
    await floor.pick()
    assert sum(p.quantity for p in floor.work().picks) == 5
    await floor.cancel()
    assert floor.level().locations == {"A-1": 3, "B-2": 3}
    floor.adds_up()


@pytest.mark.requirement("W1")
async def test_what_a_cancel_gives_back_goes_to_the_shelf_that_it_was_taken_from(floor: Floor) -> None:
    await floor.stock(quantity=1, location="A-1")
    await floor.stock(quantity=4, location="B-2")
    await floor.release("o-1", ("TEA", 3))
    await floor.pick()
    assert floor.level().locations == {"A-1": 1, "B-2": 1, STAGING: 3}
    await floor.cancel()
    assert floor.level().locations == {"A-1": 1, "B-2": 4}


@pytest.mark.requirement("W7")
async def test_a_cancel_and_a_hand_over_in_one_turn_end_one_way_only(floor: Floor) -> None:
    await floor.stock()
    number = await floor.packed(await floor.release())
    out = inbox.HandOverScanned(tracking_number=number, scanned_at=floor.now)
    await floor.cancel()
    await floor.bench.outside(out, actor=PICKER)
    assert len(floor.bench.said_of(FulfillmentCanceled)) == 1
    assert floor.bench.said_of(ShipmentShipped) == []
    assert (floor.level().on_hand, floor.level().allocated) == (10, 0)


@pytest.mark.requirement("W8")
async def test_returned_pieces_go_back_on_the_shelf_or_off_the_books_by_what_was_found(floor: Floor) -> None:
    await floor.stock(quantity=1)
    await floor.expect_back("c-1", ("TEA", 3))
    found = [{"sku": "TEA", "quantity": 1, "condition": c} for c in ("as_new", "damaged", "missing")]
    assert await floor.code(inbox.ReturnInspectedScanned, case_id="c-1", lines=found) == "not_now"
    assert await floor.code(inbox.ReturnReceivedScanned, case_id="c-1") == "ok"
    assert await floor.code(inbox.ReturnReceivedScanned, case_id="c-1") == "not_now"
    assert await floor.code(inbox.ReturnInspectedScanned, case_id="c-1", lines=found[:1]) == "does_not_add_up"
    assert await floor.code(inbox.ReturnInspectedScanned, case_id="c-1", lines=found) == "ok"
    told = floor.bench.said_of(ReturnInspected)[0].lines
    assert [(line.condition, line.restocked) for line in told] == [
        ("as_new", True),
        ("damaged", False),
        ("missing", False),
    ]
    assert floor.level().locations == {"A-1": 1, "RETURNS": 1}
    floor.adds_up()


@pytest.mark.requirement("W8")
async def test_a_restocked_return_serves_who_waits(floor: Floor) -> None:
    await floor.expect_back("c-1", ("TEA", 2))
    await floor.release()
    await floor.scan(inbox.ReturnReceivedScanned, case_id="c-1")
    found = [{"sku": "TEA", "quantity": 2, "condition": "as_new"}]
    await floor.scan(inbox.ReturnInspectedScanned, case_id="c-1", lines=found)
    assert len(floor.bench.said_of(FulfillmentAllocated)) == 1


@pytest.mark.requirement("W11")
async def test_a_report_of_another_courier_is_refused(floor: Floor) -> None:
    await floor.stock()
    number = await floor.packed(await floor.release())
    outcome = await floor.track(number, "delivered", courier="ems")
    assert refused_by(outcome) == "wrong_courier"
    assert floor.bench.said_of(ShipmentDelivered) == []


@pytest.mark.requirement("W11")
async def test_a_courier_who_delivered_proves_that_the_parcel_left(floor: Floor) -> None:
    await floor.stock()
    number = await floor.packed(await floor.release())
    await floor.track(number, "delivered")
    assert len(floor.bench.said_of(ShipmentShipped)) == 1
    assert await floor.code(inbox.HandOverScanned, CHECKER, tracking_number=number) != "ok"
    assert len(floor.bench.said_of(ShipmentShipped)) == 1
    assert floor.parked() == []
