"""How long an event takes from its commit in orders to the commit of what it causes in warehouse, read from the times of both.

An event's id holds its stream and place there, not who said it, so that only a way that cannot be mistaken is taken.
"""

import asyncio
from typing import Any

import asyncpg

from benchmarks.place import Place
from benchmarks.rounds import percentile
from benchmarks.shop import SEED, Shop, bought, scanned
from benchmarks.system import system

FROM_TO = ("orders", "warehouse")
WAY = " → ".join(FROM_TO)
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
        "seeds": {"orders": SEED},
        "quiet": {"orders_a_second": QUIET_A_SECOND, **_points(still)},
        "loaded": {"orders_at_once": LOADED, **_points(busy)},
    }


def _points(ms: list[float]) -> dict[str, Any]:
    return {"ms": {WAY: {"hops": len(ms), "p50": percentile(ms, 50), "p99": percentile(ms, 99)}}}


async def _marks(shop: Shop) -> dict[str, int]:
    return {s: (await _rows(shop, s, 0, "max(position) AS n"))[0]["n"] or 0 for s in FROM_TO}


async def _hops(shop: Shop, since: dict[str, int]) -> list[float]:
    """Milliseconds, from events that caused events."""
    what = "stream || '/' || sequence AS id, causation_id AS cause, pg_xact_commit_timestamp(xmin) AS at"
    said, heard = [await _rows(shop, s, since[s], what) for s in FROM_TO]
    committed = {r["id"]: r["at"] for r in said}
    return [
        (r["at"] - committed[r["cause"]]).total_seconds() * 1000 for r in heard if r["cause"] in committed
    ]


async def _rows(shop: Shop, service: str, after: int, what: str) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(shop.place.url(f"handover_{service}"))
    try:
        return list(await connection.fetch(f"SELECT {what} FROM event_log WHERE position > $1", after))
    finally:
        await connection.close()
