"""Turns that meet in the database: one goes first, the other runs again, and nothing is lost or done twice (X2)."""

import asyncio
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from shared.runtime.commands import asked
from shared.runtime.messages import Outcome, Status
from shared.runtime.postgres import PostgresStore
from shared.runtime.running import Runtime
from shared.runtime.store import Changes, TryAgain, Unavailable
from tests.harness import AGENT
from tests.runtime.meddling import Meddled, Meeting, once
from tests.runtime.probe import (
    LONG_AGO,
    MOST,
    NOTES,
    Note,
    Pay,
    Probe,
    Remind,
    Swap,
    decoded,
    note,
    paid,
    parked,
    raw,
)

pytestmark = pytest.mark.requirement("X2")


def meddle(runtime: Runtime, **steps: Any) -> Meddled:
    """Hold a hand into the transactions of a service."""
    meddled = Meddled(PostgresStore(runtime.pool), **steps)
    runtime.turns.store = meddled
    return meddled


async def ask(runtime: Runtime, command: Any, key: str = "") -> Outcome:
    """A command through a turn of its own, so that two can meet."""
    return (await runtime.turns.run([asked(command, AGENT, runtime.clock.now(), key=key or None)]))[0]


@pytest.mark.parametrize("isolation", ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"])
async def test_two_turns_that_make_the_same_new_row_go_one_after_the_other(probe: Probe, isolation: str):
    writer = await probe.writer()

    async def opened(connection: Any) -> None:
        await connection.execute(f"SET TRANSACTION ISOLATION LEVEL {isolation}")

    meddled = meddle(writer, opened=opened, saving=Meeting())
    first, second = await asyncio.gather(ask(writer, Pay(note_id="n")), ask(writer, Pay(note_id="n")))
    assert {first.answer["total"], second.answer["total"]} == {1, 2}
    assert await note(writer, "n") == Note("n", 2, (1, 1))
    assert meddled.attempts == 3
    assert await writer.pool.fetchval("SELECT array_agg(sequence ORDER BY position) FROM event_log") == [1, 2]


async def test_many_turns_on_one_row_are_all_counted(probe: Probe):
    replicas = [await probe.writer() for _ in range(3)]
    amounts = range(1, 31)
    await asyncio.gather(*(ask(replicas[n % 3], Pay(note_id="n", amount=n)) for n in amounts))
    found = await note(replicas[0], "n")
    assert found is not None
    assert found.total == sum(amounts)
    assert sorted(found.amounts) == list(amounts)


async def test_a_row_that_was_changed_meanwhile_is_not_overwritten(probe: Probe):
    writer = await probe.writer()
    await ask(writer, Pay(note_id="n"))
    store = PostgresStore(writer.pool)
    for changes in (Changes(upserts=[(NOTES, [(Note("n", 7), 1)])]), Changes(removes=[(NOTES, [("n", 2)])])):
        with pytest.raises(TryAgain, match="notes"):
            async with store.transaction() as transaction:
                await transaction.save(changes)
    assert await note(writer, "n") == Note("n", 1, (1,))


async def test_the_victim_of_a_deadlock_runs_again(probe: Probe):
    writer = await probe.writer()
    for name in "ab":
        await ask(writer, Pay(note_id=name))
    meddled = meddle(writer)
    meddled.loaded = Meeting()
    outcomes = await asyncio.gather(
        ask(writer, Swap(first="a", second="b")), ask(writer, Swap(first="b", second="a"))
    )
    assert [o.status for o in outcomes] == [Status.DONE, Status.DONE]
    assert [await note(writer, name) for name in "ab"] == [Note("a", 3, (1, 1, 1)), Note("b", 3, (1, 1, 1))]
    assert meddled.attempts >= 3  # PostgreSQL may end both of the two


async def test_a_connection_that_is_cut_before_the_commit_leaves_nothing_and_the_command_is_done_once(
    probe: Probe, admin: "asyncpg.Connection[asyncpg.Record]"
):
    writer = await probe.writer()

    async def cut(connection: Any) -> None:
        await admin.execute("SELECT pg_terminate_backend($1)", connection.get_server_pid())

    meddled = meddle(writer, saving=once(cut))
    with pytest.raises(Unavailable):
        await ask(writer, Pay(note_id="n"))
    assert await note(writer, "n") is None
    meddled.saving = once(cut)
    writer.commands.start()
    assert await writer.commands.ask(Pay(note_id="n"), AGENT) == {"total": 1}
    assert await note(writer, "n") == Note("n", 1, (1,))


async def test_a_commit_whose_answer_was_lost_is_not_done_again(probe: Probe):
    writer = await probe.writer()

    async def lost(connection: Any) -> None:
        raise Unavailable("the connection broke after the commit")

    meddle(writer, committed=once(lost))
    writer.commands.start()
    assert await writer.commands.ask(Pay(note_id="n"), AGENT) == {"total": 1}
    assert await note(writer, "n") == Note("n", 1, (1,))


async def test_a_batch_that_the_database_refuses_is_split_until_only_the_guilty_message_is_set_aside(
    probe: Probe,
):
    reader = await probe.reader()
    events = [paid(f"o{n}", MOST + 1 if n == 5 else n) for n in range(1, 9)]
    after = raw(paid("o5", 1), 2)
    outcomes = await reader.turns.run(decoded(reader, *(raw(e, 1) for e in events), after))
    assert [o.status for o in outcomes] == [*["done"] * 4, "parked", *["done"] * 3, "queued"]
    assert await parked(reader) == [("order/o5", "failed"), ("order/o5", "queued")]
    reason = (await reader.parking.list_())[0].reason
    assert reason == "the database refused the data: notes_are_modest"
    assert await reader.pool.fetchval("SELECT sum(total) FROM notes") == sum(range(1, 9)) - 5


async def test_a_command_that_the_database_refuses_fails_alone(probe: Probe):
    writer = await probe.writer()
    writer.commands.start()
    answers = await asyncio.gather(
        *(writer.commands.ask(Pay(note_id=f"n{n}", amount=n), AGENT) for n in (1, MOST + 1, 2)),
        return_exceptions=True,
    )
    assert [type(a).__name__ for a in answers] == ["dict", "CommandFailed", "dict"]
    assert await writer.pool.fetchval("SELECT count(*) FROM parked") == 0


async def test_a_timer_that_the_database_refuses_is_parked_and_the_others_are_handled(probe: Probe):
    writer = await probe.writer()
    await ask(writer, Pay(note_id="n2", amount=MOST))
    timers = [
        (t.timer_id, t.timer_name, LONG_AGO, t.model_dump_json())
        for t in (Remind(note_id=f"n{n}") for n in (1, 2, 3))
    ]
    await writer.pool.executemany("INSERT INTO timers VALUES ($1, $2, $3, $4)", timers)
    while await writer.turns.run_timers():
        pass
    assert await parked(writer) == [("probe.remind/n2", "failed")]
    assert await writer.pool.fetchval("SELECT array_agg(note_id ORDER BY note_id) FROM notes") == [
        "n1",
        "n2",
        "n3",
    ]
    assert await writer.pool.fetchval("SELECT count(*) FROM timers") == 0


async def test_replicas_share_timers_and_none_is_handled_twice(probe: Probe):
    replicas = [await probe.writer() for _ in range(3)]
    timers = [Remind(note_id=f"n{n}") for n in range(60)]
    rows = [(t.timer_id, t.timer_name, LONG_AGO, t.model_dump_json()) for t in timers]
    await replicas[0].pool.executemany("INSERT INTO timers VALUES ($1, $2, $3, $4)", rows)
    meeting = Meeting(3)
    meddled = [meddle(r, opened=meeting) for r in replicas]
    assert await asyncio.gather(*(r.turns.run_timers(20) for r in replicas)) == [20, 20, 20]
    assert [m.attempts for m in meddled] == [1, 1, 1], "each took timers that no other had"
    found = await replicas[0].pool.fetch("SELECT total FROM notes")
    assert [r["total"] for r in found] == [1] * 60


async def test_an_unfit_timer_is_parked_and_no_other_in_its_stead(probe: Probe):
    writer = await probe.writer()
    for timer, due in (
        (Remind(note_id="bad", amount=MOST + 1), LONG_AGO),
        (Remind(note_id="good"), LONG_AGO + timedelta(hours=1)),
    ):
        row = (timer.timer_id, timer.timer_name, due, timer.model_dump_json())
        await writer.pool.execute("INSERT INTO timers VALUES ($1, $2, $3, $4)", *row)
    another = await asyncpg.connect(probe.url("orders"))
    held = another.transaction()

    async def claimed_by_another(connection: Any) -> None:
        if meddled.attempts == 2:  # the first found that it does not fit
            await held.start()
            await another.execute("SELECT FROM timers WHERE timer_id = 'probe.remind/bad' FOR UPDATE")

    meddled = meddle(writer, opened=claimed_by_another)
    assert await writer.turns.run_timers(1) == 1
    assert await note(writer, "good") == Note("good", 1, (1,))
    assert await parked(writer) == []
    await held.rollback()
    await another.close()
    assert await writer.turns.run_timers() == 1
    assert await parked(writer) == [("probe.remind/bad", "failed")]
