"""Picking, checking, packing and the dock where something is not as it should be (W3, W4, W6, W7, W8, W12)."""

from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from services.warehouse.domain.courier import Couriers
from services.warehouse.domain.stock import MoveKind
from services.warehouse.handlers import service
from services.warehouse.handlers.stock import RegisterSku
from shared.events import inbox
from shared.events.orders import OrderCanceled
from shared.events.warehouse import FulfillmentBackordered, ShipmentDelivered
from shared.values import Money
from tests.harness import START, SUPERVISOR, Bench
from tests.town import COURIERS
from tests.warehouse.floor import CHECKER, Floor


@pytest.fixture
def floor() -> Floor:
    return Floor()


@pytest.mark.requirement("W4")
@pytest.mark.parametrize("counted", [{"TEA": 3}, {"TEA": 2, "CUP": 1}])
async def test_an_order_that_had_pieces_too_many_can_be_checked_again(
    floor: Floor, counted: dict[str, Any]
) -> None:
    await floor.stock()
    await floor.pick(await floor.release())
    await floor.count(**counted)
    await floor.scan(inbox.PickStartScanned, order_id="o-1")
    assert floor.work().state == "picked"


@pytest.mark.requirement("W4")
async def test_a_piece_that_the_checker_found_damaged_never_goes_back_on_the_shelf(floor: Floor) -> None:
    await floor.stock(quantity=2)
    await floor.pick(await floor.release())
    await floor.scan(inbox.CheckStartScanned, CHECKER, order_id="o-1")
    await floor.scan(inbox.CheckScanned, CHECKER, order_id="o-1", barcode="TEA", quantity=1)
    await floor.scan(inbox.CheckScanned, CHECKER, order_id="o-1", barcode="TEA", quantity=1, damaged=True)
    await floor.scan(inbox.CheckFinishScanned, CHECKER, order_id="o-1")
    assert any(m.kind is MoveKind.SCRAPPED for m in floor.bench.store.ledgers["moves"])


@pytest.mark.requirement("W4")
async def test_an_unreadable_barcode_at_the_check_is_refused_and_parks_nothing(floor: Floor) -> None:
    await floor.stock()
    await floor.pick(await floor.release())
    await floor.scan(inbox.CheckStartScanned, CHECKER, order_id="o-1")
    await floor.scan(inbox.CheckScanned, CHECKER, order_id="o-1", barcode="(01)06901234567892", quantity=1)
    await floor.scan(inbox.CheckFinishScanned, CHECKER, order_id="o-1")
    assert floor.parked() == []


@pytest.mark.requirement("W3")
async def test_a_damaged_piece_that_cannot_be_replaced_is_logged_all_the_same(floor: Floor) -> None:
    await floor.stock(quantity=3)
    await floor.release()
    await floor.release("o-2", ("TEA", 1))
    await floor.scan(inbox.PickStartScanned, order_id="o-1")
    await floor.scan(inbox.PickScanned, order_id="o-1", barcode="TEA", quantity=1, damaged=1)
    assert any(m.kind is MoveKind.SCRAPPED for m in floor.bench.store.ledgers["moves"])


@pytest.mark.requirement("W6")
async def test_a_used_up_number_range_is_refused_with_what_to_do(floor: Floor) -> None:
    short = tuple(c.model_copy(update={"number_last": 1}) for c in COURIERS.all if c.code == "sf")
    floor.bench = Bench(service(Couriers(short)))
    await floor.stock()
    await floor.packed(await floor.release("o-1"))
    await floor.pick(await floor.release("o-2"))
    await floor.count("o-2", TEA=2)
    await floor.scan(inbox.PackScanned, order_id="o-2", weight_grams=500)
    assert floor.parked() == []


@pytest.mark.requirement("W6")
async def test_a_range_that_begins_past_the_last_number_is_gone_on_with(floor: Floor) -> None:
    sf = next(c for c in COURIERS.all if c.code == "sf")
    await floor.stock()
    assert await floor.packed(await floor.release("o-1")) == sf.number(1)
    later = sf.model_copy(update={"number_first": 5000})
    floor.bench.turns.service = service(Couriers((later,)))
    assert await floor.packed(await floor.release("o-2")) == sf.number(5000)
    assert await floor.packed(await floor.release("o-3")) == sf.number(5001)


@pytest.mark.requirement("W7")
async def test_no_parcel_leaves_for_an_order_that_was_ended_by_after_sales(floor: Floor) -> None:
    await floor.stock()
    first = await floor.packed(await floor.release(), lines=[{"sku": "TEA", "quantity": 1}])
    second = await floor.parcel()
    await floor.scan(inbox.HandOverScanned, tracking_number=first)
    await floor.cancel()
    nothing = Money(amount=0, currency="CNY")
    await floor.bench.hear(OrderCanceled(order_id="o-1", reason="late_cancel", refund=nothing))
    assert await floor.code(inbox.HandOverScanned, tracking_number=second) != "ok"


@pytest.mark.requirement("W8")
async def test_a_return_with_two_lines_of_one_sku_can_be_inspected(floor: Floor) -> None:
    await floor.expect_back("c-1", ("TEA", 1), ("TEA", 2))
    await floor.scan(inbox.ReturnReceivedScanned, case_id="c-1")
    found = [{"sku": "TEA", "quantity": 3, "condition": "as_new"}]
    assert await floor.code(inbox.ReturnInspectedScanned, case_id="c-1", lines=found) == "ok"


@pytest.mark.requirement("W4")
async def test_an_order_with_a_damaged_piece_and_none_in_its_place_waits_and_gives_back_the_rest(
    floor: Floor,
) -> None:
    await floor.stock(quantity=2)
    await floor.stock("CUP", 1)
    await floor.pick(await floor.release("o-1", ("TEA", 2), ("CUP", 1)))
    await floor.scan(inbox.CheckStartScanned, CHECKER, order_id="o-1")
    await floor.scan(inbox.CheckScanned, CHECKER, order_id="o-1", barcode="TEA", quantity=1)
    await floor.scan(inbox.CheckScanned, CHECKER, order_id="o-1", barcode="CUP", quantity=1)
    await floor.scan(inbox.CheckScanned, CHECKER, order_id="o-1", barcode="TEA", quantity=1, damaged=True)
    outcome = await floor.scan(inbox.CheckFinishScanned, CHECKER, order_id="o-1")
    assert outcome.answer["state"] == "backordered"
    told = floor.bench.said_of(FulfillmentBackordered)[-1].missing
    assert [(m.sku, m.quantity) for m in told] == [("TEA", 1)]
    assert (floor.level().on_hand, floor.level().allocated, floor.level().locations) == (1, 0, {"A-1": 1})
    await floor.stock(quantity=1)
    assert floor.work().state == "allocated"
    await floor.packed()
    floor.adds_up()
    assert floor.parked() == []


@pytest.mark.requirement("W4")
async def test_damaged_pieces_with_others_in_their_place_are_scrapped_and_picked_again(floor: Floor) -> None:
    await floor.stock()
    await floor.pick(await floor.release())
    await floor.scan(inbox.CheckStartScanned, CHECKER, order_id="o-1")
    await floor.scan(inbox.CheckScanned, CHECKER, order_id="o-1", barcode="TEA", quantity=2, damaged=True)
    await floor.scan(inbox.CheckFinishScanned, CHECKER, order_id="o-1")
    assert (floor.work().state, floor.work().left_to_pick()) == ("picking", {"TEA": 2})
    assert (floor.level().on_hand, floor.level().allocated, floor.level().locations) == (8, 2, {"A-1": 8})


@pytest.mark.requirement("W3")
async def test_an_order_whose_damaged_piece_cannot_be_replaced_waits_first_in_line(floor: Floor) -> None:
    await floor.stock(quantity=2)
    await floor.release("o-1")
    await floor.bench.pass_time(timedelta(seconds=1))
    await floor.release("o-2")
    await floor.scan(inbox.PickStartScanned, order_id="o-1")
    outcome = await floor.scan(inbox.PickScanned, order_id="o-1", barcode="TEA", quantity=1, damaged=1)
    assert outcome.answer["state"] == "backordered"
    assert floor.level().on_hand == 1
    await floor.stock(quantity=1)
    assert (floor.work("o-1").state, floor.work("o-2").state) == ("allocated", "backordered")
    floor.adds_up()


@pytest.mark.requirement("W7")
async def test_a_second_hand_over_says_that_the_parcel_has_left(floor: Floor) -> None:
    await floor.stock()
    number = await floor.packed(await floor.release())
    assert await floor.code(inbox.HandOverScanned, tracking_number=number) == "ok"
    assert await floor.code(inbox.HandOverScanned, CHECKER, tracking_number=number) == "already_left"


@pytest.mark.requirement("W7")
async def test_what_stays_of_an_order_that_has_ended_goes_back_on_the_shelf(floor: Floor) -> None:
    await floor.stock()
    first = await floor.packed(await floor.release(), lines=[{"sku": "TEA", "quantity": 1}])
    await floor.parcel()
    await floor.scan(inbox.HandOverScanned, tracking_number=first)
    nothing = Money(amount=0, currency="CNY")
    for _ in range(2):
        await floor.bench.hear(OrderCanceled(order_id="o-1", reason="late_cancel", refund=nothing))
    assert (floor.level().on_hand, floor.level().allocated, floor.level().locations) == (9, 0, {"A-1": 9})
    await floor.track(first, "delivered")
    assert [e.last for e in floor.bench.said_of(ShipmentDelivered)] == [True]
    floor.adds_up()
    assert floor.parked() == []


@pytest.mark.requirement("W12")
async def test_a_refused_scan_says_what_to_do_next(floor: Floor) -> None:
    order: dict[str, Any] = {"order_id": "o-1"}
    assert await floor.told(inbox.PickStartScanned, **order) == (
        "unknown_order: the warehouse does not have this order; take its id from the work list, "
        "or ask an agent whether it is held"
    )
    assert await floor.told(inbox.HandOverScanned, tracking_number="T-1") == (
        "unknown_parcel: no parcel has this number; scan the tracking number on its label"
    )
    assert await floor.told(inbox.ReturnReceivedScanned, case_id="c-1") == (
        "unexpected_return: no return is expected under this case; "
        "set the parcel aside and ask after-sales for its case"
    )
    await floor.stock()
    await floor.release()
    await floor.scan(inbox.PickStartScanned, **order)
    assert await floor.told(inbox.PickScanned, CHECKER, **order, barcode="TEA", quantity=1) == (
        "not_yours: li.wei is picking this order; ask them to finish it, or take the next order"
    )
    await floor.pick()
    await floor.scan(inbox.CheckStartScanned, CHECKER, **order)
    third = CHECKER.model_copy(update={"name": "wu.jing"})
    assert await floor.told(inbox.CheckStartScanned, third, **order) == (
        "not_yours: zhao.min is checking this order; ask them to finish it, or take the next order"
    )
    await floor.count(TEA=2)
    assert await floor.code(inbox.HandOverScanned, tracking_number=await floor.parcel()) == "ok"
    assert await floor.told(inbox.PickStartScanned, **order) == (
        "not_now: the order has left; take the next order, and put back what is still in hand for this one"
    )


@pytest.mark.requirement("W12")
@pytest.mark.parametrize("barcode", ["TEA\x00", "TE\x1bA", "TEA\x7f", "TE\nA"])
def test_a_barcode_with_a_control_character_is_unreadable(barcode: str) -> None:
    with pytest.raises(ValidationError):
        inbox.StockScanned(barcode=barcode, quantity=1, location="A-1", scanned_at=START)


@pytest.mark.requirement("W12")
@pytest.mark.parametrize("end", [" ", "\r", "\r\n", "\t"])
def test_what_a_scanner_sends_before_and_after_a_code_is_no_part_of_it(end: str) -> None:
    def read(code: str) -> str:
        return f"{end}{code}{end}"

    received = inbox.StockScanned(barcode=read("TEA"), quantity=1, location=read("A-1"), scanned_at=START)
    assert (received.barcode, received.location) == ("TEA", "A-1")
    picked = inbox.PickScanned(order_id=read("o-1"), barcode=read("TEA"), quantity=1, scanned_at=START)
    assert (picked.order_id, picked.barcode, picked.stream) == ("o-1", "TEA", "order/o-1")
    left = inbox.HandOverScanned(tracking_number=read("SF1"), scanned_at=START)
    assert left.tracking_number == "SF1"
    assert inbox.ReturnReceivedScanned(case_id=read("c-1"), scanned_at=START).case_id == "c-1"


@pytest.mark.requirement("W12")
@pytest.mark.parametrize("code", ["", " ", "\r\n", "o 1", "o\t1", "o-1\x00", "o-1\x1d"])
def test_nothing_but_white_space_at_its_ends_is_taken_off_a_scanned_code(code: str) -> None:
    with pytest.raises(ValidationError):
        inbox.PickStartScanned(order_id=code, scanned_at=START)


@pytest.mark.requirement("W12")
def test_the_group_separator_stays_wherever_it_stands_in_a_barcode() -> None:
    barcode = "\x1d010690123456789210LOT7\x1d21SER9\x1d"
    scan = inbox.StockScanned(barcode=f"{barcode}\r\n", quantity=1, location="A-1", scanned_at=START)
    assert scan.barcode == barcode


@pytest.mark.requirement("W12")
async def test_the_group_separator_of_gs1_128_may_stand_in_a_barcode(floor: Floor) -> None:
    await floor.bench.ask(RegisterSku(sku="TEA", name="Tea", barcodes=("6901234567892",)), actor=SUPERVISOR)
    await floor.stock("010690123456789210LOT7\x1d21SER9", 4)
    assert floor.level("TEA").on_hand == 4


@pytest.mark.requirement("W12")
async def test_a_barcode_that_no_event_could_tell_is_not_taken_for_a_sku(floor: Floor) -> None:
    assert await floor.code(inbox.StockScanned, barcode="½", quantity=1, location="A-1") == "unknown_barcode"
    assert floor.parked() == []
