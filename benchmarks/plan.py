"""What so many orders a day need, from what one order was measured to cost: plain sums, for machines like the measured one."""

from collections.abc import Mapping
from math import ceil
from typing import Any

from benchmarks.tables import Found, number, table
from deploy.topics import DAY, SEGMENT_MS, topics

DAYS = (1_000_000, 10_000_000, 100_000_000)
"""Orders a day."""
PEAK = 3
"""The busiest hour has so many times the orders of the mean one."""
BUSY = 0.6
"""How much of a core, or of a relay's time, is planned to be used at the peak."""
DISK_GB = 1000
LEFT_OUT = (
    "cases of after-sales, mail that leaves by SMTP, timers that fall due, and what people read over HTTP"
)


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
        *_at_the_gate(orders, results.get("scan", {}).get("found", {}), peak),
        ["WAL, MB/s", *(f"{p * aged['wal_kb_an_order']['median'] / 1000:,.1f}" for p in peak)],
        ["kept in the databases, GB a day", *(f"{n * kept_kb / 1e6:,.0f}" for n in DAYS)],
        [f"days until {DISK_GB:,} GB of databases are full", *(number(DISK_GB * 1e6 / n / kept_kb) for n in DAYS)],
        *_kept_by_kafka(orders),
        ["relays that the busiest service needs", *(cores(p * busiest / sent) for p in peak)],
        # a process has one core, and a partition has one process
        ["partitions that a topic needs at least", *(f"{ceil(p * max(services.values()) / BUSY)}" for p in peak)],
    ]  # fmt: skip
    head = " | ".join(["", *(f"{n // 1_000_000} M orders a day" for n in DAYS)])
    lines = f"An order has {number(orders['lines_an_order'])} lines. " if "lines_an_order" in orders else ""
    return f"{table(head, *rows)}\n\n{lines}Not in the sums: {LEFT_OUT}."


def _at_the_gate(orders: Found, scan: Found, peak: list[float]) -> list[list[str]]:
    """What is scanned, and what that costs where each scan is waited for. In the rows of the services, scans come over Kafka,
    many to a turn. Older results do not have it."""
    if "scans_an_order" not in orders or "cpu_ms_all" not in scan:
        return []
    scans = [p * orders["scans_an_order"] for p in peak]
    each = scan["cpu_ms_all"]["of_orders"]["median"] / 1000
    return [
        ["scans/s at the gate", *(f"{s:,.0f}" for s in scans)],
        ["cores, all processes, for scans answered over HTTP; over Kafka they are in the rows above",
         *(cores(s * each) for s in scans)],
    ]  # fmt: skip


def _kept_by_kafka(orders: Found) -> list[list[str]]:
    """Records of an order for as long as their topic keeps them, and up to a segment longer. Older results do not have it."""
    if "kafka_kb_an_order" not in orders:
        return []
    kept = sum(orders["kafka_kb_an_order"][t.name] * (t.retention_ms + SEGMENT_MS) / DAY for t in topics())
    return [["Kafka's disk, one copy, GB", *(number(n * kept / 1e6) for n in DAYS)]]


def cores(seconds_a_second: float) -> str:
    """Seconds of work a second as cores, or relays, that are BUSY."""
    needed = seconds_a_second / BUSY
    return f"{needed:,.1f}" if needed < 10 else f"{needed:,.0f}"
