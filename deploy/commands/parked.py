"""Messages that were set aside: list, show, mend, retry, skip (X2)."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import httpx
import orjson
import typer
from rich.console import Console
from rich.table import Table

from deploy.access import administrator_token, named, service_url, wrong

app = typer.Typer(no_args_is_help=True)
console = Console()
Name = Annotated[str, typer.Argument(help="orders, warehouse, aftersales or notify")]
Key = Annotated[str, typer.Argument(help="The key that `handover parked list` shows")]
SHOWN = 100
"""Messages of a service that a list shows."""
LIST_SECONDS = 10
"""How long a service has to answer a list; a retry may take longer."""
Why = Annotated[str, typer.Option("--reason", help="Why; kept for the record")]


@app.command("list")
def list_parked(
    service: Annotated[str | None, typer.Option(help="One service; all without it")] = None,
    state: Annotated[
        str | None, typer.Option(help="failed, queued, gap, skipped or mended; all that wait without it")
    ] = None,
) -> None:
    """What is set aside; first what the others wait for, which begins each lane. Ends with 2 when a service could not be
    asked; the others are listed all the same."""
    asked = f"/ops/parked?limit={SHOWN + 1}" + (f"&state={state}" if state else "")
    unasked: typer.Exit | None = None
    for name in named(service):
        try:
            found: list[dict[str, Any]] = _ask("GET", name, asked, seconds=LIST_SECONDS)
        except typer.Exit as failed:
            unasked = failed
            continue
        rows = found[:SHOWN]
        if not rows:
            console.print(f"{name}: nothing is parked.")
            continue
        table = Table(title=name, title_justify="left")
        for column in ("no.", "since (UTC)", "state", "type", "stream", "reason", "tries"):
            table.add_column(column, overflow="fold")
        for number, row in enumerate(rows, 1):
            kept = (row["state"], row["type"], row["stream"], row["reason"], str(row["tries"]))
            table.add_row(str(number), _since(row["parked_at"]), *kept)
        console.print(table)
        for number, row in enumerate(rows, 1):  # whole on a line of its own, to be copied
            console.print(f"{number} {row['key']}", soft_wrap=True, highlight=False)
        if len(found) > SHOWN:
            console.print(
                f"These are the first {SHOWN}, there are more; --state failed shows what others wait for."
            )
    if unasked is not None:
        raise unasked


@app.command()
def show(service: Name, key: Key) -> None:
    """One message whole: headers, body, traceback. It may hold personal data."""
    row = _ask("GET", named(service)[0], f"/ops/parked/{quote(key)}")
    bodies = {name: _read(row[name]) for name in ("body", "original")}
    console.print_json(data=row | bodies | {"traceback": row["traceback"].splitlines()})


@app.command()
def retry(service: Name, key: Key) -> None:
    """Try the lane of this message again, in order, until one fails. Ends with 1 when one did."""
    answer = _ask("POST", named(service)[0], f"/ops/parked/{quote(key)}/retry")
    refused = answer["refused"]
    between = f"{len(refused)} refused, " if refused else ""
    console.print(f"{answer['done']} done, {between}{answer['still_parked']} still parked.")
    for refusal in refused:
        told = f"{refusal['code']}: {refusal['detail']}"
        console.print(f"Refused, its sender is told: {told}", soft_wrap=True, markup=False, highlight=False)
    if first := answer["waits_for"]:
        told = f"{first['type']}, {first['reason']}"
        console.print(f"Still parked: {told}", soft_wrap=True, markup=False, highlight=False)
    if answer["still_parked"]:
        raise typer.Exit(1)


@app.command()
def skip(service: Name, key: Key, reason: Why) -> None:
    """Give a message up; those behind it go on."""
    _ask("POST", named(service)[0], f"/ops/parked/{quote(key)}/skip", {"reason": reason})
    console.print("Skipped; the messages behind it go on.")


@app.command()
def mend(
    service: Name,
    key: Key,
    body: Annotated[
        Path, typer.Option("--body", exists=True, dir_okay=False, help="File with the corrected JSON body")
    ],
    reason: Why,
) -> None:
    """Replace the body of a message by a corrected one; then retry it."""
    try:
        corrected = orjson.loads(body.read_text(encoding="utf-8"))  # as strict as the service: no NaN
    except ValueError as error:
        raise wrong(f"{body} is not JSON: {error}") from None
    _ask("POST", named(service)[0], f"/ops/parked/{quote(key)}/mend", {"body": corrected, "reason": reason})
    console.print("Mended. Now try it again:")
    console.print(f"handover parked retry {service} {key}", soft_wrap=True, highlight=False)


def _read(body: str) -> Any:
    """What a body says, so that it can be read, and copied into a file for `mend`; its text where that is no JSON."""
    try:
        said = json.loads(body)
        json.dumps(said, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, RecursionError):
        return body
    return said


def _since(parked_at: str) -> str:
    return f"{datetime.fromisoformat(parked_at).astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def _ask(
    method: str, service: str, path: str, data: dict[str, Any] | None = None, *, seconds: float = 60
) -> Any:
    url = service_url(service)
    headers = {"authorization": f"Bearer {administrator_token()}"}
    try:
        answer = httpx.request(method, f"{url}{path}", headers=headers, json=data, timeout=seconds)
    except httpx.TransportError as error:
        raise wrong(f"{service} does not answer at {url}: {type(error).__name__}.") from None
    try:
        body = answer.json()
    except ValueError:
        raise wrong(
            f"What answers at {url} is not {service}: status {answer.status_code}, no JSON."
        ) from None
    if not answer.is_success:
        raise wrong(f"{service} refused: {body.get('detail', answer.status_code)}")
    return body
