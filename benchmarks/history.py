"""History in bulk: orders that were delivered and received long ago, through COPY into the four databases.

One order is played through the real services. Copies of every row that it left take ids of their own, and the hash chains of
their streams are reckoned anew, so that what is filled in obeys the rules as what was played does: `deploy.play.checks` asks
the same invariants of it. Stock that the copies took is received for them in one move a SKU.
"""

import asyncio
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any
from uuid import UUID

import asyncpg

from benchmarks.shop import Shop
from deploy.play.script import SOURCE
from deploy.provision import SERVICES
from shared.events.identity import order_id
from shared.runtime.chain import GENESIS, link

CHUNK = 2_000
"""Orders copied at once."""
PLENTY = 1_000
"""Pieces on the shelf beyond what is wanted, so that no SKU runs out while the order is played."""

_APART = ("alembic_version", "outbox", "timers", "levels", "number_ranges")
"""Tables that hold nothing of one order alone."""
_KEYS = """
SELECT c.table_name AS name, array_agg(c.column_name::text) AS keys
FROM information_schema.key_column_usage c JOIN information_schema.table_constraints t USING (constraint_name)
WHERE t.constraint_type = 'PRIMARY KEY' AND c.table_schema = 'public' GROUP BY 1 ORDER BY 1
"""

_HEADS = """
UPDATE stream_heads h SET hash = l.hash FROM event_log l
WHERE l.stream = h.stream AND l.sequence = h.sequence AND h.hash <> l.hash
"""

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_HEX = re.compile(r"[0-9a-f]{28,}")
_ORDER, _NUMBER = "0", "1"
"""The holes of the order's id and of the shop's own number, see `_played`."""

Row = dict[str, Any]


@dataclass(frozen=True)
class Rows:
    """What the played order left in one table; text holds `%(0)s` and so on where the order's own ids stood."""

    service: str
    table: str
    columns: list[str]
    rows: list[Row]
    ids: list[str]
    """What stood in the holes."""


async def fill(shop: Shop, orders: Mapping[str, int]) -> int:
    """Fill in so many orders, by service; returns how many rows they have."""
    connections = {s: await _connect(shop, s) for s in SERVICES}
    try:
        left = await _played(shop, connections)
        rows = {s: [r for r in left if r.service == s] for s in SERVICES}
        await asyncio.gather(*(_fill(connections[s], rows[s], orders[s]) for s in SERVICES))
        await _receive(
            connections["warehouse"], orders["warehouse"], next(r for r in left if r.table == "moves")
        )
        for connection in connections.values():
            await connection.execute("VACUUM ANALYZE")
        return sum(orders[r.service] * len(r.rows) for r in left)
    finally:
        for connection in connections.values():
            await connection.close()


async def _fill(connection: Any, left: Sequence[Rows], orders: int) -> None:
    """Fill one service's tables."""
    for start in range(0, orders, CHUNK):
        numbers = range(start, min(start + CHUNK, orders))
        for rows in left:
            copies = list(_copies(rows, numbers))
            await connection.copy_records_to_table(rows.table, records=copies, columns=rows.columns)
    await connection.execute(_HEADS)


async def _connect(shop: Shop, service: str) -> Any:
    connection = await asyncpg.connect(shop.place.url(f"handover_{service}"))
    # as it is sent in COPY's binary format: a version, then text
    await connection.set_type_codec(
        "jsonb",
        schema="pg_catalog",
        encoder=lambda text: b"\x01" + text.encode(),
        decoder=lambda data: data[1:].decode(),
        format="binary",
    )
    return connection


async def _played(shop: Shop, connections: dict[str, Any]) -> list[Rows]:
    """Play one order and find the rows that were not there before it."""
    script = shop.scripts(1)[0]
    await shop.stock([script], times=PLENTY)
    before = {s: await _all(c) for s, c in connections.items()}
    await shop.play([script])
    new: dict[tuple[str, str], list[Row]] = {}
    keys: set[str] = set()
    for service, connection in connections.items():
        for table, rows in (await _all(connection)).items():
            fresh = [row for key, row in rows.items() if key not in before[service][table]]
            keys.update(str(key[0]) for key in rows.keys() - before[service][table].keys())
            if fresh:
                new[service, table] = fresh
    label = new["warehouse", "labels"][0]
    ids = [script.order_id, script.number, label["tracking_number"], shop.name]
    # keys that were made for this order by chance or by hash: they stand for it alone, wherever they are quoted
    ids += [k.rsplit(" ", 1)[-1] for k in sorted(keys) if not k.isdigit() and not any(i in k for i in ids)]
    return [
        Rows(s, table, [c for c in rows[0] if c != "position"], [_holed(r, ids) for r in rows], ids)
        for (s, table), rows in new.items()
    ]


async def _all(connection: Any) -> dict[str, dict[tuple[Any, ...], Row]]:
    """All rows by table and primary key."""
    found = {}
    for table in await connection.fetch(_KEYS):
        name, keys = table["name"], sorted(table["keys"])
        if name not in _APART:
            rows = await connection.fetch(f"SELECT * FROM {name} ORDER BY {', '.join(keys)}")
            found[name] = {tuple(r[k] for k in keys): dict(r) for r in rows}
    return found


def _holed(row: Row, ids: Sequence[str]) -> Row:
    """The row with a hole wherever one of the ids stands."""
    holed = {}
    for column, value in row.items():
        if isinstance(value, str):
            value = value.replace("%", "%%")
            for number, own in enumerate(ids):
                value = value.replace(own.replace("%", "%%"), f"%({number})s")
        holed[column] = value
    return holed


class _Ids(dict[str, str]):
    """The ids of one copy: made when a hole asks for them, and lying in their indexes as those that they stand for do.

    Orders are counted up, as shops do, before those that are played; what is drawn or hashed lies anywhere.
    """

    def __init__(self, copy: int, ids: Sequence[str]) -> None:
        super().__init__()
        self.number = copy
        self.like = ids

    def __missing__(self, hole: str) -> str:
        like, drawn = self.like[int(hole)], sha256(f"{hole} {self.number}".encode()).hexdigest()
        if hole == _ORDER:
            value = order_id(SOURCE, self[_NUMBER])
        elif _UUID.fullmatch(like):
            value = str(UUID(drawn[:32]))
        elif _HEX.fullmatch(like):
            value = drawn[: len(like)]
        else:
            value = f"past-{hole}-{self.number:08d}"
        self[hole] = value
        return value


def _copies(rows: Rows, numbers: range) -> Iterator[tuple[Any, ...]]:
    for number in numbers:
        ids = _Ids(number, rows.ids)
        copies = [
            {c: v % ids if isinstance(v, str) else v for c, v in row.items() if c != "position"}
            for row in rows.rows
        ]
        if rows.table == "event_log":
            _chain(copies)
        for copy in copies:
            yield tuple(copy.values())


def _chain(events: list[Row]) -> None:
    """Link the events of one copy, stream by stream, as the service would have."""
    heads: dict[str, bytes] = {}
    for event in sorted(events, key=lambda e: (e["stream"], e["sequence"])):
        event["previous"] = heads.get(event["stream"], GENESIS)
        event["hash"] = heads[event["stream"]] = link(
            event["previous"],
            stream=event["stream"],
            sequence=event["sequence"],
            type=event["type"],
            time=event["time"],
            actor=f"{event['actor_kind']}:{event['actor_name']}",
            causation_id=event["causation_id"],
            data=event["data"],
            personal_digest=event["personal_digest"],
        )


async def _receive(connection: Any, orders: int, moves: Rows) -> None:
    """What the copies' moves took off the shelf was put on it before."""
    for sku in {m["sku"] for m in moves.rows}:
        taken = -sum(m["on_hand"] for m in moves.rows if m["sku"] == sku) * orders
        held = sum(m["allocated"] for m in moves.rows if m["sku"] == sku)
        assert taken > 0, "the played order took nothing"
        assert held == 0, "the played order left something reserved"
        await connection.execute(
            """
            INSERT INTO moves (sku, kind, on_hand, allocated, quantity, location, at, actor, reason)
            VALUES ($1, 'received', $2, 0, $2, 'A-01', now(), 'system:history', '')
            """,
            sku.replace("%%", "%"),
            taken,
        )
