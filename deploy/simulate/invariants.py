"""What must hold when all is quiet, whatever was broken on the way: each a rule with its number, asked of the databases, the
log of what took effect, and the topics; nothing of what the services concluded themselves is trusted.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from deploy.simulate.accounts import accounts
from deploy.simulate.logs import Found, stopped
from deploy.simulate.promises import decided, escalated, overdue_cases, received, released
from deploy.simulate.repair import NOBODYS
from deploy.simulate.shelves import goods, idle, listed, served, tracked
from deploy.simulate.told import (
    addressed,
    answered,
    forgotten,
    letters,
    origins,
    parked_told,
    reached,
    timeline,
    unnamed,
)
from deploy.simulate.trade import ends, money, parcels, stock
from deploy.simulate.world import MOST_ROUNDS, World
from shared.events.base import topic_of
from shared.events.identity import order_id


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


def quiet(world: World) -> Found:
    """X2: everything drains by itself"""
    if world.rounds >= MOST_ROUNDS:
        yield "the town", "it never comes to rest"
    for key in world.receipts.unanswered:
        yield key, "it never got an answer over HTTP"
    for node in world.nodes:
        if node.store.outbox:
            yield node.name, f"{len(node.store.outbox)} events are not sent"
        for lane, state in node.store.waiting_lanes.items():
            yield lane, f"{node.name} still waits: {state}"
        for parked in node.store.rows("parked"):
            if parked.queue:
                yield parked.stream, f"{node.name} still keeps {parked.type}: {parked.reason}"
        if lag := node.group.lag():
            yield node.name, f"{lag} records are not read"
        due = node.store.next_due()
        if due is not None and due <= world.now():
            yield node.name, "timers are overdue"


def unfailing(world: World) -> Found:
    """X2: nothing fails but what meets a bug of the run, or was damaged on its way"""
    yield from world.chaos.unexplained


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
    for key, service in world.receipts.accepted.items():
        seen = stores[service].tables.get("inbox", {}).get(key)
        if seen is None:
            yield key, f"{service} does not know it"
        elif (seen[0].status == "done") != (effects[service][key] == 1):
            yield (
                key,
                f"{service} answered {seen[0].status}, and it took effect {effects[service][key]} times",
            )


def heard_first(world: World) -> Found:
    """X1: before a deadline acts, whatever came of its order before it fell due has taken effect"""
    for node in world.nodes:
        held_up, at_once = stopped(world, node.name), node.service.at_once
        acted: dict[str, datetime] = {}
        for applied in node.store.ledgers.get("applied", []):
            kind, _, subject = applied.stream.partition("/")
            if kind == "external_number":  # an order as its shop calls it
                subject = order_id(*subject.split(" ", 1))
            if applied.timer:
                if applied.type not in at_once:
                    due = datetime.fromisoformat(applied.message.removeprefix(f"{applied.stream} "))
                    acted[subject] = max(due, acted.get(subject, due))
                continue
            came = world.receipts.over_kafka.get(applied.message)
            if came is None or subject not in acted or came >= acted[subject] or applied.stream in held_up:
                continue
            lost = world.lost_topics.get(topic_of(applied.type))
            if lost is None or came > lost:  # else it came a second time
                yield (
                    applied.message,
                    f"came at {came}; a deadline of {acted[subject]} acted before",
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
        early = world.in_hand.get(node.name, ())
        for logs in world.topics.partitions[node.name]:
            for record in logs:
                if record.body == NOBODYS:
                    continue
                headers = dict(record.headers)
                stream, sequence = headers["ce_subject"].decode(), int(headers["ce_sequence"])
                if sequence > last[stream] + 1:
                    if (stream, sequence) in early:  # it comes again, behind what was said before it
                        continue
                    yield stream, f"{sequence} stands on topic {node.name} right after {last[stream]}"
                last[stream] = max(last[stream], sequence)
        for entry in node.store.event_log:
            if last[entry.stream] < entry.sequence:
                yield entry.stream, f"{entry.sequence} is not on topic {node.name}"


def messages(world: World) -> Found:
    """N6: one message per event, recipient and template, and each is handed over"""
    store = world.node("notify").store
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


def storable(world: World) -> Found:
    """X2: what is held in memory here is what a database would give back"""
    for node in world.nodes:
        for shelf in node.service.desk().shelves:
            for row in node.store.rows(shelf.map.name)[::5]:  # enough of each, in so many towns
                record = dict(zip(shelf.map.stored_columns, shelf.map.dump(row), strict=True))
                if "doc" in record:
                    record["doc"] = orjson.loads(record["doc"])
                if (again := shelf.map.load(record)) != row:
                    yield shelf.map.key(row), f"{node.name}: {shelf.map.name}: {row} is read as {again}"


RULES: tuple[Callable[[World], Any], ...] = (
    quiet, unfailing, applied_once, nothing_lost, accepted_kept, heard_first, numbered, in_order, stock, parcels, money,
    accounts, ends, messages, storable, answered, parked_told, letters, timeline, reached, forgotten, unnamed, addressed,
    origins, released, received, escalated, decided, overdue_cases, served, idle, listed, goods, tracked,
)  # fmt: skip
