"""The relay: sends what the event log says is still to be sent. Dull on purpose.

One sender per service (an advisory lock; standbys wait), in order, many in flight, stopping at the first failure. A position is
deleted from the outbox only when the broker has acknowledged its record on all replicas; what was sent twice because of
that is dropped by its consumers, who know the sequence.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from shared.runtime.envelope import body_of, headers_of
from shared.runtime.postgres import UNAVAILABLE, Pool

log = structlog.get_logger(__name__)

BATCH = 1000
POLL = 0.1
"""Seconds between looks for what another replica committed; our own commits wake the relay at once."""

LEASE = 30
"""Seconds without a word after which the database ends the leader's connection, and with it the lock: a host that is frozen or
cut off says no goodbye, and nobody else could send. Longer than a send may take: a slow broker does not cost the lead."""

_LOCK = (
    0x48414E44  # "HAND": the relay's advisory lock; a service has a database of its own, so one number serves
)
_UNSENT = """
SELECT o.position, o.xmin AS writing, l.stream, l.sequence, l.type, l.time, l.actor_kind, l.actor_name,
       l.correlation_id, l.causation_id, l.trace, l.data, p.personal
FROM (SELECT position, xmin FROM outbox ORDER BY position LIMIT $1) o
JOIN event_log l USING (position) LEFT JOIN event_personal p ON p.stream = l.stream AND p.sequence = l.sequence
ORDER BY o.position
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

    def wake(self) -> None:
        """There is something to send."""
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
                with contextlib.suppress(Exception):
                    await connection.execute("SELECT pg_advisory_unlock($1)", _LOCK)

    async def _send_all(self, connection: Any, producer: AIOKafkaProducer) -> None:
        while True:
            self._woken.clear()
            unsent = await connection.fetch(_UNSENT, BATCH)
            if unsent:
                await self._send(connection, producer, unsent)
            self.trouble = None  # not before: whoever reaches both and can send nothing is not well
            if len(unsent) < BATCH:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._woken.wait(), POLL)

    async def _send(self, connection: Any, producer: AIOKafkaProducer, unsent: list[Any]) -> None:
        futures: list[Awaitable[Any]] = []
        failure: BaseException | None = None
        for record in unsent:
            try:
                futures.append(
                    await producer.send(
                        self.topic,
                        body_of(record),
                        key=record["stream"].encode(),
                        headers=headers_of(record, self.source),
                    )
                )
            except KafkaError as error:
                failure = error
                break
        results = await asyncio.gather(*futures, return_exceptions=True)
        acknowledged = len(results)
        for index, result in enumerate(results):
            if isinstance(result, BaseException):
                acknowledged, failure = index, result
                break
        if acknowledged:
            sent = unsent[:acknowledged]
            await connection.execute(_SENT, [r["position"] for r in sent], [r["writing"] for r in sent])
            self.sent += acknowledged
        if failure is not None:
            raise failure


def _whose(error: Exception) -> str:
    if isinstance(error, KafkaError):
        return "Kafka does not take them"
    return "the database cannot be reached" if isinstance(error, UNAVAILABLE) else "see the log"


# a row that is there already is written anew: the relay may have sent it to the topic that is gone, and is about to delete it
_REFILL = """
INSERT INTO outbox (position) SELECT position FROM event_log WHERE position > $1 ORDER BY position
ON CONFLICT (position) DO UPDATE SET position = excluded.position
"""


async def republish(pool: Pool, after: int = 0) -> int:
    """Put every event after a position of the log back into the outbox, to fill a lost or rebuilt topic again; consumers skip
    what they know. Returns how many events will be sent."""
    async with pool.acquire() as connection:
        status: str = await connection.execute(_REFILL, after)
    return int(status.rsplit(" ", 1)[1])
