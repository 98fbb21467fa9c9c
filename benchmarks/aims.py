"""What was aimed at, beside what was measured."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import reduce
from operator import getitem
from typing import Any

from benchmarks.tables import Found, figure, table


def summary(results: Mapping[str, Found]) -> str:
    """Every aim, what was measured, whether it is met."""
    rows = ([_what(results, a), a.against, f"{a.sign} {a.limit:g}", *_measured(results, a)] for a in AIMS)
    return table("what | against | aim | measured | met", *rows)


def _what(results: Mapping[str, Found], aim: "Aim") -> str:
    """What was aimed at, with as much history as there was."""
    found = results.get(aim.part, {}).get("found", {})
    if "history_orders" not in found:
        return aim.what.format(history="orders")
    return aim.what.format(
        history=f"{found['history_orders']:,} orders{' or more' if found['history_beyond'] else ''}"
    )


def _measured(results: Mapping[str, Found], aim: "Aim") -> tuple[str, str]:
    """A figure and whether it meets its aim."""
    if aim.part not in results:
        return "–", "–"
    found = max(_all(results[aim.part]["found"], aim), key=lambda f: aim.distance(_median(f)))
    return figure(found), "yes" if aim.distance(_median(found)) <= 0 else "**no**"


def _all(found: Found, aim: "Aim") -> Iterator[Any]:
    """What was found at each place of an aim. Older results may lack some."""
    for at in aim.at.split(" or "):
        with suppress(KeyError):
            yield reduce(getitem, at.split("."), found)


def _median(found: Any) -> float:
    return float(found["median"] if isinstance(found, dict) else found)


@dataclass(frozen=True)
class Aim:
    """What was aimed at, and where in its part's result stands what was found."""

    part: str
    what: str
    """`{history}` is how many orders lay behind it."""
    against: str
    at: str
    """Of several, by ` or `, the one that is least in our favour counts."""
    sign: str
    """≥ where more is better, else ≤."""
    limit: float

    def distance(self, value: float) -> float:
        """How far off it is; 0 or less where it is good enough."""
        return self.limit - value if self.sign == "≥" else value - self.limit


AIMS = (
    Aim("throughput", "one service, topic to topic: events a second", "hand-written floor", "ratio.floor", "≥", 0.7),
    Aim("throughput", "the same", "the same, at last", "ratio.floor", "≥", 0.85),
    Aim("throughput", "the same", "FastStream + SQLAlchemy ORM, one message at a time", "ratio.orm", "≥", 80),
    Aim("throughput", "the same", "DBOS, a workflow an event, the better of two ways", "ratio.dbos or ratio.dbos_50", "≥", 80),
    Aim("orders", "whole orders, placed to received: orders a second", "–", "rate", "≥", 200),
    Aim("scan", "a scan of stock over HTTP, 200 a second, p50", "bare FastAPI + one INSERT", "ratio.p50", "≤", 1.5),
    Aim("scan", "the same, p99", "the same", "ratio.p99", "≤", 2),
    Aim("hops", "commit to commit, orders to warehouse, quiet, p50 ms", "–", "quiet.ms.orders → warehouse.p50", "≤", 20),
    Aim("growth", "CPU of an order, {history} behind it in each service", "itself, empty", "cpu_ratio", "≤", 1.15),
    Aim("growth-10m", "CPU of an order, {history} behind it in each service", "itself, empty", "cpu_ratio", "≤", 1.15),
    Aim("replicas", "CPU of an event, 2 replicas", "one", "cpu_ratio.2", "≤", 1.2),
    Aim("replicas", "CPU of an event, 4 replicas", "one", "cpu_ratio.4", "≤", 1.2),
    Aim("footprint", "memory idle, the largest service, MB", "–", "most.idle_mb", "≤", 120),
    Aim("footprint", "memory under load, the largest service, MB", "–", "most.loaded_mb", "≤", 250),
    Aim("footprint", "start to ready, the slowest service, s", "–", "most.seconds_to_ready", "≤", 3),
)  # fmt: skip
