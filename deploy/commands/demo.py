"""`handover demo`: a day in a shop, on the embedded parts or on containers that are running."""

import asyncio
import time
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated

import typer
from rich.console import Console
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from deploy.commands.starting import told
from deploy.embedded.stack import Stack
from deploy.play.checks import Check, check_all
from deploy.play.day import Day
from deploy.play.edges import Edges, Listener, Target
from deploy.play.report import checks_table, ends, events_table, orders_table
from deploy.play.script import write
from deploy.play.targets import compose, embedded
from deploy.provision import SERVICES

console = Console()


class Where(StrEnum):
    """What the day is played on."""

    EMBEDDED = "embedded"
    COMPOSE = "compose"


def demo(
    orders: Annotated[
        int, typer.Option(min=1, max=100_000, envvar="ORDERS", help="How many orders the day brings")
    ] = 200,
    seed: Annotated[int, typer.Option(help="The same seed brings the same day")] = 1,
    target: Annotated[
        Where, typer.Option(help="embedded starts its own parts; compose plays on running containers")
    ] = (Where.EMBEDDED),
    kill: Annotated[
        bool, typer.Option("--kill", help="kill -9 each service in turn while the day goes on (embedded)")
    ] = False,
) -> None:
    """Play a day in a shop through the public edges, then show where every order ended and which invariants hold."""
    try:
        if target is Where.COMPOSE:
            well = asyncio.run(play(compose(), orders, seed))
        else:
            with told(console):
                well = _embedded(orders, seed, kill)
    except KeyboardInterrupt:
        console.print("Stopped.")
        raise typer.Exit(130) from None
    raise typer.Exit(0 if well else 1)


def _embedded(orders: int, seed: int, kill: bool) -> bool:
    console.print("Starting PostgreSQL, the broker and the four services …")
    with Stack() as stack:
        console.print("All services are ready. The shop opens.")
        try:
            return asyncio.run(play(embedded(stack), orders, seed, Killer(stack) if kill else None))
        except KeyboardInterrupt:
            console.print("Stopping …")
            raise


class Killer:
    """Kills one service after the other while the day goes on."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.kills = 0

    async def run(self) -> None:
        for service in SERVICES:
            await asyncio.sleep(2)
            self.stack.kill(service)
            self.kills += 1
            await asyncio.sleep(0.5)
            self.stack.run(service)
            while await asyncio.to_thread(self.stack.not_ready, service):
                await asyncio.sleep(0.1)


async def play(target: Target, orders: int, seed: int, killer: Killer | None = None) -> bool:
    """Play the day; True when every order ended as its story goes and all invariants hold."""
    began = time.monotonic()
    run = datetime.now(UTC).strftime("%m%d-%H%M%S")
    scripts = write(run, orders, seed, datetime.now(UTC))
    async with Edges(target) as edges, Day(scripts, edges) as day, Listener(target) as listener:
        listener.tell(day.hear)
        ended = await _show(day, orders, killer)
        checks = await _drained(target)
        found = await ends(day, edges)
        table, wrong = orders_table(day, found)
        messages = listener.types.get("notify.message_sent.v1", 0)
    console.print(table)
    console.print(events_table(listener, edges.sent, messages))
    console.print(
        checks_table(checks)
        if checks
        else "The databases cannot be reached from here: no invariants were asked."
    )
    for script in wrong[:20]:
        console.print(f"[red]{script.number} ({script.story}) stands at: {found[script.order_id]}")
    for failure in day.failures[:20]:
        console.print(f"[red]{failure}")
    if killer:
        console.print(f"{killer.kills} times a service was killed and started again.")
    holding = sum(not c.against for c in checks)
    console.print(
        f"{orders} orders, {holding} of {len(checks)} checks hold, {time.monotonic() - began:.1f} s."
    )
    return ended and not wrong and not day.failures and holding == len(checks)


async def _show(day: Day, orders: int, killer: Killer | None) -> bool:
    columns = (TextColumn("{task.description:<28}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    progress = Progress(*columns, console=console)
    bars = {
        "order_placed": progress.add_task("orders came in", total=orders),
        "order_released": progress.add_task("released to the warehouse", total=None),
        "shipment_shipped": progress.add_task("parcels left", total=None),
        "shipment_delivered": progress.add_task("parcels delivered", total=None),
        "done": progress.add_task("orders ended", total=orders),
    }

    def look() -> None:
        for stage, bar in bars.items():
            progress.update(bar, completed=len(day.done) if stage == "done" else day.stages[stage])

    with Live(progress, console=console, refresh_per_second=8):
        await day.receive_stock()
        killing = asyncio.create_task(killer.run()) if killer else None
        await day.open_shop(look)
        ended = await day.finish(60 + orders * 0.5, look)
        if killing is not None:
            await killing
        look()
    return ended


async def _drained(target: Target) -> list[Check]:
    """Wait until no event is on its way: what was said is sent, and what was sent is applied. Returns what holds then: a moment
    later the next letter may be on its way. Nothing where the databases cannot be reached."""
    if not target.databases:
        await asyncio.sleep(3)
        return []
    for _ in range(300):
        checks = await check_all(target.databases)
        if not any(check.against for check in checks):
            break
        await asyncio.sleep(0.3)
    return checks
