"""What a service asks of its database again and again costs the same, however much history lies there."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from pydantic import SecretStr
from sqlalchemy import MetaData, Text

from deploy.embedded.broker import EmbeddedBroker
from deploy.embedded.postgres import EmbeddedPostgres
from deploy.topics import create_topics
from services.aftersales.tables import metadata as aftersales_tables
from services.notify.app import NotifySettings, sender
from services.notify.tables import metadata as notify_tables
from services.notify.troubles import TroubleGauges
from services.orders.tables import metadata as orders_tables
from services.warehouse.tables import metadata as warehouse_tables
from shared.events.warehouse import StockDepleted
from shared.runtime import statements
from shared.runtime.bookkeeper import parked_key
from shared.runtime.clock import Clock, DrivenClock
from shared.runtime.commands import asked
from shared.runtime.messages import Door, Incoming, Status
from shared.runtime.outbox import Outbox
from shared.runtime.parking import SkipParked, with_parking
from shared.runtime.postgres import Connection, PostgresStore, make_pool
from shared.runtime.running import Runtime
from shared.runtime.turn import Turns
from tests.harness import ADMINISTRATOR, START, Bench
from tests.life import keep, live, wait, write
from tests.runtime.probe import NOTES, Probe, database
from tests.runtime.stand import PUBLIC
from tests.runtime.waiting import ready, until
from tests.served import emptied
from tests.town import Town

MANY = 20_000
SOME = 500

GROWN = 2_000
"""Rows that each table holds at least, but for what is still to be sent."""
FEW = GROWN // 2
"""Rows of a table, with entries of its indexes, that all turns of some orders and all loops read together at most."""
TABLES = {
    "orders": orders_tables,
    "warehouse": warehouse_tables,
    "aftersales": aftersales_tables,
    "notify": notify_tables,
}
LOOKED_ALONG = [
    "cursors_waiting",
    "parked_waiting",
    "parked_bodies",
    "ix_inbox_seen_at",
    "ix_timers_due",
    "outbox_pkey",
]
"""Indexes along which loops find what there is to do."""

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
_ROWS_READ = """
SELECT t.relname, c.reltuples AS there, t.seq_tup_read + coalesce(sum(i.idx_tup_read), 0) AS read
FROM pg_stat_user_tables t JOIN pg_class c ON c.oid = t.relid LEFT JOIN pg_stat_user_indexes i USING (relid)
GROUP BY t.relname, c.reltuples, t.seq_tup_read
"""
_NEVER_LOOKED = """
SELECT name FROM unnest($1::text[]) AS name
WHERE NOT EXISTS (SELECT FROM pg_stat_user_indexes WHERE indexrelname = name AND idx_scan > 0)
"""
_NOBODY_ELSE = """
SELECT count(*) = 0 FROM pg_stat_activity
WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()
"""


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


class Lived:
    """What happens in a town: the turns that its services take, one after another."""

    def __init__(self) -> None:
        self.town = Town()
        self._turns: list[tuple[str, datetime, Sequence[Incoming]]] = []
        for name, bench in self.town.benches.items():
            bench.turns.took.append(partial(self._took, name, bench.clock))

    def _took(
        self, name: str, clock: Clock, seconds: float, messages: Sequence[Incoming], outcomes: Any
    ) -> None:
        self._turns.append((name, clock.now(), messages))

    async def again(self, places: Mapping[str, Turns[Any]]) -> None:
        """The same on other stores; what was done again is forgotten."""
        for name, now, messages in self._turns:
            turns = places[name]
            assert isinstance(turns.clock, DrivenClock)
            turns.clock.move_to(now)
            if messages[0].door is Door.TIMER:
                assert await turns.run_timers() == len(messages)
            else:
                outcomes = await turns.run(messages)
                assert {o.status for o in outcomes} <= {Status.DONE, Status.PASSED}
        self._turns.clear()


@pytest.mark.requirement("X6")
async def test_no_loop_and_no_turn_of_a_service_reads_a_whole_table(
    server: EmbeddedPostgres, broker: EmbeddedBroker, tmp_path: Path
):
    """Thousands of rows lie there like each that orders left behind, and other orders are lived."""
    broker.start()
    await create_topics(broker.bootstrap, partitions=2)
    urls = {name: await database(server, f"grown_{name}") for name in TABLES}
    lived = Lived()
    await live(lived.town, "A")
    await wait(lived.town, "A")
    await keep(lived.town, "A")
    await write(lived.town)
    async with turns_on(urls, lived.town) as places:
        for name, metadata in TABLES.items():
            await emptied(urls[name], metadata)
        await lived.again(places)
        for turns in places.values():
            await give_one_up(turns)
    for name, metadata in TABLES.items():
        await multiply(urls[name], metadata)
    await live(lived.town, "B")
    async with turns_on(urls, lived.town) as places:
        await lived.again(places)
    await run_all_loops(urls, broker, lived.town.now, tmp_path)
    for name, url in urls.items():
        async with alone(url) as connection:
            counted = await connection.fetch(_ROWS_READ)
            never_looked = await connection.fetch(_NEVER_LOOKED, LOOKED_ALONG)
        tables = {r["relname"]: r for r in counted if r["relname"] != "outbox"}
        assert {t: r["read"] for t, r in tables.items() if r["read"] > FEW} == {}, name
        small = {t for t, r in tables.items() if r["there"] < GROWN}
        assert small == (set() if name == "orders" else {"event_personal"}), name  # what only orders say
        assert never_looked == [], name


@asynccontextmanager
async def turns_on(urls: Mapping[str, str], town: Town) -> AsyncIterator[dict[str, Turns[Any]]]:
    """Turns of all services on these databases."""
    async with AsyncExitStack() as pools:
        places = {}
        for name, bench in town.benches.items():
            pool = await pools.enter_async_context(make_pool(urls[name], size=1))
            places[name] = Turns(with_parking(bench.service), PostgresStore(pool), DrivenClock(START))
        yield places


async def give_one_up(turns: Turns[Any]) -> None:
    """A message that is parked, and skipped."""
    news = Bench(turns.service).incoming(StockDepleted(sku="BAD"))
    news.error = ZeroDivisionError()
    news.lane = "nobody|stock/BAD"
    skipped = SkipParked(parked_key=parked_key(news), reason="it was a test")
    for message, becomes in ((news, Status.PARKED), (asked(skipped, ADMINISTRATOR, START), Status.DONE)):
        assert [o.status for o in await turns.run([message])] == [becomes]


async def multiply(url: str, metadata: MetaData) -> None:
    """Copies of all rows, under keys of their own. What was said was sent, and what was given up was emptied, long ago; much
    falls due, but not yet."""
    async with alone(url) as connection:
        await connection.execute("DELETE FROM outbox")
        await connection.execute("""UPDATE parked SET doc = doc || '{"body": ""}'""")
        await connection.execute(
            f"INSERT INTO timers SELECT 'later-' || n, 'later', 'infinity', '' FROM generate_series(1, {GROWN}) n"
        )
        for table in metadata.sorted_tables:
            unique = {c.name for index in table.indexes if index.unique for c in index.columns}
            unique |= {c.name for c in table.columns if c.primary_key or c.unique}
            columns = [c for c in table.columns if c.identity is None]
            copied = [
                f"{c.name} || '-' || n" if c.name in unique and isinstance(c.type, Text) else c.name
                for c in columns
            ]
            if table.name not in ("outbox", "timers"):
                await connection.execute(
                    f"INSERT INTO {table.name} ({', '.join(c.name for c in columns)}) SELECT {', '.join(copied)} "
                    f"FROM {table.name}, generate_series(1, 1 + {GROWN} / nullif((SELECT count(*) FROM {table.name}), 0)) n"
                )
        await connection.execute("ANALYZE")
        await connection.execute("SELECT pg_stat_force_next_flush()")
        await connection.execute("SELECT pg_stat_reset()")


async def run_all_loops(urls: Mapping[str, str], broker: EmbeddedBroker, now: datetime, folder: Path) -> None:
    """Start the services as their processes do, let them send and hear what was said, and stop them."""
    runtimes = []
    for name, service in Town().benches.items():
        settings = NotifySettings(
            database_url=SecretStr(urls[name]), kafka=broker.bootstrap, kafka_idempotent=broker.idempotent,
            kafka_session_ms=broker.session_ms, kafka_fetch_wait_ms=broker.fetch_wait_ms, http_port=1,
            token_public_key=PUBLIC, clock="driven", clock_start=now, messages_dir=folder,
            ids_kept_for=timedelta(days=3650),
        )  # fmt: skip
        runtimes.append(Runtime(service.service, settings))
    notify = runtimes[-1]
    notify.background += [sender(notify).run, TroubleGauges(notify).run]
    try:
        for runtime in runtimes:
            await runtime.start()  # every loop looks once as it begins
        for runtime in runtimes:
            await until(ready(runtime))
            await until(partial(_at_rest, runtime))
            await runtime.progress()
    finally:
        for runtime in runtimes:
            await runtime.stop()


async def _at_rest(runtime: Runtime) -> bool:
    """All was sent and heard, and every letter left."""
    waits = await runtime.progress()
    behind = sum((await runtime.lag()).values())
    letters = "SELECT EXISTS (SELECT FROM messages WHERE state = 'planned')"
    planned = await runtime.pool.fetchval(letters) if runtime.service.name == "notify" else 0
    return not (waits["outbox"] or waits["timers_due"] or behind or planned)


@asynccontextmanager
async def alone(url: str) -> AsyncIterator[Connection]:
    """A connection to a database which all others have left: what they counted is told then."""
    connection = await asyncpg.connect(url)
    try:
        await until(lambda: connection.fetchval(_NOBODY_ELSE))
        yield connection
    finally:
        await connection.close()
