"""The store in PostgreSQL: one statement per table and step to load, one for all that is saved, whatever the batch."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import asyncpg
import orjson

from shared.runtime import statements
from shared.runtime.bookkeeping import CURSORS
from shared.runtime.rows import RowMap
from shared.runtime.statements import Part
from shared.runtime.store import Ask, Changes, DueTimer, Found, TryAgain, Unavailable, Unfit

Pool = asyncpg.Pool
Connection = Any
"""An asyncpg connection, pooled or not."""

FEW = 40
"""Keys that are loaded in one statement, whatever their tables; more are loaded table by table, which reads faster."""

BEYOND_SECONDS = 5
"""How much longer than a statement may take we wait for what the server says of it."""

UNAVAILABLE = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # a connection that was cut while it lay in the pool
    asyncpg.InvalidAuthorizationSpecificationError,  # while passwords are changed, or the role is yet to be made
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.TooManyConnectionsError,
    asyncpg.QueryCanceledError,
    asyncpg.IdleInTransactionSessionTimeoutError,  # a host that was frozen meets it on its next question
    asyncpg.IdleSessionTimeoutError,
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
        # the server's own limit does not help where its host is gone without a word: nobody would ever answer
        command_timeout=statement_timeout_ms / 1000 + BEYOND_SECONDS,
        server_settings={
            "statement_timeout": str(statement_timeout_ms),
            # a host that froze in the middle of a turn must not hold its rows for ever
            "idle_in_transaction_session_timeout": str(statement_timeout_ms),
            "timezone": "UTC",
            # plans are made once, perhaps while a table is empty, and serve when it is long: then whoever wants the first few
            # rows in order must not gather all of them; and compiling plans never pays
            "enable_seqscan": "off",
            "enable_bitmapscan": "off",
            "jit": "off",
        },
    )


async def _nothing_to_reset(connection: Connection) -> None:
    """Turns and reads leave nothing behind in a session, and the relay ends its own: a round trip less for every turn."""


async def _init(connection: Connection) -> None:
    await connection.set_type_codec(
        "jsonb", schema="pg_catalog", encoder=_jsonb, decoder=_of_jsonb, format="binary"
    )


# the binary form, version 1: the text form is not to be had within a record, as several tables at once come in
def _jsonb(value: Any) -> bytes:
    return b"\x01" + (value.encode() if isinstance(value, str) else orjson.dumps(value))


def _of_jsonb(value: bytes) -> Any:
    return orjson.loads(memoryview(value)[1:])


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
            what = str(away).partition("\n")[0]  # without PostgreSQL's hints
            raise Unavailable(": ".join(filter(None, [type(away).__name__, what]))[:200]) from away
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

    async def any_due(self, now: datetime) -> bool:
        """See `Store.any_due`."""
        async with self.transaction() as tx:
            return bool(await tx.connection.fetchval(statements.ANY_DUE, now))


class PostgresTransaction:
    """One open transaction; see `store.Transaction`."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._beyond: dict[tuple[str, str], dict[str, Any]] = {}
        """Table and key → what a newer version wrote into that row's document: it is kept where the row is changed."""

    async def load(self, asks: Sequence[Ask]) -> list[Found]:
        """See `Transaction.load`. In one statement when it is little: then a round trip costs more than its rows.

        A statement that waited for a cursor has its new state, and all else as it was before: that is read again.
        """
        paging = any(ask.behind for ask in asks)
        if len(asks) == 1 or paging or sum(len(ask.keys) for ask in asks) > FEW:
            return [await self._load(ask) for ask in asks]
        parts = tuple((ask.rows, ask.group) for ask in asks)
        *tables, before = await self.connection.fetchrow(
            statements.select_all(parts), *(ask.keys for ask in asks)
        )
        answer: list[Found] = []
        for ask, records in zip(asks, tables, strict=True):
            names = (*ask.rows.stored_columns, "version")
            answer.append(self._rows(ask.rows, [dict(zip(names, r, strict=True)) for r in records]))
        first, *others = asks
        if first.rows is CURSORS and [version for _, version in answer[0]] != before:
            answer[1:] = [await self._load(ask) for ask in others]
        return answer

    async def _load(self, ask: Ask) -> Found:
        if ask.group is not None and ask.behind is not None:
            sql = statements.select_behind(ask.rows, ask.group)
            records = await self.connection.fetch(sql, *ask.keys, *ask.behind)
        else:
            records = await self.connection.fetch(statements.select(ask.rows, ask.group, 1), ask.keys)
        return self._rows(ask.rows, records)

    def _rows(self, rows: RowMap[Any], records: Sequence[Mapping[str, Any]]) -> Found:
        try:
            found = [(rows.load(r), r["version"]) for r in records]
        except (ValueError, KeyError):  # without what it says: it quotes values (X4)
            raise Unfit(
                f"a row of {rows.name} cannot be read: a newer version wrote it, or somebody by hand"
            ) from None
        if rows.has_doc:
            for record in records:
                if record["doc"].keys() - rows.in_doc.keys():
                    newer = {name: v for name, v in record["doc"].items() if name not in rows.in_doc}
                    self._beyond[rows.name, record[rows.key_column]] = newer
        return found

    def _dumped(self, rows: RowMap[Any], row: Any) -> tuple[Any, ...]:
        values = rows.dump(row)
        newer = self._beyond.get((rows.name, rows.key(row))) if self._beyond else None
        return (*values[:-1], orjson.dumps(newer | orjson.loads(values[-1])).decode()) if newer else values

    async def claim_timers(
        self, now: datetime, limit: int, names: Sequence[str] | None = None
    ) -> list[DueTimer]:
        """See `Transaction.claim_timers`."""
        records = await self.connection.fetch(statements.CLAIM_TIMERS, now, limit, names)
        return [DueTimer(r["timer_id"], r["name"], r["due"], r["body"]) for r in records]

    async def still_set(self, timer_ids: Sequence[str]) -> set[str]:
        """See `Transaction.still_set`."""
        return {r["timer_id"] for r in await self.connection.fetch(statements.TIMERS_THERE, timer_ids)}

    async def save(self, changes: Changes) -> None:
        """See `Transaction.save`. One statement, for a small turn's round trips cost more than its rows."""
        parts: list[Part] = []
        values: list[list[Any]] = []
        expected: list[int | None] = []

        def write(part: Part, rows: Sequence[Sequence[Any]], *, guarded: bool = False) -> None:
            parts.append(part)
            values.extend(_turned(rows))
            expected.append(len(rows) if guarded else None)

        for rows, upserts in changes.upserts:
            dumped = [(*self._dumped(rows, row), version) for row, version in upserts]
            write((statements.upsert, rows), dumped, guarded=True)
        for rows, removes in changes.removes:
            write((statements.delete, rows), removes, guarded=True)
        for rows, added in changes.added:
            write((statements.insert, rows), [rows.dump(row) for row in added])
        if changes.timers_canceled:
            write((statements.cancel_timers, None), [(timer_id,) for timer_id in changes.timers_canceled])
        if changes.timers_set:
            timers = [(t.timer_id, t.name, t.due, t.body) for t in changes.timers_set]
            write((statements.set_timers, None), timers)
        personal = [
            (e.stream, e.sequence, e.salt, e.personal)
            for e in changes.entries
            if e.personal and e.stream not in changes.erased
        ]
        if personal:
            write((statements.log_personal, None), personal)
        if changes.erased:
            write((statements.erase_personal, None), [(stream,) for stream in changes.erased])
        if changes.entries:
            entries = [
                (e.stream, e.sequence, e.type, e.time, e.actor_kind, e.actor_name, e.correlation_id, e.causation_id,
                 e.trace, e.data, e.personal_digest, e.previous, e.hash)
                for e in changes.entries
            ]  # fmt: skip
            write((statements.log, None), entries)
        *written, positions = await self.connection.fetchrow(statements.save(tuple(parts)), *values)
        changes.positions = sorted(positions)
        for (_, rows), count, wanted in zip(parts, written, expected, strict=True):
            if wanted is not None and count != wanted:
                raise TryAgain(f"a row of {rows.name} was changed meanwhile")


def _turned(rows: Sequence[Sequence[Any]]) -> list[list[Any]]:
    """Rows to columns, as `unnest` takes them; it fills up with NULL what is shorter, so a column of nothing else is empty."""
    return [list(c) if any(v is not None for v in c) else [] for c in zip(*rows, strict=True)]
