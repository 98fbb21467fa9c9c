"""The public edges under fault. What an outsider was told to be accepted is remembered: it may never be lost again."""

import asyncio
import itertools
from typing import Any

import httpx
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from deploy.play.edges import OWNER, Edges, Target
from shared.events.base import Event
from shared.values import Actor


class FaultyEdges(Edges):
    """Edges whose memory the checker compares with the databases. `put` and `post` try once: whoever sends, sends again."""

    def __init__(self, target: Target) -> None:
        super().__init__(target)
        self.http = httpx.AsyncClient(timeout=6, limits=httpx.Limits(max_connections=60))
        self.accepted: dict[str, set[str]] = {service: set() for service in {*OWNER.values()}}
        """Per service, (source, id) of all that it answered with 2xx and all that Kafka acknowledged for it."""
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

    def _accept(self, event: Event, actor: Actor, id: str) -> None:
        self.accepted[OWNER[event.wire_type.rsplit(".", 2)[0]]].add(f"{actor.name} {id}")

    def fresh(self, name: str) -> str:
        """An id that was not used before."""
        return f"{name}.{next(self._numbers)}"
