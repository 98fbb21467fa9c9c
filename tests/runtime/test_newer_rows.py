"""Rows that a newer version wrote: older services run on them, side by side or when ops go back (X6)."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from services.orders.handlers import service as orders
from services.orders.handlers.release import PlaceHold
from shared.events.orders import Hold
from shared.runtime.commands import asked
from shared.runtime.envelope import decode_ours
from shared.runtime.parking import Parking, with_parking
from shared.runtime.postgres import Pool
from tests.builders import oid, paid, submitted
from tests.harness import AGENT, START, Bench
from tests.runtime.test_on_postgres import bench, databases, pools

__all__ = ["databases", "pools"]

pytestmark = pytest.mark.requirement("X6")

FUTURE = "UPDATE orders SET status = 'frozen' WHERE order_id = $1"
PRESENT = "UPDATE orders SET status = 'placed' WHERE order_id = $1"


@pytest.fixture
async def shop(pools: dict[str, Pool]) -> Bench[Any]:
    """Orders with two of them."""
    shop = bench(with_parking(orders()), pools["orders"])
    for number in ("1", "2"):
        await shop.outside(submitted(number))
    return shop


def hold(number: str) -> PlaceHold:
    return PlaceHold(order_id=oid(number), hold=Hold.CUSTOMER_REQUEST, reason="the buyer is away")


async def test_what_an_older_version_does_not_know_of_a_row_stays_where_it_changes_that(
    shop: Bench[Any], pools: dict[str, Pool]
) -> None:
    pool = pools["orders"]
    # with one field less than ours too: the row is from before that, and was touched by a migration
    await pool.execute(
        "UPDATE orders SET doc = (doc - 'closed_reason') || $1", {"newer": {"parts": [1, "茶"]}}
    )
    before = await pool.fetchval("SELECT doc FROM orders WHERE order_id = $1", oid("1"))
    assert (await shop.ask(hold("1"))).status == "done"
    after = await pool.fetchval("SELECT doc FROM orders WHERE order_id = $1", oid("1"))
    assert after["newer"] == {"parts": [1, "茶"]}
    assert after.keys() == before.keys() | {"closed_reason"}
    assert after != before


async def test_a_row_that_cannot_be_read_stops_its_own_messages_alone(
    shop: Bench[Any], pools: dict[str, Pool]
) -> None:
    pool = pools["orders"]
    await pool.execute(FUTURE, oid("1"))
    first = shop.from_outside(paid("1"))
    outcomes = await shop.turns.run([replace(first), shop.from_outside(paid("2"))])
    assert [o.status for o in outcomes] == ["parked", "done"]
    holds = [asked(hold(n), AGENT, shop.clock.now()) for n in ("1", "2")]
    assert [o.status for o in await shop.turns.run(holds)] == ["failed", "done"]
    parking = Parking(shop.turns, pool, lambda raw, actor: replace(first))
    (parked,) = await parking.list_()
    assert "a row of orders cannot be read" in parked.reason
    await pool.execute(PRESENT, oid("1"))
    assert [o.status for o in await parking.retry(parked.lane)] == ["done"]


async def test_a_timer_whose_row_cannot_be_read_holds_up_no_other(
    shop: Bench[Any], pools: dict[str, Pool]
) -> None:
    pool = pools["orders"]
    await pool.execute(FUTURE, oid("1"))
    shop.clock.move_to(START + timedelta(days=30))
    while await shop.turns.run_timers():
        pass
    parked = await Parking(shop.turns, pool, lambda raw, actor: decode_ours(raw)).list_()
    assert parked != []
    assert {p.door for p in parked} == {"timer"}
    orders_now = await pool.fetch("SELECT order_id, status FROM orders")
    assert {r["order_id"]: r["status"] for r in orders_now} == {oid("1"): "frozen", oid("2"): "expired"}
