"""What became of a letter is booked, whatever is in the way; what is not booked leaves again, and not for ever (N6)."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from services.notify import sender as module
from services.notify.channels import Letter
from services.notify.sending import LEASE, TRIES, RecordResults
from services.notify.tables import MessageState
from shared.runtime.commands import Busy
from shared.runtime.messages import Command, Outcome, Status
from shared.runtime.store import Unavailable
from shared.values import Actor
from tests.notify.house import Box, House, house
from tests.notify.news import placed, shipped

pytestmark = pytest.mark.requirement("N6")


@pytest.fixture
async def home(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[House]:
    """Notify, two letters planned."""
    monkeypatch.setattr(module, "PAUSE", 0)
    async with house(postgres_url) as one:
        await one.hear(placed("o-1"), placed("o-2"), shipped("o-1"), shipped("o-2"))
        yield one


@dataclass
class Door:
    """The HTTP door of notify, with something in the way of bookings."""

    home: House
    errors: list[Exception] = field(default_factory=list)
    fails: Callable[[RecordResults], bool] = lambda command: False

    async def tell(self, command: Command, actor: Actor) -> Outcome:
        """Take a command through, unless something is in the way."""
        if isinstance(command, RecordResults):
            if self.errors:
                raise self.errors.pop()
            if self.fails(command):
                return Outcome(Status.FAILED, error=RuntimeError("a bug of ours"))
        return await self.home.commands.tell(command, actor)


def through(home: House, door: Door, box: Box) -> Any:
    """A sender that reaches its house through this door only."""
    sender = home.sender(file=box)
    sender.runtime = House.__new__(House)  # type: ignore[assignment]
    vars(sender.runtime).update(vars(home) | {"commands": door})
    return sender


async def test_what_left_is_booked_once_the_database_is_back(home: House) -> None:
    box = Box()
    away = [Unavailable("away"), Busy("too many requests"), RuntimeError("nobody foresaw it")]
    sender = through(home, Door(home, errors=away), box)
    assert await sender._send_due("file", box) == 2
    assert {m.state for m in await home.messages()} == {MessageState.SENT}
    home.clock.move_to(home.clock.now() + LEASE)
    assert await sender._send_due("file", box) == 0
    assert len(box.letters) == 2


async def test_a_letter_that_cannot_be_booked_keeps_no_other_from_it(home: House) -> None:
    box = Box()
    bad, _ = sorted(m.message_id for m in await home.messages())
    sender = through(home, Door(home, fails=lambda c: bad in {r.message_id for r in c.results}), box)
    await sender._send_due("file", box)
    states = {m.message_id == bad: m.state for m in await home.messages()}
    assert states == {True: MessageState.PLANNED, False: MessageState.SENT}


async def test_a_letter_that_can_never_be_booked_is_given_up_after_as_many_tries_as_any(home: House) -> None:
    box = Box()
    sender = through(home, Door(home, fails=lambda c: True), box)
    for _ in range(TRIES):
        assert await sender._send_due("file", box) == 2
        home.clock.move_to(home.clock.now() + LEASE)
    for _ in range(2):
        assert await sender._send_due("file", box) == 0
        home.clock.move_to(home.clock.now() + LEASE)
    assert len(box.letters) == 2 * TRIES
    assert {(m.state, m.last_error) for m in await home.messages()} == {
        (MessageState.FAILED, "it may have left: what became of its last try was not booked")
    }
    failed = "SELECT count(*) FROM event_log WHERE type = 'notify.message_failed.v1'"
    assert await home.pool.fetchval(failed) == 2


async def test_a_sender_that_was_frozen_leaves_the_rest_to_whoever_has_it_now(
    home: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "AT_ONCE", 1)
    awake, frozen = Box(), Box()

    async def freeze(letter: Letter) -> None:
        frozen.letters.append(letter)
        home.clock.move_to(home.clock.now() + LEASE)
        await home.sender(file=awake)._send_due("file", awake)

    monkeypatch.setattr(frozen, "send", freeze)
    await home.sender(file=frozen)._send_due("file", frozen)
    assert len(frozen.letters) == 1, "what was under way could not be held back"
    assert len(awake.letters) == 2
    assert {m.state for m in await home.messages()} == {MessageState.SENT}


async def test_what_a_sender_had_no_time_for_is_due_at_once_and_counts_as_no_try(
    home: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "AT_ONCE", 1)
    box = Box()

    async def slow(letter: Letter) -> None:
        box.letters.append(letter)
        home.clock.move_to(home.clock.now() + LEASE - timedelta(seconds=module.SEND_SECONDS - 1))

    monkeypatch.setattr(box, "send", slow)
    await home.sender(file=box)._send_due("file", box)
    (left,) = [m for m in await home.messages() if m.state is MessageState.PLANNED]
    assert (left.tries, left.due) == (0, home.clock.now())
    assert len(box.letters) == 1
