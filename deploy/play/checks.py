"""The invariants of the design, asked of the four databases in SQL: nothing here uses the code that it checks."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import asyncpg

EMPTY_IS_RIGHT: dict[str, list[tuple[str, str]]] = {
    "warehouse": [
        (
            "stock: on hand and allocated equal the sum of their moves",
            """SELECT sku FROM levels FULL JOIN (SELECT sku, sum(on_hand) AS h, sum(allocated) AS a FROM moves GROUP BY sku) m
               USING (sku) WHERE on_hand IS DISTINCT FROM coalesce(h, 0) OR allocated IS DISTINCT FROM coalesce(a, 0)""",
        ),
        ("stock: available is never below zero", "SELECT sku FROM levels WHERE on_hand < allocated OR allocated < 0"),
        (
            "stock: allocated equals what open fulfillments want",
            """WITH wanted AS (
                 SELECT l->>'sku' AS sku, sum((l->>'quantity')::int) AS n
                 FROM fulfillments f, jsonb_array_elements(f.doc->'lines') l
                 WHERE state IN ('allocated','picking','picked','checking','checked','packed') GROUP BY 1),
               left_already AS (
                 SELECT l->>'sku' AS sku, sum((l->>'quantity')::int) AS n
                 FROM shipments s JOIN fulfillments f USING (order_id), jsonb_array_elements(s.doc->'lines') l
                 WHERE f.state IN ('checked', 'packed') AND s.state NOT IN ('ready','canceled') GROUP BY 1)
               SELECT sku FROM levels LEFT JOIN wanted w USING (sku) LEFT JOIN left_already g USING (sku)
               WHERE allocated <> coalesce(w.n, 0) - coalesce(g.n, 0)""",
        ),
        (
            "stock: what left in canceled parcels is out of the books, or waits to be",
            """WITH lost AS (
                 SELECT l->>'sku' AS sku, sum((l->>'quantity')::int) AS n
                 FROM shipments s, jsonb_array_elements(s.doc->'lines') l
                 WHERE s.state = 'canceled' AND s.doc->>'shipped_at' IS NOT NULL GROUP BY 1),
               booked AS (SELECT sku, sum(quantity) AS n FROM moves WHERE kind = 'gone' GROUP BY 1)
               SELECT sku FROM levels v LEFT JOIN lost USING (sku) LEFT JOIN booked USING (sku)
               WHERE coalesce(lost.n, 0) <> coalesce(booked.n, 0) + coalesce((v.doc->>'gone')::int, 0)""",
        ),
        (
            "W4: whoever picked did not check",
            "SELECT order_id FROM fulfillments WHERE picker = checker OR jsonb_exists(doc->'pickers', checker)",
        ),
        (
            "W7: a parcel leaves at most once",
            """SELECT data::jsonb->>'shipment_id' FROM event_log
               WHERE type IN ('warehouse.shipment_shipped.v1', 'warehouse.canceled_shipment_left.v1')
               GROUP BY 1 HAVING count(*) > 1""",
        ),
        (
            "W7: nothing leaves for a canceled order",
            """SELECT s.stream FROM event_log s JOIN event_log c ON c.stream = s.stream AND c.sequence < s.sequence
               AND c.type = 'warehouse.fulfillment_canceled.v1'
               LEFT JOIN event_log again ON again.stream = s.stream AND again.sequence BETWEEN c.sequence AND s.sequence
               AND again.type = 'warehouse.fulfillment_allocated.v1'
               WHERE s.type = 'warehouse.shipment_shipped.v1' AND again.stream IS NULL""",
        ),
    ],
    "orders": [
        ("O3: what counts as paid never exceeds the total",
         """SELECT order_id FROM orders WHERE (SELECT coalesce(sum((p->>'amount')::bigint), 0)
            FROM jsonb_array_elements(doc->'payments') p WHERE (p->>'counts')::bool) > (doc->>'total')::bigint"""),
        ("O7: no order is released while its money is not right",
         """SELECT r.stream FROM event_log r WHERE r.type = 'orders.order_released.v1'
            AND r.data::jsonb->>'payment_method' = 'prepaid' AND NOT EXISTS (SELECT 1 FROM event_log p
            WHERE p.stream = r.stream AND p.sequence < r.sequence AND p.type = 'orders.order_paid.v1')
            AND (SELECT (o.doc->>'total')::bigint FROM orders o WHERE o.order_id = substr(r.stream, 7)) > 0"""),
        ("O10: an order ends once",
         """SELECT stream FROM event_log WHERE type IN ('orders.order_canceled.v1', 'orders.order_expired.v1',
            'orders.order_completed.v1') GROUP BY stream HAVING count(*) > 1"""),
    ],
    "aftersales": [],
    "notify": [],
}  # fmt: skip

HEARS = {
    "orders": {"warehouse", "aftersales", "notify"},
    "warehouse": {"orders", "aftersales"},
    "aftersales": {"orders", "warehouse"},
    "notify": {"orders", "warehouse", "aftersales", "notify"},
}
"""Who hears whom: without, whoever never read a topic would be taken for one that does not hear its publisher."""

EVERYWHERE = [
    ("X2: nothing is parked", "SELECT parked_key FROM parked WHERE queue <> ''"),
    ("X2: everything said was sent", "SELECT position::text FROM outbox"),
    (
        "X2: streams are numbered without gaps",
        "SELECT stream FROM event_log GROUP BY stream HAVING count(*) <> max(sequence) OR min(sequence) <> 1",
    ),
]


@dataclass(frozen=True)
class Check:
    """One invariant, asked of one database (or two): right when nothing was found against it."""

    service: str
    rule: str
    against: list[str]


async def check_all(databases: Mapping[str, str]) -> list[Check]:
    """Ask every invariant; `databases` is a URL for each service."""
    connections = {name: await asyncpg.connect(url) for name, url in databases.items()}
    try:
        checks = []
        for service, connection in connections.items():
            for rule, sql in [*EMPTY_IS_RIGHT.get(service, []), *EVERYWHERE]:
                found = [str(r[0]) for r in await connection.fetch(f"{sql} LIMIT 20")]
                checks.append(Check(service, rule, found))
            checks.append(
                Check(service, "O12: the hash chains are unbroken", await _broken_chains(connection))
            )
        checks += [await _applied(connections, publisher) for publisher in connections]
        return checks
    finally:
        for connection in connections.values():
            await connection.close()


async def _applied(connections: Mapping[str, Any], publisher: str) -> Check:
    """Every event was applied by everybody who hears its publisher: their cursors stand where its streams end."""
    heads = {r["stream"]: r["n"] for r in await connections[publisher].fetch(
        "SELECT stream, max(sequence) AS n FROM event_log GROUP BY stream")}  # fmt: skip
    against = []
    for name, connection in connections.items():
        cursors = await connection.fetch(
            "SELECT substr(lane, length($1) + 2) AS stream, sequence FROM cursors WHERE starts_with(lane, $1 || '|')",
            publisher,
        )
        if not cursors and publisher not in HEARS[name]:
            continue
        seen = {r["stream"]: r["sequence"] for r in cursors}
        against += [
            f"{name} {stream}: {seen.get(stream, 0)} of {n}"
            for stream, n in heads.items()
            if seen.get(stream) != n
        ]
    return Check(publisher, "X2: every event was applied exactly once by everyone who hears it", against[:20])


async def _broken_chains(connection: Any) -> list[str]:
    """Streams whose chain does not verify, computed here from the documented rule (docs/reliability.md)."""
    broken = []
    last: dict[str, bytes] = {}
    async with connection.transaction():
        async for r in connection.cursor("SELECT * FROM event_log ORDER BY stream, sequence"):
            previous = last.get(r["stream"], bytes(32))
            digest = hashlib.sha256(previous)
            actor = f"{r['actor_kind']}:{r['actor_name']}"
            time = r["time"].isoformat(timespec="microseconds")
            for part in (
                r["stream"],
                str(r["sequence"]),
                r["type"],
                time,
                actor,
                r["causation_id"] or "",
                r["data"],
            ):
                raw = part.encode()
                digest.update(len(raw).to_bytes(8, "big") + raw)
            digest.update(r["personal_digest"] or b"")
            if r["previous"] != previous or r["hash"] != digest.digest():
                broken.append(f"{r['stream']}/{r['sequence']}")
            last[r["stream"]] = r["hash"]
    return broken[:20]
