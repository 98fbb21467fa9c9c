"""A scan answered over HTTP, 200 a second, with orders flowing behind it; beside a bare endpoint that does one insert."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from benchmarks.http_load import paced, request, until_open
from benchmarks.peers.endpoint import SCHEMA
from benchmarks.place import Place
from benchmarks.rounds import figure, percentile, ratio
from benchmarks.shop import SEED, Shop, bought
from benchmarks.system import system
from deploy.embedded.child import free_port
from deploy.play.day import PICKERS
from deploy.play.script import Script
from shared.events.inbox import StockScanned

RATE = 200
SECONDS = 6
"""Of one round of one contestant."""
SKUS = 200
ORDERS_A_SECOND = 10


def measure(place: Place, rounds: int) -> dict[str, Any]:
    """See `benchmarks.parts`."""
    url = asyncio.run(place.fresh_database("bench_endpoint", SCHEMA))
    port = free_port()
    env = os.environ | {"BENCH_DATABASE": url, "BENCH_PORT": str(port)}
    with system(place) as stack:
        floor = subprocess.Popen([sys.executable, "-m", "benchmarks.peers.endpoint"], env=env)
        try:
            return asyncio.run(_measure(Shop(place, stack), floor, port, rounds))
        finally:
            floor.terminate()
            floor.wait()


async def _measure(shop: Shop, floor: "subprocess.Popen[bytes]", port: int, rounds: int) -> dict[str, Any]:
    await until_open(port, lambda: floor.poll() is None)
    urls = {"handover": shop.target.urls["warehouse"], "floor": f"http://127.0.0.1:{port}"}
    took: dict[str, list[list[float]]] = {name: [] for name in urls}
    async with shop:
        flow = shop.scripts(int(ORDERS_A_SECOND * SECONDS * 2.5 * (rounds + 1)))
        await shop.stock(flow)
        behind = asyncio.create_task(_flow(shop, flow))
        for url in urls.values():
            await paced(url, _scans(shop, RATE), RATE)
        for number in range(rounds):
            for name, url in urls.items():
                took[name].append(await paced(url, _scans(shop, RATE * SECONDS), RATE))
                middle = percentile(took[name][-1], 50) * 1000
                print(f"  round {number + 1}: {name} p50 {middle:.1f} ms", flush=True)
        behind.cancel()
        with suppress(asyncio.CancelledError):
            await behind
    points = {
        p: {name: [percentile(r, p) * 1000 for r in rounds_] for name, rounds_ in took.items()}
        for p in (50, 99)
    }
    return {
        "seeds": {"orders": SEED},
        "scans_a_second": RATE,
        "orders_a_second_behind": ORDERS_A_SECOND,
        "ms": {f"p{p}": {name: figure(v) for name, v in by.items()} for p, by in points.items()},
        "ratio": {f"p{p}": ratio(by["handover"], by["floor"]) for p, by in points.items()},
    }


def _scans(shop: Shop, count: int) -> list[bytes]:
    token = shop.edges.token(PICKERS[0])
    requests = []
    for number in range(count):
        event = StockScanned(
            barcode=f"SCAN-{number % SKUS:03d}", quantity=1, location="B-01", scanned_at=datetime.now(UTC)
        )
        headers = {
            "content-type": "application/json", "authorization": f"Bearer {token}", "ce-specversion": "1.0",
            "ce-id": shop.new_id(), "ce-source": "scanner-1", "ce-type": event.wire_type,
        }  # fmt: skip
        requests.append(request("/v1/events", headers, event.model_dump_json().encode()))
    return requests


async def _flow(shop: Shop, scripts: Sequence[Script]) -> None:
    for script in scripts:
        await shop.send(bought(script))
        await asyncio.sleep(1 / ORDERS_A_SECOND)
