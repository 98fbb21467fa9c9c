"""What the orders service says, on topic `orders`; every event about one order is in the stream `order/<order id>`."""

from enum import StrEnum

from pydantic import Field

from shared.events.base import Event, EventParked, MessageRefused
from shared.values import (
    Code,
    Currency,
    DeliveryMethod,
    Locale,
    Minor,
    Money,
    OrderLine,
    PaymentMethod,
    Personal,
    SkuQuantity,
    Text,
    Time,
)


class Hold(StrEnum):
    """Why an order may not go to the warehouse yet; several can stand at once (O7)."""

    PAYMENT_ANOMALY = "payment_anomaly"
    ADDRESS_UNCONFIRMED = "address_unconfirmed"
    UNREACHABLE_ADDRESS = "unreachable_address"
    DUPLICATE_SUSPECTED = "duplicate_suspected"
    COD_UNCONFIRMED = "cod_unconfirmed"
    AWAITING_AUDIT = "awaiting_audit"
    CANCEL_PENDING = "cancel_pending"
    CUSTOMER_REQUEST = "customer_request"
    OUT_OF_STOCK = "out_of_stock"


class HoldRule(StrEnum):
    """Which of our rules placed a hold, where the hold alone does not say it (O5, O6, O7)."""

    ABOVE_LIMIT = "above_limit"
    GIVEN_BACK = "given_back"
    BOUGHT_TWICE = "bought_twice"
    NO_COURIER = "no_courier"
    TOO_HEAVY = "too_heavy"


class PaymentAnomaly(StrEnum):
    """What does not match about a payment (O3, O4)."""

    OVERPAID = "overpaid"
    WRONG_CURRENCY = "wrong_currency"
    DUPLICATE = "duplicate"
    AFTER_CLOSING = "after_closing"
    UNDERPAID_AT_CLOSING = "underpaid_at_closing"
    NOT_DUE = "not_due"


class OrderPlaced(Event, type="orders.order_placed.v1", subject="order_id"):
    """An order was accepted from a storefront, marketplace, ERP or agent (O1). Its total is lines + delivery_fee + cod_fee −
    discount."""

    order_id: Code
    source: Code
    external_number: Code
    placed_at: Time
    buyer_id: Code
    lines: tuple[OrderLine, ...] = Field(min_length=1)
    currency: Currency
    total: Minor
    delivery_fee: Minor | None = None
    """Delivery, in minor units. Null, as cod_fee and discount, when the event is older than this field."""
    cod_fee: Minor | None = None
    discount: Minor | None = None
    payment_method: PaymentMethod
    delivery_method: DeliveryMethod
    ship_by: Time
    deliver_by: Time
    locale: Locale
    agent: Code | None
    remark: Text
    personal: Personal | None


class PaymentRecorded(Event, type="orders.payment_recorded.v1", subject="order_id"):
    """A payment for the order was booked, whether or not it completes the order (O3)."""

    order_id: Code
    payment_id: Code
    amount: Money
    """What of the payment counts towards the price: what was captured beyond it is told as an anomaly."""
    paid: Minor
    """All that counts towards the price so far."""
    due: Minor
    """What is still owed."""


class OrderPaid(Event, type="orders.order_paid.v1", subject="order_id"):
    """The order is paid in full (O3)."""

    order_id: Code
    paid: Money


class PaymentAnomalyFound(Event, type="orders.payment_anomaly_found.v1", subject="order_id"):
    """A payment does not match the order and is held, never released by itself (O3, O4)."""

    order_id: Code
    payment_id: Code
    anomaly: PaymentAnomaly
    amount: Money
    """The whole payment as it was captured, of which a part may have been recorded. For `underpaid_at_closing` all cash that
    was collected; for cash that is `overpaid` what it grew by."""
    expected: Money
    """What was owed before."""
    excess: Minor = 0
    """What of the payment was captured beyond the price, in the currency of the order. 0 for cash of couriers, which stands in
    what the warehouse says, and when the event is older than this field."""
    held: bool = True
    """False when the order has gone to the warehouse or is over, so that nothing of it waits."""


class PaymentUnclaimed(Event, type="orders.payment_unclaimed.v1", subject="order_id"):
    """Money was captured for an order that never came: whoever has it is to be found, and paid back (O3)."""

    order_id: Code
    """The id that the order would have."""
    payment_id: Code
    amount: Money
    captured_at: Time
    told_by: str
    """The source of the message that told of the payment."""


class HoldPlaced(Event, type="orders.hold_placed.v1", subject="order_id"):
    """The order may not go to the warehouse until this hold is lifted (O7)."""

    order_id: Code
    hold: Hold
    reason: Text
    """In the words of whoever placed it; of a rule of ours, in English."""
    rule: HoldRule | None = None
    """Which rule of ours says so; null where a person does, or the hold says it alone."""
    like_number: Code | None = None
    """With `bought_twice`: the external number of the order that it is like."""
    delivery_method: DeliveryMethod | None = None
    """With `no_courier` and `too_heavy`: in which way none goes there."""
    cod: bool = False
    """With these: true where it was to collect cash, too."""
    heaviest: Code | None = None
    """With `too_heavy`: the article of which one piece is."""
    grams: int | None = None
    """With `too_heavy`: what a piece of it weighs, as it was registered."""


class HoldLifted(Event, type="orders.hold_lifted.v1", subject="order_id"):
    """One hold no longer stands; the order is released when none does (O7)."""

    order_id: Code
    hold: Hold
    reason: Text


class AddressConfirmationRequested(
    Event, type="orders.address_confirmation_requested.v1", subject="order_id"
):
    """The buyer is to be asked to confirm address, contact and delivery method (O6); for COD also the COD fee."""

    order_id: Code
    answer_by: Time
    """When a supervisor is told that nobody has answered."""
    cod: bool
    unreachable: bool = False
    """True when no courier reaches the address as it is: to confirm it does not help."""
    delivery_method: DeliveryMethod | None = None
    """None when the event is older than this field."""
    to_pay: Money | None = None
    """For COD: what the courier will collect, fee included."""
    personal: Personal | None


class AddressConfirmed(Event, type="orders.address_confirmed.v1", subject="order_id"):
    """Buyer or agent confirmed or corrected address, contact and delivery method (O6)."""

    order_id: Code
    corrected: bool
    delivery_method: DeliveryMethod
    personal: Personal | None


class OrderApproved(Event, type="orders.order_approved.v1", subject="order_id"):
    """The order passed the audit: paid or COD-agreed, confirmed, free of holds (O7)."""

    order_id: Code


class OrderReleased(Event, type="orders.order_released.v1", subject="order_id"):
    """The order goes to the warehouse with all that it needs to fulfill it (O7). May be said again after
    the warehouse refused the release and the reason was mended."""

    order_id: Code
    external_number: Code
    source: Code
    placed_at: Time
    lines: tuple[OrderLine, ...] = Field(min_length=1)
    currency: Currency
    payment_method: PaymentMethod
    cod_due: Minor
    """What the courier collects, 0 unless COD."""
    delivery_method: DeliveryMethod
    ship_by: Time
    deliver_by: Time
    remark: Text
    locale: Locale
    personal: Personal | None


class CancelRequested(Event, type="orders.cancel_requested.v1", subject="order_id"):
    """A released order is to be canceled; the warehouse says whether it still can (O10)."""

    order_id: Code
    reason: Text


class CancelRefused(Event, type="orders.cancel_refused.v1", subject="order_id"):
    """The order, or a parcel of it, had left the warehouse when the cancel arrived; after-sales takes over (O10, A1)."""

    order_id: Code
    reason: Text
    paid: Money
    """What was paid of the price so far."""
    kept_back: tuple[SkuQuantity, ...] = ()
    """What had not left, and stays in the warehouse: its price is paid back. Empty when all had left."""


class OrderCanceled(Event, type="orders.order_canceled.v1", subject="order_id"):
    """The order is canceled and whatever was done for it undone (O10); `refund` is what the buyer is owed."""

    order_id: Code
    reason: Text
    refund: Money


class OrderExpired(Event, type="orders.order_expired.v1", subject="order_id"):
    """The order stayed unpaid too long and was closed by time (O4); `refund` is what had been paid in part."""

    order_id: Code
    refund: Money


class PersonalErased(Event, type="orders.personal_erased.v1", subject="order_id"):
    """Contact and address of the buyer were erased from an order that is over (X4): whoever keeps a copy erases it now."""

    order_id: Code
    reason: Text


class Overdue(StrEnum):
    """Which deadline was missed."""

    ADDRESS_CONFIRMATION = "address_confirmation"
    SHIP_BY = "ship_by"
    DELIVER_BY = "deliver_by"


class OrderEscalated(Event, type="orders.order_escalated.v1", subject="order_id"):
    """A deadline was missed; a supervisor is told once, with who has the order now (O6, O11)."""

    order_id: Code
    overdue: Overdue
    due: Time
    held_by: str
    """Who has the order now: a service, or the hold that stops it."""


class OrderCompleted(Event, type="orders.order_completed.v1", subject="order_id"):
    """The buyer confirmed receipt, or time did (O16)."""

    order_id: Code
    confirmed_by_buyer: bool


class OrderMessageRefused(MessageRefused, type="orders.message_refused.v1", subject="refused"):
    """A message in `orders.inbox` was refused."""


class OrderEventParked(EventParked, type="orders.event_parked.v1", subject="service"):
    """The orders service set a message aside."""
