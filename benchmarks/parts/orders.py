"""Whole orders through all four services, placed to received: orders a second, and what one costs in CPU by process."""

import asyncio
from typing import Any

from benchmarks.place import Place
from benchmarks.rounds import figure, significant
from benchmarks.shop import SEED, WAVE, Played, Shop
from benchmarks.system import system

ORDERS = 6000
"""Of one round: so many that what is steady outweighs its beginning and its end."""


def measure(place: Place, rounds: int) -> dict[str, Any]:
    """See `benchmarks.parts`."""
    with system(place) as stack:
        return asyncio.run(_measure(Shop(place, stack), rounds))


async def _measure(shop: Shop, rounds: int) -> dict[str, Any]:
    async with shop:
        rounds_of = [shop.scripts(ORDERS) for _ in range(rounds)]
        warm = shop.scripts(50)
        await shop.stock([*warm, *(s for r in rounds_of for s in r)])
        await shop.play(warm)
        played = []
        for number, scripts in enumerate(rounds_of):
            played.append(await shop.play(scripts))
            print(f"  round {number + 1}: {played[-1].rate:,.0f} orders/s", flush=True)
    return {"seeds": {"orders": SEED}, "orders_a_round": ORDERS, "orders_a_wave": WAVE, **summary(played)}


def summary(played: list[Played]) -> dict[str, Any]:
    """Rate, CPU and events of rounds that were played."""
    orders = sum(p.orders for p in played)
    said = {name: significant(sum(p.events[name] for p in played) / orders) for name in played[0].events}
    return {
        "rate": figure([p.rate for p in played]),
        "cpu_ms_an_order": {
            name: figure([p.cpu[name] / p.orders * 1000 for p in played]) for name in played[0].cpu
        },
        "cpu_ms_an_order_all": figure([sum(p.cpu.values()) / p.orders * 1000 for p in played]),
        "events_an_order": significant(sum(said.values())),
        "events_by_service": said,
        "wal_kb_an_order": figure([p.wal / p.orders / 1000 for p in played]),
        "kept_kb_an_order": figure([p.kept / p.orders / 1000 for p in played]),
    }
