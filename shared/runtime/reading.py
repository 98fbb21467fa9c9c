"""Reads for pages, the API and reports: named SQLAlchemy Core selects, run on the service's own pool."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any, TypeVar, cast

import asyncpg
from fastapi import Query
from sqlalchemy import Select
from sqlalchemy.dialects.postgresql.asyncpg import dialect as asyncpg_dialect

from shared.runtime.messages import Refused
from shared.runtime.postgres import UNAVAILABLE, Pool
from shared.runtime.store import Unavailable

R = TypeVar("R")
Record = Mapping[str, Any]
Read = Callable[[Select[Any]], Awaitable[list[Record]]]

Limit = Annotated[int, Query(ge=1, le=500)]
"""How many rows a list over HTTP shows at most."""

_DIALECT = asyncpg_dialect()  # type: ignore[no-untyped-call]
_UNFIT = (
    asyncpg.CharacterNotInRepertoireError,
    asyncpg.NumericValueOutOfRangeError,
    asyncpg.DatetimeFieldOverflowError,
)


def reader(pool: Pool) -> Read:
    """A function that runs a select and returns its records. Raises Unavailable when the database is away and
    Refused (422) for a value that no row can hold, such as a number out of range or a zero byte in a text."""

    async def read(select: Select[Any]) -> list[Record]:
        compiled = select.compile(dialect=_DIALECT, compile_kwargs={"render_postcompile": True})
        values = [compiled.params[name] for name in compiled.positiontup or []]
        try:
            return cast(list[Record], await pool.fetch(str(compiled), *values, timeout=20))
        except asyncpg.DataError as error:
            # the plain class is asyncpg's own check of the values; a division by zero, say, stays a bug of ours
            if type(error) is not asyncpg.DataError and not isinstance(error, _UNFIT):
                raise
            detail = "a value is out of range or holds characters that cannot be stored"
            raise Refused("invalid", detail, status=422) from None
        except UNAVAILABLE as away:
            raise Unavailable(type(away).__name__) from away

    return read


async def listed_last(
    find: Callable[[Read, str], Awaitable[R | None]], read: Read, after: str | None, what: str
) -> R | None:
    """The row that a list goes on after, None where it begins. Raises Refused (422) when there is none under this id."""
    if after is None:
        return None
    if (row := await find(read, after)) is None:
        raise Refused("invalid", f"`after` is the id of {what} that was listed", field="after", status=422)
    return row
