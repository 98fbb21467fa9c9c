"""The warehouse alone in memory, and the people who scan in it."""

from datetime import datetime, timedelta
from typing import Any

from services.warehouse.desk import WarehouseDesk
from services.warehouse.domain.fulfillment import Fulfillment
from services.warehouse.domain.shipment import Shipment
from services.warehouse.domain.stock import Level
from services.warehouse.handlers import service
from shared.events import inbox
from shared.events.aftersales import ReturnAuthorized
from shared.events.base import Event
from shared.events.orders import CancelRequested, OrderReleased
from shared.runtime.messages import Outcome
from shared.values import Actor, ActorKind, Address, DeliveryMethod, Locale, PaymentMethod, SkuQuantity
from tests.builders import PERSONAL, lines
from tests.harness import Bench
from tests.town import COURIER, COURIERS

PICKER = Actor(kind=ActorKind.OPERATOR, name="li.wei", device="scanner-1")
CHECKER = Actor(kind=ActorKind.OPERATOR, name="zhao.min", device="scanner-2")
ABROAD = PERSONAL.model_copy(
    update={"address": Address(country="US", region="NY", city="New York", street="1 Main St")}
)
"""There a courier takes up to 70 kg, and no other does."""


class Floor:
    """Scans happen at the clock's time unless a test says otherwise."""

    def __init__(self) -> None:
        self.bench: Bench[WarehouseDesk] = Bench(service(COURIERS))

    @property
    def now(self) -> datetime:
        """The time on the floor."""
        return self.bench.clock.now()

    def order(self, number: str = "o-1", *goods: tuple[str, int], **parts: Any) -> OrderReleased:
        """A released order, by default 2 × TEA, prepaid."""
        defaults: dict[str, Any] = {
            "order_id": number, "external_number": f"T-{number}", "source": "shop", "placed_at": self.now,
            "lines": lines(*((sku, n, 100) for sku, n in goods or (("TEA", 2),))), "currency": "CNY",
            "payment_method": PaymentMethod.PREPAID, "cod_due": 0, "delivery_method": DeliveryMethod.COURIER,
            "ship_by": self.now + timedelta(days=2), "deliver_by": self.now + timedelta(days=7), "remark": "",
            "locale": Locale.ZH_CN, "personal": PERSONAL,
        }  # fmt: skip
        return OrderReleased(**(defaults | parts))

    async def settle(self) -> None:
        """Let everything happen that is due now."""
        while await self.bench.turns.run_timers():
            pass

    async def release(self, number: str = "o-1", *goods: tuple[str, int], **parts: Any) -> str:
        """Release an order to the floor."""
        await self.bench.hear(self.order(number, *goods, **parts))
        await self.settle()
        return number

    async def scan(
        self, event: type[Event], actor: Actor = PICKER, id: str | None = None, **parts: Any
    ) -> Outcome:
        """One scan."""
        outcome = await self.bench.outside(event(**({"scanned_at": self.now} | parts)), actor=actor, id=id)
        await self.settle()
        return outcome

    async def code(self, event: type[Event], actor: Actor = PICKER, **parts: Any) -> str:
        """The code that a scan is refused with, or `ok`."""
        outcome = await self.scan(event, actor, **parts)
        assert outcome.error is None, outcome.error
        return outcome.refusal.code if outcome.refusal else "ok"

    async def told(self, event: type[Event], actor: Actor = PICKER, **parts: Any) -> str:
        """Code and sentence that a scan is refused with."""
        outcome = await self.scan(event, actor, **parts)
        assert outcome.refusal is not None
        return f"{outcome.refusal.code}: {outcome.refusal.detail}"

    async def stock(self, sku: str = "TEA", quantity: int = 10, location: str = "A-1") -> None:
        """Receive pieces."""
        assert await self.code(inbox.StockScanned, barcode=sku, quantity=quantity, location=location) == "ok"

    async def pick(self, order: str = "o-1") -> None:
        """Pick all that is left."""
        assert await self.code(inbox.PickStartScanned, order_id=order) == "ok"
        for sku, n in self.work(order).left_to_pick().items():
            assert await self.code(inbox.PickScanned, order_id=order, barcode=sku, quantity=n) == "ok"

    async def count(self, order: str = "o-1", **counted: int) -> Outcome:
        """Check an order by counting what is named."""
        assert await self.code(inbox.CheckStartScanned, CHECKER, order_id=order) == "ok"
        for sku, n in counted.items():
            await self.scan(inbox.CheckScanned, CHECKER, order_id=order, barcode=sku, quantity=n)
        return await self.scan(inbox.CheckFinishScanned, CHECKER, order_id=order)

    async def packed(self, order: str = "o-1", **parts: Any) -> str:
        """Pick, check and pack; the tracking number."""
        await self.pick(order)
        await self.count(order, **self.work(order).wanted())
        return await self.parcel(order, **parts)

    async def parcel(self, order: str = "o-1", **parts: Any) -> str:
        """Close one parcel; its tracking number."""
        told: dict[str, Any] = {"order_id": order, "weight_grams": 500} | parts
        outcome = await self.scan(inbox.PackScanned, **told)
        assert outcome.refusal is None, outcome.refusal
        return str(outcome.answer["tracking_number"])

    async def track(self, number: str, status: str, **parts: Any) -> Outcome:
        """A courier's report."""
        told: dict[str, Any] = {
            "courier": "sf",
            "tracking_number": number,
            "status": status,
            "occurred_at": self.now,
        } | parts
        return await self.bench.outside(inbox.TrackingReported(**told), actor=COURIER)

    async def cancel(self, order: str = "o-1") -> None:
        """Orders asks to stop."""
        await self.bench.hear(CancelRequested(order_id=order, reason="changed my mind"))
        await self.settle()

    async def expect_back(self, case: str = "c-1", *goods: tuple[str, int]) -> None:
        """After-sales lets goods come back."""
        back = tuple(SkuQuantity(sku=sku, quantity=n) for sku, n in goods or (("TEA", 2),))
        await self.bench.hear(
            ReturnAuthorized(order_id="o-1", case_id=case, lines=back, return_by=self.now + timedelta(days=9))
        )

    def work(self, order: str = "o-1") -> Fulfillment:
        """The work on an order."""
        found = self.bench.row("fulfillments", order)
        assert isinstance(found, Fulfillment)
        return found

    def parcel_row(self, number: str) -> Shipment:
        """A parcel by its tracking number."""
        found = self.bench.row("shipments", self.bench.row("labels", number).shipment_id)
        assert isinstance(found, Shipment)
        return found

    def level(self, sku: str = "TEA") -> Level:
        """The level of a SKU."""
        return self.bench.row("levels", sku) or Level(sku)

    def parked(self) -> list[Any]:
        """Everything that was set aside: a bug each."""
        return self.bench.store.rows("parked")

    def adds_up(self) -> None:
        """Levels are the sum of their moves, never negative, and promised once (W1); who waits lacks something (W2)."""
        moves = self.bench.store.ledgers.get("moves", [])
        for level in self.bench.store.rows("levels"):
            own = [m for m in moves if m.sku == level.sku]
            assert level.on_hand == sum(m.on_hand for m in own) == sum(level.locations.values())
            assert level.allocated == sum(m.allocated for m in own)
            assert 0 <= level.allocated <= level.on_hand
            assert not (level.gone and level.available), "what is free is booked out for what is gone"
            assert all(n > 0 for n in level.locations.values())
            assert level.waiting == sum(b.sku == level.sku for b in self.bench.store.rows("backorders"))
            assert not level.offering, "everything is settled here"
            lost = [s for s in self.bench.store.rows("shipments") if s.state == "canceled" and s.shipped_at]
            pieces = sum(line.quantity for s in lost for line in s.lines if line.sku == level.sku)
            assert pieces == level.gone + sum(m.quantity for m in own if m.kind == "gone")
        for work in self.bench.store.rows("fulfillments"):
            waits = {b.sku for b in self.bench.store.rows("backorders") if b.order_id == work.order_id}
            assert bool(waits) == (work.state == "backordered")
            short = {s for s, n in work.wanted().items() if self.level(s).available < n}
            assert not waits or waits & short, "it waits, and everything is there"
