"""A scan answered over HTTP, 200 a second, with orders flowing behind it; beside a bare endpoint that does one insert.

Two kinds of scans. Stock received by a barcode that nobody registered, which is its own SKU: four round trips to the database,
the fewest there are. And all that is scanned for orders from the first pick to the parcel, by barcodes that were registered:
a look more where goods are scanned, and one more where an order has news. What a scan costs in CPU is what all processes spent
while scans came, less what they spend on the orders behind alone: with what its event costs those that hear it.
"""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from benchmarks import machine
from benchmarks.http_load import paced, request, until_open
from benchmarks.outsiders import bought, renamed, scanned
from benchmarks.peers.endpoint import SCHEMA
from benchmarks.place import Place
from benchmarks.rounds import figure, percentile, ratio
from benchmarks.shop import SEED, Shop
from benchmarks.system import system
from deploy.embedded.child import free_port
from deploy.play.day import PICKERS, SUPERVISOR
from deploy.play.script import Script
from shared.events.base import Event
from shared.events.inbox import CheckScanned, PickScanned, StockScanned
from shared.values import Actor

RATE = 200
SECONDS = 6
"""Of one round of one kind."""
AFTER = 1.5
"""Seconds in which is heard what was scanned last: a service that only passes it has a second for that."""
SKUS = 200
ORDERS = 165
"""Whose scans are one round: 7.2 of each, handing over left out."""
ORDERS_A_SECOND = 10

HANDOVER, OF_ORDERS, FLOOR = "handover", "of_orders", "floor"
Spent = dict[str, float]
"""CPU seconds by process."""
Requests = tuple[list[bytes], list[str]]
"""And the order that each is about, where whoever scans waits for the answer before the next."""
Make = Callable[[int], Requests]
"""Makes those of so many seconds."""


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
    warehouse, bare = shop.target.urls["warehouse"], f"http://127.0.0.1:{port}"
    took: dict[str, list[list[float]]] = {HANDOVER: [], OF_ORDERS: [], FLOOR: []}
    spent: dict[str, list[Spent]] = {name: [] for name in took}

    def cpu() -> Spent:
        return {**shop.cpu(), "endpoint": machine.cpu_seconds(floor.pid)}

    async with shop:
        await _register(shop)
        waiting = [_spread(shop.scripts(ORDERS)) for _ in range(rounds + 1)]
        flow = shop.scripts(
            int(ORDERS_A_SECOND * (SECONDS + AFTER) * 4 * (rounds + 2) * 2)
        )  # with much to spare
        await shop.stock([*flow, *(script for scripts in waiting for script in scripts)])
        await shop.send([message for scripts in waiting for script in scripts for message in bought(script)])
        await shop.settled()
        kinds: dict[str, tuple[str, Make]] = {
            HANDOVER: (warehouse, lambda seconds: _received(shop, RATE * seconds)),
            OF_ORDERS: (warehouse, lambda _: _of_orders(shop, waiting.pop())),
            FLOOR: (bare, lambda seconds: _received(shop, RATE * seconds)),
        }
        async with _flowing(shop, flow):
            for url, make in kinds.values():
                requests, about = make(1)
                await paced(url, requests, RATE, about)
            for number in range(rounds):
                alone, seconds = await _spent_while(asyncio.sleep(SECONDS), cpu)
                for name, (url, make) in kinds.items():
                    requests, about = make(SECONDS)
                    sending = asyncio.create_task(paced(url, requests, RATE, about))
                    both, passed = await _spent_while(sending, cpu)
                    took[name].append(sending.result())
                    scans = {p: both[p] - alone[p] / seconds * passed for p in both if _takes_part(p, name)}
                    spent[name].append({p: value * 1000 / len(requests) for p, value in scans.items()})
                    middle = percentile(took[name][-1], 50) * 1000
                    print(f"  round {number + 1}: {name} p50 {middle:.1f} ms", flush=True)
    points = {p: {name: [percentile(r, p) * 1000 for r in of] for name, of in took.items()} for p in (50, 99)}
    return {
        "seeds": {"orders": SEED},
        "scans_a_second": RATE,
        "orders_a_second_behind": ORDERS_A_SECOND,
        "ms": {f"p{p}": {name: figure(v) for name, v in by.items()} for p, by in points.items()},
        "ratio": {f"p{p}": ratio(by[HANDOVER], by[FLOOR]) for p, by in points.items()},
        "ratio_of_orders": {f"p{p}": ratio(by[OF_ORDERS], by[FLOOR]) for p, by in points.items()},
        "cpu_ms": {name: {p: figure([s[p] for s in of]) for p in of[0]} for name, of in spent.items()},
        "cpu_ms_all": {name: figure([sum(s.values()) for s in of]) for name, of in spent.items()},
    }


def _takes_part(process: str, kind: str) -> bool:
    """Whether a scan of this kind comes to a process at all: of any other there is only noise."""
    return process in ("endpoint", "postgres") if kind == FLOOR else process != "endpoint"


async def _spent_while(done: Any, cpu: Callable[[], Spent]) -> tuple[Spent, float]:
    """CPU seconds by process from now until a while after it is done, and how long that was."""
    clock = asyncio.get_running_loop().time
    began, before = clock(), cpu()
    await done
    await asyncio.sleep(AFTER)
    return {name: value - before[name] for name, value in cpu().items()}, clock() - began


def _spread(scripts: Sequence[Script]) -> list[Script]:
    """Over as many SKUs as stock is received of."""
    return [
        renamed(script, lambda line, number=number: _sku(number * 3 + line))  # type: ignore[misc]
        for number, script in enumerate(scripts)
    ]


def _sku(number: int) -> str:
    return f"PICK-{number % SKUS:03d}"


async def _register(shop: Shop) -> None:
    """Give each SKU that is picked a barcode."""
    for sku in map(_sku, range(SKUS)):
        answer = await shop.edges.http.put(
            f"{shop.target.urls['warehouse']}/v1/skus/{sku}",
            json={"name": sku, "barcodes": [_ean(sku)]},
            headers={
                "authorization": f"Bearer {shop.edges.token(SUPERVISOR)}",
                "idempotency-key": shop.new_id(),
            },
        )
        answer.raise_for_status()


def _ean(sku: str) -> str:
    """A SKU's EAN-13."""
    digits = f"690{int(sku.rpartition('-')[2]):09d}"
    return f"{digits}{-sum(int(d) * (3 if place % 2 else 1) for place, d in enumerate(digits)) % 10}"


def _received(shop: Shop, count: int) -> Requests:
    now = datetime.now(UTC)
    scans = (
        StockScanned(barcode=f"SCAN-{n % SKUS:03d}", quantity=1, location="B-01", scanned_at=now)
        for n in range(count)
    )
    return [_scan(shop, scan, PICKERS[0]) for scan in scans], []


def _of_orders(shop: Shop, scripts: Sequence[Script]) -> Requests:
    """What is scanned for some orders, each order's scans spread over the whole of the time."""
    placed = []
    for number, script in enumerate(scripts):
        messages = scanned(script)
        for place, (event, actor) in enumerate(messages):
            if isinstance(event, PickScanned | CheckScanned):
                event = event.model_copy(update={"barcode": _ean(event.barcode)})
            at = (place + number / len(scripts)) / len(messages)
            placed.append((at, script.order_id, _scan(shop, event, actor)))
    placed.sort()
    return [scan for *_, scan in placed], [order_id for _, order_id, _ in placed]


def _scan(shop: Shop, event: Event, actor: Actor) -> bytes:
    headers = {
        "content-type": "application/json", "authorization": f"Bearer {shop.edges.token(actor)}", "ce-specversion": "1.0",
        "ce-id": shop.new_id(), "ce-source": "scanner-1", "ce-type": event.wire_type,
    }  # fmt: skip
    return request("/v1/events", headers, event.model_dump_json().encode())


@asynccontextmanager
async def _flowing(shop: Shop, scripts: Sequence[Script]) -> AsyncIterator[None]:
    """Orders at their times, whoever else is busy. Raises AssertionError when they did not suffice."""
    flow = asyncio.create_task(_flow(shop, scripts))
    try:
        yield
    finally:
        ended = flow.done()
        flow.cancel()
        await asyncio.gather(flow, return_exceptions=True)
    assert not ended, "no more orders flowed behind"


async def _flow(shop: Shop, scripts: Sequence[Script]) -> None:
    clock = asyncio.get_running_loop().time
    began = clock()
    for number, script in enumerate(scripts):
        await asyncio.sleep(max(began + number / ORDERS_A_SECOND - clock(), 0))
        await shop.send(bought(script))
