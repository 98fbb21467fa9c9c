"""History in bulk: orders that were delivered and received long ago, through COPY into the four databases.

One order is played through the real services. Copies of every row that it left take ids of their own, and the hash chains of
their streams are reckoned anew, so that what is filled in obeys the rules as what was played does: `deploy.play.checks` asks
the same invariants of it. Stock that the copies took is received for them in one move a SKU.

The rows of a copy are its bytes as COPY writes them, with holes for the ids, which are as long as those that they stand for. A
process a service fills the holes in, and rows are put in frozen, so that no vacuum has to visit them again.
"""

import asyncio
import io
import re
from collections.abc import AsyncIterator, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from hashlib import sha256
from itertools import groupby
from multiprocessing import get_context
from operator import itemgetter
from typing import Any

import asyncpg

from benchmarks.place import Place
from benchmarks.shop import Shop
from deploy.play.script import SOURCE
from deploy.provision import SERVICES, database_of
from shared.events.identity import order_id
from shared.runtime.chain import GENESIS, link

CHUNK = 500
"""Orders copied at once."""
PLENTY = 1_000
"""Pieces on the shelf beyond what is wanted, so that no SKU runs out while the order is played."""

_APART = ("alembic_version", "outbox", "timers", "levels", "number_ranges")
"""Tables that hold nothing of one order alone."""
_KEYS = """
SELECT c.table_name AS name, string_agg(c.column_name, ', ' ORDER BY c.ordinal_position) AS keys
FROM information_schema.key_column_usage c JOIN information_schema.table_constraints t USING (constraint_name)
WHERE t.constraint_type = 'PRIMARY KEY' AND c.table_schema = 'public' GROUP BY 1 ORDER BY 1
"""
_INDEXES = """
SELECT CASE WHEN c.oid IS NULL THEN format('DROP INDEX %I', n.relname)
            ELSE format('ALTER TABLE %I DROP CONSTRAINT %I', t.relname, c.conname) END AS drop,
       CASE WHEN c.oid IS NULL THEN pg_get_indexdef(n.oid)
            ELSE format('ALTER TABLE %I ADD CONSTRAINT %I %s', t.relname, c.conname, pg_get_constraintdef(c.oid)) END AS make
FROM pg_index i JOIN pg_class n ON n.oid = i.indexrelid JOIN pg_class t ON t.oid = i.indrelid
LEFT JOIN pg_constraint c ON c.conindid = i.indexrelid
WHERE t.relname = ANY($1) AND t.relnamespace = 'public'::regnamespace
"""
_GUARDED = """
SELECT t.relname AS name FROM pg_trigger g JOIN pg_class t ON t.oid = g.tgrelid
WHERE g.tgname = 'append_only' AND t.relname = ANY($1)
"""

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_DRAWN = re.compile(r"[0-9a-f]{15,}")
_ORDER, _NUMBER = 0, 1
"""The holes of the order's id and of the shop's own number, see `play_one`."""
_PAST = 9 * 10**12
"""Numbers of labels begin here, far from those that are given out."""
_HEADER, _TRAILER = b"PGCOPY\n\xff\r\n\0" + bytes(8), b"\xff\xff"
"""Of COPY's binary format, around its rows."""

Row = dict[str, Any]


@dataclass(frozen=True)
class Left:
    """What the played order left in one table."""

    service: str
    table: str
    key: str
    """The first column of its primary key."""
    columns: list[str]
    rows: list[Row]
    raw: bytes
    """The same rows as COPY writes them."""


@dataclass(frozen=True)
class Template:
    """One service's rows of one order; `%(0)s` and so on stands in them where its own ids stood, and `%(h0)s` for hashes."""

    ids: dict[int, str]
    """What stood in the holes, and the shop's own number, of which the order's id is made."""
    tables: dict[str, tuple[list[str], bytes]]
    """Columns and rows of each table."""
    events: list[Row]
    """Of the event log, stream by stream, in order: text has holes here too."""


async def fill(place: Place, left: Sequence[Left], ids: Sequence[str], orders: Mapping[str, int]) -> int:
    """Fill in so many orders like the one of `play_one`, by service; returns how many rows they have."""
    loop = asyncio.get_running_loop()
    with ProcessPoolExecutor(len(SERVICES), mp_context=get_context("spawn")) as pool:
        await asyncio.gather(*(
            loop.run_in_executor(pool, fill_in, place.url(database_of(s)), _template(s, left, ids), orders[s])
            for s in SERVICES
        ))  # fmt: skip
    await _receive(place, orders["warehouse"], next(part.rows for part in left if part.table == "moves"))
    for service in SERVICES:
        await place.execute(database_of(service), "ANALYZE")
    return sum(orders[part.service] * len(part.rows) for part in left)


def fill_in(url: str, template: Template, orders: int) -> None:
    """Fill one service's tables, in a process of its own."""
    asyncio.run(_fill(url, template, orders))


async def _fill(url: str, template: Template, orders: int) -> None:
    connection = await asyncpg.connect(url)
    try:
        async with connection.transaction(), _bare(connection, template.tables):
            for start in range(0, orders, CHUNK):
                copies = list(_copies(template, range(start, min(start + CHUNK, orders))))
                for number, (table, (columns, _)) in enumerate(template.tables.items()):
                    await connection.copy_to_table(
                        table, columns=columns, format="binary", freeze=True, source=_stream(c[number] for c in copies)
                    )  # fmt: skip
    finally:
        await connection.close()


@asynccontextmanager
async def _bare(connection: Any, tables: Collection[str]) -> AsyncIterator[None]:
    """Tables without indexes and guards, emptied by the transaction itself, which may put rows in frozen then. What was in them
    comes back at the end, with the rest."""
    names = list(tables)
    indexes = await connection.fetch(_INDEXES, names)
    guarded = await connection.fetch(_GUARDED, names)
    for table in guarded:
        await connection.execute(f"ALTER TABLE {table['name']} DISABLE TRIGGER append_only")
    for table in tables:
        await connection.execute(f"CREATE TEMP TABLE kept_{table} ON COMMIT DROP AS TABLE {table}")
        await connection.execute(f"TRUNCATE {table}")
    for index in indexes:
        await connection.execute(index["drop"])
    yield
    for table in tables:
        await connection.execute(f"INSERT INTO {table} OVERRIDING SYSTEM VALUE TABLE kept_{table}")
    for index in indexes:
        await connection.execute(index["make"])
    for table in guarded:
        await connection.execute(f"ALTER TABLE {table['name']} ENABLE ALWAYS TRIGGER append_only")


async def _stream(rows: Iterator[bytes]) -> AsyncIterator[bytes]:
    yield _HEADER + b"".join(rows) + _TRAILER


def _copies(template: Template, numbers: range) -> Iterator[list[bytes]]:
    """Rows of each table in turn, for each copy."""
    tables = [rows for _, rows in template.tables.values()]
    for number in numbers:
        ids = _ids(number, template.ids)
        holes = {hole.encode(): value.encode() for hole, value in ids.items()}
        for place, value in enumerate(_chain(template.events, ids)):
            holes[b"h%d" % place] = value
        yield [rows % holes for rows in tables]


def _ids(copy: int, like: Mapping[int, str]) -> dict[str, str]:
    """The ids of one copy, as long as those that they stand for, and lying in their indexes as those do.

    Orders are counted up, as shops do, before those that are played; what is drawn or hashed lies anywhere.
    """
    ids = {}
    for hole, own in like.items():
        drawn = sha256(b"%d %d" % (hole, copy)).hexdigest()
        if hole == _ORDER:
            value = order_id(SOURCE, _counted(copy, like[_NUMBER]))
        elif _UUID.fullmatch(own):
            value = f"{drawn[:8]}-{drawn[8:12]}-{drawn[12:16]}-{drawn[16:20]}-{drawn[20:32]}"
        elif _DRAWN.fullmatch(own):
            value = drawn[: len(own)]
        else:
            value = _counted(_PAST + copy, own)
        ids[str(hole)] = value
    return ids


def _counted(copy: int, like: str) -> str:
    """The number with its digits replaced, as many as an order's id takes of them: 00000012-0-00000 after 96022221-2-00002."""
    digits = iter(f"{copy:013d}".ljust(len(like), "0"))
    return "".join(next(digits) if c.isdigit() else c for c in like)


def _chain(events: Sequence[Row], ids: Mapping[str, str]) -> list[bytes]:
    """The hashes that link the events of one copy, as the service would have reckoned them."""
    hashes = []
    for stream, following in groupby(events, key=itemgetter("stream")):
        previous = GENESIS
        for event in following:
            caused_by: str | None = event["causation_id"]
            previous = link(
                previous,
                stream=stream % ids,
                sequence=event["sequence"],
                type=event["type"],
                time=event["time"],
                actor=f"{event['actor_kind']}:{event['actor_name']}",
                causation_id=caused_by and caused_by % ids,
                data=event["data"] % ids,
                personal_digest=event["personal_digest"],
            )
            hashes.append(previous)
    return hashes


async def play_one(shop: Shop) -> tuple[list[Left], list[str]]:
    """Play one order; the rows that were not there before it, and the ids that are its own."""
    script = shop.scripts(1)[0]
    await shop.stock([script], times=PLENTY)
    async with AsyncExitStack() as connected:
        connections = {}
        for service in SERVICES:
            connections[service] = await asyncpg.connect(shop.place.url(database_of(service)))
            connected.push_async_callback(connections[service].close)
        before = {s: await _all(c) for s, c in connections.items()}
        await shop.play([script])
        left = [part for s, c in connections.items() for part in await _left(s, c, before[s])]
    label = next(part.rows[0] for part in left if part.table == "labels")
    ids = [script.order_id, script.number, label["tracking_number"], shop.name]
    names = {str(row[part.key]) for part in left for row in part.rows}
    # keys that were made for this order by chance or by hash: they stand for it alone, wherever they are quoted
    ids += [n.rsplit(" ", 1)[-1] for n in sorted(names) if not n.isdigit() and not any(i in n for i in ids)]
    return left, ids


async def _left(
    service: str, connection: Any, before: Mapping[tuple[str, str], Mapping[str, Row]]
) -> list[Left]:
    left = []
    for (table, keys), rows in (await _all(connection)).items():
        fresh = {key: row for key, row in rows.items() if key not in before[table, keys]}
        if fresh:
            columns = [c for c in next(iter(fresh.values())) if c not in ("position", "key_text")]
            raw = await _raw(connection, table, columns, keys, list(fresh))
            left.append(Left(service, table, keys.split(", ")[0], columns, list(fresh.values()), raw))
    return left


async def _all(connection: Any) -> dict[tuple[str, str], dict[str, Row]]:
    """All rows by their primary keys, for each table and the columns of its key."""
    found = {}
    for table, keys in await connection.fetch(_KEYS):
        if table not in _APART:
            rows = await connection.fetch(
                f"SELECT *, ROW({keys})::text AS key_text FROM {table} ORDER BY {keys}"
            )
            found[table, keys] = {row["key_text"]: dict(row) for row in rows}
    return found


async def _raw(connection: Any, table: str, columns: Sequence[str], keys: str, fresh: Sequence[str]) -> bytes:
    """Some rows as COPY writes them."""
    output = io.BytesIO()
    await connection.copy_from_query(
        f"SELECT {', '.join(columns)} FROM {table} WHERE ROW({keys})::text = ANY($1) ORDER BY {keys}",
        fresh, output=output, format="binary",
    )  # fmt: skip
    return output.getvalue().removeprefix(_HEADER).removesuffix(_TRAILER)


def _template(service: str, left: Sequence[Left], ids: Sequence[str]) -> Template:
    own = [part for part in left if part.service == service]
    rows = [row for part in own if part.table == "event_log" for row in part.rows]
    events = sorted(rows, key=lambda e: (e["stream"], e["sequence"]))
    holes = {value.encode(): b"%%(%d)s" % hole for hole, value in enumerate(ids)}
    holes |= {event["hash"]: b"%%(h%d)s" % place for place, event in enumerate(events)}
    tables = {part.table: (part.columns, _holed(part.raw, holes)) for part in own}
    text = {value.encode(): b"%%(%d)s" % hole for hole, value in enumerate(ids)}
    return Template(
        {
            hole: value
            for hole, value in enumerate(ids)
            if any(b"%%(%d)s" % hole in raw for _, raw in tables.values())
        }
        | {_NUMBER: ids[_NUMBER]},
        tables,
        [
            {c: _holed(v.encode(), text).decode() if isinstance(v, str) else v for c, v in e.items()}
            for e in events
        ],
    )


def _holed(raw: bytes, holes: Mapping[bytes, bytes]) -> bytes:
    """The bytes with holes where their keys stand."""
    raw = raw.replace(b"%", b"%%")
    for own, hole in holes.items():
        raw = raw.replace(own.replace(b"%", b"%%"), hole)
    return raw


async def _receive(place: Place, orders: int, moves: Sequence[Row]) -> None:
    """What the copies' moves took off the shelf was put on it before."""
    for sku in {m["sku"] for m in moves}:
        taken = -sum(m["on_hand"] for m in moves if m["sku"] == sku) * orders
        held = sum(m["allocated"] for m in moves if m["sku"] == sku)
        assert taken > 0, "the played order took nothing"
        assert held == 0, "the played order left something reserved"
        await place.execute(
            database_of("warehouse"),
            "INSERT INTO moves (sku, kind, on_hand, allocated, quantity, location, at, actor, reason) "
            f"VALUES ('{sku}', 'received', {taken}, 0, {taken}, 'A-01', now(), 'system:history', '')",
        )
