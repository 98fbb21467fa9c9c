"""How long an event takes from the commit in one service to the commit in the next, read from the times of both commits."""

import asyncio
from typing import Any

import asyncpg

from benchmarks.place import Place
from benchmarks.rounds import percentile
from benchmarks.shop import Shop, bought, scanned
from benchmarks.system import system
from deploy.provision import SERVICES

QUIET, LOADED = 100, 800
"""Orders of each."""
QUIET_A_SECOND = 5


def measure(place: Place, rounds: int) -> dict[str, Any]:
    """See `benchmarks.parts`."""
    with system(place) as stack:
        return asyncio.run(_measure(Shop(place, stack)))


async def _measure(shop: Shop) -> dict[str, Any]:
    async with shop:
        warm, quiet, loaded = shop.scripts(30), shop.scripts(QUIET), shop.scripts(LOADED)
        await shop.stock([*warm, *quiet, *loaded])
        await shop.play(warm)
        since = await _marks(shop)
        for script in quiet:
            await shop.send(bought(script))
            await asyncio.sleep(1 / QUIET_A_SECOND)
        await shop.settled()
        still = await _hops(shop, since)
        since = await _marks(shop)
        await shop.send([m for s in loaded for m in bought(s)])
        await shop.settled()
        await shop.send([m for s in loaded for m in scanned(s)])
        await shop.settled()
        busy = await _hops(shop, since)
    return {
        "quiet": {"orders_a_second": QUIET_A_SECOND, **_points(still)},
        "loaded": {"orders_at_once": LOADED, **_points(busy)},
    }


def _points(hops: dict[str, list[float]]) -> dict[str, Any]:
    every = [ms for way in hops.values() for ms in way]
    ways = {"all": every, **{way: ms for way, ms in sorted(hops.items()) if len(ms) >= 50}}
    return {
        "ms": {
            way: {"hops": len(ms), "p50": percentile(ms, 50), "p99": percentile(ms, 99)}
            for way, ms in ways.items()
        }
    }


async def _marks(shop: Shop) -> dict[str, int]:
    return {s: (await _rows(shop, s, 0, "max(position) AS n"))[0]["n"] or 0 for s in SERVICES}


async def _hops(shop: Shop, since: dict[str, int]) -> dict[str, list[float]]:
    """Milliseconds of each way, from events that caused events. An event's id holds its stream and place there, not who said
    it, so only ways that cannot be mistaken are taken."""
    what = "stream || '/' || sequence AS id, causation_id AS cause, pg_xact_commit_timestamp(xmin) AS at"
    rows = {s: await _rows(shop, s, since[s], what) for s in ("orders", "warehouse")}
    hops: dict[str, list[float]] = {}
    for origin, heard_by in (("orders", "warehouse"), ("warehouse", "orders")):
        committed = {r["id"]: r["at"] for r in rows[origin]}
        hops[f"{origin} → {heard_by}"] = [
            (r["at"] - committed[r["cause"]]).total_seconds() * 1000
            for r in rows[heard_by]
            if r["cause"] in committed
        ]
    return hops


async def _rows(shop: Shop, service: str, after: int, what: str) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(shop.place.url(f"handover_{service}"))
    try:
        return list(await connection.fetch(f"SELECT {what} FROM event_log WHERE position > $1", after))
    finally:
        await connection.close()
