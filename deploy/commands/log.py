"""The event logs: verify their chains, fill topics again from them."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar

import asyncpg
import typer

from deploy.access import database_url, failure_of, named, wrong
from deploy.doctor.judge import counted
from shared.runtime.outbox import republish as refill
from shared.runtime.postgres import UNAVAILABLE, Pool, make_pool
from shared.runtime.verify import Verdict
from shared.runtime.verify import verify as verify_log

app = typer.Typer(no_args_is_help=True)
Service = Annotated[str | None, typer.Option(help="orders, warehouse, aftersales or notify; all without it")]
T = TypeVar("T")


@app.command()
def verify(
    service: Service = None,
    stream: Annotated[str | None, typer.Option(help="One stream, for example order/<order id>")] = None,
) -> None:
    """Compute every hash chain anew and say where the first break is. Ends with 1 when there is one, with 2 when there is none
    but a database could not be read; the others are read all the same (O12)."""
    whole, events, unread = True, 0, None
    for name in named(service):
        try:
            verdict: Verdict = _with_pool(name, lambda pool: verify_log(pool, stream))
        except typer.Exit as failed:
            unread = failed
            continue
        read = f"{counted(verdict.events, 'event')} in {counted(verdict.streams, 'stream')}"
        print(f"{name}: {read}, {len(verdict.breaks)} broken.")
        for broken in verdict.breaks:
            print(f"  {broken.stream} breaks at event {broken.sequence}: {broken.why}.")
        whole, events = whole and not verdict.breaks, events + verdict.events
    if unread is not None and whole:
        raise unread
    if stream and whole and not events:
        raise wrong(f"There is no stream {stream!r} in the log.")
    raise typer.Exit(0 if whole else 1)


@app.command()
def republish(
    service: Service = None,
    after: Annotated[int, typer.Option(min=0, help="Only events after this position of the log")] = 0,
) -> None:
    """Send what the logs hold again, to fill lost or rebuilt topics; consumers skip what they know."""
    for name in named(service):
        count = _with_pool(name, lambda pool: refill(pool, after))
        print(f"{name}: {counted(count, 'event')} will be sent again.")


def _with_pool(service: str, work: Callable[[Pool], Awaitable[T]]) -> T:
    async def run() -> T:
        async with make_pool(database_url(service), statement_timeout_ms=3_600_000) as pool:
            return await work(pool)

    try:
        return asyncio.run(run())
    except (*UNAVAILABLE, asyncpg.PostgresError) as error:
        raise wrong(f"The database of {service} {failure_of(error)}.") from None
