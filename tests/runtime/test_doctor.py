"""`handover doctor` beside a service that runs, on a real database and broker: it sees what is there, and how it ends (X6)."""

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import pytest
from typer.testing import CliRunner

from deploy.cli import app
from deploy.doctor import judge as judge_module
from deploy.doctor import look as look_module
from deploy.doctor.look import Look, ask, ask_database, compare
from shared.runtime.clock import DrivenClock, WallClock
from shared.runtime.commands import asked
from shared.runtime.running import Runtime
from tests.harness import AGENT
from tests.runtime.answering import answering
from tests.runtime.probe import LONG_AGO, Pay, Probe, decoded, paid, raw
from tests.runtime.stand import token
from tests.runtime.waiting import ready, until

pytestmark = pytest.mark.requirement("X6")

PROTECT = """
CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''append only''; END';
CREATE OR REPLACE TRIGGER append_only BEFORE UPDATE OR DELETE ON event_log FOR EACH STATEMENT EXECUTE FUNCTION refuse();
ALTER TABLE event_log ENABLE ALWAYS TRIGGER append_only;
"""


@pytest.fixture
async def reader(probe: Probe, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Runtime]:
    """A reader with all its loops, as a service runs."""
    await probe.topics()
    reader = await probe.reader()
    await reader.start()
    async with answering(reader, monkeypatch):
        await until(ready(reader))
        yield reader


@pytest.fixture(autouse=True)
async def protected(probe: Probe, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    url = probe.url("warehouse")
    monkeypatch.setenv("HANDOVER_WAREHOUSE_DATABASE_URL", url)
    connection = await asyncpg.connect(url)
    await connection.execute(PROTECT)
    yield
    await connection.execute("DROP TRIGGER append_only ON event_log")
    await connection.close()


async def doctor(*options: str) -> tuple[int, str]:
    answer = await asyncio.to_thread(CliRunner().invoke, app, ["doctor", "--service", "warehouse", *options])
    return answer.exit_code, answer.stdout


async def test_a_system_that_is_well(reader: Runtime):
    code, said = await doctor()
    assert code == 0
    assert said.endswith("All is well.\n")


async def test_a_parked_message_wakes_somebody_who_is_told_what_to_do(reader: Runtime, probe: Probe):
    probe.broken.add("a")
    await reader.turns.run(decoded(reader, raw(paid("a", 1), 1), raw(paid("a", 2), 2)))
    code, said = await doctor("--json")
    found = json.loads(said)
    (finding,) = [f for f in found["findings"] if f["needs_somebody"]]
    assert code == 1
    assert not found["well"]
    assert finding["runbook"] == "A message is parked"
    key = finding["do"].removeprefix("handover parked show warehouse ")
    shown = await asyncio.to_thread(CliRunner().invoke, app, ["parked", "show", "warehouse", key])
    assert json.loads(shown.output)["stream"] == "order/a"


async def test_prometheus_is_told_what_needs_somebody_and_what_no_more(
    reader: Runtime, probe: Probe, tmp_path: Path
):
    file, found = tmp_path / "handover.prom", 'runbook="A message is parked",service="warehouse"} 1.0'
    probe.broken.add("a")
    await reader.turns.run(decoded(reader, raw(paid("a", 1), 1)))
    assert (await doctor("--textfile", str(file)))[0] == 1
    assert found in file.read_text()
    probe.broken.clear()
    await reader.parking.retry("orders|order/a")
    assert (await doctor("--textfile", str(file)))[0] == 0
    assert found not in file.read_text()
    assert (await doctor("--textfile", str(tmp_path / "gone" / "handover.prom")))[0] == 2


async def test_a_log_that_was_changed_is_seen(reader: Runtime, probe: Probe):
    probe.broken.add("a")
    await reader.turns.run(
        decoded(reader, raw(paid("a", 1), 1))
    )  # says that it was parked: an event in its log
    connection = await asyncpg.connect(probe.url("warehouse"))
    await connection.execute("ALTER TABLE event_log DISABLE TRIGGER append_only")
    code, said = await doctor()
    assert code == 1
    assert "its database lets its event log be changed" in said
    await connection.execute(
        "UPDATE event_log SET data = replace(data::text, 'order_paid', 'order_made')::json"
    )
    await connection.execute("ALTER TABLE event_log ENABLE ALWAYS TRIGGER append_only")
    await connection.close()
    code, said = await doctor()
    assert code == 1
    assert "its event log is not as written" in said
    assert "A chain does not verify" in said


async def test_a_service_that_is_gone_is_said_and_its_log_is_still_looked_at(
    reader: Runtime, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("HANDOVER_WAREHOUSE_URL", "http://127.0.0.1:1")
    code, said = await doctor("--json")
    found = json.loads(said)
    assert code == 1
    assert [f["runbook"] for f in found["findings"]] == ["A service is down"]
    assert found["services"]["warehouse"]["chain"] == "all 0 events"


async def test_without_the_password_of_a_database_the_rest_is_still_seen(
    reader: Runtime, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.delenv("HANDOVER_WAREHOUSE_DATABASE_URL")
    monkeypatch.chdir(tmp_path)
    code, said = await doctor("--json")
    assert code == 0
    assert json.loads(said)["services"]["warehouse"]["chain"] == "not checked"


async def test_kafka_that_is_away_is_said_with_what_to_do(reader: Runtime, probe: Probe):
    probe.broker.stop()
    await until(lambda: _unready(reader))
    code, said = await doctor()
    assert code == 1
    assert "bring Kafka back" in said


async def test_a_token_that_does_not_do_is_said_and_nothing_is_judged(
    reader: Runtime, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("HANDOVER_TOKEN", token())
    answer = await asyncio.to_thread(CliRunner().invoke, app, ["doctor", "--service", "warehouse"])
    assert answer.exit_code == 2
    assert "yours is ordinary" in answer.stderr
    assert "--role administrator" in answer.stderr
    assert answer.stdout == ""


async def test_a_port_that_is_another_services_is_not_taken_for_the_one_meant(
    reader: Runtime, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("HANDOVER_ORDERS_URL", os.environ["HANDOVER_WAREHOUSE_URL"])
    answer = await asyncio.to_thread(CliRunner().invoke, app, ["doctor", "--service", "orders"])
    assert answer.exit_code == 1
    assert "is not orders" in answer.stdout


async def asked_itself() -> Look:
    """What the service says of itself."""
    look = Look("warehouse", os.environ["HANDOVER_WAREHOUSE_URL"])
    await ask(look, os.environ["HANDOVER_TOKEN"])
    return look


@pytest.mark.parametrize("hours", [1, -1])
async def test_a_clock_that_is_off_is_seen_with_its_direction(reader: Runtime, hours: int):
    assert isinstance(reader.clock, WallClock)
    reader.clock.set(datetime.now(UTC) + timedelta(hours=hours))
    assert abs((await asked_itself()).clock_off - 3600 * hours) < 10


@pytest.mark.parametrize("minutes", [10, -10])
async def test_a_host_whose_clock_is_off_is_seen_too(
    reader: Runtime, monkeypatch: pytest.MonkeyPatch, minutes: int
):
    """It dates its answers, which needs no token."""
    right = (await asked_itself()).host_off
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + 60 * minutes)
    await asyncio.sleep(1.1)  # the server sets the date once a second
    assert abs(right) < 3
    assert abs((await asked_itself()).host_off - 60 * minutes) < 3


async def test_a_driven_clock_is_never_called_wrong(reader: Runtime, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(reader, "clock", DrivenClock(LONG_AGO))
    assert (await asked_itself()).clock_off == 0


async def test_what_waits_for_a_missing_message_is_seen(reader: Runtime):
    await reader.turns.run(decoded(reader, raw(paid("a", 1), 2)))
    assert [gap["stream"] for gap in (await asked_itself()).gaps] == ["order/a"]


async def test_a_timer_that_nobody_handles_wakes_somebody(
    reader: Runtime, probe: Probe, monkeypatch: pytest.MonkeyPatch
):
    """It is ready, and says so: only that nothing moves tells."""
    monkeypatch.setattr(look_module, "WATCH", 1)
    monkeypatch.setattr(judge_module, "LATE_SECONDS", 0.1)
    soon = datetime.now(UTC) + timedelta(seconds=1)
    await reader.pool.execute("INSERT INTO timers VALUES ('t', 'probe.remind', $1, '{}')", soon)
    connection = await asyncpg.connect(probe.url("warehouse"))
    async with connection.transaction():  # timers that somebody has in hand are passed over
        await connection.fetch("SELECT * FROM timers FOR UPDATE")
        await asyncio.sleep(1.2)
        code, said = await doctor()
    await connection.close()
    assert code == 1
    assert "1 timer overdue" in said


async def said_lately(probe: Probe, *note_ids: str) -> Look:
    """What the doctor sees of orders, all of whose events were sent."""
    writer = await probe.writer()
    for note_id in note_ids:
        await writer.turns.run([asked(Pay(note_id=note_id), AGENT, writer.clock.now())])
    publisher = Look("orders", "", progress={"outbox": 0})
    await ask_database(publisher, probe.url("orders"), deep=False)
    return publisher


def urls(probe: Probe) -> dict[str, str]:
    return {service: probe.url(service) for service in ("orders", "warehouse")}


def warehouse(lag: int = 0) -> Look:
    return Look("warehouse", "", progress={"topics": ["orders"]}, lag={"orders": lag})


async def test_a_stream_whose_events_never_arrived_is_found_and_no_other(probe: Probe):
    """Not one that was applied, nor one that waits behind a parked message."""
    publisher, reader = await said_lately(probe, *"aabcd"), await probe.reader()
    probe.broken.add("b")
    arrived = (raw(paid("a", 1), 1), raw(paid("a", 1), 2), raw(paid("b", 1), 1), raw(paid("d", 1), 1))
    await reader.turns.run(decoded(reader, *arrived))
    look = warehouse()
    await compare(look, urls(probe), [publisher])
    assert look.missing == {"orders": ["order/c"]}


async def test_what_is_still_on_its_way_is_not_called_lost(probe: Probe):
    publisher = await said_lately(probe, "a")
    unread = warehouse(lag=1)
    await compare(unread, urls(probe), [publisher])
    publisher.progress = {"outbox": 1}
    unsent = warehouse()
    await compare(unsent, urls(probe), [publisher])
    assert unread.missing == unsent.missing == {}


async def test_a_publisher_whose_database_is_an_older_one_is_found(probe: Probe):
    """Its next events get numbers that were given before, and nobody would apply them."""
    publisher, reader = await said_lately(probe, *"ab"), await probe.reader()
    heard = (raw(paid("a", 1), 1), raw(paid("a", 1), 2), raw(paid("b", 1), 1))
    await reader.turns.run(decoded(reader, *heard))
    look = warehouse()
    await compare(look, urls(probe), [publisher])
    assert look.ahead == {"orders": ["order/a"]}


async def test_what_was_said_last_is_looked_for(probe: Probe, monkeypatch: pytest.MonkeyPatch):
    """A log may be long: what it began with arrived years ago."""
    monkeypatch.setattr(look_module, "NEWEST", 2)
    assert (await said_lately(probe, *"abcd")).newest == {"order/c": 1, "order/d": 1}


async def _unready(runtime: Runtime) -> bool:
    return any((await runtime.readiness()).values())
