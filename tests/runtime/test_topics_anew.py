"""Topics that are not there yet, are gone, or made anew: read from their beginning, and no place of the old is noted (X2)."""

from types import SimpleNamespace

import asyncpg
import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from deploy.topics import create_topics
from tests.harness import AGENT
from tests.runtime.probe import Pay, Probe, outside, receipt_of
from tests.runtime.waiting import noted, ready, says, until

pytestmark = pytest.mark.requirement("X2")


async def delete_inbox(probe: Probe) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=probe.broker.bootstrap)
    await admin.start()
    await admin.delete_topics(["orders.inbox"])
    await admin.close()


async def test_topics_that_are_made_late(probe: Probe):
    probe.broker.start()
    writer, reader = await probe.writer(), await probe.reader()
    await writer.start()
    await reader.start()
    assert await writer.commands.ask(Pay(note_id="a"), AGENT) == {"total": 1}
    await until(says(writer, "kafka", "Kafka has no topic orders.inbox"))
    await create_topics(probe.broker.bootstrap, partitions=2)
    await until(noted(reader, "a", 1))
    await until(ready(writer))
    await until(ready(reader))


async def test_topics_that_are_deleted_and_made_anew_are_read_from_their_beginning(probe: Probe):
    await probe.topics()
    writer = await probe.writer()
    await writer.start()
    await probe.send("orders.inbox", *((outside(f"{m}"), receipt_of("n")) for m in range(5)))
    await until(noted(writer, "n", *[1] * 5))
    await delete_inbox(probe)
    await until(says(writer, "kafka", "no topic orders.inbox"))
    await create_topics(probe.broker.bootstrap, partitions=1)
    # as many as were read before, and more: places of the old topic would skip the first
    await probe.send("orders.inbox", *((outside(f"{m}"), receipt_of("n")) for m in range(4, 14)))
    await until(noted(writer, "n", *[1] * 14))
    await until(ready(writer))


async def test_a_place_in_a_topic_that_is_gone_is_not_noted_for_the_one_made_anew(probe: Probe):
    """The client tries for ever to note it. Whoever reads the new topic next, after a restart or with other partitions, would
    pass over what lies before that place."""
    await probe.topics()
    writer = await probe.writer()
    await writer.start()
    other = await asyncpg.connect(probe.url("orders"))
    async with other.transaction():
        await other.execute("LOCK TABLE notes")
        await probe.send("orders.inbox", (outside("read"), receipt_of("n")))
        await until(lambda: writer.intake._turn is not None)
        await delete_inbox(probe)
    await other.close()
    await until(noted(writer, "n", 1))
    await until(says(writer, "kafka", "no topic orders.inbox"))
    await create_topics(probe.broker.bootstrap, partitions=1)
    await until(ready(writer))
    assert not await writer.intake.consumer.committed(TopicPartition("orders.inbox", 0))


async def test_what_was_read_of_a_topic_made_anew_before_it_was_noticed_is_not_noted(probe: Probe):
    """The client may have read on from its place in the old topic; whoever began behind that would pass over the rest."""
    await probe.topics()
    writer = await probe.writer()
    await writer.start()
    await until(ready(writer))
    await delete_inbox(probe)
    await until(says(writer, "kafka", "no topic orders.inbox"))
    places = writer.intake.places
    before = places.lives.copy()
    await create_topics(probe.broker.bootstrap, partitions=1)
    await until(lambda: not places.gone)
    read = SimpleNamespace(topic="orders.inbox", partition=0, offset=9)
    await places.commit([read], before)
    assert not await writer.intake.consumer.committed(TopicPartition("orders.inbox", 0))
    await places.commit([read], places.lives.copy())
    assert await writer.intake.consumer.committed(TopicPartition("orders.inbox", 0)) == 10


async def test_topics_made_anew_for_a_replica_that_has_no_partition(probe: Probe):
    """It must not take all partitions that there are for its own, nor stop looking."""
    await probe.topics()
    writer = await probe.writer()
    await writer.start()
    await until(ready(writer))
    writer.intake.consumer.assignment = set
    for _ in range(2):
        await delete_inbox(probe)
        await until(says(writer, "kafka", "no topic orders.inbox"))
        await create_topics(probe.broker.bootstrap, partitions=1)
        await until(ready(writer))
    assert writer.intake.places.lives["orders.inbox"] == 4
