"""What comes from outside: never trusted, always validated (O1). One class an event; each arrives on its Kafka inbox or, as
the same CloudEvent, at the HTTP endpoint of the service that owns the inbox.

The identity of an outside event is its CloudEvents (source, id); who sent it comes from the signed token beside it.
An order is named by (source, external number), a parcel by (courier, tracking number).
"""

import re
from datetime import datetime
from typing import Annotated, Self

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, model_validator

from shared import values
from shared.events.aftersales import ReturnReason
from shared.events.base import Event
from shared.events.warehouse import Condition, TrackingStatus
from shared.values import (
    FAR,
    MAX_MINOR,
    Code,
    Currency,
    DeliveryMethod,
    Flag,
    Locale,
    Minor,
    Money,
    OrderLine,
    PaymentMethod,
    Personal,
    Pieces,
    Quantity,
    SkuQuantity,
    Text,
    Value,
)


def _near(value: datetime) -> datetime:
    if value.year > 2200:
        raise ValueError(FAR)
    return value


Time = Annotated[values.Time, AfterValidator(_near)]
"""A time that somebody tells us: earlier than the latest that we may say, since promises are reckoned from it."""

OF_SYSTEMS = ("orders.inbox", "aftersales.inbox", "tracking.inbox")
"""Inboxes that shops, payment providers and couriers fill."""
SCANS = "scans.inbox"
"""The inbox of people with scanners."""
INBOX_TOPICS = (*OF_SYSTEMS, SCANS)

# --- orders.inbox: storefronts, marketplaces, ERPs, payment providers ----------------------------------------


class _OfAnOrder(Event, subject="external_number"):
    """What shops, providers and buyers say of an order, which they know by its number with its source."""

    source: Code
    external_number: Code

    @property
    def stream(self) -> str:
        """Of this order alone: orders of two shops may have one number, and what stops one is not to stop the other (X2)."""
        return f"{self.stream_kind}/{self.source} {self.external_number}"


class OrderSubmitted(_OfAnOrder, type="orders.inbox.order_submitted.v1"):
    """A shop hands us an order (O1). Idempotent by (source, external number)."""

    placed_at: Time
    buyer_id: Code
    lines: tuple[OrderLine, ...] = Field(min_length=1, max_length=1000)
    currency: Currency
    total: Minor
    """What the buyer owes in minor units: lines + delivery_fee + cod_fee − discount; refused when it is not."""
    delivery_fee: Minor = 0
    cod_fee: Minor = 0
    discount: Minor = 0
    payment_method: PaymentMethod = PaymentMethod.PREPAID
    delivery_method: DeliveryMethod = DeliveryMethod.COURIER
    ship_by: Time | None = None
    """Promised dispatch; by default the shop's rule counted from `placed_at`."""
    deliver_by: Time | None = None
    locale: Locale = Locale.ZH_CN
    agent: Code | None = None
    remark: Text = ""
    address_confirmed: Flag = False
    """True when the shop had the buyer confirm address and contact at check-out (O6)."""
    personal: Personal

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        if len({line.line for line in self.lines}) != len(self.lines):
            raise ValueError("two lines have the same line number")
        goods = sum(line.quantity * line.unit_price for line in self.lines)
        total = goods + self.delivery_fee + self.cod_fee - self.discount
        if total != self.total:
            raise ValueError(
                f"total is {self.total}, but lines {goods} + delivery_fee {self.delivery_fee} "
                f"+ cod_fee {self.cod_fee} - discount {self.discount} = {total}"
            )
        if total > MAX_MINOR:
            raise ValueError(f"total must not exceed {MAX_MINOR}")
        if self.ship_by and self.deliver_by and self.deliver_by < self.ship_by:
            raise ValueError("deliver_by lies before ship_by")
        return self


class PaymentCaptured(_OfAnOrder, type="orders.inbox.payment_captured.v1"):
    """A payment provider took money for an order (O3)."""

    payment_id: Code
    amount: Money
    captured_at: Time


class CancelAsked(_OfAnOrder, type="orders.inbox.cancel_asked.v1"):
    """The buyer or the shop wants the order canceled (O10)."""

    reason: Text


class AddressAnswered(_OfAnOrder, type="orders.inbox.address_answered.v1"):
    """The buyer confirmed the address, or corrected it when `personal` is given (O6)."""

    cod_accepted: Flag = False
    """For COD: the buyer agrees to pay on delivery, fee included."""
    delivery_method: DeliveryMethod | None = None
    personal: Personal | None = None


class ReceiptConfirmed(_OfAnOrder, type="orders.inbox.receipt_confirmed.v1"):
    """The buyer says that the goods arrived (O16)."""


# --- aftersales.inbox ----------------------------------------------------------------------------------------


class ReturnAsked(_OfAnOrder, type="aftersales.inbox.return_asked.v1"):
    """The buyer asks to send goods back, or with the reason `missing_item` for the price of what never came (A2)."""

    lines: tuple[SkuQuantity, ...] = Field(min_length=1, max_length=1000)
    """Pieces that have arrived: while another parcel is under way, its pieces cannot be named yet."""
    reason: ReturnReason
    comment: Text = ""


# --- scans.inbox: scanners. The CloudEvents id is the scan id made on the device (W12); operator and device come from the
# token. Stream: what the scan is about, so that the scans of one order stay in order. ---------------------------

GROUP_SEPARATOR = "\x1d"
"""Ends a field of variable length in GS1-128; the one control character that a good scanner sends."""


def _readable(value: str) -> str:
    if any(
        (ord(c) < 32 and c != GROUP_SEPARATOR) or c == "\x7f" or 0xD800 <= ord(c) <= 0xDFFF for c in value
    ):
        raise ValueError("control characters other than the group separator are not allowed")
    return value


# Scanners are set up to end what they read with a blank, a tab or a line break: white space at the ends says nothing. The group
# separator is none, neither for GS1 nor for strip_whitespace.

Barcode = Annotated[
    str,
    StringConstraints(min_length=1, max_length=200, strip_whitespace=True),
    AfterValidator(_readable),
]
"""What the scanner read, but for white space at its ends: EAN-13, GS1-128, a Digital Link, or our own code."""

SYMBOLOGY = r"\][A-Za-z][0-9]"
"""The pattern of what scanners may be set up to send first: the kind of the code that they read, `]C0` for Code 128 (ISO/IEC
15424)."""
_KIND = re.compile(rf"^\s*{SYMBOLOGY}")


def _without_its_kind(value: object) -> object:
    # no identifier begins with a bracket, so nothing is lost
    return _KIND.sub("", value) if isinstance(value, str) else value


ScannedCode = Annotated[Code, StringConstraints(strip_whitespace=True), BeforeValidator(_without_its_kind)]
"""An identifier that a scanner read, but for white space at its ends and the kind of its code before it."""


class ScannedLine(Value):
    """Pieces of what was scanned."""

    sku: Barcode
    """The SKU, or a barcode that names it."""
    quantity: Pieces


QuantityOrNone = Annotated[int, Field(ge=0, le=100_000, strict=True)]
"""Pieces of one scan, of which there may be none."""


class StockScanned(Event, type="scans.inbox.stock_scanned.v1", subject="barcode"):
    """Goods arrived: so many pieces of what this barcode names, put on this location (W1)."""

    barcode: Barcode
    quantity: Quantity
    location: ScannedCode
    scanned_at: Time


class PickStartScanned(Event, type="scans.inbox.pick_start_scanned.v1", subject="order_id"):
    """A picker takes the order (W3)."""

    order_id: ScannedCode
    scanned_at: Time


class PickScanned(Event, type="scans.inbox.pick_scanned.v1", subject="order_id"):
    """So many pieces were taken off the shelf for the order (W3)."""

    order_id: ScannedCode
    barcode: Barcode
    quantity: QuantityOrNone
    """Good pieces that were taken; 0 only where others are damaged or missing."""
    damaged: QuantityOrNone = 0
    """Further pieces found damaged while picking: logged and scrapped, not picked. Where none are left in their place, the good
    ones are not picked either: the order waits for stock again."""
    missing: QuantityOrNone = 0
    """Further pieces that are not in their place although the books have them there: booked out, and told as
    `warehouse.stock_adjusted.v1`. Where none are left in their place, the same as of damaged ones."""
    location: ScannedCode | None = None
    """The shelf that all of them came from, where it is scanned too; else the books take it from the pick list (W1)."""
    scanned_at: Time

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not (self.quantity or self.damaged or self.missing):
            raise ValueError(
                "quantity, damaged and missing are all 0: say how many pieces were taken, were damaged, or are missing"
            )
        return self


class CheckStartScanned(Event, type="scans.inbox.check_start_scanned.v1", subject="order_id"):
    """A second person begins to verify the order (W4); again, by the same person, it answers what was counted so far: good
    pieces by SKU as `counted`, damaged ones as `damaged`."""

    order_id: ScannedCode
    anew: Flag = False
    """Forget what was counted, and count from the beginning."""
    scanned_at: Time


class CheckScanned(Event, type="scans.inbox.check_scanned.v1", subject="order_id"):
    """The checker counted so many pieces of what this barcode names (W4). The answer holds all that was counted so far: good
    pieces by SKU as `counted`, damaged ones as `damaged`."""

    order_id: ScannedCode
    barcode: Barcode
    quantity: Quantity
    damaged: Flag = False
    scanned_at: Time


class CheckFinishScanned(Event, type="scans.inbox.check_finish_scanned.v1", subject="order_id"):
    """The checker has seen everything; what was counted is compared with the order (W4)."""

    order_id: ScannedCode
    scanned_at: Time


class PackScanned(Event, type="scans.inbox.pack_scanned.v1", subject="order_id"):
    """A parcel of the order is closed and weighed; without `lines` it holds all that is left to pack (W5)."""

    order_id: ScannedCode
    weight_grams: Annotated[int, Field(ge=1, le=1_000_000, strict=True)]
    lines: tuple[ScannedLine, ...] = ()
    scanned_at: Time


class HandOverScanned(Event, type="scans.inbox.hand_over_scanned.v1", subject="tracking_number"):
    """The courier, buyer or own driver takes the parcel (W7); of a self-pickup this is the delivery."""

    tracking_number: ScannedCode
    scanned_at: Time


class ReturnReceivedScanned(Event, type="scans.inbox.return_received_scanned.v1", subject="case_id"):
    """Returned goods arrived at the dock (W8)."""

    case_id: ScannedCode
    scanned_at: Time


class DockLine(ScannedLine):
    """What the inspector found of one SKU."""

    condition: Condition


class ReturnInspectedScanned(Event, type="scans.inbox.return_inspected_scanned.v1", subject="case_id"):
    """Returned goods were looked at (W8): as new goes back on the shelf, the rest is scrapped or missing."""

    case_id: ScannedCode
    lines: tuple[DockLine, ...] = Field(min_length=1, max_length=1000)
    scanned_at: Time


# --- tracking.inbox: couriers --------------------------------------------------------------------------------


class TrackingReported(Event, type="tracking.inbox.tracking_reported.v1", subject="tracking_number"):
    """A courier reports where a parcel is; late, doubled and out of order is normal (W11)."""

    courier: Code
    tracking_number: Code
    status: TrackingStatus
    occurred_at: Time
    cod_collected: Minor = 0
    """All cash that was collected for this parcel so far: say it with the delivery or later, and again when it has grown."""
    detail: Text = ""
