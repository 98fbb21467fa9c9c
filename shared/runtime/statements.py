"""The SQL of a store in PostgreSQL. Values go in as arrays (`unnest`), so that a text does not depend on the number of rows
and is prepared once."""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from sqlalchemy import BigInteger, Boolean, Column, DateTime, Integer, LargeBinary, Table, Text
from sqlalchemy.dialects.postgresql import JSONB

from shared.runtime.bookkeeping import CURSORS, EVENT_LOG, EVENT_PERSONAL, TIMERS
from shared.runtime.rows import RowMap

Part = tuple[Callable[[Any, int], tuple[str, int]], Any]
"""One kind of writing and the rows it is for, None where the table is one of the runtime's own. It gives its SQL, with
parameters numbered from a first one, and the number after its last."""

_ARRAYS = ((BigInteger, "bigint[]"), (Integer, "integer[]"), (Boolean, "boolean[]"), (DateTime, "timestamptz[]"),
           (LargeBinary, "bytea[]"), (JSONB, "jsonb[]"), (Text, "text[]"))  # fmt: skip


@cache
def select_all(parts: tuple[tuple[RowMap[Any], str | None], ...]) -> str:
    """Rows of several tables, each with its group column if it is not by key: one array of records a table, in one row. Last
    come the versions that the cursors among them, always the first, had when the statement began, before it waited for any."""
    ways = ", ".join(f"r{n} AS ({select(rows, group, n)})" for n, (rows, group) in enumerate(parts, 1))
    arrays = ", ".join(f"ARRAY(SELECT r{n} FROM r{n})" for n in range(1, len(parts) + 1))
    key, before = CURSORS.key_column, "NULL"
    if parts[0][0] is CURSORS:
        before = f"ARRAY(SELECT version FROM {CURSORS.name} WHERE {key} = ANY($1::text[]) ORDER BY {key})"
    return f"WITH {ways} SELECT {arrays}, {before}"


@cache
def select(rows: RowMap[Any], group: str | None, number: int) -> str:
    """Rows by key or by a group column, locked; the keys are parameter `number`. Their version comes last."""
    names = ", ".join(f"t.{n}" for n in [*rows.stored_columns, "version"])
    key = rows.key_column
    if group is None:
        return f"SELECT {names} FROM {rows.name} AS t WHERE {key} = ANY(${number}::text[]) ORDER BY {key} FOR UPDATE"
    (_, limit), place = rows.groups[group], _place(rows, group)
    return (
        f"SELECT {names} FROM unnest(${number}::text[]) WITH ORDINALITY AS wanted(value, place) CROSS JOIN LATERAL ("
        f"SELECT * FROM {rows.name} AS t WHERE {group} = wanted.value ORDER BY {place} LIMIT {limit} "
        f"FOR UPDATE) AS t ORDER BY wanted.place, {place}"
    )


@cache
def select_behind(rows: RowMap[Any], group: str) -> str:
    """Rows of the group $1 that stand behind the place ($2, $3) in it, locked. Their version comes last."""
    _, limit = rows.groups[group]
    names, place = ", ".join([*rows.stored_columns, "version"]), _place(rows, group)
    return (
        f"SELECT {names} FROM {rows.name} AS t WHERE {group} = $1 AND ({place}) > ($2, $3) "
        f"ORDER BY {place} LIMIT {limit} FOR UPDATE"
    )


def _place(rows: RowMap[Any], group: str) -> str:
    """Where rows stand in their group. Keys as Python orders them, and along no index of theirs: by statistics of a time when
    the table was empty, one would be walked from its beginning for the rows of one group."""
    order, _ = rows.groups[group]
    key = f't.{rows.key_column} COLLATE "C"'
    return f"{key}, {key}" if order == rows.key_column else f"t.{order}, {key}"


@cache
def save(parts: tuple[Part, ...]) -> str:
    """All writings of a turn as one statement. It returns how many rows each wrote, and the positions of what was logged.

    No two parts write the same row: a data-modifying statement does not see what another beside it did.
    """
    ways, results, first = [], [], 1
    logged = "'{}'::bigint[]"
    for number, (writing, rows) in enumerate(parts):
        sql, first = writing(rows, first)
        ways.append(f"w{number} AS ({sql})")
        results.append(f"(SELECT count(*) FROM w{number})")
        if writing is log:
            ways.append(f"waiting AS (INSERT INTO outbox (position) SELECT position FROM w{number})")
            logged = f"ARRAY(SELECT position FROM w{number})"
    return f"WITH {', '.join(ways)} SELECT {', '.join(results)}, {logged}"


def upsert(rows: RowMap[Any], first: int) -> tuple[str, int]:
    """Insert rows, or change them where the version before theirs still stands."""
    names = [*rows.stored_columns, "version"]
    changed = ", ".join(f"{n} = excluded.{n}" for n in names if n != rows.key_column)
    sql = (
        f"{_into(rows.table, names, first)} ON CONFLICT ({rows.key_column}) DO UPDATE SET {changed} "
        f"WHERE {rows.name}.version = excluded.version - 1 RETURNING 1"
    )
    return sql, first + len(names)


def delete(rows: RowMap[Any], first: int) -> tuple[str, int]:
    """Delete rows by key, where their version still stands. No join: by statistics of a time when the table was empty, it would
    read the whole of it for each key."""
    key, keys, versions = rows.key_column, f"${first}::text[]", f"${first + 1}::bigint[]"
    sql = (
        f"DELETE FROM {rows.name} WHERE {key} = ANY({keys}) "
        f"AND version = ({versions})[array_position({keys}, {key})] RETURNING 1"
    )
    return sql, first + 2


def insert(rows: RowMap[Any], first: int) -> tuple[str, int]:
    """Add rows to a ledger."""
    names = rows.stored_columns
    return f"{_into(rows.table, names, first)} RETURNING 1", first + len(names)


def cancel_timers(_: None, first: int) -> tuple[str, int]:
    """Delete timers by id."""
    return f"DELETE FROM timers WHERE timer_id = ANY(${first}::text[]) RETURNING 1", first + 1


def set_timers(_: None, first: int) -> tuple[str, int]:
    """Insert timers, or move those that are there."""
    names = ("timer_id", "name", "due", "body")
    sql = (
        f"{_into(TIMERS, names, first)} ON CONFLICT (timer_id) "
        "DO UPDATE SET name = excluded.name, due = excluded.due, body = excluded.body RETURNING 1"
    )
    return sql, first + len(names)


def log(_: None, first: int) -> tuple[str, int]:
    """Add events to the log."""
    names = ("stream", "sequence", "type", "time", "actor_kind", "actor_name", "correlation_id", "causation_id", "trace",
             "data", "personal_digest", "previous", "hash")  # fmt: skip
    return f"{_into(EVENT_LOG, names, first)} RETURNING position", first + len(names)


def log_personal(_: None, first: int) -> tuple[str, int]:
    """Add the personal parts of events."""
    names = ("stream", "sequence", "salt", "personal")
    return f"{_into(EVENT_PERSONAL, names, first)} RETURNING 1", first + len(names)


def erase_personal(_: None, first: int) -> tuple[str, int]:
    """Delete the personal parts of all events of streams."""
    return f"DELETE FROM event_personal WHERE stream = ANY(${first}::text[]) RETURNING 1", first + 1


def _into(table: Table, names: Sequence[str], first: int) -> str:
    arrays = ", ".join(f"${n}::{_array(table.columns[name])}" for n, name in enumerate(names, first))
    return f"INSERT INTO {table.name} ({', '.join(names)}) SELECT * FROM unnest({arrays})"


def _array(column: Column[Any]) -> str:
    for kind, array in _ARRAYS:
        if isinstance(column.type, kind):
            return array
    raise TypeError(f"{column}: no array type for {column.type}")


ANY_DUE = "SELECT EXISTS (SELECT FROM timers WHERE due <= $1)"
CLAIM_TIMERS = """
SELECT timer_id, name, due, body FROM timers WHERE due <= $1 AND ($3::text[] IS NULL OR name = ANY($3))
ORDER BY due LIMIT $2 FOR UPDATE SKIP LOCKED
"""
TIMERS_THERE = "SELECT timer_id FROM timers WHERE timer_id = ANY($1::text[]) ORDER BY timer_id FOR UPDATE"
