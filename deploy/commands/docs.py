"""`handover docs`: writes what is generated from the code, or says what differs."""

import sys
from typing import Annotated

import typer

from deploy.docs import contracts, pages
from deploy.docs.system import ROOT, services

GENERATED = ROOT / "docs" / "generated"
GOLDEN = ROOT / "tests" / "contracts" / "golden"


def everything() -> dict[str, str]:
    """Path below docs/generated → content."""
    made = {
        "event-map.md": pages.event_map(),
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
            print(
                f"{file.relative_to(ROOT)} is not what the code says; run `make docs` and commit it.",
                file=sys.stderr,
            )
        raise typer.Exit(1 if stale or left_over else 0)
    for file in stale:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(files[file], encoding="utf-8")
    for file in left_over:
        file.unlink()
    print(f"{len(stale)} files written, {len(left_over)} removed, {len(files) - len(stale)} were up to date.")
