"""Reads for pages, the API and reports: named SQLAlchemy Core selects, run on the service's own pool."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from sqlalchemy import Select
from sqlalchemy.dialects.postgresql.asyncpg import dialect as asyncpg_dialect

from shared.runtime.postgres import UNAVAILABLE, Pool
from shared.runtime.store import Unavailable

Record = Mapping[str, Any]
Read = Callable[[Select[Any]], Awaitable[list[Record]]]

_DIALECT = asyncpg_dialect()


def reader(pool: Pool) -> Read:
    """A function that runs a select and returns its records. It raises Unavailable when the database is away."""

    async def read(select: Select[Any]) -> list[Record]:
        compiled = select.compile(dialect=_DIALECT, compile_kwargs={"render_postcompile": True})
        values = [compiled.params[name] for name in compiled.positiontup or []]
        try:
            return list(await pool.fetch(str(compiled), *values, timeout=20))
        except UNAVAILABLE as away:
            raise Unavailable(type(away).__name__) from away

    return read
