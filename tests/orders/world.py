"""Orders in a world of its own: a warehouse and after-sales that read late, answer late, and keep only to their contract."""

from collections import deque
from collections.abc import Callable
from typing import Any

from services.orders.desk import OrdersDesk
from services.orders.domain.order import Order
from services.orders.handlers import service
from shared.events.aftersales import (
    CaseClosed,
    CaseKind,
    CaseOpened,
    CaseRejected,
    RefundRequested,
    RejectReason,
)
from shared.events.base import Event
from shared.events.inbox import PaymentCaptured
from shared.events.orders import (
    CancelRefused,
    CancelRequested,
    HoldLifted,
    HoldPlaced,
    OrderCanceled,
    OrderExpired,
    OrderReleased,
)
from shared.events.warehouse import (
    FulfillmentAllocated,
    FulfillmentBackordered,
    FulfillmentCanceled,
    FulfillmentCancelRefused,
    FulfillmentChecked,
    FulfillmentPacked,
    FulfillmentPicked,
    FulfillmentPickStarted,
    FulfillmentRefusal,
    FulfillmentRefused,
    ShipmentDelivered,
    ShipmentReturned,
    ShipmentShipped,
)
from shared.runtime.messages import Outcome
from shared.values import DeliveryMethod, Money, SkuQuantity
from tests.builders import oid
from tests.harness import START, Bench

ORDER = oid()
CNY = "CNY"
KEPT = (SkuQuantity(sku="TEA", quantity=1),)


def allocated() -> FulfillmentAllocated:
    return FulfillmentAllocated(order_id=ORDER, lines=())


def backordered() -> FulfillmentBackordered:
    return FulfillmentBackordered(order_id=ORDER, missing=(), expected_at=None)


def refused() -> FulfillmentRefused:
    reason = FulfillmentRefusal.UNREACHABLE_ADDRESS
    return FulfillmentRefused(order_id=ORDER, reason=reason, detail="no courier goes there")


def pick_started() -> FulfillmentPickStarted:
    return FulfillmentPickStarted(order_id=ORDER, picker="li")


def picked() -> FulfillmentPicked:
    return FulfillmentPicked(order_id=ORDER, picker="li")


def checked() -> FulfillmentChecked:
    return FulfillmentChecked(order_id=ORDER, picker="li", checker="zhao")


def packed() -> FulfillmentPacked:
    return FulfillmentPacked(order_id=ORDER, shipments=("S-1",), packer="zhao")


def shipped(parcel: str = "S-1", *, last: bool = True) -> ShipmentShipped:
    return ShipmentShipped(
        order_id=ORDER, shipment_id=parcel, courier="sf", tracking_number=parcel, shipped_at=START, expected_at=None,
        delivery_method=DeliveryMethod.COURIER, last=last,
    )  # fmt: skip


def delivered(parcel: str = "S-1", *, cod: int = 0, last: bool = True) -> ShipmentDelivered:
    return ShipmentDelivered(
        order_id=ORDER, shipment_id=parcel, delivered_at=START, cod_collected=cod, last=last
    )


def returned(parcel: str = "S-1", *, last: bool = True, cod_due: int = 0) -> ShipmentReturned:
    detail = "nobody home"
    return ShipmentReturned(
        order_id=ORDER, shipment_id=parcel, occurred_at=START, detail=detail, last=last, cod_due=cod_due
    )


def kept_back(*, last: bool = False, cod_due: int = 0) -> FulfillmentCancelRefused:
    """The warehouse holds back the second of two parcels."""
    reason = "a part of the order has left the warehouse"
    return FulfillmentCancelRefused(order_id=ORDER, reason=reason, kept_back=KEPT, cod_due=cod_due, last=last)


def cancel_refused() -> FulfillmentCancelRefused:
    return FulfillmentCancelRefused(order_id=ORDER, reason="the parcel has left")


def fulfillment_canceled() -> FulfillmentCanceled:
    return FulfillmentCanceled(order_id=ORDER)


def money(amount: int) -> Money:
    return Money(amount=amount, currency=CNY)


def case_opened(kind: CaseKind, case: str = "C-1") -> CaseOpened:
    return CaseOpened(order_id=ORDER, case_id=case, kind=kind, reason="so it is")


def refund(amount: int, case: str = "C-1", *, excess: int = 0) -> RefundRequested:
    return RefundRequested(
        order_id=ORDER, case_id=case, amount=money(amount), reason="so it is", excess=excess
    )


def case_rejected(
    reason: RejectReason = RejectReason.NOT_RETURNED, case: str = "C-1", *, cod_due: int = 0
) -> CaseRejected:
    return CaseRejected(order_id=ORDER, case_id=case, reason=reason, detail="so it is", cod_due=cod_due)


def case_closed(kind: CaseKind, refunded: int, case: str = "C-1", *, ends: bool = True) -> CaseClosed:
    return CaseClosed(order_id=ORDER, case_id=case, kind=kind, refunded=money(refunded), order_ends=ends)


WAY = (
    ("allocated", pick_started, "picking"),
    ("picking", picked, "picked"),
    ("picked", checked, "checked"),
    ("checked", packed, "packed"),
    ("packed", shipped, "shipped"),
)
IN_TWO = (
    *WAY[:-1],
    ("packed", lambda: shipped(last=False), "one left"),
    *((one, lambda: shipped("S-2"), "shipped") for one in ("one left", "one arrived", "one turned round")),
)
"""The way of an order in two parcels; what becomes of the first may be told before the second leaves."""


class World:
    """One order among the services. Each `…_reads` takes one event of orders; `orders_hear` brings one answer back."""

    def __init__(self, *, in_two: bool = False) -> None:
        self.way: tuple[tuple[str, Callable[[], Event], str], ...] = IN_TWO if in_two else WAY
        self.bench: Bench[OrdersDesk] = Bench(service())
        self.goods = "none"
        self.facts: deque[Event] = deque()
        self.cases: deque[Event] = deque()
        self.open: dict[str, tuple[CaseKind, int]] = {}
        self.captured: dict[tuple[str, int, str], PaymentCaptured] = {}
        self._read = {"warehouse": 0, "aftersales": 0}
        self._case = 0

    async def pay(self, payment: PaymentCaptured) -> Outcome:
        """A captured payment; one that was taken must be found again for ever."""
        outcome = await self.bench.outside(payment)
        if outcome.refusal is None:
            self.captured[payment.payment_id, payment.amount.amount, payment.amount.currency] = payment
        return outcome

    def _next(self, reader: str) -> Event | None:
        said = self.bench.said
        if self._read[reader] == len(said):
            return None
        self._read[reader] += 1
        return said[self._read[reader] - 1]

    def warehouse_reads(self, *, reachable: bool = True, stock: bool = True) -> None:
        """The warehouse takes one event of orders."""
        match self._next("warehouse"):
            case OrderReleased():
                assert self.goods in ("none", "refused"), f"released while {self.goods}"
                if not reachable:
                    self.goods = "refused"
                    self.facts.append(refused())
                else:
                    self.goods = "allocated" if stock else "backordered"
                    self.facts.append(allocated() if stock else backordered())
            case CancelRequested() if self.goods in ("shipped", "delivered", "returned"):
                self.facts.append(cancel_refused())
            case CancelRequested() if self.goods.startswith("one "):
                self.facts.append(kept_back(last=self.goods != "one left"))
                self.goods = {"one left": "shipped", "one arrived": "delivered"}.get(self.goods, "returned")
            case CancelRequested() if self.goods not in ("none", "refused", "canceled"):
                self.goods = "canceled"
                self.facts.append(fulfillment_canceled())
            case _:
                pass

    def warehouse_works(self) -> None:
        """One step on the way to the courier."""
        if self.goods == "backordered":
            self.goods = "allocated"
            self.facts.append(allocated())
            return
        for state, fact, becomes in self.way:
            if self.goods == state:
                self.goods = becomes
                self.facts.append(fact())
                return

    def courier(self, *, brings: bool, cod: int = 0) -> None:
        """The parcel arrives, or comes back; of two the first, while the second is still here."""
        if self.goods == "one left":
            self.goods = "one arrived" if brings else "one turned round"
            self.facts.append(delivered(last=False) if brings else returned(last=False))
            if not brings:
                self._open(CaseKind.RETURNED_PARCEL, 0)
        elif self.goods == "shipped":
            self.goods = "delivered" if brings else "returned"
            self.facts.append(delivered(cod=cod) if brings else returned())
            if not brings:
                self._open(CaseKind.RETURNED_PARCEL, 0)

    def aftersales_reads(self) -> None:
        """After-sales takes one event of orders."""
        match self._next("aftersales"):
            case OrderCanceled(refund=owed) | OrderExpired(refund=owed) if owed.amount:
                self._open(CaseKind.REFUND_ONLY, owed.amount)
            case CancelRefused(paid=paid, kept_back=kept):
                part = paid.amount // 2 if kept else 0
                if part:
                    self._open(CaseKind.REFUND_ONLY, part)
                self._open(CaseKind.LATE_CANCEL, paid.amount - part)
            case _:
                pass

    def _open(self, kind: CaseKind, amount: int) -> None:
        self._case += 1
        self.open[f"C-{self._case}"] = (kind, amount)
        self.cases.append(case_opened(kind, f"C-{self._case}"))

    def aftersales_closes(self, *, pays: bool) -> None:
        """The oldest open case comes to its end."""
        for case, (kind, amount) in list(self.open.items())[:1]:
            del self.open[case]
            pays = pays or kind is CaseKind.REFUND_ONLY
            amount = amount if pays else 0
            if not pays:
                self.cases.append(case_rejected(case=case))
            if amount:
                self.cases.append(refund(amount, case))
            ends = kind is CaseKind.LATE_CANCEL or self.goods == "returned"
            self.cases.append(case_closed(kind, amount, case, ends=ends))

    async def orders_hear(self, *, cases: bool) -> None:
        """One event of another service arrives at orders."""
        queue = self.cases if cases else self.facts
        if queue:
            await self.bench.hear(queue.popleft())

    async def settle(self) -> None:
        """Everybody reads everything."""
        for _ in range(200):
            before = (len(self.bench.said), len(self.facts), len(self.cases), *self._read.values())
            self.warehouse_reads()
            self.aftersales_reads()
            await self.orders_hear(cases=False)
            await self.orders_hear(cases=True)
            if before == (len(self.bench.said), len(self.facts), len(self.cases), *self._read.values()):
                return
        raise AssertionError("the world does not come to rest")

    @property
    def known(self) -> Order | None:
        """The order as orders knows it, when it does."""
        found: Order | None = self.bench.row("orders", ORDER)
        return found

    @property
    def order(self) -> Order:
        """The order, which must have come."""
        found = self.known
        assert found is not None
        return found

    def standing(self, said: list[Event]) -> list[Any]:
        """The holds that stand after these events."""
        holds: list[Any] = []
        for event in said:
            if isinstance(event, HoldPlaced):
                assert event.hold not in holds, f"{event.hold} placed twice"
                holds.append(event.hold)
            elif isinstance(event, HoldLifted):
                holds.remove(event.hold)
        return holds
