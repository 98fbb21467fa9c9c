"""The scene: a running stack, what lies in its tables, and how to wait until everything was read."""

import asyncio
import re
from collections import Counter
from pathlib import Path
from typing import Any

import asyncpg
import httpx
from aiokafka import AIOKafkaConsumer, TopicPartition

from deploy.embedded.stack import Stack
from deploy.provision import SERVICES
from deploy.topics import topics
from shared.values import Actor, ActorKind, Role

OPS = Actor(kind=ActorKind.OPERATOR, name="ops", role=Role.ADMINISTRATOR)
BOOKS = {"inbox", "parked", "cursors", "stream_heads", "event_log", "event_personal", "outbox"}
"""The runtime's own tables: that a message was refused or parked is noted here."""

Rows = Counter[tuple[str, str, str]]
"""(service, table, row as text) of everything that is stored."""


async def stored(stack: Stack, *, books: bool = False) -> Rows:
    """Every row of every table, with or without the runtime's own."""
    found: Rows = Counter()
    for service in SERVICES:
        connection = await asyncpg.connect(stack.database_url(service, owner=True))
        names = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        for (name,) in names:
            if books or name not in BOOKS:
                rows = await connection.fetch(f"SELECT t::text AS row FROM {name} t")
                found.update((service, name, r["row"]) for r in rows)
        await connection.close()
    return found


async def query(stack: Stack, service: str, sql: str, *values: Any) -> list[Any]:
    """Rows of a service's database."""
    connection = await asyncpg.connect(stack.database_url(service, owner=True))
    try:
        return list(await connection.fetch(sql, *values))
    finally:
        await connection.close()


async def settled(stack: Stack, patience: float = 90) -> None:
    """Wait until every service has read every topic to its end and has said all that it had to say."""
    names = [t.name for t in topics(stack.partitions)]
    headers = {"authorization": f"Bearer {stack.token(OPS)}"}
    async with (
        AIOKafkaConsumer(bootstrap_servers=stack.broker.bootstrap) as consumer,
        httpx.AsyncClient(headers=headers, timeout=10) as http,
    ):
        give_up = asyncio.get_running_loop().time() + patience
        calm = 0
        while calm < 2:
            behind = []
            for service in SERVICES:
                progress = (await http.get(f"{stack.url(service)}/ops/progress")).json()
                mine = [n for n in names if n in progress["topics"]]
                for name in mine:
                    places = [TopicPartition(name, p) for p in range(stack.partitions)]
                    for place, end in (await consumer.end_offsets(places)).items():
                        read = progress["applied"].get(f"{place.topic}/{place.partition}", 0)
                        if read < end:
                            behind.append(
                                f"{service} is at {read} of {end} in {place.topic}/{place.partition}"
                            )
                if progress["outbox"]:
                    behind.append(f"{service} has {progress['outbox']} events to send")
            unsent = await query(
                stack, "notify", "SELECT count(*) AS n FROM messages WHERE state = 'planned' AND tries = 0"
            )
            if unsent[0]["n"]:
                behind.append(f"notify has {unsent[0]['n']} messages to send")
            calm = 0 if behind else calm + 1
            if asyncio.get_running_loop().time() > give_up:
                raise TimeoutError("; ".join(behind))
            await asyncio.sleep(0.1)


def logs(stack: Stack) -> dict[str, str]:
    """Every log of the stack as text: the services', the database's, the broker's."""
    return {p.name: p.read_text(errors="replace") for p in Path(stack.folder / "logs").iterdir()}


def personal(text: str) -> list[str]:
    """Lines that hold something of a buyer, raw or as an escape; not so few digits that a timestamp may have them too."""
    found = re.compile("王芳|13800(?:000|138)|wang@|文三路|\\\\u738b|\\\\xe7\\\\x8e\\\\x8b")
    return [line[:300] for line in text.splitlines() if found.search(line)]


def unwell(stack: Stack) -> dict[str, str]:
    """Services that died or are not ready, with the reason."""
    found = {service: stack.not_ready(service) for service in SERVICES}
    return {s: why for s, why in found.items() if why} | dict.fromkeys(stack.died(), "died")


def readers(stack: Stack) -> dict[str, list[str]]:
    """The services that read each topic."""
    headers = {"authorization": f"Bearer {stack.token(OPS)}"}
    found: dict[str, list[str]] = {}
    for service in SERVICES:
        for topic in httpx.get(f"{stack.url(service)}/ops/progress", headers=headers).json()["topics"]:
            found.setdefault(topic, []).append(service)
    return found
