"""The store in PostgreSQL: one statement per table and step, whatever the batch.

Values go in as arrays (`unnest`), so a statement's text does not depend on the number of rows and is prepared once.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from functools import cache
from typing import Any, TypeVar

import asyncpg
import orjson
from sqlalchemy import BigInteger, Boolean, Column, DateTime, Integer, LargeBinary, Text
from sqlalchemy.dialects.postgresql import JSONB

from shared.runtime.rows import RowMap
from shared.runtime.store import Changes, DueTimer, TryAgain, Unavailable, Unfit

R = TypeVar("R")

Pool = asyncpg.Pool
Connection = Any
"""An asyncpg connection, pooled or not."""

_ARRAYS = ((BigInteger, "bigint[]"), (Integer, "integer[]"), (Boolean, "boolean[]"), (DateTime, "timestamptz[]"),
           (LargeBinary, "bytea[]"), (JSONB, "jsonb[]"), (Text, "text[]"))  # fmt: skip

UNAVAILABLE = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # a connection that was cut while it lay in the pool
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.TooManyConnectionsError,
    asyncpg.QueryCanceledError,
    asyncpg.DiskFullError,
    asyncpg.OutOfMemoryError,
    asyncpg.ReadOnlySQLTransactionError,
)
"""What means: wait and run again; nothing is wrong with the messages."""


_UNFIT = (
    asyncpg.DataError,
    asyncpg.IntegrityConstraintViolationError,
    asyncpg.ProgramLimitExceededError,  # a key that is too long for its index
)
"""What means: some message of the turn is at fault."""


def make_pool(dsn: str, *, size: int = 6, statement_timeout_ms: int = 30_000) -> Pool:
    """A pool of connections for one service; connects when first used, so that a service can start before its database.

    Call it inside the running event loop and await the result once before use.
    """
    return asyncpg.create_pool(
        dsn,
        min_size=0,
        max_size=size,
        init=_init,
        reset=_nothing_to_reset,
        timeout=10,
        server_settings={
            "statement_timeout": str(statement_timeout_ms),
            # a host that froze in the middle of a turn must not hold its rows for ever
            "idle_in_transaction_session_timeout": str(statement_timeout_ms),
            "timezone": "UTC",
        },
    )


async def _nothing_to_reset(connection: Connection) -> None:
    """Turns and reads leave nothing behind in a session, and the relay ends its own: a round trip less for every turn."""


async def _init(connection: Connection) -> None:
    await connection.set_type_codec(
        "jsonb", schema="pg_catalog", encoder=_json_text, decoder=orjson.loads, format="text"
    )


def _json_text(value: Any) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()


class PostgresStore:
    """One service's database."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator["PostgresTransaction"]:
        """Commits when the block ends. Raises TryAgain, Unavailable or Unfit for what the database says."""
        try:
            async with self.pool.acquire(timeout=10) as connection, connection.transaction():
                yield PostgresTransaction(connection)
        except UNAVAILABLE as away:
            raise Unavailable(f"{type(away).__name__}: {away}"[:200]) from away
        except (
            asyncpg.DeadlockDetectedError,
            asyncpg.SerializationError,
            asyncpg.UniqueViolationError,
        ) as race:
            raise TryAgain(type(race).__name__) from race
        except _UNFIT as unfit:
            # only the constraint's name: the message would quote values, and those may be personal (X4)
            name = getattr(unfit, "constraint_name", None) or type(unfit).__name__
            raise Unfit(f"the database refused the data: {name}") from None


class PostgresTransaction:
    """One open transaction; see `store.Transaction`."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    async def load(self, rows: RowMap[R], keys: Sequence[str]) -> list[tuple[R, int]]:
        """See `Transaction.load`."""
        return [(rows.load(r), r["version"]) for r in await self.connection.fetch(_select(rows), keys)]

    async def load_group(self, rows: RowMap[R], column: str, values: Sequence[str]) -> list[tuple[R, int]]:
        """See `Transaction.load_group`."""
        records = await self.connection.fetch(_select_group(rows, column), values)
        return [(rows.load(r), r["version"]) for r in records]

    async def claim_timers(self, now: datetime, limit: int) -> list[DueTimer]:
        """See `Transaction.claim_timers`."""
        records = await self.connection.fetch(_CLAIM, now, limit)
        return [DueTimer(r["timer_id"], r["name"], r["due"], r["body"]) for r in records]

    async def save(self, changes: Changes) -> None:
        """See `Transaction.save`."""
        for rows, upserts in changes.upserts:
            columns = [(*rows.dump(row), version) for row, version in upserts]
            self._all(await self.connection.execute(_upsert(rows), *_turned(columns)), len(upserts), rows)
        for rows, removes in changes.removes:
            self._all(await self.connection.execute(_delete(rows), *_turned(removes)), len(removes), rows)
        for rows, added in changes.added:
            await self.connection.execute(_insert(rows), *_turned([rows.dump(row) for row in added]))
        if changes.timers_canceled:
            await self.connection.execute(_CANCEL, changes.timers_canceled)
        if changes.timers_set:
            timers = [(t.timer_id, t.name, t.due, t.body) for t in changes.timers_set]
            await self.connection.execute(_SET, *_turned(timers))
        if changes.entries:
            entries = [
                (e.stream, e.sequence, e.type, e.time, e.actor_kind, e.actor_name, e.correlation_id, e.causation_id,
                 e.trace, e.data, e.personal_digest, e.previous, e.hash)
                for e in changes.entries
            ]  # fmt: skip
            logged = await self.connection.fetch(_LOG, *_turned(entries))
            changes.positions = sorted(r["position"] for r in logged)
            personal = [(e.stream, e.sequence, e.salt, e.personal) for e in changes.entries if e.personal]
            if personal:
                await self.connection.execute(_PERSONAL, *_turned(personal))

    @staticmethod
    def _all(status: str, expected: int, rows: RowMap[Any]) -> None:
        if int(status.rsplit(" ", 1)[1]) != expected:
            raise TryAgain(f"a row of {rows.name} was changed meanwhile")


def _turned(rows: Sequence[Sequence[Any]]) -> list[list[Any]]:
    """Rows to columns, as `unnest` takes them; it fills up with NULL what is shorter, so a column of nothing else is empty."""
    return [list(c) if any(v is not None for v in c) else [] for c in zip(*rows, strict=True)]


def _array(column: Column[Any]) -> str:
    for kind, array in _ARRAYS:
        if isinstance(column.type, kind):
            return array
    raise TypeError(f"{column}: no array type for {column.type}")


def _unnest(rows: RowMap[Any], names: Sequence[str]) -> str:
    arrays = (f"${i}::{_array(rows.table.columns[n])}" for i, n in enumerate(names, 1))
    return f"unnest({', '.join(arrays)})"


@cache
def _select(rows: RowMap[Any]) -> str:
    names = ", ".join([*rows.stored_columns, "version"])
    key = rows.key_column
    return f"SELECT {names} FROM {rows.name} WHERE {key} = ANY($1::text[]) ORDER BY {key} FOR UPDATE"


@cache
def _select_group(rows: RowMap[Any], column: str) -> str:
    order, limit = rows.groups[column]
    names = ", ".join(f"t.{n}" for n in [*rows.stored_columns, "version"])
    return (
        f"SELECT {names} FROM unnest($1::text[]) WITH ORDINALITY AS wanted(value, place) CROSS JOIN LATERAL ("
        f"SELECT * FROM {rows.name} WHERE {column} = wanted.value ORDER BY {order}, {rows.key_column} LIMIT {limit} "
        f"FOR UPDATE) AS t ORDER BY wanted.place, t.{order}, t.{rows.key_column}"
    )


@cache
def _upsert(rows: RowMap[Any]) -> str:
    names = [*rows.stored_columns, "version"]
    changed = ", ".join(f"{n} = excluded.{n}" for n in names if n != rows.key_column)
    return (
        f"INSERT INTO {rows.name} ({', '.join(names)}) SELECT * FROM {_unnest(rows, names)} "
        f"ON CONFLICT ({rows.key_column}) DO UPDATE SET {changed} WHERE {rows.name}.version = excluded.version - 1"
    )


@cache
def _delete(rows: RowMap[Any]) -> str:
    key = rows.key_column
    return (
        f"DELETE FROM {rows.name} AS t USING unnest($1::text[], $2::bigint[]) AS gone(key, version) "
        f"WHERE t.{key} = gone.key AND t.version = gone.version"
    )


@cache
def _insert(rows: RowMap[Any]) -> str:
    names = rows.stored_columns
    return f"INSERT INTO {rows.name} ({', '.join(names)}) SELECT * FROM {_unnest(rows, names)}"


_CLAIM = "SELECT timer_id, name, due, body FROM timers WHERE due <= $1 ORDER BY due LIMIT $2 FOR UPDATE SKIP LOCKED"
_CANCEL = "DELETE FROM timers WHERE timer_id = ANY($1::text[])"
_SET = """
INSERT INTO timers (timer_id, name, due, body) SELECT * FROM unnest($1::text[], $2::text[], $3::timestamptz[], $4::text[])
ON CONFLICT (timer_id) DO UPDATE SET name = excluded.name, due = excluded.due, body = excluded.body
"""
_LOG = """
WITH said AS (
  INSERT INTO event_log (stream, sequence, type, time, actor_kind, actor_name, correlation_id, causation_id, trace, data,
                         personal_digest, previous, hash)
  SELECT * FROM unnest($1::text[], $2::bigint[], $3::text[], $4::timestamptz[], $5::text[], $6::text[], $7::text[],
                       $8::text[], $9::text[], $10::text[], $11::bytea[], $12::bytea[], $13::bytea[])
  RETURNING position),
waiting AS (INSERT INTO outbox (position) SELECT position FROM said)
SELECT position FROM said
"""
_PERSONAL = """
INSERT INTO event_personal (stream, sequence, salt, personal)
SELECT * FROM unnest($1::text[], $2::bigint[], $3::bytea[], $4::text[])
"""
