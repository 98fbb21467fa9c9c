"""What ops do with Kafka's own tools: who leads, who coordinates, are all replicas in step; delete topics and make them."""

import asyncio
import contextlib
import re
import time
from collections.abc import AsyncIterator
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from deploy.embedded.child import EmbeddedError
from deploy.topics import create_topics, topics
from tests.faults.parts import FaultyKafka, docker_async

PATIENCE = 90.0


@contextlib.asynccontextmanager
async def admin(broker: FaultyKafka) -> AsyncIterator[AIOKafkaAdminClient]:
    """An admin client, waiting for a broker."""
    deadline = time.monotonic() + PATIENCE
    while True:
        client = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap, request_timeout_ms=20_000)
        try:
            await client.start()
            break
        except (KafkaError, OSError):
            await client.close()
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.5)
    try:
        yield client
    finally:
        await client.close()


async def whole(broker: FaultyKafka) -> None:
    """Wait until every partition has all its replicas in step: a cluster is broken one node at a time."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        with contextlib.suppress(KafkaError, OSError, TimeoutError):
            async with admin(broker) as client, asyncio.timeout(20):
                partitions = [p for topic in await client.describe_topics() for p in topic["partitions"]]
                if partitions and all(len(p["isr"]) == len(broker.nodes) for p in partitions):
                    return
        await asyncio.sleep(0.5)
    raise TimeoutError("Kafka's replicas do not come back in step")


async def coordinator(broker: FaultyKafka, group: str) -> int:
    """The node that coordinates a group."""
    async with admin(broker) as client:
        return int(await client.find_coordinator(group))


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
    async with admin(broker) as client:
        names = [topic.name for topic in topics()]
        described: list[Any] = await client.describe_topics([names[0]])
        await client.delete_topics(names)
        deadline = time.monotonic() + PATIENCE
        while {*names} & {*await client.list_topics()}:
            if time.monotonic() > deadline:
                raise TimeoutError("topics are not gone")
            await asyncio.sleep(0.2)
        return len(described[0]["partitions"])


async def make_all(broker: FaultyKafka, partitions: int) -> None:
    """Make all topics again."""
    await create_topics(broker.bootstrap, partitions=partitions, replication=3)
