"""A replay on the driven clock: who acts when, what is kept of it between two runs, and which end of an order is a fault."""

import asyncio
import json
from datetime import date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import pytest
from typer.testing import CliRunner

from deploy.cli import app
from deploy.commands.replay import _reconcile
from deploy.play.edges import Edges, Listener
from deploy.play.histories import digest, read
from deploy.play.outcomes import LOST, Outcome, from_files
from deploy.play.pace import Pace
from deploy.play.replay import OtherReplay, Progress, Replay, midnight
from shared.events.base import Event
from shared.events.inbox import OrderSubmitted
from shared.values import Actor
from tests.ops.histories import FILES, folder


class Clock:
    """A pace without services: nothing has to settle."""

    def __init__(self) -> None:
        self.now: datetime | None = None
        self.moves: list[datetime] = []

    async def move_to(self, now: datetime) -> None:
        self.now = now
        self.moves.append(now)

    async def settled(self) -> None:
        """At once."""


class Inboxes:
    """Edges that note what was handed in, and what time it was then."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.orders: dict[str, tuple[datetime | None, datetime]] = {}

    async def send(self, event: Event, actor: Actor, *, id: str, source: str) -> asyncio.Future[None]:
        if isinstance(event, OrderSubmitted):
            self.orders[event.external_number] = self.clock.now, event.placed_at
        taken = asyncio.get_running_loop().create_future()
        taken.set_result(None)
        return taken


def replay_of(at: Path) -> tuple[Replay, Clock, Inboxes]:
    clock = Clock()
    inboxes = Inboxes(clock)
    listener = Listener(cast(Any, None))
    return Replay(read(at), cast(Edges, inboxes), cast(Pace, clock), listener), clock, inboxes


async def test_an_order_is_handed_in_on_its_day_however_long_nothing_happened_before(tmp_path: Path):
    replay, _, inboxes = replay_of(folder(tmp_path / "files"))
    await replay.play(Progress(tmp_path / "replay.json", 0, "digest"), False, lambda day: None)
    assert sorted(inboxes.orders) == ["o1", "o2", "o3"]
    for now, placed_at in inboxes.orders.values():
        assert now is not None
        assert now <= placed_at < now + timedelta(days=1)


async def test_a_replay_that_goes_on_begins_the_day_anew(tmp_path: Path):
    replay, clock, inboxes = replay_of(folder(tmp_path / "files"))
    progress = Progress(tmp_path / "replay.json", 0, "digest")
    progress.finished("2017-10-19")
    await replay.play(progress, False, lambda day: None)
    assert inboxes.orders.keys() == {"o3"}
    assert clock.moves[0] == midnight(date(2017, 10, 20))


async def test_what_is_timed_happens_in_small_steps_while_nothing_else_does(tmp_path: Path):
    replay, clock, _ = replay_of(folder(tmp_path / "files"))
    await replay.play(Progress(tmp_path / "replay.json", 0, "digest"), False, lambda day: None)
    last, following = midnight(date(2017, 7, 19)), midnight(date(2017, 10, 20))
    between = [last, *(move for move in clock.moves if last < move < following)]
    assert between[-1] - last >= timedelta(days=45)
    assert max(b - a for a, b in pairwise(between)) <= timedelta(days=5)
    assert clock.moves == sorted(clock.moves)


# --- what is kept -------------------------------------------------------------------------------------------


async def test_the_data_is_of_this_replay_before_anything_is_handed_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    replay, _, inboxes = replay_of(folder(tmp_path / "files"))

    async def stopped(*args: Any, **kwargs: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(inboxes, "send", stopped)
    with pytest.raises(KeyboardInterrupt):
        await replay.play(Progress(tmp_path / "replay.json", 3, "digest"), False, lambda day: None)
    assert Progress(tmp_path / "replay.json", 3, "digest").done == ""
    with pytest.raises(OtherReplay):
        Progress(tmp_path / "replay.json", 12, "digest")


@pytest.mark.parametrize(
    ("limit", "other", "sentence"),
    [
        (2, False, "is of a replay with --limit 3. Give another --data, or the same --limit."),
        (0, False, "is of a replay with --limit 3. Give another --data, or the same --limit."),
        (3, True, "is of a replay of other files. Give another --data, or the same files as then."),
    ],
)
@pytest.mark.requirement("X6")
def test_another_replay_on_the_same_data_is_refused(tmp_path: Path, limit: int, other: bool, sentence: str):
    files = folder(tmp_path / "files")
    kept = tmp_path / "replay.json"
    Progress(kept, 3, digest(files)).finished("2017-07-12")
    if other:
        with (files / "order_reviews.csv").open("a") as reviews:
            reviews.write("r2,o3,1,,\n")
    answer = CliRunner().invoke(app, ["replay", str(files), "--data", str(tmp_path), "--limit", str(limit)])
    assert (answer.exit_code, answer.output) == (2, f"{kept} {sentence}\n")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["files", "replay.json"]
    assert json.loads(kept.read_text())["done"] == "2017-07-12"


@pytest.mark.parametrize("text", ["", "[]", '{"done": "2017-07-12"}'])
def test_a_note_that_does_not_tell_what_was_replayed_is_of_another_replay(tmp_path: Path, text: str):
    (tmp_path / "replay.json").write_text(text)
    with pytest.raises(OtherReplay, match=r"does not tell what was replayed: give another --data\."):
        Progress(tmp_path / "replay.json", 0, "digest")


# --- the reconciliation -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ends", "why", "well"),
    [
        (Outcome.IN_TRANSIT, "paid, shipped", True),
        (Outcome.EXPIRED, "unpaid, none", True),
        (Outcome.REFUSED, "clock_ahead: this is still to come", False),
        (LOST, "neither an order nor a refusal", False),
    ],
)
def test_an_order_refused_by_the_system_alone_is_a_fault(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], ends: str, why: str, well: bool
):
    histories = read(folder(tmp_path / "files"))
    found = {id: (str(outcome), why) for id, (outcome, why) in from_files(histories).items()}
    found["o2"] = ends, why
    assert _reconcile(histories, found, 10) is well
    printed = capsys.readouterr().out
    assert f"o2 (canceled): files canceled; system {ends}, {why}\n" in printed
    assert ("1 of them no rule explains: lost, or refused on one side alone." in printed) is not well


def test_an_order_without_items_that_is_taken_in_is_a_fault(tmp_path: Path):
    files = folder(tmp_path / "files")
    items = files / "order_items.csv"
    kept = (line for line in FILES["order_items.csv"].splitlines(True) if not line.startswith("o2,"))
    items.write_text("".join(kept))
    histories = read(files)
    found = {id: (str(outcome), why) for id, (outcome, why) in from_files(histories).items()}
    assert found["o2"][0] == Outcome.REFUSED
    assert _reconcile(histories, found, 10)
    found["o2"] = Outcome.CANCELED, "buyer"
    assert not _reconcile(histories, found, 10)
