"""The scene: a running stack, what lies in its tables, and how to wait until everything was read."""

import asyncio
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import asyncpg
import httpx
from aiokafka import AIOKafkaConsumer, TopicPartition

from deploy.embedded.stack import Stack
from deploy.provision import SERVICES
from deploy.topics import topics
from shared.values import Actor, ActorKind, Role
from tests.poison.bodies import CANARY

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
    return _lines(r"王芳|13800(?:000|138)|wang@|文三路|\\u738b|\\xe7\\x8e\\x8b", text)


def leaked(stack: Stack, tokens: Iterable[str]) -> dict[str, list[str]]:
    """By log, lines that hold something of a buyer, of a body that was sent, or of a token: one of these, or of any kind."""
    canary = _BETWEEN.join(CANARY)
    parts = {part[:60] for token in tokens for part in re.split(r"[\s.,]+", token) if len(part) >= 20}
    secrets = "|".join(["eyJ[A-Za-z0-9_-]{8}", *map(re.escape, sorted(parts))])
    found = {name: personal(text) + _lines(f"{canary}|{secrets}", text) for name, text in logs(stack).items()}
    return {name: lines[:5] for name, lines in found.items() if lines}


_BETWEEN = r"(?:\0|\\0|\\x00|\\u0000)*"
"""What stands between letters where UTF-16 or UTF-32 was taken for bytes."""


def _lines(pattern: str, text: str) -> list[str]:
    found = re.compile(pattern)
    return [line[:300] for line in text.splitlines() if found.search(line)]


def tried_again(stack: Stack) -> list[str]:
    """What services say of messages that came through the fourth door, of turns that failed, and of what was waited for."""
    again = re.compile('door="retry"|turn failed|reading failed|request failed|waits for the database')
    told = [
        line
        for service in SERVICES
        for text in (httpx.get(f"{stack.url(service)}/metrics").text, stack.log_of(service).read_text())
        for line in text.splitlines()
    ]
    return [line for line in told if again.search(line)]


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
