"""A plain Kafka client that reads all that the services say, as any system outside might, and judges its order.

Nothing of our code: records, their headers, and the rule that is promised. Per stream the first occurrences of the sequences
are 1, 2, 3 …; a sequence may come again (a sender that died before it noted the acknowledgment sends again). Where topics were
made anew, what a sender had in flight just then may come before the refill does, and in the partition of before.
"""

import asyncio
import contextlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

TOPICS = ("orders", "warehouse", "aftersales", "notify")


@dataclass(frozen=True)
class Said:
    """One event as a system outside sees it."""

    type: str
    stream: str
    sequence: int
    data: dict[str, Any]


def wording(type: str, time: datetime, who: str, why: str | None, data: dict[str, Any]) -> bytes:
    """All that an event says, but for what can be erased, as something that is short and equal where it is."""
    plain = {name: value for name, value in data.items() if name != "personal"}
    said = [type, time.astimezone(UTC).isoformat(), who, why, plain]
    return blake2b(json.dumps(said, sort_keys=True).encode(), digest_size=12).digest()


class Witness:
    """Use as an async context manager. `made_anew` says that all topics were deleted and made again."""

    def __init__(self, bootstrap: str) -> None:
        self.bootstrap = bootstrap
        self.records = 0
        self.events = 0
        """Different ones, over all lives of the topics."""
        self.duplicates = 0
        self.early = 0
        """Records that a sender had in flight when the topics were made anew: the refill brings them again, in their place."""
        self.out_of_order: list[str] = []
        self.highest: dict[tuple[str, str], int] = {}
        """Per topic and stream the last sequence up to which all came, in this life of the topics."""
        self.said: dict[tuple[str, str, int], bytes] = {}
        """What each event said, by topic, stream and sequence."""
        self.otherwise: list[str] = []
        """Events that said another thing when they came again."""
        self.lives = 1
        """How often the topics were made."""
        self.anew: datetime | None = None
        """When they were made last, if they were made anew: nothing that was said later can have been in flight."""
        self._homes: dict[tuple[str, str], int] = {}
        """In which partition each stream begins, in this life of the topics."""
        self._told: dict[tuple[str, str], int] = {}
        self._waiting: dict[tuple[str, str], dict[int, Said]] = {}
        self._callbacks: list[Callable[[Said], None]] = []
        self._consumer: AIOKafkaConsumer | None = None
        self._task: asyncio.Task[None] | None = None

    def tell(self, callback: Callable[[Said], None]) -> None:
        """Call back for every event, once, in the order of its stream."""
        self._callbacks.append(callback)

    async def __aenter__(self) -> "Witness":
        self._task = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *error: object) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def made_anew(self) -> None:
        """Read the new topics from their beginning."""
        await self.__aexit__()
        self.lives, self.anew = self.lives + 1, datetime.now(UTC)
        self._begin_again()
        await self.__aenter__()

    async def caught_up(self) -> bool:
        """True when everything that is on the topics has been read."""
        if self._consumer is None or not self._consumer.assignment():
            return False
        try:
            ends = await self._consumer.end_offsets(self._consumer.assignment())
            return all([await self._consumer.position(p) >= end for p, end in ends.items()])
        except KafkaError:
            return False

    async def _read(self) -> None:
        while True:
            consumer = AIOKafkaConsumer(
                bootstrap_servers=self.bootstrap,
                auto_offset_reset="earliest",
                enable_auto_commit=False,
                fetch_max_wait_ms=100,
                metadata_max_age_ms=5_000,  # the client asks an old leader until it is this old
            )
            try:
                await consumer.start()
                consumer.assign(await self._partitions())
                self._consumer = consumer
                await self._read_on(consumer)
            except (KafkaError, OSError):
                await asyncio.sleep(0.5)
            finally:
                self._consumer = None
                with contextlib.suppress(Exception):
                    await consumer.stop()
            self._begin_again()

    def _begin_again(self) -> None:
        """The topics are read from their beginning."""
        self.highest.clear()
        self._homes.clear()

    async def _partitions(self) -> list[TopicPartition]:
        """All partitions of all topics, once there are such."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap)
        await admin.start()
        try:
            while True:
                found = [t for t in await admin.describe_topics() if t["topic"] in TOPICS and t["partitions"]]
                if len(found) == len(TOPICS):
                    return [
                        TopicPartition(t["topic"], p["partition"]) for t in found for p in t["partitions"]
                    ]
                await asyncio.sleep(0.2)
        finally:
            await admin.close()

    async def _read_on(self, consumer: AIOKafkaConsumer) -> None:
        while True:
            try:
                batches = await consumer.getmany(timeout_ms=200, max_records=2000)
            except KafkaError:
                await asyncio.sleep(0.2)
                continue
            for records in batches.values():
                for record in records:
                    self._take(record)

    def _take(self, record: Any) -> None:
        headers = {name: value.decode() for name, value in record.headers}
        place, sequence = (record.topic, headers["ce_subject"]), int(headers["ce_sequence"])
        at = datetime.fromisoformat(headers["ce_time"])
        self.records += 1
        highest = self.highest.get(place, 0)
        if sequence == highest + 1:
            self.highest[place] = sequence
            if sequence == 1:
                self._homes[place] = record.partition
        elif sequence <= highest:
            self.duplicates += 1
        elif self._was_in_flight(place, at, record.partition):
            self.early += 1
        else:
            self.out_of_order.append(f"{place[0]} {place[1]}: {sequence} came after {highest}")
        said = Said(headers["ce_type"], place[1], sequence, json.loads(record.value))
        who = f"{headers['ce_authtype']}:{headers['ce_authid']}"
        words = wording(said.type, at, who, headers.get("ce_causationid"), said.data)
        if self.said.setdefault((*place, sequence), words) != words:
            self.otherwise.append(f"{place[0]} {place[1]}/{sequence} came again with other words")
        self._tell(place, said)

    def _was_in_flight(self, place: tuple[str, str], at: datetime, partition: int) -> bool:
        """True for what was said before the topics were made anew, and comes before the refill of its stream: first, or in a
        partition that was the stream's when there were more or fewer of them. Times of events are those of the database, also
        where the clock of a host is wrong."""
        before = self.anew is not None and at < self.anew
        return before and self._homes.get(place) != partition

    def _tell(self, place: tuple[str, str], said: Said) -> None:
        """As the documents tell consumers: drop what is known, wait for what is missing."""
        if said.sequence <= self._told.get(place, 0):
            return
        waiting = self._waiting.setdefault(place, {})
        waiting[said.sequence] = said
        while (following := waiting.pop(self._told.get(place, 0) + 1, None)) is not None:
            self._told[place] = following.sequence
            self.events += 1
            for callback in self._callbacks:
                callback(following)
        if not waiting:
            del self._waiting[place]
