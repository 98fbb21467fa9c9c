"""The real Kafka and PostgreSQL take what the embedded ones take: the same provisioning, the same topics."""

import time
from collections.abc import Iterator

import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from deploy.embedded.child import free_port
from deploy.provision import SERVICES, database_of, provision, roles, user_of
from deploy.topics import SEGMENT_MS, create_topics, topics
from tests.containers.parts import ContainerKafka, ContainerPostgres

pytestmark = pytest.mark.containers


@pytest.fixture
def postgres() -> Iterator[ContainerPostgres]:
    postgres = ContainerPostgres(free_port())
    postgres.start()
    yield postgres
    postgres.stop()


async def test_provisioning(postgres: ContainerPostgres) -> None:
    for password in ("first", "second"):
        await provision(postgres.admin_url, dict.fromkeys(roles(), password))
    for service in SERVICES:
        connection = await asyncpg.connect(
            host="127.0.0.1",
            port=postgres.port,
            user=user_of(service),
            password="second",
            database=database_of(service),
        )
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("CREATE TABLE probe (n int)")
        await connection.close()


async def test_topics_with_their_settings(kafka: ContainerKafka) -> None:
    assert len(await create_topics(kafka.bootstrap, partitions=3)) == len(topics())
    assert await create_topics(kafka.bootstrap, partitions=3) == []
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    await admin.start()
    clock = {True: "LogAppendTime", False: "CreateTime"}
    wanted = {
        topic.name: {
            "retention.ms": str(topic.retention_ms),
            "segment.ms": str(SEGMENT_MS),
            "message.timestamp.type": clock[topic.stamped],
        }
        for topic in topics()
    }
    resources = [ConfigResource(ConfigResourceType.TOPIC, name, asked) for name, asked in wanted.items()]
    found = {
        name: {entry[0]: entry[1] for entry in entries}
        for answer in await admin.describe_configs(resources)
        for _, _, _, name, entries in answer.resources
    }
    await admin.close()
    assert found == wanted


@pytest.mark.requirement("X4")
async def test_no_sender_says_when_its_record_came(kafka: ContainerKafka) -> None:
    await create_topics(kafka.bootstrap)
    async with AIOKafkaProducer(bootstrap_servers=kafka.bootstrap) as producer:
        await producer.send_and_wait("orders.inbox", b"submitted", timestamp_ms=1)
    consumer = AIOKafkaConsumer(
        "orders.inbox", bootstrap_servers=kafka.bootstrap, auto_offset_reset="earliest"
    )
    async with consumer:
        assert abs((await consumer.getone()).timestamp / 1000 - time.time()) < 600


async def test_an_idempotent_producer(kafka: ContainerKafka) -> None:
    await create_topics(kafka.bootstrap)
    async with AIOKafkaProducer(bootstrap_servers=kafka.bootstrap, enable_idempotence=True) as producer:
        await producer.send_and_wait("orders.inbox", b"submitted", key=b"order-1")
    consumer = AIOKafkaConsumer(
        "orders.inbox", bootstrap_servers=kafka.bootstrap, auto_offset_reset="earliest"
    )
    async with consumer:
        assert (await consumer.getone()).value == b"submitted"
