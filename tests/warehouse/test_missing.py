"""Pieces that the books have on a shelf and that a picker does not find there (W1, W2, W3)."""

from typing import Any

import pytest

from services.warehouse.domain.stock import STAGING, MoveKind
from services.warehouse.handlers.adjusting import AdjustStock
from shared.events import inbox
from shared.events.warehouse import FulfillmentBackordered, StockAdjusted, StockScrapped
from tests.harness import SUPERVISOR
from tests.warehouse.floor import Floor

SCAN: dict[str, Any] = {"order_id": "o-1", "barcode": "TEA"}


@pytest.fixture
def floor() -> Floor:
    return Floor()


async def picks(floor: Floor, quantity: int, **parts: Any) -> dict[str, Any]:
    outcome = await floor.scan(inbox.PickScanned, **(SCAN | {"quantity": quantity} | parts))
    assert outcome.refusal is None, outcome.refusal
    assert isinstance(outcome.answer, dict)
    floor.adds_up()
    return outcome.answer


async def picking(floor: Floor, *goods: tuple[str, int]) -> None:
    await floor.release("o-1", *goods)
    await floor.scan(inbox.PickStartScanned, order_id="o-1")


def adjusted(floor: Floor) -> list[tuple[int, int, int]]:
    return [(e.change, e.on_hand, e.available) for e in floor.bench.said_of(StockAdjusted)]


@pytest.mark.requirement("W1")
@pytest.mark.requirement("W3")
async def test_a_picker_who_finds_fewer_is_told_where_the_rest_is(floor: Floor) -> None:
    await floor.stock(quantity=5, location="A-1")
    await floor.stock(quantity=3, location="B-7")
    await picking(floor, ("TEA", 3))
    told = await picks(floor, 1, missing=4, location="A-1")
    assert (told["left"], told["state"], told["shelves"]) == ({"TEA": 2}, "picking", {"TEA": {"B-7": 2}})
    assert told["hint"].startswith("the books have 3 on B-7: take the rest there")
    assert floor.level().locations == {"B-7": 3, STAGING: 1}
    assert adjusted(floor) == [(-4, 4, 1)]
    assert (await picks(floor, 2))["state"] == "picked"


@pytest.mark.requirement("W1")
async def test_what_was_missing_is_told_apart_from_what_was_damaged(floor: Floor) -> None:
    await floor.stock(quantity=9)
    await picking(floor, ("TEA", 4))
    await picks(floor, 1, damaged=1, missing=2)
    assert [e.quantity for e in floor.bench.said_of(StockScrapped)] == [1]
    assert adjusted(floor) == [(-2, 6, 2)]
    lost = [(m.kind, m.on_hand, m.reason, m.order_id) for m in floor.bench.store.ledgers["moves"] if m.reason]
    assert lost == [
        (MoveKind.SCRAPPED, -1, "found damaged while picking", "o-1"),
        (MoveKind.ADJUSTED, -2, "missing while picking", "o-1"),
    ]


@pytest.mark.requirement("W2")
async def test_an_order_whose_piece_is_missing_and_cannot_be_replaced_waits_for_it(floor: Floor) -> None:
    await floor.stock(quantity=3)
    await floor.stock("CUP", 1, "B-7")
    await picking(floor, ("TEA", 3), ("CUP", 1))
    await picks(floor, 1, barcode="CUP")
    told = await picks(floor, 2, missing=1)
    assert (told["state"], told["put_back"]) == ("backordered", {"CUP": {"B-7": 1}})
    assert told["hint"].startswith("none is left in its place: put the good pieces back")
    assert [(m.sku, m.quantity) for m in floor.bench.said_of(FulfillmentBackordered)[-1].missing] == [
        ("TEA", 1)
    ]
    assert adjusted(floor) == [(-1, 2, 2)]
    await floor.stock(quantity=1)
    assert floor.work().state == "allocated"
    await floor.packed()
    floor.adds_up()
    assert floor.parked() == []


@pytest.mark.requirement("W3")
async def test_after_a_failed_check_a_picker_who_finds_no_other_says_so(floor: Floor) -> None:
    await floor.stock(quantity=2)
    await floor.pick(await floor.release())
    await floor.count(TEA=1)
    assert (await picks(floor, 0, missing=1))["state"] == "backordered"
    assert floor.level().locations == {"A-1": 1}


@pytest.mark.requirement("W3")
async def test_no_more_can_be_missing_than_the_books_have_for_the_order(floor: Floor) -> None:
    await floor.stock(quantity=4)
    await floor.release("o-2")
    await picking(floor)
    scan = SCAN | {"quantity": 1}
    assert await floor.told(inbox.PickScanned, **scan, missing=4) == (
        "not_on_shelf: the books have only 4 of TEA on the shelves: no more than 3 can be missing"
    )
    assert (await floor.told(inbox.PickScanned, **scan, missing=3)).startswith(
        "not_on_shelf: 2 of TEA are not another order's: scan so many as missing now"
    )
    assert (await floor.told(inbox.PickScanned, **scan, missing=1, location="B-7")).startswith(
        "not_on_shelf: the books have 0 of TEA on B-7, not 2"
    )
    assert (floor.level().on_hand, adjusted(floor)) == (4, [])


@pytest.mark.requirement("W1")
async def test_what_left_in_a_canceled_parcel_and_is_missed_is_booked_out_once(floor: Floor) -> None:
    """Two of five left with a parcel that was canceled; the books keep them, for another order has reserved all."""
    await floor.stock(quantity=5)
    number = await floor.packed(await floor.release("gone"))
    await floor.cancel("gone")
    await picking(floor, ("TEA", 5))
    await floor.track(number, "in_transit")
    assert floor.level().gone == 2
    told = await picks(floor, 3, missing=2, location="A-1")
    assert told["state"] == "backordered"
    assert (floor.level().on_hand, floor.level().gone, adjusted(floor)) == (3, 0, [])


@pytest.mark.requirement("W1")
async def test_who_may_not_adjust_what_is_reserved_is_told_who_may(floor: Floor) -> None:
    await floor.stock(quantity=2)
    await floor.release()
    command = AdjustStock(sku="TEA", location="A-1", change=-1, reason="counted")
    refusal = (await floor.bench.ask(command, actor=SUPERVISOR)).refusal
    assert refusal is not None
    assert refusal.told["detail"] == (
        "0 of TEA are not reserved for orders; of the others, pickers scan as missing what is not there"
    )
