"""`python -m benchmarks.page`: put the figures of benchmarks/results into docs/performance.md, between its marks.

What stands between marks is made from the results. The words around it are written by hand, and so are the figures in them, of
earlier runs and of what was tried: nothing here brings those up to date.
"""

import json
import re
from pathlib import Path

from benchmarks.aims import summary
from benchmarks.plan import plan
from benchmarks.tables import SECTIONS, Found, orm_batch, table

RESULTS = Path(__file__).parent / "results"

PAGE = Path(__file__).parent.parent / "docs" / "performance.md"
Results = dict[str, Found]
"""What was found, by part."""


def read(folder: Path = RESULTS) -> Results:
    """What was found, by part, with `about`; of those that the page shows."""
    return {f.stem: json.loads(f.read_text()) for f in sorted(folder.glob("*.json")) if f.stem in SECTIONS}


def render(page: str, results: Results) -> str:
    """The page with the figures of these results; a part that was not measured keeps what stands there."""
    texts = {name: make(results[name]["found"]) for name, make in SECTIONS.items() if name in results}
    if results:
        texts |= {"summary": summary(results), "about": about(results), "plan": plan(results)}
    if "throughput" in results:
        texts["orm_batch"] = orm_batch(results["throughput"]["found"])
    for name, text in texts.items():
        page = re.sub(
            rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)",
            lambda m, text=text: f"{m[1]}{text}\n{m[2]}",  # type: ignore[misc]
            page,
            flags=re.DOTALL,
        )
    return page


def about(results: Results) -> str:
    """The machine and its versions; then, of each part, what was measured, when, and from which seeds."""
    abouts = {part: result["about"] for part, result in results.items()}
    parts: dict[str, list[str]] = {}
    for part, a in abouts.items():
        m = a["machine"]
        machine = (
            f"{m['processor']}, {m['cores']} cores, {m['memory_gib']} GiB, {m['system']}, Python {m['python']}; PostgreSQL "
            f"{a['postgres']}; Kafka: {a['kafka']}"
        )
        parts.setdefault(machine, []).append(part)
    newest = max(abouts.values(), key=lambda a: a["measured_at"])
    libraries = ", ".join(f"{n} {v}" for n, v in newest["machine"]["libraries"].items())
    rows = (
        [part, a.get("commit") or "not kept", a["measured_at"][:10], str(a["rounds"]), seeds(results[part]["found"]),
         str(a["load_before"])]
        for part, a in abouts.items()
    )  # fmt: skip
    return "\n".join(
        [
            *(f"- {machine} ({', '.join(of)})." for machine, of in parts.items()),
            f"- {libraries}.",
            "- Load, below, is the mean of the minute before a part, and above 0 in part for the part before it.",
            "",
            table("part | commit | measured | rounds | seeds | load", *rows),
        ]
    )


def seeds(found: Found) -> str:
    """What was drawn from which seed. Older results do not have them."""
    return ", ".join(f"{what} {seed}" for what, seed in found.get("seeds", {}).items()) or "not kept"


def write() -> None:
    """Bring the page up to date."""
    PAGE.write_text(render(PAGE.read_text(encoding="utf-8"), read()), encoding="utf-8")


if __name__ == "__main__":
    write()
