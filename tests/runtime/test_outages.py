"""What a service needs may be away at any time: it says so, waits, goes on by itself, and parks nothing for it (X6, X1)."""

import asyncio
from contextlib import suppress
from typing import Any

import asyncpg
import pytest

from deploy.embedded.child import free_port
from shared.runtime import commands, intake, postgres
from shared.runtime.commands import asked
from shared.runtime.running import Runtime
from shared.runtime.store import Unavailable
from shared.runtime.tasks import end
from tests.harness import AGENT
from tests.runtime.probe import Pay, Probe, outside, parked, receipt_of
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
        await until(lambda: "cannot be reached" in (writer.intake.trouble or ""))
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
        await until(lambda: "cannot be reached" in (writer.intake.trouble or ""))
        await until(says(writer, "timers", "cannot be reached"))
        assert (await writer.readiness())["database"] is not None
        assert await writer.lag() == {"orders.inbox": 20}
        monkeypatch.setattr(commands, "PATIENCE", 0)
        with pytest.raises(Unavailable):
            await writer.commands.ask(Pay(note_id="a"), AGENT)
    await until(noted(writer, "n", *[1] * 20))
    await until(noted(reader, "n", *[1] * 20))
    assert await writer.commands.ask(Pay(note_id="a"), AGENT) == {"total": 2}
    await until(noted(reader, "a", 1, 1))
    await until(ready(writer))
    await until(ready(reader))
    assert await parked(writer) == await parked(reader) == []
    assert await writer.lag() == {"orders.inbox": 0}


async def test_a_connection_that_was_cut_in_the_pool_is_an_outage_and_no_bug(probe: Probe):
    writer = await probe.writer()
    with pytest.raises(Unavailable):
        async with writer.turns.store.transaction():
            raise asyncpg.InternalClientError(
                "cannot switch to state 12; another operation (2) is in progress"
            )


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
