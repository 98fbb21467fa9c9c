"""An order: its status, its payment status, the holds that stand against it, and where its goods are.

These are separate axes on purpose. The fulfillment rollup is derived from what the warehouse says. It decides how an order
may still end, never whether it may go to the warehouse.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from shared.events.orders import Hold, HoldRule, OrderApproved, OrderCanceled, OrderCompleted, OrderExpired
from shared.events.warehouse import FulfillmentRefused
from shared.lifecycle import lifecycle
from shared.replacing import replace
from shared.values import Actor, DeliveryMethod, Locale, OrderLine, PaymentMethod, Personal


class OrderStatus(StrEnum):
    """Where the order stands as a promise."""

    PLACED = "placed"
    APPROVED = "approved"
    COMPLETED = "completed"
    CANCELED = "canceled"
    EXPIRED = "expired"


class PaymentStatus(StrEnum):
    """Where the money stands."""

    UNPAID = "unpaid"
    PARTIALLY_PAID = "partially_paid"
    PAID = "paid"
    PARTIALLY_REFUNDED = "partially_refunded"
    REFUNDED = "refunded"
    ANOMALOUS = "anomalous"
    COD_DUE = "cod_due"
    COD_COLLECTED = "cod_collected"


class Fulfillment(StrEnum):
    """Where the goods are, as the warehouse last said."""

    NONE = "none"
    RELEASED = "released"
    BACKORDERED = "backordered"
    ALLOCATED = "allocated"
    PICKING = "picking"
    PICKED = "picked"
    CHECKED = "checked"
    PACKED = "packed"
    SHIPPED = "shipped"
    DELIVERED = "delivered"
    RETURNING = "returning"
    CANCELED = "canceled"


ORDER = lifecycle(
    "order",
    OrderStatus,
    # while                                      this happens        becomes
    (OrderStatus.PLACED, OrderApproved, OrderStatus.APPROVED),
    (OrderStatus.PLACED, OrderExpired, OrderStatus.EXPIRED),
    ((OrderStatus.PLACED, OrderStatus.APPROVED), OrderCanceled, OrderStatus.CANCELED),
    (OrderStatus.APPROVED, FulfillmentRefused, OrderStatus.PLACED),
    (OrderStatus.APPROVED, OrderCompleted, OrderStatus.COMPLETED),
    overtaken=[
        ((OrderStatus.COMPLETED, OrderStatus.CANCELED, OrderStatus.EXPIRED), OrderCanceled),
        ((OrderStatus.CANCELED, OrderStatus.EXPIRED), FulfillmentRefused),
        (
            (OrderStatus.APPROVED, OrderStatus.COMPLETED, OrderStatus.CANCELED, OrderStatus.EXPIRED),
            OrderExpired,
        ),
        (
            (OrderStatus.PLACED, OrderStatus.COMPLETED, OrderStatus.CANCELED, OrderStatus.EXPIRED),
            OrderCompleted,
        ),
    ],
)
"""The status of an order; holds, money and goods have axes of their own."""

CLOSED = (OrderStatus.COMPLETED, OrderStatus.CANCELED, OrderStatus.EXPIRED)


@dataclass(frozen=True)
class HoldEntry:
    """One hold: why, by whom and when, and the same of its lifting (O7)."""

    hold: Hold
    reason: str
    placed_by: str
    placed_at: datetime
    lifted_by: str | None = None
    lifted_at: datetime | None = None
    rule: HoldRule | None = None
    """Which rule of ours placed it, where the hold alone does not say it."""

    @property
    def stands(self) -> bool:
        """True until it is lifted."""
        return self.lifted_at is None

    @property
    def awaits_word(self) -> bool:
        """True while the buyer is asked: not about a weight, which staff can put right and the buyer cannot."""
        return self.stands and self.hold in ASKED and self.rule is not HoldRule.TOO_HEAVY


@dataclass(frozen=True)
class Payment:
    """One payment; `amount` counts towards the order when `counts` says so, `excess` is what was captured beyond that."""

    payment_id: str
    amount: int
    currency: str
    captured_at: datetime
    counts: bool
    anomaly: str | None = None
    excess: int = 0

    @property
    def whole(self) -> int:
        """All that was captured."""
        return self.amount + self.excess


ASKED = (Hold.ADDRESS_UNCONFIRMED, Hold.COD_UNCONFIRMED, Hold.UNREACHABLE_ADDRESS)
"""Holds that the buyer's answer about address and COD lifts (O6); see `HoldEntry.awaits_word`."""


@dataclass(frozen=True)
class Order:
    """Everything orders knows about one order."""

    order_id: str
    source: str
    external_number: str
    status: OrderStatus
    payment_status: PaymentStatus
    fulfillment: Fulfillment
    held: bool
    buyer_id: str
    placed_at: datetime
    total: int
    currency: str
    lines: tuple[OrderLine, ...]
    payment_method: PaymentMethod
    delivery_method: DeliveryMethod
    ship_by: datetime
    deliver_by: datetime
    locale: Locale
    agent: str | None
    remark: str
    personal: Personal | None
    content: str
    """Digest of the submission, to tell the same order handed in twice from another one under the same number."""
    like: str | None = None
    """The first of the orders of the same buyer and goods shortly after one another, of which this is a later one (O5)."""
    holds: tuple[HoldEntry, ...] = ()
    payments: tuple[Payment, ...] = ()
    open_cases: tuple[str, ...] = ()
    kept_cases: tuple[str, ...] = ()
    """Cases that were rejected with the goods not sent back: the buyer has them, or they are on their way to the buyer."""
    disputed_cases: tuple[str, ...] = ()
    """Cases of parcels of which nobody knows yet whether the buyer has them after all."""
    end_disputed: bool = False
    """True once the courier of a parcel that turned round said that it delivered it."""
    return_decided: bool = False
    """True once a case of goods that came back, or were to, was closed."""
    called_back: bool = False
    """True once after-sales awaits what a cancel came too late for: with no case open, nothing is under way any more."""
    refunded: int = 0
    """What finance was asked to pay back of the price."""
    excess_refunded: int = 0
    """And of what was captured beyond it."""
    cod_collected: int = 0
    cod_waived: int = 0
    """Cash that was to be collected with parcels that the courier brought back or lost."""
    cod_rounded: int = 0
    """How often that was a share which after-sales worked out: each may be a minor unit off what a courier was to collect."""
    said_paid: bool = False
    confirmation_asked: bool = False
    answer_by: datetime | None = None
    released: bool = False
    """True from the release until the warehouse refuses or cancels it."""
    part_arrived: bool = False
    """True once a parcel reached the buyer; others may still be on their way."""
    delivered_at: datetime | None = None
    """When the last parcel did, or turned round."""
    escalated: tuple[str, ...] = ()
    closed_reason: str = ""

    @property
    def paid(self) -> int:
        """What counts towards the order, in minor units."""
        return sum(p.amount for p in self.payments if p.counts) + self.cod_collected

    @property
    def due(self) -> int:
        """What is to be paid, all in all."""
        return self.total - self.cod_waived

    @property
    def owed_back(self) -> int:
        """What would have to be paid back if the order ended now."""
        return max(self.paid - self.refunded, 0)

    @property
    def is_cod(self) -> bool:
        """True when the courier collects the money."""
        return self.payment_method is PaymentMethod.COD

    @property
    def closed(self) -> bool:
        """True when nothing more is to be done for the buyer."""
        return self.status in CLOSED

    @property
    def has_left(self) -> bool:
        """True once the goods have left the warehouse."""
        return self.fulfillment in (Fulfillment.SHIPPED, Fulfillment.DELIVERED, Fulfillment.RETURNING)

    @property
    def awaited_back(self) -> bool:
        """True while a case waits for the goods to come back instead of arriving."""
        return bool(self.open_cases) and (self.called_back or self.fulfillment is Fulfillment.RETURNING)

    @property
    def came_to_nothing(self) -> bool:
        """True when the buyer gets nothing of it, and owes nothing."""
        return self.status in (OrderStatus.CANCELED, OrderStatus.EXPIRED)

    @property
    def paid_in_full(self) -> bool:
        """True once all that is due was paid. What was given back since was paid all the same."""
        return self.paid >= self.due - self.cod_rounded

    @property
    def given_back(self) -> bool:
        """True when the buyer has got back all that they had paid, in full or in part."""
        return not self.is_cod and 0 < self.paid <= self.refunded

    @property
    def awaits_payment(self) -> bool:
        """True while it is the buyer's turn to pay: nothing is promised yet."""
        anomalous = self.payment_status is PaymentStatus.ANOMALOUS
        return not (self.is_cod or self.paid_in_full or anomalous)

    @property
    def awaits_cash(self) -> bool:
        """True while cash on delivery may still be told of, and nobody was told that it is missing (O3)."""
        asked = any(entry.hold is Hold.PAYMENT_ANOMALY for entry in self.holds)
        return self.is_cod and self.status is OrderStatus.COMPLETED and not (self.paid_in_full or asked)

    @property
    def awaits_word(self) -> bool:
        """True while the buyer's word about address and COD is awaited (O6)."""
        return not self.closed and any(entry.awaits_word for entry in self.holds)

    @property
    def money_is_right(self) -> bool:
        """True when money does not stand in the way of the release."""
        return self.is_cod or (self.paid_in_full and self.payment_status is not PaymentStatus.ANOMALOUS)

    def standing(self) -> list[Hold]:
        """The holds that stand, oldest first."""
        return [h.hold for h in self.holds if h.stands]

    def has(self, hold: Hold) -> bool:
        """True while this hold stands."""
        return hold in self.standing()

    def stands_since(self, hold: Hold) -> datetime | None:
        """When this hold was placed that stands now; None when it does not stand."""
        return next((h.placed_at for h in self.holds if h.hold is hold and h.stands), None)

    def holds_otherwise(self, hold: Hold, reason: str) -> bool:
        """True while this hold stands for another reason: placed for this one too, nobody would read this one."""
        return any(h.hold is hold and h.stands and h.reason != reason for h in self.holds)

    def with_hold(
        self, hold: Hold, reason: str, actor: Actor, now: datetime, rule: HoldRule | None = None
    ) -> "Order":
        """The order with one more hold; the same order when it stands already."""
        if self.has(hold):
            return self
        entry = HoldEntry(hold, reason, str(actor), now, rule=rule)
        return replace(self, holds=(*self.holds, entry), held=True)

    def without_hold(self, hold: Hold, actor: Actor, now: datetime) -> "Order":
        """The order with this hold lifted; the same order when it does not stand."""
        holds = tuple(
            replace(h, lifted_by=str(actor), lifted_at=now) if h.hold is hold and h.stands else h
            for h in self.holds
        )
        return replace(self, holds=holds, held=any(h.stands for h in holds))

    def ready(self) -> bool:
        """True when the order may go to the warehouse: money right, no hold, not there yet (O7)."""
        return (
            self.status is OrderStatus.PLACED and self.money_is_right and not self.held and not self.released
        )

    def held_by(self) -> str:
        """Who has the order now, in a word or two (O11, O14)."""
        if self.open_cases:
            return "after-sales"
        standing = self.standing()
        if standing and (self.closed or not self.released):
            return f"orders: {standing[0].value}"
        if self.closed:
            return "done"
        if not self.released:
            return "orders: awaiting payment"
        if self.fulfillment in (Fulfillment.SHIPPED, Fulfillment.RETURNING):
            return "courier"
        if self.fulfillment is Fulfillment.DELIVERED:
            return "buyer"
        return f"warehouse: {self.fulfillment.value}"
