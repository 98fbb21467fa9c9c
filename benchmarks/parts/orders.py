"""Whole orders through all four services, placed to received: orders a second, and what one costs in CPU by process and in
bytes that are kept."""

import asyncio
from typing import Any

from benchmarks.kept import kept_bytes
from benchmarks.outsiders import scanned
from benchmarks.place import Place
from benchmarks.rounds import figure, significant
from benchmarks.shop import SEED, WAVE, Played, Shop
from benchmarks.system import system
from deploy.topics import topics

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
        kept, played = await kept_bytes(shop.place.kafka), []
        for number, scripts in enumerate(rounds_of):
            played.append(await shop.play(scripts))
            print(f"  round {number + 1}: {played[-1].rate:,.0f} orders/s", flush=True)
        kept = await kept_bytes(shop.place.kafka) - kept
    scripts = rounds_of[0]
    return {
        "seeds": {"orders": SEED},
        "orders_a_round": ORDERS,
        "orders_a_wave": WAVE,
        "lines_an_order": significant(sum(len(s.order.lines) for s in scripts) / ORDERS),
        "scans_an_order": significant(sum(len(scanned(s)) + 1 for s in scripts) / ORDERS),  # and the parcel's
        "kafka_kb_an_order": {
            topic.name: significant(kept[topic.name] / ORDERS / rounds / 1000) for topic in topics()
        },
        **summary(played),
    }


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
