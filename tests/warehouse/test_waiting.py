"""First come, first served: who waits for stock gets it before who comes later (W2)."""

import pytest

from shared.events import inbox
from shared.events.orders import CancelRequested
from shared.events.warehouse import FulfillmentAllocated
from tests.warehouse.floor import CHECKER, Floor


@pytest.fixture
def floor() -> Floor:
    return Floor()


@pytest.mark.requirement("W2")
async def test_stock_that_arrives_is_for_who_waits_not_for_the_next_order(floor: Floor) -> None:
    await floor.release("first")
    receipt = inbox.StockScanned(barcode="TEA", quantity=2, location="A-1", scanned_at=floor.now)
    await floor.bench.turns.run(
        [floor.bench.from_outside(receipt, actor=CHECKER), floor.bench.incoming(floor.order("second"))]
    )
    await floor.settle()
    assert [e.order_id for e in floor.bench.said_of(FulfillmentAllocated)] == ["first"]


@pytest.mark.requirement("W2")
async def test_orders_released_in_one_turn_wait_in_the_order_in_which_they_came(floor: Floor) -> None:
    await floor.bench.hear(floor.order("z-first"), floor.order("a-second"))
    await floor.stock(quantity=2)
    assert [e.order_id for e in floor.bench.said_of(FulfillmentAllocated)] == ["z-first"]


@pytest.mark.requirement("W2")
async def test_a_very_large_order_waits_like_any_other(floor: Floor) -> None:
    await floor.release("o-1", ("TEA", 100_000), ("TEA", 100_000))
    assert floor.parked() == []


@pytest.mark.requirement("W2")
async def test_what_a_cancel_frees_is_for_who_waits_not_for_the_next_order(floor: Floor) -> None:
    await floor.stock(quantity=2)
    await floor.release("first")
    await floor.release("waits")
    await floor.bench.hear(CancelRequested(order_id="first", reason="no"), floor.order("new"))
    await floor.settle()
    assert [e.order_id for e in floor.bench.said_of(FulfillmentAllocated)] == ["first", "waits"]


@pytest.mark.requirement("W2")
async def test_an_order_that_waits_for_something_else_holds_nobody_up(floor: Floor) -> None:
    await floor.release("wants-more", ("TEA", 1), ("CUP", 1))
    await floor.stock(quantity=2)
    await floor.release("new")
    assert [e.order_id for e in floor.bench.said_of(FulfillmentAllocated)] == ["new"]
    assert floor.level().offering is False


@pytest.mark.requirement("W2")
async def test_many_who_wait_are_all_served_while_there_is_stock(floor: Floor) -> None:
    names = [f"o-{n:03}" for n in range(230)]
    await floor.bench.hear(*(floor.order(name, ("TEA", 1)) for name in names))
    await floor.stock(quantity=225)
    await floor.release("new", ("TEA", 1))
    assert [e.order_id for e in floor.bench.said_of(FulfillmentAllocated)] == names[:225]
    floor.adds_up()
