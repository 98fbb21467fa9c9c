"""What ops do with Kafka's own tools: who leads, who coordinates, are all replicas in step; delete topics and make them."""

import asyncio
import contextlib
import re
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from deploy.embedded.child import EmbeddedError
from deploy.topics import create_topics, topics
from tests.faults.parts import FaultyKafka, docker_async

PATIENCE = 90.0

T = TypeVar("T")


async def _ask(broker: FaultyKafka, question: Callable[[AIOKafkaAdminClient], Awaitable[T]]) -> T:
    """Ask until it is answered: the node that the client comes upon may be away, or starting still."""
    deadline = time.monotonic() + PATIENCE
    while True:
        client = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap, request_timeout_ms=20_000)
        try:
            async with asyncio.timeout(20):
                await client.start()
                return await question(client)
        except (KafkaError, OSError):  # a time-out is an OSError too
            if time.monotonic() > deadline:
                raise
        finally:
            await client.close()
        await asyncio.sleep(0.5)


async def whole(broker: FaultyKafka) -> None:
    """Wait until every partition has all its replicas in step: a cluster is broken one node at a time."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        described: list[Any] = await _ask(broker, lambda client: client.describe_topics())
        partitions = [p for topic in described for p in topic["partitions"]]
        if partitions and all(len(p["isr"]) == len(broker.nodes) for p in partitions):
            return
        await asyncio.sleep(0.5)
    raise TimeoutError("Kafka's replicas do not come back in step")


async def coordinator(broker: FaultyKafka, group: str) -> int:
    """The node that coordinates a group."""
    return int(await _ask(broker, lambda client: client.find_coordinator(group)))


async def committed(broker: FaultyKafka, group: str, topic: str, partition: int) -> int:
    """Up to where a group has applied a partition."""
    place = TopicPartition(topic, partition)
    offsets = await _ask(broker, lambda client: client.list_consumer_group_offsets(group, partitions=[place]))
    return int(offsets[place].offset)


async def controller(broker: FaultyKafka) -> int:
    """The node whose controller leads, as Kafka's own tool says."""
    for node in broker.nodes.values():
        with contextlib.suppress(EmbeddedError):
            said = await docker_async(
                "exec", node.name, "/opt/kafka/bin/kafka-metadata-quorum.sh",
                "--bootstrap-server", broker.bootstrap, "describe", "--status",
            )  # fmt: skip
            if found := re.search(r"LeaderId:\s*(\d+)", said):
                return int(found[1])
    raise TimeoutError("no node says who the controller is")


async def delete_all(broker: FaultyKafka) -> int:
    """Delete all topics of ours; returns how many partitions they had."""
    names = [topic.name for topic in topics()]
    described: list[Any] = await _ask(broker, lambda client: client.describe_topics([names[0]]))
    await _ask(broker, lambda client: client.delete_topics(names))
    deadline = time.monotonic() + PATIENCE
    while {*names} & {*await _ask(broker, lambda client: client.list_topics())}:
        if time.monotonic() > deadline:
            raise TimeoutError("topics are not gone")
        await asyncio.sleep(0.2)
    return len(described[0]["partitions"])


async def make_all(broker: FaultyKafka, partitions: int) -> None:
    """Make all topics again."""
    await create_topics(broker.bootstrap, partitions=partitions, replication=3)
