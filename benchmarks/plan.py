"""What so many orders a day need, from what one order was measured to cost: plain sums, for machines like the measured one."""

from collections.abc import Mapping
from math import ceil
from typing import Any

DAYS = (1_000_000, 10_000_000, 100_000_000)
"""Orders a day."""
PEAK = 3
"""The busiest hour has so many times the orders of the mean one."""
BUSY = 0.6
"""How much of a core, or of a relay's time, is planned to be used at the peak."""


def plan(results: Mapping[str, Any]) -> str:
    """A table with a column for each of DAYS; empty until what it needs was measured."""
    if not {"orders", "housekeeping", "growth", "growth-10m"} <= results.keys():
        return ""
    orders = results["orders"]["found"]
    # what history makes dearer: the database's time, whole pages in its WAL, and indices
    aged = results["growth"]["found"]["full"]
    database = aged["cpu_ms_an_order"]["postgres"]["median"] / 1000
    cpu = {name: ms["median"] / 1000 for name, ms in orders["cpu_ms_an_order"].items()}
    services = {name: cpu[name] for name in ("orders", "warehouse", "aftersales", "notify")}
    sent = results["housekeeping"]["found"]["outbox"]["rate"]["median"]
    busiest = max(orders["events_by_service"].values())
    # of so many orders side by side: a round of a few hundred begins pages, and extends files, that it does not fill
    most = results["growth-10m"]["found"]
    kept_kb = most["database_gb"] * 1e6 / most["history_orders"]
    peak = [n / 86_400 * PEAK for n in DAYS]
    rows = [
        ["orders/s at the peak", *(f"{p:,.0f}" for p in peak)],
        ["events/s, all services", *(f"{p * orders['events_an_order']:,.0f}" for p in peak)],
        *([f"cores for {name}", *(cores(p * cost) for p in peak)] for name, cost in services.items()),
        ["cores for PostgreSQL, all four databases", *(cores(p * database) for p in peak)],
        *([["cores for Kafka, one copy", *(cores(p * cpu["kafka"]) for p in peak)]] if "kafka" in cpu else []),
        ["WAL, MB/s", *(f"{p * aged['wal_kb_an_order']['median'] / 1000:,.1f}" for p in peak)],
        ["kept in the databases, GB a day", *(f"{n * kept_kb / 1e6:,.0f}" for n in DAYS)],
        ["relays that the busiest service needs", *(cores(p * busiest / sent) for p in peak)],
        # a process has one core, and a partition has one process
        ["partitions that a topic needs at least", *(f"{ceil(p * max(services.values()) / BUSY)}" for p in peak)],
    ]  # fmt: skip
    head = " | ".join(["", *(f"{n // 1_000_000} M orders a day" for n in DAYS)])
    lines = [f"| {head} |", "|---" + "|---:" * len(DAYS) + "|"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def cores(seconds_a_second: float) -> str:
    """Seconds of work a second as cores, or relays, that are BUSY."""
    needed = seconds_a_second / BUSY
    return f"{needed:,.1f}" if needed < 10 else f"{needed:,.0f}"
