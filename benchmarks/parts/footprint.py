"""Memory of each service idle and under load, and the time from its start to its being ready."""

import asyncio
import time
from typing import Any

from benchmarks import machine
from benchmarks.place import Place
from benchmarks.rounds import figure
from benchmarks.shop import SEED, Shop
from benchmarks.system import system
from deploy.embedded.stack import Stack
from deploy.provision import SERVICES

ORDERS = 500


def measure(place: Place, rounds: int) -> dict[str, Any]:
    """See `benchmarks.parts`. Each round has processes of its own: what one has held once, it does not give back."""
    sampled: dict[str, dict[str, list[float]]] = {
        name: {s: [] for s in SERVICES} for name in ("seconds_to_ready", "idle_mb", "loaded_mb")
    }
    with system(place) as stack:
        for _ in range(rounds):
            for service in SERVICES:
                sampled["seconds_to_ready"][service].append(_started(stack, service))
            time.sleep(2)
            for service in SERVICES:
                sampled["idle_mb"][service].append(machine.memory_mb(stack.processes[service].pid))
            for service, mb in asyncio.run(_loaded(Shop(place, stack), stack)).items():
                sampled["loaded_mb"][service].append(mb)
    found = {name: {s: figure(v) for s, v in by.items()} for name, by in sampled.items()}
    most = {name: max(by.values(), key=lambda f: f["median"]) for name, by in found.items()}
    return {"seeds": {"orders": SEED}, "orders": ORDERS, **found, "most": most}


def _started(stack: Stack, service: str) -> float:
    stack.processes[service].terminate()
    stack.processes[service].wait()
    began = time.perf_counter()
    stack.run(service)
    while stack.not_ready(service):
        time.sleep(0.02)
    return time.perf_counter() - began


async def _loaded(shop: Shop, stack: Stack) -> dict[str, float]:
    """The most that each service held while orders went through."""
    most = dict.fromkeys(SERVICES, 0.0)

    async def look() -> None:
        while True:
            for service in SERVICES:
                most[service] = max(most[service], machine.memory_mb(stack.processes[service].pid))
            await asyncio.sleep(0.1)

    async with shop:
        scripts = shop.scripts(ORDERS)
        looking = asyncio.create_task(look())
        await shop.stock(scripts)
        await shop.play(scripts)
        looking.cancel()
    return most
