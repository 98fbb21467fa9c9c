"""The faults: each breaks something, holds it broken for a while, and returns when its end has come."""

import asyncio

import asyncpg

from deploy.provision import SERVICES, database_of
from shared.runtime.outbox import republish
from shared.runtime.postgres import make_pool
from tests.faults import kafka
from tests.faults.cluster import STATEMENT_TIMEOUT
from tests.faults.parts import NODES
from tests.faults.replicas import (
    freeze_relay,
    freeze_replica,
    freeze_turn,
    jump_clock,
    kill_at,
    kill_replica,
)
from tests.faults.scene import Injection, NotMet, Scene

DOWN = (1.0, 3.0)
"""Seconds, from and to, that a killed server stays down."""


async def _down(scene: Scene) -> None:
    """Stay down for a while."""
    await asyncio.sleep(scene.draw.uniform(*DOWN))


# --- Kafka ------------------------------------------------------------------------------------------------------


async def _kill_node(scene: Scene, node: int) -> None:
    container = scene.cluster.broker.nodes[node]
    await container.kill()
    await _down(scene)
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
    await _down(scene)
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
    await _down(scene)
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
    "replica killed before sending": kill_at("before_sending", asking=True),
    "replica killed between sending and deleting from the outbox": kill_at("before_deleting", asking=True),
    "replica killed while answering": kill_at("before_answering", asking=True),
    "replica killed between handing a letter over and booking it": kill_at("before_booking", "notify"),
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
    "replica frozen in a turn that another does": freeze_turn,
    "relay frozen while another sends": freeze_relay,
    "clock of a host wrong by an hour": jump_clock,
    "topics made anew with other partitions": remake_topics,
}
"""These last some seconds."""
