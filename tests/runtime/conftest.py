"""A real PostgreSQL server and a real broker for the tests of the runtime that need them."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from sqlalchemy import MetaData

from deploy.embedded.broker import EmbeddedBroker
from deploy.embedded.child import free_port, temporary_folder
from deploy.embedded.postgres import EmbeddedPostgres
from shared.runtime.postgres import Pool, PostgresStore, make_pool
from shared.runtime.turn import Turns
from tests.harness import Bench
from tests.runtime.counted import Counted, OnPostgres
from tests.runtime.probe import Probe, database, make_tables
from tests.served import emptied


@pytest.fixture(scope="session")
def folder() -> Iterator[Path]:
    with temporary_folder() as folder:
        yield folder


@pytest.fixture(scope="session")
def server(folder: Path) -> Iterator[EmbeddedPostgres]:
    server = EmbeddedPostgres(folder, free_port())
    server.start()
    asyncio.run(make_tables(server.admin_url))
    yield server
    server.stop()


@pytest.fixture
async def admin(server: EmbeddedPostgres) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    connection = await asyncpg.connect(server.admin_url)
    yield connection
    await connection.close()


@pytest.fixture
def broker(folder: Path) -> Iterator[EmbeddedBroker]:
    """One for each test: it starts in a moment and begins empty. Not started: a test starts it when it is to be there."""
    broker = EmbeddedBroker(folder, free_port())
    yield broker
    broker.stop()


@pytest.fixture
async def probe(server: EmbeddedPostgres, broker: EmbeddedBroker) -> AsyncIterator[Probe]:
    """A writer and a reader on empty databases."""
    probe = Probe(server, broker)
    await probe.clear()
    yield probe
    await probe.stop()


@pytest.fixture
async def on_postgres(server: EmbeddedPostgres, trips: list[str]) -> AsyncIterator[OnPostgres]:
    pools: list[Pool] = []

    async def take(bench: Bench[Any], metadata: MetaData) -> Counted:
        url = await database(server, f"budget_{bench.service.name}")
        await emptied(url, metadata)
        pools.append(await make_pool(url))
        bench.turns = Turns(bench.service, PostgresStore(pools[-1]), bench.clock)
        return Counted(bench, pools[-1], trips)

    yield take
    for pool in pools:
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
