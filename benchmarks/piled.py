"""What piles up in one service, each beside the same work without it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from benchmarks.contestants import Contestant, Race, contestants, race
from benchmarks.place import Place
from benchmarks.rounds import figure, ratio
from benchmarks.work import STREAMS
from shared.runtime.outbox import republish
from shared.runtime.postgres import make_pool

PILED = 100_000
"""Parked streams, and timers that are not due."""
SENT = 400_000
"""Rows of the outbox that were deleted and that a snapshot might still see: of an hour, with a million orders a day."""
DUE = 10_000
"""Timers that fall due at once."""

_DUE = f"""
INSERT INTO timers (timer_id, name, due, body)
SELECT 'ledger.payment_due/' || n, 'ledger.payment_due', now(),
       jsonb_build_object('reminder_id', n::text, 'order_id', 'bench-' || lpad((n % {STREAMS})::text, 6, '0'))::text
FROM generate_series(1, {DUE}) n
"""


async def piled(place: Place, rounds: int) -> dict[str, Any]:
    """The service beside itself with streams parked that get nothing new and timers far off, in turns on one database; then
    what it sends of an outbox that holds its whole log, and what it does when much falls due at once."""
    service = contestants()["handover"]
    await service.prepare(place)
    await race(place, service, service.events // 5)
    raced: dict[str, list[Race]] = {"without": [], "parked": [], "backup": []}
    for _ in range(rounds):
        raced["without"].append(await race(place, service, service.events // 2))
        await _park(place, service)
        raced["parked"].append(await race(place, service, service.events // 2))
        await place.execute(
            service.database,
            "DELETE FROM parked",
            "DELETE FROM timers",
            "DELETE FROM cursors WHERE state = 'failed'",
        )
        async with _backup(place, service):
            raced["backup"].append(await race(place, service, service.events // 2))
    waiting, drained = 0, []
    for _ in range(rounds):
        async with make_pool(place.url(service.database)) as pool:
            waiting = await republish(pool)
        drained.append(await race(place, service, 0, waiting=waiting))
    due = []
    for _ in range(rounds):
        await place.execute(service.database, _DUE)
        due.append(await race(place, service, 0, waiting=DUE))
    cpu = {name: [sum(r.cpu.values()) for r in races] for name, races in raced.items()}
    return {
        "parked": {
            "streams": PILED,
            "rate": {name: figure([r.rate for r in raced[name]]) for name in ("without", "parked")},
            "cpu_ratio": ratio(cpu["parked"], cpu["without"]),
        },
        "backup": {
            "sent": SENT,
            "rate": figure([r.rate for r in raced["backup"]]),
            "cpu_ratio": ratio(cpu["backup"], cpu["without"]),
        },
        "outbox": {"events": waiting, "rate": figure([r.rate for r in drained])},
        "due": {"timers": DUE, "rate": figure([r.rate for r in due])},
    }


@asynccontextmanager
async def _backup(place: Place, service: Contestant) -> AsyncIterator[None]:
    """A snapshot as a backup holds it, and much that was sent since."""
    connection = await asyncpg.connect(place.url(service.database))
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            await connection.fetchval("SELECT count(*) FROM event_log")
            for _ in range(10):
                again = (
                    f"INSERT INTO outbox SELECT position FROM event_log ORDER BY position LIMIT {SENT // 10}"
                )
                await place.execute(service.database, again, "DELETE FROM outbox")
            yield
    finally:
        await connection.close()


async def _park(place: Place, service: Contestant) -> None:
    connection = await asyncpg.connect(place.url(service.database))
    await connection.execute(
        """
        INSERT INTO cursors (lane, sequence, state, version)
        SELECT 'shop|order/parked-' || n, 3, 'failed', 4 FROM generate_series(1, $1::int) n
        """,
        PILED,
    )
    await connection.execute(
        """
        INSERT INTO timers (timer_id, name, due, body)
        SELECT 'orders.unpaid/' || n, 'orders.unpaid', now() + interval '1 year', '{}' FROM generate_series(1, $1::int) n
        """,
        PILED,
    )
    await connection.execute(
        """
        INSERT INTO parked (parked_key, queue, place, state, doc, version)
        SELECT 'key-' || n, 'shop|order/parked-' || n, 4, 'failed', jsonb_build_object(
          'lane', 'shop|order/parked-' || n, 'parked_at', now(), 'type', 'shop.payment_taken.v1', 'stream',
          'order/parked-' || n, 'sequence', 4, 'message_id', 'order/parked-' || n || '/4', 'source', '/bench/shop', 'door',
          'kafka', 'topic', 'shop', 'partition', 0, 'offset', n, 'key', '', 'headers', '[]'::jsonb, 'body', repeat('A', 500),
          'reason', 'KeyError in take', 'traceback', '', 'tries', 1), 1
        FROM generate_series(1, $1::int) n
        """,
        PILED,
    )
    await connection.execute("ANALYZE")
    await connection.close()
