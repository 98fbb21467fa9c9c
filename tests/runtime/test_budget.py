"""What a turn may cost: statements and round trips are counted, never time, so that a regression fails on any machine.

One statement a table and step to load (one a step, where it is little), one for all that is saved, whatever the batch: that
is the design's whole speed.
"""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest
from sqlalchemy import DDLElement, MetaData
from sqlalchemy.dialects.postgresql import dialect
from sqlalchemy.schema import CreateIndex, CreateTable

from deploy.embedded.postgres import EmbeddedPostgres
from services.orders.handlers import service
from services.orders.tables import metadata as orders_tables
from services.warehouse.handlers.stock import RegisterSku
from services.warehouse.tables import metadata as warehouse_tables
from shared.events.inbox import PickScanned, PickStartScanned, StockScanned
from shared.events.warehouse import FulfillmentAllocated
from shared.runtime.messages import Incoming, Status
from shared.runtime.postgres import PostgresStore, make_pool
from shared.runtime.turn import Turns
from shared.values import SkuQuantity
from tests import builders
from tests.harness import SUPERVISOR, Bench
from tests.warehouse.floor import PICKER, Floor

BATCH = 500
LINES = (SkuQuantity(sku="TEA", quantity=2),)


Place = tuple[Turns[Any], Bench[Any]]
"""The turns of the real orders service on an empty database, and the harness that makes its messages."""


@pytest.fixture
async def orders(server: EmbeddedPostgres) -> AsyncIterator[Place]:
    harness = Bench(service())
    async with _on_postgres(server, harness, orders_tables) as turns:
        yield turns, harness


@pytest.fixture
async def floor(server: EmbeddedPostgres) -> AsyncIterator[Floor]:
    floor = Floor()
    async with _on_postgres(server, floor.bench, warehouse_tables) as turns:
        floor.bench.turns = turns
        yield floor


@asynccontextmanager
async def _on_postgres(
    server: EmbeddedPostgres, harness: Bench[Any], metadata: MetaData
) -> AsyncIterator[Turns[Any]]:
    url = f"{server.admin_url.rsplit('/', 1)[0]}/budget"
    admin = await asyncpg.connect(server.admin_url)
    await admin.execute("DROP DATABASE IF EXISTS budget")
    await admin.execute("CREATE DATABASE budget")
    await admin.close()
    pool = make_pool(url)
    await pool
    await pool.execute(";".join(_tables(metadata)))
    yield Turns(harness.service, PostgresStore(pool), harness.clock)
    await pool.close()


@pytest.fixture
def trips(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every statement that is sent: each is one round trip, for its text never changes and is prepared once."""
    sent: list[str] = []

    def counted(name: str) -> Any:
        original = getattr(asyncpg.Connection, name)

        async def count(self: Any, query: str, *args: Any, **kwargs: Any) -> Any:
            sent.append(" ".join(query.split()))
            return await original(self, query, *args, **kwargs)

        return count

    for name in ("execute", "executemany", "fetch", "fetchrow", "fetchval"):
        monkeypatch.setattr(asyncpg.Connection, name, counted(name))
    return sent


async def test_a_batch_from_outside_costs_as_many_statements_whatever_its_size(
    orders: Place, trips: list[str]
):
    turns, harness = orders

    def submitted(numbers: Iterable[int]) -> list[Incoming]:
        return [harness.from_outside(builders.submitted(f"B-{n}")) for n in numbers]

    one = await _run(turns, submitted([0]), trips)
    some = await _run(turns, submitted(range(1, 50)), trips)
    many = await _run(turns, submitted(range(50, BATCH + 1)), trips)
    assert many == some
    assert len(many) <= 9, many
    assert len(one) <= 5, one


async def test_a_batch_from_another_service_costs_as_many_statements_whatever_its_size(
    orders: Place, trips: list[str]
):
    turns, harness = orders

    def allocated(numbers: Iterable[int]) -> list[Incoming]:
        return [harness.incoming(FulfillmentAllocated(order_id=f"o-{n}", lines=LINES)) for n in numbers]

    one = await _run(turns, allocated([0]), trips)
    some = await _run(turns, allocated(range(1, 50)), trips)
    many = await _run(turns, allocated(range(50, BATCH + 1)), trips)
    assert many == some
    assert len(many) <= 5, many
    assert len(one) <= 4, one


async def test_what_was_applied_before_costs_no_writing(orders: Place, trips: list[str]):
    turns, harness = orders
    batch = [harness.incoming(FulfillmentAllocated(order_id=f"o-{n}", lines=LINES)) for n in range(BATCH)]
    await turns.run(batch)
    trips.clear()
    outcomes = await turns.run(batch)
    assert {o.status for o in outcomes} == {Status.DUPLICATE}
    assert not [sql for sql in trips if "INSERT INTO" in sql or "DELETE FROM" in sql]
    assert len(trips) <= 4, trips


async def test_a_scan_costs_four_round_trips_and_one_more_where_its_barcode_was_registered(
    floor: Floor, trips: list[str]
):
    """W12: a scan is waited for. Begin, what it needs with the head of its stream, save, commit."""
    await floor.bench.ask(RegisterSku(sku="TEA", name="Tea", barcodes=("4006381333931",)), actor=SUPERVISOR)
    for barcode, most in (("TEA", 4), ("4006381333931", 5), ("TEA", 4)):
        scan = StockScanned(barcode=barcode, quantity=1, location="A-01", scanned_at=floor.now)
        cost = await _run(floor.bench.turns, [floor.bench.from_outside(scan, actor=PICKER)], trips)
        assert len(cost) <= most, cost


async def test_a_scan_for_an_order_costs_as_few_and_one_more_where_it_has_news(
    floor: Floor, trips: list[str]
):
    await floor.stock()
    await floor.release()
    for event, most in (
        (PickStartScanned(order_id="o-1", scanned_at=floor.now), 5),  # news that come along with the stock
        (PickScanned(order_id="o-1", barcode="TEA", quantity=1, scanned_at=floor.now), 4),
        (PickScanned(order_id="o-1", barcode="TEA", quantity=1, scanned_at=floor.now), 5),  # all is picked
    ):
        cost = await _run(floor.bench.turns, [floor.bench.from_outside(event, actor=PICKER)], trips)
        assert len(cost) <= most, cost


async def _run(turns: Turns[Any], messages: list[Incoming], trips: list[str]) -> list[str]:
    trips.clear()
    outcomes = await turns.run(messages)
    assert {o.status for o in outcomes} == {Status.DONE}
    return list(trips)


def _tables(metadata: MetaData) -> list[str]:
    made: list[DDLElement] = [CreateTable(t) for t in metadata.sorted_tables]
    made += [CreateIndex(i) for t in metadata.sorted_tables for i in t.indexes]
    return [str(ddl.compile(dialect=dialect())) for ddl in made]  # type: ignore[no-untyped-call]
