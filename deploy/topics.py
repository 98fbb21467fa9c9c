"""The topics: names, partitions and retention, in this one place."""

import asyncio
from dataclasses import dataclass

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError

DAY = 24 * 3600 * 1000
PARTITIONS = 12
"""Of every topic that is consumed by a group: the most replicas of a service that can share the work."""


@dataclass(frozen=True)
class Topic:
    """A topic; `retention_ms` is how long Kafka keeps a record. The event logs keep what we said for ever."""

    name: str
    partitions: int
    retention_ms: int


def topics(partitions: int = PARTITIONS) -> list[Topic]:
    """All topics. Personal data leaves Kafka by retention (X4)."""
    owners = [Topic(name, partitions, 14 * DAY) for name in ("orders", "warehouse", "aftersales", "notify")]
    inboxes = [
        Topic(name, partitions, 7 * DAY)
        for name in ("orders.inbox", "aftersales.inbox", "scans.inbox", "tracking.inbox")
    ]
    return [*owners, *inboxes, Topic("clock", 1, 7 * DAY)]


async def create_topics(
    bootstrap: str, *, partitions: int = PARTITIONS, replication: int = 1, patience: float = 60
) -> list[str]:
    """Create the topics that are missing; returns their names. Waits up to `patience` seconds for the broker.

    Raises KafkaError when the broker does not answer or refuses.
    """
    admin = await _connect(bootstrap, patience)
    try:
        existing = set(await admin.list_topics())
        missing = [t for t in topics(partitions) if t.name not in existing]
        if missing:
            await admin.create_topics(
                [
                    NewTopic(t.name, t.partitions, replication, topic_configs={"retention.ms": str(t.retention_ms)})
                    for t in missing
                ]
            )
        return [t.name for t in missing]
    finally:
        await admin.close()


async def _connect(bootstrap: str, patience: float) -> AIOKafkaAdminClient:
    deadline = asyncio.get_running_loop().time() + patience
    while True:
        admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
        try:
            await admin.start()
        except KafkaError:
            await admin.close()
            if asyncio.get_running_loop().time() > deadline:
                raise
            await asyncio.sleep(0.5)
        else:
            return admin
