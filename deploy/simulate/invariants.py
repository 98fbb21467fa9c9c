"""What must hold when all is quiet, whatever was broken on the way: each a rule with its number, asked of the databases, the
log of what took effect, and the topics; nothing of what the services concluded themselves is trusted.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from deploy.simulate.host import Node
from deploy.simulate.kafka import text
from deploy.simulate.world import MOST_ROUNDS, World

CLOSED = ("completed", "canceled", "expired")


@dataclass(frozen=True)
class Broken:
    """A rule that does not hold, where, and what was found."""

    rule: str
    where: str
    found: str

    def __str__(self) -> str:
        return f"{self.rule}: {self.where}: {self.found}"


def look(world: World) -> list[Broken]:
    """Everything that does not hold."""
    return [Broken(rule.__doc__ or "", where, found) for rule in RULES for where, found in rule(world)]


Found = Iterator[tuple[str, str]]


def quiet(world: World) -> Found:
    """X2: everything drains by itself"""
    if world.rounds >= MOST_ROUNDS:
        yield "the town", "it never comes to rest"
    for key in world.unanswered:
        yield key, "it never got an answer over HTTP"
    for node in world.nodes:
        if node.store.outbox:
            yield node.name, f"{len(node.store.outbox)} events are not sent"
        for lane, state in node.store.waiting_lanes.items():
            yield lane, f"{node.name} still waits: {state}"
        for parked in node.store.rows("parked"):
            yield parked.stream, f"{node.name} still keeps {parked.type}: {parked.reason}"
        if lag := node.group.lag():
            yield node.name, f"{lag} records are not read"
        due = node.store.next_due()
        if due is not None and due <= world.now():
            yield node.name, "timers are overdue"


def applied_once(world: World) -> Found:
    """X2: every message takes effect exactly once, in the order of its stream"""
    for node in world.nodes:
        seen: Counter[str] = Counter()
        last: dict[str, int] = defaultdict(int)
        for applied in node.store.ledgers.get("applied", []):
            seen[applied.message] += 1
            # a timer may be set again to the very instant at which it was due
            if seen[applied.message] > (node.store.set[applied.message] or 1 if applied.timer else 1):
                yield (
                    applied.message,
                    f"took effect {seen[applied.message]} times in {node.name} ({applied.type})",
                )
            lane = f"{applied.message.split(' ')[0]} {applied.stream}"
            if applied.sequence:
                if applied.sequence <= last[lane]:
                    yield applied.message, f"took effect in {node.name} after {last[lane]} of its stream"
                last[lane] = applied.sequence


def nothing_lost(world: World) -> Found:
    """X2: every event said takes effect in everyone who hears it"""
    for node in world.nodes:
        heard = node.service.hears
        effects = {a.message for a in node.store.ledgers.get("applied", [])}
        for publisher in world.nodes:
            if publisher.name not in node.service.topics:
                continue
            for entry in publisher.store.event_log:
                message = f"{publisher.service.source} {entry.stream}/{entry.sequence}"
                if entry.type in heard and message not in effects:
                    yield message, f"{entry.type} never took effect in {node.name}"


def accepted_kept(world: World) -> Found:
    """X2: whatever was acknowledged at the edges took effect or was refused"""
    stores = {node.name: node.store for node in world.nodes}
    effects = {
        name: Counter(a.message for a in store.ledgers.get("applied", [])) for name, store in stores.items()
    }
    for key, service in world.accepted.items():
        seen = stores[service].tables.get("inbox", {}).get(key)
        if seen is None:
            yield key, f"{service} does not know it"
        elif (seen[0].status == "done") != (effects[service][key] == 1):
            yield (
                key,
                f"{service} answered {seen[0].status}, and it took effect {effects[service][key]} times",
            )


def numbered(world: World) -> Found:
    """O12: streams are numbered without gaps and their chains unbroken"""
    for node in world.nodes:
        last: dict[str, tuple[int, bytes]] = {}
        for entry in node.store.event_log:
            sequence, previous = last.get(entry.stream, (0, bytes(32)))
            digest = hashlib.sha256(previous)
            for part in (
                entry.stream,
                str(entry.sequence),
                entry.type,
                entry.time.isoformat(timespec="microseconds"),
                f"{entry.actor_kind}:{entry.actor_name}",
                entry.causation_id or "",
                entry.data,
            ):
                raw = part.encode()
                digest.update(len(raw).to_bytes(8, "big") + raw)
            digest.update(entry.personal_digest or b"")
            if entry.sequence != sequence + 1:
                yield entry.stream, f"{node.name}: {entry.sequence} comes after {sequence}"
            elif (entry.previous, entry.hash) != (previous, digest.digest()):
                yield entry.stream, f"{node.name}: the chain breaks at {entry.sequence}"
            last[entry.stream] = (entry.sequence, entry.hash)


def in_order(world: World) -> Found:
    """X2: on the topic each stream begins in order and is whole"""
    for node in world.nodes:
        last: dict[str, int] = defaultdict(int)
        for logs in world.topics.partitions[node.name]:
            for record in logs:
                headers = text(record.headers)
                stream, sequence = headers["ce_subject"], int(headers["ce_sequence"])
                # a topic made anew may get what the relay had in hand before it gets the rest again
                if sequence > last[stream] + 1 and node.name not in world.lost_topics:
                    yield stream, f"{sequence} stands on topic {node.name} right after {last[stream]}"
                last[stream] = max(last[stream], sequence)
        for entry in node.store.event_log:
            if last[entry.stream] < entry.sequence:
                yield entry.stream, f"{entry.sequence} is not on topic {node.name}"


def stock(world: World) -> Found:
    """W1: stock is the sum of its moves, never below zero, and allocated is what open orders want"""
    node = _node(world, "warehouse")
    sums: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for move in node.store.ledgers.get("moves", []):
        sums[move.sku][0] += move.on_hand
        sums[move.sku][1] += move.allocated
        if not 0 <= sums[move.sku][1] <= sums[move.sku][0]:
            yield (
                move.sku,
                f"after a move for {move.order_id}: on hand {sums[move.sku][0]}, allocated {sums[move.sku][1]}",
            )
    booked = Counter[str]()
    for move in node.store.ledgers.get("moves", []):
        booked[move.sku] += move.quantity if move.kind == "gone" else 0
    lost = Counter[str]()
    for shipment in node.store.rows("shipments"):
        if shipment.state == "canceled" and shipment.shipped_at:
            lost.update({line.sku: line.quantity for line in shipment.lines})
    wanted: Counter[str] = Counter()
    for work in node.store.rows("fulfillments"):
        if work.state in ("allocated", "picking", "picked", "checking", "checked", "packed"):
            wanted.update(work.wanted())
    for level in node.store.rows("levels"):
        if [level.on_hand, level.allocated] != sums[level.sku]:
            yield level.sku, f"levels {level.on_hand}, {level.allocated}; moves {sums[level.sku]}"
        if sum(level.locations.values()) != level.on_hand:
            yield level.sku, f"on hand {level.on_hand}, in its places {dict(level.locations)}"
        if level.gone and level.available:
            yield level.sku, f"{level.available} are free, and {level.gone} that are gone are in the books"
        if lost[level.sku] != level.gone + booked[level.sku]:
            yield (
                level.sku,
                f"{lost[level.sku]} left in canceled parcels; booked {booked[level.sku]}, to book {level.gone}",
            )
        if level.allocated != wanted[level.sku]:
            yield level.sku, f"allocated {level.allocated}, open orders want {wanted[level.sku]}"


def parcels(world: World) -> Found:
    """W4, W7: two people, and a parcel leaves once, whole, never for a canceled order"""
    left: Counter[str] = Counter()
    gone: set[str] = set()
    canceled: set[str] = set()
    for entry in _node(world, "warehouse").store.event_log:
        data = orjson.loads(entry.data)
        match entry.type.split(".")[1]:
            case "fulfillment_checked" if data["picker"] == data["checker"]:
                yield entry.stream, f"{data['picker']} picked and checked"
            case "fulfillment_canceled":
                canceled.add(entry.stream)
                if entry.stream in gone:
                    yield entry.stream, "the order is called canceled, but its parcel has left"
            case "fulfillment_allocated":
                canceled.discard(entry.stream)
            case "shipment_shipped":
                left[data["shipment_id"]] += 1
                gone.add(entry.stream)
                if left[data["shipment_id"]] > 1:
                    yield entry.stream, f"parcel {data['shipment_id']} left twice"
                if entry.stream in canceled:
                    yield entry.stream, "a parcel left for a canceled order"
            case "canceled_shipment_left":
                left[data["shipment_id"]] += 1
                if left[data["shipment_id"]] > 1:
                    yield entry.stream, f"parcel {data['shipment_id']} left twice"
    packed: dict[str, Counter[str]] = defaultdict(Counter)
    for shipment in _node(world, "warehouse").store.rows("shipments"):
        under_way = shipment.tracking_status not in (
            "pre_transit",
            "exception",
            "unknown",
            "available_for_pickup",
        )
        if under_way and not left[shipment.shipment_id]:
            yield (
                shipment.shipment_id,
                f"its courier says {shipment.tracking_status}, and nobody was told that it left",
            )
        if bool(shipment.shipped_at) != bool(left[shipment.shipment_id]):
            yield (
                shipment.shipment_id,
                f"left at {shipment.shipped_at}, told {left[shipment.shipment_id]} times",
            )
        if shipment.state != "canceled":
            packed[shipment.order_id].update({line.sku: line.quantity for line in shipment.lines})
    for work in _node(world, "warehouse").store.rows("fulfillments"):
        if work.checker in work.pickers:
            yield work.order_id, f"{work.checker} checked what they had picked a part of"
        if work.state == "shipped" and packed[work.order_id] != Counter(work.wanted()):
            yield work.order_id, f"wants {work.wanted()}, got {dict(packed[work.order_id])}"


def money(world: World) -> Found:
    """O3: money counts once, and whoever is owed it gets it back once"""
    asked: Counter[str] = Counter()
    for entry in _node(world, "aftersales").store.event_log:
        if entry.type == "aftersales.refund_requested.v1":
            data = orjson.loads(entry.data)
            asked[data["order_id"]] += data["amount"]["amount"]
    cash: Counter[str] = Counter()
    for entry in _node(world, "warehouse").store.event_log:
        data = orjson.loads(entry.data)
        if entry.type == "warehouse.shipment_delivered.v1":
            cash[data["order_id"]] += data["cod_collected"]
        elif entry.type == "warehouse.cod_collected.v1":
            cash[data["order_id"]] += data["amount"]
    told: Counter[str] = Counter()
    for shipment in _node(world, "warehouse").store.rows("shipments"):
        told[shipment.order_id] += shipment.cod_collected
        said = world.people[shipment.order_id].couriers.cash.get(shipment.shipment_id, 0)
        if shipment.courier != "pickup" and shipment.cod_collected != said:
            yield (
                shipment.shipment_id,
                f"its courier told of {said} in cash, the warehouse knows {shipment.cod_collected}",
            )
    brought: dict[str, Counter[str]] = defaultdict(Counter)
    for shipment in _node(world, "warehouse").store.rows("shipments"):
        if shipment.state == "returned":
            brought[shipment.order_id].update({line.sku: line.quantity for line in shipment.lines})
    for order in _node(world, "orders").store.rows("orders"):
        odd = sum(p.amount for p in order.payments if p.payment_id.startswith("cod:"))
        if not order.cod_collected + odd == cash[order.order_id] == told[order.order_id]:
            yield (
                order.order_id,
                f"couriers told of {told[order.order_id]} in cash, orders has {order.cod_collected} and {odd}",
            )
        short = order.is_cod and order.status == "completed" and order.cod_collected < order.due
        if short and not any(h.hold == "payment_anomaly" for h in order.holds):
            yield order.order_id, f"{order.cod_collected} of {order.due} in cash, and nobody was told"
        captured: Counter[str] = Counter(p.payment_id for p in order.payments)
        if twice := [name for name, n in captured.items() if n > 1]:
            yield order.order_id, f"payments {twice} count twice"
        paid = sum(p.amount for p in order.payments if p.counts)
        if paid > order.total:
            yield order.order_id, f"{paid} counts towards a total of {order.total}"
        if order.refunded != asked[order.order_id]:
            yield (
                order.order_id,
                f"orders knows of {order.refunded} refunded, after-sales asked for {asked[order.order_id]}",
            )
        back = brought.get(order.order_id, Counter())
        price = {line.sku: line.unit_price for line in order.lines}
        goods = sum(line.quantity * line.unit_price for line in order.lines)
        owed = order.total * sum(n * price[sku] for sku, n in back.items()) // max(goods, 1)
        if order.refunded < owed and not order.is_cod and not order.open_cases:
            yield (
                order.order_id,
                f"{dict(back)} came back with the courier, {order.refunded} of {owed} refunded",
            )
        if order.status in ("canceled", "expired") and not order.open_cases and not order.kept_cases:
            owed = paid + order.cod_collected
            if order.refunded != owed and order.fulfillment in ("none", "canceled"):
                yield order.order_id, f"{order.status}, {owed} paid, {order.refunded} refunded"


def ends(world: World) -> Found:
    """O14: every order comes to an end, and the services agree on it"""
    for order_id, people in world.people.items():
        order = world.row("orders", "orders", order_id)
        work = world.row("warehouse", "fulfillments", order_id)
        if order is None:
            yield order_id, f"{people.story.number} was lost"
        elif order.status not in CLOSED:
            where = (
                f"{order.fulfillment}, holds {order.standing()}, warehouse: {work.state if work else None}"
            )
            yield order_id, f"{order.status}, {where}"
        elif order.status == "canceled" and work and work.state not in ("canceled", "shipped"):
            yield order_id, f"canceled, but the warehouse has it {work.state}"


def messages(world: World) -> Found:
    """N6: one message per event, recipient and template, and each is handed over"""
    store = _node(world, "notify").store
    once: Counter[tuple[str, str, str]] = Counter()
    for message in store.rows("messages"):
        once[message.event_id, message.audience, message.template] += 1
        handed, unsure = (
            world.mail.handed.get(message.message_id, 0),
            world.mail.unsure.get(message.message_id, 0),
        )
        if message.state == "sent" and not 1 <= handed <= 1 + unsure:
            yield message.event_id, f"{message.template} was handed over {handed} times, {unsure} unsure"
        if message.state == "planned":
            yield message.event_id, f"{message.template} was never sent"
    for (event, audience, template), n in once.items():
        if n > 1:
            yield event, f"{n} messages {template} to {audience}"
    for stray in world.mail.handed.keys() - {m.message_id for m in store.rows("messages")}:
        yield stray, "a message was handed over that nobody planned"


def _node(world: World, name: str) -> Node:
    return next(node for node in world.nodes if node.name == name)


RULES: tuple[Callable[[World], Any], ...] = (
    quiet, applied_once, nothing_lost, accepted_kept, numbered, in_order, stock, parcels, money, ends, messages,
)  # fmt: skip
