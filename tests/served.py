"""One service on a real database with its real HTTP app, without Kafka, and a way to ask it."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import httpx
from fastapi import APIRouter
from sqlalchemy import MetaData
from sqlalchemy.ext.asyncio import create_async_engine

from deploy.embedded.child import free_port, temporary_folder
from deploy.embedded.postgres import EmbeddedPostgres
from shared.runtime.auth import Tokens, create_token, new_key_pair
from shared.runtime.commands import Commands
from shared.runtime.http import create_app
from shared.runtime.postgres import Pool, PostgresStore, make_pool
from shared.runtime.reading import reader
from shared.runtime.turn import Turns
from shared.values import Actor
from tests.harness import AGENT, Bench

PRIVATE, PUBLIC = new_key_pair()


@contextmanager
def database() -> Iterator[str]:
    """A PostgreSQL of its own; its URL."""
    with temporary_folder() as folder:
        server = EmbeddedPostgres(folder, free_port())
        server.start()
        try:
            yield server.admin_url
        finally:
            server.stop()


async def emptied(url: str, metadata: MetaData) -> None:
    """The tables of a service, new."""
    engine = create_async_engine(url.replace("postgresql://", "postgresql+asyncpg://", 1))
    async with engine.begin() as connection:
        await connection.run_sync(metadata.drop_all)
        await connection.run_sync(metadata.create_all)
    await engine.dispose()


GROWN = 5_000


async def grown(pool: Pool, table: str, **columns: str) -> None:
    """Many copies of the one row that a table holds; columns of copy `n` differ as SQL says."""
    differ = ", ".join(f"'{name}', {sql}" for name, sql in columns.items())
    await pool.execute(
        f"INSERT INTO {table} SELECT (jsonb_populate_record(t, jsonb_build_object({differ}))).* "
        f"FROM {table} t, generate_series(1, {GROWN}) n"
    )
    await pool.execute(f"ANALYZE {table}")


LONG_AGO = "'2020-01-01T00:00:00Z'::timestamptz + n * interval '1 minute'"
"""A time of copy `n`, before those of the tests."""


@asynccontextmanager
async def reads_few(pool: Pool, table: str, asked: object) -> AsyncIterator[None]:
    """Fails where more rows of a table are looked at meanwhile than a short list needs."""
    before = await _rows_read(pool, table)
    yield
    assert await _rows_read(pool, table) - before < 20, asked


async def _rows_read(pool: Pool, table: str) -> int:
    await pool.execute("SELECT pg_stat_force_next_flush()")
    read = "SELECT seq_tup_read + coalesce(idx_tup_fetch, 0) FROM pg_stat_user_tables WHERE relname = $1"
    return int(await pool.fetchval(read, table))


def auth(actor: Actor = AGENT) -> dict[str, str]:
    """The header that says who asks."""
    return {"authorization": f"Bearer {create_token(PRIVATE, actor, timedelta(hours=1))}"}


class Served:
    """What a test asks: the HTTP app, the bench whose turns are on the database, and that. Paths are `under` one."""

    def __init__(self, pool: Pool, bench: Bench[Any], router: Callable[[Any], APIRouter], under: str) -> None:
        self.pool, self.bench, self.under = pool, bench, under
        bench.turns = Turns(bench.service, PostgresStore(pool), bench.clock)
        self.commands = Commands(bench.turns)
        runtime: Any = SimpleNamespace(
            service=bench.service, tokens=Tokens(PUBLIC), commands=self.commands, read=reader(pool)
        )
        app = create_app(runtime, [router(runtime)], title=bench.service.name)
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        self.http = httpx.AsyncClient(transport=transport, base_url=f"http://{bench.service.name}")

    async def get(self, path: str = "", actor: Actor = AGENT, expect: int = 200, **params: Any) -> Any:
        """What is shown at a path."""
        asked = {name: value for name, value in params.items() if value is not None}
        response = await self.http.get(self.under + path, params=asked, headers=auth(actor))
        assert response.status_code == expect, response.text
        return response.json()

    async def post(self, path: str, body: Any = None, actor: Actor = AGENT, status: int = 200) -> Any:
        """The answer to a command."""
        response = await self.http.post(self.under + path, json=body or {}, headers=auth(actor))
        assert response.status_code == status, response.text
        return response.json()


@asynccontextmanager
async def served(
    url: str, metadata: MetaData, bench: Bench[Any], router: Callable[[Any], APIRouter], *, under: str = "/v1"
) -> AsyncIterator[Served]:
    """A service on empty tables."""
    await emptied(url, metadata)
    pool = await make_pool(url, size=3)
    one = Served(pool, bench, router, under)
    one.commands.start()
    try:
        yield one
    finally:
        await one.http.aclose()
        await one.commands.stop()
        await pool.close()
