"""A run as a table for people, as JSON for tools, as Markdown for docs/reliability.md."""

import json
import shlex
import statistics
from collections import Counter
from pathlib import Path
from typing import Any

from tests.faults.injections import QUICK, SLOW
from tests.faults.run import Result


def rows(result: Result) -> list[dict[str, Any]]:
    """One row a kind of fault. What was found wrong counts against every kind of the round in which it was found."""
    table = []
    for kind in (*QUICK, *SLOW):
        faults = [f for f in result.faults if f.kind == kind]
        rounds = {f.round for f in faults}
        found = [f for number, f in result.findings.items() if number in rounds]
        alone, waves = (
            [f.recovery for f in faults if f.alone is alone and f.recovery is not None]
            for alone in (True, False)
        )
        table.append(
            {
                "fault": kind,
                "injected": len(faults),
                "met": dict(Counter(f.met for f in faults if f.met)),
                "lost": sum(len(f.lost) for f in found),
                "doubled": sum(len(f.doubled) for f in found),
                "out_of_order": sum(len(f.out_of_order) for f in found),
                "broken": sum(len(f.broken) for f in found),
                "alone": len(alone),
                "recovery_median_s": round(statistics.median(alone), 1) if alone else None,
                "recovery_worst_s": round(max(alone), 1) if alone else None,
                "recovery_worst_in_waves_s": round(max(waves), 1) if waves else None,
            }
        )
    return table


def markdown(result: Result) -> str:
    """The table of docs/reliability.md."""
    lines = [
        "| fault | times | lost | doubled | out of order | alone | back after, median (s) | worst (s) | worst in a wave (s) |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for row in rows(result):
        cells = [row[name] for name in ("fault", "injected", "lost", "doubled", "out_of_order", "alone",
                                        "recovery_median_s", "recovery_worst_s", "recovery_worst_in_waves_s")]  # fmt: skip
        lines.append(f"| {' | '.join('–' if cell is None else str(cell) for cell in cells)} |")
    return "\n".join(lines)


def tell(result: Result) -> str:
    """What a person wants to know, the bad news last."""
    counts = ", ".join(f"{n} {name}" for name, n in result.counts.items())
    lines = [
        markdown(result),
        "",
        f"seed {result.seed}: {len(result.faults)} faults in {result.seconds / 60:.1f} min; {counts}.",
    ]
    for number, found in result.findings.items():
        kinds = ", ".join(sorted({f.kind for f in result.faults if f.round == number}))
        lines.append(f"FOUND in round {number} ({kinds}):")
        for name in ("lost", "doubled", "out_of_order", "broken"):
            lines += [f"  {name}: {one}" for one in getattr(found, name)[:20]]
    lines += [f"TROUBLE: {one}" for one in result.trouble[:40]]
    lines.append(f"Repeat with: {command(result)}")
    return "\n".join(lines)


def command(result: Result) -> str:
    """The command line that injects the same faults again, into as many rounds as were played."""
    length = ["--short"] if result.short else ["--rounds", str(result.rounds)]
    only = [part for text in result.only for part in ("--only", text)]
    seed_and_rate = ["--seed", str(result.seed), "--rate", f"{result.rate:g}"]
    return shlex.join(["python", "-m", "tests.faults", *seed_and_rate, *length, *only])


def write(result: Result, file: Path) -> None:
    """The same for tools."""
    file.write_text(
        json.dumps(
            {
                "seed": result.seed,
                "command": command(result),
                "seconds": round(result.seconds, 1),
                "faults": len(result.faults),
                "well": result.well,
                "counts": dict(result.counts),
                "table": rows(result),
                "trouble": result.trouble,
            },
            indent=1,
            ensure_ascii=False,
        )
        + "\n"
    )
