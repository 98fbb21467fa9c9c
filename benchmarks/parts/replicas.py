"""1, 2 and 4 processes of a service on the partitions of one topic: what an event costs must not rise with their number.

Each order is on one partition, so that no two processes want the same row; what they share is the database, its log and outbox.
Rows that several want are in `housekeeping`.
"""

import asyncio
from typing import Any

from benchmarks.contestants import SEED, Race, contestants, race
from benchmarks.place import Place
from benchmarks.rounds import figure, ratio

COUNTS = (1, 2, 4)


def measure(place: Place, rounds: int) -> dict[str, Any]:
    """See `benchmarks.parts`."""
    return asyncio.run(_measure(place, rounds))


async def _measure(place: Place, rounds: int) -> dict[str, Any]:
    service = contestants()["handover"]
    await service.prepare(place)
    await race(place, service, service.events // 5)
    raced: dict[int, list[Race]] = {n: [] for n in COUNTS}
    for number in range(rounds):
        for count in COUNTS:
            raced[count].append(await race(place, service, replicas=count))
            print(f"  round {number + 1}: {count} replicas {raced[count][-1].rate:,.0f} events/s", flush=True)
    cpu = {n: [sum(r.cpu.values()) for r in races] for n, races in raced.items()}
    return {
        "seeds": {"events": SEED},
        "events_a_round": service.events,
        "rate": {str(n): figure([r.rate for r in races]) for n, races in raced.items()},
        "cpu_us": {str(n): figure(values) for n, values in cpu.items()},
        "cpu_ratio": {str(n): ratio(cpu[n], cpu[1]) for n in COUNTS[1:]},
    }
