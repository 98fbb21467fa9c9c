"""What the tests of the runtime wait for, and what they take away meanwhile."""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from inspect import isawaitable
from typing import Any

import psutil

from deploy.embedded.postgres import EmbeddedPostgres
from shared.runtime.postgres import Pool
from shared.runtime.running import Runtime
from tests.runtime.probe import Note, note

PATIENCE = 60
"""Seconds; a client of Kafka that lost its only broker is replaced after half a minute."""


async def until(what: Callable[[], Any]) -> None:
    """Look again and again until it is so."""
    give_up = asyncio.get_running_loop().time() + PATIENCE
    while True:
        found = what()
        if isawaitable(found):
            found = await found
        if found:
            return
        assert asyncio.get_running_loop().time() < give_up, f"waited {PATIENCE} s in vain"
        await asyncio.sleep(0.02)


def ready(runtime: Runtime) -> Callable[[], Awaitable[bool]]:
    """It says that it can work."""

    async def look() -> bool:
        return not any((await runtime.readiness()).values())

    return look


def says(runtime: Runtime, part: str, text: str) -> Callable[[], Awaitable[bool]]:
    """Its readiness tells this of a part."""

    async def look() -> bool:
        return text in ((await runtime.readiness())[part] or "")

    return look


async def waits_for_a_lock(pool: Pool) -> bool:
    """Somebody waits for a lock."""
    return bool(await pool.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"))


def noted(runtime: Runtime, note_id: str, *amounts: int) -> Callable[[], Awaitable[bool]]:
    """These amounts, and no others, are on a note, in this order."""

    async def look() -> bool:
        return await note(runtime, note_id) == Note(note_id, sum(amounts), amounts)

    return look


@contextmanager
def away(server: EmbeddedPostgres) -> Iterator[None]:
    """The database server is stopped; the other tests get it back."""
    server.stop()
    try:
        yield
    finally:
        server.start()


@contextmanager
def frozen(pid: int | None) -> Iterator[None]:
    """A process that takes connections and answers nothing, as behind a network that drops packets."""
    assert pid
    process = psutil.Process(pid)
    process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        process.send_signal(signal.SIGCONT)
