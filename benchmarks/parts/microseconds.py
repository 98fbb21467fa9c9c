"""Where the time of one event goes in the service's process, step by step, as a sampling profiler sees it."""

import asyncio
import json
from typing import Any

from benchmarks.contestants import SEED, contestants, race
from benchmarks.place import Place
from benchmarks.rounds import figure


def measure(place: Place, rounds: int) -> dict[str, Any]:
    """See `benchmarks.parts`."""
    return asyncio.run(_measure(place, rounds))


async def _measure(place: Place, rounds: int) -> dict[str, Any]:
    """Shares come from rounds under the profiler, which costs time itself; microseconds from rounds without it, in turns."""
    service = contestants()["handover"]
    await service.prepare(place)
    await race(place, service, service.events // 5)
    spent: list[float] = []
    shares: dict[str, list[float]] = {}
    for number in range(rounds):
        spent.append((await race(place, service)).cpu["process"])
        out = place.folder / f"steps-{number}.json"
        await race(place, service, wrapper=("-m", "benchmarks.profiled", str(out)))
        steps = json.loads(out.read_text())
        for step, seconds in steps.items():
            shares.setdefault(step, []).append(seconds / sum(steps.values()))
        print(f"  round {number + 1}: {spent[-1]:,.0f} µs an event", flush=True)
    whole = figure(spent)
    return {
        "seeds": {"events": SEED},
        "process_us": whole,
        "share": {step: figure(values) for step, values in shares.items()},
        "us": {step: figure([v * whole["median"] for v in values]) for step, values in shares.items()},
    }
