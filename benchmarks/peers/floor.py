"""The floor: aiokafka and asyncpg by hand, for this one job and nothing else.

A batch of 500: dedupe by id, load and lock the rows, change them, log and queue the events, commit, then the offsets. A second
loop sends what is queued and deletes it when acknowledged. No stream sequence, no gap detection, no hash chain, no parking,
no version guard, no metrics: what those cost is in the ratio.
"""

import asyncio
import contextlib
import os
import signal
from datetime import UTC, datetime
from typing import Any

import asyncpg
import orjson
import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from benchmarks.work import Account, PaymentTaken, book

BATCH = 500

_SEEN = "INSERT INTO inbox (event_id) SELECT unnest($1::text[]) ON CONFLICT DO NOTHING RETURNING event_id"
_LOAD = "SELECT * FROM accounts WHERE order_id = ANY($1::text[]) ORDER BY order_id FOR UPDATE"
_SAVE = """
UPDATE accounts a SET balance = n.balance, payments = n.payments, doc = n.doc
FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::jsonb[]) AS n(order_id, balance, payments, doc)
WHERE a.order_id = n.order_id
"""
_LOG = """
WITH said AS (
  INSERT INTO event_log (stream, type, time, cause, data)
  SELECT * FROM unnest($1::text[], $2::text[], $3::timestamptz[], $4::text[], $5::text[]) RETURNING position)
INSERT INTO outbox SELECT position FROM said
"""
_UNSENT = """
SELECT position, stream, type, time, cause, data FROM outbox JOIN event_log USING (position) ORDER BY position LIMIT 1000
"""
_SENT = "DELETE FROM outbox WHERE position = ANY($1::bigint[])"


Events = dict[str, PaymentTaken]


async def consume(pool: asyncpg.Pool, consumer: AIOKafkaConsumer, queued: asyncio.Event) -> None:
    """Batches in, one transaction each, offsets after the commit."""
    while True:
        fetched = await consumer.getmany(timeout_ms=200, max_records=BATCH)
        events: Events = {}
        for part in fetched.values():
            for record in part:
                decode(record, events)
        if not events:
            continue
        async with pool.acquire() as connection, connection.transaction():
            await apply(connection, events)
        queued.set()
        await consumer.commit()


async def consume_ahead(pool: asyncpg.Pool, consumer: AIOKafkaConsumer, queued: asyncio.Event) -> None:
    """The same with what Handover does besides: the next batch is decoded while this one is at the database, and offsets are
    committed while the next one is at work."""
    turn: asyncio.Task[None] | None = None
    offsets: asyncio.Task[None] | None = None

    async def take(events: Events, places: dict[Any, int]) -> None:
        nonlocal offsets
        async with pool.acquire() as connection, connection.transaction():
            await apply(connection, events)
        queued.set()
        offsets = asyncio.create_task(note(places, offsets))

    async def note(places: dict[Any, int], before: asyncio.Task[None] | None) -> None:
        if before is not None:
            await before
        await consumer.commit(places)

    while True:
        fetched = await consumer.getmany(timeout_ms=200, max_records=BATCH)
        events: Events = {}
        for part in fetched.values():
            for number, record in enumerate(part):
                if number % 50 == 0:
                    await asyncio.sleep(0)
                decode(record, events)
        if not events:
            continue
        if turn is not None:
            await turn
        places = {partition: part[-1].offset + 1 for partition, part in fetched.items()}
        turn = asyncio.create_task(take(events, places))


def decode(record: Any, events: Events) -> None:
    """One record among the events of its batch, unless it is there."""
    headers = dict(record.headers)
    events.setdefault(headers["ce_id"].decode(), PaymentTaken.model_validate_json(record.value))


async def apply(connection: Any, events: Events) -> None:
    """One batch in one transaction."""
    fresh = {r["event_id"] for r in await connection.fetch(_SEEN, sorted(events))}
    todo = [(event_id, event) for event_id, event in events.items() if event_id in fresh]
    accounts = {
        r["order_id"]: Account(r["order_id"], r["balance"], r["payments"], **orjson.loads(r["doc"]))
        for r in await connection.fetch(_LOAD, sorted({e.order_id for _, e in todo}))
    }
    now, log = datetime.now(UTC), []
    for event_id, event in todo:
        accounts[event.order_id], said = book(accounts[event.order_id], event)
        log.append((said.stream, said.wire_type, now, event_id, said.model_dump_json()))
    rows = [
        (a.order_id, a.balance, a.payments,
         orjson.dumps({"last_payment": a.last_payment, "currency": a.currency}).decode())
        for a in accounts.values()
    ]  # fmt: skip
    if todo:
        await connection.execute(_SAVE, *map(list, zip(*rows, strict=True)))
        await connection.execute(_LOG, *map(list, zip(*log, strict=True)))


async def relay(pool: asyncpg.Pool, producer: AIOKafkaProducer, topic: str, queued: asyncio.Event) -> None:
    """Send what is queued, in order; delete it once the broker has it."""
    async with pool.acquire() as connection:
        while True:
            queued.clear()
            unsent = await connection.fetch(_UNSENT)
            futures = [
                await producer.send(topic, r["data"].encode(), key=r["stream"].encode(), headers=headers(r))
                for r in unsent
            ]
            await asyncio.gather(*futures)
            if unsent:
                await connection.execute(_SENT, [r["position"] for r in unsent])
            else:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(queued.wait(), 0.1)


def headers(record: Any) -> list[tuple[str, bytes]]:
    """CloudEvents, binary mode, the fewest that are allowed, and the cause."""
    return [("ce_specversion", b"1.0"), ("ce_id", str(record["position"]).encode()), ("ce_source", b"/floor"),
            ("ce_type", record["type"].encode()), ("ce_time", record["time"].isoformat().encode()),
            ("ce_causationid", record["cause"].encode())]  # fmt: skip


async def main() -> None:
    """Run until told to stop."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    pool = await asyncpg.create_pool(os.environ["BENCH_DATABASE"], min_size=2, max_size=4)
    kafka = os.environ["BENCH_KAFKA"]
    producer = AIOKafkaProducer(
        bootstrap_servers=kafka, acks="all", enable_idempotence=True, linger_ms=2, max_batch_size=256 * 1024
    )
    consumer = AIOKafkaConsumer(
        os.environ["BENCH_IN"], bootstrap_servers=kafka, group_id="floor", enable_auto_commit=False,
        auto_offset_reset="earliest", fetch_max_wait_ms=50,
    )  # fmt: skip
    take = consume_ahead if os.environ.get("BENCH_AHEAD") else consume
    async with producer, consumer:
        queued = asyncio.Event()
        loops = [
            asyncio.create_task(take(pool, consumer, queued)),
            asyncio.create_task(relay(pool, producer, os.environ["BENCH_OUT"], queued)),
            asyncio.create_task(stop.wait()),
        ]
        done, _ = await asyncio.wait(loops, return_when=asyncio.FIRST_COMPLETED)
        for task in loops:
            task.cancel()
        await asyncio.gather(*done)


if __name__ == "__main__":
    uvloop.run(main())
