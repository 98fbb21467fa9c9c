"""The four services as real processes on a place's servers."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.place import Place
from deploy.embedded.child import free_port
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


class _Stack(Stack):
    """One whose services may run as several processes: `warehouse-2` is one of `warehouse`."""

    def command(self, service: str) -> list[str]:
        """What runs a process of a service."""
        return super().command(service_of(service))

    def database_url(self, service: str, *, owner: bool = False) -> str:
        """All processes of a service have its database."""
        return super().database_url(service_of(service), owner=owner)


def service_of(process: str) -> str:
    """`warehouse-2` is one of `warehouse`."""
    return process.partition("-")[0]


@contextmanager
def system(place: Place, *more: str) -> Iterator[Stack]:
    """All four services, ready, on empty databases and topics, and further processes of them (`warehouse-2`). Main thread only,
    outside an event loop."""
    asyncio.run(_clear(place))
    stack = _Stack(partitions=PARTITIONS)
    stack.postgres = _Postgres(place.admin_url)
    stack.broker = _Kafka(place.kafka)
    stack.ports["postgres"] = place.postgres.port
    with stack:
        for process in more:
            stack.ports[process] = free_port()
            stack.run(process)
        stack.wait_ready(more)
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
