"""`handover replay DIR`: real order histories through the whole system, and the reconciliation of files and system."""

import asyncio
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from deploy.commands.starting import told
from deploy.embedded.lock import only_one
from deploy.embedded.stack import Stack
from deploy.play.checks import check_all
from deploy.play.edges import Edges, Listener
from deploy.play.files import HistoriesError
from deploy.play.histories import SOURCE, History, digest, read
from deploy.play.outcomes import UNPAID_FOR, from_files, from_system, is_fault
from deploy.play.pace import WATCHER, Pace
from deploy.play.replay import OtherReplay, Replay, end_of
from deploy.play.replay import Progress as Kept
from deploy.play.report import checks_table
from deploy.play.targets import embedded
from shared.events.identity import order_id as id_of

console = Console()


def replay(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="Order histories: orders.csv, customers.csv, …")
    ],
    data: Annotated[Path, typer.Option(help="Where the system keeps its data between runs")] = Path(
        ".handover/replay"
    ),
    limit: Annotated[int, typer.Option(min=0, help="Only the first so many orders; 0 for all")] = 0,
    differences: Annotated[int, typer.Option(help="How many differing orders are listed")] = 1000,
) -> None:
    """Play order histories through the public edges on the driven clock, then compare files and system, order by order.

    Stopped with Ctrl-C it goes on where it was; run after its end it hands
    everything in again, which changes nothing. Other files or another --limit
    need another --data.

    Ends with 0 when every order was found again and all checks hold; with 1
    when an order is lost, or refused though the files hold nothing against it,
    or a check does not hold; with 2, before anything starts, when the files
    cannot be used.

    DIR holds CSV files in UTF-8 with at least these columns. Times without an
    offset are Brasília's, amounts are in reais.

    orders.csv: order_id, customer_id, order_status, order_purchase_timestamp,
    order_approved_at, order_delivered_carrier_date,
    order_delivered_customer_date, order_estimated_delivery_date

    customers.csv: customer_id, customer_unique_id, customer_zip_code_prefix,
    customer_city, customer_state

    order_items.csv, a row a piece: order_id, product_id, price, freight_value

    order_payments.csv: order_id, payment_sequential, payment_value

    products.csv: product_id, product_weight_g

    order_reviews.csv, which may be left out: order_id, review_answer_timestamp
    """
    try:
        histories = read(folder)
        kept = Kept(data / "replay.json", limit, digest(folder))
    except (HistoriesError, OtherReplay) as error:
        console.print(str(error), style="red", markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(2) from None
    if limit:
        histories = histories[:limit]
    start = histories[0].placed_at - timedelta(days=1)
    if kept.done > "2000-01-01":
        start = end_of(datetime.fromisoformat(kept.done).date())
    settings = {
        "HANDOVER_UNPAID_EXPIRES_AFTER": f"P{UNPAID_FOR.days}D",
        "HANDOVER_STAFF_LOCALE": "en",
        "HANDOVER_IDS_KEPT_FOR": "P3650D",  # years pass, and all of it may be handed in twice
    }
    console.print(f"{len(histories)} orders. Starting PostgreSQL, the broker and the four services …")
    try:
        with (
            told(console),
            only_one(data),
            Stack(data, clock_start=start.astimezone(UTC), settings=settings) as stack,
        ):
            well = asyncio.run(_play(stack, histories, kept, differences))
    except KeyboardInterrupt:
        console.print("Stopped. The same command goes on from here.")
        raise typer.Exit(130) from None
    raise typer.Exit(0 if well else 1)


async def _play(stack: Stack, histories: list[History], kept: Kept, most: int) -> bool:
    began = time.monotonic()
    target = embedded(stack)
    async with Edges(target) as edges, Listener(target) as listener, Pace(edges) as pace:
        run = Replay(histories, edges, pace, listener)
        await pace.settled()
        days = run.days
        again = bool(days) and kept.done >= days[-1].isoformat()
        if again:
            console.print("Everything was played before: it is handed in a second time.")
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=console) as progress:
            bar = progress.add_task("days", total=len(days))
            await run.play(
                kept, again, lambda day: progress.update(bar, advance=1, description=day.isoformat())
            )
        await pace.settled()
        found = {h.order_id: await _of_system(h, run, edges) for h in histories}
        checks = await check_all(target.databases)
    well = _reconcile(histories, found, most)
    console.print(checks_table(checks))
    holding = sum(not check.against for check in checks)
    console.print(f"{edges.sent} messages handed in, {sum(listener.counts.values())} events said, "
                  f"{holding} of {len(checks)} checks hold, {time.monotonic() - began:.0f} s.")  # fmt: skip
    return well and holding == len(checks)


async def _of_system(h: History, run: Replay, edges: Edges) -> tuple[str, str]:
    answer: list[dict[str, Any]] = await edges.get(
        "orders", f"/v1/orders?source={SOURCE}&number={h.order_id}", WATCHER
    )
    order = (
        answer[0] | {"cancel_refused": id_of(SOURCE, h.order_id) in run.cancel_refused} if answer else None
    )
    return from_system(order, run.refused.get(f"{h.order_id}-submitted"))


def _reconcile(histories: list[History], found: dict[str, tuple[str, str]], most: int) -> bool:
    """Print both sides; True when no difference is a fault: all others have a reason, which is told."""
    told = from_files(histories)
    table = Table(title="Where every order ended", title_justify="left")
    for column in ("outcome", "from the files alone", "from the system alone"):
        table.add_column(column, justify="left" if column == "outcome" else "right")
    left, right = Counter(str(o) for o, _ in told.values()), Counter(str(o) for o, _ in found.values())
    for outcome in dict.fromkeys([*sorted(left), *sorted(right)]):
        table.add_row(
            outcome,
            str(left[outcome]),
            str(right[outcome]),
            style=None if left[outcome] == right[outcome] else "yellow",
        )
    table.add_row("all", str(sum(left.values())), str(sum(right.values())), style="bold")
    console.print(table)
    differ = [h for h in histories if told[h.order_id][0] != found[h.order_id][0]]
    console.print(f"{len(histories) - len(differ)} orders agree, {len(differ)} differ.")
    faults = {h.order_id for h in differ if is_fault(told[h.order_id][0], found[h.order_id][0])}
    for h in sorted(differ, key=lambda h: h.order_id not in faults)[:most]:
        (outcome, why), (stands, behind) = told[h.order_id], found[h.order_id]
        line = f"{h.order_id} ({h.status}): files {outcome}{f', {why}' if why else ''}; system {stands}, {behind}"
        console.print(line, style="red" if h.order_id in faults else None, markup=False, soft_wrap=True)
    surprises = Table(title="Decided by rule, where the files are not clean", title_justify="left")
    surprises.add_column("what the files hold")
    surprises.add_column("orders", justify="right")
    why_told = (
        "payments do not add up" if why.startswith("paid") else why for _, why in told.values() if why
    )
    for why, count in Counter([*why_told, *(dirt for h in histories for dirt in h.dirt)]).items():
        surprises.add_row(why, str(count))
    console.print(surprises)
    if faults:
        console.print(
            f"{len(faults)} of them no rule explains: lost, or refused on one side alone. They stand first in the list.",
            style="bold red",
            soft_wrap=True,
        )
    return not faults
