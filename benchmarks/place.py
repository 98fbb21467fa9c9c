"""Where it is measured: one real Kafka node and one PostgreSQL server with synchronous commit on.

Kafka comes from a container, or is one that runs already (`--kafka host:port`) and is there for benchmarks alone: all topics of
Handover on it are emptied. PostgreSQL is the server from the wheel.
"""

import asyncio
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import typer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from benchmarks import broker, machine
from deploy.embedded.child import free_port, temporary_folder
from deploy.embedded.postgres import EmbeddedPostgres
from deploy.topics import PARTITIONS


@dataclass(frozen=True)
class Place:
    """The two servers, and a folder for logs."""

    folder: Path
    kafka: str
    kafka_pid: int | None
    kafka_version: str
    postgres: EmbeddedPostgres

    @property
    def admin_url(self) -> str:
        """Superuser of PostgreSQL."""
        return self.postgres.admin_url

    def url(self, database: str) -> str:
        """The superuser's URL of one database."""
        return f"{self.admin_url.rsplit('/', 1)[0]}/{database}"

    def cpu(self) -> dict[str, float]:
        """CPU seconds of both servers so far."""
        spent = {"postgres": machine.cpu_seconds(self.postgres.pid or 0)}
        if self.kafka_pid:
            spent["kafka"] = machine.cpu_seconds(self.kafka_pid)
        return spent

    async def fresh_database(self, name: str, *statements: str) -> str:
        """An empty database with these statements run in it; returns its URL."""
        await self.execute("postgres", f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        await self.execute("postgres", f"CREATE DATABASE {name}")
        await self.execute(name, *statements)
        return self.url(name)

    async def execute(self, database: str, *statements: str) -> None:
        """Run statements as superuser."""
        connection = await asyncpg.connect(self.url(database))
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()

    async def postgres_version(self) -> str:
        """Version, and the settings that durability and the size of the WAL hang on."""
        connection = await asyncpg.connect(self.admin_url)
        try:
            return str(
                await connection.fetchval(
                    "SELECT current_setting('server_version') || ', synchronous_commit ' "
                    "|| current_setting('synchronous_commit') || ', wal_compression ' || current_setting('wal_compression')"
                )
            )
        finally:
            await connection.close()

    async def topics(self, *names: str, partitions: int = PARTITIONS) -> None:
        """Make topics, empty: those that exist are deleted first."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self.kafka)
        await admin.start()
        try:
            if old := sorted(set(names) & set(await admin.list_topics())):
                await admin.delete_topics(old)
            missing = set(names)
            for _ in range(200):  # deletion goes on behind the answer
                answer = await admin.create_topics([NewTopic(n, partitions, 1) for n in sorted(missing)])
                missing -= {name for name, code, *_ in answer.topic_errors if code == 0}
                if not missing:
                    return
                await asyncio.sleep(0.1)
            raise TimeoutError(f"topics {sorted(missing)} could not be made")
        finally:
            await admin.close()


_SETTINGS = {
    # the time of every commit is kept, so that the latency of a hop can be read from both ends of it
    "track_commit_timestamp": "on",
    # as docker-compose.yml has them, but for its lz4, which the server from the wheel is built without
    "shared_buffers": "256MB",
    "checkpoint_timeout": "15min",
    "max_wal_size": "4GB",
    "wal_compression": "pglz",
}


_BULK = {
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "maintenance_work_mem": "1GB",
    # filesystems do not compress what is written where they had set room aside
    "file_extend_method": "write_zeros",
}


@contextmanager
def in_bulk(place: Place) -> Iterator[None]:
    """PostgreSQL started anew, so that it does not log what is put into tables that the same transaction emptied. As it
    stops at the end, all of it is written to disk: who measures next does not pay for that."""
    postgres, usual = place.postgres, place.postgres.settings
    postgres.stop()
    postgres.settings = usual | _BULK
    postgres.start()
    yield
    postgres.stop()
    postgres.settings = usual
    postgres.start()


@contextmanager
def place(kafka: str | None, names: Collection[str]) -> Iterator[Place]:
    """Start what is missing; stop it at the end. Main thread only. Topics of these `names` will be emptied: raises BadParameter
    before anything starts where they are not ours to empty, and where there is no Kafka."""
    with temporary_folder() as folder:
        postgres = EmbeddedPostgres(folder, free_port(), _SETTINGS)
        container = None
        try:
            if kafka is None:
                container = _container()
                kafka, pid, name = container.bootstrap, container.host_pid, "container apache/kafka:4.1.1"
                asyncio.run(broker.answers(kafka, patience=60))
            else:
                asyncio.run(broker.answers(kafka, patience=10))
                asyncio.run(broker.claim(kafka, names))
                pid = broker.process(kafka)
                name = f"{broker.version(pid) or 'of a version that is not known'}, a running broker"
            postgres.start()
            if pid is None:
                name += ", whose CPU is not known and in no figure"
            yield Place(folder, kafka, pid, name, postgres)
        finally:
            if container is not None:
                container.stop()
            postgres.stop()


def _container() -> Any:
    from docker.errors import DockerException  # type: ignore[import-untyped]

    from tests.containers.parts import ContainerKafka

    class Node(ContainerKafka):
        """The container of the tests, whose process we can ask for its CPU time."""

        @property
        def host_pid(self) -> int | None:
            """The process as this machine sees it; a machine that runs containers in a virtual one cannot say."""
            wrapped = self._container.get_wrapped_container()
            wrapped.reload()
            pid = wrapped.attrs["State"]["Pid"]
            return pid if machine.cpu_seconds(pid) > 0 else None

    try:
        node = Node(free_port())
        node.start()
    except DockerException as error:
        raise typer.BadParameter(
            f"without it Kafka runs in a container, and Docker does not start one ({error}). Mend that, or name a broker that "
            "runs already and is there for benchmarks: --kafka host:port",
            param_hint="--kafka",
        ) from error
    return node
