"""`handover simulate`: thousands of orders through all services in memory, everything around them breaking (X2)."""

import secrets
import time
from collections import Counter
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from deploy.simulate.chaos import KINDS
from deploy.simulate.search import Result, Run, explained, play_all, towns

console = Console(soft_wrap=True)


def simulate(
    seed: Annotated[str, typer.Option(help="What everything is decided by; a new one when left out")] = "",
    orders: Annotated[int, typer.Option(min=1, help="How many orders")] = 10_000,
    only: Annotated[
        str, typer.Option(help="One town with these orders, as a failure prints them: 3,17-40")
    ] = "",
    trouble: Annotated[
        str, typer.Option(help=f"What may go wrong: all, none, or some of {', '.join(KINDS)}")
    ] = "all",
    shake: Annotated[
        int,
        typer.Option(
            min=0, help="The same people under other troubles and in other turns, as a failure prints it"
        ),
    ] = 0,
) -> None:
    """Play orders through the real handlers and turns on a simulated log, kill, delay and double everything on the way, and
    check that nothing was lost, doubled or out of order. A failure prints the shortest trace that was found, of the orders that
    it names, and what repeats it."""
    kinds = _kinds(trouble)
    seed = seed or secrets.token_hex(4)
    runs = [Run(seed, numbers(only), kinds, shake)] if only else towns(seed, orders, kinds, shake)
    began = time.monotonic()
    console.print(f"seed {seed}, {sum(len(r.orders) for r in runs)} orders in {len(runs)} towns")
    events, troubles = 0, Counter[str]()
    columns = (TextColumn("towns"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    failed: Result | None = None
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task("towns", total=len(runs))
        for result in play_all(runs):
            events += result.events
            troubles.update(result.troubles)
            progress.advance(bar)
            if result.broken:
                failed = result
                break
    if failed is not None:
        console.print(
            f"[bold red]A rule does not hold.[/] Looking for fewer orders that show it; all of it: {failed.run}"
        )
        console.print(explained(failed), markup=False, highlight=False)
        raise typer.Exit(1)
    table = Table("what went wrong around the services", "how often")
    for kind, n in sorted(troubles.items()):
        table.add_row(kind, str(n))
    console.print(table)
    console.print(
        f"{events} events; nothing lost, nothing twice, nothing out of order. {time.monotonic() - began:.0f} s"
    )


def _kinds(trouble: str) -> frozenset[str]:
    if trouble in ("all", "none"):
        return frozenset(KINDS if trouble == "all" else ())
    kinds = frozenset(k.strip() for k in trouble.split(","))
    if unknown := kinds - set(KINDS):
        raise typer.BadParameter(
            f"{', '.join(sorted(unknown))}: take all, none, or some of {', '.join(KINDS)}"
        )
    return kinds


def numbers(only: str) -> tuple[int, ...]:
    """The orders of `--only`. Raises BadParameter."""
    try:
        spans = [[int(n) for n in span.split("-", 1)] for span in only.split(",")]
    except ValueError:
        spans = []
    if not spans or any(span[0] > span[-1] for span in spans):
        raise typer.BadParameter("--only takes numbers of orders: 3,17-40")
    return tuple(sorted({n for span in spans for n in range(span[0], span[-1] + 1)}))
