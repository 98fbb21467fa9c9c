"""Before a timer acts, all that was said in time is heard: after a start, an outage, behind a backlog (X1)."""

import asyncio
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.runtime import due, running
from shared.runtime.clock import WallClock
from shared.runtime.due import GIVEN_UP_SECONDS, HEARD_FIRST_SECONDS, DueTimers
from shared.runtime.messages import TIMER_TYPES, Incoming, Timer
from shared.runtime.postgres import UNAVAILABLE
from shared.runtime.running import Runtime
from shared.runtime.service import Handling, on
from shared.runtime.store import DueTimer
from shared.runtime.tasks import end
from tests.runtime.probe import LONG_AGO, Note, Probe, Remind, note, outside, receipt_of
from tests.runtime.stand import Stand
from tests.runtime.waiting import away, ready, says, until

pytestmark = pytest.mark.requirement("X1")

MANY = 700
"""More than one batch of any door."""


async def overdue(writer: Runtime) -> None:
    timer = Remind(note_id="a", amount=100)
    row = (timer.timer_id, timer.timer_name, LONG_AGO, timer.model_dump_json())
    await writer.pool.execute("INSERT INTO timers VALUES ($1, $2, $3, $4)", *row)


def holds_back(writer: Runtime, monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """Nothing that it reads is applied before this is set."""
    held, apply = asyncio.Event(), writer.intake._apply

    async def late(messages: list[Incoming]) -> None:
        await held.wait()
        await apply(messages)

    monkeypatch.setattr(writer.intake, "_apply", late)
    return held


async def test_what_was_said_while_a_service_was_down_comes_before_timers_that_fell_due_meanwhile(
    probe: Probe,
):
    await probe.topics()
    writer = await probe.writer()
    await overdue(writer)
    await probe.send("orders.inbox", *((outside(f"id-{n}"), receipt_of("a")) for n in range(MANY)))
    await writer.start()
    await until(lambda: writer.pool.fetchval("SELECT count(*) = 0 FROM timers"))
    assert await note(writer, "a") == Note("a", MANY + 100, (*[1] * MANY, 100))


async def test_timers_do_not_wait_for_ever_for_a_broker_that_is_away(
    probe: Probe, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(due, "HEARD_FIRST_SECONDS", 0.3)
    writer = await probe.writer()
    await overdue(writer)
    await writer.start()
    await until(lambda: writer.pool.fetchval("SELECT count(*) = 0 FROM timers"))
    assert await note(writer, "a") == Note("a", 100, (100,))


async def test_after_an_outage_what_was_said_meanwhile_comes_first_too(
    probe: Probe, monkeypatch: pytest.MonkeyPatch
):
    await probe.topics()
    writer = await probe.writer()
    await writer.start()
    await until(ready(writer))
    held = holds_back(writer, monkeypatch)  # its own tries come later than those of timers
    with away(probe.server):
        await until(says(writer, "timers", "cannot be reached"))
        await probe.send("orders.inbox", *((outside(f"id-{n}"), receipt_of("a")) for n in range(MANY)))
    await until(lambda: _inserted(writer))
    await asyncio.sleep(1)  # timers have looked, if they did not wait
    held.set()
    await until(lambda: writer.pool.fetchval("SELECT count(*) = 0 FROM timers"))
    assert await note(writer, "a") == Note("a", MANY + 100, (*[1] * MANY, 100))


async def _inserted(writer: Runtime) -> bool:
    with suppress(*UNAVAILABLE):
        await overdue(writer)
        return True
    return False


async def test_no_timer_is_looked_at_by_the_clock_of_a_host_alone(
    probe: Probe, monkeypatch: pytest.MonkeyPatch
):
    """Started before its database, a service knows no other time than its host's, which may be an hour ahead."""

    class Ahead(WallClock):
        def __init__(self) -> None:
            super().__init__()
            self._base += timedelta(hours=1)

    monkeypatch.setattr(running, "WallClock", Ahead)
    await probe.topics()
    with away(probe.server):
        writer = await probe.writer()
        await writer.start()
        await until(says(writer, "timers", "cannot be reached"))
    await until(ready(writer))
    timer = Remind(note_id="a")
    soon = datetime.now(UTC) + timedelta(minutes=30)
    row = (timer.timer_id, timer.timer_name, soon, timer.model_dump_json())
    await writer.pool.execute("INSERT INTO timers VALUES ($1, $2, $3, $4)", *row)
    writer.due.wake()
    await asyncio.sleep(1)
    assert await note(writer, "a") is None
    assert abs(writer.clock.now() - datetime.now(UTC)) < timedelta(minutes=1)


async def test_nothing_is_done_by_the_clock_of_a_host_alone(probe: Probe, monkeypatch: pytest.MonkeyPatch):
    """Records wait when its database is back, and a turn may be the first to reach that."""

    class Behind(WallClock):
        def __init__(self) -> None:
            super().__init__()
            self._base -= timedelta(hours=1)

    monkeypatch.setattr(running, "WallClock", Behind)
    monkeypatch.setattr(running, "SET_AGAIN_SECONDS", 3600)
    await probe.topics()
    with away(probe.server):
        writer = await probe.writer()
        await writer.start()
        await probe.send("orders.inbox", (outside("id-1"), receipt_of("a")))
        await until(says(writer, "database", "cannot be reached"))
    await until(lambda: writer.pool.fetchval("SELECT count(*) = 1 FROM inbox"))
    seen = await writer.pool.fetchval("SELECT seen_at FROM inbox")
    assert abs(seen - datetime.now(UTC)) < timedelta(minutes=1)


async def test_while_a_service_is_behind_what_was_said_in_time_comes_first_too(
    probe: Probe, monkeypatch: pytest.MonkeyPatch
):
    """A payment may lie behind thousands of other messages for as long as its order may stay unpaid."""
    await probe.topics()
    writer = await probe.writer()
    await writer.start()
    await until(ready(writer))
    held = holds_back(writer, monkeypatch)
    await probe.send("orders.inbox", (outside("id-1"), receipt_of("a")))
    await overdue(writer)
    await asyncio.sleep(1)  # timers have looked, if they did not wait
    assert await note(writer, "a") is None
    held.set()
    await until(lambda: writer.pool.fetchval("SELECT count(*) = 0 FROM timers"))
    assert await note(writer, "a") == Note("a", 101, (1, 100))


async def test_looks_leave_no_task_behind(monkeypatch: pytest.MonkeyPatch):
    """There are two looks a second for as long as a service runs."""
    monkeypatch.setattr(due, "EVERY", 0.001)
    stand, looks = Stand(), 0

    async def counted(now: datetime) -> bool:
        nonlocal looks
        looks += 1
        return False

    monkeypatch.setattr(stand.store, "any_due", counted)
    before = len(asyncio.all_tasks())
    loop = asyncio.create_task(DueTimers(stand.turns, _hears_all).run())
    await until(lambda: looks > 50)
    assert len(asyncio.all_tasks()) - before < 10
    await end([loop])


async def _hears_all(patience: float, anew: float) -> bool:
    return True


def remind(stand: Stand, name: str) -> None:
    """Set a timer to the time that it is now."""
    timer = Remind(note_id=name)
    stand.store.timers[name] = DueTimer(name, timer.timer_name, stand.clock.now(), timer.model_dump_json())


async def looked(timers: DueTimers) -> None:
    """It looks, hears first if something is due, and looks again."""
    await timers._look()
    await asyncio.sleep(0)
    await timers._look()


async def test_what_is_no_deadline_waits_for_nothing_that_was_said_before(monkeypatch: pytest.MonkeyPatch):
    """Stock that came free is kept from everybody until who waits was asked; while much is unread, that would be for long."""

    class GoOn(Timer, name="probe.go_on", at_once=True):
        note_id: str

    stand, handled = Stand(), list[str]()
    on_it: Handling[Any, Any] = on(GoOn, lambda timer, desk: handled.append(timer.note_id))
    stand.turns.service = replace(stand.service, consumes=(*stand.service.consumes, on_it))

    async def hears_nothing(patience: float, anew: float) -> bool:
        await asyncio.Event().wait()
        return False

    timers = DueTimers(stand.turns, hears_nothing)
    remind(stand, "deadline")
    await looked(timers)
    go_on = GoOn(note_id="stock")
    stand.store.timers["b"] = DueTimer("b", go_on.timer_name, stand.clock.now(), go_on.model_dump_json())
    await looked(timers)
    assert handled == ["stock"]
    assert stand.store.timers.keys() == {"deadline"}
    assert timers._hearing is not None
    await end([timers._hearing])
    TIMER_TYPES.pop(GoOn.timer_name)


async def test_what_falls_due_while_others_wait_to_be_heard_waits_for_the_next_look():
    """What was said in time for it may have come after the end that was waited for."""
    stand = Stand()

    async def long(patience: float, anew: float) -> bool:
        stand.clock.move_to(stand.clock.now() + timedelta(hours=1))
        remind(stand, "meanwhile")
        return True

    remind(stand, "first")
    await looked(DueTimers(stand.turns, long))
    assert stand.store.timers.keys() == {"meanwhile"}


async def test_while_nothing_can_be_heard_timers_wait_once():
    """As long as is right when it begins, and only a little at every look after that, until all was heard again."""
    stand, hears, waited = Stand(), iter([False, False, True, False]), []

    async def caught_up(patience: float, anew: float) -> bool:
        assert anew == HEARD_FIRST_SECONDS
        waited.append(patience)
        return next(hears)

    timers = DueTimers(stand.turns, caught_up)
    for _ in range(4):
        remind(stand, "a")
        await looked(timers)
        assert not stand.store.timers
    assert waited == [HEARD_FIRST_SECONDS, GIVEN_UP_SECONDS, GIVEN_UP_SECONDS, HEARD_FIRST_SECONDS]


async def test_where_nothing_is_due_nobody_asks_kafka():
    async def never(patience: float, anew: float) -> bool:
        raise AssertionError

    stand = Stand()
    timers = DueTimers(stand.turns, never)
    stand.clock.move_to(stand.clock.now() + timedelta(hours=1))
    await timers._look()
    assert timers.looked_at == stand.clock.now()
