"""The disk that the logs go to is full: every line fails to be written, and nothing else may fail with it (X2, X6)."""

import asyncio
import sys
import time
from pathlib import Path

import asyncpg
import pytest
from aiokafka import AIOKafkaProducer

from deploy.embedded.stack import Stack
from shared.values import Actor, ActorKind
from tests.builders import submitted

SHOP = Actor(kind=ActorKind.SYSTEM, name="shop")


class FullLogDisk(Stack):
    """Orders alone, its log on a disk without room."""

    def log_of(self, service: str) -> Path:
        return Path("/dev/full")


async def send(stack: Stack, *numbers: str) -> None:
    """Place orders through the inbox, all in one partition."""
    async with AIOKafkaProducer(bootstrap_servers=stack.broker.bootstrap) as producer:
        for number in numbers:
            event = submitted(number)
            headers = {
                "ce_specversion": "1.0", "ce_id": number, "ce_source": "shop", "ce_type": event.wire_type,
                "authorization": f"Bearer {stack.token(SHOP)}", "content-type": "application/json",
            }  # fmt: skip
            await producer.send_and_wait(
                "orders.inbox", event.model_dump_json().encode(), key=number.encode(), partition=0,
                headers=[(name, value.encode()) for name, value in headers.items()],
            )  # fmt: skip


async def placed_and_sent(stack: Stack, count: int) -> None:
    """Wait until so many orders are there, and all that was said of them was sent."""
    connection = await asyncpg.connect(stack.database_url("orders", owner=True))
    sql = "SELECT (SELECT count(*) FROM orders), (SELECT count(*) FROM outbox)"
    try:
        async with asyncio.timeout(30):
            while tuple(await connection.fetchrow(sql) or ()) != (count, 0):
                await asyncio.sleep(0.1)
    finally:
        await connection.close()


@pytest.mark.requirement("X2")
@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux: /dev/full")
def test_a_service_goes_on_by_itself_though_it_could_not_say_that_its_database_was_away() -> None:
    with FullLogDisk(services=["orders"]) as stack:
        asyncio.run(send(stack, "1"))
        asyncio.run(placed_and_sent(stack, 1))
        stack.postgres.stop()
        asyncio.run(send(stack, "2", "3"))
        while "cannot be reached, and messages wait" not in (stack.not_ready("orders") or ""):
            time.sleep(0.1)  # until the intake has them in hand
        asyncio.run(send(stack, "4"))
        stack.postgres.start()
        stack.wait_ready()
        asyncio.run(placed_and_sent(stack, 4))
