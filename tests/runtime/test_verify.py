"""The trail is tamper-evident: whatever is changed in an event log, verification names the place (O12)."""

import asyncio

import pytest
from typer.testing import CliRunner

from deploy.cli import app
from shared.runtime import verify as verify_module
from shared.runtime.commands import asked
from shared.runtime.postgres import Pool
from shared.runtime.verify import verify, verify_some
from tests.harness import AGENT
from tests.runtime.probe import Pay, Probe
from tests.runtime.waiting import until, waits_for_a_lock

pytestmark = pytest.mark.requirement("O12")

A2 = "WHERE stream = 'order/a' AND sequence = 2"
CONTENT = "its content is not what was written"


@pytest.fixture
async def log(probe: Probe) -> Pool:
    """The database of a writer that said three things about a and two about b, open to somebody whom no trigger stops."""
    writer = await probe.writer()
    for note_id in "abaab":
        await writer.turns.run([asked(Pay(note_id=note_id), AGENT, writer.clock.now())])
    verdict = await verify(writer.pool)
    assert (verdict.events, verdict.streams, verdict.breaks) == (5, 2, [])
    return writer.pool


@pytest.mark.parametrize(
    ("tampering", "sequence", "why"),
    [
        (f"UPDATE event_log SET data = replace(data, '1', '2') {A2}", 2, CONTENT),
        (f"UPDATE event_log SET actor_name = 'somebody.else' {A2}", 2, CONTENT),
        (f"UPDATE event_log SET time = time - interval '1 microsecond' {A2}", 2, CONTENT),
        (f"UPDATE event_log SET causation_id = NULL {A2}", 2, CONTENT),
        (f"UPDATE event_log SET type = 'orders.order_completed.v1' {A2}", 2, CONTENT),
        (f"UPDATE event_log SET personal_digest = '\\x00' {A2}", 2, CONTENT),
        (f"UPDATE event_log SET previous = '\\x00' {A2}", 2, "it does not link to the event before it"),
        (f"UPDATE event_log SET hash = '\\x00' {A2}", 2, CONTENT),
        (f"DELETE FROM event_log {A2}", 3, "event 2 is missing"),
        ("DELETE FROM event_log WHERE stream = 'order/a' AND sequence = 1", 2, "event 1 is missing"),
        (
            "DELETE FROM event_log WHERE stream = 'order/a' AND sequence = 3",
            3,
            "the log ends before event 3",
        ),
        ("DELETE FROM event_log WHERE stream = 'order/a'", 1, "the log ends before event 3"),
        (
            "UPDATE stream_heads SET sequence = 2 WHERE stream = 'order/a'",
            3,
            "stream_heads does not have it as the last event",
        ),
        (
            "DELETE FROM stream_heads WHERE stream = 'order/a'",
            3,
            "stream_heads does not have it as the last event",
        ),
        (
            "INSERT INTO event_personal VALUES ('order/a', 2, '\\x00', '{}')",
            2,
            "its personal part is not what was written",
        ),
    ],
)
async def test_whatever_is_changed_is_found_and_named(log: Pool, tampering: str, sequence: int, why: str):
    await log.execute(tampering)
    found = [(b.stream, b.sequence, b.why) for b in (await verify(log)).breaks]
    assert found == [("order/a", sequence, why)]
    assert (await verify(log, "order/b")).breaks == []


@pytest.mark.parametrize(
    ("tampering", "sequence", "why"),
    [
        (f"UPDATE event_log SET data = replace(data, '1', '2') {A2}", 2, CONTENT),
        (f"DELETE FROM event_log {A2}", 3, "event 2 is missing"),
        ("DELETE FROM event_log WHERE stream = 'order/a' AND sequence = 3", 3, "the log ends before event 3"),
    ],
)
async def test_a_quick_look_finds_it_too_where_it_looks(log: Pool, tampering: str, sequence: int, why: str):
    verdict, total = await verify_some(log, most=4)  # the newest two and two of the other three
    assert (verdict.events, verdict.breaks, total) == (4, [], 5)
    await log.execute(tampering)
    found = {(b.stream, b.sequence, b.why) for _ in range(20) for b in (await verify_some(log, 4))[0].breaks}
    assert found == {("order/a", sequence, why)}
    assert [b.stream for b in (await verify_some(log))[0].breaks] == [
        "order/a"
    ]  # small enough to verify whole


async def test_a_quick_look_never_misses_the_newest_event(log: Pool):
    await log.execute("UPDATE event_log SET data = '{}' WHERE stream = 'order/b' AND sequence = 2")
    assert [b.stream for b in (await verify_some(log, most=2))[0].breaks] == ["order/b"]


async def test_what_is_said_while_the_log_is_verified_breaks_nothing(
    log: Pool, monkeypatch: pytest.MonkeyPatch
):
    """The log is read first, and what its streams end with after that."""
    gate = "SELECT pg_advisory_xact_lock(1)"
    held = f"WITH gate AS MATERIALIZED ({gate}) {verify_module._LOG.replace('WHERE', ', gate WHERE')}"
    monkeypatch.setattr(verify_module, "_LOG", held)
    async with log.acquire() as connection, connection.transaction():
        await connection.execute(gate)
        verifying = asyncio.create_task(verify(log))
        await until(lambda: waits_for_a_lock(log))
        await log.execute(
            """
            WITH said AS (
              INSERT INTO event_log (stream, sequence, type, time, actor_kind, actor_name, data, previous, hash)
              SELECT stream, 3, type, time, actor_kind, actor_name, data, hash, sha256(hash) FROM event_log
              WHERE stream = 'order/b' AND sequence = 2 RETURNING stream, sequence, hash)
            UPDATE stream_heads h SET sequence = said.sequence, hash = said.hash FROM said WHERE h.stream = said.stream"""
        )
    assert (await verifying).breaks == []


async def test_the_command_says_where_the_trail_breaks(
    log: Pool, probe: Probe, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("HANDOVER_ORDERS_DATABASE_URL", probe.url("orders"))

    async def run(*arguments: str) -> tuple[int, str]:
        answer = await asyncio.to_thread(CliRunner().invoke, app, ["log", *arguments, "--service", "orders"])
        return answer.exit_code, answer.output

    assert await run("verify") == (0, "orders: 5 events in 2 streams, 0 broken.\n")
    assert await run("verify", "--stream", "order/b") == (0, "orders: 2 events in 1 stream, 0 broken.\n")
    assert (await run("verify", "--stream", "order/c"))[0] == 2
    assert await run("republish", "--after", "3") == (0, "orders: 2 events will be sent again.\n")
    await log.execute("DELETE FROM outbox")
    assert await run("republish", "--after", "3") == (0, "orders: 2 events will be sent again.\n")
    await log.execute(f"DELETE FROM event_log {A2}")
    code, said = await run("verify")
    assert code == 1
    assert "order/a breaks at event 3: event 2 is missing." in said
    monkeypatch.setenv("HANDOVER_ORDERS_DATABASE_URL", "postgresql://x:y@127.0.0.1:1/none")
    assert await run("verify") == (2, "The database of orders cannot be reached: ConnectionRefusedError.\n")
    monkeypatch.setenv("HANDOVER_ORDERS_DATABASE_URL", probe.url("orders") + "_none")
    code, said = await run("verify")
    assert code == 2
    assert "refuses" in said
