"""What came from outside is known by its id as long as a retry may come, and no longer (X2, X6)."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from annotated_types import Ge
from structlog.testing import capture_logs

from deploy.topics import INBOXES, SEGMENT_MS, topics
from shared.runtime.clock import DrivenClock, WallClock
from shared.runtime.commands import asked
from shared.runtime.forgetting import BATCH, Forgetting
from shared.runtime.messages import Outcome, Status
from shared.runtime.running import Runtime
from shared.runtime.settings import Settings
from tests.harness import AGENT
from tests.runtime.probe import Pay, Probe
from tests.runtime.waiting import PATIENCE, away, until

pytestmark = pytest.mark.requirement("X2")

DAYS = timedelta(days=1)


async def pay(runtime: Runtime) -> Outcome:
    """The same request, under the same key."""
    command = asked(Pay(note_id="n"), AGENT, runtime.clock.now(), key="k")
    return (await runtime.turns.run([command]))[0]


async def seen(runtime: Runtime, ago: timedelta, keys: int) -> None:
    """So many ids, seen so long ago."""
    await runtime.pool.execute(
        "INSERT INTO inbox (key, digest, seen_at, doc, version) "
        "SELECT $1 || n, '', now() - $2::interval, '{}', 1 FROM generate_series(1, $3) n",
        f"{ago.days} days ago ",
        ago,
        keys,
    )


async def left(runtime: Runtime) -> int:
    counted: int = await runtime.pool.fetchval("SELECT count(*) FROM inbox")
    return counted


async def test_a_retry_changes_nothing_until_its_id_is_forgotten(probe: Probe):
    writer = await probe.writer()
    await pay(writer)
    await writer.pool.execute("UPDATE inbox SET seen_at = now() - interval '89 days'")
    assert await writer.forgetting.forget() == 0
    again = await pay(writer)
    assert (again.status, again.answer) == (Status.DUPLICATE, {"total": 1})
    await writer.pool.execute("UPDATE inbox SET seen_at = now() - interval '91 days'")
    assert await writer.forgetting.forget() == 1
    new = await pay(writer)
    assert (new.status, new.answer) == (Status.DONE, {"total": 2})


async def test_many_old_ids_go_in_small_parts_and_young_ones_stay(probe: Probe):
    writer = await probe.writer()
    await seen(writer, 100 * DAYS, 2 * BATCH + 7)
    await seen(writer, 1 * DAYS, 5)
    assert await writer.forgetting.forget() == BATCH
    loop = asyncio.create_task(writer.forgetting.run())

    async def only_young_ones() -> bool:
        return await left(writer) == 5

    await until(only_young_ones)
    loop.cancel()


async def test_a_service_that_runs_forgets_by_itself(probe: Probe):
    writer = await probe.writer()
    await seen(writer, 400 * DAYS, 3)
    await writer.start()
    await until(lambda: _none_left(writer))


async def _none_left(runtime: Runtime) -> bool:
    return await left(runtime) == 0


@pytest.mark.requirement("X4")
async def test_bodies_that_ops_gave_up_are_forgotten_too_and_not_those_that_wait(probe: Probe):
    writer = await probe.writer()
    old = datetime.now(UTC) - 100 * DAYS
    for key, queue, state, at in (
        ("skipped", "", "skipped", old),
        ("mended", "", "mended", old),
        ("young", "", "skipped", datetime.now(UTC)),
        ("waits", "lane", "failed", old),
    ):
        body = {
            "parked_at": at.isoformat(),
            "body": "5byg",
            "original": "",
            "note": "skipped by ops: no such",
        }
        await writer.pool.execute(
            "INSERT INTO parked (parked_key, queue, place, state, doc, version) VALUES ($1, $2, 1, $3, $4, 1)",
            key, queue, state, body,
        )  # fmt: skip
    assert await writer.forgetting.forget() == 2
    assert await writer.forgetting.forget() == 0
    rows = await writer.pool.fetch(
        "SELECT parked_key, doc->>'body' AS body, doc->>'note' AS note FROM parked"
    )
    kept = {r["parked_key"]: (r["body"], r["note"]) for r in rows}
    assert kept["skipped"] == kept["mended"] == ("", "skipped by ops: no such")
    assert kept["young"][0] == kept["waits"][0] == "5byg"


async def test_an_id_that_a_turn_has_in_hand_is_left_for_the_next_look(probe: Probe):
    writer = await probe.writer()
    await seen(writer, 100 * DAYS, 2)
    async with writer.pool.acquire() as turn, turn.transaction():
        await turn.execute("SELECT 1 FROM inbox WHERE key = '100 days ago 1' FOR UPDATE")
        assert await asyncio.wait_for(writer.forgetting.forget(), PATIENCE) == 1
    assert await writer.forgetting.forget() == 1


async def test_a_host_with_a_wrong_clock_forgets_nothing_young(probe: Probe):
    writer = await probe.writer()
    await seen(writer, 1 * DAYS, 3)
    assert isinstance(writer.clock, WallClock)
    writer.clock.set(datetime.now(UTC) + 3650 * DAYS)
    assert await writer.forgetting.forget() == 0


async def test_on_a_driven_clock_age_is_told_by_it(probe: Probe):
    writer = await probe.writer()
    await seen(writer, 1 * DAYS, 3)
    clock = DrivenClock(datetime.now(UTC))
    forgetting = Forgetting(writer.pool, clock, 90 * DAYS)
    assert await forgetting.forget() == 0
    clock.move_to(datetime.now(UTC) + 90 * DAYS)
    assert await forgetting.forget() == 3


async def test_a_database_that_is_away_is_waited_for(probe: Probe, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("shared.runtime.forgetting.EVERY", 0.05)
    writer = await probe.writer()
    await seen(writer, 100 * DAYS, 1)
    with away(probe.server), capture_logs() as logs:
        loop = asyncio.create_task(writer.forgetting.run())
        await until(lambda: any(line["event"] == "forgetting waits" for line in logs))

    async def forgotten() -> bool:
        return await left(writer) == 0

    await until(forgotten)
    loop.cancel()


def test_no_setting_lets_an_id_be_forgotten_while_kafka_has_its_record():
    limits = Settings.model_fields["ids_kept_for"].metadata
    least = max(one.ge for one in limits if isinstance(one, Ge) and isinstance(one.ge, timedelta))
    longest = max(t.retention_ms for t in topics() if t.name in INBOXES)
    assert least > timedelta(milliseconds=longest + SEGMENT_MS)
