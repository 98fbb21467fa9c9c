"""The system under fault: two replicas of each service as processes, and a supervisor that starts again whatever died."""

import asyncio
import random
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import httpx

from deploy.embedded.child import free_port
from deploy.embedded.stack import PARTS, Stack
from deploy.play.edges import Target
from deploy.provision import SERVICES
from deploy.topics import create_topics
from tests.faults.parts import FaultyKafka, FaultyPostgres

REPLICAS = tuple(f"{service}-{n}" for service in SERVICES for n in (1, 2))
PARTITIONS = 6
COMPLETES_AFTER = 4
"""Seconds after which a delivered order completes by itself: half of them wait for it, so that timers fall due amid faults."""
STATEMENT_TIMEOUT = 5.0
"""Seconds after which a statement is given up: short, so that a slow disk can be shown in a short time."""


def service_of(replica: str) -> str:
    """`orders-2` is one of `orders`."""
    return replica.partition("-")[0]


class Cluster(Stack):
    """A stack of two replicas a service, on faulty parts."""

    def __init__(self, folder: Path) -> None:
        ports = {name: free_port() for name in (*PARTS, *REPLICAS)}
        settings = {
            "HANDOVER_STATEMENT_TIMEOUT_MS": str(int(STATEMENT_TIMEOUT * 1000)),
            "HANDOVER_LOG_LEVEL": "WARNING",
            "HANDOVER_COMPLETES_AFTER": f"PT{COMPLETES_AFTER}S",
        }
        super().__init__(folder, ports=ports, settings=settings)
        self.postgres: FaultyPostgres = FaultyPostgres(ports["postgres"])
        self.broker: FaultyKafka = FaultyKafka()
        self.supervisor = Supervisor(self)

    def start_messaging(self) -> None:
        """Kafka with topics on three nodes, then all replicas."""
        self.broker.start()
        asyncio.run(create_topics(self.broker.bootstrap, partitions=PARTITIONS, replication=3, patience=240))
        for replica in REPLICAS:
            self.run(replica)

    def wait_ready(self, services: Sequence[str] | None = None, patience: float = 120) -> None:
        """Wait until replicas (all) say that they are ready."""
        super().wait_ready(services or REPLICAS, patience)

    def run(self, service: str) -> None:
        """Start one replica's process."""
        self.faults_of(service).mkdir(parents=True, exist_ok=True)
        super().run(service)

    def environment(self, service: str) -> dict[str, str]:
        """That of its service, where it is told to break, and where it alone puts letters."""
        return super().environment(service) | {
            "FAULTS_FOLDER": str(self.faults_of(service)),
            "HANDOVER_MESSAGES_DIR": str(self.letters / service),
        }

    def command(self, service: str) -> list[str]:
        """What runs a replica: the service on a host that can be broken."""
        return [sys.executable, "-m", "tests.faults.host", f"services.{service_of(service)}.app"]

    def database_url(self, service: str, *, owner: bool = False) -> str:
        """Both replicas have the database of their service."""
        return super().database_url(service_of(service), owner=owner)

    @property
    def letters(self) -> Path:
        """Where the letters lie that notify has sent, by replica."""
        return self.folder / "messages"

    def faults_of(self, replica: str) -> Path:
        """Where the files lie by which a replica is told to break."""
        return self.folder / "faults" / replica

    def target(self) -> Target:
        """The system as outsiders reach it: any replica may answer them."""
        return Target(
            kafka=self.broker.bootstrap,
            urls=_Either(self),
            token=self.token,
            databases={service: self.database_url(service, owner=True) for service in SERVICES},
            idempotent=False,  # storefronts are what they are
        )

    async def until_ready(self, patience: float, replicas: Sequence[str] = REPLICAS) -> None:
        """Wait until replicas (all) say that they are ready. Raises TimeoutError with what they say."""
        deadline = time.monotonic() + patience
        waiting = dict.fromkeys(replicas, "")
        async with httpx.AsyncClient(timeout=5) as http:
            while True:
                answers = await asyncio.gather(*(self._says(http, replica) for replica in waiting))
                waiting = {r: why for r, why in zip(waiting, answers, strict=True) if why}
                if not waiting:
                    return
                if time.monotonic() > deadline:
                    raise TimeoutError(f"not ready after {patience:.0f} s: {waiting}")
                await asyncio.sleep(0.25)

    async def until_told(self, text: str, patience: float) -> None:
        """Wait until all replicas say so in their readiness. Raises TimeoutError."""
        async with httpx.AsyncClient(timeout=5) as http, asyncio.timeout(patience):
            while not all([text in await self._says(http, replica) for replica in REPLICAS]):
                await asyncio.sleep(0.5)

    def tell_tasks(self) -> None:
        """Let every replica write to its log what its tasks wait for."""
        for replica in REPLICAS:
            if self.processes[replica].poll() is None:
                self.processes[replica].send_signal(signal.SIGUSR1)

    async def _says(self, http: httpx.AsyncClient, replica: str) -> str:
        try:
            answer = await http.get(f"{self.url(replica)}/health/ready")
        except httpx.HTTPError as error:
            return f"no answer ({type(error).__name__})"
        return "" if answer.status_code == 200 else answer.text[:300]


class _Either(Mapping[str, str]):
    """The address of a service: of one replica or the other, as a load balancer would have it."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster

    def __getitem__(self, service: str) -> str:
        return self.cluster.url(f"{service}-{random.choice((1, 2))}")

    def __iter__(self) -> Iterator[str]:
        return iter(SERVICES)

    def __len__(self) -> int:
        return len(SERVICES)


class Supervisor:
    """Starts a replica again when it died, after a moment, as compose and Kubernetes do. It knows nothing else."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.unasked: list[str] = []
        """Replicas that ended without kill -9: a crash of our own."""
        self.deaths: list[tuple[str, datetime]] = []
        """Which replica was found dead, and when."""

    async def run(self) -> None:
        """Watch, for ever."""
        while True:
            for replica, process in list(self.cluster.processes.items()):
                status = process.poll()
                if status is not None:
                    self.deaths.append((replica, datetime.now(UTC)))
                    if status != -signal.SIGKILL:
                        self.unasked.append(f"{replica} ended with {status}")
                    await asyncio.sleep(0.3)
                    self.cluster.run(replica)
            await asyncio.sleep(0.1)
