"""The Kafka door: one batch subscriber per service over all its topics.

Raw bytes come in and are validated one by one, so that a bad record never fails its batch. Offsets are committed once, after
the turn's commit. No exception leaves the subscriber: a database that is away is waited for, and nothing is parked for it.
"""

import asyncio
import contextlib
import time
from collections import Counter
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

from shared.events.inbox import INBOX_TOPICS
from shared.runtime.auth import Tokens
from shared.runtime.clock import DrivenClock
from shared.runtime.envelope import Malformed, decode_ours, text_headers, unreadable
from shared.runtime.inbox import claimed, outside
from shared.runtime.messages import Incoming, Raw, Refused
from shared.runtime.records import read_all_names
from shared.runtime.settings import Settings
from shared.runtime.store import Unavailable
from shared.runtime.turn import Turns

log = structlog.get_logger(__name__)

CLOCK_TOPIC = "clock"
WAIT_MS = 1000
"""Of one look for records; it ends when there are some."""
BREATH = 0.03
"""Seconds after a small turn before the next may begin: what comes meanwhile shares it, and a turn costs as much as many
events. The first event after a rest is not kept waiting."""
SMALL = 50
"""Messages of a turn that others might as well have shared."""
DRAIN_SECONDS = 20
"""How long a rebalance waits for the turn in progress; below the group's rebalance timeout."""

ANSWER_SECONDS = 3
"""How long the broker has for an answer when readiness is asked."""

COMMIT_SECONDS = 5
"""How long a commit of offsets may take: the client tries for ever where a partition is no more. To give up does no harm; to go
on does, when the topic is made anew: a place in the old one would be noted for it, and what lies before passed over."""

METADATA_MS = 10_000
"""How often clients ask anew who leads a partition, and how many there are. One that begins to read a partition just when its
leader moves asks the old leader again and again, and learns of the new one only so; the client's own rule is five minutes."""

LOOK_SECONDS = 1.0
"""How often the intake looks whether its topics are still there."""


class Intake:
    """Reads the topics of one service and takes each batch through a turn."""

    def __init__(
        self, turns: Turns[Any], settings: Settings, tokens: Tokens, clock: DrivenClock | None
    ) -> None:
        self.turns = turns
        self.tokens = tokens
        self.clock = clock
        self.trouble: str | None = "not connected to Kafka yet"
        self.applied: dict[tuple[str, int], int] = {}
        """Per topic and partition, the offset after the last record that was applied; by others before us, once asked."""
        self.last_turn = time.monotonic()
        self.gone: set[str] = set()
        """Topics that were deleted, or are not made yet."""
        self._lives: Counter[str] = Counter()
        """How often each topic was deleted: an offset read in one life means nothing in the next."""
        self._busy = asyncio.Lock()
        self._turn: asyncio.Task[None] | None = None
        self._committing: asyncio.Future[None] | None = None
        self.given = 0
        """How often partitions were taken away: what was read before is not begun after."""
        self._kafka = settings.kafka
        self._batch = settings.kafka_batch
        service = turns.service
        read_all_names()
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
        if (
            clock is not None
        ):  # without a group: every replica follows every tick, from the first on after a restart
            self.broker.subscriber(CLOCK_TOPIC, auto_offset_reset="earliest", decoder=_undecoded)(self._tick)

    async def start(self) -> None:
        """Connect and begin to read; waits with backoff while the broker is away."""
        delay = 0.2
        while True:
            try:
                await self._knock()
                await self.broker.start()
            except (KafkaError, OSError) as error:
                self.trouble = f"Kafka cannot be reached: {type(error).__name__}"
                log.warning(
                    "intake waits for kafka", service=self.turns.service.name, error=type(error).__name__
                )
                with contextlib.suppress(Exception):
                    await self.broker.stop()
                await asyncio.sleep(delay)
                delay = min(delay * 2, 5)
            else:
                self.trouble = None
                return

    async def _knock(self) -> None:
        """Raises when Kafka is away: FastStream would leave the producer behind that it could not start."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self._kafka)
        try:
            await admin.start()
        finally:
            await admin.close()

    async def stop(self) -> None:
        """Finish the turn in progress, commit its offsets, leave the group."""
        await self.drain()
        if self._turn is not None:
            self._turn.cancel()  # one that cannot end, for want of its database: it is read again
        await self.broker.stop()

    async def drain(self) -> None:
        """Let the turn in progress end, offsets and all; one that takes too long is not waited for."""
        self.given += 1
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._busy.acquire(), DRAIN_SECONDS)
            self._busy.release()

    @property
    def consumer(self) -> Any:
        """The aiokafka consumer, None before the start."""
        return self._consumer_of.consumer

    async def progress(self) -> dict[tuple[str, int], int]:
        """Per topic and partition, the offset after the last record that was applied, by this process or one before it."""
        for partition in self.consumer.assignment() if self.consumer is not None else ():
            place, life = (partition.topic, partition.partition), (self.given, self._lives[partition.topic])
            if place not in self.applied:
                before_us = await self.consumer.committed(partition) or 0
                # ours alone, so nobody else moves it on
                if life == (self.given, self._lives[partition.topic]):
                    self.applied.setdefault(place, before_us)
        return dict(self.applied)

    async def lag(self, *, of_group: bool = False) -> dict[tuple[str, int], int]:
        """Records not applied yet, by topic and partition: of what this process reads, or of all that its group shares.

        Asks the broker: what a consumer itself knows of the end of a partition stands still while a turn waits.
        """
        if self.consumer is None:
            return {}
        done = await self.progress()
        if of_group:
            topics = ((t, self.consumer.partitions_for_topic(t) or ()) for t in self.turns.service.topics)
            others = [
                TopicPartition(t, p) for t, partitions in topics for p in partitions if (t, p) not in done
            ]
            committed = await asyncio.gather(*(self.consumer.committed(p) for p in others))
            done |= {(p.topic, p.partition): offset or 0 for p, offset in zip(others, committed, strict=True)}
        partitions = [TopicPartition(*place) for place in done]
        first = await self.consumer.beginning_offsets(partitions)
        ends = await self.consumer.end_offsets(partitions)
        mine = self.consumer.assignment()
        lag = {}
        for p in partitions:
            at = max(done[p.topic, p.partition], first[p])  # before the first record there is nothing to read
            # the embedded broker says too little: where its last batch begins
            end = max(ends[p], self.consumer.highwater(p) or 0 if p in mine else 0)
            lag[p.topic, p.partition] = max(end - at, 0)
        return lag

    async def unassigned(self) -> str | None:
        """A sentence when no reading goes on, None when all is well (a standby without partitions is well)."""
        if self.trouble or self.consumer is None:
            return self.trouble or "not connected to Kafka yet"
        if any(task.done() for task in self._consumer_of.tasks):
            return "the Kafka consumer stopped"
        if self.gone:
            return f"Kafka has no topic {', '.join(sorted(self.gone))}"
        try:  # a consumer that lost its broker says nothing: it tries again for ever
            await asyncio.wait_for(self.consumer.topics(), ANSWER_SECONDS)
        except (KafkaError, OSError, TimeoutError) as error:
            return f"Kafka does not answer: {type(error).__name__}"
        return None

    async def _next(self, consumer: Any) -> tuple[Any, ...]:
        """The next records, as soon as there are any. FastStream's own way sleeps as long after a look that found nothing as it
        looked, deaf to what comes."""
        found = await consumer.getmany(timeout_ms=WAIT_MS, max_records=self._batch)
        return tuple(chain(*found.values()))

    async def _parse(self, records: Any, original: Callable[..., Awaitable[KafkaMessage]]) -> KafkaMessage:
        """Never looks into headers: a null or binary one would fail the whole batch."""
        batch: Sequence[Any] = records if isinstance(records, tuple) else (records,)
        return KafkaAckableMessage(
            body=[r.value or b"" for r in batch],
            headers={},
            batch_headers=[],
            raw_message=batch,
            message_id="",
            correlation_id="",
            consumer=self.consumer,
        )

    async def _take(self, body: list[bytes]) -> None:
        """Decode a batch while the turn before is still with the database, then begin its own: one at a time, in order."""
        message = self.broker.context.get_local("message")
        records: Sequence[ConsumerRecord] = message.raw_message
        lives, given = self._lives.copy(), self.given
        messages = [self._decode(r) for r in records]
        await self._busy.acquire()
        if self.given != given:  # not ours any more; whoever has them now reads them again
            self._busy.release()
            return
        self._turn = asyncio.create_task(self._finish(records, messages, lives), name="intake turn")

    async def _finish(
        self, records: Sequence[ConsumerRecord], messages: list[Incoming], lives: Counter[str]
    ) -> None:
        """The turn of a batch, then its offsets."""
        try:
            await self._apply(messages)
        except asyncio.CancelledError:
            self._busy.release()
            raise  # whatever else would end it: a batch that was not applied is not passed over by the next
        try:
            done = {
                TopicPartition(record.topic, record.partition): record.offset + 1
                for record in records
                if record.topic not in self.gone and self._lives[record.topic] == lives[record.topic]
            }
            self.applied.update(((place.topic, place.partition), offset) for place, offset in done.items())
            if done:  # a lost group or commit redelivers; the cursors know what was applied
                await self._commit(done)
            if len(records) < SMALL:
                await asyncio.sleep(BREATH)
        finally:
            self._busy.release()

    async def _commit(self, done: dict[TopicPartition, int]) -> None:
        self._committing = asyncio.ensure_future(self.consumer.commit(done))
        try:
            await asyncio.wait([self._committing], timeout=COMMIT_SECONDS)
        finally:
            self._committing.cancel()
            await asyncio.gather(self._committing, return_exceptions=True)

    async def watch(self) -> None:
        """Notice topics that are deleted, and read them from the beginning when they are made anew.

        Places read in the old topic must not hide records of the new one. What is known already is dropped as ever.
        """
        missed: set[str] = set()
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            if self.consumer is None:
                continue
            try:
                there = await asyncio.wait_for(self.consumer.topics(), ANSWER_SECONDS)
            except (KafkaError, OSError, TimeoutError):
                continue
            absent = set(self.turns.service.topics) - there
            gone, back, missed = absent & missed, self.gone - absent, absent
            for topic in gone - self.gone:
                self._lives[topic] += 1
                log.warning("topic is gone", service=self.turns.service.name, topic=topic)
                if self._committing is not None:
                    self._committing.cancel()
            self.gone = gone
            if back:
                log.warning("topics are back", service=self.turns.service.name, topics=sorted(back))
                self.applied = {place: n for place, n in self.applied.items() if place[0] not in back}
                partitions = [p for p in self.consumer.assignment() if p.topic in back]
                # in a task of its own: a rebalance meanwhile cancels it, and gives partitions of which no place is known
                seeking = asyncio.ensure_future(self.consumer.seek_to_beginning(*partitions))
                await asyncio.wait([seeking], timeout=COMMIT_SECONDS)
                seeking.cancel()
                await asyncio.gather(seeking, return_exceptions=True)

    async def _tick(self, body: bytes) -> None:
        if self.clock is not None:
            self.clock.move_to(datetime.fromisoformat(body.decode()))

    async def _apply(self, messages: list[Incoming]) -> None:
        delay = 0.1
        while messages:
            try:
                await self.turns.run(messages)
            except Unavailable as away:
                self.trouble = f"the database cannot be reached: {away}"
                log.warning("intake waits for the database", service=self.turns.service.name, error=str(away))
                await asyncio.sleep(delay)
                delay = min(delay * 2, 5)
            except Exception:
                # never pass over messages that were not handled: stay, say so, try again
                self.trouble = "turns fail; see the log"
                log.exception("turn failed", service=self.turns.service.name)
                await asyncio.sleep(delay)
                delay = min(delay * 2, 5)
            else:
                self.trouble = None
                self.last_turn = time.monotonic()
                return

    def _decode(self, record: ConsumerRecord) -> Incoming:
        raw = Raw(
            record.topic,
            record.partition,
            record.offset,
            record.key,
            tuple(record.headers),
            record.value or b"",
        )
        return self.decode(raw)

    def decode(self, raw: Raw) -> Incoming:
        """A record as a message at the door, with its error when it cannot be read. Never raises: that would lose the batch."""
        try:
            if raw.topic in INBOX_TOPICS:
                return self._decoded(raw)
            return decode_ours(raw, self.turns.service.hears)
        except Exception as error:
            return unreadable(raw, error)

    def _decoded(self, raw: Raw) -> Incoming:
        headers: dict[str, str] = {}
        try:
            headers = text_headers(raw)
            actor = self.tokens.actor_of_headers(headers)
            return outside(headers, raw.body, actor, inbox=raw.topic, raw=raw)
        except Malformed as error:
            return unreadable(raw, Refused("malformed", str(error), field="headers", status=422))
        except Refused as refused:
            return unreadable(raw, refused, claimed(headers))


async def _undecoded(message: KafkaMessage, original: Any) -> Any:
    return message.body


class _Drain(ConsumerRebalanceListener):  # type: ignore[misc]
    """Lets the turn in progress end, offsets and all, before its partitions go to another replica."""

    def __init__(self, intake: Intake) -> None:
        self.intake = intake

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        await self.intake.drain()

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        self.intake.applied = {p: o for p, o in self.intake.applied.items() if TopicPartition(*p) in assigned}
