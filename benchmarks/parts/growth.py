"""What an order costs with history behind it, beside what it costs on empty tables: in turns, on two sets of databases.

HANDOVER_BENCH_HISTORY says how many orders of history, 100,000 without it: half a millisecond and 33 kB each, a tenth of that
where TMPDIR lies on btrfs mounted with `compress-force=zstd:1`. A service can be given more than the others, where the disk has
no room for as many in all: `1000000,aftersales=10000000`.
"""

import asyncio
import os
import time
from collections.abc import Mapping
from typing import Any

from benchmarks.history import Left, fill, play_one
from benchmarks.parts.orders import summary
from benchmarks.place import Place, in_bulk
from benchmarks.rounds import figure, significant
from benchmarks.shop import Played, Shop
from benchmarks.system import system
from deploy.embedded.stack import Stack
from deploy.play.checks import check_all
from deploy.provision import SERVICES, database_of
from deploy.topics import topics

ORDERS = 300
"""Of one round."""


def measure(place: Place, rounds: int) -> dict[str, Any]:
    """See `benchmarks.parts`."""
    history = _asked(os.environ.get("HANDOVER_BENCH_HISTORY", "100000"))
    with system(place) as stack:
        asyncio.run(_stock(Shop(place, stack), rounds))
        stack.stop_messaging()
        asyncio.run(_rename(place, "", "_empty"))
        stack.start()
        asyncio.run(_stock(Shop(place, stack), rounds))
        left, ids = asyncio.run(_one(Shop(place, stack)))
        stack.stop_messaging()
        began = time.perf_counter()
        with in_bulk(place):
            rows = asyncio.run(fill(place, left, ids, history))
        took = time.perf_counter() - began
        print(f"  {rows:,} rows of history in {took:.0f} s", flush=True)
        asyncio.run(_rename(place, "", "_full"))
        played: dict[str, list[Played]] = {"_empty": [], "_full": []}
        for _ in range(rounds):
            for kind, of in played.items():
                of.append(_round(place, stack, kind))
        asyncio.run(_rename(place, "_full", ""))
        size, against = asyncio.run(_looked_at(Shop(place, stack), history))
    empty, full = played["_empty"], played["_full"]
    costs = [[sum(p.cpu.values()) / p.orders for p in of] for of in (empty, full)]
    return {
        "history_orders": min(history.values()),
        "history_beyond": {s: n for s, n in history.items() if n > min(history.values())},
        "history_rows": rows,
        "fill_seconds": round(took),
        "database_gb": significant(size / 1e9),
        "invariants_against": against,
        "empty": summary(empty),
        "full": summary(full),
        "cpu_ratio": figure([with_it / without for without, with_it in zip(*costs, strict=True)]),
    }


def _asked(text: str) -> dict[str, int]:
    """Orders of history by service."""
    every, *some = text.split(",")
    beyond = dict(part.split("=") for part in some)
    if unknown := beyond.keys() - set(SERVICES):
        raise SystemExit(f"HANDOVER_BENCH_HISTORY: no service is called {', '.join(unknown)}")
    return {service: int(beyond.get(service, every)) for service in SERVICES}


async def _stock(shop: Shop, rounds: int) -> None:
    async with shop:
        await shop.stock(shop.scripts(ORDERS), times=2 * rounds + 1)


async def _one(shop: Shop) -> tuple[list[Left], list[str]]:
    async with shop:
        return await play_one(shop)


def _round(place: Place, stack: Stack, kind: str) -> Played:
    """Let the services run on one set of databases and play orders through them."""
    asyncio.run(_rename(place, kind, ""))
    asyncio.run(place.topics(*(t.name for t in topics())))
    for service in SERVICES:
        stack.run(service)
    stack.wait_ready()
    played = asyncio.run(_play(Shop(place, stack)))
    stack.stop_messaging()
    asyncio.run(_rename(place, "", kind))
    return played


async def _play(shop: Shop) -> Played:
    async with shop:
        await shop.play(shop.scripts(150))
        return await shop.play(shop.scripts(ORDERS))


async def _rename(place: Place, old: str, new: str) -> None:
    """Give the four databases another ending."""
    for service in SERVICES:
        name = database_of(service)
        await place.execute("postgres", f"ALTER DATABASE {name}{old} RENAME TO {name}{new}")


async def _looked_at(shop: Shop, history: Mapping[str, int]) -> tuple[int, list[str] | str]:
    """Bytes of the databases, and the invariants that do not hold.

    They are asked of up to a million orders, beyond which asking takes longer than measuring.
    """
    sql = "SELECT pg_database_size(current_database()) AS n"
    async with shop:
        size = sum([(await shop.fetch(s, sql))[0]["n"] for s in SERVICES])
    if min(history.values()) > 1_000_000:
        return size, "not asked"
    checks = await check_all(shop.target.databases)
    return size, [f"{c.service}: {c.rule}: {c.against[:3]}" for c in checks if c.against]
