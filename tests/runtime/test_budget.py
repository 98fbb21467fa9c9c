"""What a turn may cost, and what goes on around turns: statements and round trips are counted, never time, so that a
regression fails on any machine.

One statement a table and step to load (one a step, where it is little), one for all that is saved, whatever the batch: that
is the design's whole speed. Each budget is what it takes.
"""

from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from services.aftersales.handlers import service as aftersales_service
from services.aftersales.tables import metadata as aftersales_tables
from services.notify.handlers import service as notify_service
from services.notify.tables import metadata as notify_tables
from services.orders.handlers import service as orders_service
from services.orders.tables import metadata as orders_tables
from services.warehouse.handlers.stock import RegisterSku
from services.warehouse.tables import metadata as warehouse_tables
from shared.events.aftersales import CaseKind, ReturnAuthorized
from shared.events.inbox import PickScanned, PickStartScanned, StockScanned
from shared.events.orders import CancelRequested, PaymentRecorded
from shared.events.warehouse import FulfillmentAllocated
from shared.runtime.due import BATCH as TIMERS
from shared.runtime.memory import MemoryTransaction
from shared.runtime.messages import Incoming, Status
from shared.runtime.outbox import Outbox
from shared.runtime.parking import AT_ONCE, Parking
from shared.runtime.relay import BATCH as SENT_AT_ONCE
from shared.runtime.relay import Relay
from shared.values import SkuQuantity
from tests import builders
from tests.harness import SUPERVISOR, Bench
from tests.life import live
from tests.notify import news
from tests.runtime.counted import ALL, MANY, SOME, Counted, OnPostgres
from tests.runtime.test_relay import ByBytes, Wire
from tests.town import Town
from tests.warehouse.floor import PICKER, Floor

LINES = (SkuQuantity(sku="TEA", quantity=2),)


@pytest.fixture
async def orders(on_postgres: OnPostgres) -> Counted:
    return await on_postgres(Bench(orders_service()), orders_tables)


@pytest.fixture
def floor() -> Floor:
    return Floor()


@pytest.fixture
async def warehouse(on_postgres: OnPostgres, floor: Floor) -> Counted:
    return await on_postgres(floor.bench, warehouse_tables)


async def test_a_batch_from_outside_costs_as_many_statements_whatever_its_size(orders: Counted):
    def submitted(n: int) -> Incoming:
        return orders.bench.from_outside(builders.submitted(f"B-{n}"))

    await orders.holds(submitted, one=4, batch=9)


async def test_a_batch_from_another_service_costs_as_many_statements_whatever_its_size(orders: Counted):
    """News of orders that are at the warehouse: each changes its order and is added to its timeline."""
    free = builders.lines(("TEA", 2, 0))
    placed = [builders.submitted(f"B-{n}", lines=free, address_confirmed=True) for n in range(ALL)]
    await orders.cost(map(orders.bench.from_outside, placed))

    def allocated(n: int) -> Incoming:
        return orders.bench.incoming(FulfillmentAllocated(order_id=builders.oid(f"B-{n}"), lines=LINES))

    await orders.holds(allocated, one=4, batch=5)
    assert await orders.count("orders", "fulfillment = 'allocated'") == ALL


async def test_what_was_applied_before_costs_no_writing(orders: Counted):
    allocated = [FulfillmentAllocated(order_id=f"o-{n}", lines=LINES) for n in range(ALL)]
    batch = [orders.bench.incoming(event) for event in allocated]
    await orders.cost(batch)
    again = await orders.cost(batch, becomes=Status.DUPLICATE)
    assert not [sql for sql in again if "INSERT INTO" in sql or "DELETE FROM" in sql]
    assert len(again) <= 4, again


async def test_allocating_and_canceling_a_batch_costs_as_many_statements_whatever_its_size(
    floor: Floor, warehouse: Counted
):
    await floor.stock(quantity=3 * ALL)  # it never runs out, which would be news

    def released(n: int) -> Incoming:
        return floor.bench.incoming(floor.order(f"o-{n}"))

    def canceled(n: int) -> Incoming:
        return floor.bench.incoming(CancelRequested(order_id=f"o-{n}", reason="changed my mind"))

    await warehouse.holds(released, one=5, batch=9)
    assert await warehouse.count("levels", f"allocated = {2 * ALL}") == 1
    await warehouse.holds(canceled, one=5, batch=8)
    assert await warehouse.count("levels", "allocated = 0") == 1


async def test_letting_a_batch_wait_for_goods_costs_as_many_statements_whatever_its_size(
    floor: Floor, warehouse: Counted
):
    await warehouse.holds(lambda n: floor.bench.incoming(floor.order(f"o-{n}")), one=6, batch=9)
    assert await warehouse.count("backorders", "sku = 'TEA'") == ALL


async def test_opening_a_batch_of_cases_costs_as_many_statements_whatever_its_size(on_postgres: OnPostgres):
    """Paid orders are canceled, and their money goes back."""
    aftersales = await on_postgres(Bench(aftersales_service()), aftersales_tables)
    incoming, ids = aftersales.bench.incoming, [f"o-{n}" for n in range(ALL)]
    paid = partial(PaymentRecorded, payment_id="p", amount=news.MONEY, paid=news.MONEY.amount, due=0)
    await aftersales.cost(incoming(news.placed(order_id)) for order_id in ids)
    await aftersales.cost(incoming(paid(order_id=order_id)) for order_id in ids)
    await aftersales.holds(lambda n: incoming(news.canceled(ids[n])), one=5, batch=6)
    assert await aftersales.count("cases", "state = 'closed'") == ALL


async def test_planning_a_batch_of_letters_costs_as_many_statements_whatever_its_size(
    on_postgres: OnPostgres,
):
    """What was canceled on its way is to go back: each buyer is told, and it is kept with how they are reached."""
    notify = await on_postgres(Bench(notify_service()), notify_tables)
    await notify.cost(notify.bench.incoming(news.placed(f"o-{n}")) for n in range(ALL))

    def called_back(n: int) -> Incoming:
        return notify.bench.incoming(
            ReturnAuthorized(
                order_id=f"o-{n}",
                case_id=f"c-{n}",
                lines=LINES,
                return_by=news.LATER,
                kind=CaseKind.LATE_CANCEL,
            )
        )

    await notify.holds(called_back, one=4, batch=6)
    assert await notify.count("messages", "template = 'return_authorized'") == ALL


async def test_a_turn_of_timers_costs_as_many_statements_however_many_are_due(orders: Counted):
    """Orders that nobody paid in time."""
    costs = []
    for count in (1, SOME, TIMERS):
        placed = [builders.submitted(f"{count}-{n}") for n in range(count)]
        await orders.cost(map(orders.bench.from_outside, placed))
        orders.bench.clock.move_to(orders.bench.clock.now() + timedelta(days=30))
        costs.append(await orders.cost_of_timers(count))
    one, some, many = costs
    assert many == some
    assert len(many) <= 8, many
    assert len(one) <= 7, one
    assert await orders.count("orders", "status <> 'expired'") == 0


async def test_offering_goods_costs_as_many_statements_however_many_came(floor: Floor, warehouse: Counted):
    """Of each SKU a piece comes in for which an order waits."""
    costs = []
    for count in (1, SOME, TIMERS):
        skus = [f"SKU-{count}-{n}" for n in range(count)]
        scans = [StockScanned(barcode=s, quantity=1, location="A-1", scanned_at=floor.now) for s in skus]
        await floor.bench.hear(*(floor.order(f"o-{sku}", (sku, 1)) for sku in skus))
        await warehouse.cost(floor.bench.from_outside(scan, actor=PICKER) for scan in scans)
        costs.append(await warehouse.cost_of_timers(count))
    one, some, many = costs
    assert many == some
    assert len(many) <= 10, many
    assert len(one) <= 9, one
    assert await warehouse.count("backorders", "true") == 0


async def test_messages_that_fail_cost_as_many_statements_however_many_do(orders: Counted):
    """A bug meets all of a kind."""

    def broken(n: int) -> Incoming:
        incoming = orders.bench.incoming(FulfillmentAllocated(order_id=f"o-{n}", lines=LINES))
        incoming.error = ZeroDivisionError()
        return incoming

    await orders.holds(broken, one=6, batch=6, becomes=Status.PARKED)


async def test_trying_a_lane_again_costs_as_many_statements_whatever_waits_in_it(orders: Counted):
    costs = []
    for count in (SOME, AT_ONCE - 1):
        told = [FulfillmentAllocated(order_id=f"o-{count}", lines=LINES)] * (count + 1)
        missing, *waiting = map(orders.bench.incoming, told)
        await orders.cost(waiting, becomes=Status.QUEUED)
        await orders.cost([missing])
        known = {incoming.raw.offset: incoming for incoming in waiting if incoming.raw is not None}

        def decode(raw: Any, actor: Any, known: dict[int, Incoming] = known) -> Incoming:
            return known[raw.offset]

        orders.trips.clear()
        outcomes = await Parking(orders.bench.turns, orders.pool, decode).retry(missing.lane)
        assert [o.status for o in outcomes] == [Status.DONE] * count
        costs.append(list(orders.trips))
    some, many = costs
    assert many == some
    assert len(many) <= 7, many


async def test_sending_costs_as_many_statements_whatever_is_sent(orders: Counted):
    """One to look and one to delete what was sent; one more where this process has not said it itself."""

    class Whole(Wire):
        def create_batch(self) -> ByBytes:
            return ByBytes(10**9)

    relay = Relay(orders.pool, Whole, "orders", orders.bench.service.source)
    orders.bench.turns.after_commit.append(lambda messages, outcomes, changes: relay.committed(changes))
    async with orders.pool.acquire() as connection:
        outbox = Outbox(connection)
        for leading, most in ((False, 3), (True, 2)):
            relay.leading = leading
            for count in (1, MANY):
                placed = [builders.submitted(f"{leading}-{count}-{n}") for n in range(count)]
                await orders.cost(map(orders.bench.from_outside, placed))
                orders.trips.clear()
                unsent = await outbox.unsent(SENT_AT_ONCE)
                assert len(unsent) >= count
                assert await relay._send(outbox, Whole(), unsent) == 0
                assert len(orders.trips) <= most, orders.trips


async def test_a_scan_costs_four_round_trips_and_one_more_where_its_barcode_was_registered(
    floor: Floor, warehouse: Counted
):
    """W12: a scan is waited for. Begin, what it needs with the head of its stream, save, commit."""
    await floor.bench.ask(RegisterSku(sku="TEA", name="Tea", barcodes=("4006381333931",)), actor=SUPERVISOR)
    for barcode, most in (("TEA", 4), ("4006381333931", 5), ("TEA", 4)):
        scan = StockScanned(barcode=barcode, quantity=1, location="A-01", scanned_at=floor.now)
        cost = await warehouse.cost([floor.bench.from_outside(scan, actor=PICKER)])
        assert len(cost) <= most, cost


async def test_a_scan_for_an_order_costs_as_few_and_one_more_where_it_has_news(
    floor: Floor, warehouse: Counted
):
    await floor.stock()
    await floor.release()
    for event, most in (
        (PickStartScanned(order_id="o-1", scanned_at=floor.now), 5),  # news that come along with the stock
        (PickScanned(order_id="o-1", barcode="TEA", quantity=1, scanned_at=floor.now), 4),
        (PickScanned(order_id="o-1", barcode="TEA", quantity=1, scanned_at=floor.now), 5),  # all is picked
    ):
        cost = await warehouse.cost([floor.bench.from_outside(event, actor=PICKER)])
        assert len(cost) <= most, cost


async def test_no_turn_in_an_orders_life_looks_more_often_for_more_orders(monkeypatch: pytest.MonkeyPatch):
    """All kinds of messages, in batches: a look is one statement, or one a table."""
    looks = 0
    load = MemoryTransaction.load

    async def counted(self: Any, asks: Any) -> Any:
        nonlocal looks
        looks += 1
        return await load(self, asks)

    monkeypatch.setattr(MemoryTransaction, "load", counted)

    async def lived(orders: int) -> list[tuple[str, list[str], int]]:
        town, turns = Town(), []

        def took(name: str, seconds: float, messages: list[Incoming], outcomes: Any) -> None:
            nonlocal looks
            turns.append((name, sorted({m.envelope.type for m in messages}), looks))
            looks = 0

        for name, bench in town.benches.items():
            bench.turns.took.append(partial(took, name))
        await live(town, "T", orders)
        return turns

    assert await lived(12) == await lived(2)
