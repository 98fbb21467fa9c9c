"""The relay: sends what the event log says is still to be sent. Dull on purpose.

One sender per service (an advisory lock; standbys wait), in order, one batch a partition and look, so that nothing goes before
what failed. A position is deleted from the outbox only when the broker has acknowledged its record on all replicas; what was
sent twice because of that is dropped by its consumers, who know the sequence.

What is to be sent, and in which order, the outbox alone says. Events that this process has just committed itself are not read
from the log again: they are kept in memory until their turn comes.
"""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from functools import lru_cache
from types import SimpleNamespace
from typing import Any

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, KafkaTimeoutError
from aiokafka.partitioner import DefaultPartitioner

from shared.runtime.chain import wire
from shared.runtime.envelope import headers
from shared.runtime.member import begin, end_producer
from shared.runtime.outbox import Outbox
from shared.runtime.postgres import UNAVAILABLE, Pool
from shared.runtime.store import Changes

log = structlog.get_logger(__name__)

BATCH = 1000
KEPT = 20_000
"""Events kept in memory at most; what is beyond is read from the log, as after a restart."""
POLL = 0.1
"""Seconds between looks for what another replica committed; our own commits wake the relay at once."""
BREATH = 0.02
"""Seconds after a small batch before the next may go: what is committed meanwhile shares it, for a batch costs the service and
Kafka as much as many events. The first event after a rest is not kept waiting."""
SMALL = 50
"""Events of a batch that others might as well have shared."""

ACK_SECONDS = 20
"""How long a look waits for Kafka to acknowledge what it sent: the client tries for ever what one partition refuses, and says
nothing."""

LEASE = 30
"""Seconds without a word after which the database ends the leader's connection, and with it the lock: a host that is frozen or
cut off says no goodbye, and nobody else could send. Longer than a send may take: a slow broker does not cost the lead."""

_LOCK = (
    0x48414E44  # "HAND": the relay's advisory lock; a service has a database of its own, so one number serves
)
_LOGGED = """
SELECT l.position, l.stream, l.sequence, l.type, l.time, l.actor_kind, l.actor_name, l.correlation_id, l.causation_id,
       l.trace, l.data, l.personal_digest, p.personal
FROM event_log l LEFT JOIN event_personal p ON p.stream = l.stream AND p.sequence = l.sequence
WHERE l.position = ANY($1::bigint[])
"""
ProducerFactory = Callable[[], AIOKafkaProducer]


class Relay:
    """Sends one service's events to its topic. Run `run()` as a task; `wake()` after each commit."""

    def __init__(self, pool: Pool, make_producer: ProducerFactory, topic: str, source: str) -> None:
        self.pool = pool
        self.make_producer = make_producer
        self.topic = topic
        self.source = source
        self.leading = False
        self.trouble: str | None = "starting"
        """Why nothing is being sent, in a sentence; None when all is well or another replica leads."""
        self.sent = 0
        self._woken = asyncio.Event()
        self._kept: dict[int, Any] = {}

    def committed(self, changes: Changes) -> None:
        """This process has committed events: there is something to send."""
        if self.leading and len(self._kept) < KEPT:
            self._kept.update(zip(changes.positions, changes.entries, strict=True))
        if changes.erased:  # the log has no personal part of theirs any more
            self._kept = {p: entry for p, entry in self._kept.items() if entry.stream not in changes.erased}
        self._woken.set()

    async def run(self) -> None:
        """Lead when no other replica does, send while leading; come back from every failure."""
        delay = 0.1
        while True:
            try:
                await self._lead()
            except Exception as error:  # also tables that are not there yet: nobody else would send
                delay = 0.1 if self.trouble is None else min(delay * 2, 5)
                self.leading = False
                self.trouble = f"cannot send events, {_whose(error)}: {type(error).__name__}"
                known = isinstance(error, (*UNAVAILABLE, KafkaError))
                log.warning(
                    "relay waits",
                    service=self.topic,
                    error=type(error).__name__,
                    seconds=delay,
                    exc_info=not known,
                )
                await asyncio.sleep(delay)
            finally:
                self.leading = False
                self._kept.clear()

    async def _lead(self) -> None:
        async with self.pool.acquire(timeout=10) as connection:
            try:
                while not await connection.fetchval("SELECT pg_try_advisory_lock($1)", _LOCK):
                    self.trouble = None
                    await asyncio.sleep(1)
            except BaseException:
                connection.terminate()  # it may have the lock, and only its answer was lost
                raise
            producer = self.make_producer()
            try:
                await connection.execute(f"SET idle_session_timeout = '{LEASE}s'")
                await begin(producer.start())
                self.leading = True
                await self._send_all(Outbox(connection), producer)
            finally:
                await end_producer(producer)
                try:
                    await connection.execute("SELECT pg_advisory_unlock($1)", _LOCK)
                    await connection.execute(
                        "RESET idle_session_timeout"
                    )  # others lend it from the pool next
                except BaseException as error:
                    # the lock must not go back into the pool: it ends with the connection
                    connection.terminate()
                    if not isinstance(error, Exception):
                        raise

    async def _send_all(self, outbox: Outbox, producer: AIOKafkaProducer) -> None:
        while True:
            self._woken.clear()
            unsent = await outbox.unsent(BATCH)
            left = 0
            if unsent:
                left = await self._send(outbox, producer, unsent)
                if len(unsent) < SMALL:
                    await asyncio.sleep(BREATH)
            else:
                self._kept.clear()  # sent from the log, when a look came before the word of their commit
            self.trouble = None  # not before: whoever reaches both and can send nothing is not well
            if len(unsent) < BATCH and not left:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._woken.wait(), POLL)

    async def _send(self, outbox: Outbox, producer: AIOKafkaProducer, unsent: Mapping[int, Any]) -> int:
        """Send events (position → which writing of its row), as many as one batch of each partition holds; all partitions at
        once. Returns how many did not fit, which the next look finds again. Raises what Kafka said of those it did not take."""
        said = {p: self._kept.pop(p, None) for p in unsent}
        if missing := [p for p, entry in said.items() if entry is None]:
            said |= {
                r["position"]: SimpleNamespace(**r) for r in await outbox.connection.fetch(_LOGGED, missing)
            }
        partitions = sorted(await producer.partitions_for(self.topic))
        batches: dict[int, _Batch] = {}
        full: set[int] = set()
        for position, entry in said.items():
            key = entry.stream.encode()
            place = partitions[_place(key, len(partitions))]
            if place not in full:
                batch = batches.get(place)
                if batch is None:
                    batch = batches[place] = _Batch(producer.create_batch(), place)
                record = {"timestamp": None, "key": key, "value": wire(entry.data, entry.personal, entry.personal_digest),
                          "headers": headers(entry, self.source)}  # fmt: skip
                if batch.builder.append(**record):
                    batch.positions.append(position)
                    continue
                full.add(place)
            self._kept[position] = entry
        await asyncio.gather(*(batch.send(producer, self.topic) for batch in batches.values()))
        taken = [p for batch in batches.values() if batch.failure is None for p in batch.positions]
        if taken:
            await outbox.sent({p: unsent[p] for p in taken})
            self.sent += len(taken)
        if failures := [batch.failure for batch in batches.values() if batch.failure is not None]:
            raise failures[0]
        return len(unsent) - len(taken)


def _whose(error: Exception) -> str:
    if isinstance(error, KafkaError):
        return "Kafka does not take them"
    return "the database cannot be reached" if isinstance(error, UNAVAILABLE) else "see the log"


class _Batch:
    """Events on their way to one partition."""

    def __init__(self, builder: Any, partition: int) -> None:
        self.builder = builder
        self.partition = partition
        self.positions: list[int] = []
        self.failure: KafkaError | None = None
        """Why it was not acknowledged."""

    async def send(self, producer: AIOKafkaProducer, topic: str) -> None:
        """Send it and wait until it is acknowledged; does not raise what Kafka says."""
        self.builder.close()
        try:
            async with asyncio.timeout(ACK_SECONDS):
                await (await producer.send_batch(self.builder, topic, partition=self.partition))
        except TimeoutError:
            self.failure = KafkaTimeoutError(f"no acknowledgment in {ACK_SECONDS} s")
        except KafkaError as error:
            self.failure = error


@lru_cache(maxsize=50_000)
def _place(key: bytes, partitions: int) -> int:
    """Where a key belongs, as every Kafka client has it. Reckoned in Python, it is worth remembering."""
    return int(DefaultPartitioner()(key, range(partitions), None))
