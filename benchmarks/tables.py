"""What was found as tables in Markdown, one function a part."""

from collections.abc import Callable
from typing import Any

SERVICES = ("orders", "warehouse", "aftersales", "notify")

Found = dict[str, Any]


def figure(f: Found | float, unit: str = "") -> str:
    """A median and its spread, which a single sample has not; older results have plain numbers at places."""
    if not isinstance(f, dict):
        return f"{number(f)}{unit}"
    median = f"{number(f['median'])}{unit}"
    return median if len(f["all"]) == 1 else f"{median} ({number(f['low'])}–{number(f['high'])})"


def number(value: float) -> str:
    """Three significant digits, thousands apart."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def table(head: str, *rows: list[str]) -> str:
    """A Markdown table; `head` is its columns, by bars."""
    columns = head.count("|") + 1
    lines = [f"| {head} |", "|---" + "|---:" * (columns - 1) + "|"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def throughput(f: Found) -> str:
    """Rates, ratios, CPU by process."""
    parts = list(next(iter(f["cpu_us"].values())))
    if "isolation" in f:
        isolation = f"All transactions were {f['isolation']}."
    else:
        isolation = (
            "DBOS' transactions were SERIALIZABLE, its default; those of the others were READ COMMITTED."
        )
    rates = table(
        "contestant | events/s | Handover is … times as fast | "
        + " | ".join(f"CPU µs an event: {p}" for p in parts),
        *(
            [name, figure(rate), figure(f["ratio"][name]) if name in f["ratio"] else "1"]
            + [figure(f["cpu_us"][name][p]) for p in parts]
            for name, rate in f["rate"].items()
        ),
    )
    return f"{rates}\n\n{isolation}"


def orm_batch(f: Found) -> str:
    """How much faster than batches of the ORM."""
    if "orm_batch" not in f["ratio"]:
        return "`orm_batch` was not measured yet."
    return f"Handover is {figure(f['ratio']['orm_batch'])} times as fast as `orm_batch`."


def microseconds(f: Found) -> str:
    """Steps, largest first."""
    steps = sorted(f["us"].items(), key=lambda s: -s[1]["median"])
    rows = ([s, figure(us), f"{f['share'][s]['median'] * 100:.0f} %"] for s, us in steps)
    return table("step | µs an event | share", *rows, ["**the process**", figure(f["process_us"]), "100 %"])


def orders(f: Found) -> str:
    """Rate, CPU by process."""
    rows = [[name, figure(ms)] for name, ms in f["cpu_ms_an_order"].items()]
    return (
        f"{figure(f['rate'])} orders/s, {number(f['events_an_order'])} events an order, rounds of {f['orders_a_round']} orders "
        f"in waves of {f['orders_a_wave']}.\n\n"
        + table("process | CPU ms an order", *rows, ["**all**", figure(f["cpu_ms_an_order_all"])])
    )


SCANS = {
    "handover": "stock received by a barcode that nobody registered",
    "of_orders": "orders picked, checked and packed, by registered barcodes",
    "floor": "floor",
}
"""The kinds of scans, in the order of the page."""


def scan(f: Found) -> str:
    """Percentiles beside the floor's, then what a scan costs in CPU. Older results have one kind, and no CPU."""
    ratios = {"handover": f["ratio"], "of_orders": f.get("ratio_of_orders")}
    rows = (
        [f"{SCANS[kind]}, {p}", figure(by[kind], " ms"), figure(by["floor"], " ms"), figure(ratio[p])]
        for kind, ratio in ratios.items()
        if ratio is not None
        for p, by in f["ms"].items()
    )
    latency = table("scan, percentile | Handover | floor | ratio", *rows)
    if "cpu_ms" not in f:
        return latency
    cpu = table(
        " | ".join(["CPU ms a scan", *SCANS.values()]),
        *(
            [p, *(figure(f["cpu_ms"][kind][p]) if p in f["cpu_ms"][kind] else "–" for kind in SCANS)]
            for p in dict.fromkeys((*f["cpu_ms"]["handover"], "endpoint"))
        ),
        ["**all**", *(figure(f["cpu_ms_all"][kind]) for kind in SCANS)],
    )
    return (
        f"{latency}\n\nWhat a scan costs, without the {f['orders_a_second_behind']} orders a second that flow behind, and with "
        f"what its event costs those that hear it:\n\n{cpu}"
    )


def hops(f: Found) -> str:
    """Commit to commit, quiet and loaded. Older results have all ways together as well, of which there is one."""
    rows = (
        [f"{when}, {way}", figure(ms["p50"]), figure(ms["p99"]), f"{ms['hops']:,}"]
        for when in ("quiet", "loaded")
        for way, ms in f[when]["ms"].items()
        if way != "all"
    )
    return table("when, way | p50 ms | p99 ms | hops", *rows)


def footprint(f: Found) -> str:
    """Memory and start-up by service."""
    rows = (
        [s, figure(f["idle_mb"][s]), figure(f["loaded_mb"][s]), figure(f["seconds_to_ready"][s])]
        for s in SERVICES
    )
    return table("service | idle MB | most under load MB | start to ready s", *rows)


def replicas(f: Found) -> str:
    """1, 2 and 4."""
    rows = (
        [n, figure(rate), figure(f["cpu_us"][n]), figure(f["cpu_ratio"][n]) if n in f["cpu_ratio"] else "1"]
        for n, rate in f["rate"].items()
    )
    return table("replicas | events/s | CPU µs an event, all processes | CPU against one", *rows)


def growth(f: Found) -> str:
    """Empty and full, side by side."""
    beyond = "".join(f", {n:,} in {service}" for service, n in f["history_beyond"].items())
    rows = (
        [when, figure(f[key]["cpu_ms_an_order_all"]), figure(f[key]["cpu_ms_an_order"]["postgres"]),
         figure(f[key]["wal_kb_an_order"]), figure(f[key]["rate"])]
        for when, key in (("empty", "empty"), (f"{f['history_orders']:,} orders behind it{beyond}", "full"))
    )  # fmt: skip
    against = f["invariants_against"] or "all invariants hold over played and filled orders"
    if against == "not asked":
        against = "invariants were not asked of so many"
    return (
        table("tables | CPU ms an order | of it PostgreSQL | WAL, kB an order | orders/s", *rows)
        + f"\n\nCPU against empty: {figure(f['cpu_ratio'])}. {f['history_rows']:,} rows, {f['database_gb']} GB, filled in "
        f"{f['fill_seconds']} s; {against}."
    )


def housekeeping(f: Found) -> str:
    """What piles up, beside the same without it."""
    parked, backup, outbox, hot, long = (
        f[k] for k in ("parked", "backup", "outbox", "hot_sku", "long_order")
    )
    alone = figure(parked["rate"]["without"])
    if "warehouse_processes" in hot:
        wanted = f"without: each has its own; {hot['warehouse_processes']} warehouse processes"
    else:
        wanted = "in one line of one piece, without: 12 SKUs and more lines; one warehouse process"
    return table(
        "what | without | with | CPU with / without",
        [f"{parked['streams']:,} streams parked, as many timers set, events/s", alone, figure(parked["rate"]["parked"]),
         figure(parked["cpu_ratio"])],
        [f"{backup['sent']:,} events sent while a backup holds its snapshot, events/s", alone, figure(backup["rate"]),
         figure(backup["cpu_ratio"])],
        [f"{outbox['events']:,} events in the outbox, sent from the log, events/s", "–", figure(outbox["rate"]), "–"],
        *_due_and_ids(f),
        [f"one SKU wanted by every order ({wanted}), orders/s", figure(hot["rate"]["spread"]), figure(hot["rate"]["hot"]),
         figure(hot["cpu_ratio"])],
        [f"one order with {long['lines']:,} lines, ms to reserved and told", "–", figure(long["ms_to_reserved"]), "–"],
        *_line_by_line(long),
    )  # fmt: skip


def _due_and_ids(f: Found) -> list[list[str]]:
    """Timers that fall due, and ids from outside. Older results do not have them."""
    if not {"due", "inbox", "forgetting"} <= f.keys():
        return []
    due, inbox, forgetting = f["due"], f["inbox"], f["forgetting"]
    return [
        [f"{due['timers']:,} timers that fall due at once, timers/s", "–", figure(due["rate"]), "–"],
        [f"{inbox['ids']:,} ids from outside known, scans/s over Kafka", figure(inbox["rate"]["without"]),
         figure(inbox["rate"]["with"]), figure(inbox["cpu_ratio"])],
        [f"{forgetting['ids']:,} of them forgotten, s", "–", figure(forgetting["seconds"]), "–"],
        ["the same, s of PostgreSQL's CPU", "–", figure(forgetting["cpu_seconds"]), "–"],
    ]  # fmt: skip


def _line_by_line(long: Found) -> list[list[str]]:
    """A long order's lines beside those of short ones. Older results do not have it."""
    if "ms_a_line_to_packed" not in long:
        return []
    line = long["ms_a_line_to_packed"]
    return [
        ["the same, picked, checked and packed, ms a line (without: as orders of one line; CPU from its submission on)",
         figure(line["many"]), figure(line["one"]), figure(long["cpu_ratio"])],
    ]  # fmt: skip


SECTIONS: dict[str, Callable[[Any], str]] = {
    "throughput": throughput,
    "microseconds": microseconds,
    "orders": orders,
    "scan": scan,
    "hops": hops,
    "footprint": footprint,
    "replicas": replicas,
    "growth": growth,
    "growth-10m": growth,
    "housekeeping": housekeeping,
}
"""By the name of its part, which is that of its place on the page too."""
