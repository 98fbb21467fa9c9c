"""Apache Kafka and PostgreSQL in containers, in the places of a stack's embedded parts."""

import secrets

from testcontainers.core.container import DockerContainer

from deploy.embedded.stack import Stack

KAFKA_IMAGE = "apache/kafka:4.1.1"
POSTGRES_IMAGE = "postgres:17"


class ContainerPart:
    """A container that starts and stops like an embedded part, on a port of this machine's loopback."""

    log = "docker logs"
    pid = None

    def __init__(self, image: str, port: int, inside: int) -> None:
        self.port = port
        self._container = DockerContainer(image)
        self._container.ports[f"{inside}/tcp"] = ("127.0.0.1", port)  # type: ignore[assignment]
        self.running = False

    def start(self) -> None:
        """Start it without waiting until it answers: whoever comes first waits."""
        self._container.start()
        self.running = True

    def run(self, *command: str) -> str:
        """Run a command inside, as `docker exec` does; returns what it said. Raises AssertionError with that when it fails."""
        status, said = self._container.exec(list(command))
        assert status == 0, f"{command[0]}: {said.decode()}"
        return str(said.decode())

    def stop(self) -> None:
        """Stop and remove it, with its data."""
        if self.running:
            self._container.stop()
            self.running = False


class ContainerPostgres(ContainerPart):
    """A real PostgreSQL server of the version that ops run."""

    def __init__(self, port: int) -> None:
        super().__init__(POSTGRES_IMAGE, port, 5432)
        self._password = secrets.token_hex(8)
        self._container.with_env("POSTGRES_PASSWORD", self._password)

    @property
    def admin_url(self) -> str:
        """URL of the superuser, for provisioning."""
        return f"postgresql://postgres:{self._password}@127.0.0.1:{self.port}/postgres"


class ContainerKafka(ContainerPart):
    """A real Kafka node, in KRaft mode."""

    idempotent = True
    session_ms = 10_000
    fetch_wait_ms = 200

    def __init__(self, port: int) -> None:
        # inside and outside are the same port, so that the address it tells clients holds for both
        super().__init__(KAFKA_IMAGE, port, port)
        self._container.with_envs(
            KAFKA_NODE_ID="1",
            KAFKA_PROCESS_ROLES="broker,controller",
            KAFKA_CONTROLLER_QUORUM_VOTERS="1@localhost:9093",
            KAFKA_CONTROLLER_LISTENER_NAMES="CONTROLLER",
            KAFKA_LISTENERS=f"PLAINTEXT://:{port},CONTROLLER://localhost:9093",
            KAFKA_ADVERTISED_LISTENERS=f"PLAINTEXT://127.0.0.1:{port}",
            KAFKA_LISTENER_SECURITY_PROTOCOL_MAP="PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            KAFKA_AUTO_CREATE_TOPICS_ENABLE="false",
            KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS="0",
            KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR="1",
            KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR="1",
            KAFKA_TRANSACTION_STATE_LOG_MIN_ISR="1",
        )

    @property
    def bootstrap(self) -> str:
        """What clients connect to."""
        return f"127.0.0.1:{self.port}"


def on_containers(stack: Stack) -> Stack:
    """The same stack with PostgreSQL and Kafka in containers; call it before the stack starts."""
    stack.postgres = ContainerPostgres(stack.ports["postgres"])
    stack.broker = ContainerKafka(stack.ports["kafka"])
    return stack
