"""The public edges under fault: what is handed in there, and what answers it. What an outsider was told to be accepted is
remembered: it may never be lost again.
"""

import asyncio
import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from deploy.play.edges import OWNER, Edges, Target
from shared.events.base import Event
from shared.values import Actor
from tests.faults.witness import Said

Answered = Callable[[Said], bool]


@dataclass
class Step:
    """Something handed in, and the event that answers it."""

    event: Event
    actor: Actor
    id: str
    answer: Answered
    done: asyncio.Event = field(default_factory=asyncio.Event)
    refused: bool = False
    acknowledged: int = 0
    """In which life of the topics Kafka took it."""


def kind(name: str, **values: Any) -> Answered:
    """An event called so, with these values."""
    return lambda said: (
        said.type.split(".")[1] == name and all(said.data.get(k) == v for k, v in values.items())
    )


def now() -> datetime:
    """The wall clock of the outsiders."""
    return datetime.now(UTC)


BRIEF = timedelta(minutes=10)
"""How long the token of a record is good. For a host whose clock is an hour ahead it ended before it was made; what counts is
when Kafka got the record."""


class FaultyEdges(Edges):
    """Edges whose memory the checker compares with the databases. `put` and `post` try once: whoever sends, sends again."""

    def __init__(self, target: Target, brief: Callable[[Actor, timedelta], str]) -> None:
        super().__init__(target)
        self.brief = brief
        self.http = httpx.AsyncClient(timeout=6, limits=httpx.Limits(max_connections=60))
        self.accepted: dict[str, set[str]] = {service: set() for service in {*OWNER.values()}}
        """Per service, (source, id) of all that it answered with 2xx and all that Kafka acknowledged for it."""
        self.commands: dict[str, set[str]] = {service: set() for service in self.accepted}
        """Per service, the keys of commands that it answered with 2xx."""
        self.acknowledged = 0
        self.answered = 0
        self._numbers = itertools.count(1)

    async def __aenter__(self) -> "FaultyEdges":
        self.producer = await self._connected()
        return self

    async def _connected(self) -> AIOKafkaProducer:
        producer = AIOKafkaProducer(
            bootstrap_servers=self.target.kafka, acks="all", linger_ms=2, request_timeout_ms=10_000,
            metadata_max_age_ms=5_000,
        )  # fmt: skip
        await producer.start()
        return producer

    def record(
        self, event: Event, actor: Actor, *, id: str | None = None, source: str = "shop"
    ) -> tuple[str, dict[str, Any]]:
        """See `Edges.record`; with a token made for it."""
        topic, record = super().record(event, actor, id=id, source=source)
        headers = dict(record["headers"]) | {"authorization": f"Bearer {self.brief(actor, BRIEF)}".encode()}
        return topic, record | {"headers": list(headers.items())}

    async def offer(self, event: Event, actor: Actor, id: str) -> bool:
        """Hand in over Kafka; True when it was acknowledged."""
        try:
            async with asyncio.timeout(15):
                await self.put(event, actor, id=id, source=actor.name)
        except (KafkaError, TimeoutError):
            return False
        self.acknowledged += 1
        self._accept(event, actor, id)
        return True

    async def say(self, event: Event, actor: Actor, id: str) -> Any:
        """Hand in over HTTP, to one replica or the other, until it answers. Raises Refusal, or TimeoutError after long."""
        answer = await self.post(event, actor, id=id, source=actor.name)
        self.answered += 1
        self._accept(event, actor, id)
        return answer

    async def ask(
        self,
        service: str,
        path: str,
        actor: Actor,
        body: Mapping[str, Any] | None = None,
        *,
        key: str | None = None,
    ) -> Any:
        """A command over HTTP, to one replica or the other, until it is answered. Raises as `say` does."""
        key = key or self.fresh("command")
        answer = await super().ask(service, path, actor, body, key=key)
        self.answered += 1
        self.accepted[service].add(f"{actor} {key}")
        self.commands[service].add(key)
        return answer

    def _accept(self, event: Event, actor: Actor, id: str) -> None:
        self.accepted[OWNER[event.wire_type.rsplit(".", 2)[0]]].add(f"{actor.name} {id}")

    def fresh(self, name: str) -> str:
        """An id that was not used before."""
        return f"{name}.{next(self._numbers)}"
