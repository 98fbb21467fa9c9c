"""The relay: sends what the event log says is still to be sent. Dull on purpose.

One sender per service (an advisory lock; standbys wait), in order, one batch a partition and look, stopping at a partition's
first failure. A position is deleted from the outbox only when the broker has acknowledged its record on all replicas; what
was sent twice because of that is dropped by its consumers, who know the sequence.

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
from aiokafka.errors import KafkaError
from aiokafka.partitioner import DefaultPartitioner

from shared.runtime.chain import wire
from shared.runtime.envelope import headers
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

LEASE = 30
"""Seconds without a word after which the database ends the leader's connection, and with it the lock: a host that is frozen or
cut off says no goodbye, and nobody else could send. Longer than a send may take: a slow broker does not cost the lead."""

_LOCK = (
    0x48414E44  # "HAND": the relay's advisory lock; a service has a database of its own, so one number serves
)
_UNSENT = "SELECT position, xmin AS writing FROM outbox ORDER BY position LIMIT $1"
_LOGGED = """
SELECT l.position, l.stream, l.sequence, l.type, l.time, l.actor_kind, l.actor_name, l.correlation_id, l.causation_id,
       l.trace, l.data, l.personal_digest, p.personal
FROM event_log l LEFT JOIN event_personal p ON p.stream = l.stream AND p.sequence = l.sequence
WHERE l.position = ANY($1::bigint[])
"""
# only the row as it was read: one that was put there again meanwhile, to fill a topic made anew, is still to be sent
_SENT = """
DELETE FROM outbox o USING unnest($1::bigint[], $2::xid[]) AS sent (position, writing)
WHERE o.position = sent.position AND o.xmin = sent.writing
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
            while not await connection.fetchval("SELECT pg_try_advisory_lock($1)", _LOCK):
                self.trouble = None
                await asyncio.sleep(1)
            producer = self.make_producer()
            try:
                # the pool takes the setting back with the connection
                await connection.execute(f"SET idle_session_timeout = '{LEASE}s'")
                await producer.start()
                self.leading = True
                await self._send_all(connection, producer)
            finally:
                with contextlib.suppress(Exception):
                    await asyncio.wait_for(producer.stop(), 5)
                try:
                    await connection.execute("SELECT pg_advisory_unlock($1)", _LOCK)
                except (
                    BaseException
                ) as error:  # the lock must not go back into the pool: it ends with the connection
                    connection.terminate()
                    if not isinstance(error, Exception):
                        raise

    async def _send_all(self, connection: Any, producer: AIOKafkaProducer) -> None:
        while True:
            self._woken.clear()
            unsent = {r["position"]: r["writing"] for r in await connection.fetch(_UNSENT, BATCH)}
            if unsent:
                await self._send(connection, producer, unsent)
                if len(unsent) < SMALL:
                    await asyncio.sleep(BREATH)
            self.trouble = None  # not before: whoever reaches both and can send nothing is not well
            if len(unsent) < BATCH:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._woken.wait(), POLL)

    async def _send(self, connection: Any, producer: AIOKafkaProducer, unsent: Mapping[int, Any]) -> None:
        """Send events (position → which writing of its row), one batch after the other in each partition; all partitions
        at once."""
        said = {p: self._kept.pop(p, None) for p in unsent}
        if missing := [p for p, entry in said.items() if entry is None]:
            said |= {r["position"]: SimpleNamespace(**r) for r in await connection.fetch(_LOGGED, missing)}
        partitions = sorted(await producer.partitions_for(self.topic))
        filling: dict[int, _Batch] = {}
        going: list[_Batch] = []
        failure: BaseException | None = None
        try:
            for position, entry in said.items():
                key = entry.stream.encode()
                place = partitions[_place(key, len(partitions))]
                record = {"timestamp": None, "key": key, "value": wire(entry.data, entry.personal, entry.personal_digest),
                          "headers": headers(entry, self.source)}  # fmt: skip
                batch = filling.get(place)
                if batch is None or batch.builder.append(**record) is None:  # none yet, or it is full
                    if batch is not None:
                        going.append(await batch.go(producer, self.topic))
                    batch = filling[place] = _Batch(producer.create_batch(), place)
                    batch.builder.append(**record)
                batch.positions.append(position)
            going += [await batch.go(producer, self.topic) for batch in filling.values()]
        except KafkaError as error:
            failure = error
        acknowledged: list[int] = []
        stopped: set[int] = set()
        results = await asyncio.gather(*(b.acknowledged for b in going), return_exceptions=True)
        for batch, result in zip(going, results, strict=True):
            if isinstance(result, BaseException):
                failure = result
                stopped.add(batch.partition)
            elif batch.partition not in stopped:
                acknowledged += batch.positions
        if acknowledged:
            await connection.execute(_SENT, acknowledged, [unsent[p] for p in acknowledged])
            self.sent += len(acknowledged)
        if failure is not None:
            raise failure


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
        self.acknowledged: Any = None

    async def go(self, producer: AIOKafkaProducer, topic: str) -> "_Batch":
        """Hand it to the producer."""
        self.builder.close()
        self.acknowledged = await producer.send_batch(self.builder, topic, partition=self.partition)
        return self


@lru_cache(maxsize=50_000)
def _place(key: bytes, partitions: int) -> int:
    """Where a key belongs, as every Kafka client has it. Reckoned in Python, it is worth remembering."""
    return int(DefaultPartitioner()(key, range(partitions), None))


# a row that is there already is written anew: the relay may have sent it to the topic that is gone, and is about to delete it
_REFILL = """
INSERT INTO outbox (position) SELECT position FROM event_log WHERE position > $1 ORDER BY position
ON CONFLICT (position) DO UPDATE SET position = excluded.position
"""


async def republish(pool: Pool, after: int = 0) -> int:
    """Put every event after a position of the log back into the outbox, to fill a lost or rebuilt topic again; consumers skip
    what they know. Returns how many events will be sent.

    Writers wait meanwhile. An event committed beside a filling that does not see it could be sent, and be done with, before
    the events of its stream that come before it.
    """
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("SET LOCAL statement_timeout = 0")  # a long log takes its time
        await connection.execute("LOCK TABLE outbox IN EXCLUSIVE MODE")
        status: str = await connection.execute(_REFILL, after)
    return int(status.rsplit(" ", 1)[1])
