"""A replica of a service: its loops (intake, timers, HTTP, relay, parking), each going step by step as the real one does.

The turns and what they call are the real ones; the loops around them go as the runtime's do, without Kafka, HTTP and SQL.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Any, Protocol

from deploy.simulate.kafka import Assignment, Group, Place, Topics, text
from deploy.simulate.relay import Relay
from deploy.simulate.steps import Fiber, step
from deploy.simulate.store import SimStore
from shared.events.inbox import INBOX_TOPICS
from shared.runtime.bookkeeping import CURSORS, LaneState, Parked
from shared.runtime.chain import Entry
from shared.runtime.clock import DrivenClock
from shared.runtime.inbox import outside
from shared.runtime.messages import Incoming, Outcome, Raw
from shared.runtime.parking import again
from shared.runtime.service import Service
from shared.runtime.store import Unavailable
from shared.runtime.turn import Turns
from shared.values import Actor

if TYPE_CHECKING:
    from deploy.simulate.chaos import Chaos


@dataclass
class Ticket:
    """A request over HTTP, and whom to tell the outcome; None when the connection broke."""

    incoming: Incoming
    answer: Callable[[Outcome | None], None]


@dataclass
class Node:
    """One service: its database, its group, its replicas."""

    service: Service[Any]
    store: SimStore
    group: Group
    hosts: list["Host"] = field(default_factory=list)
    leader: "Host | None" = None
    """Who holds the relay's lock."""

    @property
    def name(self) -> str:
        """The service's name, which is its topic too."""
        return self.service.name

    @property
    def in_hand(self) -> list[Entry]:
        """What its relays are sending: several, where one goes on that was given up."""
        relays = [host.relay for host in self.hosts if host.relay.fiber.at]
        return [entry for relay in relays for _, _, entry in relay.in_hand]

    def rebalance(self) -> None:
        """Share the partitions among those that answer."""
        self.group.rebalance([h for h in self.hosts if h.alive and not h.frozen])


class Town(Protocol):
    """What a host needs of the world around it."""

    topics: Topics
    clock: DrivenClock
    rng: Random
    actors: dict[str, Actor]
    chaos: "Chaos"

    def send_fails(self) -> str:
        """Empty when the broker acknowledges; `lost` before it was kept, `unknown` when only the answer was lost."""
        ...

    def note(self, who: str, what: str) -> None:
        """Add a line to the trace."""
        ...


class Host:
    """One process of a service."""

    def __init__(self, town: Town, node: Node, number: int) -> None:
        self.town = town
        self.node = node
        self.name = f"{node.name}-{number}"
        self.turns = Turns(node.service, node.store, town.clock)
        self.turns.back_off = _step_back
        self.alive, self.frozen = True, False
        self.assignment = Assignment()
        self.applied: list[tuple[int, list[tuple[Place, int]]]] = []
        """The batch whose offsets are still to be committed: its generation, and its offsets."""
        self.requests: deque[Ticket] = deque()
        self.answering: list[Ticket] = []
        self.to_retry: deque[str] = deque()
        """Lanes that ops want retried."""
        self.relay = Relay(self)
        self.fibers = [
            Fiber("intake", self.intake, self._unread),
            Fiber("offsets", self.acknowledge, self.applied.__len__),
            Fiber("timers", self.timers, self._timer_due),
            Fiber("at once", self.at_once, self._goes_on),
            Fiber("http", self.http, self.requests.__len__),
            self.relay.fiber,
            Fiber("parking", self.parking, self._can_go_on),
        ]

    # --- life ---------------------------------------------------------------------------------------------

    def kill(self) -> None:
        """kill -9: what it had in memory is gone, whoever waited for an answer gets none."""
        for fiber in self.fibers:
            fiber.kill()
        self.applied.clear()
        self.alive = False
        if self.node.leader is self:
            self.node.leader = None
        tickets = [*self.answering, *self.requests]
        self.answering = []
        self.requests.clear()
        for ticket in tickets:
            ticket.answer(None)

    def start(self) -> None:
        """Start again, from what was committed."""
        self.alive, self.frozen = True, False

    # --- the Kafka door -----------------------------------------------------------------------------------

    def _unread(self) -> bool:
        topics, mine = self.town.topics, self.assignment
        if mine.read_up_to == topics.appended:
            return False
        for place, position in mine.positions.items():
            if position < len(topics.records(place)):
                return True
        mine.read_up_to = topics.appended
        return False

    def fetch(self) -> tuple[list[Raw], list[tuple[Place, int]]]:
        """The next records of some of its partitions, and the offsets after them."""
        batch: list[Raw] = []
        limit = self.town.rng.randint(1, 40)
        for place, position in self.assignment.positions.items():
            records = self.town.topics.records(place)[position : position + limit]
            if records:
                batch += records
                self.assignment.positions[place] = position + len(records)
        return batch, list(self.assignment.positions.items())

    async def intake(self) -> None:
        """A batch through a turn."""
        generation = self.assignment.generation
        batch, offsets = self.fetch()
        await self.apply(batch)
        while self.applied:
            await step("waits for the offsets before")
        self.applied.append((generation, offsets))

    async def acknowledge(self) -> None:
        """The offsets of a batch, while the next may be in its turn."""
        await step("between commit and offsets")
        self.commit_offsets(*self.applied[0])
        self.applied.clear()

    async def apply(self, batch: Sequence[Raw]) -> None:
        """Take records through a turn."""
        await self.patiently([self.decode(raw) for raw in batch])

    def commit_offsets(self, generation: int, offsets: Sequence[tuple[Place, int]]) -> None:
        """Acknowledge what was applied; a group that went on without us refuses."""
        self.node.group.commit(generation, offsets)

    def decode(self, raw: Raw, actor: Actor | None = None) -> Incoming:
        """A record as a message at the door; who sent it stands in a header of its own, where a token would."""
        if raw.topic not in INBOX_TOPICS:
            return self.town.topics.decoded(raw, self.node.service.hears)
        headers = text(raw.headers)
        actor = actor or self.town.actors[headers["actor"]]
        return outside(headers, raw.body, actor, inbox=raw.topic, raw=raw)

    async def patiently(self, messages: list[Incoming]) -> list[Outcome]:
        """A turn; a database that is away is waited for."""
        while True:
            try:
                return await self.turns.run(messages)
            except Unavailable:
                await self.database_back()

    async def database_back(self) -> None:
        """Wait as long as the database is away, and a step more."""
        await step("waits for the database")
        while self.node.store.away:
            await step("waits for the database")

    # --- the other doors ----------------------------------------------------------------------------------

    def _timer_due(self) -> bool:
        due = self.node.store.next_due()
        return due is not None and due <= self.town.clock.now()

    async def timers(self) -> None:
        """What fell due, once all that was said before is applied."""
        now, goal = self.town.clock.now(), self.node.group.ends()
        while not self.node.group.reached(goal):
            await step("hears first")
        await self._run_timers(until=now)

    async def _run_timers(self, **which: Any) -> None:
        try:
            await self.turns.run_timers(self.town.rng.randint(1, 50), **which)
        except Unavailable:
            await self.database_back()

    def _goes_on(self) -> bool:
        names, now = self.node.service.at_once, self.town.clock.now()
        return bool(names) and any(t.name in names and t.due <= now for t in self.node.store.timers.values())

    async def at_once(self) -> None:
        """What waits for nothing."""
        await self._run_timers(names=self.node.service.at_once)

    async def http(self) -> None:
        """Requests that wait, in one turn; each gets its own answer."""
        tickets = self.answering = [self.requests.popleft() for _ in range(min(len(self.requests), 20))]
        outcomes = await self.patiently([ticket.incoming for ticket in tickets])
        await step("while answering")
        self.answering = []
        for ticket, outcome in zip(tickets, outcomes, strict=True):
            ticket.answer(outcome)

    def _can_go_on(self) -> list[str]:
        """Lanes whose missing message arrived."""
        if not self.node.store.waiting_lanes:  # as nearly always, and every loop asks every time
            return []
        lanes = [lane for lane, state in self.node.store.waiting_lanes.items() if state is LaneState.GAP]
        return [lane for lane in lanes if self._next_is_there(lane)]

    def _next_is_there(self, lane: str) -> bool:
        waiting = self.waiting(lane)
        cursor = self.node.store.tables.get(CURSORS.name, {}).get(lane)
        applied = cursor[0].sequence if cursor else 0
        return not waiting or waiting[0].sequence is None or waiting[0].place <= applied + 1

    def waiting(self, lane: str) -> list[Parked]:
        """What is parked there, oldest first."""
        return sorted(self.node.store.queues.get(lane, {}).values(), key=lambda p: p.place)

    async def parking(self) -> None:
        """Let lanes go on whose missing message arrived."""
        for lane in self._can_go_on():
            await self.retry(lane)

    async def retry(self, lane: str) -> None:
        """The messages of a lane again, oldest first."""
        if waiting := self.waiting(lane):
            await self.patiently([again(parked, self.decode) for parked in waiting])


async def _step_back(tries: int) -> None:
    await step("steps back")
