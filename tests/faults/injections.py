"""The faults: each breaks something, holds it broken for a while, and returns when its end has come."""

import asyncio
import random
import signal
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import asyncpg

from deploy.provision import SERVICES, database_of
from shared.runtime.outbox import republish
from shared.runtime.postgres import make_pool
from tests.faults import kafka
from tests.faults.cluster import REPLICAS, STATEMENT_TIMEOUT, Cluster, service_of
from tests.faults.parts import NODES
from tests.faults.witness import Witness

DOWN = (1.0, 3.0)
"""Seconds, from and to, that a killed server stays down."""


class NotMet(Exception):
    """The fault could not be injected: nobody came to the point, or there is no such node now."""


@dataclass
class Scene:
    """What faults are injected into."""

    cluster: Cluster
    witness: Witness
    draw: random.Random
    arming: defaultdict[str, asyncio.Lock] = field(default_factory=lambda: defaultdict(asyncio.Lock))
    """One fault at a time waits at a point of a service."""

    def replica(self, *services: str) -> str:
        """One replica, by chance."""
        return self.draw.choice([r for r in REPLICAS if not services or service_of(r) in services])

    async def down(self) -> None:
        """Stay down for a while."""
        await asyncio.sleep(self.draw.uniform(*DOWN))


Injection = Callable[[Scene], Awaitable[None]]


# --- services ---------------------------------------------------------------------------------------------------


async def kill_replica(scene: Scene) -> None:
    """kill -9, at any moment."""
    process = scene.cluster.processes[scene.replica()]
    process.kill()
    await asyncio.sleep(0.05)


def kill_at(point: str, *services: str) -> Injection:
    """kill -9 when a replica comes to a point of its work; whichever of the two comes first."""

    async def kill(scene: Scene) -> None:
        service = service_of(scene.replica(*services))
        async with scene.arming[f"{service} {point}"]:
            await _kill_at(scene, service, point)

    return kill


async def _kill_at(scene: Scene, service: str, point: str) -> None:
    files = [scene.cluster.faults_of(r) / point for r in REPLICAS if service_of(r) == service]
    for file in files:
        file.touch()
    try:
        deadline = time.monotonic() + 20
        while all(file.exists() for file in files):  # whoever dies takes its file away
            if time.monotonic() > deadline:
                raise NotMet(f"{service} did not come to {point}")
            await asyncio.sleep(0.02)
    finally:
        for file in files:
            file.unlink(missing_ok=True)


async def freeze_replica(scene: Scene) -> None:
    """SIGSTOP for longer than its session: the others take its work over, then it wakes up and knows nothing of that."""
    process = scene.cluster.processes[scene.replica()]
    if process.poll() is not None:
        raise NotMet("it is dead already")
    process.send_signal(signal.SIGSTOP)
    await asyncio.sleep(scene.cluster.broker.session_ms / 1000 + scene.draw.uniform(2, 5))
    process.send_signal(signal.SIGCONT)


async def jump_clock(scene: Scene) -> None:
    """The clock of one host is an hour fast or slow for some seconds; half of the time its replica starts anew meanwhile."""
    replica = scene.replica()
    file = scene.cluster.faults_of(replica) / "clock"
    file.write_text(scene.draw.choice(["3600", "-3600"]))
    if scene.draw.random() < 0.5:
        scene.cluster.processes[replica].kill()
    await asyncio.sleep(scene.draw.uniform(4, 7))
    file.unlink()


# --- Kafka ------------------------------------------------------------------------------------------------------


async def _kill_node(scene: Scene, node: int) -> None:
    container = scene.cluster.broker.nodes[node]
    await container.kill()
    await scene.down()
    await container.revive()


async def kill_node(scene: Scene) -> None:
    """kill -9 of one Kafka node, by chance."""
    await kafka.whole(scene.cluster.broker)
    await _kill_node(scene, scene.draw.choice(NODES))


async def kill_coordinator(scene: Scene) -> None:
    """kill -9 of the node that coordinates a service's group."""
    await kafka.whole(scene.cluster.broker)
    group = f"handover-{scene.draw.choice(SERVICES)}"
    await _kill_node(scene, await kafka.coordinator(scene.cluster.broker, group))


async def kill_controller(scene: Scene) -> None:
    """kill -9 of the active controller."""
    await kafka.whole(scene.cluster.broker)
    await _kill_node(scene, await kafka.controller(scene.cluster.broker))


async def kill_all_nodes(scene: Scene) -> None:
    """kill -9 of all three nodes at once."""
    nodes = scene.cluster.broker.nodes.values()
    await kafka.whole(scene.cluster.broker)
    await asyncio.gather(*(node.kill() for node in nodes))
    await scene.down()
    await asyncio.gather(*(node.revive() for node in nodes))


async def remake_topics(scene: Scene) -> None:
    """All topics deleted, made again with another number of partitions, filled again from the logs; the load goes on.

    As docs/operations.md says: all services have seen that the old ones are gone before the outboxes are filled, and these are
    filled before there are new ones, so that every stream begins with its first event again.
    """
    broker = scene.cluster.broker
    await kafka.whole(broker)
    before = await kafka.delete_all(broker)
    await scene.cluster.until_told("no topic", 120)
    for service in SERVICES:
        await _fill_outbox(scene.cluster.database_url(service))
    await kafka.make_all(broker, scene.draw.choice([n for n in (3, 4, 6, 8, 9) if n != before]))
    await scene.witness.made_anew()


async def _fill_outbox(url: str) -> None:
    """As ops would: again when another fault cuts the connection."""
    while True:
        try:
            async with make_pool(url) as pool:
                await republish(pool)
                return
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            await asyncio.sleep(1)


# --- PostgreSQL -------------------------------------------------------------------------------------------------


async def kill_postgres(scene: Scene) -> None:
    """kill -9 of the whole server; it recovers from its write-ahead log."""
    await scene.cluster.postgres.kill()
    await scene.down()
    await scene.cluster.postgres.revive()


async def pause_postgres(scene: Scene) -> None:
    """The server answers nothing for longer than a statement may take, as when its disk hangs."""
    await scene.cluster.postgres.pause()
    await asyncio.sleep(STATEMENT_TIMEOUT + scene.draw.uniform(1, 3))
    await scene.cluster.postgres.unpause()


async def cut_connections(scene: Scene) -> None:
    """All connections of one service, or of all, are cut by the server."""
    names = [
        database_of(s) for s in (SERVICES if scene.draw.random() < 0.5 else [scene.draw.choice(SERVICES)])
    ]
    try:
        admin = await asyncpg.connect(scene.cluster.postgres.admin_url, timeout=10)
    except (OSError, asyncpg.PostgresError):
        raise NotMet("another fault took the server away") from None
    try:
        await admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = ANY($1)", names
        )
    finally:
        await admin.close()


async def slow_disk(scene: Scene) -> None:
    """Nothing can be written to one service's log for longer than a statement may take: statements time out."""
    service = scene.draw.choice(SERVICES)
    url = scene.cluster.database_url(service, owner=True)
    connection = await asyncpg.connect(url, timeout=10)
    try:
        async with connection.transaction():
            await connection.execute("LOCK TABLE event_log IN EXCLUSIVE MODE")
            await asyncio.sleep(STATEMENT_TIMEOUT + scene.draw.uniform(1, 3))
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
        raise NotMet("another fault took the server away") from None
    finally:
        connection.terminate()


QUICK: dict[str, Injection] = {
    "replica killed": kill_replica,
    "replica killed before its commit": kill_at("before_commit"),
    "replica killed between commit and offsets": kill_at("before_offsets"),
    "replica killed before sending": kill_at("before_sending", "orders", "warehouse", "notify"),
    "replica killed between sending and deleting from the outbox": kill_at(
        "before_deleting", "orders", "warehouse", "notify"
    ),
    "replica killed while answering": kill_at("before_answering", "orders", "warehouse"),
    "database connections cut": cut_connections,
}
"""Over in a moment."""

SLOW: dict[str, Injection] = {
    "Kafka node killed": kill_node,
    "Kafka group coordinator killed": kill_coordinator,
    "Kafka controller killed": kill_controller,
    "all Kafka nodes killed at once": kill_all_nodes,
    "PostgreSQL killed": kill_postgres,
    "PostgreSQL hangs": pause_postgres,
    "statements time out": slow_disk,
    "replica frozen longer than its session": freeze_replica,
    "clock of a host wrong by an hour": jump_clock,
    "topics made anew with other partitions": remake_topics,
}
"""These last some seconds."""
