"""The Kafka door: one batch subscriber per service over all its topics.

Raw bytes come in and are validated one by one, so that a bad record never fails its batch. Offsets are committed once, after
the turn's commit. No exception leaves the subscriber: a database that is away is waited for, and nothing is parked for it.

Of three batches at most, one is being decoded, one is in its turn, and of one the offsets are being committed: while one waits
for the database or for Kafka, the processor has another to work on. Turns follow one another, and so do commits of offsets.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from itertools import chain
from typing import Any

import structlog
from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from faststream import AckPolicy
from faststream.kafka import KafkaBroker, KafkaMessage
from faststream.kafka.message import KafkaAckableMessage

from shared.runtime.auth import Tokens
from shared.runtime.clock import DrivenClock
from shared.runtime.decoding import Decoding, raw_of
from shared.runtime.gathering import BREATH, Gathering, Read
from shared.runtime.member import begin, end_heartbeats, leave
from shared.runtime.messages import Incoming
from shared.runtime.places import ANSWER_SECONDS, Places, without
from shared.runtime.records import read_all_records
from shared.runtime.settings import Settings
from shared.runtime.store import Unavailable
from shared.runtime.turn import Turns

log = structlog.get_logger(__name__)

CLOCK_TOPIC = "clock"
SMALL = 50
"""Messages of a turn that others might as well have shared: the next begins a breath later."""
STOP_SECONDS = 20
"""How long a stop waits for the turn in progress."""
SLICE = 50
"""Records decoded at a stretch. Between two stretches the turn before gets on, if the database has answered it."""
AGAIN_SECONDS = 2.0
"""Between tries to begin with a new client."""

METADATA_MS = 10_000
"""How often clients ask anew who leads a partition, and how many there are. One that begins to read a partition just when its
leader moves asks the old leader again and again, and learns of the new one only so; the client's own rule is five minutes."""


class Intake:
    """Reads the topics of one service and takes each batch through a turn."""

    def __init__(
        self, turns: Turns[Any], settings: Settings, tokens: Tokens, clock: DrivenClock | None
    ) -> None:
        self.turns = turns
        self.decode = Decoding(tokens, turns.service.hears).decode
        self.clock = clock
        self.trouble: str | None = "not connected to Kafka yet"
        """Why nothing is read from Kafka."""
        self.away: str | None = None
        """How the database failed the turn in hand; it may answer and still take nothing, as when its disk is full."""
        self.failing: str | None = None
        """Why that turn fails for another reason."""
        self.batches = 0
        """How many batches were taken in hand."""
        self._busy = asyncio.Lock()
        self._leaving = False
        """The client in hand is given up: what it still reads is not taken, for something before it may have been left."""
        self._turn: asyncio.Task[None] | None = None
        self._acknowledging: asyncio.Task[None] | None = None
        self._rebalance_seconds = settings.kafka_session_ms / 2000
        """How long a rebalance waits for the turn in progress. The group waits for us as long as a session lasts, and up to a
        quarter of that is over when we hear of it; whoever comes too late is left out and joins anew."""
        self._kafka = settings.kafka
        service = turns.service
        read_all_records()
        end_heartbeats()
        self.broker = KafkaBroker(
            settings.kafka.split(","),  # a list: FastStream takes a text for one single address
            client_id=f"handover-{service.name}",
            logger=None,
            allow_auto_create_topics=False,
            metadata_max_age_ms=METADATA_MS,
        )
        subscriber = self.broker.subscriber(
            *service.topics,
            batch=True,
            group_id=f"handover-{service.name}",
            ack_policy=AckPolicy.MANUAL,
            auto_offset_reset="earliest",
            isolation_level="read_committed",  # what other systems put into an inbox and took back is not for us
            fetch_max_wait_ms=settings.kafka_fetch_wait_ms,
            max_poll_interval_ms=30 * 60 * 1000,
            session_timeout_ms=settings.kafka_session_ms,
            heartbeat_interval_ms=settings.kafka_session_ms // 4,
            listener=_Drain(self),
            parser=self._parse,
            decoder=_undecoded,
        )
        subscriber.get_msg = self._next  # type: ignore[method-assign]
        self.subscriber = subscriber(self._take)
        self._consumer_of = subscriber
        self.places = Places(service.name, service.topics, lambda: self.consumer)
        # whoever drives a clock moves it on when all is applied
        self._gathering = Gathering(self.places, service.hears, settings.kafka_batch, patient=clock is None)
        self._reads: list[Read] = []
        """What the batch in hand was gathered from."""
        # without a group: every replica follows every tick, from the first on after a restart
        if clock is not None:
            self.broker.subscriber(CLOCK_TOPIC, auto_offset_reset="earliest", decoder=_undecoded)(self._tick)

    async def start(self) -> None:
        """Connect and begin to read; waits with backoff while the broker is away."""
        delay = 0.2
        while True:
            try:
                absent = await self._absent()
                if not absent:
                    await begin(self.broker.start())
                    self.trouble = None
                    return
                self.trouble = without(absent)
            except (KafkaError, OSError) as error:
                self.trouble = f"Kafka cannot be reached: {type(error).__name__}"
                with contextlib.suppress(Exception):
                    await self.broker.stop()
            log.warning("intake waits for kafka", service=self.turns.service.name, why=self.trouble)
            await asyncio.sleep(delay)
            delay = min(delay * 2, 5)

    async def _absent(self) -> set[str]:
        """The topics that Kafka lacks; raises when it is away. FastStream would leave the producer behind that it could not
        start, and not say which topic it is."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self._kafka)
        try:
            await begin(admin.start())
            return {*self.turns.service.topics} - {*await admin.list_topics()}
        finally:
            await admin.close()

    async def stop(self) -> None:
        """Finish the turn in progress, commit its offsets, leave the group."""
        self._leaving = True
        await self.drain(STOP_SECONDS)
        if self._turn is not None:
            self._turn.cancel()  # one that cannot end, for want of its database: it is read again
        await self._leave()

    async def begin_anew(self) -> None:
        """Read with a new client from what was committed; the old one may be in any state. It is tried until one reads: who
        watches the client sees none until then, and cannot ask again."""
        self.trouble = "reading stood still; a new client begins"
        self._leaving = True
        await self.drain(STOP_SECONDS)
        while True:
            try:
                await self._leave()
                self._leaving = False
                return await self.start()
            except Exception:
                log.exception("a new client did not begin", service=self.turns.service.name)
            await asyncio.sleep(AGAIN_SECONDS)

    async def _leave(self) -> None:
        consumer, self._consumer_of.consumer = self._consumer_of.consumer, None
        try:
            if consumer is not None:
                await leave(consumer)
        finally:
            await self.broker.stop()

    async def drain(self, seconds: float | None = None) -> None:
        """Let the turn in progress end, offsets and all. It is waited for as long as a rebalance can wait, or for `seconds`."""
        self.places.taken += 1
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds or self._rebalance_seconds), self._busy:
                await self._acknowledged()

    @property
    def busy(self) -> bool:
        """True while a batch is in hand."""
        return self._busy.locked()

    @property
    def consumer(self) -> Any:
        """The aiokafka consumer, None until it has started: FastStream has it before, and it can be asked nothing yet."""
        consumer = self._consumer_of.consumer
        return consumer if consumer is not None and consumer._fetcher is not None else None

    async def unassigned(self) -> str | None:
        """A sentence when no reading goes on, None when all is well (a standby without partitions is well)."""
        if self.trouble or self.consumer is None:
            return self.trouble or "not connected to Kafka yet"
        if any(task.done() for task in self._consumer_of.tasks):
            return "the Kafka consumer stopped"
        if self.places.gone:
            return without(self.places.gone)
        try:  # a consumer that lost its broker says nothing: it tries again for ever
            await asyncio.wait_for(self.consumer.topics(), ANSWER_SECONDS)
        except (KafkaError, OSError, TimeoutError) as error:
            return f"Kafka does not answer: {type(error).__name__}"
        return None

    async def _next(self, consumer: Any) -> tuple[ConsumerRecord, ...]:
        self._reads = await self._gathering.next(consumer)
        return tuple(chain.from_iterable(read.records for read in self._reads))

    async def _parse(self, records: Any, original: Callable[..., Awaitable[KafkaMessage]]) -> KafkaMessage:
        """Looks into nothing: the records are in hand (`_reads`), and a null or binary header would fail the whole batch."""
        return KafkaAckableMessage(
            body=[],
            headers={},
            batch_headers=[],
            raw_message=records,
            message_id="",
            correlation_id="",
            consumer=self.consumer,
        )

    async def _take(self, body: list[bytes]) -> None:
        """Decode a batch while the turn before is still with the database, then begin its own: one at a time, in order."""
        decoded = [(read, await self._decoded(read.records)) for read in self._reads]
        await self._busy.acquire()
        # of what was taken away meanwhile nothing is ours any more; whoever has it now reads it again
        ours = [
            (read, messages)
            for read, messages in decoded
            if read.taken == self.places.taken and not self._leaving
        ]
        if not ours:
            self._busy.release()
            return
        self.batches += 1
        self._turn = asyncio.create_task(self._finish(ours), name="intake turn")

    async def _decoded(self, records: Sequence[ConsumerRecord]) -> list[Incoming]:
        messages: list[Incoming] = []
        for first in range(0, len(records), SLICE):
            await asyncio.sleep(0)
            messages += [self.decode(raw_of(record)) for record in records[first : first + SLICE]]
        return messages

    async def _finish(self, batch: list[tuple[Read, list[Incoming]]]) -> None:
        """The turn of a batch; its offsets while the next may begin."""
        messages = [message for _, some in batch for message in some]
        try:
            await self._apply(messages)
        except asyncio.CancelledError:
            self._busy.release()
            raise  # whatever else would end it: a batch that was not applied is not passed over by the next
        try:
            await self._acknowledged()
            self._acknowledging = asyncio.create_task(self._acknowledge(batch), name="intake offsets")
            if len(messages) < SMALL:
                await asyncio.sleep(BREATH)
        finally:
            self._busy.release()

    async def _acknowledge(self, batch: list[tuple[Read, list[Incoming]]]) -> None:
        try:
            for read, _ in batch:
                await self.places.commit(read.records, read.lives)
        except Exception:  # no harm: they are read again, and known
            log.exception("offsets were not committed", service=self.turns.service.name)

    async def _acknowledged(self) -> None:
        """Wait for the offsets of the batch before, so that none overtakes them."""
        if self._acknowledging is not None:
            await asyncio.wait([self._acknowledging])

    async def _tick(self, body: bytes) -> None:
        if self.clock is not None:
            self.clock.move_to(datetime.fromisoformat(body.decode()))

    async def _apply(self, messages: list[Incoming]) -> None:
        delay = 0.1
        while messages:
            try:
                await self.turns.run(messages)
            except Unavailable as away:
                self.away, self.failing = f"the database cannot be reached, and messages wait: {away}", None
                log.warning("intake waits for the database", service=self.turns.service.name, error=str(away))
                await asyncio.sleep(delay)
                delay = min(delay * 2, 5)
            except Exception:
                # never pass over messages that were not handled: stay, say so, try again
                self.away, self.failing = None, "turns fail; see the log"
                log.exception("turn failed", service=self.turns.service.name)
                await asyncio.sleep(delay)
                delay = min(delay * 2, 5)
            else:
                self.away = self.failing = None
                return


async def _undecoded(message: KafkaMessage, original: Any) -> Any:
    return message.body


class _Drain(ConsumerRebalanceListener):  # type: ignore[misc]
    """Lets the turn in progress end, offsets and all, before its partitions go to another replica."""

    def __init__(self, intake: Intake) -> None:
        self.intake = intake

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        await self.intake.drain()

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        self.intake.places.forget()
