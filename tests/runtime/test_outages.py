"""What a service needs may be away at any time: it says so, waits, goes on by itself, and parks nothing for it (X6, X1)."""

import asyncio
from contextlib import suppress
from typing import Any

import asyncpg
import pytest
from structlog.testing import capture_logs

from deploy.embedded.child import free_port
from shared.events.orders import OrderEventParked
from shared.runtime import commands, intake, postgres, running
from shared.runtime.commands import asked
from shared.runtime.messages import Outcome, Refused
from shared.runtime.postgres import PostgresStore, make_pool
from shared.runtime.running import Runtime
from shared.runtime.service import Service
from shared.runtime.store import Ask, Unavailable
from shared.runtime.tasks import end
from tests.harness import AGENT
from tests.runtime.meddling import Meddled
from tests.runtime.probe import (
    LONG_AGO,
    NOTES,
    Pay,
    Probe,
    decoded,
    outside,
    paid,
    parked,
    raw,
    receipt_of,
)
from tests.runtime.waiting import away, frozen, noted, ready, says, until

pytestmark = [pytest.mark.requirement("X6"), pytest.mark.requirement("X1")]


async def unsent_is(runtime: Runtime, count: int) -> bool:
    return bool(await runtime.pool.fetchval("SELECT count(*) FROM outbox") == count)


async def test_a_database_that_is_away_at_the_start(probe: Probe):
    await probe.topics()
    await probe.send("orders.inbox", (outside("1"), receipt_of("n")))
    with away(probe.server):
        writer = await probe.writer()
        await writer.start()
        await until(says(writer, "database", "cannot be reached"))
        await until(lambda: "cannot be reached" in (writer.intake.away or ""))
    await until(noted(writer, "n", 1))
    await until(ready(writer))
    assert await parked(writer) == []


async def test_a_database_that_goes_away_later(probe: Probe, monkeypatch: pytest.MonkeyPatch):
    await probe.topics()
    writer, reader = await probe.writer(), await probe.reader()
    await writer.start()
    await reader.start()
    assert await writer.commands.ask(Pay(note_id="a"), AGENT) == {"total": 1}
    await until(noted(reader, "a", 1))
    await until(ready(writer))
    with away(probe.server):
        await probe.send("orders.inbox", *((outside(f"{m}"), receipt_of("n")) for m in range(20)))
        await until(lambda: "cannot be reached" in (writer.intake.away or ""))
        await until(says(writer, "timers", "cannot be reached"))
        assert (await writer.readiness())["database"] is not None
        assert await writer.lag() == {"orders.inbox": 20}
        monkeypatch.setattr(commands, "PATIENCE", 0)
        with pytest.raises(Unavailable):
            await writer.commands.ask(Pay(note_id="a"), AGENT)
        assert "cannot be reached" in ((await writer.readiness())["http"] or "")
    await until(noted(writer, "n", *[1] * 20))
    await until(noted(reader, "n", *[1] * 20))
    assert await writer.commands.ask(Pay(note_id="a"), AGENT) == {"total": 2}
    await until(noted(reader, "a", 1, 1))
    await until(ready(writer))
    await until(ready(reader))
    assert await parked(writer) == await parked(reader) == []
    assert await writer.lag() == {"orders.inbox": 0}


@pytest.mark.parametrize(
    "error",
    [
        # a connection that was cut while it lay in the pool
        asyncpg.InternalClientError("cannot switch to state 12; another operation (2) is in progress"),
        asyncpg.DiskFullError("could not extend file"),
        asyncpg.ReadOnlySQLTransactionError("a standby that is not the primary yet"),
        asyncpg.TooManyConnectionsError("sorry, too many clients already"),
        asyncpg.OutOfMemoryError("out of memory"),
        asyncpg.CannotConnectNowError("the database system is starting up"),
        asyncpg.AdminShutdownError("terminating connection due to administrator command"),
        asyncpg.CrashShutdownError("terminating connection because of crash of another server process"),
        asyncpg.QueryCanceledError("canceling statement due to statement timeout"),
        asyncpg.IdleInTransactionSessionTimeoutError("terminating connection"),
        asyncpg.IdleSessionTimeoutError("terminating connection"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_what_the_database_cannot_do_now_is_an_outage_and_no_bug(probe: Probe, error: Exception):
    writer = await probe.writer()
    with pytest.raises(Unavailable):
        async with writer.turns.store.transaction():
            raise error


async def test_an_outage_without_words_is_told_by_its_name(probe: Probe):
    """A driver that gave up waiting says nothing more."""
    writer = await probe.writer()
    with pytest.raises(Unavailable, match=r"^TimeoutError$"):
        async with writer.turns.store.transaction():
            raise TimeoutError


async def test_a_database_that_answers_and_takes_nothing_is_told_of_as_that_and_not_as_kafka(probe: Probe):
    """Whoever is paged for it looks for a full disk, and not for a broker."""
    await probe.topics()
    writer = await probe.writer()
    full, bugs = asyncio.Event(), [KeyError("a bug of the runtime")]

    async def refuses(connection: Any) -> None:
        if bugs:  # nothing is told of it any more once the next try fails otherwise
            raise bugs.pop()
        if not full.is_set():
            raise asyncpg.DiskFullError("could not extend file")

    writer.turns.store = Meddled(writer.turns.store, saving=refuses)
    await probe.send("orders.inbox", (outside("1"), receipt_of("n")))
    await writer.start()
    await until(says(writer, "database", "DiskFullError: could not extend file"))
    assert {part for part, why in (await writer.readiness()).items() if why} == {"database"}
    full.set()
    await until(noted(writer, "n", 1))
    await until(ready(writer))


async def test_a_replica_that_froze_in_the_middle_of_a_turn_does_not_keep_its_rows(probe: Probe):
    """Its host says no goodbye: the database must end what it began."""
    writer = await probe.writer()
    await writer.turns.run([asked(Pay(note_id="a"), AGENT, writer.clock.now())])
    async with make_pool(probe.url("orders"), size=1, statement_timeout_ms=1000) as pool:

        async def freezes() -> None:
            async with PostgresStore(pool).transaction() as turn:
                await turn.load([Ask(NOTES, ["a"])])
                another = writer.turns.run([asked(Pay(note_id="a"), AGENT, writer.clock.now())])
                outcomes.extend(await asyncio.wait_for(another, 10))

        outcomes = list[Outcome]()
        with pytest.raises(Unavailable):
            await freezes()
    assert [o.answer for o in outcomes] == [{"total": 2}]


async def test_a_database_that_is_gone_without_a_word_keeps_no_turn_for_ever(
    probe: Probe, monkeypatch: pytest.MonkeyPatch
):
    """No time-out of the server helps where its host is away: nobody says that the connection ended."""
    monkeypatch.setattr(postgres, "BEYOND_SECONDS", -29)
    async with Link(probe.server.port) as link:
        monkeypatch.setattr(probe, "url", lambda name: link.over(probe.server.admin_url, f"probe_{name}"))
        writer = await probe.writer()
        await writer.turns.run([asked(Pay(note_id="a"), AGENT, writer.clock.now())])
        link.cut()
        with pytest.raises(Unavailable):
            await writer.turns.run([asked(Pay(note_id="a"), AGENT, writer.clock.now())])
        outcomes = await writer.turns.run([asked(Pay(note_id="a"), AGENT, writer.clock.now())])
        assert [o.answer for o in outcomes] == [{"total": 2}]
        writer.pool.terminate()


async def test_a_database_that_is_gone_without_a_word_is_said_to_be_soon(
    probe: Probe, monkeypatch: pytest.MonkeyPatch
):
    """Whoever asks whether a service is ready does not wait as long as a statement may take."""
    async with Link(probe.server.port) as link:
        monkeypatch.setattr(probe, "url", lambda name: link.over(probe.server.admin_url, f"probe_{name}"))
        writer = await probe.writer()
        await writer.readiness()
        link.cut()
        readiness = await asyncio.wait_for(writer.readiness(), 10)
        assert readiness["database"] == "the database cannot be reached: no answer in 3 s"
        writer.pool.terminate()


class Link:
    """A way to a server that passes nothing on any more once it was cut, in either direction, and does not say so."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._lives: set[object] = set()
        self._open: set[asyncio.Task[Any]] = set()

    async def __aenter__(self) -> "Link":
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *error: object) -> None:
        self._server.close()
        await end(list(self._open))

    def over(self, url: str, database: str) -> str:
        """The address of a database by this way."""
        port = self._server.sockets[0].getsockname()[1]
        return f"{url.rsplit('/', 1)[0].replace(f':{self.port}', f':{port}')}/{database}"

    def cut(self) -> None:
        """All connections that are open now; new ones pass."""
        self._lives.clear()

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(asyncio.create_task(self._serve(reader, writer)))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        life = object()
        self._lives.add(life)
        there, back = await asyncio.open_connection("127.0.0.1", self.port)

        async def pass_on(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
            with suppress(OSError):
                while data := await source.read(65536):
                    if life in self._lives:
                        sink.write(data)

        try:
            await asyncio.gather(pass_on(reader, back), pass_on(there, writer))
        finally:
            writer.close()
            back.close()


async def test_a_database_without_its_tables_is_waited_for_too(probe: Probe):
    await probe.topics()
    writer = await probe.writer()
    await writer.pool.execute("ALTER SCHEMA public RENAME TO later")
    try:
        await writer.start()
        await until(says(writer, "database", "were migrations run?"))
        await until(says(writer, "relay", "cannot send"))
    finally:
        await writer.pool.execute("ALTER SCHEMA later RENAME TO public")
    assert await writer.commands.ask(Pay(note_id="a"), AGENT) == {"total": 1}
    await until(ready(writer))
    await until(lambda: unsent_is(writer, 0))


async def test_a_relay_that_reaches_everything_and_can_send_nothing_is_never_called_well(probe: Probe):
    await probe.topics()
    writer = await probe.writer()
    await writer.turns.run([commands.asked(Pay(note_id="a"), AGENT, writer.clock.now())])  # something to send
    await writer.pool.execute("ALTER TABLE event_log RENAME TO away")
    try:
        await writer.start()
        await until(says(writer, "relay", "cannot send"))
        for _ in range(100):
            assert writer.relay.trouble is not None
            await asyncio.sleep(0.01)
    finally:
        await writer.pool.execute("ALTER TABLE away RENAME TO event_log")
    await until(ready(writer))


async def test_a_broker_that_is_away_at_the_start(probe: Probe):
    writer, reader = await probe.writer(), await probe.reader()
    await writer.start()
    await reader.start()
    for runtime in (writer, reader):
        await until(says(runtime, "kafka", "Kafka"))
        await until(says(runtime, "relay", "cannot send"))
    assert await writer.commands.ask(Pay(note_id="a"), AGENT) == {"total": 1}
    assert await unsent_is(writer, 1)
    await probe.topics()
    await until(noted(reader, "a", 1))
    await until(ready(writer))
    await until(ready(reader))
    assert await parked(writer) == await parked(reader) == []


async def test_a_client_that_stopped_and_a_loop_that_fails_are_said(probe: Probe):
    await probe.topics()
    writer = await probe.writer()

    async def fails() -> None:
        if not writer.stopping.is_set():
            raise ZeroDivisionError

    writer.background.append(fails)
    await writer.start()
    await until(says(writer, "loops", "begun again, see the log"))
    await until(lambda: writer.intake.trouble is None)
    await end(list(writer.intake._consumer_of.tasks))
    await until(says(writer, "kafka", "the Kafka consumer stopped"))


async def test_a_statement_may_take_as_long_as_the_setting_says(probe: Probe):
    settings = (await probe.writer()).settings.model_copy(update={"statement_timeout_ms": 1234})
    runtime = Runtime(
        Service("orders", probe.desk, (), OrderEventParked, inboxes=("orders.inbox",)), settings
    )
    await runtime.pool
    for limit in ("statement_timeout", "idle_in_transaction_session_timeout"):
        assert await runtime.pool.fetchval(f"SHOW {limit}") == "1234ms"
    await runtime.pool.close()


async def test_metrics_say_what_is_away_and_what_waits_for_it(probe: Probe, monkeypatch: pytest.MonkeyPatch):
    """The alerts go by nothing else."""
    monkeypatch.setattr(running, "SAMPLE_SECONDS", 0.1)
    probe.broken.add("a")
    reader = await probe.reader()
    await reader.turns.run(decoded(reader, raw(paid("a", 1), 1), raw(paid("b", 1), 2)))
    for timer_id, at in (("due", LONG_AGO), ("later", LONG_AGO.replace(year=2200))):
        await reader.pool.execute("INSERT INTO timers VALUES ($1, 'probe.remind', $2, '{}')", timer_id, at)
    # the broker is away: what was said cannot go, nor do timers go before what was said meanwhile
    await reader.start()

    def metric(name: str, **labels: str) -> float | None:
        return reader.metrics.registry.get_sample_value(f"handover_{name}", labels)

    await until(lambda: metric("ready", part="relay") == 0)
    await until(lambda: (metric("outbox_oldest_seconds") or 0) > 0)
    assert metric("ready", part="kafka") == 0
    assert (
        metric("ready", part="database") == metric("ready", part="http") == metric("ready", part="loops") == 1
    )
    assert metric("outbox_events") == 1, "that a message was parked"
    assert (metric("outbox_oldest_seconds") or 0) < 3600, "the timer has waited for longer"
    assert metric("timers_overdue") == 1
    assert metric("parked_messages", state="failed") == metric("parked_messages", state="gap") == 1
    assert metric("turns_total") == metric("turn_seconds_count") == 1
    assert metric("last_turn_timestamp_seconds")


async def test_the_log_says_once_that_a_service_is_not_ready_and_once_that_it_is_again(
    probe: Probe, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(running, "SAMPLE_SECONDS", 0.1)
    await probe.topics()
    with capture_logs() as logs:
        writer = await probe.writer()
        await writer.start()

        def told() -> list[tuple[str, bool]]:
            ours = [line for line in logs if line["event"] in ("ready", "not ready")]
            return [(line["event"], "database" in line) for line in ours]

        await until(lambda: told()[-1:] == [("ready", False)])
        before = len(told())
        with away(probe.server):
            await until(lambda: len(told()) > before)
            await until(says(writer, "timers", "cannot be reached"))
        await until(lambda: told()[-1] == ("ready", False))
    assert told()[before] == ("not ready", True)
    assert [event for event, _ in told()].count("ready") == 2
    assert len(told()) <= before + 6, "parts fall away and come back one by one, each once"


async def test_a_gauge_that_cannot_be_read_keeps_no_other_from_it(
    probe: Probe, monkeypatch: pytest.MonkeyPatch
):
    """How far a service is behind is wanted most while its database is away."""
    monkeypatch.setattr(running, "SAMPLE_SECONDS", 0.1)
    await probe.topics()
    writer = await probe.writer()
    await writer.start()
    await until(ready(writer))

    async def fails() -> None:
        raise ConnectionRefusedError

    monkeypatch.setattr(writer, "_sample_waiting", fails)
    lag = {("orders.inbox", 0): 7}

    async def behind() -> dict[tuple[str, int], int]:
        return lag

    monkeypatch.setattr(writer.intake.places, "lag", behind)
    labels = {"topic": "orders.inbox", "partition": "0"}
    await until(lambda: writer.metrics.registry.get_sample_value("handover_lag_messages", labels) == 7)


async def test_how_far_behind_a_service_is_without_kafka_nobody_knows(probe: Probe):
    writer = await probe.writer()
    await writer.start()
    with pytest.raises(Refused) as refused:
        await writer.lag()
    assert (refused.value.code, refused.value.status) == ("kafka_away", 503)


async def test_a_broker_that_answers_no_more_for_a_while(probe: Probe, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(intake, "ANSWER_SECONDS", 0.5)
    await probe.topics()
    writer, reader = await probe.writer(), await probe.reader()
    await writer.start()
    await reader.start()
    await writer.commands.ask(Pay(note_id="a"), AGENT)
    await until(noted(reader, "a", 1))
    with frozen(probe.broker.pid):
        assert await writer.commands.ask(Pay(note_id="a"), AGENT) == {"total": 2}
        await until(says(writer, "kafka", "Kafka"))
    await until(noted(reader, "a", 1, 1))
    await until(ready(writer))
    await until(ready(reader))
    assert await parked(writer) == await parked(reader) == []


async def test_the_first_of_several_bootstrap_servers_is_away(probe: Probe):
    await probe.topics()
    writer, reader = (
        await probe.writer(f"127.0.0.1:{free_port()},{probe.broker.bootstrap}"),
        await probe.reader(),
    )
    await writer.start()
    await reader.start()
    await probe.send("orders.inbox", (outside("1"), receipt_of("n")))
    await until(noted(writer, "n", 1))
    await until(noted(reader, "n", 1))
    await until(ready(writer))
