"""The topics: names, partitions and retention, in this one place."""

from dataclasses import dataclass
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import (
    InvalidReplicationFactorError,
    KafkaConnectionError,
    KafkaError,
    NotControllerError,
    TopicAlreadyExistsError,
    for_code,
)

from deploy.waiting import Told, patiently

DAY = 24 * 3600 * 1000
SEGMENT_MS = DAY
"""Kafka deletes whole segments, by their newest record: what it keeps beyond the retention. By its own rule a week."""
PARTITIONS = 12
"""Of every topic that is consumed by a group: the most replicas of a service that can share the work."""

OWNERS = ("orders", "warehouse", "aftersales", "notify")
"""What each service says, on a topic of its own."""

INBOXES = ("orders.inbox", "aftersales.inbox", "scans.inbox", "tracking.inbox")
"""What comes from outside."""

CLOCK = "clock"
"""Ticks of a driven clock: one partition, since everybody must see them in one order."""


@dataclass(frozen=True)
class Topic:
    """A topic; `retention_ms` is how long Kafka keeps a record, and up to SEGMENT_MS longer."""

    name: str
    partitions: int
    retention_ms: int
    stamped: bool = False
    """True where the time of a record is when Kafka took it, not what its sender says."""


def topics(partitions: int = PARTITIONS) -> list[Topic]:
    """All topics.

    Kafka need not keep records for ever: the event logs do. Retention is long enough for a service that was away over a long
    weekend and holidays, and is how personal data leaves Kafka (X4). Whether a token was good when its record was sent is told
    by the record's time: no stranger's clock says how long a token counts, or how long a record is kept.
    """
    owners = [Topic(name, partitions, 14 * DAY) for name in OWNERS]
    inboxes = [Topic(name, partitions, 7 * DAY, stamped=True) for name in INBOXES]
    return [*owners, *inboxes, Topic(CLOCK, 1, 7 * DAY)]


async def create_topics(
    bootstrap: str,
    *,
    partitions: int = PARTITIONS,
    replication: int = 1,
    patience: float = 60,
    waiting: Told | None = None,
) -> list[str]:
    """Create the topics that are missing; returns their names. Topics that exist stay as they are.

    Waits up to `patience` seconds for the broker, and for as many brokers as there are to be replicas: nodes of a cluster that
    is starting register one by one; `waiting` is told each time why, and how many seconds are left. Raises KafkaError when
    they do not come or refuse a topic.
    """

    async def attempt() -> list[str]:
        admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap, request_timeout_ms=20_000)
        try:
            await admin.start()
            return await _create_missing(admin, topics(partitions), replication)
        finally:
            await admin.close()

    return await patiently(attempt, awaited, patience, waiting)


def awaited(error: Exception) -> str | None:
    """What is waited for after this error of a starting cluster, or one of whose nodes has just gone; None for any other."""
    if isinstance(error, OSError | KafkaConnectionError):
        return "it cannot be reached"
    if isinstance(error, InvalidReplicationFactorError):
        return "fewer of its nodes are up than HANDOVER_TOPIC_REPLICATION asks for"
    return "it is not ready" if isinstance(error, KafkaError) and error.retriable else None


async def _create_missing(admin: AIOKafkaAdminClient, wanted: list[Topic], replication: int) -> list[str]:
    existing = set(await admin.list_topics())
    missing = [_new(topic, replication) for topic in wanted if topic.name not in existing]
    if not missing:
        return []
    try:
        answer = await admin.create_topics(missing)
    except AttributeError as none:
        # what the client meets when it looks for a controller that the cluster does not have
        raise NotControllerError("the cluster has no controller: too few of its nodes are up") from none
    raise_refused(answer)
    return [topic.name for topic in missing]


def raise_refused(answer: Any) -> None:
    """Raise what the broker says in its answer against making a topic, for the client raises nothing of it. That somebody else
    was quicker is just as well."""
    for name, code, *message in answer.topic_errors:
        error = for_code(code)
        if code and error is not TopicAlreadyExistsError:
            raise error(f"topic {name}: {message[0] if message else ''}")


def _new(topic: Topic, replication: int) -> NewTopic:
    config = {"retention.ms": str(topic.retention_ms), "segment.ms": str(SEGMENT_MS)}
    if topic.stamped:  # the embedded broker takes the setting and goes on with the senders' times
        config["message.timestamp.type"] = "LogAppendTime"
    if replication >= 3:  # what is acknowledged outlives the loss of a node
        config["min.insync.replicas"] = "2"
    return NewTopic(topic.name, topic.partitions, replication, topic_configs=config)
