"""After a start, timers wait for what was said meanwhile (X1)."""

import pytest

from shared.runtime import due
from shared.runtime.running import Runtime
from tests.runtime.probe import LONG_AGO, Note, Probe, Remind, note, outside, receipt_of
from tests.runtime.waiting import until

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
