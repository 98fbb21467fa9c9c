"""A whole service in memory: the real handlers and the real turn, on a store without a database and a clock that is moved."""

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any, Generic, TypeVar
from uuid import uuid4

from shared.events.base import EVENT_TYPES, Event, topic_of
from shared.runtime.clock import DrivenClock
from shared.runtime.commands import asked
from shared.runtime.desk import Desk
from shared.runtime.memory import MemoryStore
from shared.runtime.messages import Command, Door, Envelope, Incoming, Outcome, Raw
from shared.runtime.service import Service
from shared.runtime.turn import Turns
from shared.values import Actor, ActorKind, Role

D = TypeVar("D", bound=Desk)
E = TypeVar("E", bound=Event)

START = datetime(2026, 3, 2, 1, 0, tzinfo=UTC)
SHOP = Actor(kind=ActorKind.SYSTEM, name="shop")
AGENT = Actor(kind=ActorKind.OPERATOR, name="agent.mei")
SUPERVISOR = Actor(kind=ActorKind.OPERATOR, name="supervisor.chen", role=Role.BACK_OFFICE)
ADMINISTRATOR = Actor(kind=ActorKind.OPERATOR, name="admin.wu", role=Role.ADMINISTRATOR)


class Bench(Generic[D]):
    """One service on the bench. `said` holds all it published, in order."""

    def __init__(self, service: Service[D], start: datetime = START) -> None:
        self.service = service
        self.store = MemoryStore()
        self.clock = DrivenClock(start)
        self.turns = Turns(service, self.store, self.clock)
        self._sequences: dict[str, int] = defaultdict(int)
        self._read = 0

    async def hear(self, *events: Event) -> list[Outcome]:
        """Events of our services, in one batch, numbered per stream as their publishers would."""
        return await self.turns.run([self.incoming(event) for event in events])

    def incoming(self, event: Event) -> Incoming:
        """The next event of its stream, as Kafka would bring it."""
        publisher = topic_of(event.wire_type)
        lane = f"{publisher}|{event.stream}"
        self._sequences[lane] += 1
        envelope = Envelope(
            id=f"{event.stream}/{self._sequences[lane]}",
            source=f"/handover/{publisher}",
            type=event.wire_type,
            stream=event.stream,
            time=self.clock.now(),
            actor=Actor(kind=ActorKind.SERVICE, name=publisher),
            sequence=self._sequences[lane],
        )
        body = event.model_dump_json().encode()
        raw = Raw(publisher, 0, self._sequences[lane], event.stream.encode(), (), body)
        return Incoming(envelope, Door.KAFKA, lane, event, raw=raw)

    async def outside(
        self, event: Event, *, id: str | None = None, source: str = "shop", actor: Actor = SHOP
    ) -> Outcome:
        """An event from outside, over Kafka; `id` repeats or makes up its CloudEvents id."""
        return (await self.turns.run([self.from_outside(event, id=id, source=source, actor=actor)]))[0]

    def from_outside(
        self, event: Event, *, id: str | None = None, source: str = "shop", actor: Actor = SHOP
    ) -> Incoming:
        """An inbox event as Kafka would bring it."""
        inbox = topic_of(event.wire_type)
        body = event.model_dump_json().encode()
        envelope = Envelope(
            id or str(uuid4()), source, event.wire_type, event.stream, self.clock.now(), actor
        )
        raw = Raw(inbox, 0, 0, event.stream.encode(), (), body)
        return Incoming(
            envelope, Door.KAFKA, f"{inbox}|{event.stream}", event, raw=raw, digest=sha256(body).digest()
        )

    async def ask(self, command: Command, *, actor: Actor = AGENT, key: str | None = None) -> Outcome:
        """A command over HTTP; `key` is its Idempotency-Key."""
        return (await self.turns.run([asked(command, actor, self.clock.now(), key=key)]))[0]

    async def pass_time(self, delta: timedelta) -> None:
        """Move the clock and let everything happen that falls due, in the order in which it does."""
        until = self.clock.now() + delta
        while due := sorted(t.due for t in self.store.timers.values() if t.due <= until):
            self.clock.move_to(due[0])
            await self.turns.run_timers()
        self.clock.move_to(until)

    @property
    def said(self) -> list[Event]:
        """All that the service published, as a consumer would read it."""
        return [EVENT_TYPES[e.type].model_validate_json(e.wire) for e in self.store.event_log]

    def news(self) -> list[Event]:
        """What was published since this was asked last."""
        news = self.said[self._read :]
        self._read += len(news)
        return news

    def said_of(self, event: type[E]) -> list[E]:
        """All published events of one class."""
        return [e for e in self.said if isinstance(e, event)]

    def row(self, table: str, key: str) -> Any:
        """One row of a table, or None."""
        found = self.store.tables.get(table, {}).get(key)
        return found[0] if found else None


def refused_by(outcome: Outcome) -> str:
    """The code of the rule that refused it."""
    assert outcome.refusal is not None, f"it was not refused, but {outcome.status.value}"
    return outcome.refusal.code
