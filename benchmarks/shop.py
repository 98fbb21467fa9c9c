"""Plain orders played through the four services in bulk.

An order goes as most do: submitted, paid, confirmed, released, reserved, picked, checked, packed, handed over, delivered,
received. What people and systems outside would send is made beforehand, so that making it does not disturb the measurement.
"""

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import asyncpg
from aiokafka.partitioner import DefaultPartitioner

from benchmarks import machine
from benchmarks.outsiders import Message, bought, received, scanned
from benchmarks.place import Place
from benchmarks.system import service_of, target
from deploy.embedded.stack import Stack
from deploy.play.day import COURIER_OF, PICKERS, SHOP
from deploy.play.edges import Edges, Target
from deploy.play.pace import Pace
from deploy.play.script import Script, Story, write
from deploy.provision import SERVICES
from shared.events import inbox
from shared.events.warehouse import TrackingStatus
from shared.values import Actor

SEED = 7
WAVE = 500
"""Orders that go together from stage to stage."""
WAVES_AT_ONCE = 5
LOOK_SECONDS = 0.4
"""How often we look whether a wave is through its stage: a look costs the cores of those that are measured."""

Batch = tuple[str, int, Any]
"""Topic, partition, and records as a producer sends them at once."""

_DISK = """
SELECT (pg_current_wal_lsn() - '0/0'::pg_lsn)::bigint AS wal, sum(pg_database_size(datname))::bigint AS kept
FROM pg_database WHERE datname = ANY($1::name[])
"""


@dataclass(frozen=True)
class Played:
    """What some orders took."""

    orders: int
    seconds: float
    """From the first message handed in to the last commit of an event."""
    cpu: dict[str, float]
    """Seconds by process."""
    events: dict[str, int]
    """Said, by service."""
    wal: int
    """Bytes of write-ahead log."""
    kept: int
    """Bytes that the databases grew."""

    @property
    def rate(self) -> float:
        """Orders a second."""
        return self.orders / self.seconds


class _Edges(Edges):
    """Asks all processes of a service how far it is: each knows of the partitions that it has."""

    def __init__(self, target: Target, stack: Stack) -> None:
        super().__init__(target)
        self._others = [(service_of(p), stack.url(p)) for p in stack.processes if p not in target.urls]

    async def get(self, service: str, path: str, actor: Actor) -> Any:
        """A read over HTTP. Raises Refusal."""
        answer = await super().get(service, path, actor)
        for of, url in self._others:
            if of == service and path == "/ops/progress":
                applied = (await self._ask("GET", f"{url}{path}", actor, {}, None))["applied"]
                answer["applied"] |= {p: max(n, answer["applied"].get(p, 0)) for p, n in applied.items()}
        return answer


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
        self.edges = await _Edges(self.target, self.stack).__aenter__()
        self.pace = await Pace(self.edges).__aenter__()
        databases = self.target.databases.items()
        self._pools = {
            name: await asyncpg.create_pool(url, min_size=0, max_size=4) for name, url in databases
        }
        return self

    async def __aexit__(self, *error: object) -> None:
        for pool in self._pools.values():
            await pool.close()
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
        """From submitted to received, in waves that follow one another: orders of every stage are under way at any time, as in
        a shop. Raises AssertionError when an order did not get there."""
        waves = [scripts[n : n + WAVE] for n in range(0, len(scripts), WAVE)]
        made = [
            (wave, await self.batches([m for s in wave for m in bought(s)]),
             await self.batches([m for s in wave for m in scanned(s)]),
             await self.batches([(received(s), SHOP) for s in wave]))
            for wave in waves
        ]  # fmt: skip
        spent, said, disk = self.cpu(), await self._said(), await self._disk()
        room = asyncio.Semaphore(WAVES_AT_ONCE)

        async def in_turn(*wave: Any) -> None:
            async with room:
                await self._wave(*wave)

        began = time.time()
        await asyncio.gather(*(in_turn(*wave) for wave in made))
        await self.settled()
        seconds = await self.last_said() - began
        cpu = {name: value - spent[name] for name, value in self.cpu().items()}
        done = await self.count([s.order_id for s in scripts], "orders", "orders", "status = 'completed'")
        assert done == len(scripts), f"{done} of {len(scripts)} orders were completed"
        events = {name: n - said[name] for name, n in (await self._said()).items()}
        wal, kept = (now - before for now, before in zip(await self._disk(), disk, strict=True))
        return Played(len(scripts), seconds, cpu, events, wal, kept)

    async def _wave(
        self,
        wave: Sequence[Script],
        ordered: Sequence[Batch],
        packed: Sequence[Batch],
        received: Sequence[Batch],
    ) -> None:
        await self.hand_in(ordered)
        await self._until(wave, "warehouse", "fulfillments", "state = 'allocated'")
        await self.hand_in(packed)
        await self._until(wave, "warehouse", "fulfillments", "state = 'packed'")
        await self.hand_in(await self.batches(await self._handed_over(wave)))
        await self._until(wave, "orders", "orders", "fulfillment = 'delivered'")
        await self.hand_in(received)

    async def _until(self, wave: Sequence[Script], service: str, table: str, state: str) -> None:
        ids = [s.order_id for s in wave]
        while await self.count(ids, service, table, state) < len(ids):
            await asyncio.sleep(LOOK_SECONDS)

    async def count(self, ids: Sequence[str], service: str, table: str, state: str) -> int:
        """How many of these orders are so far, by a service's table."""
        sql = f"SELECT count(*) AS n FROM {table} WHERE order_id = ANY($1::text[]) AND {state}"
        return int((await self.fetch(service, sql, ids))[0]["n"])

    async def hand_in(self, batches: Sequence[Batch]) -> None:
        """Send what was made; returns once the broker has it."""
        sent = [await self.edges.producer.send_batch(b, t, partition=p) for t, p, b in batches]
        await asyncio.gather(*sent)

    async def batches(self, messages: Sequence[Message]) -> list[Batch]:
        """Messages as their producer sends them at once, made beforehand."""
        producer, partitioner = self.edges.producer, DefaultPartitioner()
        batches: list[Batch] = []
        filling: dict[tuple[str, int], Any] = {}
        for event, actor in messages:
            topic, record = self.edges.record(event, actor, id=self.new_id(), source=actor.name)
            partitions = sorted(await producer.partitions_for(topic))
            place = topic, partitioner(record["key"], partitions, partitions)
            batch = filling.get(place)
            if batch is None or batch.append(timestamp=None, **record) is None:
                batch = filling[place] = producer.create_batch()
                batches.append((*place, batch))
                batch.append(timestamp=None, **record)
        for _, _, batch in batches:
            batch.close()
        return batches

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

    async def _handed_over(self, scripts: Sequence[Script]) -> list[Message]:
        """The courier takes each parcel and reports it delivered; tracking numbers are read from its label."""
        mine = [s.order_id for s in scripts]
        # by keys alone: no index leads from an order to its shipments, and all that lie behind these would be read
        sql = "SELECT jsonb_array_elements_text(doc->'shipments') AS id FROM fulfillments WHERE order_id = ANY($1::text[])"
        packed = [row["id"] for row in await self.fetch("warehouse", sql, mine)]
        sql = "SELECT courier, tracking_number FROM shipments WHERE shipment_id = ANY($1::text[])"
        now, messages = datetime.now(UTC), list[Message]()
        for row in await self.fetch("warehouse", sql, packed):
            number, courier = row["tracking_number"], row["courier"]
            messages.append((inbox.HandOverScanned(tracking_number=number, scanned_at=now), PICKERS[0]))
            for status in (TrackingStatus.IN_TRANSIT, TrackingStatus.DELIVERED):
                report = inbox.TrackingReported(
                    courier=courier, tracking_number=number, status=status, occurred_at=now
                )
                messages.append((report, COURIER_OF[courier]))
        return messages

    async def _said(self) -> dict[str, int]:
        sql = "SELECT coalesce(max(position), 0) AS n FROM event_log"
        return {s: (await self.fetch(s, sql))[0]["n"] for s in SERVICES}

    async def last_said(self) -> float:
        """When the last event was committed, of any service. That others have passed it they note up to a second later, for
        company, and nobody waits for that."""
        sql = "SELECT pg_xact_commit_timestamp(xmin) AS at FROM event_log ORDER BY position DESC LIMIT 1"
        said: list[float] = [r["at"].timestamp() for s in SERVICES for r in await self.fetch(s, sql)]
        return max(said)

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
        return list(await self._pools[service].fetch(sql, *args))

    def cpu(self) -> dict[str, float]:
        """CPU seconds so far of each service and both servers."""
        services = {name: machine.cpu_seconds(p.pid) for name, p in self.stack.processes.items()}
        return {**services, **self.place.cpu()}
