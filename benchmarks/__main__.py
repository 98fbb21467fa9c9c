"""`python -m benchmarks [PART...]`: measure parts (all), write what was found into benchmarks/results, one file a part,
and put it into docs/performance.md."""

import asyncio
import json
import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks import broker, machine, page
from benchmarks.contestants import contestants
from benchmarks.parts import (
    footprint,
    growth,
    hops,
    housekeeping,
    microseconds,
    orders,
    replicas,
    scan,
    throughput,
)
from benchmarks.place import Place, place
from deploy.topics import topics

PARTS: dict[str, Callable[[Place, int], dict[str, Any]]] = {
    "throughput": throughput.measure,
    "microseconds": microseconds.measure,
    "orders": orders.measure,
    "scan": scan.measure,
    "hops": hops.measure,
    "footprint": footprint.measure,
    "replicas": replicas.measure,
    "growth": growth.measure,
    "housekeeping": housekeeping.measure,
}


def main(
    parts: Annotated[list[str] | None, typer.Argument(help=f"Which of {', '.join(PARTS)}; all.")] = None,
    kafka: Annotated[
        str | None,
        typer.Option(
            envvar="HANDOVER_BENCH_KAFKA",
            callback=broker.checked,
            help="A running broker, host:port, that is there for benchmarks: they empty all topics of Handover on it, and "
            f"refuse one that has such topics and no topic {broker.MARK}. Else a container.",
        ),
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds of each figure; medians need five.")] = 5,
    results: Annotated[
        Path,
        typer.Option(
            file_okay=False, help="Where the JSON files go; those of another folder change no page."
        ),
    ] = page.RESULTS,
) -> None:
    """Measure, and write what was found."""
    if unknown := set(parts or ()) - PARTS.keys():
        raise typer.BadParameter(
            f"there is no part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}"
        )
    if "growth" in (parts or PARTS):
        growth.asked()
    os.environ.setdefault("TESTCONTAINERS_RYUK_DISABLED", "true")
    used = {topic for c in contestants().values() for topic in (c.topic_in, c.topic_out)}
    commit = machine.commit()  # of the code that runs from here on, whatever is committed meanwhile
    with place(kafka, used | {topic.name for topic in topics()}) as where:
        for name in parts or PARTS:
            print(f"{name} …", flush=True)
            before, began = machine.load(), time.monotonic()
            found = PARTS[name](where, rounds)
            about = {
                "commit": commit,
                "measured_at": datetime.now(UTC).isoformat(timespec="minutes"),
                "took_seconds": round(time.monotonic() - began),
                "rounds": rounds,
                "load_before": before,
                "machine": machine.describe(),
                "kafka": where.kafka_version,
                "postgres": asyncio.run(where.postgres_version()),
            }
            results.mkdir(parents=True, exist_ok=True)
            text = json.dumps({"about": about, "found": found}, indent=1, ensure_ascii=False)
            kept_as = growth.kept_as(found) if name == "growth" else name
            (results / f"{kept_as}.json").write_text(text + "\n")
            print(f"{name}: {about['took_seconds']} s", flush=True)
    if results.resolve() == page.RESULTS.resolve():
        page.write()


if __name__ == "__main__":
    app = typer.Typer(pretty_exceptions_enable=False, add_completion=False)
    app.command()(main)
    app()
