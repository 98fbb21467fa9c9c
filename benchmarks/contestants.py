"""The processes that race, how one is started, fed, watched and checked."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random
from types import SimpleNamespace

import asyncpg
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from sqlalchemy.dialects.postgresql import dialect
from sqlalchemy.schema import CreateIndex, CreateTable

from benchmarks import machine
from benchmarks.peers.schemas import DBOS_SCHEMA, FLOOR_SCHEMA, ORM_SCHEMA
from benchmarks.place import Place
from benchmarks.work import STREAMS, PaymentTaken, metadata
from deploy.embedded.child import free_port
from deploy.topics import PARTITIONS
from shared.runtime.auth import new_key_pair
from shared.runtime.envelope import headers
from shared.values import Money, OrderLine

SEED = 11
TWICE = 50
"""One of so many records is delivered twice."""

Processes = Sequence["subprocess.Popen[bytes]"]


@dataclass
class Contestant:
    """One way of doing the work. `events` is how many one round takes: enough for some seconds.

    One that `answers_again` sends the logged event once more for a record that came twice: not knowing whether the first
    answer left, it must, and leaves it to whoever hears it to drop the second.
    """

    name: str
    module: str
    topic_in: str
    topic_out: str
    schema: tuple[str, ...]
    events: int
    answers_again: bool = False
    settings: dict[str, str] = field(default_factory=dict)
    """What else its process is told by its environment."""
    sequences: dict[str, int] = field(default_factory=dict)
    taken: int = 0

    @property
    def database(self) -> str:
        """Its own database."""
        return f"bench_{self.name}"

    async def prepare(self, place: Place) -> None:
        """Empty topics, an empty database with all accounts."""
        await place.topics(self.topic_in, self.topic_out)
        await place.fresh_database(self.database, *self.schema)
        connection = await asyncpg.connect(place.url(self.database))
        columns = ["order_id", "balance", "payments", "doc"]
        rows = [(_order(n), 0, 0, '{"last_payment": "none", "currency": "CNY"}') for n in range(STREAMS)]
        if self.name == "handover":
            columns, rows = [*columns, "version"], [(*row, 1) for row in rows]  # type: ignore[misc]
        await connection.copy_records_to_table("accounts", records=rows, columns=columns)
        await connection.execute("VACUUM ANALYZE")
        await connection.close()

    async def feed(self, place: Place, events: int) -> int:
        """Put events into its topic before it runs, one of TWICE twice; returns how many it will send."""
        producer = AIOKafkaProducer(
            bootstrap_servers=place.kafka, acks="all", linger_ms=5, max_batch_size=256 * 1024
        )
        await producer.start()
        last, records = None, 0
        for _ in range(events):
            key, body, headers = self._next()
            for _ in range(2 if self.taken % TWICE == 0 else 1):
                last = await producer.send(self.topic_in, body, key=key, headers=headers)
                records += 1
        await producer.flush()
        if last is not None:
            await last
        await producer.stop()
        return records if self.answers_again else events

    def _next(self) -> tuple[bytes, bytes, list[tuple[str, bytes]]]:
        order = _order(
            Random(SEED * 1_000_003 + self.taken).randrange(STREAMS)
        )  # the same for all contestants
        self.taken += 1
        self.sequences[order] = sequence = self.sequences.get(order, 0) + 1
        lines = tuple(
            OrderLine(line=n, sku=f"TEA-{n}", name="龙井茶 250 g", quantity=n, unit_price=12_800)
            for n in (1, 2)
        )
        event = PaymentTaken(
            order_id=order, payment_id=f"p-{self.taken}", amount=Money(amount=1, currency="CNY"),
            taken_at=datetime(2026, 3, 2, 9, 30, tzinfo=UTC), lines=lines,
        )  # fmt: skip
        said = {
            "stream": event.stream, "sequence": sequence, "type": event.wire_type, "time": event.taken_at,
            "actor_kind": "service", "actor_name": "shop", "correlation_id": f"shop-{self.taken}",
            "causation_id": f"shop-{self.taken}", "trace": None,
        }  # fmt: skip
        return (
            event.stream.encode(),
            event.model_dump_json().encode(),
            headers(SimpleNamespace(**said), "/bench/shop"),
        )

    def start(self, place: Place, *wrapper: str) -> subprocess.Popen[bytes]:
        """Start its process."""
        log = (place.folder / f"{self.name}.log").open("ab")
        own = {
            "BENCH_DATABASE": place.url(self.database), "BENCH_KAFKA": place.kafka,
            "BENCH_IN": self.topic_in, "BENCH_OUT": self.topic_out,
            "HANDOVER_DATABASE_URL": place.url(self.database), "HANDOVER_KAFKA": place.kafka,
            "HANDOVER_HTTP_PORT": str(free_port()), "HANDOVER_TOKEN_PUBLIC_KEY": new_key_pair()[1],
        }  # fmt: skip
        command = [sys.executable, *wrapper, "-m", self.module]
        return subprocess.Popen(command, env=os.environ | own | self.settings, stdout=log, stderr=log)

    async def check(self, place: Place) -> None:
        """Every payment was booked once. Raises AssertionError."""
        connection = await asyncpg.connect(place.url(self.database))
        booked = await connection.fetchval("SELECT sum(payments) FROM accounts")
        await connection.close()
        assert booked == self.taken, f"{self.name} booked {booked} of {self.taken}"


def contestants() -> dict[str, Contestant]:
    """All of them, by name."""
    compiled = [CreateTable(t) for t in metadata.sorted_tables]
    compiled += [CreateIndex(i) for t in metadata.sorted_tables for i in t.indexes]  # type: ignore[misc]
    own = tuple(str(c.compile(dialect=dialect())) for c in compiled)  # type: ignore[no-untyped-call]
    return {
        c.name: c
        for c in (
            Contestant("handover", "benchmarks.peers.handover", "shop", "ledger", own, 40_000),
            Contestant("floor", "benchmarks.peers.floor", "floor.in", "floor.out", (FLOOR_SCHEMA,), 40_000),
            Contestant(
                "floor_ahead",
                "benchmarks.peers.floor",
                "ahead.in",
                "ahead.out",
                (FLOOR_SCHEMA,),
                40_000,
                settings={"BENCH_AHEAD": "1"},
            ),
            Contestant(
                "orm", "benchmarks.peers.faststream_orm", "orm.in", "orm.out", (ORM_SCHEMA,), 600, True
            ),
            Contestant(
                "orm_12",
                "benchmarks.peers.faststream_orm",
                "orm12.in",
                "orm12.out",
                (ORM_SCHEMA,),
                2_000,
                True,
                {"BENCH_WORKERS": "12"},
            ),
            Contestant(
                "orm_batch",
                "benchmarks.peers.faststream_orm",
                "ormbatch.in",
                "ormbatch.out",
                (ORM_SCHEMA,),
                10_000,
                True,
                {"BENCH_BATCH": "500"},  # as Handover's
            ),
            Contestant("dbos", "benchmarks.peers.dbos_workflow", "dbos.in", "dbos.out", (DBOS_SCHEMA,), 600),
            Contestant(
                "dbos_50",
                "benchmarks.peers.dbos_workflow",
                "dbos50.in",
                "dbos50.out",
                (DBOS_SCHEMA,),
                600,
                settings={"BENCH_CONCURRENCY": "50"},
            ),
        )
    }


@dataclass(frozen=True)
class Race:
    """One round of one contestant. CPU is that of its process and of both servers, in µs an event."""

    rate: float
    cpu: dict[str, float]


async def race(
    place: Place,
    contestant: Contestant,
    events: int | None = None,
    *,
    replicas: int = 1,
    waiting: int = 0,
    wrapper: Sequence[str] = (),
) -> Race:
    """Feed it, start it, watch what comes out, stop it, check it.

    The rate is that between the first tenth and the last event, as the broker has acknowledged them: starting up is not
    in it, offsets and sending are. `waiting` events lie in its outbox already, and are sent too.
    """
    events = contestant.events if events is None else events
    expected = await contestant.feed(place, events) + waiting
    # as autovacuum leaves tables of a steady load; by itself it comes once a minute, into the round of whoever runs then
    await place.execute(contestant.database, "VACUUM (ANALYZE)", "CHECKPOINT")
    async with _Watch(place.kafka, contestant.topic_out) as watch:
        before = await watch.count()
        processes = [contestant.start(place, *wrapper) for _ in range(replicas)]
        try:
            while (first := await watch.count() - before) < expected / 10:
                _alive(processes, place, contestant)
                await asyncio.sleep(0.01)
            began, spent = time.perf_counter(), _cpu(place, processes)
            while await watch.count() - before < expected:
                _alive(processes, place, contestant)
                await asyncio.sleep(0.01)
            took = time.perf_counter() - began
            cpu = {name: value - spent[name] for name, value in _cpu(place, processes).items()}
        finally:
            for process in processes:
                process.send_signal(signal.SIGTERM)
            await asyncio.to_thread(_ended, processes)
    await contestant.check(place)
    counted = (events + waiting) * (1 - first / expected)
    return Race(counted / took, {name: seconds / counted * 1e6 for name, seconds in cpu.items()})


class _Watch:
    """How many records a topic holds."""

    def __init__(self, kafka: str, topic: str) -> None:
        self.partitions = [TopicPartition(topic, p) for p in range(PARTITIONS)]
        self.consumer = AIOKafkaConsumer(bootstrap_servers=kafka)

    async def __aenter__(self) -> "_Watch":
        await self.consumer.start()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.consumer.stop()

    async def count(self) -> int:
        """The sum of the end offsets."""
        return sum((await self.consumer.end_offsets(self.partitions)).values())


def _cpu(place: Place, processes: Processes) -> dict[str, float]:
    return {"process": sum(machine.cpu_seconds(p.pid) for p in processes), **place.cpu()}


def _alive(processes: Processes, place: Place, contestant: Contestant) -> None:
    if any(p.poll() is not None for p in processes):
        log = (place.folder / f"{contestant.name}.log").read_text(errors="replace")[-3000:]
        raise RuntimeError(f"{contestant.name} ended:\n{log}")


def _ended(processes: Processes) -> None:
    for process in processes:
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _order(number: int) -> str:
    return f"bench-{number:06d}"
