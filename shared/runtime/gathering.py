"""Records as Kafka's client gives them, gathered for a turn.

Most of what a service hears is nothing that it acts on: only its place in its stream is kept. Nobody waits for that, so it
waits for more of its kind, or for whatever is acted on, and shares a turn, which costs as much as many records.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import structlog
from aiokafka import ConsumerRecord
from aiokafka.errors import ConsumerStoppedError, KafkaError

from shared.events.inbox import INBOX_TOPICS
from shared.runtime.places import LOOK_SECONDS, Places

log = structlog.get_logger(__name__)

WAIT_SECONDS = 1.0
"""Of one look for records; it ends when there are some."""
PASSING_SECONDS = 1.0
"""How long records that nobody here acts on wait for others."""
BREATH = 0.03
"""Seconds between looks, and after a small turn before the next may begin: what comes meanwhile is taken with it. The first
event after a rest is not kept waiting."""


@dataclass(slots=True)
class Read:
    """Records that were read in these lives of their topics, after so many takings of partitions (`Places`)."""

    records: list[ConsumerRecord]
    lives: Counter[str]
    taken: int


class Gathering:
    """Gathers up to `most` records for a service that acts on these types of events; `patient` is whether any may wait."""

    def __init__(self, places: Places, heard: Collection[str], most: int, *, patient: bool) -> None:
        self.places = places
        self.heard = {name.encode() for name in heard}
        self.most = most
        self.patient = patient

    async def next(self, consumer: Any) -> list[Read]:
        """The next records; none when there are none for a while. Raises what FastStream knows how to meet."""
        reads = [await self._look(consumer, WAIT_SECONDS, self.most)]
        last, count, began = reads[0], len(reads[0].records), time.monotonic()
        while self.patient and 0 < count < self.most and not self._acted_on(last.records):
            await asyncio.sleep(BREATH)
            left = PASSING_SECONDS - (time.monotonic() - began)
            if left <= 0:
                break
            try:
                last = await self._look(consumer, left, self.most - count)
            except (KafkaError, ConsumerStoppedError):
                break  # it is met again at the next look, when what was found is in hand
            count += len(last.records)
            if (last.lives, last.taken) == (reads[-1].lives, reads[-1].taken):
                reads[-1].records += last.records
            elif last.records:
                reads.append(last)
        return reads

    async def _look(self, consumer: Any, seconds: float, most: int) -> Read:
        """What there is, or comes within `seconds`. FastStream's own way sleeps as long after a look that found nothing as it
        looked, deaf to what comes."""
        found: dict[Any, list[ConsumerRecord]] = {}
        try:
            found = await consumer.getmany(timeout_ms=int(seconds * 1000), max_records=most)
        except (KafkaError, ConsumerStoppedError):
            raise  # FastStream knows what to do
        except Exception:
            # it would begin a new loop at once, say nothing, and count the old one as stopped for ever
            log.exception("reading failed", service=self.places.service)
            await asyncio.sleep(LOOK_SECONDS)
        self.places.given.update({(p.topic, p.partition): r[-1].offset + 1 for p, r in found.items()})
        return Read(list(chain(*found.values())), self.places.lives.copy(), self.places.taken)

    def _acted_on(self, records: Sequence[ConsumerRecord]) -> bool:
        """True when one of them may be more than its place in its stream."""
        return any(
            r.topic in INBOX_TOPICS
            or any(name == "ce_type" and said in self.heard for name, said in r.headers)
            for r in records
        )
