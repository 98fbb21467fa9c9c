"""What services said, as their logs have it, for whoever checks it when all is quiet."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import orjson

from deploy.simulate.ledger import Bug
from deploy.simulate.world import World

Found = Iterator[tuple[str, str]]
"""What breaks a rule: an order, message or SKU, and what is wrong."""

LAG = timedelta(days=2)
"""So long a service may be behind the others, and a box open."""


def said(world: World, service: str) -> list[tuple[Any, str, dict[str, Any]]]:
    """All that a service said, in order: the entry of its log, the event without service and version, its data."""
    if service not in world.read:
        log = world.node(service).store.event_log
        world.read[service] = [(entry, entry.type.split(".")[1], orjson.loads(entry.data)) for entry in log]
    return world.read[service]


def stopped(world: World, service: str) -> set[str]:
    """Streams of messages that met a bug or could not be read, and types that met a bug: until that was mended, which may take
    weeks, nothing came of them."""
    parked = [data for _, what, data in said(world, service) if what == "event_parked"]
    types = {one["parked_type"] for one in parked if one["reason"].startswith(Bug.__name__)}
    return types | {one["parked_stream"] for one in parked}
