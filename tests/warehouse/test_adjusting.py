"""The books are put right by the back office, and never below what orders have reserved (W1)."""

import pytest

from services.warehouse.handlers.adjusting import AdjustStock
from shared.events.warehouse import FulfillmentAllocated, StockAdjusted
from shared.runtime.messages import Outcome
from tests.harness import SUPERVISOR
from tests.warehouse.floor import Floor

pytestmark = pytest.mark.requirement("W1")


@pytest.fixture
def floor() -> Floor:
    return Floor()


async def adjust(floor: Floor, change: int, sku: str = "TEA", location: str = "A-1") -> Outcome:
    command = AdjustStock(sku=sku, location=location, change=change, reason="counted")
    outcome = await floor.bench.ask(command, actor=SUPERVISOR)
    await floor.settle()
    return outcome


async def refused(floor: Floor, change: int, sku: str = "TEA", location: str = "A-1") -> str:
    refusal = (await adjust(floor, change, sku, location)).refusal
    assert refusal is not None
    return f"{refusal.code}: {refusal.detail}"


async def test_pieces_that_are_not_there_leave_the_books(floor: Floor) -> None:
    await floor.stock(quantity=5)
    assert (await adjust(floor, -2)).answer == {"sku": "TEA", "on_hand": 3, "available": 3}
    assert [(e.change, e.on_hand) for e in floor.bench.said_of(StockAdjusted)] == [(-2, 3)]
    floor.adds_up()


async def test_pieces_that_are_found_are_for_who_waits(floor: Floor) -> None:
    await floor.release("waits")
    await adjust(floor, 2)
    assert [e.order_id for e in floor.bench.said_of(FulfillmentAllocated)] == ["waits"]
    floor.adds_up()


async def test_what_orders_have_reserved_stays_in_the_books(floor: Floor) -> None:
    await floor.stock(quantity=3)
    await floor.release()
    assert (await refused(floor, -2)).startswith("reserved: 1 of TEA are not reserved for orders")
    assert (await adjust(floor, -1)).refusal is None
    floor.adds_up()


async def test_goods_under_a_code_of_their_own_are_moved_to_their_sku(floor: Floor) -> None:
    await floor.stock("6901234567892", 4)
    await floor.stock("TEA", 1)
    await adjust(floor, -4, sku="6901234567892")
    await adjust(floor, 4)
    assert (floor.level("6901234567892").on_hand, floor.level("TEA").on_hand) == (0, 5)


@pytest.mark.parametrize(
    ("change", "sku", "location", "said"),
    [
        (-6, "TEA", "A-1", "not_on_shelf: the books have 5 of TEA on A-1, not 6"),
        (-1, "TEA", "B-9", "not_on_shelf: the books have 0 of TEA on B-9, not 1"),
        (0, "TEA", "A-1", "nothing_changes: say how many pieces more, or fewer"),
        (1, "TAE", "A-1", "unknown_sku: nobody ever received, wanted or registered this SKU"),
        (1, "TEA", "STAGING", "not_a_shelf: STAGING is where picked goods wait"),
    ],
)
async def test_what_cannot_be_is_refused(
    floor: Floor, change: int, sku: str, location: str, said: str
) -> None:
    await floor.stock(quantity=5)
    assert (await refused(floor, change, sku, location)).startswith(said)
    assert floor.bench.said_of(StockAdjusted) == []
