"""What an order costs with history behind it, beside what it cost on empty tables in the same run.

HANDOVER_BENCH_HISTORY says how many orders of history, 100,000 without it; about 1 ms and 33 kB each.
"""

import asyncio
import os
import time
from typing import Any

from benchmarks.history import fill
from benchmarks.parts.orders import summary
from benchmarks.place import Place
from benchmarks.rounds import figure, significant
from benchmarks.system import Shop, system
from deploy.play.checks import check_all
from deploy.provision import SERVICES

ORDERS = 300
"""Of one round."""


def measure(place: Place, rounds: int) -> dict[str, Any]:
    """See `benchmarks.parts`."""
    history = int(os.environ.get("HANDOVER_BENCH_HISTORY", "100000"))
    with system(place) as stack:
        return asyncio.run(_measure(Shop(place, stack), rounds, history))


async def _measure(shop: Shop, rounds: int, history: int) -> dict[str, Any]:
    async with shop:
        await shop.stock(shop.scripts(ORDERS), times=2 * rounds + 1)
        await shop.play(shop.scripts(50))
        empty = [await shop.play(shop.scripts(ORDERS)) for _ in range(rounds)]
        began = time.perf_counter()
        rows = await fill(shop, history)
        took = time.perf_counter() - began
        print(f"  {history:,} orders of history in {took:.0f} s", flush=True)
        against = await _against(shop, history)
        await shop.play(shop.scripts(50))
        full = [await shop.play(shop.scripts(ORDERS)) for _ in range(rounds)]
        size = [
            (await shop.fetch(s, "SELECT pg_database_size(current_database()) AS n"))[0]["n"]
            for s in SERVICES
        ]
    costs = [[sum(p.cpu.values()) / p.orders for p in played] for played in (empty, full)]
    middle = figure(costs[0])["median"]
    return {
        "history_orders": history,
        "history_rows": rows,
        "fill_seconds": round(took),
        "database_gb": significant(sum(size) / 1e9),
        "invariants_against": against,
        "empty": summary(empty),
        "full": summary(full),
        "cpu_ratio": figure([cost / middle for cost in costs[1]]),
    }


async def _against(shop: Shop, history: int) -> list[str] | str:
    """The invariants that do not hold; asked of up to a million orders, beyond which asking takes longer than measuring."""
    if history > 1_000_000:
        return "not asked"
    checks = await check_all(shop.target.databases)
    return [f"{c.service}: {c.rule}: {c.against[:3]}" for c in checks if c.against]
