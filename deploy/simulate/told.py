"""What is told, reckoned from what was handed in and from what was said: answers, letters, timelines; see `invariants.py`."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any

from deploy.simulate.logs import Found, said
from deploy.simulate.story import PERSONAL
from deploy.simulate.world import World
from shared.events.identity import order_id as id_of
from shared.events.inbox import AddressAnswered, OrderSubmitted
from shared.values import Personal

BUYER, STAFF = "buyer", "staff"


def answered(world: World) -> Found:
    """X2: whatever came over Kafka and was refused is answered, once, and what was done is not; over HTTP all get one answer"""
    for node in world.nodes:
        told = Counter(
            f"{data['refused_source']} {data['refused']}"
            for _, what, data in said(world, node.name)
            if what == "message_refused"
        )
        inbox = node.store.tables.get("inbox", {})
        for key, service in world.receipts.accepted.items():
            if service != node.name or key not in inbox:
                continue
            status = inbox[key][0].status
            if key in world.receipts.reused:  # one of the two is told so; the other may be refused too
                times = told[key] + world.receipts.told_of_reuse(key)
                if not 1 <= times <= 2:
                    yield key, f"used for two messages, and its sender was told {times} times"
                continue
            over_kafka = int(key in world.receipts.over_kafka)
            # over HTTP it may have waited behind another, and then its sender is told by an event
            if status == "refused" and (told[key] > 1 or told[key] < over_kafka):
                yield key, f"refused, and its sender was told {told[key]} times"
            if status == "done" and told[key] > 1:
                yield key, f"done, and its sender was told {told[key]} times that it is refused"
        for key in told.keys() - world.receipts.accepted.keys():
            yield key, "refused, and nobody had sent it"
    yield from world.receipts.contradictions


def parked_told(world: World) -> Found:
    """X2: whatever stops a stream is told to staff, once"""
    for node in world.nodes:
        told = Counter(
            data["parked_id"] for _, what, data in said(world, node.name) if what == "event_parked"
        )
        for key in told.keys() | node.store.stopped.keys():
            if told[key] != node.store.stopped[key]:
                yield (
                    key,
                    f"stopped its stream {node.store.stopped[key]} times in {node.name}, told {told[key]} times",
                )


LETTERS = {
    "address_confirmation_requested": ("address_confirmation", BUYER),
    "order_canceled": ("canceled", BUYER),
    "order_expired": ("expired", BUYER),
    "fulfillment_packed": ("ready_for_pickup", BUYER),
    "shipment_shipped": ("shipped", BUYER),
    "shipment_delivered": ("delivered", BUYER),
    "return_received": ("return_received", BUYER),
    "return_authorized": ("return_authorized", BUYER),
    "refund_requested": ("refund_requested", BUYER),
    "case_rejected": ("case_rejected", BUYER),
    "hold_placed": ("held", STAFF),
    "order_escalated": ("escalated", STAFF),
    "payment_anomaly_found": ("payment_anomaly", STAFF),
    "payment_unclaimed": ("payment_unclaimed", STAFF),
    "canceled_shipment_left": ("canceled_left", STAFF),
    "shipment_end_disputed": ("end_disputed", STAFF),
    "approval_requested": ("approval_requested", STAFF),
    "case_overdue": ("case_overdue", STAFF),
    "paid_goods_arrived": ("paid_goods_arrived", STAFF),
    "event_parked": ("event_parked", STAFF),
    "message_failed": ("letter_failed", STAFF),
}
"""Event → template and audience (N1, N2), but for what `_letter` says."""
FOR_A_PERSON = ("duplicate_suspected", "unreachable_address", "awaiting_audit")
"""Holds that nobody else tells staff of."""
MISSED = ("shipped", "delivered", "return_received")
"""Letters that a buyer can do without: where one fails, nobody is told."""


def _letter(what: str, data: Mapping[str, Any]) -> tuple[str, str] | None:
    match what, data:
        case "fulfillment_packed", {"delivery_method": method} if method != "self_pickup":
            return None
        case "shipment_shipped", {"delivery_method": "self_pickup"}:
            return None
        case "return_authorized", {"kind": "refused_cod"}:
            return None
        case "return_authorized", {"kind": "returned_parcel"}:
            return "returned_parcel", BUYER
        case "return_authorized", {"rest_of": str()}:
            return "rest_awaited", BUYER
        case "case_rejected", {"reason": "delivered_after_all"}:
            return "delivered_after_all", BUYER
        case "case_rejected", {"asked_by_buyer": False}:
            return None
        case "message_failed", {"audience": audience, "template": template}:
            return None if audience == STAFF or template in MISSED else LETTERS[what]
        case "hold_placed", {"hold": hold} if hold not in FOR_A_PERSON:
            return None
    return LETTERS.get(what)


def letters(world: World) -> Found:
    """N1, N2: whoever is to be told is told, and nobody else; and it is said that they were"""
    store = world.node("notify").store
    planned: dict[str, list[tuple[str, str]]] = defaultdict(list)
    facts: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for message in store.rows("messages"):
        facts[message.event_id].append(message.facts)
        planned[message.event_id].append((message.template, message.audience))
        # where a bug kept the booking away for weeks, it is given up after it was handed over
        unbooked = message.state == "failed" and message.message_id in world.mail.handed
        if message.state != "sent" and not unbooked:
            yield message.event_id, f"{message.template} is {message.state}"
    sent = Counter(data["message_id"] for _, what, data in said(world, "notify") if what == "message_sent")
    for message in store.rows("messages"):
        if message.order_id and message.state == "sent" and sent[message.message_id] != 1:
            yield message.event_id, f"{message.template} was said to be sent {sent[message.message_id]} times"
    for node in world.nodes:
        for entry, what, data in said(world, node.name):
            letter = _letter(what, data)
            event_id = f"{node.service.source} {entry.stream}/{entry.sequence}"
            if planned.pop(event_id, []) != ([letter] if letter else []):
                yield event_id, f"{what} calls for {letter}, and something else was planned"
            for told in facts.get(event_id, ()):
                if told != {name: value for name, value in data.items() if name != "personal"}:
                    yield event_id, f"{what} said {data}, its letter tells {told}"
    for event_id, stray in planned.items():
        yield event_id, f"{stray} were planned for nothing that was said"


def forgotten(world: World) -> Found:
    """X4: what was erased is nowhere, and nothing else is"""
    erased: set[str] = set()
    holds: Counter[str] = Counter()
    over: set[str] = set()
    for entry, what, _ in said(world, "orders"):
        holds[entry.stream] += (what == "hold_placed") - (what == "hold_lifted")
        if what in ("order_completed", "order_canceled", "order_expired"):
            over.add(entry.stream)
        elif what == "personal_erased":
            erased.add(entry.stream.removeprefix("order/"))
            if entry.stream not in over or holds[entry.stream]:
                yield (
                    entry.stream,
                    "who the buyer is was erased before the order was over, or while it was held",
                )
    for node in world.nodes:
        for entry in node.store.event_log:
            if bool(entry.personal) != bool(entry.personal_digest and entry.stream[6:] not in erased):
                yield (
                    entry.stream,
                    f"{entry.type} {'still tells' if entry.personal else 'forgot'} who the buyer is",
                )
    for service, table, parts in KEEPING:
        for row in world.node(service).store.rows(table):
            there = [bool(getattr(row, part)) for part in parts]
            if there != [row.order_id not in erased] * len(parts):
                yield (
                    row.order_id,
                    f"{service} has {parts} of the buyer: {there}, erased: {row.order_id in erased}",
                )


def unnamed(world: World) -> Found:
    """X4: who a buyer is stands in the personal parts of events, and in nothing else that is said"""
    for node in world.nodes:
        for entry in node.store.event_log:
            if any(part in entry.data for part in PERSONAL):
                yield entry.stream, f"{entry.type} says who the buyer is: {entry.data}"


KEEPING = (
    ("orders", "orders", ("personal",)),
    ("warehouse", "fulfillments", ("personal",)),
    ("notify", "contacts", ("contact", "address")),
)
"""Who keeps where a buyer is: service, table, parts of its rows."""


def reached(world: World) -> Found:
    """O6, N1: goods and letters go where the buyer was when they said so last"""
    meant: dict[str, Personal] = {}
    for applied in world.node("orders").store.ledgers.get("applied", []):
        match world.receipts.sent.get(applied.message):
            case OrderSubmitted(source=source, external_number=number, personal=personal):
                meant.setdefault(id_of(source, number), personal)
            case AddressAnswered(source=source, external_number=number, personal=Personal() as personal):
                meant[id_of(source, number)] = personal
    for order in world.node("orders").store.rows("orders"):
        if order.personal not in (None, meant[order.order_id]):
            yield (
                order.order_id,
                f"orders sends it to {order.personal}, its buyer said {meant[order.order_id]}",
            )
    for work in world.node("warehouse").store.rows("fulfillments"):
        if work.personal not in (None, meant[work.order_id]):
            yield (
                work.order_id,
                f"the warehouse sends it to {work.personal}, its buyer said {meant[work.order_id]}",
            )
    for known in world.node("notify").store.rows("contacts"):
        there = meant[known.order_id]
        if known.contact and (known.contact, known.address) != (there.contact, there.address):
            yield known.order_id, f"letters go to {known.contact}, {known.address}, its buyer said {there}"


def timeline(world: World) -> Found:
    """O14: all that the others said of an order stands in its timeline, once, in the order of each"""
    told: dict[tuple[str, str], list[str]] = defaultdict(list)
    for row in world.node("orders").store.ledgers.get("heard", []):
        told[row.service, row.order_id].append(row.type)
    heard = world.node("orders").service.hears
    for name in ("warehouse", "aftersales", "notify"):
        theirs: dict[str, list[str]] = defaultdict(list)
        for entry in world.node(name).store.event_log:
            if entry.type in heard and entry.stream.startswith("order/"):
                theirs[entry.stream.removeprefix("order/")].append(entry.type)
        for order_id, types in theirs.items():
            if told[name, order_id] != types:
                yield (
                    order_id,
                    f"{name} said {len(types)} things, {len(told[name, order_id])} stand in its timeline",
                )


def addressed(world: World) -> Found:
    """O12: each event says who caused it and why: what was handed in is told of in the name of whoever did"""
    senders = {
        key.split(" ", 1)[1]: key.split(" ", 1)[0].rpartition(":")[2] for key in world.receipts.accepted
    }
    for node in world.nodes:
        for entry in node.store.event_log:
            who = senders.get(entry.causation_id or "")
            if who is not None and who != entry.actor_name:
                yield entry.stream, f"{entry.type} is told in the name of {entry.actor_name}, {who} caused it"


def origins(world: World) -> Found:
    """O14: what follows from one message bears its correlation id through all services"""
    first = {f"{n.service.source} {e.stream}/{e.sequence}": e for n in world.nodes for e in n.store.event_log}
    by_id: dict[str, list[Any]] = defaultdict(list)
    for key, entry in first.items():
        by_id[key.split(" ", 1)[1]].append(entry)
    for entry in first.values():
        causes = by_id.get(entry.causation_id or "", [])
        if causes and entry.correlation_id not in {c.correlation_id for c in causes}:
            yield entry.stream, f"{entry.type} has lost what it began with"
