"""A day of the demo that ends, or is stopped, takes along whoever is still busy with it."""

import asyncio
import gc
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiokafka import AIOKafkaProducer

from deploy.play.day import AT_ONCE, Day
from deploy.play.edges import Edges, Heard
from deploy.play.script import write


class Slow:
    """Edges that take their time, and count who waits."""

    def __init__(self) -> None:
        self.waiting = 0

    async def put(self, *args: Any, **kwargs: Any) -> None:
        self.waiting += 1
        try:
            await asyncio.sleep(60)
        finally:
            self.waiting -= 1


async def test_nobody_goes_on_when_the_day_is_over():
    edges = Slow()
    scripts = write("day", AT_ONCE + 2, 1, datetime.now(UTC))
    async with Day(scripts, cast(Edges, edges)) as day:
        for script in scripts:  # two more than can be busy: they wait for their turn
            day.hear(shipped(script.order_id))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert edges.waiting == AT_ONCE
        day.hear(shipped(scripts[0].order_id))  # not even begun
    assert edges.waiting == 0
    assert asyncio.all_tasks() == {asyncio.current_task()}
    gc.collect()  # warns of what was never awaited


def shipped(order_id: str) -> Heard:
    data = {"courier": "sf", "tracking_number": "SF1"}
    return Heard("warehouse.shipment_shipped.v1", f"order/{order_id}", 1, data)


async def test_edges_that_are_stopped_while_they_open_are_closed(monkeypatch: pytest.MonkeyPatch):
    async def start(self: AIOKafkaProducer) -> None:
        raise asyncio.CancelledError

    monkeypatch.setattr(AIOKafkaProducer, "start", start)
    edges = Edges(cast(Any, SimpleNamespace(kafka="127.0.0.1:1", idempotent=False)))
    with pytest.raises(asyncio.CancelledError):
        await edges.__aenter__()
    assert edges.producer._closed
    assert edges.http.is_closed
