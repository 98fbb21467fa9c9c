"""The four services as real processes on a place's servers."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.place import Place
from deploy.embedded.stack import Stack
from deploy.play.edges import Target
from deploy.provision import SERVICES
from deploy.topics import PARTITIONS, topics


class _Running:
    """A server that runs already: starting and stopping it is not the stack's business."""

    log = "elsewhere"
    pid = None
    running = True

    def start(self) -> None: ...

    def stop(self) -> None: ...


class _Kafka(_Running):
    idempotent = True
    session_ms = 10_000
    fetch_wait_ms = 200

    def __init__(self, bootstrap: str) -> None:
        self.bootstrap = bootstrap


class _Postgres(_Running):
    def __init__(self, admin_url: str) -> None:
        self.admin_url = admin_url


@contextmanager
def system(place: Place) -> Iterator[Stack]:
    """All four services, ready, on empty databases and topics. Main thread only, outside an event loop."""
    asyncio.run(_clear(place))
    stack = Stack(partitions=PARTITIONS)
    stack.postgres = _Postgres(place.admin_url)
    stack.broker = _Kafka(place.kafka)
    stack.ports["postgres"] = place.postgres.port
    with stack:
        yield stack


async def _clear(place: Place) -> None:
    await place.topics(*(t.name for t in topics()))
    for service in SERVICES:
        await place.execute("postgres", f"DROP DATABASE IF EXISTS handover_{service} WITH (FORCE)")


def target(stack: Stack) -> Target:
    """Where an outsider finds it."""
    return Target(
        kafka=stack.broker.bootstrap,
        urls={service: stack.url(service) for service in SERVICES},
        token=stack.token,
        databases={service: stack.database_url(service, owner=True) for service in SERVICES},
    )
