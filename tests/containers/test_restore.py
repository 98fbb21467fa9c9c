"""A backup is worth what its restore gives back: the steps of *Back up* in docs/operations.md, on the parts that ops run."""

import asyncio
import time
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import httpx
import pytest

from deploy.commands.demo import play
from deploy.embedded.stack import Stack
from deploy.play.checks import Check, check_all
from deploy.play.edges import OWNER
from deploy.play.targets import embedded
from deploy.provision import SERVICES, database_of
from deploy.topics import OWNERS, create_topics
from services.warehouse.couriers_file import DEFAULT_COURIERS
from shared.values import Actor, ActorKind, Role
from tests.containers.parts import ContainerKafka, ContainerPostgres, on_containers

pytestmark = pytest.mark.containers


@pytest.mark.timeout(600)
@pytest.mark.requirement("X5")
def test_restored_databases_hear_again_what_came_over_kafka_after_the_backup(tmp_path: Path) -> None:
    with on_containers(Stack()) as stack:
        postgres, kafka = stack.postgres, stack.broker
        assert isinstance(postgres, ContainerPostgres)
        assert isinstance(kafka, ContainerKafka)
        assert asyncio.run(play(embedded(stack), 20, 21))

        stack.stop_services()
        moment, over = datetime.now(UTC), sorted(asyncio.run(_orders(stack, over=True)))
        for service in SERVICES:
            postgres.run("pg_dump", "-Fc", "-d", _url(postgres, service), "-f", f"/tmp/{service}.dump")
        _start(stack)
        assert asyncio.run(play(embedded(stack), 20, 22))
        placed = asyncio.run(_orders(stack))
        erased = _erase_one(stack, over)

        stack.stop_services()
        for service in SERVICES:
            postgres.run("pg_restore", "--clean", "--create", "-d", _url(postgres), f"/tmp/{service}.dump")
        assert len(asyncio.run(_orders(stack))) < len(placed), "the backup is of before the second day"
        said = kafka.run(
            f"{_BIN}/kafka-console-consumer.sh", *_server(kafka), "--topic", "orders", "--from-beginning",
            "--timeout-ms", "10000", "--property", "print.headers=true",
        )  # fmt: skip
        assert [erased in line for line in said.splitlines() if "orders.personal_erased.v1" in line] == [True]
        kafka.run(f"{_BIN}/kafka-topics.sh", *_server(kafka), "--delete", "--topic", "|".join(OWNERS))
        stack.republish()
        asyncio.run(create_topics(kafka.bootstrap, partitions=stack.partitions))
        at = moment.strftime("%Y-%m-%dT%H:%M:%S.000")
        for service in {*OWNER.values()}:
            kafka.run(
                f"{_BIN}/kafka-consumer-groups.sh", *_server(kafka), "--group", f"handover-{service}",
                *(part for inbox, owner in OWNER.items() if owner == service for part in ("--topic", inbox)),
                "--reset-offsets", "--to-datetime", at, "--execute",
            )  # fmt: skip
        stack.settings["HANDOVER_COURIERS_FILE"] = str(_numbers_from(1000, tmp_path / "couriers.toml"))
        _start(stack, *(service for service in SERVICES if service != "notify"))
        assert asyncio.run(_personal(stack, erased)), (
            "the restored database does not know that its buyer was erased"
        )
        assert _erase(stack, erased)
        _start(stack, "notify")

        assert _settled(stack) == []
        assert not asyncio.run(_personal(stack, erased))
        assert asyncio.run(_orders(stack)) == placed, (
            "each order that was handed in over Kafka is there again"
        )
        assert asyncio.run(play(embedded(stack), 20, 23)), "and the shop goes on"


_BIN = "/opt/kafka/bin"


def _server(kafka: ContainerKafka) -> tuple[str, str]:
    return "--bootstrap-server", kafka.bootstrap


def _url(postgres: ContainerPostgres, service: str | None = None) -> str:
    """A database as the superuser reaches it from inside its container."""
    inside = postgres.admin_url.replace(f":{postgres.port}/", ":5432/")
    return inside.removesuffix("postgres") + (database_of(service) if service else "postgres")


def _start(stack: Stack, *services: str) -> None:
    for service in services or stack.services:
        stack.run(service)
    stack.wait_ready(services or None)


def _numbers_from(first: int, file: Path) -> Path:
    """The couriers, whose tracking numbers begin past all that stand on parcels already."""
    file.write_text(
        DEFAULT_COURIERS.read_text().replace("\nnumber_last", f"\nnumber_first = {first}\nnumber_last")
    )
    return file


async def _orders(stack: Stack, *, over: bool = False) -> set[str]:
    connection = await asyncpg.connect(stack.database_url("orders", owner=True))
    sql = "SELECT order_id FROM orders" + " WHERE status IN ('completed', 'canceled')" * over
    try:
        return {r["order_id"] for r in await connection.fetch(sql)}
    finally:
        await connection.close()


async def _personal(stack: Stack, order_id: str) -> bool:
    """Whether orders still has contact and address of the order's buyer."""
    connection = await asyncpg.connect(stack.database_url("orders", owner=True))
    try:
        sql = "SELECT count(personal) FROM event_personal WHERE stream = $1"
        return bool(await connection.fetchval(sql, f"order/{order_id}"))
    finally:
        await connection.close()


def _erase_one(stack: Stack, orders: list[str]) -> str:
    """Erase the buyer of the first of these orders that is wholly over."""
    return next(order_id for order_id in orders if _erase(stack, order_id))


def _erase(stack: Stack, order_id: str) -> bool:
    administrator = Actor(kind=ActorKind.OPERATOR, name="admin.wu", role=Role.ADMINISTRATOR)
    answer = httpx.post(
        f"{stack.url('orders')}/v1/orders/{order_id}/erase",
        json={"reason": "asked by the buyer"},
        headers={"authorization": f"Bearer {stack.token(administrator)}"},
    )
    return answer.status_code == 200


def _settled(stack: Stack, patience: float = 120) -> list[Check]:
    """What does not hold once all is heard: nothing, or what still did not after `patience` seconds."""
    deadline = time.monotonic() + patience
    while True:
        against = [check for check in asyncio.run(check_all(embedded(stack).databases)) if check.against]
        if not against or time.monotonic() > deadline:
            return against
        time.sleep(1)
