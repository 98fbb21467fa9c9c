"""The independent judge: what was accepted at the edges against what the databases and topics hold. SQL and plain Python only.

The invariants that hold at any time are those of the demo (`deploy/play/checks.py`, plain SQL too); here is what can be said
because every answer and acknowledgment was remembered.
"""

import asyncio
import contextlib
import json
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg

from deploy.play.checks import check_all
from deploy.play.script import Script, Story
from tests.faults.cluster import COMPLETES_AFTER
from tests.faults.witness import TOPICS, Witness, wording

Connections = Mapping[str, Any]


@dataclass
class Findings:
    """What the checker found against the system; all empty is what is promised."""

    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    out_of_order: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    """Invariants that do not hold: stock, chains, people."""

    def __bool__(self) -> bool:
        return bool(self.lost or self.doubled or self.out_of_order or self.broken)

    def without(self, before: "Findings") -> "Findings":
        """What was not found before."""
        return Findings(
            *(
                [one for one in getattr(self, f.name) if one not in getattr(before, f.name)]
                for f in fields(self)
            )
        )


@dataclass
class Accepted:
    """What the system took upon itself."""

    messages: Mapping[str, set[str]]
    """Per service, (source, id) of what was answered with 2xx or acknowledged."""
    orders: Mapping[str, Script]
    """Orders whose whole story was answered by events."""
    stocked: Counter[str]
    """Pieces by SKU."""


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
        await _orders(connections["orders"], accepted, found)
        await _goods(connections["warehouse"], accepted, found)
        await _topics(connections, witness, found)
        await _wording(connections, witness, found)
        await _messages(connections["notify"], found)
        await _letters(connections["notify"], delivered(letters), accepted, found)
        await _told(connections, found)
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


async def _orders(orders: Any, accepted: Accepted, found: Findings) -> None:
    """Every order is there once, with each of its payments once, and stands where its story ends."""
    rows = await orders.fetch("SELECT order_id, status, doc->'payments' AS payments FROM orders")
    held = {r["order_id"]: r for r in rows}
    for order_id, script in accepted.orders.items():
        row = held.get(order_id)
        if row is None:
            found.lost.append(f"orders: {script.number}")
            continue
        end = "canceled" if script.story is Story.CANCELED_EARLY else "completed"
        if row["status"] != end:
            found.lost.append(f"orders: {script.number} is {row['status']}, its story ends {end}")
        payments = Counter(p["payment_id"] for p in json.loads(row["payments"]))
        cod = script.order.payment_method == "cod"
        wanted = 0 if cod else 2 if script.story is Story.TWO_PAYMENTS else 1
        _once(found, f"orders: payments of {script.number}", payments, wanted)
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
        timedelta(seconds=COMPLETES_AFTER),
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
    for order_id, script in accepted.orders.items():
        wanted = Counter({line.sku: line.quantity for line in script.order.lines})
        if script.story is Story.CANCELED_EARLY:
            wanted = Counter()
        left = shipped.get(order_id, Counter())
        found.lost += [f"warehouse: {script.number} lacks {sku}" for sku in wanted - left]
        found.doubled += [f"warehouse: {script.number} sent too much {sku}" for sku in left - wanted]


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


TOLD = (
    ("orders", "address_confirmation_requested", "address_confirmation"),
    ("orders", "order_canceled", "canceled"),
    ("warehouse", "shipment_shipped", "shipped"),
    ("warehouse", "shipment_delivered", "delivered"),
    ("aftersales", "refund_requested", "refund_requested"),
)
"""What buyers of the load are told: who says it, the event, and the template. None of them fetches their parcel."""


async def _told(connections: Connections, found: Findings) -> None:
    """Whatever concerns a buyer was told to them."""
    rows = await connections["notify"].fetch(
        "SELECT event_id, template FROM messages WHERE audience = 'buyer'"
    )
    planned = {(r["event_id"], r["template"]) for r in rows}
    for service, event, template in TOLD:
        said = await connections[service].fetch(
            "SELECT stream, sequence FROM event_log WHERE type = $1", f"{service}.{event}.v1"
        )
        events = (f"/handover/{service} {r['stream']}/{r['sequence']}" for r in said)
        found.lost += [f"notify: nobody was told of {e}" for e in events if (e, template) not in planned]


async def _refunds(connections: Connections, accepted: Accepted, found: Findings) -> None:
    """Whoever canceled got back, once, what had been taken for the order by then; nobody else got anything."""
    refunded = await _amounts(connections["aftersales"], "aftersales.refund_requested.v1")
    booked = await _amounts(connections["orders"], "orders.payment_recorded.v1")
    for order_id, script in accepted.orders.items():
        owed = booked.get(order_id, 0) if script.story is Story.CANCELED_EARLY else 0
        back = refunded.get(order_id, 0)
        if back != owed:
            into = found.lost if back < owed else found.doubled
            into.append(f"aftersales: {back} of {owed} were paid back for {script.number}")


async def _amounts(service: Any, event: str) -> dict[str, int]:
    """What all events of a type say together, by order."""
    rows = await service.fetch(
        """SELECT stream, sum((data::jsonb->'amount'->>'amount')::bigint) AS n FROM event_log
           WHERE type = $1 GROUP BY stream""",
        event,
    )
    return {r["stream"].removeprefix("order/"): int(r["n"]) for r in rows}


async def _messages(notify: Any, found: Findings) -> None:
    """One message per event, recipient and template, said once to be sent."""
    rows = await notify.fetch(
        "SELECT event_id, audience, template FROM messages GROUP BY 1, 2, 3 HAVING count(*) > 1"
    )
    found.doubled += [f"notify: message {r['template']} for {r['event_id']}" for r in rows]
    rows = await notify.fetch(
        """SELECT data::jsonb->>'message_id' AS id FROM event_log WHERE type = 'notify.message_sent.v1'
           GROUP BY 1 HAVING count(*) > 1"""
    )
    found.doubled += [f"notify: message {r['id']} was sent twice" for r in rows]
    rows = await notify.fetch("SELECT message_id, template FROM messages WHERE state = 'failed'")
    found.lost += [f"notify: message {r['template']} {r['message_id']} failed" for r in rows]


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


def delivered(letters: Path) -> dict[str, list[str]]:
    """To whom each letter lies in the folder, once for each time, by its id. The last line may be cut short by a kill: whole
    ones count."""
    to: dict[str, list[str]] = defaultdict(list)
    for file in letters.glob("*.jsonl"):
        for line in file.read_text().splitlines():
            with contextlib.suppress(ValueError):
                letter = json.loads(line)
                to[letter["id"]].append(letter["to"])
    return to


async def _letters(notify: Any, delivered: dict[str, list[str]], accepted: Accepted, found: Findings) -> None:
    """What is booked as sent was delivered, to its own buyer alone, and nothing oftener than senders took it in hand: one that
    died may have sent."""
    rows = await notify.fetch(
        "SELECT message_id, order_id, audience, template, state, tries FROM messages WHERE channel = 'file'"
    )
    for r in rows:
        letter, to = f"notify: letter {r['template']} {r['message_id']}", delivered.pop(r["message_id"], [])
        times, script = len(to), accepted.orders.get(r["order_id"])
        if script and r["audience"] == "buyer" and not set(to) <= _reaches(script):
            found.broken.append(f"{letter} of {script.number} went to somebody else")
        if not times and r["state"] == "sent":
            found.lost.append(f"{letter} was never delivered")
        if times > r["tries"]:
            found.doubled.append(f"{letter} was delivered {times} times in {r['tries']} tries")
    found.doubled += [f"notify: letter {id} belongs to nothing" for id in delivered]


def _reaches(script: Script) -> set[str]:
    """How the buyer of an order is reached, before and after a correction."""
    known = [script.order.personal, *([script.corrected] if script.corrected else [])]
    return {person.contact.email or person.contact.phone for person in known}


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
