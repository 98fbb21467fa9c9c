"""What the database itself holds, and the turn on it: races, tampering, lost connections, crashes."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from alembic import command

from deploy.doctor.look import _PROTECTED
from deploy.embedded.child import free_port
from deploy.embedded.postgres import EmbeddedPostgres
from deploy.migrate import _config, _run, migrate
from deploy.provision import database_of, owner_of, provision, roles, user_of
from services.orders.handlers import service as orders
from services.orders.handlers.closing import CancelOrder
from services.orders.handlers.erasing import ErasePersonal
from services.orders.handlers.release import PlaceHold
from services.warehouse.handlers import service as warehouse
from shared.events.inbox import StockScanned
from shared.events.orders import Hold, OrderPlaced, OrderReleased
from shared.runtime.commands import asked
from shared.runtime.messages import Status
from shared.runtime.outbox import republish
from shared.runtime.postgres import Pool, PostgresStore, make_pool
from shared.runtime.relay import Relay
from shared.runtime.turn import Turns
from shared.runtime.verify import verify
from tests.builders import oid, paid, submitted
from tests.harness import ADMINISTRATOR, START, Bench
from tests.runtime.test_relay import Wire, running
from tests.runtime.waiting import until
from tests.town import COURIERS, PICKER
from tests.warehouse.floor import Floor

PASSWORD = "for-tests-alone"


@dataclass
class Databases:
    """A PostgreSQL server with the databases of orders and warehouse."""

    server: EmbeddedPostgres

    def url(self, service: str, role: str = "user") -> str:
        """As the service's user, its owner, or the superuser."""
        if role == "superuser":
            return self.server.admin_url.rsplit("/", 1)[0] + f"/{database_of(service)}"
        name = user_of(service) if role == "user" else owner_of(service)
        return f"postgresql://{name}:{PASSWORD}@127.0.0.1:{self.server.port}/{database_of(service)}"


@pytest.fixture(scope="module")
def databases(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Databases]:
    folder: Path = tmp_path_factory.mktemp("on-postgres")
    for parent in (folder, *folder.parents):
        if "pytest" in parent.name:
            parent.chmod(0o755)  # PostgreSQL does not run as root, and its user must get in
    server = EmbeddedPostgres(folder, free_port())
    server.start()
    try:
        asyncio.run(provision(server.admin_url, dict.fromkeys(roles(), PASSWORD)))
        found = Databases(server)
        for service in ("orders", "warehouse"):
            asyncio.run(migrate(service, found.url(service, "owner")))
        yield found
    finally:
        server.stop()


@pytest.fixture
async def pools(databases: Databases) -> AsyncIterator[dict[str, Pool]]:
    made = {}
    for service in ("orders", "warehouse"):
        admin = await asyncpg.connect(databases.url(service, "superuser"))
        tables = [
            r[0] for r in await admin.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        ]
        await admin.execute("SET session_replication_role = replica")
        for table in tables:
            if table != "alembic_version":
                for step in (
                    "ALTER TABLE {} DISABLE TRIGGER ALL",
                    "DELETE FROM {}",
                    "ALTER TABLE {} ENABLE TRIGGER ALL",
                ):
                    await admin.execute(step.format(table))
        for table in ("event_log", "heard", "moves"):
            if table in tables:
                await admin.execute(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER append_only")
        await admin.close()
        made[service] = await make_pool(databases.url(service), size=8)
    yield made
    for pool in made.values():
        await pool.close()


def bench(service: Any, pool: Pool) -> Bench[Any]:
    """A bench whose rows are in PostgreSQL."""
    made: Bench[Any] = Bench(service)
    made.turns = Turns(service, PostgresStore(pool), made.clock)
    return made


async def placed(pool: Pool) -> Bench[Any]:
    """Orders with one order in its log."""
    found = bench(orders(), pool)
    await found.outside(submitted(address_confirmed=True))
    return found


@pytest.mark.requirement("O12")
@pytest.mark.parametrize("role", ["user", "owner"])
@pytest.mark.parametrize(
    "attempt", ["UPDATE event_log SET data = '{}'", "DELETE FROM event_log", "TRUNCATE event_log"]
)
async def test_the_event_log_refuses_every_change(
    databases: Databases, pools: dict[str, Pool], role: str, attempt: str
) -> None:
    await placed(pools["orders"])
    connection = await asyncpg.connect(databases.url("orders", role))
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await connection.execute(attempt)
    await connection.close()
    assert (await verify(pools["orders"])).breaks == []


@pytest.mark.requirement("O12")
async def test_a_migration_switches_the_protection_on_again(databases: Databases) -> None:
    """Also against whoever works as a replica does, whom a usual trigger does not stop: the doctor sends ops here."""
    admin = await asyncpg.connect(databases.url("orders", "superuser"))
    await admin.execute("ALTER TABLE event_log DISABLE TRIGGER append_only")
    assert not await admin.fetchval(_PROTECTED)
    await migrate("orders", databases.url("orders", "owner"))
    assert await admin.fetchval(_PROTECTED)
    await admin.close()


@pytest.mark.requirement("X6")
async def test_a_database_that_a_newer_version_has_migrated_is_left_as_it_is(databases: Databases) -> None:
    """Whoever goes back to the image before must not be left without services."""
    admin = await asyncpg.connect(databases.url("orders", "superuser"))
    newest = await admin.fetchval("SELECT version_num FROM alembic_version")
    url = databases.url("orders", "owner")
    assert await migrate("orders", url) == f"The database of orders is up to date, at {newest}."
    await admin.execute("UPDATE alembic_version SET version_num = '9999'")
    await admin.execute("ALTER TABLE event_log DISABLE TRIGGER append_only")
    assert await migrate("orders", url) == (
        f"The database of orders is at 9999, newer than this version, which knows up to {newest}: it stays as it is."
    )
    assert await admin.fetchval(_PROTECTED)
    await admin.execute("UPDATE alembic_version SET version_num = $1", newest)
    await admin.close()


@pytest.mark.requirement("W4")
async def test_whoever_picked_before_all_pickers_were_kept_is_one_of_them(
    databases: Databases, pools: dict[str, Pool]
) -> None:
    """Else their work, taken back from them in the middle, would be theirs to check."""
    admin = await asyncpg.connect(databases.url("warehouse", "superuser"))
    newest = await admin.fetchval("SELECT version_num FROM alembic_version")
    tables = "SELECT string_agg(tablename, ', ') FROM pg_tables WHERE schemaname = 'public'"
    await admin.execute(f"DROP TABLE {await admin.fetchval(tables)}")
    owner = databases.url("warehouse", "owner")
    await _run(owner, lambda connection: command.upgrade(_config("warehouse", connection), "0008"), 60)
    for order_id, picks in (("picks", '[{"sku": "A", "quantity": 1}]'), ("none-yet", "[]")):
        await admin.execute(
            "INSERT INTO fulfillments (order_id, state, picker, released_at, ship_by, doc, version) "
            "VALUES ($1, 'picking', 'li.wei', now(), now(), jsonb_build_object('picks', $2::text::jsonb), 1)",
            order_id,
            picks,
        )
    await migrate("warehouse", owner)
    found = await admin.fetch(
        "SELECT order_id, doc->'pickers' AS pickers, version FROM fulfillments ORDER BY 1"
    )
    assert [tuple(row) for row in found] == [("none-yet", None, 1), ("picks", '["li.wei"]', 2)]
    assert await admin.fetchval("SELECT version_num FROM alembic_version") == newest
    await admin.close()


@pytest.mark.requirement("O12")
async def test_a_changed_event_is_found_and_named(databases: Databases, pools: dict[str, Pool]) -> None:
    await placed(pools["orders"])
    admin = await asyncpg.connect(databases.url("orders", "superuser"))
    await admin.execute("ALTER TABLE event_log DISABLE TRIGGER append_only")
    await admin.execute("UPDATE event_log SET actor_name = 'nobody' WHERE sequence = 1")
    await admin.execute("ALTER TABLE event_log ENABLE ALWAYS TRIGGER append_only")
    await admin.close()
    verdict = await verify(pools["orders"])
    assert [(b.stream, b.sequence, b.why) for b in verdict.breaks] == [
        (f"order/{oid()}", 1, "its content is not what was written")
    ]


@pytest.mark.requirement("X4")
async def test_erased_personal_data_leaves_a_chain_that_verifies(pools: dict[str, Pool]) -> None:
    shop = await placed(pools["orders"])
    await shop.outside(submitted("T-2"))
    assert await pools["orders"].fetchval("SELECT count(*) FROM event_personal") == 2
    assert "王芳" not in await pools["orders"].fetchval("SELECT string_agg(data, '') FROM event_log")
    await shop.ask(CancelOrder(order_id=oid(), reason="so"))
    await shop.ask(ErasePersonal(order_id=oid(), reason="they asked for it"), actor=ADMINISTRATOR)
    left = await pools["orders"].fetch("SELECT stream FROM event_personal")
    assert [r["stream"] for r in left] == [f"order/{oid('T-2')}"]
    assert (await verify(pools["orders"])).breaks == []


@pytest.mark.requirement("X4")
async def test_what_is_said_and_erased_in_one_turn_is_not_kept(pools: dict[str, Pool]) -> None:
    shop = bench(orders(), pools["orders"])
    commands = (CancelOrder(order_id=oid(), reason="so"), ErasePersonal(order_id=oid(), reason="at once"))
    told = [asked(one, ADMINISTRATOR, shop.clock.now(), key=f"k-{n}") for n, one in enumerate(commands)]
    outcomes = await shop.turns.run([shop.from_outside(submitted()), *told])
    assert {o.status for o in outcomes} == {Status.DONE}
    assert await pools["orders"].fetchval("SELECT count(*) FROM event_personal") == 0
    assert (await verify(pools["orders"])).breaks == []


@pytest.mark.requirement("X4")
async def test_what_was_erased_goes_out_as_null_and_is_still_an_event_to_its_readers(
    pools: dict[str, Pool],
) -> None:
    await placed(pools["orders"])
    await pools["orders"].execute("DELETE FROM event_personal")
    wire = Wire()
    async with running(Relay(pools["orders"], lambda: wire, "orders", "handover/orders")):
        await until(lambda: f"order/{oid()}/1" in wire.sent)
    event = OrderPlaced.model_validate_json(wire.bodies[0])
    assert event.order_id == oid()
    assert event.personal is None


@pytest.mark.requirement("X4")
async def test_what_waits_to_be_sent_in_memory_is_erased_there_too(pools: dict[str, Pool]) -> None:
    shop = bench(orders(), pools["orders"])
    relay = Relay(pools["orders"], Wire, "orders", "handover/orders")
    relay.leading = True
    shop.turns.after_commit.append(lambda messages, outcomes, changes: relay.committed(changes))
    await shop.outside(submitted())
    assert [bool(e.personal) for e in relay._kept.values()].count(True) == 1
    await shop.ask(CancelOrder(order_id=oid(), reason="so"))
    await shop.ask(ErasePersonal(order_id=oid(), reason="they asked for it"), actor=ADMINISTRATOR)
    assert not any(e.personal for e in relay._kept.values())


@pytest.mark.requirement("W4")
async def test_the_database_refuses_a_checker_who_picked(pools: dict[str, Pool]) -> None:
    with pytest.raises(asyncpg.CheckViolationError):
        await pools["warehouse"].execute(
            "INSERT INTO fulfillments VALUES ('o', 'checking', 'li.wei', 'li.wei', now(), now(), '{}', 1)"
        )


@pytest.mark.requirement("W1")
async def test_the_database_refuses_stock_below_zero(pools: dict[str, Pool]) -> None:
    with pytest.raises(asyncpg.CheckViolationError):
        await pools["warehouse"].execute("INSERT INTO levels (sku, on_hand, allocated, depleted, doc, version) "
                                         "VALUES ('TEA', 1, 2, false, '{}', 1)")  # fmt: skip


@pytest.mark.requirement("O1")
async def test_one_order_handed_in_by_many_at_once_is_placed_once(pools: dict[str, Pool]) -> None:
    many = [bench(orders(), pools["orders"]) for _ in range(6)]
    outcomes = await asyncio.gather(*(b.outside(submitted(), id=f"try-{n}") for n, b in enumerate(many)))
    assert {o.status for o in outcomes} == {Status.DONE}
    said = await pools["orders"].fetchval(
        "SELECT count(*) FROM event_log WHERE type = 'orders.order_placed.v1'"
    )
    assert said == 1


@pytest.mark.requirement("W2")
async def test_the_last_piece_goes_to_one_of_two_that_come_at_once(pools: dict[str, Pool]) -> None:
    floor = bench(warehouse(COURIERS), pools["warehouse"])
    await floor.outside(
        StockScanned(barcode="TEA", quantity=2, location="A-1", scanned_at=START), actor=PICKER
    )
    releases: list[OrderReleased] = [Floor().order(f"o-{n}") for n in range(5)]
    benches = [bench(warehouse(COURIERS), pools["warehouse"]) for _ in releases]
    await asyncio.gather(*(b.hear(r) for b, r in zip(benches, releases, strict=True)))
    states = [r[0] for r in await pools["warehouse"].fetch("SELECT state FROM fulfillments ORDER BY state")]
    assert states == ["allocated", *["backordered"] * 4]
    level = await pools["warehouse"].fetchrow("SELECT on_hand, allocated FROM levels")
    assert tuple(level) == (2, 2)  # type: ignore[arg-type]


@pytest.mark.requirement("X2")
async def test_an_idempotency_key_is_known_after_a_crash(pools: dict[str, Pool]) -> None:
    first = await placed(pools["orders"])
    hold = PlaceHold(order_id=oid(), hold=Hold.CUSTOMER_REQUEST, reason="wait")
    answer = await first.ask(hold, key="k-1")
    again = await bench(orders(), pools["orders"]).ask(hold, key="k-1")
    assert again.status is Status.DUPLICATE
    assert again.answer == answer.answer


@pytest.mark.requirement("X2")
async def test_two_replicas_do_not_take_the_same_timer(pools: dict[str, Pool]) -> None:
    benches = [await placed(pools["orders"]), *(bench(orders(), pools["orders"]) for _ in range(3))]
    for b in benches:
        b.clock.move_to(START.replace(year=START.year + 1))
    await asyncio.gather(*(b.turns.run_timers() for b in benches))
    expired = "SELECT count(*) FROM event_log WHERE type = 'orders.order_expired.v1'"
    assert await pools["orders"].fetchval(expired) == 1


@pytest.mark.requirement("X2")
async def test_a_turn_whose_connection_is_cut_changes_nothing_and_runs_again(
    databases: Databases, pools: dict[str, Pool]
) -> None:
    found = await placed(pools["orders"])
    admin = await asyncpg.connect(databases.url("orders", "superuser"))
    done = False

    async def cut() -> None:
        while not done:
            await admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'handover_orders'"
            )
            await asyncio.sleep(0.01)

    cutting = asyncio.create_task(cut())
    message = found.from_outside(paid(), id="p")
    failures = 0
    for _ in range(200):
        try:
            outcome = (await found.turns.run([message]))[0]
        except Exception:
            failures += 1
            if failures == 5:
                done = True
                await cutting
            continue
        break
    done = True
    await cutting
    await admin.close()
    assert outcome.status in (Status.DONE, Status.DUPLICATE)
    said = await pools["orders"].fetchval(
        "SELECT count(*) FROM event_log WHERE type = 'orders.order_paid.v1'"
    )
    assert said == 1
    assert await pools["orders"].fetchval("SELECT count(*) FROM parked") == 0


@pytest.mark.requirement("X2")
async def test_republishing_puts_the_whole_log_back_into_the_outbox(pools: dict[str, Pool]) -> None:
    await placed(pools["orders"])
    await pools["orders"].execute("DELETE FROM outbox")
    logged = await pools["orders"].fetchval("SELECT count(*) FROM event_log")
    assert await republish(pools["orders"]) == logged
    assert await republish(pools["orders"]) == logged, "asked for twice, it is still to be sent once"
    assert await pools["orders"].fetchval("SELECT count(*) FROM outbox WHERE position > 0") == logged
