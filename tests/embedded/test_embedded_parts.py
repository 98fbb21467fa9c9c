"""PostgreSQL and the broker from wheels: they start, do their work, say what is wrong, and never outlive us."""

import asyncio
import logging
import pkgutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import AsyncMock

import asyncpg
import psutil
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import (
    InvalidReplicationFactorError,
    NodeNotReadyError,
    NotControllerError,
    TopicAuthorizationFailedError,
)
from typer.testing import CliRunner

from deploy.cli import app
from deploy.embedded.broker import EmbeddedBroker
from deploy.embedded.child import EmbeddedError, free_port, temporary_folder
from deploy.embedded.postgres import EmbeddedPostgres
from deploy.migrate import migrate
from deploy.provision import SERVICES, database_of, owner_of, provision, roles, user_of
from deploy.topics import DAY, Topic, create_topics, topics

PASSWORDS = {role: f"secret of '{role}'" for role in roles()}


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with temporary_folder() as folder:
        yield folder


@pytest.fixture(scope="module")
def postgres(folder: Path) -> Iterator[EmbeddedPostgres]:
    server = EmbeddedPostgres(folder, free_port())
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def broker(folder: Path) -> Iterator[EmbeddedBroker]:
    broker = EmbeddedBroker(folder, free_port())
    broker.start()
    yield broker
    broker.stop()


async def connect(
    postgres: EmbeddedPostgres, role: str, database: str
) -> "asyncpg.Connection[asyncpg.Record]":
    return await asyncpg.connect(
        host="127.0.0.1", port=postgres.port, user=role, password=PASSWORDS[role], database=database
    )


@pytest.mark.requirement("X1")
async def test_each_service_has_a_database_that_only_its_own_roles_enter(postgres: EmbeddedPostgres) -> None:
    for _ in range(2):  # harmless to repeat
        await provision(postgres.admin_url, PASSWORDS)
    for service in SERVICES:
        owner = await connect(postgres, owner_of(service), database_of(service))
        await owner.execute("CREATE TABLE probe (n int)")
        await owner.execute(f"GRANT SELECT, INSERT ON probe TO {user_of(service)}")
        await owner.close()
        user = await connect(postgres, user_of(service), database_of(service))
        await user.execute("INSERT INTO probe VALUES (1)")
        assert await user.fetchval("SELECT upper('käse') || count(*) FROM probe") == "KÄSE1"
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await user.execute("CREATE TABLE another (n int)")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await user.execute("ALTER TABLE probe ADD COLUMN m int")
        assert not await user.fetchval(
            "SELECT bool_or(rolsuper) FROM pg_roles WHERE rolname LIKE 'handover%'"
        )
        await user.close()
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await connect(postgres, user_of("orders"), database_of("warehouse"))


@pytest.fixture
def loud_afterwards() -> Iterator[None]:
    """A job quiets the Kafka client for its whole process; here that goes on with other tests."""
    yield
    logging.getLogger("aiokafka").setLevel(logging.NOTSET)


@pytest.mark.parametrize(
    ("command", "job", "setting", "value", "part"),
    [
        (["migrate", "orders"], "deploy.migrate.migrate", "MIGRATION_DATABASE_URL", "postgresql://li:s3cret@{}/x",
         "the database"),
        (["provision"], "deploy.commands.setup.run_provision", "ADMIN_URL", "postgresql://li:s3cret@{}/x", "the database"),
        (["topics"], "deploy.topics.create_topics", "KAFKA", "{}", "Kafka"),
    ],
)  # fmt: skip
@pytest.mark.requirement("X6")
@pytest.mark.usefixtures("loud_afterwards")
def test_a_job_says_once_what_it_waits_for_and_then_what_could_not_be_reached(
    command: list[str], job: str, setting: str, value: str, part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = f"127.0.0.1:{free_port()}"
    for role in roles():
        monkeypatch.setenv(f"HANDOVER_{role.removeprefix('handover_').upper()}_PASSWORD", "s3cret")
    monkeypatch.setenv(f"HANDOVER_{setting}", value.format(where))
    monkeypatch.setattr(job, partial(pkgutil.resolve_name(job), patience=1))
    answer = CliRunner().invoke(app, command)
    assert answer.exit_code == 1
    assert answer.stderr.splitlines() == [
        f"Waiting up to 1 s for {part} at {where}: it cannot be reached.",
        f"Not done: {part} at {where} cannot be reached. "
        f"See whether it runs, and whether HANDOVER_{setting} has its address.",
    ]


@pytest.mark.requirement("X6")
@pytest.mark.usefixtures("loud_afterwards")
async def test_a_migration_waits_for_its_role_and_its_database_and_says_so(
    postgres: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = f"127.0.0.1:{postgres.port}"
    monkeypatch.setattr("deploy.migrate.migrate", partial(migrate, patience=0.3))
    for url, why in (
        (f"postgresql://li:s3cret@{at}/x", "it refuses the role or its password, which `handover provision` sets"),
        (postgres.admin_url.rsplit("/", 1)[0] + "/nowhere", "it does not exist, `handover provision` makes it"),
    ):  # fmt: skip
        monkeypatch.setenv("HANDOVER_MIGRATION_DATABASE_URL", url)
        answer = await asyncio.to_thread(CliRunner().invoke, app, ["migrate", "orders"])
        assert answer.exit_code == 1
        assert answer.stderr.splitlines() == [
            f"Waiting up to 0 s for the database at {at}: {why}.",
            f"Not done: the database at {at}: {why}. See what HANDOVER_MIGRATION_DATABASE_URL says.",
        ]


async def test_what_is_committed_is_on_disk(postgres: EmbeddedPostgres) -> None:
    connection = await asyncpg.connect(postgres.admin_url)
    assert await connection.fetchval("SHOW synchronous_commit") == "on"
    assert await connection.fetchval("SHOW fsync") == "on"
    assert await connection.fetchval("SHOW listen_addresses") == "127.0.0.1"
    await connection.close()


async def test_topics_are_made_once_the_cluster_has_a_controller(
    broker: EmbeddedBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deploy.topics.topics", lambda partitions: [Topic("late", partitions, DAY)])
    send, tries = AIOKafkaAdminClient._send_to_controller, 0

    async def without(self: Any, request: Any) -> Any:
        nonlocal tries
        tries += 1
        if tries < 3:
            self._client.cluster.controller = None
            self._client.force_metadata_update = AsyncMock()
        return await send(self, request)

    monkeypatch.setattr(AIOKafkaAdminClient, "_send_to_controller", without)
    with pytest.raises(NotControllerError, match="no controller: too few of its nodes are up"):
        await create_topics(broker.bootstrap, partitions=3, patience=0)
    assert await create_topics(broker.bootstrap, partitions=3) == ["late"]
    assert tries == 3


async def test_topics_are_made_once_and_carry_a_record(broker: EmbeddedBroker) -> None:
    made = await create_topics(broker.bootstrap, partitions=3)
    assert set(made) == {topic.name for topic in topics()}
    assert await create_topics(broker.bootstrap, partitions=3) == []
    admin = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap)
    await admin.start()
    described = {t["topic"]: len(t["partitions"]) for t in await admin.describe_topics(sorted(made))}
    await admin.close()
    assert described == {topic.name: topic.partitions for topic in topics(3)}

    producer = AIOKafkaProducer(bootstrap_servers=broker.bootstrap, acks="all")
    await producer.start()
    await producer.send_and_wait("orders", b"placed", key=b"order-1", headers=[("ce_id", b"1")])
    await producer.stop()
    consumer = AIOKafkaConsumer(
        "orders",
        bootstrap_servers=broker.bootstrap,
        group_id="probe",
        auto_offset_reset="earliest",
        fetch_max_wait_ms=20,
    )
    await consumer.start()
    record = await consumer.getone()
    await consumer.stop()
    assert (record.key, record.value, record.headers) == (b"order-1", b"placed", (("ce_id", b"1"),))


async def test_a_node_that_is_away_just_then_is_asked_again_for_topics(
    broker: EmbeddedBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers, real = [NodeNotReadyError(), InvalidReplicationFactorError()], AIOKafkaAdminClient.list_topics

    async def list_topics(self: AIOKafkaAdminClient) -> list[str]:
        if answers:
            raise answers.pop(0)
        return list(await real(self))

    monkeypatch.setattr(AIOKafkaAdminClient, "list_topics", list_topics)
    await create_topics(broker.bootstrap, partitions=3)
    assert await create_topics(broker.bootstrap, partitions=3) == []


async def test_what_kafka_refuses_for_good_is_not_asked_again(
    broker: EmbeddedBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    async def list_topics(self: AIOKafkaAdminClient) -> list[str]:
        asked.append(self)
        raise TopicAuthorizationFailedError

    monkeypatch.setattr(AIOKafkaAdminClient, "list_topics", list_topics)
    with pytest.raises(TopicAuthorizationFailedError):
        await create_topics(broker.bootstrap, partitions=3)
    assert len(asked) == 1


async def test_data_outlive_a_stop_and_a_kill_of_the_server() -> None:
    with temporary_folder() as folder:
        server = EmbeddedPostgres(folder, free_port())
        server.start()
        connection = await asyncpg.connect(server.admin_url)
        await connection.execute("CREATE TABLE kept (n int)")
        await connection.close()
        server.stop()
        for number in (1, 2):
            server.start()
            connection = await asyncpg.connect(server.admin_url)
            await connection.execute("INSERT INTO kept VALUES ($1)", number)
            assert await connection.fetchval("SELECT count(*) FROM kept") == number
            await connection.close()
            assert server.pid is not None
            process = psutil.Process(server.pid)
            process.kill()
            server.stop()
        server.start()
        server.stop()


@pytest.mark.parametrize("part", [EmbeddedPostgres, EmbeddedBroker])
def test_a_taken_port_is_said(part: type[EmbeddedPostgres | EmbeddedBroker], folder: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(EmbeddedError, match=r"Port \d+, wanted by .* is taken"):
            part(folder, other.getsockname()[1]).start()


def test_a_server_that_does_not_start_is_told_by_its_own_words_not_by_those_of_earlier_ones() -> None:
    with temporary_folder() as folder:
        server = EmbeddedPostgres(folder, free_port())
        server.data.mkdir()
        server.log.parent.mkdir()
        server.log.write_text("the words of an earlier one\n")
        with pytest.raises(EmbeddedError, match=r"PostgreSQL did not start; see .*\n.*postgres") as error:
            server.start()
        assert "earlier" not in str(error.value)


def test_a_port_given_to_another_process_is_not_given_to_us(monkeypatch: pytest.MonkeyPatch) -> None:
    asks = "from deploy.embedded.child import free_port; print(free_port(), flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", asks], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        theirs = int(other.stdout.readline())  # nobody listens there yet
        monkeypatch.setattr("deploy.embedded.child._PORTS", range(theirs, theirs + 1))
        with pytest.raises(EmbeddedError, match="No free port"):
            free_port()
        other.communicate(b"\n")
    assert free_port() == theirs


def test_an_interrupted_first_start_is_made_good() -> None:
    with temporary_folder() as folder:
        (folder / "postgres.new").mkdir()
        (folder / "postgres.new" / "PG_VERSION").write_text("half")
        server = EmbeddedPostgres(folder, free_port())
        server.start()
        server.stop()


@pytest.mark.skipif(
    sys.platform != "linux", reason="needs Linux: elsewhere the kernel does not tie children to parents"
)
def test_nothing_outlives_a_killed_parent() -> None:
    with temporary_folder() as folder:
        command = [sys.executable, "-m", "tests.embedded.parts", str(folder)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as parent:
            assert parent.stdout is not None
            assert parent.stdout.readline() == b"ready\n"
            children = psutil.Process(parent.pid).children(recursive=True)
            assert len(children) > 3, "the broker, PostgreSQL and its own children"
            parent.send_signal(signal.SIGKILL)
        _, alive = psutil.wait_procs(children, timeout=10)
        assert alive == []
        server = EmbeddedPostgres(folder, free_port())
        server.start()
        server.stop()
