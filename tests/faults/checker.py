"""The independent judge: what was accepted at the edges against what the databases and topics hold. SQL and plain Python only.

The invariants that hold at any time are those of the demo (`deploy/play/checks.py`, plain SQL too); here is what can be said
because every answer and acknowledgment was remembered. It imports none of the code that it judges (`make check` sees to it).
"""

import asyncio
import json
from collections import Counter
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg

from deploy.play.checks import check_all
from tests.faults.findings import Accepted, Findings
from tests.faults.letters import delivered, judge_letters, judge_messages, judge_told
from tests.faults.witness import TOPICS, Witness, wording

Connections = Mapping[str, Any]


async def check(
    databases: Mapping[str, str], accepted: Accepted, witness: Witness, letters: Path
) -> Findings:
    """Compare everything. Call it when nothing is on its way. `letters` is the folder of the file channel."""
    found = Findings()
    found.out_of_order += witness.out_of_order
    found.broken += witness.otherwise
    for one in await check_all(databases):
        found.broken += [f"{one.service}: {one.rule}: {what}" for what in one.against]
    async with asyncio.timeout(120):
        connections = {name: await asyncpg.connect(url) for name, url in databases.items()}
    try:
        await _edges(connections, accepted, found)
        await _commands(connections, accepted, found)
        await _orders(connections["orders"], accepted, found)
        await _goods(connections["warehouse"], accepted, found)
        await _dates(connections, found)
        await _topics(connections, witness, found)
        await _wording(connections, witness, found)
        await judge_messages(connections["notify"], found)
        await judge_letters(connections["notify"], delivered(letters), accepted, found)
        await judge_told(connections, found)
        await _refunds(connections, accepted, found)
    finally:
        for connection in connections.values():
            await connection.close()
    return found


async def _edges(connections: Connections, accepted: Accepted, found: Findings) -> None:
    """Whatever was accepted is known, under its own id, and none of it stands aside."""
    for service, keys in accepted.messages.items():
        known = {r["key"] for r in await connections[service].fetch("SELECT key FROM inbox")}
        found.lost += [f"{service}: {key} was accepted and is not known" for key in sorted(keys - known)]


async def _commands(connections: Connections, accepted: Accepted, found: Findings) -> None:
    """Every command that was answered did what it asks for, and did it once: the events that it caused say so."""
    for service, keys in accepted.commands.items():
        rows = await connections[service].fetch(
            "SELECT causation_id AS key, stream, type, data FROM event_log WHERE causation_id = ANY($1)",
            [*keys],
        )
        done = Counter((r["key"], r["stream"], r["type"], r["data"]) for r in rows)
        idle = keys - {key for key, *_ in done}
        found.lost += [f"{service}: command {key} was answered and said nothing" for key in sorted(idle)]
        found.doubled += [
            f"{service}: command {key} said {type} of {stream} {n} times"
            for (key, stream, type, _), n in done.items()
            if n > 1
        ]


async def _orders(orders: Any, accepted: Accepted, found: Findings) -> None:
    """Every order is there once, with each of its payments once, and stands where its story ends."""
    rows = await orders.fetch("SELECT order_id, status, doc->'payments' AS payments FROM orders")
    held = {r["order_id"]: r for r in rows}
    for order_id, order in accepted.orders.items():
        row = held.get(order_id)
        if row is None:
            found.lost.append(f"orders: {order.number}")
            continue
        end = "canceled" if order.canceled else "completed"
        if row["status"] != end:
            found.lost.append(f"orders: {order.number} is {row['status']}, its story ends {end}")
        payments = Counter(p["payment_id"] for p in json.loads(row["payments"]))
        _once(found, f"orders: payments of {order.number}", payments, order.payments)
    # what must be said once in the life of an order
    twice = await orders.fetch(
        """SELECT stream, type FROM event_log WHERE type = ANY($1) GROUP BY stream, type HAVING count(*) > 1""",
        [f"orders.{n}.v1" for n in ("order_placed", "order_paid", "order_released", "order_completed", "order_canceled")],
    )  # fmt: skip
    found.doubled += [f"orders: {r['stream']} {r['type']} was said twice" for r in twice]
    early = await orders.fetch(
        """SELECT stream FROM event_log e JOIN heard h ON e.stream = 'order/' || h.order_id
           WHERE e.type = 'orders.order_completed.v1' AND e.data::jsonb->>'confirmed_by_buyer' = 'false'
           AND h.type = 'warehouse.shipment_delivered.v1' AND e.time < h.at + $1""",
        accepted.completes_after,
    )
    found.broken += [f"orders: {r['stream']} was completed by time before its time" for r in early]
    paid = await orders.fetch(
        """SELECT stream, data::jsonb->>'payment_id' AS payment FROM event_log WHERE type = 'orders.payment_recorded.v1'
           GROUP BY 1, 2 HAVING count(*) > 1"""
    )
    found.doubled += [f"orders: payment {r['payment']} was booked twice" for r in paid]


def _once(found: Findings, what: str, counts: Counter[str], wanted: int) -> None:
    if len(counts) < wanted:
        found.lost.append(f"{what}: {len(counts)} of {wanted}")
    found.doubled += [f"{what}: {name} {n} times" for name, n in counts.items() if n > 1]


ASTRAY = timedelta(minutes=1)
"""How far two clocks may be apart: much less than those of hosts are made to jump."""


async def _dates(connections: Connections, found: Findings) -> None:
    """No event is dated ahead of the present, or before the one before it in its stream, as by a host whose clock is wrong."""
    for service in TOPICS:
        rows = await connections[service].fetch(
            """SELECT stream, sequence FROM (SELECT stream, sequence, time,
                 lag(time) OVER (PARTITION BY stream ORDER BY sequence) AS before FROM event_log) e
               WHERE time > clock_timestamp() + $1 OR time < before - $1""",
            ASTRAY,
        )
        found.broken += [f"log of {service}: {r['stream']}/{r['sequence']} has a wrong time" for r in rows]


async def _goods(warehouse: Any, accepted: Accepted, found: Findings) -> None:
    """Received is what was scanned, piece by piece; what left is what was ordered, parcel by parcel."""
    received = {
        r["sku"]: int(r["n"])
        for r in await warehouse.fetch(
            "SELECT sku, sum(on_hand) AS n FROM moves WHERE kind = 'received' GROUP BY sku"
        )
    }
    for sku in received.keys() | accepted.stocked.keys():
        there, scanned = received.get(sku, 0), accepted.stocked[sku]
        if there != scanned:
            into = found.lost if there < scanned else found.doubled
            into.append(f"warehouse: {there} of {sku} received, {scanned} scanned")
    shipped: dict[str, Counter[str]] = {}
    for r in await warehouse.fetch(
        "SELECT order_id, sku, -sum(on_hand) AS n FROM moves WHERE kind = 'shipped' GROUP BY 1, 2"
    ):
        shipped.setdefault(r["order_id"], Counter())[r["sku"]] = int(r["n"])
    for order_id, order in accepted.orders.items():
        wanted = Counter() if order.canceled else order.pieces
        left = shipped.get(order_id, Counter())
        found.lost += [f"warehouse: {order.number} lacks {sku}" for sku in wanted - left]
        found.doubled += [f"warehouse: {order.number} sent too much {sku}" for sku in left - wanted]


async def _topics(connections: Connections, witness: Witness, found: Findings) -> None:
    """Every event of the logs can be read from the topics."""
    for service in TOPICS:
        heads = await connections[service].fetch(
            "SELECT stream, max(sequence) AS n FROM event_log GROUP BY stream"
        )
        for r in heads:
            read = witness.highest.get((service, r["stream"]), 0)
            if read < r["n"]:
                found.lost.append(f"topic {service}: {r['stream']} ends at {read} of {r['n']}")
            elif read > r["n"]:
                found.lost.append(f"log of {service}: {r['stream']} ends at {r['n']}, {read} was sent")


async def _refunds(connections: Connections, accepted: Accepted, found: Findings) -> None:
    """Whoever canceled got back, once, what had been taken for the order by then; nobody else got anything."""
    refunded = await _amounts(connections["aftersales"], "aftersales.refund_requested.v1")
    booked = await _amounts(connections["orders"], "orders.payment_recorded.v1")
    for order_id, order in accepted.orders.items():
        owed = booked.get(order_id, 0) if order.canceled else 0
        back = refunded.get(order_id, 0)
        if back != owed:
            into = found.lost if back < owed else found.doubled
            into.append(f"aftersales: {back} of {owed} were paid back for {order.number}")


async def _amounts(service: Any, event: str) -> dict[str, int]:
    """What all events of a type say together, by order."""
    rows = await service.fetch(
        """SELECT stream, sum((data::jsonb->'amount'->>'amount')::bigint) AS n FROM event_log
           WHERE type = $1 GROUP BY stream""",
        event,
    )
    return {r["stream"].removeprefix("order/"): int(r["n"]) for r in rows}


async def _wording(connections: Connections, witness: Witness, found: Findings) -> None:
    """What was read on the topics is what the logs say: when, by whom, why and what."""
    for service in TOPICS:
        rows = await connections[service].fetch(
            "SELECT stream, sequence, type, time, actor_kind || ':' || actor_name AS who, causation_id, data FROM event_log"
        )
        for r in rows:
            heard = witness.said.get((service, r["stream"], r["sequence"]))
            data = json.loads(r["data"])
            if heard not in (None, wording(r["type"], r["time"], r["who"], r["causation_id"], data)):
                found.broken.append(f"topic {service}: {r['stream']}/{r['sequence']} is not as its log says")


async def unsent_messages(database: str) -> int:
    """How many messages wait to be sent. A sender that died holds its messages until its lease ends."""
    connection = await asyncpg.connect(database)
    try:
        return int(await connection.fetchval("SELECT count(*) FROM messages WHERE state = 'planned'"))
    finally:
        await connection.close()


async def moving(databases: Mapping[str, str], witness: Witness) -> str:
    """Empty when nothing is on its way: all that was said was sent, read, and applied by everyone who hears it."""
    connections: dict[str, Any] = {}
    try:
        for name, url in databases.items():
            connections[name] = await asyncpg.connect(url, timeout=5)
        for name, connection in connections.items():
            if unsent := await connection.fetchval("SELECT count(*) FROM outbox"):
                return f"{name}: {unsent} events to send"
            if parked := await connection.fetchval("SELECT count(*) FROM parked WHERE queue <> ''"):
                return f"{name}: {parked} messages stand aside"
        for publisher, connection in connections.items():
            said = await connection.fetchval(
                "SELECT coalesce(sum(n), 0) FROM (SELECT max(sequence) AS n FROM event_log GROUP BY stream) s"
            )
            for name, hearer in connections.items():
                applied = await hearer.fetchval(
                    "SELECT sum(sequence) FROM cursors WHERE starts_with(lane, $1 || '|')", publisher
                )
                if applied is not None and applied != said:
                    return f"{name}: applied {applied} of {said} of {publisher}"
        return "" if await witness.caught_up() else "the witness reads"
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        return f"the databases cannot be asked: {type(error).__name__}"
    finally:
        for connection in connections.values():
            await connection.close()
