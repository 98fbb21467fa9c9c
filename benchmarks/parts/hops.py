"""How long an event takes from its commit in orders to the commit of what it causes in warehouse, read from the times of both.

An event's id holds its stream and place there, not who said it, so that only a way that cannot be mistaken is taken.
"""

import asyncio
from typing import Any

import asyncpg

from benchmarks.outsiders import bought, scanned
from benchmarks.place import Place
from benchmarks.rounds import figure, percentile
from benchmarks.shop import SEED, Shop
from benchmarks.system import system

FROM_TO = ("orders", "warehouse")
WAY = " → ".join(FROM_TO)
QUIET, LOADED = 100, 800
"""Orders of each, in one round."""
QUIET_A_SECOND = 5


def measure(place: Place, rounds: int) -> dict[str, Any]:
    """See `benchmarks.parts`."""
    with system(place) as stack:
        return asyncio.run(_measure(Shop(place, stack), rounds))


async def _measure(shop: Shop, rounds: int) -> dict[str, Any]:
    quiet, loaded = list[list[float]](), list[list[float]]()
    async with shop:
        warm = shop.scripts(30)
        await shop.stock(warm)
        await shop.play(warm)
        for number in range(rounds):
            quiet.append(await _quiet(shop))
            loaded.append(await _loaded(shop))
            middles = [percentile(ms[-1], 50) for ms in (quiet, loaded)]
            print(f"  round {number + 1}: p50 {middles[0]} ms quiet, {middles[1]} loaded", flush=True)
    return {
        "seeds": {"orders": SEED},
        "quiet": {"orders_a_second": QUIET_A_SECOND, **_points(quiet)},
        "loaded": {"orders_at_once": LOADED, **_points(loaded)},
    }


async def _quiet(shop: Shop) -> list[float]:
    scripts = shop.scripts(QUIET)
    await shop.stock(scripts)
    since = await _marks(shop)
    for script in scripts:
        await shop.send(bought(script))
        await asyncio.sleep(1 / QUIET_A_SECOND)
    await shop.settled()
    return await _hops(shop, since)


async def _loaded(shop: Shop) -> list[float]:
    scripts = shop.scripts(LOADED)
    await shop.stock(scripts)
    since = await _marks(shop)
    await shop.send([m for s in scripts for m in bought(s)])
    await shop.settled()
    await shop.send([m for s in scripts for m in scanned(s)])
    await shop.settled()
    return await _hops(shop, since)


def _points(rounds: list[list[float]]) -> dict[str, Any]:
    points = {f"p{p}": figure([percentile(ms, p) for ms in rounds]) for p in (50, 99)}
    return {"ms": {WAY: {"hops": sum(len(ms) for ms in rounds), **points}}}


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
