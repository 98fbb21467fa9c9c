"""What a turn may cost: statements and round trips are counted, never time, so that a regression fails on any machine.

One statement a table and step to load (one a step, where it is little), one for all that is saved, whatever the batch: that
is the design's whole speed.
"""

from collections.abc import AsyncIterator, Iterable
from typing import Any

import asyncpg
import pytest
from sqlalchemy import DDLElement, MetaData
from sqlalchemy.dialects.postgresql import dialect
from sqlalchemy.schema import CreateIndex, CreateTable

from deploy.embedded.postgres import EmbeddedPostgres
from services.orders.handlers import service
from services.orders.tables import metadata
from shared.events.warehouse import FulfillmentAllocated
from shared.runtime.messages import Incoming, Status
from shared.runtime.postgres import PostgresStore, make_pool
from shared.runtime.turn import Turns
from shared.values import SkuQuantity
from tests import builders
from tests.harness import Bench

BATCH = 500
LINES = (SkuQuantity(sku="TEA", quantity=2),)


@pytest.fixture
async def orders(server: EmbeddedPostgres) -> AsyncIterator[tuple[Turns[Any], Bench[Any]]]:
    """The real orders service on an empty database; the harness makes messages."""
    url = f"{server.admin_url.rsplit('/', 1)[0]}/budget"
    admin = await asyncpg.connect(server.admin_url)
    await admin.execute("DROP DATABASE IF EXISTS budget")
    await admin.execute("CREATE DATABASE budget")
    await admin.close()
    pool = make_pool(url)
    await pool
    await pool.execute(";".join(_tables(metadata)))
    harness = Bench(service())
    yield Turns(harness.service, PostgresStore(pool), harness.clock), harness
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
    orders: tuple[Turns[Any], Bench[Any]], trips: list[str]
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
    orders: tuple[Turns[Any], Bench[Any]], trips: list[str]
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


async def test_what_was_applied_before_costs_no_writing(
    orders: tuple[Turns[Any], Bench[Any]], trips: list[str]
):
    turns, harness = orders
    batch = [harness.incoming(FulfillmentAllocated(order_id=f"o-{n}", lines=LINES)) for n in range(BATCH)]
    await turns.run(batch)
    trips.clear()
    outcomes = await turns.run(batch)
    assert {o.status for o in outcomes} == {Status.DUPLICATE}
    assert not [sql for sql in trips if "INSERT INTO" in sql or "DELETE FROM" in sql]
    assert len(trips) <= 4, trips


async def _run(turns: Turns[Any], messages: list[Incoming], trips: list[str]) -> list[str]:
    trips.clear()
    outcomes = await turns.run(messages)
    assert {o.status for o in outcomes} == {Status.DONE}
    return list(trips)


def _tables(metadata: MetaData) -> list[str]:
    made: list[DDLElement] = [CreateTable(t) for t in metadata.sorted_tables]
    made += [CreateIndex(i) for t in metadata.sorted_tables for i in t.indexes]
    return [str(ddl.compile(dialect=dialect())) for ddl in made]  # type: ignore[no-untyped-call]
