"""One town: shops, staff and couriers around four services of two replicas each, run step by step from one seed."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from heapq import heappop, heappush
from itertools import count
from random import Random
from typing import Any

from deploy.simulate.chaos import KINDS, Chaos
from deploy.simulate.edges import ACTORS, on_the_wire
from deploy.simulate.host import Host, Node, Ticket
from deploy.simulate.kafka import Group, Topics
from deploy.simulate.ledger import recorded
from deploy.simulate.mail import Mail, Sender
from deploy.simulate.people import People
from deploy.simulate.receipts import Receipts
from deploy.simulate.repair import Ops
from deploy.simulate.store import SimStore
from services.aftersales.handlers import service as aftersales
from services.notify.handlers import service as notify
from services.orders.handlers import service as orders
from services.warehouse.couriers_file import DEFAULT_COURIERS, load_couriers
from services.warehouse.handlers import service as warehouse
from shared.events.base import Event, topic_of
from shared.events.inbox import INBOX_TOPICS
from shared.runtime.bookkeeping import LaneState
from shared.runtime.chain import Entry
from shared.runtime.clock import DrivenClock
from shared.runtime.commands import asked
from shared.runtime.inbox import outside
from shared.runtime.messages import Command, Incoming, Outcome, Status
from shared.runtime.parking import with_parking
from shared.values import Actor

START = datetime(2026, 3, 2, tzinfo=UTC)
COURIERS = load_couriers(DEFAULT_COURIERS)
REPLICAS = 2
LEAP = timedelta(hours=4)
"""The clock goes on by up to so much beyond what comes next."""

SHOWN = 300
"""Characters of a message that a trace shows."""

LEAST = timedelta(milliseconds=1)
"""Whatever is done later is done later."""

IDLE = 0.6
"""How likely a loop leaves what is there for another look, so that more comes together in its next turn."""

MOST_TRIES = 1000
"""How often somebody asks over HTTP before giving up; far longer than all replicas of a service are ever away."""

MOST_ROUNDS = 20_000
"""A town of a few hundred orders is quiet long before; one that is not never will be."""


class World:
    """Make it, `run` it, then look whether everything holds (`invariants.py`). Under another `shake` the same people meet other
    troubles, in other turns."""

    def __init__(
        self,
        seed: str,
        orders_: Sequence[int],
        *,
        kinds: frozenset[str] = frozenset(KINDS),
        shake: int = 0,
        traced: bool = False,
    ) -> None:
        shaken = f"{seed}/{shake}" if shake else seed
        self.rng = Random(f"{shaken}/scheduler")  # noqa: S311
        self.clock = DrivenClock(START)
        self.topics = Topics()
        self.actors = ACTORS
        self.trace: list[str] | None = [] if traced else None
        self.chaos = Chaos(self, kinds, shaken)
        self.mail = Mail(self)
        self.receipts = Receipts()
        self.read: dict[str, list[Any]] = {}
        """What services said, once somebody has read it; see `logs.py`."""
        self.nodes = [
            self._node(service) for service in (orders(), warehouse(COURIERS), aftersales(), notify())
        ]
        self.hosts = [host for node in self.nodes for host in node.hosts]
        self.people = {one.story.order_id: one for n in orders_ for one in [People(self, seed, n)]}
        self.committed: dict[bytes, datetime] = {}
        """Hash of an event → when it was committed: its turn may have begun days before."""
        self.rounds = 0
        self.lost_topics: dict[str, datetime] = {}
        """When topics were lost, the last time."""
        self.in_hand: dict[str, set[tuple[str, int]]] = {}
        """By topic, stream and sequence of what relays had in hand as it was lost: it comes before what fills the topic."""
        self._sent: dict[str, list[tuple[bytes, list[tuple[str, bytes]], bytes]]] = {
            t: [] for t in INBOX_TOPICS
        }
        self._plans: list[tuple[datetime, int, Callable[[], None]]] = []
        self._numbers = count()
        self._moment = START
        """When it was to be done, what is being done: all of a leap is done before services move again."""

    def _node(self, service: Any) -> Node:
        service = recorded(
            with_parking(service), lambda desk, message: self.chaos.broken(service.name, message)
        )
        self.topics.heard |= service.hears
        topics = service.topics
        for topic in {*topics, service.name} - set(self.topics.partitions):
            self.topics.create(topic, 3)
        store = SimStore(self._said)
        store.loses_answer = lambda: self.chaos.happens("answer", 0.004)
        node = Node(service, store, Group(self.topics, topics))
        node.hosts = [Host(self, node, n) for n in range(1, REPLICAS + 1)]
        for host in node.hosts:
            host.turns.after_commit.append(self.chaos.turned)
            host.fibers.append(Ops(host, self).fiber)
        if service.name == "notify":
            for host in node.hosts:
                host.fibers.append(Sender(host, self.mail).fiber)
        return node

    # --- running ------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Until everybody's story is told and nothing moves any more."""
        for node in self.nodes:
            node.rebalance()
        for one in self.people.values():
            one.buyers.begin()
        while self.rounds < MOST_ROUNDS:
            self.rounds += 1
            self.chaos.tick()
            moved = False
            for host in self.hosts:
                if host.alive and not host.frozen:
                    for fiber in host.fibers:
                        rests = fiber.round is None
                        if rests and not fiber.due():
                            continue
                        moved = True
                        if rests and self.rng.random() < IDLE:
                            continue
                        for _ in range(self.rng.choice((0, 1, 2, 5, 9))):
                            fiber.advance()
                            if fiber.round is None:
                                break
            if not moved and not self.advance() and not self._wake():
                return

    def _wake(self) -> bool:
        """Nothing moves: the trouble ends, and what still waits gets its chance; False when all is quiet for good."""
        if not self.chaos.calm:
            self.chaos.stop()
            for host in self.hosts:
                host.start()
            for node in self.nodes:
                node.rebalance()
                self.retry_parked(node)
            return True
        return False

    def advance(self) -> bool:
        """Move the clock to whatever comes next; False when nothing does."""
        due = [d for node in self.nodes if (d := node.store.next_due()) is not None]
        if self._plans:
            due.append(self._plans[0][0])
        due += [d for node in self.nodes for d in node.store.planned.values()]
        later = [d for d in due if d > self.now()]
        if not later:
            return False
        # in leaps, so that what falls into one meets in the services
        self.clock.move_to(min(later) + self.rng.random() * LEAP)
        while self._plans and self._plans[0][0] <= self.now():
            self._moment, _, act = heappop(self._plans)
            act()
        return True

    # --- what hosts and chaos need ------------------------------------------------------------------------

    def send_fails(self) -> str:
        """See `Town`."""
        if self.chaos.happens("broker", 0.03):
            return "lost" if self.rng.random() < 0.5 else "unknown"
        return ""

    def note(self, who: str, what: str) -> None:
        """See `Town`."""
        if self.trace is not None:
            self.trace.append(f"{self.now():%m-%d %H:%M:%S} {who:<13} {what}")

    def lose(self, topic: str, partitions: int) -> None:
        """A topic is deleted and made again: ours is filled from the log, an inbox by those who sent to it."""
        self.topics.create(topic, partitions)
        self.lost_topics[topic] = self.now()
        for node in self.nodes:
            node.group.forget(topic)
            node.rebalance()
            if node.name == topic:
                self.in_hand[topic] = {(entry.stream, entry.sequence) for entry in node.in_hand}
                node.store.republish()
        for key, headers, body in self._sent.get(topic, ()):
            self.topics.append(topic, key, headers, body)

    def retry_parked(self, node: Node) -> None:
        """What ops do once a bug is mended, or records came that nobody can read: they see to every failed lane."""
        hosts = [h for h in node.hosts if h.alive and not h.frozen] or node.hosts
        for lane, state in list(node.store.waiting_lanes.items()):
            if state is LaneState.FAILED:
                hosts[0].to_retry.append(lane)

    def _said(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            self.committed[entry.hash] = self.now()
            kind, _, number = entry.stream.partition("/")
            if self.trace is not None:
                self.note("committed", f"{entry.stream}/{entry.sequence} {entry.type} {entry.data[:SHOWN]}")
            if kind == "order" and number in self.people:
                people, name = self.people[number], entry.type.split(".")[1]
                self.later(timedelta(), lambda p=people, n=name, e=entry: p.hear(n, e))  # type: ignore[misc]

    # --- what people need ---------------------------------------------------------------------------------

    def now(self) -> datetime:
        """See `Edges`."""
        return self.clock.now()

    def later(self, delay: timedelta, act: Callable[[], None]) -> None:
        """See `Edges`."""
        heappush(self._plans, (self.now() + max(delay, LEAST), next(self._numbers), act))

    def node(self, service: str) -> Node:
        """A service and its database."""
        return next(node for node in self.nodes if node.name == service)

    def row(self, service: str, table: str, key: str) -> Any:
        """See `Edges`."""
        found = self.node(service).store.tables.get(table, {}).get(key)
        return found[0] if found else None

    def send(self, event: Event, actor: Actor, message_id: str) -> None:
        """See `Edges`."""
        inbox = topic_of(event.wire_type)
        node = next(n for n in self.nodes if inbox in n.service.inboxes)
        headers, body = on_the_wire(event, actor, message_id)
        if self.trace is not None:
            self.note(actor.name, f"{message_id}: {event.wire_type} {body.decode()[:SHOWN]}")
        key = f"{actor.name} {message_id}"
        self.receipts.sent.setdefault(key, event)
        if self.rng.random() < 0.3:
            self._request(node, lambda: outside(headers, body, actor, inboxes=node.service.inboxes))
            return
        self.receipts.accepted[key] = node.name
        self.receipts.over_kafka.setdefault(key, self._moment)
        for _ in range(2 if self.chaos.happens("twice", 0.03) else 1):
            self._append(inbox, event, headers, body)

    def reuse(self, event: Event, actor: Actor, message_id: str) -> None:
        """See `Edges`."""
        self.receipts.reused.add(f"{actor.name} {message_id}")
        self.send(event, actor, message_id)

    def _append(self, inbox: str, event: Event, headers: dict[str, str], body: bytes) -> None:
        record = (event.stream.encode(), [(k, v.encode()) for k, v in headers.items()], body)
        self._sent[inbox].append(record)
        self.topics.append(inbox, *record)

    def ask(self, service: str, command: Command, actor: Actor, key: str) -> None:
        """See `Edges`."""
        node = next(n for n in self.nodes if n.name == service)
        self.receipts.asked[key] = command
        if self.trace is not None:
            self.note(actor.name, f"{key}: asks {service} {command!r}")
        self._request(node, lambda: asked(command, actor, self.now(), key=key))

    def _request(self, node: Node, make: Callable[[], Incoming], tries: int = 1) -> None:
        """Over HTTP, to some replica, again and again until it answers."""
        incoming = make()
        key = f"{incoming.envelope.source} {incoming.envelope.id}"
        if tries > MOST_TRIES:
            self.receipts.unanswered.append(key)
            return

        def answered(outcome: Outcome | None) -> None:
            if outcome is not None:
                self.receipts.answered(key, incoming.digest, outcome)
            lost = outcome is None or self.chaos.happens("http", 0.02)
            if lost or outcome is None or outcome.status is Status.FAILED:
                self.later(timedelta(minutes=1), lambda: self._request(node, make, tries + 1))
                return
            self.receipts.accepted[key] = node.name
            self.note("answer", f"{key}: {outcome.status} {outcome.refusal or ''}")

        alive = [h for h in node.hosts if h.alive]
        if not alive:
            self.later(timedelta(minutes=1), lambda: self._request(node, make, tries + 1))
            return
        for host in self.rng.sample(alive, 2 if len(alive) > 1 and self.chaos.happens("twice", 0.03) else 1):
            host.requests.append(Ticket(incoming, answered))
