"""One service, topic to topic, durable and deduplicated: Handover beside the floor and two libraries."""

import asyncio
from typing import Any

from benchmarks.contestants import SEED, TWICE, Race, contestants, race
from benchmarks.place import Place
from benchmarks.rounds import figure, ratio
from benchmarks.work import STREAMS


def measure(place: Place, rounds: int) -> dict[str, Any]:
    """See `benchmarks.parts`."""
    return asyncio.run(_measure(place, rounds))


async def _measure(place: Place, rounds: int) -> dict[str, Any]:
    """Rounds in turns; one of each before, unmeasured, to warm the servers."""
    field = contestants()
    raced: dict[str, list[Race]] = {name: [] for name in field}
    for contestant in field.values():
        await contestant.prepare(place)
        await race(place, contestant, contestant.events // 5)
    for number in range(rounds):
        for name, contestant in field.items():
            raced[name].append(await race(place, contestant))
            print(f"  round {number + 1}: {name} {raced[name][-1].rate:,.0f} events/s", flush=True)
    rates = {name: [r.rate for r in races] for name, races in raced.items()}
    return {
        "seeds": {"events": SEED},
        "streams": STREAMS,
        "delivered_twice": f"1 of {TWICE}",
        "isolation": "READ COMMITTED",
        "events_a_round": {name: c.events for name, c in field.items()},
        "rate": {name: figure(values) for name, values in rates.items()},
        "ratio": {name: ratio(rates["handover"], rates[name]) for name in field if name != "handover"},
        "cpu_us": {
            name: {part: figure([r.cpu[part] for r in races]) for part in races[0].cpu}
            for name, races in raced.items()
        },
    }
