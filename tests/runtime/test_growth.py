"""What a service asks of its database again and again costs the same, however much history lies there."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from shared.runtime.commands import asked
from tests.harness import AGENT
from tests.runtime.probe import Pay, Probe, note
from tests.runtime.waiting import until

DATABASES = ("probe_orders", "probe_warehouse")


@pytest.fixture
async def wary(admin: "asyncpg.Connection[asyncpg.Record]") -> AsyncIterator[None]:
    """The planner reads a whole table only where no index would do, as if every table were a large one."""
    for name in DATABASES:
        await admin.execute(f"ALTER DATABASE {name} SET enable_seqscan = off")
    yield
    for name in DATABASES:
        await admin.execute(f"ALTER DATABASE {name} RESET enable_seqscan")


@pytest.mark.requirement("X6")
@pytest.mark.usefixtures("wary")
async def test_no_loop_and_no_turn_of_a_service_reads_a_whole_table(probe: Probe):
    await probe.topics()
    writer, reader = await probe.writer(), await probe.reader()
    for runtime in (writer, reader):
        await runtime.pool.execute("SELECT pg_stat_reset()")
        await runtime.start()  # every loop looks once as it begins
    await writer.commands.put(asked(Pay(note_id="n"), AGENT, writer.clock.now(), key="k"))
    await until(lambda: note(reader, "n"))
    for runtime in (writer, reader):
        await runtime.readiness()
        await runtime.progress()
        await runtime.stop()  # a connection's counts are there once it has ended
    for name in ("orders", "warehouse"):
        connection = await asyncpg.connect(probe.url(name))
        scanned = await connection.fetch(
            "SELECT relname, seq_scan FROM pg_stat_user_tables WHERE seq_scan > 0"
        )
        assert scanned == []
        counted = """
            SELECT sum(idx_scan) FROM pg_stat_user_tables WHERE relname IN ('cursors', 'outbox', 'timers')"""
        assert await connection.fetchval(counted) > 3
        await connection.close()
