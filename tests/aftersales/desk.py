"""After-sales alone on the bench, and what the other services would tell it."""

from datetime import datetime, timedelta
from typing import Any

from services.aftersales.domain.policy import Policy
from services.aftersales.handlers import service
from shared.events import aftersales, orders, warehouse
from shared.events.inbox import ReturnAsked
from shared.events.warehouse import Condition, InspectedLine
from shared.runtime.messages import Outcome
from shared.values import DeliveryMethod, Locale, Money, OrderLine, PaymentMethod, SkuQuantity
from tests.builders import PERSONAL, SOURCE, lines, oid
from tests.harness import START, Bench

DAY = timedelta(days=1)


def money(amount: int) -> Money:
    """Yuan, in fen."""
    return Money(amount=amount, currency="CNY")


def goods(**pieces: int) -> tuple[SkuQuantity, ...]:
    """Pieces by SKU."""
    return tuple(SkuQuantity(sku=sku, quantity=n) for sku, n in pieces.items())


class Shop:
    """One order's life, told to after-sales."""

    def __init__(self, policy: Policy | None = None, number: str = "T-1") -> None:
        self.bench = Bench(service(policy))
        self.number = number
        self.order_id = oid(number)

    async def placed(
        self,
        items: tuple[OrderLine, ...] = (),
        *,
        total: int | None = None,
        cod: bool = False,
        paid: bool = True,
        currency: str = "CNY",
    ) -> None:
        """An order: 2 × TEA at 50.00 unless said otherwise; paid unless it is COD."""
        items = items or lines(("TEA", 2, 5000))
        owed = sum(i.quantity * i.unit_price for i in items) if total is None else total
        await self.bench.hear(
            orders.OrderPlaced(
                order_id=self.order_id, source=SOURCE, external_number=self.number, placed_at=START, buyer_id="b",
                lines=items, currency=currency, total=owed,
                payment_method=PaymentMethod.COD if cod else PaymentMethod.PREPAID,
                delivery_method=DeliveryMethod.COURIER, ship_by=START + DAY, deliver_by=START + 3 * DAY,
                locale=Locale.EN, agent=None, remark="", personal=PERSONAL,
            )
        )  # fmt: skip
        if paid and not cod:
            await self.paid(owed)

    async def paid(self, amount: int) -> None:
        """So much counts as paid."""
        event = orders.PaymentRecorded(
            order_id=self.order_id, payment_id="p", amount=money(amount), paid=amount, due=0
        )
        await self.bench.hear(event)

    async def overpaid(self, excess: int) -> None:
        """So much was captured beyond the price."""
        event = orders.PaymentAnomalyFound(
            order_id=self.order_id, payment_id="p2", anomaly=orders.PaymentAnomaly.DUPLICATE,
            amount=money(excess), expected=money(0), excess=excess,
        )  # fmt: skip
        await self.bench.hear(event)

    async def delivered(
        self, *, cod_collected: int = 0, at: datetime | None = None, last: bool = True, **pieces: int
    ) -> None:
        """A parcel reached the buyer."""
        await self.bench.hear(
            warehouse.ShipmentDelivered(
                order_id=self.order_id,
                shipment_id="s",
                delivered_at=at or self.bench.clock.now(),
                cod_collected=cod_collected,
                last=last,
                lines=goods(**pieces),
            )
        )

    async def completed(self) -> None:
        """The buyer said that the goods are there."""
        await self.bench.hear(orders.OrderCompleted(order_id=self.order_id, confirmed_by_buyer=True))

    async def returned(self, *, last: bool = True, **pieces: int) -> None:
        """The courier brings a parcel back, by default one with everything."""
        event = warehouse.ShipmentReturned(
            order_id=self.order_id, shipment_id="s", occurred_at=START, detail="refused",
            lines=goods(**(pieces or {"TEA": 2})), last=last,
        )  # fmt: skip
        await self.bench.hear(event)

    async def disputed(self, *, stands: str = "return_to_sender", cod_due: int = 0, **pieces: int) -> None:
        """The courier says the other thing of a parcel now, by default of one with everything."""
        other = {"return_to_sender": "delivered", "delivered": "return_to_sender"}[stands]
        event = warehouse.ShipmentEndDisputed(
            order_id=self.order_id, shipment_id="s", courier="sf", courier_name="SF", tracking_number="SF1",
            stands=warehouse.TrackingStatus(stands), reported=warehouse.TrackingStatus(other),
            reported_at=self.bench.clock.now(), lines=goods(**(pieces or {"TEA": 2})), cod_due=cod_due,
        )  # fmt: skip
        await self.bench.hear(event)

    async def cancel_refused(self, paid: int = 10000, **kept_back: int) -> None:
        """A cancel came after the parcel had left, or after one of several had; what had not is kept back."""
        event = orders.CancelRefused(
            order_id=self.order_id, reason="already shipped", paid=money(paid), kept_back=goods(**kept_back)
        )
        await self.bench.hear(event)

    async def kept_back(self, *, last: bool = False, **pieces: int) -> None:
        """The warehouse has stopped what had not left."""
        event = warehouse.FulfillmentCancelRefused(
            order_id=self.order_id, reason="a part has left", kept_back=goods(**pieces), last=last
        )
        await self.bench.hear(event)

    async def asks(
        self, reason: aftersales.ReturnReason = aftersales.ReturnReason.CHANGED_MIND, **pieces: int
    ) -> Outcome:
        """The buyer asks to send pieces back."""
        event = ReturnAsked(
            source=SOURCE, external_number=self.number, lines=goods(**(pieces or {"TEA": 2})), reason=reason
        )
        return await self.bench.outside(event)

    async def received(self, case_id: str, at: datetime | None = None) -> Outcome:
        """Goods are at the dock, by default since now."""
        at = at or self.bench.clock.now()
        event = warehouse.ReturnReceived(order_id=self.order_id, case_id=case_id, received_at=at)
        return (await self.bench.hear(event))[0]

    async def inspected(
        self, case_id: str, condition: Condition = Condition.AS_NEW, **pieces: int
    ) -> Outcome:
        """The dock looked at them."""
        found = tuple(
            InspectedLine(sku=s, quantity=n, condition=condition, restocked=condition is Condition.AS_NEW)
            for s, n in (pieces or {"TEA": 2}).items()
        )
        event = warehouse.ReturnInspected(order_id=self.order_id, case_id=case_id, lines=found)
        return (await self.bench.hear(event))[0]

    async def came_back(self, case_id: str, condition: Condition = Condition.AS_NEW, **pieces: int) -> None:
        """Received and inspected."""
        await self.received(case_id)
        await self.inspected(case_id, condition, **pieces)

    async def came_in_part(self, ordinal: int, found: int) -> None:
        """Received and inspected: so many TEA as new, and what else the case was about is missing."""
        await self.received(self.case(ordinal).case_id)
        await self.inspected_in_part(ordinal, found)

    async def inspected_in_part(self, ordinal: int, found: int) -> None:
        """The same of what was received before."""
        case = self.case(ordinal)
        missing = sum(line.quantity for line in case.lines) - found
        looked_at = tuple(
            InspectedLine(sku="TEA", quantity=n, condition=condition, restocked=condition is Condition.AS_NEW)
            for n, condition in ((found, Condition.AS_NEW), (missing, Condition.MISSING))
            if n
        )
        event = warehouse.ReturnInspected(order_id=self.order_id, case_id=case.case_id, lines=looked_at)
        await self.bench.hear(event)

    def case(self, ordinal: int = 1) -> Any:
        """A case of the order."""
        return self.bench.row("cases", f"{self.order_id}-C{ordinal}")

    @property
    def refunds(self) -> list[int]:
        """What finance was asked to pay back."""
        return [e.amount.amount for e in self.bench.said_of(aftersales.RefundRequested)]

    @property
    def parked(self) -> list[Any]:
        """What was set aside: never anything, if every race is known."""
        return self.bench.store.rows("parked")

    def told(self) -> list[str]:
        """Class names of all that was published, in order."""
        return [type(e).__name__ for e in self.bench.said]
