"""A real PostgreSQL server and a real broker for the tests of the runtime that need them."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest

from deploy.embedded.broker import EmbeddedBroker
from deploy.embedded.child import free_port, temporary_folder
from deploy.embedded.postgres import EmbeddedPostgres
from tests.runtime.probe import Probe, make_tables


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
