"""What a service asks of its database again and again costs the same, however much history lies there."""

import asyncpg
import pytest

from shared.runtime import statements
from shared.runtime.commands import asked
from shared.runtime.outbox import Outbox
from shared.runtime.postgres import Connection
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
        outbox = Outbox(connection)
        await outbox.sent(await outbox.unsent(SOME))
        assert len(await connection.fetch(statements.select(NOTES, None, 1), keys)) == SOME
        sql = f"WITH gone AS ({statements.delete(NOTES, 1)[0]}) SELECT count(*) FROM gone"
        assert await connection.fetchval(sql, keys, [1] * SOME) == SOME
        await connection.execute("SELECT pg_stat_force_next_flush()")
        assert await connection.fetchval(_READ) - before < 10 * SOME
        assert await connection.fetchval("SELECT count(*) FROM outbox") == MANY - SOME


@pytest.mark.requirement("X5", "X6")
async def test_what_was_sent_while_a_backup_is_made_is_not_walked_past_again(probe: Probe):
    """No vacuum takes away what the backup's snapshot might still see."""
    pool = (await probe.writer()).pool
    async with pool.acquire() as backup, backup.transaction(isolation="repeatable_read", readonly=True):
        await backup.fetchval("SELECT count(*) FROM outbox")
        async with pool.acquire() as connection:
            outbox = Outbox(connection)
            for first in range(1, MANY, SOME):
                await connection.execute(
                    "INSERT INTO outbox SELECT generate_series($1::int, $2::int)", first, first + SOME - 1
                )
                await outbox.sent(await outbox.unsent(SOME))
            await outbox.unsent(SOME)
            before = await walked(connection)
            for _ in range(10):
                assert await outbox.unsent(SOME) == {}
            assert await walked(connection) - before < SOME


async def walked(connection: Connection) -> int:
    """Entries of the outbox's index that were read, of rows that are there and of rows that were."""
    await connection.execute("SELECT pg_stat_force_next_flush()")
    read = "SELECT idx_tup_read FROM pg_stat_user_indexes WHERE relname = 'outbox'"
    return int(await connection.fetchval(read))


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
