"""After a start or an outage, timers wait for what was said meanwhile (X1)."""

import asyncio
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest

from shared.runtime import due, running
from shared.runtime.clock import WallClock
from shared.runtime.due import DueTimers
from shared.runtime.messages import Incoming
from shared.runtime.postgres import UNAVAILABLE
from shared.runtime.running import Runtime
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
    held = asyncio.Event()
    apply = writer.intake._apply

    async def late(messages: list[Incoming]) -> None:
        await held.wait()
        await apply(messages)

    monkeypatch.setattr(writer.intake, "_apply", late)  # its own tries come later than those of timers
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


async def test_looks_leave_no_task_behind(monkeypatch: pytest.MonkeyPatch):
    """There are two looks a second for as long as a service runs."""
    monkeypatch.setattr(due, "EVERY", 0.001)
    turns, looks = Stand().turns, 0
    look = turns.run_timers

    async def counted(limit: int = 200) -> int:
        nonlocal looks
        looks += 1
        return await look(limit)

    async def caught_up() -> None: ...

    monkeypatch.setattr(turns, "run_timers", counted)
    timers = DueTimers(turns, caught_up, lambda: False)
    before = len(asyncio.all_tasks())
    loop = asyncio.create_task(timers.run())
    await until(lambda: looks > 50)
    assert len(asyncio.all_tasks()) - before < 10
    await end([loop])


async def test_after_it_stood_still_a_service_hears_first(monkeypatch: pytest.MonkeyPatch):
    """A host that was frozen for an hour does not know what was said meanwhile."""
    monkeypatch.setattr(due, "EVERY", 0.001)
    heard = 0

    async def caught_up() -> None:
        nonlocal heard
        heard += 1

    loop = asyncio.create_task(DueTimers(Stand().turns, caught_up, lambda: False).run())
    await until(lambda: heard > 0)
    before = heard
    monkeypatch.setattr(due, "STOOD_STILL_SECONDS", -1)
    await until(lambda: heard > before)
    await end([loop])


async def test_after_a_host_was_halted_a_service_hears_first(monkeypatch: pytest.MonkeyPatch):
    """Its own clocks stood still as well; that the time has gone on, the database says."""
    monkeypatch.setattr(due, "EVERY", 0.001)
    stand, clock, heard = Stand(), WallClock(), 0
    stand.turns.clock = clock

    async def caught_up() -> None:
        nonlocal heard
        heard += 1

    loop = asyncio.create_task(DueTimers(stand.turns, caught_up, lambda: False).run())
    await until(lambda: heard == 1)
    await asyncio.sleep(0.1)
    assert heard == 1
    clock.set(clock.now() + timedelta(hours=1))
    await until(lambda: heard == 2)
    await end([loop])


async def test_a_service_says_to_its_timers_when_kafka_is_away_and_when_it_is_back(
    probe: Probe, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(running, "SAMPLE_SECONDS", 0.1)
    writer = await probe.writer()
    await writer.start()
    await until(lambda: writer.due.deaf())  # there are no topics yet
    await probe.topics()
    await until(lambda: not writer.due.deaf())


async def test_while_nothing_can_be_heard_timers_wait_once(monkeypatch: pytest.MonkeyPatch):
    """As long as after a start, and not for as long again at every look."""
    monkeypatch.setattr(due, "EVERY", 0.001)
    monkeypatch.setattr(due, "HEARD_FIRST_SECONDS", 1)
    stand, deaf, asked, heard = Stand(), False, 0, asyncio.Event()

    async def caught_up() -> None:
        nonlocal asked
        asked += 1
        await heard.wait()

    timers = DueTimers(stand.turns, caught_up, lambda: deaf)
    loop = asyncio.create_task(timers.run())
    heard.set()
    await until(lambda: asked == 1)  # after its start
    for outage in (2, 3):
        heard.clear()
        deaf = True
        await until(lambda n=outage: asked == n)  # type: ignore[misc]
        stand.clock.move_to(stand.clock.now() + timedelta(seconds=1))
        await asyncio.sleep(0.1)
        assert timers.looked_at < stand.clock.now()
        await until(lambda: timers.looked_at == stand.clock.now())  # it was long enough
        stand.clock.move_to(stand.clock.now() + timedelta(seconds=1))
        await until(lambda: timers.looked_at == stand.clock.now())
        assert asked == outage
        deaf = False
        heard.set()
        await asyncio.sleep(0.1)  # it looks a hundred times
    await end([loop])
