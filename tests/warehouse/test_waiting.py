"""First come, first served: who waits for stock gets it before who comes later (W2)."""

from random import Random

import pytest

from services.warehouse.tables import BACKORDERS
from shared.events import inbox
from shared.events.orders import CancelRequested
from shared.events.warehouse import (
    FulfillmentAllocated,
    FulfillmentBackordered,
    StockDepleted,
    StockReplenished,
)
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


@pytest.mark.requirement("W2")
async def test_an_order_waits_only_for_what_is_short(floor: Floor) -> None:
    await floor.stock("TEA", 5)
    await floor.release("o-1", ("TEA", 1), ("CUP", 1))
    assert [b.sku for b in floor.bench.store.rows("backorders")] == ["CUP"]
    assert (floor.level("TEA").waiting, floor.level("CUP").waiting) == (0, 1)
    floor.adds_up()


@pytest.mark.requirement("W2")
@pytest.mark.parametrize("short_of_tea", [False, True])
async def test_a_hundred_who_wait_for_something_else_block_nobody(floor: Floor, short_of_tea: bool) -> None:
    if not short_of_tea:
        await floor.stock("TEA", 1)
    names = [f"o-{n:03}" for n in range(130)]
    await floor.bench.hear(*(floor.order(name, ("TEA", 1), ("CUP", 1)) for name in names))
    await floor.settle()
    await floor.release("only-tea", ("TEA", 2))
    await floor.stock("TEA", 2)
    assert [e.order_id for e in floor.bench.said_of(FulfillmentAllocated)] == ["only-tea"]
    floor.adds_up()


@pytest.mark.requirement("W2")
async def test_hundreds_who_want_more_than_there_is_block_nobody_behind_them(floor: Floor) -> None:
    await floor.bench.hear(
        *(floor.order(f"large-{n:03}") for n in range(230)), floor.order("small", ("TEA", 1))
    )
    await floor.stock("TEA", 1)
    await floor.release("newcomer", ("TEA", 1))
    assert [e.order_id for e in floor.bench.said_of(FulfillmentAllocated)] == ["small"]
    floor.adds_up()


@pytest.mark.requirement("W2")
@pytest.mark.parametrize("one_look", [1, 2, 3])
async def test_whatever_comes_meanwhile_nobody_waits_for_goods_that_are_there(
    floor: Floor, monkeypatch: pytest.MonkeyPatch, one_look: int
) -> None:
    """Queues that it takes many looks to offer pieces to, of several SKUs at once."""
    monkeypatch.setitem(BACKORDERS.groups, "sku", ("since", one_look))
    dice = Random(one_look)
    for n in range(120):
        goods = [
            (sku, dice.choice((1, 2, 5))) for sku in dice.sample(("TEA", "CUP", "POT"), dice.randint(1, 3))
        ]
        scan = inbox.StockScanned(
            barcode=dice.choice(("TEA", "CUP", "POT")), quantity=dice.randint(1, 4), location="A-1",
            scanned_at=floor.now,
        )  # fmt: skip
        order = floor.bench.incoming(floor.order(f"o-{n:03}", *goods))
        await floor.bench.turns.run([order, floor.bench.from_outside(scan, actor=CHECKER)])
        await floor.bench.turns.run_timers(dice.randint(1, 3))
        if n % 10 == 0:
            await floor.settle()
            floor.adds_up()
    await floor.settle()
    floor.adds_up()
    assert floor.parked() == []


@pytest.mark.requirement("W2")
async def test_who_waited_elsewhere_comes_back_to_the_place_it_had(floor: Floor) -> None:
    await floor.release("both", ("TEA", 1), ("CUP", 1))
    await floor.stock("TEA", 1)  # no use to it without the cup: others may have the tea
    assert [b.sku for b in floor.bench.store.rows("backorders")] == ["CUP"]
    await floor.release("takes-the-tea", ("TEA", 1))
    await floor.release("later", ("TEA", 1))
    await floor.stock("CUP", 1)
    assert {(b.order_id, b.sku) for b in floor.bench.store.rows("backorders")} == {
        ("both", "TEA"),
        ("later", "TEA"),
    }
    told = [e for e in floor.bench.said_of(FulfillmentBackordered) if e.order_id == "both"]
    assert [[m.sku for m in e.missing] for e in told] == [["CUP", "TEA"], ["TEA"]]
    await floor.stock("TEA", 1)
    assert [e.order_id for e in floor.bench.said_of(FulfillmentAllocated)] == ["takes-the-tea", "both"]
    floor.adds_up()


@pytest.mark.requirement("W2")
@pytest.mark.parametrize("first", ["TEA", "CUP"])
async def test_hundreds_who_want_the_same_two_are_all_served_when_both_come(floor: Floor, first: str) -> None:
    names = [f"o-{n:03}" for n in range(250)]
    await floor.bench.hear(*(floor.order(name, ("TEA", 1), ("CUP", 1)) for name in names))
    other = "CUP" if first == "TEA" else "TEA"
    scans = [
        inbox.StockScanned(barcode=sku, quantity=n, location="A-1", scanned_at=floor.now)
        for sku, n in ((first, 240), (other, 260))
    ]
    await floor.bench.turns.run([floor.bench.from_outside(scan, actor=CHECKER) for scan in scans])
    await floor.settle()
    assert [e.order_id for e in floor.bench.said_of(FulfillmentAllocated)] == names[:240]
    await floor.release("only-the-other", (other, 1))
    assert floor.bench.said_of(FulfillmentAllocated)[-1].order_id == "only-the-other"
    floor.adds_up()


@pytest.mark.requirement("W2")
async def test_a_canceled_order_leaves_the_queue_that_it_was_in(floor: Floor) -> None:
    await floor.stock("TEA", 5)
    await floor.release("o-1", ("TEA", 1), ("CUP", 1))
    await floor.cancel("o-1")
    assert floor.bench.store.rows("backorders") == []
    floor.adds_up()


@pytest.mark.requirement("W2")
async def test_shops_hear_that_goods_are_back_once_those_who_wait_have_theirs(floor: Floor) -> None:
    await floor.stock(quantity=2)
    for order in ("first", "waits"):
        await floor.release(order)
    await floor.stock(quantity=2)
    assert len(floor.bench.said_of(StockDepleted)) == 1, "they were never told that any are back"
    assert not floor.bench.said_of(StockReplenished)
    await floor.release("wants-more", ("TEA", 3))
    await floor.stock(quantity=2)
    assert [e.available for e in floor.bench.said_of(StockReplenished)] == [2], "too few for who waits"


@pytest.mark.requirement("W2")
async def test_an_order_has_one_place_in_all_queues_behind_all_who_stood_in_any(floor: Floor) -> None:
    """So it overtakes nobody where it leaves one, for all is there, and comes back."""
    await floor.bench.hear(floor.order("z-first"), floor.order("a-second", ("TEA", 1), ("CUP", 1)))
    rows = floor.bench.store.rows("backorders")
    (first,) = {row.since for row in rows if row.order_id == "z-first"}
    (second,) = {row.since for row in rows if row.order_id == "a-second"}
    assert first < second


@pytest.mark.requirement("W2")
async def test_shops_hear_of_goods_that_they_sell_and_that_never_came_in(floor: Floor) -> None:
    for order in ("first", "second"):
        await floor.release(order, ("TEA", 1))
    assert [e.sku for e in floor.bench.said_of(StockDepleted)] == ["TEA"]
    await floor.stock(quantity=3)
    assert [e.available for e in floor.bench.said_of(StockReplenished)] == [1]
