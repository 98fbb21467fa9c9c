"""What an order costs with history behind it, beside what it costs on empty tables: in turns, on two sets of databases.

HANDOVER_BENCH_HISTORY says how many orders of history, 100,000 without it: 0.82 ms and 39.8 kB each, on the disk a ninth of
that where TMPDIR lies on btrfs mounted with `compress-force=zstd:1`. A service can be given more than the others, where the
disk has no room for as many in all: `1000000,aftersales=10000000`. What was found is kept by that size (`kept_as`), so that no
short history takes the place of a long one: the page shows a million and ten million. Less is for trying out, and on no page.
"""

import asyncio
import os
import time
from collections.abc import Mapping
from typing import Any

import typer

from benchmarks.history import Left, fill, play_one
from benchmarks.parts.orders import summary
from benchmarks.place import Place, in_bulk
from benchmarks.rounds import figure, significant
from benchmarks.shop import SEED, Played, Shop
from benchmarks.system import system
from deploy.embedded.stack import Stack
from deploy.play.checks import check_all
from deploy.provision import SERVICES, database_of
from deploy.topics import topics

ORDERS = 300
"""Of one round."""

MILLION = 1_000_000


def measure(place: Place, rounds: int) -> dict[str, Any]:
    """See `benchmarks.parts`."""
    history = asked()
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
    against_empty = figure([with_it / without for without, with_it in zip(*costs, strict=True)])
    print(f"  CPU of an order against empty tables: {against_empty['median']}", flush=True)
    return {
        "seeds": {"orders": SEED},
        "history_orders": min(history.values()),
        "history_beyond": {s: n for s, n in history.items() if n > min(history.values())},
        "history_rows": rows,
        "fill_seconds": round(took),
        "database_gb": significant(size / 1e9),
        "invariants_against": against,
        "empty": summary(empty),
        "full": summary(full),
        "cpu_ratio": against_empty,
    }


def kept_as(found: Mapping[str, Any]) -> str:
    """The name of the result, by the least history that a service had."""
    orders = found["history_orders"]
    if orders >= 10 * MILLION:
        return "growth-10m"
    return "growth" if orders >= MILLION else "growth-short"


def asked() -> dict[str, int]:
    """Orders of history by service. Raises BadParameter."""
    every, *some = os.environ.get("HANDOVER_BENCH_HISTORY", "100000").split(",")
    history = dict.fromkeys(SERVICES, _number(every))
    for part in some:
        service, told, number = part.partition("=")
        if not told or service not in history:
            raise _wrong(f"{part!r} does not give one of {', '.join(SERVICES)} its number")
        history[service] = _number(number)
    return history


def _number(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise _wrong(f"{text!r} is no number of orders from 1")
    return int(text)


def _wrong(why: str) -> typer.BadParameter:
    return typer.BadParameter(
        f"{why}: say 1000000, or 1000000,aftersales=10000000", param_hint="HANDOVER_BENCH_HISTORY"
    )


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
    if min(history.values()) > MILLION:
        return size, "not asked"
    checks = await check_all(shop.target.databases)
    return size, [f"{c.service}: {c.rule}: {c.against[:3]}" for c in checks if c.against]
