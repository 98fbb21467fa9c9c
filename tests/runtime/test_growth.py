"""What a service asks of its database again and again costs the same, however much history lies there."""

import asyncpg
import pytest

from shared.runtime import relay, statements
from shared.runtime.commands import asked
from tests.harness import AGENT
from tests.runtime.probe import NOTES, Pay, Probe, note
from tests.runtime.waiting import until

MANY = 20_000
SOME = 500

_ONCE = """
INSERT INTO outbox SELECT generate_series(1, 5000);
INSERT INTO notes SELECT 'old-' || generate_series(1, 5000), 1, '{}', 1;
DELETE FROM outbox; DELETE FROM notes;
ANALYZE outbox, notes
"""
_NOW = f"""
INSERT INTO outbox SELECT generate_series(1, {MANY});
INSERT INTO notes SELECT generate_series(1, {MANY})::text, 1, '{{"amounts": []}}', 1
"""
_READ = (
    "SELECT sum(seq_tup_read + idx_tup_fetch) FROM pg_stat_user_tables WHERE relname IN ('outbox', 'notes')"
)


@pytest.mark.requirement("X6")
async def test_plans_of_a_time_when_nothing_waited_serve_when_much_does(probe: Probe):
    """A table that was emptied and not vacuumed yet is taken for one of no rows, however many come next."""
    async with (await probe.writer()).pool.acquire() as connection:
        await connection.execute(_ONCE)
        await connection.execute("SET plan_cache_mode = force_generic_plan")
        await connection.execute(_NOW)
        await connection.execute("SELECT pg_stat_force_next_flush()")
        before = await connection.fetchval(_READ)
        keys = [str(n) for n in range(1, SOME + 1)]
        unsent = await connection.fetch(relay._UNSENT, SOME)
        writings = list({row["writing"] for row in unsent})
        assert (
            await connection.execute(relay._SENT, [r["position"] for r in unsent], writings)
            == f"DELETE {SOME}"
        )
        assert len(await connection.fetch(statements.select(NOTES, None, 1), keys)) == SOME
        sql = f"WITH gone AS ({statements.delete(NOTES, 1)[0]}) SELECT count(*) FROM gone"
        assert await connection.fetchval(sql, keys, [1] * SOME) == SOME
        await connection.execute("SELECT pg_stat_force_next_flush()")
        assert await connection.fetchval(_READ) - before < 10 * SOME


@pytest.mark.requirement("X6")
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
