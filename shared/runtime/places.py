"""How far a service has applied what it reads, partition by partition: the offsets it commits, its lag, and topics made anew.

A place in a topic that was deleted means nothing in the one that bears its name next: were it kept, what lies before it there
would be passed over.
"""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Callable, Sequence
from math import inf
from typing import Any

import structlog
from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from shared.runtime.tasks import end

log = structlog.get_logger(__name__)

ANSWER_SECONDS = 3
"""How long the broker has for an answer when somebody asks how we are."""

COMMIT_SECONDS = 5
"""How long a commit of offsets may take: the client tries for ever where a partition is no more. To give up does no harm."""

LOOK_SECONDS = 1.0
"""How often we look whether the topics are still there."""

CATCHING_UP_SECONDS = 0.2
"""Between looks whether all that was said before a start was applied."""


class Places:
    """The places of one replica in its topics; `consumer` gives its aiokafka consumer, None before there is one."""

    def __init__(self, service: str, topics: Sequence[str], consumer: Callable[[], Any]) -> None:
        self.service = service
        self.topics = topics
        self.applied: dict[tuple[str, int], int] = {}
        """Per topic and partition, the offset after the last record that was applied; by others before us, once asked."""
        self.given: dict[tuple[str, int], int] = {}
        """The same after the last record that the client gave us, now or when we had the partition before; maybe in hand."""
        self.gone: set[str] = set()
        """Topics that were deleted, or are not made yet."""
        self.lives: Counter[str] = Counter()
        """How often each topic was found deleted, and how often made anew."""
        self.taken = 0
        """How often partitions were taken away."""
        self._consumer = consumer
        self._committing: set[asyncio.Task[None]] = set()
        self._owed: dict[tuple[str, int], int] = {}
        """The offsets that Kafka did not take yet of what was applied: others of the group would wait for them."""
        self._silent = False
        """Kafka did not say how much there is when somebody waited for that last."""

    def forget(self) -> None:
        """Partitions were given out anew: whoever had ours meanwhile may have moved them on."""
        self.applied = {}  # not emptied: what was asked for before comes into the old one
        self._owed.clear()

    async def commit(self, records: Sequence[ConsumerRecord], lives: Counter[str]) -> None:
        """Remember that records were applied that were read in these lives of their topics, and commit their offsets.

        A commit that fails redelivers; the cursors know what was applied.
        """
        read = {(record.topic, record.partition): record.offset + 1 for record in records}
        consumer = self._consumer()
        ours = (
            consumer.assignment() if consumer is not None else ()
        )  # a turn may end after its partitions were taken away
        done = {
            p: n
            for p, n in read.items()
            if TopicPartition(*p) in ours and p[0] not in self.gone and self.lives[p[0]] == lives[p[0]]
        }
        await self._note(consumer, done)

    async def _note(self, consumer: Any, done: dict[tuple[str, int], int]) -> None:
        self.applied.update(done)
        if done:
            offsets = {TopicPartition(*place): offset for place, offset in done.items()}
            committing = asyncio.create_task(consumer.commit(offsets))
            self._committing.add(committing)
            self._owed |= done
            try:
                if await _for_a_while(committing):
                    # one that was taken before this one stands no more
                    newer = {p: self.applied[p] for p, n in done.items() if self.applied.get(p, 0) > n}
                    self._owed = {p: n for p, n in self._owed.items() if n > done.get(p, 0)} | newer
            finally:
                self._committing.discard(committing)

    async def follow(self) -> None:
        """Go past what is no record for us, for ever: markers of transactions, and records of those that were aborted. Nobody
        applies them, and whoever waits for the end of a partition would wait in vain."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            with contextlib.suppress(KafkaError, OSError, TimeoutError):
                await asyncio.wait_for(self.pass_over(), COMMIT_SECONDS)

    async def pass_over(self) -> None:
        """Note how far the client came where nothing that it gave us is left to apply; and again what Kafka did not take."""
        consumer, lives, taken = self._consumer(), self.lives.copy(), self.taken
        if consumer is None:
            return
        await self.progress()
        assigned = list(consumer.assignment())
        positions = await asyncio.gather(*(consumer.position(partition) for partition in assigned))
        if self.taken != taken or self.lives != lives:
            return
        passed = {}
        for partition, at in zip(assigned, positions, strict=True):
            place = partition.topic, partition.partition
            applied = self.applied.get(place, at)
            unsaid = applied < at or place in self._owed
            if self.given.get(place, 0) <= applied and unsaid and partition.topic not in self.gone:
                passed[place] = at
        await self._note(consumer, passed)

    async def progress(self) -> dict[tuple[str, int], int]:
        """Per topic and partition, the offset after the last record that was applied, by this process or one before it."""
        consumer, applied = self._consumer(), self.applied
        for partition in consumer.assignment() if consumer is not None else ():
            place, life = (partition.topic, partition.partition), self.lives[partition.topic]
            if place not in applied:
                before_us = await consumer.committed(partition) or 0
                if life == self.lives[partition.topic]:
                    applied.setdefault(place, before_us)  # ours alone, so nobody else moves it on
        return dict(self.applied)

    async def lag(self, *, of_group: bool = False) -> dict[tuple[str, int], int]:
        """Records not applied yet, by topic and partition: of what this process reads, or of all that its group shares."""
        return {place: end - at for place, (at, end) in (await self._unread(of_group=of_group)).items()}

    async def caught_up(self, patience: float = inf, anew: float = inf) -> bool:
        """True once the group has applied all that its topics held when Kafka first said how much that is; False when nothing
        of it was applied for `patience` seconds, or `anew` where Kafka says it again after it had not: who joins its group anew
        applies nothing for a while."""
        goal: dict[tuple[str, int], int] = {}
        lives: Counter[str] = Counter()
        most, since = -1, time.monotonic()
        while True:
            with contextlib.suppress(KafkaError, OSError, TimeoutError):
                unread = await asyncio.wait_for(self._unread(of_group=True), ANSWER_SECONDS)
                if not goal and {topic for topic, _ in unread} >= {*self.topics} - self.gone:
                    goal, lives = {place: end for place, (_, end) in unread.items()}, self.lives.copy()
                    patience, self._silent = anew if self._silent else patience, False
                left = [p for p, end in goal.items() if unread.get(p, (-1, 0))[0] < end]
                # of a topic that was made anew the old ends mean nothing
                if goal and all(self.lives[topic] != lives[topic] for topic, _ in left):
                    return True
                far = sum(min(unread[p][0], end) for p, end in goal.items() if p in unread)
                if goal and far > most:
                    most, since = far, time.monotonic()
            if time.monotonic() - since > patience:
                self._silent = not goal
                return False
            await asyncio.sleep(CATCHING_UP_SECONDS)

    async def _unread(self, *, of_group: bool) -> dict[tuple[str, int], tuple[int, int]]:
        """The first offset that was not applied yet, and the end of its partition.

        Asks the broker: what a consumer itself knows of the end of a partition stands still while a turn waits.
        """
        consumer = self._consumer()
        if consumer is None:
            return {}
        done = await self.progress()
        if of_group:
            topics = ((t, consumer.partitions_for_topic(t) or ()) for t in self.topics)
            others = [
                TopicPartition(t, p) for t, partitions in topics for p in partitions if (t, p) not in done
            ]
            committed = await asyncio.gather(*(consumer.committed(p) for p in others))
            done |= {(p.topic, p.partition): offset or 0 for p, offset in zip(others, committed, strict=True)}
        partitions = [TopicPartition(*place) for place in done]
        first = await consumer.beginning_offsets(partitions)
        ends = await consumer.end_offsets(partitions)
        mine = consumer.assignment()
        unread = {}
        for p in partitions:
            at = max(done[p.topic, p.partition], first[p])  # before the first record there is nothing to read
            # the embedded broker says too little: where its last batch begins
            end = max(ends[p], consumer.last_stable_offset(p) or 0 if p in mine else 0)
            unread[p.topic, p.partition] = at, max(end, at)
        return unread

    async def watch(self) -> None:
        """Notice topics that are deleted, and read them from the beginning when they are made anew. What is known already is
        dropped as ever."""
        missed: set[str] = set()
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            consumer = self._consumer()
            if consumer is None:
                continue
            try:
                there = await asyncio.wait_for(consumer.topics(), ANSWER_SECONDS)
            except (KafkaError, OSError, TimeoutError):
                continue
            absent = {*self.topics} - there
            gone, back, missed = absent & missed, self.gone - absent, absent
            for topic in gone - self.gone:
                self.lives[topic] += 1
                log.warning("topic is gone", service=self.service, topic=topic)
                for committing in self._committing:  # the old place would be committed in the new topic
                    committing.cancel()
            self.gone = gone
            if back:
                log.warning("topics are back", service=self.service, topics=sorted(back))
                # what was read of the new one until now was read from the place in the old one on
                self.lives.update(back)
                self.applied = {place: n for place, n in self.applied.items() if place[0] not in back}
                self.given = {place: n for place, n in self.given.items() if place[0] not in back}
                self._owed = {place: n for place, n in self._owed.items() if place[0] not in back}
                partitions = [p for p in consumer.assignment() if p.topic in back]
                if partitions:  # in a task of its own: a rebalance cancels it, and gives partitions of which no place is known
                    await _for_a_while(asyncio.create_task(consumer.seek_to_beginning(*partitions)))


def without(topics: set[str]) -> str:
    """What is said of topics that Kafka does not have."""
    return f"Kafka has no topic {', '.join(sorted(topics))}"


async def _for_a_while(answer: asyncio.Task[Any]) -> bool:
    """Wait for what Kafka is to answer, at most COMMIT_SECONDS; it may fail or be canceled without harm. True when it came."""
    try:
        await asyncio.wait([answer], timeout=COMMIT_SECONDS)
    finally:
        await end([answer])
    with contextlib.suppress(KafkaError, asyncio.CancelledError):
        answer.result()
        return True
    return False
