"""Things that grow or pile up, each beside the same work without it: stated, and no cliff.

A hundred thousand parked streams and timers; an outbox in which all of a log waits; what was sent while a backup holds its
snapshot; timers that fall due at once (`benchmarks/piled.py`); ids of two million messages from outside, and what it takes to
forget some; one SKU that every order wants, whose level two warehouse processes want at once; one order with a thousand lines.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from benchmarks.contestants import SEED as SEED_OF_EVENTS
from benchmarks.outsiders import bought, renamed, scanned
from benchmarks.piled import piled
from benchmarks.place import Place
from benchmarks.rounds import figure, ratio
from benchmarks.shop import SEED as SEED_OF_ORDERS
from benchmarks.shop import Played, Shop
from benchmarks.system import system
from deploy.play.day import PICKERS
from deploy.play.script import Script
from deploy.provision import database_of, user_of
from shared.events.inbox import StockScanned
from shared.runtime.clock import WallClock
from shared.runtime.forgetting import BATCH, Forgetting
from shared.runtime.postgres import make_pool
from shared.values import OrderLine

ORDERS = 300
OTHERS = ("warehouse-2",)
"""One process takes its turns one after another, so that nobody waits for a lock: it takes two."""
LINES = 1000
IDS = 2_000_000
"""Of messages from outside that are known still, of DAYS."""
DAYS = 80
FORGOTTEN = 100_000
SCANS = 5_000
SKUS = 200


def measure(place: Place, rounds: int) -> dict[str, Any]:
    """See `benchmarks.parts`."""
    found = asyncio.run(piled(place, rounds))
    with system(place) as stack:
        found |= asyncio.run(_inbox(_Scanners(place, stack), rounds))
        long = asyncio.run(_long(Shop(place, stack), rounds))
    with system(place, *OTHERS) as stack:
        hot = asyncio.run(_hot(Shop(place, stack), rounds))
    seeds = {"events": SEED_OF_EVENTS, "orders": SEED_OF_ORDERS}
    return {"seeds": seeds, **found, "hot_sku": hot, "long_order": long}


class _Scanners(Shop):
    def new_id(self) -> str:
        """As devices draw them: an index of them is touched anywhere."""
        return str(uuid4())


_FILLED = f"""
INSERT INTO inbox_with (key, digest, seen_at, doc, version)
SELECT 'scanner-1 ' || gen_random_uuid(), sha256(n::text::bytea), now() - n * interval '{DAYS} days' / {IDS},
       '{{"status": "done", "answer": {{"sku": "SCAN-000", "on_hand": 1, "available": 1}}}}', 1
FROM generate_series(1, {IDS}) n
"""


async def _inbox(shop: Shop, rounds: int) -> dict[str, Any]:
    """Scans over Kafka, in turns with a table of ids that is empty and one that is full; then some of those are forgotten."""
    database = database_of("warehouse")
    rights = f"GRANT SELECT, INSERT, UPDATE, DELETE ON inbox_with TO {user_of('warehouse')}"
    await shop.place.execute(database, "CREATE TABLE inbox_with (LIKE inbox INCLUDING ALL)", rights, _FILLED)
    await shop.place.execute(database, "VACUUM ANALYZE inbox_with", "CHECKPOINT")
    took: dict[str, list[tuple[float, float]]] = {"without": [], "with": []}
    async with shop:
        for number in range(rounds + 1):
            for name, of in took.items():
                if name == "with":
                    await _swapped(shop.place, "without", "with")
                of_round = await _scans(shop)
                if name == "with":
                    await _swapped(shop.place, "with", "without")
                if number:  # the one before is to warm up
                    of.append(of_round)
    await _swapped(shop.place, "without", "with")
    forgetting = await _forgetting(shop.place, rounds)
    await _swapped(shop.place, "with", "without")
    cpu = {name: [spent for _, spent in of] for name, of in took.items()}
    return {
        "inbox": {
            "ids": IDS,
            "rate": {name: figure([SCANS / seconds for seconds, _ in of]) for name, of in took.items()},
            "cpu_ratio": ratio(cpu["with"], cpu["without"]),
        },
        "forgetting": forgetting,
    }


async def _swapped(place: Place, out: str, into: str) -> None:
    """Another table is the inbox now."""
    await place.execute(
        database_of("warehouse"),
        f"BEGIN; ALTER TABLE inbox RENAME TO inbox_{out}; ALTER TABLE inbox_{into} RENAME TO inbox; COMMIT",
    )


async def _scans(shop: Shop) -> tuple[float, float]:
    """Seconds and CPU seconds of all processes, from handing scans in to the last commit."""
    scans = [(_received(f"SCAN-{n % SKUS:03d}", 1), PICKERS[0]) for n in range(SCANS)]
    batches = await shop.batches(scans)
    began, spent = time.time(), sum(shop.cpu().values())
    await shop.hand_in(batches)
    await shop.settled()
    return await shop.last_said() - began, sum(shop.cpu().values()) - spent


async def _forgetting(place: Place, rounds: int) -> dict[str, Any]:
    """What it takes to forget FORGOTTEN of the ids, without the breaths between statements."""
    seconds, cpu = [], []
    async with make_pool(place.url(database_of("warehouse"))) as pool:
        for number in range(1, min(rounds, IDS // FORGOTTEN) + 1):
            kept_for = timedelta(days=DAYS) * (1 - number * FORGOTTEN / IDS)
            forgetting = Forgetting(pool, WallClock(), kept_for)
            began, spent = time.perf_counter(), place.cpu()["postgres"]
            while await forgetting.forget() == BATCH:
                pass
            seconds.append(time.perf_counter() - began)
            cpu.append(place.cpu()["postgres"] - spent)
    return {"ids": FORGOTTEN, "seconds": figure(seconds), "cpu_seconds": figure(cpu)}


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


@dataclass(frozen=True)
class _Packed:
    """What some orders took until they were packed."""

    reserved: float
    """Seconds from their submission until all of them were reserved and told."""
    packed: float
    """Seconds from the first scan until all were packed."""
    cpu: float
    """Seconds of all processes, of both."""


async def _long(shop: Shop, rounds: int) -> dict[str, Any]:
    """One order of LINES lines, beside as many lines in ORDERS orders of one, line by line."""
    skus = tuple(f"LONG-{n:04d}" for n in range(LINES))
    one, many = list[_Packed](), list[_Packed]()
    async with shop:
        for _ in range(rounds):
            await shop.send([(_received(sku, 10), PICKERS[0]) for sku in skus])
            await shop.settled()
            one.append(await _packed(shop, [_wants(shop.scripts(1)[0], skus)]))
            many.append(
                await _packed(
                    shop, [_wants(s, (sku,)) for s, sku in zip(shop.scripts(ORDERS), skus, strict=False)]
                )
            )
    cpu = {"one": [p.cpu / LINES * 1000 for p in one], "many": [p.cpu / ORDERS * 1000 for p in many]}
    return {
        "lines": LINES,
        "ms_to_reserved": figure([p.reserved * 1000 for p in one]),
        "ms_a_line_to_packed": {
            "one": figure([p.packed / LINES * 1000 for p in one]),
            "many": figure([p.packed / ORDERS * 1000 for p in many]),
        },
        "cpu_ms_a_line": {name: figure(values) for name, values in cpu.items()},
        "cpu_ratio": ratio(cpu["one"], cpu["many"]),
    }


async def _packed(shop: Shop, scripts: Sequence[Script]) -> _Packed:
    spent, began = sum(shop.cpu().values()), time.time()
    await shop.send([message for script in scripts for message in bought(script)])
    await shop.settled()
    reserved = await shop.last_said() - began
    began = time.time()
    await shop.send([message for script in scripts for message in scanned(script)])
    await shop.settled()
    packed = await shop.last_said() - began
    ids = [script.order_id for script in scripts]
    done = await shop.count(ids, "warehouse", "fulfillments", "state = 'packed'")
    assert done == len(scripts), f"{done} of {len(scripts)} orders were packed"
    return _Packed(reserved, packed, sum(shop.cpu().values()) - spent)


def _received(sku: str, quantity: int) -> StockScanned:
    return StockScanned(barcode=sku, quantity=quantity, location="A-01", scanned_at=datetime.now(UTC))


def _wants(script: Script, skus: tuple[str, ...]) -> Script:
    lines = tuple(
        OrderLine(line=n, sku=sku, name=sku, quantity=1, unit_price=100) for n, sku in enumerate(skus, 1)
    )
    order = script.order.model_copy(update={"lines": lines, "total": 100 * len(lines)})
    return replace(script, order=order)
