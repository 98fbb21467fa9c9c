"""`handover doctor`: the whole system on one screen, and for all that is not well what it means and what to do."""

import asyncio
import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from prometheus_client import CollectorRegistry, Gauge, write_to_textfile
from rich.console import Console
from rich.table import Table
from rich.text import Text

from deploy.access import administrator_token, database_url, named, service_url, wrong
from deploy.doctor.judge import Finding, judge, unfit
from deploy.doctor.look import Look, ask, ask_database, compare

RUNBOOKS = "docs/operations.md"


def doctor(
    service: Annotated[str | None, typer.Option(help="One service; all without it")] = None,
    deep: Annotated[bool, typer.Option("--deep", help="Verify every event, however long it takes")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For monitoring: one JSON object")] = False,
    textfile: Annotated[
        Path | None,
        typer.Option(help="Also write what needs somebody for Prometheus: this file, named *.prom"),
    ] = None,
) -> None:
    """Look at every service: ready, behind, to send, parked, overdue, chain. Ends with 0 when nobody is needed, with 1 when
    somebody is, with 2 when it could not look."""
    names = named(service)
    looks = asyncio.run(look_at(names, deep))
    if why := next(filter(None, map(unfit, looks)), None):
        raise wrong(
            f"HANDOVER_TOKEN does not do: {why}. Make one with "
            "`handover token create --as operator --name <you> --role administrator`, or leave it unset where the key is."
        )
    findings = judge(looks)
    needed = any(finding.needs_somebody for finding in findings)
    if textfile is not None:
        _write(textfile, findings, "deep" if deep else "quick")
    if as_json:
        found = [asdict(finding) for finding in findings]
        services = {look.service: asdict(look) | {"ready": look.ready} for look in looks}
        print(json.dumps({"well": not needed, "findings": found, "services": services}, default=str))
    else:
        _show(looks, findings, needed, deep)
    raise typer.Exit(1 if needed else 0)


async def look_at(names: list[str], deep: bool) -> list[Look]:
    """Ask all services at once, then their databases, then whether what each said reached the others."""
    token = administrator_token()
    looks = [Look(name, service_url(name)) for name in names]
    databases = {name: url for name in names if (url := _database(name))}
    # the logs first: what they have was said before a service answers that nothing is on its way
    of_logs = [
        ask_database(look, databases[look.service], deep) for look in looks if look.service in databases
    ]
    await asyncio.gather(*of_logs)
    await asyncio.gather(*(ask(look, token) for look in looks))
    reachable = [look for look in looks if look.service in databases and look.database is None]
    await asyncio.gather(*(compare(look, databases, looks) for look in reachable))
    return looks


def _database(service: str) -> str | None:
    """Who may ask services need not have the passwords of their databases: then the logs are not checked, and this is said."""
    try:
        return database_url(service)
    except typer.Exit:
        return None


def findings_of(findings: list[Finding], look: str) -> CollectorRegistry:
    """What needs somebody, as metrics: the service, the runbook, and what kind of look found it."""
    registry = CollectorRegistry()
    found = Gauge(
        "handover_doctor_findings",
        "Findings of handover doctor that need somebody.",
        ["service", "runbook", "look"],
        registry=registry,
    )
    for finding in findings:
        if finding.needs_somebody:
            for service in finding.service.split(", "):
                found.labels(service, finding.runbook, look).inc()
    return registry


def _write(file: Path, findings: list[Finding], look: str) -> None:
    try:
        write_to_textfile(str(file), findings_of(findings, look))
    except OSError as error:
        raise wrong(f"{file} cannot be written: {error.strerror}.") from None


def _show(looks: list[Look], findings: list[Finding], needed: bool, deep: bool) -> None:
    console = Console()
    table = Table()
    for column in ("service", "ready", "not applied", "to send", "parked", "overdue", "event log"):
        table.add_column(column)
    for look in looks:
        table.add_row(look.service, *_cells(look))
    console.print(table)
    for finding in findings:
        sign, style = ("●", "red") if finding.needs_somebody else ("○", "yellow")
        line = Text(f"{sign} {finding.service}: {finding.what}.", style=style)
        console.print(line, soft_wrap=True)
        console.print(
            f"  → {finding.do}  [{RUNBOOKS}: {finding.runbook}]",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )
    if any(" of about " in look.chain for look in looks) and not deep:
        console.print("Of large logs the newest and some other events were verified; --deep verifies all.")
    console.print("Somebody is needed." if needed else "All is well.")


def _cells(look: Look) -> list[str]:
    ready = "yes" if look.ready else "no answer" if look.silent else "no"
    chain = f"{len(look.breaks)} broken in {look.chain}" if look.breaks else look.chain
    if look.progress is None:
        return [ready, "?", "?", "?", "?", chain]
    progress = look.progress
    behind = ", ".join(f"{topic} {n}" for topic, n in (look.lag or {}).items() if n) or "0"
    outbox = (
        f"{progress['outbox']} ({progress['outbox_oldest_seconds']:.0f} s)" if progress["outbox"] else "0"
    )
    parked = ", ".join(f"{n} {state}" for state, n in progress["parked"].items()) or "0"
    timers = (
        f"{progress['timers_due']} ({progress['timers_oldest_seconds']:.0f} s)"
        if progress["timers_due"]
        else "0"
    )
    return [ready, behind if look.lag is not None else "?", outbox, parked, timers, chain]
