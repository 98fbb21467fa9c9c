"""Notices a Kafka client that stands still: records wait, and it reads none of them, though it may call itself well.

A client waits for its own tasks in many places; one that ended, or a wait that nobody ends, leaves a replica that keeps its
partitions and never reads them. Whatever the cause, a new client reads on from what was committed.
"""

import asyncio
from typing import Any

import structlog
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from shared.runtime.intake import Intake
from shared.runtime.places import ANSWER_SECONDS

log = structlog.get_logger(__name__)

LOOK_SECONDS = 5.0
LOOKS = 6
"""Looks in a row at which a partition has not moved: looks, not seconds, for a process that was frozen has not looked."""
MOST_LOOKS = 120
"""The same where new clients have not helped: what they wait for may be away for long."""
BATCHES = 5
"""A client empties what it fetched of one partition before it gives of the next: so many batches of each, some three in truth,
go before one is its turn again."""
POSITION_SECONDS = 1
NOWHERE = -1
"""The position in a partition of which the client does not know yet where to begin."""


async def watch(intake: Intake) -> None:
    """Look for ever; begin with a new client when the one that is there stands still."""
    still: dict[str, tuple[int, int]] = {}  # looks, and batches before the first of them
    before: dict[str, int] = {}
    batches, patience = intake.batches, LOOKS
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        if intake.consumer is None or (intake.busy and intake.batches == batches):
            continue  # Kafka is waited for; or a turn lasts, and its database may be away
        waiting = await _waiting(intake.consumer)
        longer = {p: still.get(p, (0, batches)) for p, at in waiting.items() if before.get(p) == at}
        idle = intake.batches == batches  # else others had their turn, as they must have by then
        before, batches = waiting, intake.batches
        still = {
            place: (looks + (idle or batches > since + BATCHES * len(waiting)), since)
            for place, (looks, since) in longer.items()
        }
        stand = [place for place, (looks, _) in still.items() if looks >= patience]
        if not still:
            patience = LOOKS
        elif stand:
            log.error("reading stands still", service=intake.turns.service.name, where=sorted(stand))
            still, patience = {}, min(2 * patience, MOST_LOOKS)
            await intake.begin_anew()


async def _waiting(consumer: Any) -> dict[str, int]:
    """Where records wait, and the position there. That Kafka does not say is one more such place."""
    partitions = list(consumer.assignment())
    try:
        ends = await asyncio.wait_for(consumer.end_offsets(partitions), ANSWER_SECONDS)
    except (KafkaError, OSError, TimeoutError):
        return {"no answer": NOWHERE}
    positions = await asyncio.gather(*(_position(consumer, partition) for partition in partitions))
    places = zip(partitions, positions, strict=True)
    return {f"{p.topic}/{p.partition}": at for p, at in places if at < ends[p]}


async def _position(consumer: Any, partition: TopicPartition) -> int:
    try:
        return int(await asyncio.wait_for(consumer.position(partition), POSITION_SECONDS))
    except (KafkaError, TimeoutError):
        return NOWHERE
