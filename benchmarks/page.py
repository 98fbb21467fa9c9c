"""`python -m benchmarks.page`: put the figures of benchmarks/results into docs/performance.md, between its marks.

The words of the page are written by hand; every figure in it comes from a result, beside what it is measured against.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.plan import plan

RESULTS = Path(__file__).parent / "results"

PAGE = Path(__file__).parent.parent / "docs" / "performance.md"
SERVICES = ("orders", "warehouse", "aftersales", "notify")

Found = dict[str, Any]
Results = dict[str, Found]
"""What was found, by part."""


def read(folder: Path = RESULTS) -> Results:
    """What was found, by part, with `about`; of those that the page shows."""
    return {f.stem: json.loads(f.read_text()) for f in sorted(folder.glob("*.json")) if f.stem in SECTIONS}


def render(page: str, results: Results) -> str:
    """The page with the figures of these results; a part that was not measured keeps what stands there."""
    texts = {name: make(results[name]["found"]) for name, make in SECTIONS.items() if name in results}
    if results:
        texts |= {"summary": summary(results), "about": about(results), "plan": plan(results)}
    if "throughput" in results:
        texts["orm_batch"] = orm_batch(results["throughput"]["found"])
    for name, text in texts.items():
        page = re.sub(
            rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)",
            lambda m, text=text: f"{m[1]}{text}\n{m[2]}",  # type: ignore[misc]
            page,
            flags=re.DOTALL,
        )
    return page


def figure(f: Found, unit: str = "") -> str:
    """A median and its spread, which a single sample has not."""
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


def summary(results: Results) -> str:
    """Every aim, what was measured, whether it is met."""
    rows = ([_what(results, a), a.against, f"{a.sign} {a.limit:g}", *_measured(results, a)] for a in AIMS)
    return table("what | against | aim | measured | met", *rows)


def _what(results: Results, aim: "Aim") -> str:
    """What was aimed at, with as much history as there was."""
    found = results.get(aim.part, {}).get("found", {})
    if "history_orders" not in found:
        return aim.what.format(history="orders")
    return aim.what.format(
        history=f"{found['history_orders']:,} orders{' or more' if found['history_beyond'] else ''}"
    )


def _measured(results: Results, aim: "Aim") -> tuple[str, str]:
    """A figure and whether it meets its aim."""
    if aim.part not in results:
        return "–", "–"
    found: Any = results[aim.part]["found"]
    for key in aim.at.split("."):
        found = found[key]
    value = found["median"] if isinstance(found, dict) else found
    shown = figure(found) if isinstance(found, dict) else number(found)
    return shown, "yes" if aim.met(value) else "**no**"


@dataclass(frozen=True)
class Aim:
    """What was aimed at, and where in its part's result stands what was found."""

    part: str
    what: str
    """`{history}` is how many orders lay behind it."""
    against: str
    at: str
    sign: str
    """≥ where more is better, else ≤."""
    limit: float

    def met(self, value: float) -> bool:
        """Whether this is good enough."""
        return value >= self.limit if self.sign == "≥" else value <= self.limit


AIMS = (
    Aim("throughput", "one service, topic to topic: events a second", "hand-written floor", "ratio.floor", "≥", 0.7),
    Aim("throughput", "the same", "the same, at last", "ratio.floor", "≥", 0.85),
    Aim("throughput", "the same", "FastStream + SQLAlchemy ORM, one message at a time", "ratio.orm", "≥", 80),
    Aim("throughput", "the same", "DBOS, one workflow an event", "ratio.dbos", "≥", 80),
    Aim("orders", "whole orders, placed to received: orders a second", "–", "rate", "≥", 200),
    Aim("scan", "a scan over HTTP, 200 a second, p50", "bare FastAPI + one INSERT", "ratio.p50", "≤", 1.5),
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


def about(results: Results) -> str:
    """The machine and its versions; then, of each part, what was measured, when, and from which seeds."""
    abouts = {part: result["about"] for part, result in results.items()}
    parts: dict[str, list[str]] = {}
    for part, a in abouts.items():
        m = a["machine"]
        machine = (
            f"{m['processor']}, {m['cores']} cores, {m['memory_gib']} GiB, {m['system']}, Python {m['python']}; PostgreSQL "
            f"{a['postgres']}; Kafka: {a['kafka']}"
        )
        parts.setdefault(machine, []).append(part)
    newest = max(abouts.values(), key=lambda a: a["measured_at"])
    libraries = ", ".join(f"{n} {v}" for n, v in newest["machine"]["libraries"].items())
    rows = (
        [part, a.get("commit") or "not kept", a["measured_at"][:10], str(a["rounds"]), seeds(results[part]["found"]),
         str(a["load_before"])]
        for part, a in abouts.items()
    )  # fmt: skip
    return "\n".join(
        [
            *(f"- {machine} ({', '.join(of)})." for machine, of in parts.items()),
            f"- {libraries}.",
            "- Load, below, is the mean of the minute before a part, and above 0 in part for the part before it.",
            "",
            table("part | commit | measured | rounds | seeds | load", *rows),
        ]
    )


def seeds(found: Found) -> str:
    """What was drawn from which seed. Older results do not have them."""
    return ", ".join(f"{what} {seed}" for what, seed in found.get("seeds", {}).items()) or "not kept"


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


def scan(f: Found) -> str:
    """Percentiles beside the floor's."""
    rows = (
        [p, figure(by["handover"], " ms"), figure(by["floor"], " ms"), figure(f["ratio"][p])]
        for p, by in f["ms"].items()
    )
    return table("percentile | Handover | floor | ratio", *rows)


def hops(f: Found) -> str:
    """Commit to commit, quiet and loaded. Older results have all ways together as well, of which there is one."""
    rows = (
        [f"{when}, {way}", number(ms["p50"]), number(ms["p99"]), str(ms["hops"])]
        for when in ("quiet", "loaded")
        for way, ms in f[when]["ms"].items()
        if way != "all"
    )
    return table("when, way | p50 ms | p99 ms | hops", *rows)


def footprint(f: Found) -> str:
    """Memory and start-up by service."""
    rows = (
        [s, figure(f["idle_mb"][s]), number(f["loaded_mb"][s]["median"]), figure(f["seconds_to_ready"][s])]
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
        [f"one SKU wanted by every order ({wanted}), orders/s", figure(hot["rate"]["spread"]), figure(hot["rate"]["hot"]),
         figure(hot["cpu_ratio"])],
        [f"one order with {long['lines']:,} lines, ms to reserved and told", "–", figure(long["ms_to_reserved"]), "–"],
    )  # fmt: skip


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


def write() -> None:
    """Bring the page up to date."""
    PAGE.write_text(render(PAGE.read_text(encoding="utf-8"), read()), encoding="utf-8")


if __name__ == "__main__":
    write()
