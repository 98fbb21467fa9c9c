"""Rules that the warehouse does not hold yet. Each test fails today; `strict` makes it say so once it is mended."""

from datetime import timedelta
from typing import Any

import pytest

from services.warehouse.domain.courier import Couriers
from services.warehouse.domain.stock import MoveKind
from services.warehouse.handlers import service
from shared.events import inbox
from shared.events.orders import OrderCanceled
from shared.events.warehouse import (
    DeliveryFailed,
    FulfillmentAllocated,
    FulfillmentCanceled,
    ShipmentDelivered,
)
from shared.values import Money
from tests.harness import Bench
from tests.town import COURIERS
from tests.warehouse.floor import CHECKER, Floor


@pytest.fixture
def floor() -> Floor:
    return Floor()


def fault(why: str) -> pytest.MarkDecorator:
    """Not held yet, and why."""
    return pytest.mark.xfail(strict=True, reason=why)


@fault("receive() leaves the waiting to a timer; until it runs, a new release takes the stock")
@pytest.mark.requirement("W2")
async def test_stock_that_arrives_is_for_who_waits_not_for_the_next_order(floor: Floor) -> None:
    await floor.release("first")
    receipt = inbox.StockScanned(barcode="TEA", quantity=2, location="A-1", scanned_at=floor.now)
    await floor.bench.turns.run(
        [floor.bench.from_outside(receipt, actor=CHECKER), floor.bench.incoming(floor.order("second"))]
    )
    await floor.settle()
    assert [e.order_id for e in floor.bench.said_of(FulfillmentAllocated)] == ["first"]


@fault("backorders are ordered by time, then by order id: in one turn the time is the same")
@pytest.mark.requirement("W2")
async def test_orders_released_in_one_turn_wait_in_the_order_in_which_they_came(floor: Floor) -> None:
    await floor.bench.hear(floor.order("z-first"), floor.order("a-second"))
    await floor.stock(quantity=2)
    assert [e.order_id for e in floor.bench.said_of(FulfillmentAllocated)] == ["z-first"]


@fault("an event line holds 100,000 pieces at most; two full lines of one SKU are added up into one")
@pytest.mark.requirement("W2")
async def test_a_very_large_order_waits_like_any_other(floor: Floor) -> None:
    await floor.release("o-1", ("TEA", 100_000), ("TEA", 100_000))
    assert floor.parked() == []


@fault("nothing is left to pick, and only a pick scan leads out of picking")
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


@fault("without a free piece in its place the damaged one is put back on the shelf as a good one")
@pytest.mark.requirement("W4")
async def test_a_piece_that_the_checker_found_damaged_never_goes_back_on_the_shelf(floor: Floor) -> None:
    await floor.stock(quantity=2)
    await floor.pick(await floor.release())
    await floor.scan(inbox.CheckStartScanned, CHECKER, order_id="o-1")
    await floor.scan(inbox.CheckScanned, CHECKER, order_id="o-1", barcode="TEA", quantity=1)
    await floor.scan(inbox.CheckScanned, CHECKER, order_id="o-1", barcode="TEA", quantity=1, damaged=True)
    await floor.scan(inbox.CheckFinishScanned, CHECKER, order_id="o-1")
    assert any(m.kind is MoveKind.SCRAPPED for m in floor.bench.store.ledgers["moves"])


@fault(
    "what was read is taken as a SKU whatever it looks like, and no event can tell it: finish_check is parked"
)
@pytest.mark.requirement("W4")
async def test_an_unreadable_barcode_at_the_check_is_refused_and_parks_nothing(floor: Floor) -> None:
    await floor.stock()
    await floor.pick(await floor.release())
    await floor.scan(inbox.CheckStartScanned, CHECKER, order_id="o-1")
    await floor.scan(inbox.CheckScanned, CHECKER, order_id="o-1", barcode="(01)06901234567892", quantity=1)
    await floor.scan(inbox.CheckFinishScanned, CHECKER, order_id="o-1")
    assert floor.parked() == []


@fault("the only piece is damaged: no_replacement, and the scan logs nothing")
@pytest.mark.requirement("W3")
async def test_a_damaged_piece_that_cannot_be_replaced_is_logged_all_the_same(floor: Floor) -> None:
    await floor.stock(quantity=3)
    await floor.release()
    await floor.release("o-2", ("TEA", 1))
    await floor.scan(inbox.PickStartScanned, order_id="o-1")
    await floor.scan(inbox.PickScanned, order_id="o-1", barcode="TEA", quantity=1, damaged=1)
    assert any(m.kind is MoveKind.SCRAPPED for m in floor.bench.store.ledgers["moves"])


@fault("a used-up range raises ValueError in packing(): the scan is parked, not refused")
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


@fault(
    "OrderCanceled is not heard: after a refused cancel the second parcel still leaves for an order that has ended"
)
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


@fault("only the end of a parcel proves that it left: while it is on its way a cancel is still granted")
@pytest.mark.requirement("W11")
async def test_a_parcel_that_its_courier_has_cannot_be_canceled(floor: Floor) -> None:
    await floor.stock()
    number = await floor.packed(await floor.release())
    await floor.track(number, "in_transit")
    await floor.cancel()
    assert floor.bench.said_of(FulfillmentCanceled) == []


@fault("_apply publishes without looking at the parcel's state")
@pytest.mark.requirement("W11")
async def test_a_canceled_parcel_is_not_told_as_delivered(floor: Floor) -> None:
    await floor.stock()
    number = await floor.packed(await floor.release())
    await floor.cancel()
    await floor.track(number, "delivered")
    assert floor.bench.said_of(ShipmentDelivered) == []


@fault("DeliveryFailed is told for every attempt, also for one heard of after the delivery")
@pytest.mark.requirement("W11")
async def test_an_attempt_heard_of_after_the_delivery_is_not_told_as_failed(floor: Floor) -> None:
    await floor.stock()
    number = await floor.packed(await floor.release())
    await floor.scan(inbox.HandOverScanned, tracking_number=number)
    await floor.track(number, "delivered")
    await floor.track(number, "delivery_attempted", occurred_at=floor.now - timedelta(hours=3))
    assert floor.bench.said_of(DeliveryFailed) == []


@fault("_end() puts the parcel with its time of leaving, then _apply() puts one without")
@pytest.mark.requirement("W11")
async def test_a_parcel_that_left_by_its_couriers_word_keeps_when_it_left(floor: Floor) -> None:
    await floor.stock()
    number = await floor.packed(await floor.release())
    await floor.track(number, "delivered")
    assert floor.parcel_row(number).shipped_at is not None


@fault(
    "an early `delivered` on the next number makes leave() refuse the pack scan of an order in several parcels"
)
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


@fault("_adds_up keeps only the last of two lines of one SKU")
@pytest.mark.requirement("W8")
async def test_a_return_with_two_lines_of_one_sku_can_be_inspected(floor: Floor) -> None:
    await floor.expect_back("c-1", ("TEA", 1), ("TEA", 2))
    await floor.scan(inbox.ReturnReceivedScanned, case_id="c-1")
    found = [{"sku": "TEA", "quantity": 3, "condition": "as_new"}]
    assert await floor.code(inbox.ReturnInspectedScanned, case_id="c-1", lines=found) == "ok"
