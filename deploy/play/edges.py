"""The edges as outsiders see them: hand in CloudEvents over Kafka or HTTP, ask over HTTP, listen to the topics.

What is sent is sent again with the same id until it is acknowledged, so that a service killed meanwhile costs nothing.
"""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import httpx
import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import KafkaError

from shared.events.base import Event, topic_of
from shared.runtime.member import begin
from shared.values import Actor, ActorKind, Role

OWNER = {
    "orders.inbox": "orders",
    "aftersales.inbox": "aftersales",
    "scans.inbox": "warehouse",
    "tracking.inbox": "warehouse",
}
"""Which service takes the events of an inbox over HTTP."""

RETRY_FOR = 90.0
"""Seconds that a request is tried again while a service is away."""


class Refusal(Exception):
    """The system refused a request, by a rule."""

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        super().__init__(f"{status} {problem.get('code')}: {problem.get('detail')}")
        self.status = status
        self.code = str(problem.get("code"))


@dataclass(frozen=True)
class Heard:
    """An event read from a topic, as any system outside would see it."""

    type: str
    stream: str
    sequence: int
    data: dict[str, Any]


@dataclass
class Target:
    """Where a system is, and how to get tokens for it."""

    kafka: str
    urls: Mapping[str, str]
    token: Callable[[Actor], str]
    databases: Mapping[str, str] = field(default_factory=dict)
    """Database URL of each service, for checks by SQL; empty when they cannot be reached."""
    idempotent: bool = True


class Edges:
    """One outsider's connections: use it as an async context manager."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.sent = 0
        self.http = httpx.AsyncClient(timeout=20, limits=httpx.Limits(max_connections=40))
        self.producer: AIOKafkaProducer
        self._tokens: dict[Actor, str] = {}

    async def __aenter__(self) -> "Edges":
        self.producer = AIOKafkaProducer(
            bootstrap_servers=self.target.kafka,
            acks="all",
            enable_idempotence=self.target.idempotent,
            linger_ms=2,
        )
        try:
            await begin(self.producer.start())
        except BaseException:  # no broker, or stopped meanwhile
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.producer.stop()
        await self.http.aclose()

    def token(self, actor: Actor) -> str:
        """The actor's token."""
        if actor not in self._tokens:
            self._tokens[actor] = self.target.token(actor)
        return self._tokens[actor]

    async def put(self, event: Event, actor: Actor, *, id: str | None = None, source: str = "shop") -> None:
        """Hand in an event over Kafka; returns when the broker has it."""
        future = await self.send(event, actor, id=id, source=source)
        await future

    async def send(self, event: Event, actor: Actor, *, id: str | None = None, source: str = "shop") -> Any:
        """Hand in an event over Kafka without waiting: returns the future of the acknowledgment."""
        self.sent += 1
        topic, record = self.record(event, actor, id=id, source=source)
        return await self.producer.send(topic, **record)

    def record(
        self, event: Event, actor: Actor, *, id: str | None = None, source: str = "shop"
    ) -> tuple[str, dict[str, Any]]:
        """The topic of an event, and its key, value and headers there."""
        headers = {
            "content-type": "application/json",
            "ce_specversion": "1.0",
            "ce_id": id or str(uuid4()),
            "ce_source": source,
            "ce_type": event.wire_type,
            "authorization": f"Bearer {self.token(actor)}",
        }
        return topic_of(event.wire_type), {
            "key": event.stream.encode(),
            "value": event.model_dump_json().encode(),
            "headers": [(name, value.encode()) for name, value in headers.items()],
        }

    async def post(self, event: Event, actor: Actor, *, id: str | None = None, source: str = "shop") -> Any:
        """Hand in an event over HTTP; its answer. Raises Refusal."""
        self.sent += 1
        url = self.target.urls[OWNER[topic_of(event.wire_type)]]
        headers = {
            "content-type": "application/json",
            "ce-specversion": "1.0",
            "ce-id": id or str(uuid4()),
            "ce-source": source,
            "ce-type": event.wire_type,
        }
        body = await self._ask("POST", f"{url}/v1/events", actor, headers, event.model_dump_json().encode())
        return body["answer"]

    async def ask(
        self,
        service: str,
        path: str,
        actor: Actor,
        body: Mapping[str, Any] | None = None,
        *,
        key: str | None = None,
    ) -> Any:
        """A command over HTTP, under an idempotency key of its own if none is given; its answer. Raises Refusal."""
        self.sent += 1
        headers = {"content-type": "application/json", "idempotency-key": key or str(uuid4())}
        url = f"{self.target.urls[service]}{path}"
        return await self._ask("POST", url, actor, headers, orjson.dumps(body) if body is not None else b"")

    async def get(self, service: str, path: str, actor: Actor) -> Any:
        """A read over HTTP. Raises Refusal."""
        return await self._ask("GET", f"{self.target.urls[service]}{path}", actor, {}, None)

    async def _ask(
        self, method: str, url: str, actor: Actor, headers: dict[str, str], body: bytes | None
    ) -> Any:
        deadline = asyncio.get_running_loop().time() + RETRY_FOR
        headers = headers | {"authorization": f"Bearer {self.token(actor)}"}
        while True:
            with contextlib.suppress(httpx.TransportError):
                answer = await self.http.request(method, url, content=body, headers=headers)
                if answer.is_success:
                    return answer.json()
                if answer.status_code != 503:
                    raise Refusal(answer.status_code, answer.json())
            if asyncio.get_running_loop().time() > deadline:
                raise TimeoutError(f"{url} did not answer for {RETRY_FOR:.0f} s")
            await asyncio.sleep(0.2)


class Listener:
    """Reads the topics of the services from their beginning and tells whoever asked to be told."""

    TOPICS = ("orders", "warehouse", "aftersales", "notify")

    def __init__(self, target: Target) -> None:
        self.target = target
        self.counts: dict[str, int] = {}
        self.types: dict[str, int] = {}
        self._last: dict[tuple[str, str], int] = {}
        self._told: list[Callable[[Heard], None]] = []
        self._task: asyncio.Task[None] | None = None

    def tell(self, callback: Callable[[Heard], None]) -> None:
        """Call back for every event, once, in the order of its stream."""
        self._told.append(callback)

    async def __aenter__(self) -> "Listener":
        self._task = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *error: object) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _read(self) -> None:
        consumer = AIOKafkaConsumer(
            *self.TOPICS,
            bootstrap_servers=self.target.kafka,
            auto_offset_reset="earliest",
            fetch_max_wait_ms=20,
        )
        try:
            await begin(consumer.start())
            while True:
                try:
                    batches = await consumer.getmany(timeout_ms=50, max_records=1000)
                except KafkaError:
                    await asyncio.sleep(0.2)
                    continue
                for records in batches.values():
                    for record in records:
                        self._take(record)
        finally:
            await consumer.stop()

    def _take(self, record: Any) -> None:
        heard = _heard(record)
        if heard is None:
            return
        place = (record.topic, heard.stream)
        if heard.sequence <= self._last.get(place, 0):
            return  # sent twice, as may happen after a crash: the sequence tells
        self._last[place] = heard.sequence
        self.counts[record.topic] = self.counts.get(record.topic, 0) + 1
        self.types[heard.type] = self.types.get(heard.type, 0) + 1
        for callback in self._told:
            callback(heard)


def _heard(record: Any) -> Heard | None:
    """The event of a record; None for one that is no event, which a stranger put into the topic."""
    try:
        headers = {name: value.decode() for name, value in record.headers}
        sequence, data = int(headers["ce_sequence"]), orjson.loads(record.value)
        return Heard(headers["ce_type"], headers["ce_subject"], sequence, data)
    except (AttributeError, KeyError, TypeError, ValueError):
        return None


def person(name: str, role: Role = Role.ORDINARY, device: str | None = None) -> Actor:
    """A person of the shop."""
    return Actor(kind=ActorKind.OPERATOR, name=name, role=role, device=device)


def system(name: str) -> Actor:
    """A system outside."""
    return Actor(kind=ActorKind.SYSTEM, name=name)
