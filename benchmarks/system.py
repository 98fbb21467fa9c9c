"""The four services as real processes on a place's servers, and plain orders played through them in bulk.

An order goes as most do: submitted, paid, confirmed, released, reserved, picked, checked, packed, handed over, delivered,
received. What people and systems outside would send is made beforehand, so that making it does not disturb the measurement.
"""

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

import asyncpg

from benchmarks import machine
from benchmarks.place import Place
from deploy.embedded.stack import Stack
from deploy.play.day import COURIER_OF, PAYMENTS, PICKERS, SHOP
from deploy.play.edges import Edges, Target
from deploy.play.pace import Pace
from deploy.play.script import SOURCE, Script, Story, write
from deploy.provision import SERVICES
from deploy.topics import PARTITIONS, topics
from shared.events import inbox
from shared.events.base import Event
from shared.events.warehouse import TrackingStatus
from shared.values import Actor, Money

SEED = 7

Message = tuple[Event, Actor]

_DISK = """
SELECT (pg_current_wal_lsn() - '0/0'::pg_lsn)::bigint AS wal, sum(pg_database_size(datname))::bigint AS kept
FROM pg_database WHERE datname = ANY($1::name[])
"""


class _Running:
    """A server that runs already: starting and stopping it is not the stack's business."""

    log = "elsewhere"
    pid = None
    running = True

    def start(self) -> None: ...

    def stop(self) -> None: ...


class _Kafka(_Running):
    idempotent = True
    session_ms = 10_000

    def __init__(self, bootstrap: str) -> None:
        self.bootstrap = bootstrap


class _Postgres(_Running):
    def __init__(self, admin_url: str) -> None:
        self.admin_url = admin_url


@contextmanager
def system(place: Place) -> Iterator[Stack]:
    """All four services, ready, on empty databases and topics. Main thread only, outside an event loop."""
    asyncio.run(_clear(place))
    stack = Stack(partitions=PARTITIONS)
    stack.postgres = _Postgres(place.admin_url)
    stack.broker = _Kafka(place.kafka)
    stack.ports["postgres"] = place.postgres.port
    stack.settings["HANDOVER_KAFKA_FETCH_WAIT_MS"] = (
        "50"  # as by default: only the embedded broker needs less
    )
    with stack:
        yield stack


async def _clear(place: Place) -> None:
    await place.topics(*(t.name for t in topics()))
    for service in SERVICES:
        await place.execute("postgres", f"DROP DATABASE IF EXISTS handover_{service} WITH (FORCE)")


def target(stack: Stack) -> Target:
    """Where an outsider finds it."""
    return Target(
        kafka=stack.broker.bootstrap,
        urls={service: stack.url(service) for service in SERVICES},
        token=stack.token,
        databases={service: stack.database_url(service, owner=True) for service in SERVICES},
    )


@dataclass(frozen=True)
class Played:
    """What some orders took: seconds by phase, CPU seconds by process."""

    orders: int
    seconds: dict[str, float]
    cpu: dict[str, float]
    events: dict[str, int]
    """Said, by service."""
    wal: int
    """Bytes of write-ahead log."""
    kept: int
    """Bytes that the databases grew."""

    @property
    def rate(self) -> float:
        """Orders a second."""
        return self.orders / sum(self.seconds.values())


class Shop:
    """Plays plain orders in bulk; use it as an async context manager inside `system`."""

    _runs = itertools.count(1)

    def __init__(self, place: Place, stack: Stack) -> None:
        self.place = place
        self.stack = stack
        self.target = target(stack)
        self.edges: Edges
        self.pace: Pace
        self._ids = itertools.count(1)
        self.name = f"{time.time_ns():x}"

    async def __aenter__(self) -> "Shop":
        self.edges = await Edges(self.target).__aenter__()
        self.pace = await Pace(self.edges).__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.pace.__aexit__()
        await self.edges.__aexit__()

    def scripts(self, orders: int) -> list[Script]:
        """Plain orders: always the same goods in the same order, from SEED."""
        run = f"{int(time.time()) % 10**8:08d}-{next(self._runs)}"  # counted up, as the orders of a shop are
        drawn = write(run, orders * 3 + 20, SEED, datetime.now(UTC))
        return [s for s in drawn if s.story is Story.PLAIN][:orders]

    async def stock(self, scripts: Sequence[Script], times: int = 1) -> None:
        """Receive what the orders want, so many times over."""
        wanted: Counter[str] = Counter()
        for script in scripts:
            for line in script.order.lines:
                wanted[line.sku] += line.quantity * times
        now, scans = datetime.now(UTC), []
        for sku, quantity in sorted(wanted.items()):
            while quantity > 0:
                part = min(quantity, 100_000)
                scans.append(inbox.StockScanned(barcode=sku, quantity=part, location="A-01", scanned_at=now))
                quantity -= part
        await self.send([(scan, PICKERS[0]) for scan in scans])
        await self.settled()

    async def play(self, scripts: Sequence[Script]) -> Played:
        """From submitted to received; raises AssertionError when an order did not get there."""
        spent, said, disk = self._cpu(), await self._said(), await self._disk()
        seconds = {
            "ordered": await self._phase([m for s in scripts for m in bought(s)]),
            "packed": await self._phase([m for s in scripts for m in scanned(s)]),
            "handed over": await self._phase(await self._handed_over(scripts)),
            "delivered": await self._phase([(m, SHOP) for m in map(received, scripts)]),
        }
        cpu = {name: value - spent[name] for name, value in self._cpu().items()}
        done = await self._completed(scripts)
        assert done == len(scripts), f"{done} of {len(scripts)} orders were completed"
        events = {name: n - said[name] for name, n in (await self._said()).items()}
        wal, kept = (now - before for now, before in zip(await self._disk(), disk, strict=True))
        return Played(len(scripts), seconds, cpu, events, wal, kept)

    async def send(self, messages: Sequence[Message]) -> None:
        """Hand in messages over Kafka, all at once."""
        last = None
        for event, actor in messages:
            last = await self.edges.send(event, actor, id=self.new_id(), source=actor.name)
        if last is not None:
            await self.edges.producer.flush()
            await last

    def new_id(self) -> str:
        """An id for one message."""
        return f"{self.name}-{next(self._ids)}"

    async def settled(self) -> None:
        """Wait until nothing moves."""
        await self.pace.settled(patience=900, look_every=0.05)

    async def _phase(self, messages: Sequence[Message]) -> float:
        began = time.perf_counter()
        await self.send(messages)
        await self.settled()
        return time.perf_counter() - began

    async def _handed_over(self, scripts: Sequence[Script]) -> list[Message]:
        """The courier takes each parcel and reports it delivered; tracking numbers are read from its label."""
        mine = [s.order_id for s in scripts]
        sql = "SELECT order_id, courier, tracking_number FROM shipments WHERE order_id = ANY($1::text[])"
        now, messages = datetime.now(UTC), list[Message]()
        for row in await self.fetch("warehouse", sql, mine):
            number, courier = row["tracking_number"], row["courier"]
            messages.append((inbox.HandOverScanned(tracking_number=number, scanned_at=now), PICKERS[0]))
            for status in (TrackingStatus.IN_TRANSIT, TrackingStatus.DELIVERED):
                report = inbox.TrackingReported(
                    courier=courier, tracking_number=number, status=status, occurred_at=now
                )
                messages.append((report, COURIER_OF[courier]))
        return messages

    async def _completed(self, scripts: Sequence[Script]) -> int:
        sql = "SELECT status FROM orders WHERE order_id = ANY($1::text[]) AND status = 'completed'"
        return len(await self.fetch("orders", sql, [s.order_id for s in scripts]))

    async def _said(self) -> dict[str, int]:
        sql = "SELECT coalesce(max(position), 0) AS n FROM event_log"
        return {s: (await self.fetch(s, sql))[0]["n"] for s in SERVICES}

    async def _disk(self) -> tuple[int, int]:
        """Bytes of write-ahead log since the server was made, and of the four databases."""
        connection = await asyncpg.connect(self.place.admin_url)
        try:
            (row,) = await connection.fetch(_DISK, [f"handover_{s}" for s in SERVICES])
            return row["wal"], row["kept"]
        finally:
            await connection.close()

    async def fetch(self, service: str, sql: str, *args: object) -> list[asyncpg.Record]:
        """Ask a service's database."""
        connection = await asyncpg.connect(self.target.databases[service])
        try:
            return list(await connection.fetch(sql, *args))
        finally:
            await connection.close()

    def _cpu(self) -> dict[str, float]:
        services = {name: machine.cpu_seconds(p.pid) for name, p in self.stack.processes.items()}
        return {**services, **self.place.cpu()}


def bought(script: Script) -> list[Message]:
    """The order, its payment, the buyer's confirmation."""
    payment = inbox.PaymentCaptured(
        source=SOURCE, external_number=script.number, payment_id=f"{script.number}-a",
        amount=Money(amount=script.order.total, currency="CNY"), captured_at=datetime.now(UTC),
    )  # fmt: skip
    answer = inbox.AddressAnswered(source=SOURCE, external_number=script.number)
    return [(script.order, SHOP), (payment, PAYMENTS), (answer, SHOP)]


def scanned(script: Script) -> list[Message]:
    """Picked by one person, checked by another, packed."""
    now, order_id = datetime.now(UTC), script.order_id
    picker, checker = PICKERS[0], PICKERS[1]
    messages: list[Message] = [(inbox.PickStartScanned(order_id=order_id, scanned_at=now), picker)]
    for line in script.order.lines:
        pick = inbox.PickScanned(order_id=order_id, barcode=line.sku, quantity=line.quantity, scanned_at=now)
        messages.append((pick, picker))
    messages.append((inbox.CheckStartScanned(order_id=order_id, scanned_at=now), checker))
    for line in script.order.lines:
        count = inbox.CheckScanned(
            order_id=order_id, barcode=line.sku, quantity=line.quantity, scanned_at=now
        )
        messages.append((count, checker))
    messages.append((inbox.CheckFinishScanned(order_id=order_id, scanned_at=now), checker))
    messages.append((inbox.PackScanned(order_id=order_id, weight_grams=850, scanned_at=now), picker))
    return messages


def received(script: Script) -> Event:
    """The buyer has it."""
    return inbox.ReceiptConfirmed(source=SOURCE, external_number=script.number)
