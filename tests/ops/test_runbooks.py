"""Each runbook has its parts, and quotes the doctor, the log and the commands as the code has them (X6)."""

import ast
import re
import shlex
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import typer

from deploy.cli import app
from deploy.doctor.judge import RUNBOOKS

pytestmark = pytest.mark.requirement("X6")

PAGE = Path("docs/operations.md").read_text()
BOOKS: dict[str, str] = dict(
    book.split("\n", 1)
    for book in PAGE.partition("\n## When something is wrong\n")[2].partition("\n## ")[0].split("\n### ")[1:]
)
WORTH_A_LOOK = ("warning", "error", "exception")


@cache
def code(folder: str) -> list[ast.AST]:
    """All that stands in the files below."""
    trees = [ast.parse(file.read_text(), str(file)) for file in Path(folder).rglob("*.py")]
    return [node for tree in trees for node in ast.walk(tree)]


def logged(*levels: str) -> set[str]:
    """The events that services log at these levels."""
    found = set[str]()
    for node in code("shared") + code("services"):
        match node:
            case ast.Call(
                func=ast.Attribute(value=ast.Name(id="log"), attr=level),
                args=[ast.Constant(value=str(event)), *_],
            ) if level in levels:
                found.add(event)
    return found


def sentences(*folders: str) -> list[re.Pattern[str]]:
    """The sentences of the code, where whatever is filled in may be anything; not those of a word or two."""
    found: list[re.Pattern[str]] = []
    for node in chain(*map(code, folders)):
        parts = node.values if isinstance(node, ast.JoinedStr) else [node]
        fixed = [p.value if isinstance(p, ast.Constant) and isinstance(p.value, str) else None for p in parts]
        if len(re.findall(r"[a-z]", "".join(text or "" for text in fixed))) >= 8:
            found.append(re.compile("".join(".*" if text is None else re.escape(text) for text in fixed)))
    return found


def quoted(book: str, part: str) -> list[str]:
    """What a part of a runbook quotes: from its name to that of the next, or to the end of its paragraph."""
    paragraphs = [" ".join(text.split()) for text in re.split(r"\n- |\n\n", f"\n{BOOKS[book]}")]
    told = [found for text in paragraphs for found in re.findall(rf"\*\*{part}\*\*(.*?)(?=\*\*|$)", text)]
    return [quote for text in told for quote in re.findall(r"`([^`]+)`", text)]


def commands() -> list[str]:
    """All commands of ours that the page shows."""
    blocks = [
        line for block in re.findall(r"```\w+\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines()
    ]
    spans = re.findall(r"`([^`]+)`", re.sub(r"```.*?```", "", PAGE, flags=re.DOTALL))
    parts = [p for text in (*blocks, *spans) for p in re.split(r"&&|[|;>#]", " ".join(text.split()))]
    return [found[1] for part in parts if (found := re.search(r"\bhandover ([a-z].*)", part))]


def test_each_runbook_of_the_doctor_is_there_and_no_other():
    assert sorted(BOOKS) == sorted(RUNBOOKS)


@pytest.mark.parametrize("book", BOOKS)
def test_a_runbook_says_what_is_seen_what_to_do_and_when_it_is_over(book: str):
    parts = {part.removesuffix("s") for part in re.findall(r"\*\*(\w+)\*\*", BOOKS[book])}
    assert parts == {"Doctor", "Metric", "Log", "Do", "Over"}


@pytest.mark.parametrize("book", BOOKS)
def test_the_log_lines_of_a_runbook_are_logged(book: str):
    events = logged("info", *WORTH_A_LOOK)
    assert [q for q in quoted(book, "Log") if q not in events and not hasattr(asyncpg, q)] == []


def test_each_log_line_that_is_worth_a_look_stands_on_the_page():
    assert {event for event in logged(*WORTH_A_LOOK) if f"`{event}`" not in " ".join(PAGE.split())} == set()


@pytest.mark.parametrize("book", BOOKS)
def test_the_doctor_says_what_a_runbook_quotes(book: str):
    """Itself, or in the service's own words where that says why it is not ready."""
    known = [*sentences("deploy/doctor", "shared/runtime"), re.compile("…")]
    said = [
        re.sub(r"^(not ready, )?(database|kafka|http|relay|timers|loops): ", "", q)
        for q in quoted(book, "Doctor")
    ]
    assert [words for words in said if not any(sentence.fullmatch(words) for sentence in known)] == []


@pytest.mark.parametrize("shown", sorted({*commands()}))
def test_a_command_of_the_page_can_be_given(shown: str):
    command: Any = typer.main.get_command(app)
    words = shlex.split(shown)
    while words and hasattr(command, "commands"):
        command = command.commands[words.pop(0)]
    options = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= options
