"""Whatever happens on the floor in whatever order: stock adds up, and a parcel leaves at most once (W1, W7)."""

import asyncio
from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.warehouse.handlers.taking_back import TakeBack
from services.warehouse.handlers.unpacking import Unpack
from shared.events import inbox
from shared.events.warehouse import FulfillmentCanceled, FulfillmentCancelRefused, ShipmentShipped
from tests.harness import SUPERVISOR
from tests.warehouse.floor import CHECKER, PICKER, Floor

ORDERS = ("o-1", "o-2", "o-3")
SKUS = ("TEA", "CUP")
steps = st.tuples(
    st.sampled_from(
        (
            "receive",
            "release",
            "start",
            "pick",
            "check",
            "count",
            "finish",
            "pack",
            "out",
            "gone",
            "cancel",
            "back",
            "look",
            "stop",
            "anew",
            "unpack",
        )
    ),
    st.sampled_from(ORDERS),
    st.sampled_from(SKUS),
    st.integers(1, 4),
    st.integers(0, 1),
)


async def _step(floor: Floor, what: str, order: str, sku: str, n: int, damaged: int, done: set[str]) -> None:
    match what:
        case "receive":
            await floor.scan(inbox.StockScanned, barcode=sku, quantity=n, location=f"A-{n}")
        case "release" if order not in done:
            done.add(order)
            await floor.release(order, ("TEA", 2), ("CUP", 1))
        case "cancel" if order in done:
            await floor.cancel(order)
        case "start":
            await floor.scan(inbox.PickStartScanned, CHECKER if n == 4 else PICKER, order_id=order)
        case "pick":
            who = CHECKER if n == 4 else PICKER
            await floor.scan(
                inbox.PickScanned,
                who,
                order_id=order,
                barcode=sku,
                quantity=min(n, 2),
                damaged=damaged,
                missing=n % 2,
            )
        case "check":
            await floor.scan(inbox.CheckStartScanned, PICKER if n == 4 else CHECKER, order_id=order)
        case "count":
            await floor.scan(
                inbox.CheckScanned, CHECKER, order_id=order, barcode=sku, quantity=min(n, 2), damaged=n == 4
            )
        case "finish":
            await floor.scan(inbox.CheckFinishScanned, CHECKER, order_id=order)
        case "pack":
            lines = [{"sku": sku, "quantity": 1}] if damaged else []
            await floor.scan(inbox.PackScanned, order_id=order, weight_grams=100, lines=lines)
        case "out":
            for shipment in floor.bench.store.rows("shipments")[:n]:
                await floor.scan(inbox.HandOverScanned, tracking_number=shipment.tracking_number)
        case "stop" if order in done:
            await floor.bench.ask(TakeBack(order_id=order, reason="went home"), actor=SUPERVISOR)
        case "unpack" if order in done:
            await floor.bench.ask(Unpack(order_id=order, reason="a piece broke"), actor=SUPERVISOR)
        case "anew":
            await floor.scan(inbox.CheckStartScanned, CHECKER, order_id=order, anew=True)
        case "gone":
            for shipment in floor.bench.store.rows("shipments"):
                if shipment.order_id == order:
                    await floor.track(shipment.tracking_number, "in_transit", courier=shipment.courier)
        case "look" if order in done and floor.bench.row("fulfillments", order):
            # the right way on, so that runs reach the later stages often enough
            match floor.work(order).state:
                case "allocated" | "picking":
                    await floor.scan(inbox.PickStartScanned, order_id=order)
                    for one, left in floor.work(order).left_to_pick().items():
                        for _ in range(left):
                            await floor.scan(inbox.PickScanned, order_id=order, barcode=one, quantity=1)
                case "picked":
                    await floor.count(order, **floor.work(order).wanted())
        case "back":
            case = f"c-{order}"
            await floor.expect_back(case, (sku, 1))
            await floor.scan(inbox.ReturnReceivedScanned, case_id=case)
            found = [{"sku": sku, "quantity": 1, "condition": "damaged" if damaged else "as_new"}]
            await floor.scan(inbox.ReturnInspectedScanned, case_id=case, lines=found)


@pytest.mark.requirement("W1")
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(steps, min_size=5, max_size=40))
def test_stock_adds_up_and_parcels_leave_once(way: list[tuple[str, str, str, int, int]]) -> None:
    async def walk() -> None:
        floor, done = Floor(), set[str]()
        for what, order, sku, n, damaged in way:
            await _step(floor, what, order, sku, n, damaged, done)
            floor.adds_up()
            assert floor.parked() == []
        left = Counter(e.shipment_id for e in floor.bench.said_of(ShipmentShipped))
        assert set(left.values()) <= {1}
        assert not {e.order_id for e in floor.bench.said_of(ShipmentShipped)} & {
            e.order_id for e in floor.bench.said_of(FulfillmentCanceled)
        }
        stopped = set[str]()
        for event in floor.bench.said:
            if isinstance(event, FulfillmentCancelRefused) and event.kept_back:
                stopped.add(event.order_id)
            assert not (isinstance(event, ShipmentShipped) and event.order_id in stopped)
        for work in floor.bench.store.rows("fulfillments"):
            assert work.checker not in work.by_all_who_picked()

    asyncio.run(walk())
