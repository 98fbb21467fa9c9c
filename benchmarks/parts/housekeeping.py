"""Things that grow or pile up, each beside the same work without it: stated, and no cliff.

A hundred thousand parked streams and timers; an outbox in which all of a log waits; what was sent while a backup holds its
snapshot; one SKU that every order wants, whose level two warehouse processes want at once; one order with a thousand lines.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import asyncpg

from benchmarks.contestants import SEED as SEED_OF_EVENTS
from benchmarks.contestants import Contestant, Race, contestants, race
from benchmarks.outsiders import bought, renamed
from benchmarks.place import Place
from benchmarks.rounds import figure, ratio
from benchmarks.shop import SEED as SEED_OF_ORDERS
from benchmarks.shop import Played, Shop
from benchmarks.system import system
from deploy.play.day import PICKERS
from deploy.play.script import Script
from shared.events.inbox import StockScanned
from shared.runtime.outbox import republish
from shared.runtime.postgres import make_pool
from shared.values import OrderLine

PILED = 100_000
"""Parked streams, and timers that are not due."""
SENT = 400_000
"""Rows of the outbox that were deleted and that a snapshot might still see: of an hour, with a million orders a day."""
ORDERS = 300
OTHERS = ("warehouse-2",)
"""One process takes its turns one after another, so that nobody waits for a lock: it takes two."""
LINES = 1000


def measure(place: Place, rounds: int) -> dict[str, Any]:
    """See `benchmarks.parts`."""
    piled = asyncio.run(_piled(place, rounds))
    with system(place, *OTHERS) as stack:
        hot = asyncio.run(_hot(Shop(place, stack), rounds))
    with system(place) as stack:
        long = asyncio.run(_long(Shop(place, stack), rounds))
    seeds = {"events": SEED_OF_EVENTS, "orders": SEED_OF_ORDERS}
    return {
        "seeds": seeds,
        **piled,
        "hot_sku": hot,
        "long_order": {"lines": LINES, "ms_to_reserved": figure(long)},
    }


async def _piled(place: Place, rounds: int) -> dict[str, Any]:
    """The service beside itself with streams parked that get nothing new and timers far off, in turns on one database; then
    what it sends of an outbox that holds its whole log."""
    service = contestants()["handover"]
    await service.prepare(place)
    await race(place, service, service.events // 5)
    raced: dict[str, list[Race]] = {"without": [], "parked": [], "backup": []}
    for _ in range(rounds):
        raced["without"].append(await race(place, service, service.events // 2))
        await _park(place, service)
        raced["parked"].append(await race(place, service, service.events // 2))
        await place.execute(
            service.database,
            "DELETE FROM parked",
            "DELETE FROM timers",
            "DELETE FROM cursors WHERE state = 'failed'",
        )
        async with _backup(place, service):
            raced["backup"].append(await race(place, service, service.events // 2))
    waiting, drained = 0, []
    for _ in range(rounds):
        async with make_pool(place.url(service.database)) as pool:
            waiting = await republish(pool)
        drained.append(await race(place, service, 0, waiting=waiting))
    cpu = {name: [sum(r.cpu.values()) for r in races] for name, races in raced.items()}
    return {
        "parked": {
            "streams": PILED,
            "rate": {name: figure([r.rate for r in raced[name]]) for name in ("without", "parked")},
            "cpu_ratio": ratio(cpu["parked"], cpu["without"]),
        },
        "backup": {
            "sent": SENT,
            "rate": figure([r.rate for r in raced["backup"]]),
            "cpu_ratio": ratio(cpu["backup"], cpu["without"]),
        },
        "outbox": {"events": waiting, "rate": figure([r.rate for r in drained])},
    }


@asynccontextmanager
async def _backup(place: Place, service: Contestant) -> AsyncIterator[None]:
    """A snapshot as a backup holds it, and much that was sent since."""
    connection = await asyncpg.connect(place.url(service.database))
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            await connection.fetchval("SELECT count(*) FROM event_log")
            for _ in range(10):
                again = (
                    f"INSERT INTO outbox SELECT position FROM event_log ORDER BY position LIMIT {SENT // 10}"
                )
                await place.execute(service.database, again, "DELETE FROM outbox")
            yield
    finally:
        await connection.close()


async def _park(place: Place, service: Contestant) -> None:
    connection = await asyncpg.connect(place.url(service.database))
    await connection.execute(
        """
        INSERT INTO cursors (lane, sequence, state, version)
        SELECT 'shop|order/parked-' || n, 3, 'failed', 4 FROM generate_series(1, $1::int) n
        """,
        PILED,
    )
    await connection.execute(
        """
        INSERT INTO timers (timer_id, name, due, body)
        SELECT 'orders.unpaid/' || n, 'orders.unpaid', now() + interval '1 year', '{}' FROM generate_series(1, $1::int) n
        """,
        PILED,
    )
    await connection.execute(
        """
        INSERT INTO parked (parked_key, queue, place, state, doc, version)
        SELECT 'key-' || n, 'shop|order/parked-' || n, 4, 'failed', jsonb_build_object(
          'lane', 'shop|order/parked-' || n, 'parked_at', now(), 'type', 'shop.payment_taken.v1', 'stream',
          'order/parked-' || n, 'sequence', 4, 'message_id', 'order/parked-' || n || '/4', 'source', '/bench/shop', 'door',
          'kafka', 'topic', 'shop', 'partition', 0, 'offset', n, 'key', '', 'headers', '[]'::jsonb, 'body', repeat('A', 500),
          'reason', 'KeyError in take', 'traceback', '', 'tries', 1), 1
        FROM generate_series(1, $1::int) n
        """,
        PILED,
    )
    await connection.execute("ANALYZE")
    await connection.close()


async def _hot(shop: Shop, rounds: int) -> dict[str, Any]:
    """The same orders but for their SKUs, in turns: each has its own, or the first line of all is the same one, and so on."""
    wants: dict[str, Callable[[int, int], str]] = {
        "spread": lambda order, line: f"OWN-{order:03d}-{line}",
        "hot": lambda order, line: f"HOT-{line}",
    }
    played: dict[str, list[Played]] = {name: [] for name in wants}
    async with shop:
        for sku in wants.values():
            await shop.stock(_scripts(shop, sku), times=10 * (rounds + 1))  # so much that none runs out
        for number in range(rounds + 1):
            for name, sku in wants.items():
                of_round = await shop.play(_scripts(shop, sku))
                if number:  # the one before is to warm up
                    played[name].append(of_round)
    cost = {name: [sum(p.cpu.values()) / ORDERS * 1000 for p in of] for name, of in played.items()}
    return {
        "orders": ORDERS,
        "warehouse_processes": 1 + len(OTHERS),
        "rate": {name: figure([p.rate for p in of]) for name, of in played.items()},
        "cpu_ms_an_order": {name: figure(values) for name, values in cost.items()},
        "cpu_ratio": ratio(cost["hot"], cost["spread"]),
    }


def _scripts(shop: Shop, sku: Callable[[int, int], str]) -> list[Script]:
    """A round's orders with other SKUs, named by the order's number and the line's."""
    return [
        renamed(script, lambda line, number=number: sku(number, line))  # type: ignore[misc]
        for number, script in enumerate(shop.scripts(ORDERS))
    ]


async def _long(shop: Shop, rounds: int) -> list[float]:
    """Milliseconds from the submission of one order with LINES lines until all of it is reserved and told."""
    skus = tuple(f"LONG-{n:04d}" for n in range(LINES))
    took = []
    async with shop:
        for _ in range(rounds):
            await shop.send([(_received(sku, 10), PICKERS[0]) for sku in skus])
            await shop.settled()
            script = _wants(shop.scripts(1)[0], skus)
            began = time.time()
            await shop.send(bought(script))
            await shop.settled()
            took.append((await shop.last_said() - began) * 1000)
    return took


def _received(sku: str, quantity: int) -> StockScanned:
    return StockScanned(barcode=sku, quantity=quantity, location="A-01", scanned_at=datetime.now(UTC))


def _wants(script: Script, skus: tuple[str, ...]) -> Script:
    lines = tuple(
        OrderLine(line=n, sku=sku, name=sku, quantity=1, unit_price=100) for n, sku in enumerate(skus, 1)
    )
    order = script.order.model_copy(update={"lines": lines, "total": 100 * len(lines)})
    return replace(script, order=order)
