"""Three nodes of Apache Kafka and a PostgreSQL server in containers, driven by the docker command line: kill, start, pause."""

import asyncio
import secrets
import subprocess
import time

from deploy.embedded.child import EmbeddedError, free_port
from tests.containers.parts import KAFKA_IMAGE, POSTGRES_IMAGE

NODES = (1, 2, 3)


def docker(*arguments: str, check: bool = True) -> str:
    """What a docker command prints. Raises EmbeddedError with what it complained about."""
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False, timeout=120)
    if check and done.returncode:
        raise EmbeddedError(f"docker {' '.join(arguments[:3])}: {done.stderr.strip()[-300:]}")
    return done.stdout.strip()


async def docker_async(*arguments: str) -> str:
    """The same, while other things go on."""
    return await asyncio.to_thread(docker, *arguments)


class Container:
    """One container that keeps its data when it is killed, until it is removed."""

    def __init__(self, name: str, *options: str, image: str, command: tuple[str, ...] = ()) -> None:
        self.name = f"handover-faults-{secrets.token_hex(3)}-{name}"
        self.options = options
        self.image = image
        self.command = command
        self.running = False

    def start(self) -> None:
        """Make it and start it, without waiting until it answers."""
        if not self.running:
            docker("run", "--detach", "--name", self.name, *self.options, self.image, *self.command)
            self.running = True

    def stop(self) -> None:
        """Remove it with its data."""
        if self.running:
            docker("rm", "--force", "--volumes", self.name, check=False)
            self.running = False

    async def kill(self) -> None:
        """kill -9 all that runs in it."""
        await docker_async("kill", self.name)

    async def revive(self) -> None:
        """Start it again on the data that it had."""
        await docker_async("start", self.name)

    async def pause(self) -> None:
        """Freeze all that runs in it."""
        await docker_async("pause", self.name)

    async def unpause(self) -> None:
        """Let it run on."""
        await docker_async("unpause", self.name)


class FaultyPostgres(Container):
    """A PostgreSQL server that syncs to disk as it would for ops."""

    log = "docker logs"
    pid = None

    def __init__(self, port: int) -> None:
        self._password = secrets.token_hex(8)
        super().__init__(
            "postgres", "--publish", f"127.0.0.1:{port}:5432", "--env", f"POSTGRES_PASSWORD={self._password}",
            image=POSTGRES_IMAGE, command=("postgres", "-c", "max_connections=200"),
        )  # fmt: skip
        self.port = port

    @property
    def admin_url(self) -> str:
        """URL of the superuser."""
        return f"postgresql://postgres:{self._password}@127.0.0.1:{self.port}/postgres"


class FaultyKafka:
    """Three nodes, each broker and controller, on the host's network: an address means the same inside and outside."""

    log = "docker logs"
    pid = None
    idempotent = True
    session_ms = 6_000
    """The least that brokers allow by default: a dead replica's partitions move soon."""
    fetch_wait_ms = 200

    def __init__(self) -> None:
        self.ports = {node: free_port() for node in NODES}
        controllers = {node: free_port() for node in NODES}
        voters = ",".join(f"{node}@127.0.0.1:{port}" for node, port in controllers.items())
        self.nodes = {node: self._node(node, controllers[node], voters) for node in NODES}

    def _node(self, node: int, controller: int, voters: str) -> Container:
        settings = {
            "NODE_ID": node,
            "PROCESS_ROLES": "broker,controller",
            "CONTROLLER_QUORUM_VOTERS": voters,
            "CONTROLLER_LISTENER_NAMES": "CONTROLLER",
            "LISTENERS": f"PLAINTEXT://127.0.0.1:{self.ports[node]},CONTROLLER://127.0.0.1:{controller}",
            "ADVERTISED_LISTENERS": f"PLAINTEXT://127.0.0.1:{self.ports[node]}",
            "LISTENER_SECURITY_PROTOCOL_MAP": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "AUTO_CREATE_TOPICS_ENABLE": "false",
            "GROUP_INITIAL_REBALANCE_DELAY_MS": 0,
            "MIN_INSYNC_REPLICAS": 2,
            "DEFAULT_REPLICATION_FACTOR": 3,
            "OFFSETS_TOPIC_REPLICATION_FACTOR": 3,
            "OFFSETS_TOPIC_NUM_PARTITIONS": 6,
            "TRANSACTION_STATE_LOG_REPLICATION_FACTOR": 3,
            "TRANSACTION_STATE_LOG_MIN_ISR": 2,
            "BROKER_SESSION_TIMEOUT_MS": 6000,
            "HEAP_OPTS": "-Xmx400M -Xms400M -XX:+UseSerialGC -XX:TieredStopAtLevel=1",
        }
        env = [part for name, value in settings.items() for part in ("--env", f"KAFKA_{name}={value}")]
        return Container(f"kafka-{node}", "--network", "host", *env, image=KAFKA_IMAGE)

    @property
    def bootstrap(self) -> str:
        """What clients connect to."""
        return ",".join(f"127.0.0.1:{port}" for port in self.ports.values())

    @property
    def running(self) -> bool:
        """Whether it was started."""
        return any(node.running for node in self.nodes.values())

    def start(self) -> None:
        """Start all nodes; whoever connects waits."""
        for node in self.nodes.values():
            node.start()
        time.sleep(1)

    def stop(self) -> None:
        """Remove all nodes with their data."""
        for node in self.nodes.values():
            node.stop()
