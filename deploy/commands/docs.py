"""`handover docs`: writes what is generated from the code, or says what differs."""

import sys
from difflib import unified_diff
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer

from deploy.docs import contracts, examples, pages
from deploy.docs.system import ROOT, services

GENERATED = ROOT / "docs" / "generated"
GOLDEN = ROOT / "tests" / "contracts" / "golden"
SHOWN = 6
"""Lines of a file that differs, enough to see what it is about."""


def everything() -> dict[str, str]:
    """Path below docs/generated → content."""
    made = {
        "event-map.md": pages.event_map(),
        "inbox-events.md": examples.page(pages.MADE),
        "lifecycles.md": pages.lifecycle_pages(),
        "settings.md": pages.settings(),
        "requirements.md": pages.requirements(),
    }
    for described in services():
        made[f"asyncapi/{described.name}.json"] = contracts.text(contracts.asyncapi(described))
        made[f"openapi/{described.name}.json"] = contracts.text(contracts.openapi(described))
    return made


def docs(
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; fail when something differs")
    ] = False,
    accept_schemas: Annotated[
        bool,
        typer.Option("--accept-schemas", help="Also write the golden schemas that events are held against"),
    ] = False,
) -> None:
    """Generate event map, lifecycles, settings, requirements, AsyncAPI and OpenAPI into docs/generated."""
    files = {GENERATED / name: content for name, content in everything().items()}
    if accept_schemas:
        files |= {GOLDEN / name: content for name, content in contracts.golden().items()}
    old = {file for file in GENERATED.rglob("*") if file.is_file()}
    stale = [f for f, content in files.items() if not f.exists() or f.read_text(encoding="utf-8") != content]
    left_over = sorted(old - files.keys())
    if check:
        for file in [*stale, *left_over]:
            print(f"{file.relative_to(ROOT)} is not what the code says:", file=sys.stderr)
            print(_differences(file, files.get(file, "")), file=sys.stderr)
        if stale or left_over:
            print("Run `make docs` and commit what it writes.", file=sys.stderr)
        raise typer.Exit(1 if stale or left_over else 0)
    for file in stale:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(files[file], encoding="utf-8")
    for file in left_over:
        file.unlink()
    print(f"{len(stale)} files written, {len(left_over)} removed, {len(files) - len(stale)} were up to date.")


def _differences(file: Path, content: str) -> str:
    """The first lines that differ, shortened."""
    old = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    changed = [
        line
        for line in islice(unified_diff(old, content.splitlines(), n=0, lineterm=""), 2, None)
        if not line.startswith("@@")
    ]
    shown = [f"  {line[:120]}{'…' if len(line) > 120 else ''}" for line in changed[:SHOWN]]
    return "\n".join([*shown, f"  … {len(changed) - SHOWN} lines more"] if len(changed) > SHOWN else shown)
