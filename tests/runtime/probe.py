"""Two small services on real PostgreSQL and a real broker: `orders` says that an order is paid, `warehouse` notes it.

What the handlers do can be broken from outside.
"""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import asyncpg
from aiokafka import AIOKafkaProducer
from pydantic import SecretStr
from sqlalchemy import BigInteger, CheckConstraint, Column, MetaData, Table, Text
from sqlalchemy.dialects.postgresql import JSONB, dialect
from sqlalchemy.schema import CreateIndex, CreateTable

from deploy.embedded.broker import EmbeddedBroker
from deploy.embedded.postgres import EmbeddedPostgres
from deploy.topics import create_topics
from shared.events.base import Event
from shared.events.inbox import CancelAsked, ReceiptConfirmed
from shared.events.orders import OrderEventParked, OrderMessageRefused, OrderPaid
from shared.events.warehouse import WarehouseEventParked
from shared.runtime.bookkeeping import runtime_tables
from shared.runtime.chain import GENESIS
from shared.runtime.desk import Desk, Want
from shared.runtime.envelope import headers
from shared.runtime.intake import STOP_SECONDS
from shared.runtime.messages import Command, Incoming, Raw, Refused, Timer
from shared.runtime.rows import RowMap
from shared.runtime.running import Runtime
from shared.runtime.service import Service, on
from shared.runtime.settings import Settings
from shared.values import ActorKind, Money
from tests.harness import START
from tests.runtime.stand import PUBLIC, token

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
"""Due on any clock."""
MOST = 1_000_000
"""The database refuses a note with more."""

metadata = MetaData()
runtime_tables(metadata)
notes = Table(
    "notes",
    metadata,
    Column("note_id", Text, primary_key=True),
    Column("total", BigInteger, nullable=False),
    Column("doc", JSONB, nullable=False),
    Column("version", BigInteger, nullable=False),
    CheckConstraint(f"total <= {MOST}", name="notes_are_modest"),
)


@dataclass(frozen=True)
class Note:
    """What was paid for an order, and each amount in the order in which it was handled."""

    note_id: str
    total: int = 0
    amounts: tuple[int, ...] = ()

    def plus(self, amount: int) -> "Note":
        return replace(self, total=self.total + amount, amounts=(*self.amounts, amount))


NOTES = RowMap(Note, notes)


class ProbeDesk(Desk):
    """One shelf. Handlers fail for the ids in `broken` and refuse those in `forbidden`."""

    def __init__(self, broken: set[str], forbidden: set[str]) -> None:
        super().__init__()
        self.notes = self.shelf(NOTES)
        self.broken = broken
        self.forbidden = forbidden

    def note(self, note_id: str, amount: int) -> Note:
        if note_id in self.broken:
            raise ZeroDivisionError
        if note_id in self.forbidden:
            raise Refused("closed", f"{note_id} [closed]")
        note = (self.notes.get(note_id) or Note(note_id)).plus(amount)
        self.notes.put(note)
        return note


class Pay(Command):
    """Note a payment and say so."""

    note_id: str
    amount: int = 1


class Swap(Command):
    """Touch two notes, one after the other."""

    first: str
    second: str


class Remind(Timer, name="probe.remind"):
    """Notes an amount when it falls due."""

    note_id: str
    amount: int = 1


def pay(message: Pay, desk: ProbeDesk) -> dict[str, int]:
    note = desk.note(message.note_id, message.amount)
    desk.publish(paid(message.note_id, message.amount))
    return {"total": note.total}


def receipt(event: ReceiptConfirmed | CancelAsked, desk: ProbeDesk) -> None:
    desk.note(event.external_number, 1)
    desk.publish(paid(event.external_number, 1))


def heard(event: OrderPaid, desk: ProbeDesk) -> None:
    desk.note(event.order_id, event.paid.amount)


def swap(message: Swap, desk: ProbeDesk) -> None:
    desk.note(message.first, 1)
    desk.note(message.second, 1)


def remind(timer: Remind, desk: ProbeDesk) -> None:
    desk.note(timer.note_id, timer.amount)


def _note(message: Any, desk: ProbeDesk) -> Iterator[Want]:
    yield desk.notes.want(
        getattr(message, "note_id", None) or getattr(message, "order_id", None) or message.external_number
    )


def _both(message: Swap, desk: ProbeDesk) -> Iterator[Want]:
    yield desk.notes.want(message.first)
    yield desk.notes.want(message.second)


def paid(order_id: str, amount: int) -> OrderPaid:
    """An event of the writer."""
    return OrderPaid(order_id=order_id, paid=Money(amount=amount, currency="CNY"))


def raw(event: Event, sequence: int, offset: int = 0) -> Raw:
    """An event of the writer as it lies in its topic."""
    said = {
        "stream": event.stream, "sequence": sequence, "type": event.wire_type, "time": START, "actor_kind": "service",
        "actor_name": "orders", "correlation_id": None, "causation_id": None, "trace": None, "previous": GENESIS,
    }  # fmt: skip
    told = tuple(headers(SimpleNamespace(**said), "/handover/orders"))
    body = event.model_dump_json().encode()
    return Raw("orders", 0, offset or sequence, event.stream.encode(), told, body)


def outside(id: str, **headers: bytes | None) -> list[tuple[str, bytes]]:
    """Headers of a receipt in the writer's inbox; a header given as None is left out."""
    usual: dict[str, bytes | None] = {
        "ce_specversion": b"1.0",
        "ce_id": id.encode(),
        "ce_source": b"shop",
        "ce_type": ReceiptConfirmed.wire_type.encode(),
        "authorization": f"Bearer {token(kind=ActorKind.SYSTEM, name='shop')}".encode(),
    }
    return [(name, value) for name, value in {**usual, **headers}.items() if value is not None]


def receipt_of(number: str) -> bytes:
    """The body of a receipt."""
    return ReceiptConfirmed(source="shop", external_number=number).model_dump_json().encode()


async def make_tables(admin_url: str) -> None:
    """The databases of both services."""
    admin = await asyncpg.connect(admin_url)
    statements = [str(CreateTable(t).compile(dialect=dialect())) for t in metadata.sorted_tables]  # type: ignore[no-untyped-call]
    statements += [
        str(CreateIndex(i).compile(dialect=dialect()))  # type: ignore[no-untyped-call]
        for t in metadata.sorted_tables
        for i in t.indexes
    ]
    for name in ("probe_orders", "probe_warehouse"):
        await admin.execute(f"CREATE DATABASE {name}")
        await admin.execute(f"ALTER DATABASE {name} SET deadlock_timeout = '20ms'")
        connection = await asyncpg.connect(_database(admin_url, name))
        await connection.execute(";".join(statements))
        await connection.close()
    await admin.close()


async def database(server: EmbeddedPostgres, name: str) -> str:
    """A database of the server, made when it is not there yet; its URL."""
    admin = await asyncpg.connect(server.admin_url)
    if not await admin.fetchval("SELECT count(*) FROM pg_database WHERE datname = $1", name):
        await admin.execute(f"CREATE DATABASE {name}")
    await admin.close()
    return _database(server.admin_url, name)


def _database(admin_url: str, name: str) -> str:
    return f"{admin_url.rsplit('/', 1)[0]}/{name}"


class Probe:
    """The two services. `broken` holds the ids for which their handlers fail, `forbidden` those that they refuse."""

    def __init__(self, server: EmbeddedPostgres, broker: EmbeddedBroker) -> None:
        self.server = server
        self.broker = broker
        self.broken: set[str] = set()
        self.forbidden: set[str] = set()
        self._made: list[Runtime] = []

    def url(self, name: str) -> str:
        return _database(self.server.admin_url, f"probe_{name}")

    async def clear(self) -> None:
        names = ", ".join(t.name for t in metadata.sorted_tables)
        for name in ("orders", "warehouse"):
            connection = await asyncpg.connect(self.url(name))
            await connection.execute(f"TRUNCATE {names} RESTART IDENTITY")
            await connection.close()

    async def writer(self, kafka: str | None = None) -> Runtime:
        """A replica of orders, its doors still closed; `kafka` are other bootstrap servers than the broker alone."""
        handlers = (on(Pay, pay, _note), on(ReceiptConfirmed, receipt, _note),
                    on(CancelAsked, receipt, _note), on(Swap, swap, _both), on(Remind, remind, _note))  # fmt: skip
        return await self.of(
            Service("orders", self.desk, handlers, OrderEventParked, OrderMessageRefused, ("orders.inbox",)),
            kafka,
        )

    async def reader(self) -> Runtime:
        """A replica of warehouse, its doors still closed."""
        return await self.of(
            Service("warehouse", self.desk, (on(OrderPaid, heard, _note),), WarehouseEventParked)
        )

    def desk(self) -> ProbeDesk:
        return ProbeDesk(self.broken, self.forbidden)

    async def of(self, service: Service[ProbeDesk], kafka: str | None = None) -> Runtime:
        """A replica of a service, its doors still closed."""
        settings = Settings(
            database_url=SecretStr(self.url(service.name)),
            kafka=kafka or self.broker.bootstrap,
            kafka_idempotent=self.broker.idempotent,
            kafka_session_ms=self.broker.session_ms,
            kafka_fetch_wait_ms=self.broker.fetch_wait_ms,
            http_port=1,
            token_public_key=PUBLIC,
        )
        runtime = Runtime(service, settings)
        await runtime.pool
        self._made.append(runtime)
        return runtime

    async def topics(self) -> None:
        """Start the broker with its topics."""
        self.broker.start()
        await create_topics(self.broker.bootstrap, partitions=2)

    async def send(self, topic: str, *records: tuple[Sequence[tuple[str, bytes]], bytes | None]) -> None:
        """Put (headers, value) into a topic, as anybody could."""
        producer = AIOKafkaProducer(bootstrap_servers=self.broker.bootstrap)
        await producer.start()
        for said, value in records:
            await producer.send_and_wait(topic, value, key=b"", headers=list(said), partition=0)
        await producer.stop()

    async def stop(self) -> None:
        """Stop all services. One whose turn cannot end takes `STOP_SECONDS`, and its clients some time after that."""
        for runtime in self._made:
            await asyncio.wait_for(runtime.stop(), STOP_SECONDS + 40)


async def note(runtime: Runtime, note_id: str) -> Note | None:
    """A note as it lies in the database."""
    record = await runtime.pool.fetchrow("SELECT * FROM notes WHERE note_id = $1", note_id)
    return NOTES.load(dict(record)) if record else None


async def parked(runtime: Runtime) -> list[tuple[str, str]]:
    """(stream, state) of all that waits."""
    return [(p.stream, p.state.value) for p in await runtime.parking.list_()]


def decoded(runtime: Runtime, *records: Raw) -> list[Incoming]:
    return [runtime.intake.decode(record) for record in records]
