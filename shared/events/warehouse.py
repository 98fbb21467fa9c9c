"""What the warehouse says, on topic `warehouse`: streams `order/<order id>` and, for stock, `sku/<sku>`."""

from enum import StrEnum

from pydantic import Field

from shared.events.base import Event, EventParked, MessageRefused
from shared.values import Code, DeliveryMethod, Minor, Money, Pieces, Quantity, SkuQuantity, Text, Time


class TrackingStatus(StrEnum):
    """Where the courier says a parcel is; never undone by a late event (W11)."""

    PRE_TRANSIT = "pre_transit"
    IN_TRANSIT = "in_transit"
    OUT_FOR_DELIVERY = "out_for_delivery"
    AVAILABLE_FOR_PICKUP = "available_for_pickup"
    DELIVERY_ATTEMPTED = "delivery_attempted"
    DELIVERED = "delivered"
    RETURN_TO_SENDER = "return_to_sender"
    EXCEPTION = "exception"
    UNKNOWN = "unknown"


class Condition(StrEnum):
    """What the returns dock found (W8)."""

    AS_NEW = "as_new"
    DAMAGED = "damaged"
    WRONG_ITEM = "wrong_item"
    MISSING = "missing"


class FulfillmentRefusal(StrEnum):
    """Why the warehouse cannot take a release."""

    UNREACHABLE_ADDRESS = "unreachable_address"


# --- stock, stream sku/<sku> ---------------------------------------------------------------------------------


class StockReceived(Event, type="warehouse.stock_received.v1", subject="sku"):
    """Pieces of a SKU arrived and are on hand (W1)."""

    sku: Code
    quantity: Quantity
    on_hand: int
    available: int


class StockScrapped(Event, type="warehouse.stock_scrapped.v1", subject="sku"):
    """Pieces were found unfit and booked out: on the shelf, or of what came back to the dock and was booked in (W3, W8)."""

    sku: Code
    quantity: Pieces
    reason: Text


class StockAdjusted(Event, type="warehouse.stock_adjusted.v1", subject="sku"):
    """The books were put right, for what lies on a shelf is another number of pieces: by the back office, or by a picker who
    found fewer (W1)."""

    sku: Code
    change: int
    """Pieces more, or fewer when it is negative."""
    reason: Text
    on_hand: int
    available: int


class StockDepleted(Event, type="warehouse.stock_depleted.v1", subject="sku"):
    """Nothing of the SKU is available: shops should delist it 下架 (W2)."""

    sku: Code


class StockReplenished(Event, type="warehouse.stock_replenished.v1", subject="sku"):
    """A depleted SKU is available again (W2)."""

    sku: Code
    available: int


# --- fulfillment, stream order/<order id> --------------------------------------------------------------------


class FulfillmentAllocated(Event, type="warehouse.fulfillment_allocated.v1", subject="order_id"):
    """Every line of the order is reserved (W2)."""

    order_id: Code
    lines: tuple[SkuQuantity, ...]


class FulfillmentBackordered(Event, type="warehouse.fulfillment_backordered.v1", subject="order_id"):
    """Not everything is available: the order waits for what is missing, first come first served (W2). Said again when something
    that was there is gone once the rest has come."""

    order_id: Code
    missing: tuple[SkuQuantity, ...]
    expected_at: Time | None
    """When stock is expected, where it is known."""


class FulfillmentRefused(Event, type="warehouse.fulfillment_refused.v1", subject="order_id"):
    """The warehouse cannot fulfill the order as released; nothing was reserved (O6, W6)."""

    order_id: Code
    reason: FulfillmentRefusal
    detail: Text
    heaviest: Code | None = None
    """The article of which one piece is too heavy for every courier that would bring lighter goods there: its weight may be
    wrong. Null where none comes there at all, and when the event is older than this field."""
    grams: int | None = None
    """With `heaviest`: what a piece of it weighs, as it was registered."""


class FulfillmentPickStarted(Event, type="warehouse.fulfillment_pick_started.v1", subject="order_id"):
    """A picker took the order (W3)."""

    order_id: Code
    picker: Code


class FulfillmentPickStopped(Event, type="warehouse.fulfillment_pick_stopped.v1", subject="order_id"):
    """The order was taken back from its picker, who does not go on; somebody else may take it. What is picked stays so (W3)."""

    order_id: Code
    picker: Code
    reason: Text


class FulfillmentPicked(Event, type="warehouse.fulfillment_picked.v1", subject="order_id"):
    """Every line was picked (W3)."""

    order_id: Code
    picker: Code


class FulfillmentChecked(Event, type="warehouse.fulfillment_checked.v1", subject="order_id"):
    """A second person verified every line against the order (W4)."""

    order_id: Code
    picker: Code
    checker: Code


class FulfillmentCheckStopped(Event, type="warehouse.fulfillment_check_stopped.v1", subject="order_id"):
    """The check does not stand: it was taken back from its checker, who does not go on, or what was checked, and maybe packed,
    was unpacked. Somebody counts it from the beginning (W4)."""

    order_id: Code
    checker: Code
    reason: Text
    unpacked: tuple[Code, ...] = ()
    """Parcels whose labels are void now: they do not leave, and what was in them is packed anew."""


class Difference(StrEnum):
    """How the checked goods differ from the order."""

    TOO_FEW = "too_few"
    TOO_MANY = "too_many"
    """Beyond what the order wants, good or broken."""
    WRONG_ITEM = "wrong_item"
    DAMAGED = "damaged"
    """Of what the order wants: scrapped, and to be picked again."""


class CheckDifference(SkuQuantity):
    """One difference found by the checker: so many pieces of the SKU."""

    difference: Difference


class FulfillmentCheckFailed(Event, type="warehouse.fulfillment_check_failed.v1", subject="order_id"):
    """The checker found a difference; the order goes back to picking (W4)."""

    order_id: Code
    checker: Code
    differences: tuple[CheckDifference, ...] = Field(min_length=1)


class LabelCreated(Event, type="warehouse.label_created.v1", subject="order_id"):
    """A courier was chosen and a tracking number given to the parcel (W5, W6)."""

    order_id: Code
    shipment_id: Code
    courier: Code
    tracking_number: Code


class FulfillmentPacked(Event, type="warehouse.fulfillment_packed.v1", subject="order_id"):
    """All parcels of the order are packed and labeled (W5)."""

    order_id: Code
    shipments: tuple[Code, ...]
    packer: Code
    delivery_method: DeliveryMethod | None = None
    """Of an order that its buyer fetches this is when they may come. None when the event is older than this field."""
    to_pay: Money | None = None
    """For COD: all that is to be collected. None when the event is older than this field."""


class FulfillmentCanceled(Event, type="warehouse.fulfillment_canceled.v1", subject="order_id"):
    """The warehouse stopped work on the order and put everything back (O10)."""

    order_id: Code


class FulfillmentCancelRefused(Event, type="warehouse.fulfillment_cancel_refused.v1", subject="order_id"):
    """The order, or a parcel of it, had left when the cancel arrived (O10). What had not left is kept back: its stock is free
    again, and its parcels are to be unpacked."""

    order_id: Code
    reason: Text
    kept_back: tuple[SkuQuantity, ...] = ()
    """What stays here; empty when all had left, and when the event is older than this field."""
    cod_due: Minor = 0
    """Cash that was to be collected for what is kept back."""
    last: bool = False
    """True when nothing more of the order is still to reach the buyer."""


# --- shipments, stream order/<order id> ----------------------------------------------------------------------


class ShipmentShipped(Event, type="warehouse.shipment_shipped.v1", subject="order_id"):
    """A parcel was handed to its courier, once (W7)."""

    order_id: Code
    shipment_id: Code
    courier: Code
    tracking_number: Code
    delivery_method: DeliveryMethod
    shipped_at: Time
    expected_at: Time | None
    last: bool
    """True when no other parcel of the order is still to leave."""
    courier_name: Text = ""
    """What buyers are told (N1); empty when the event is older than this field."""
    lines: tuple[SkuQuantity, ...] = ()
    """What is in the parcel; empty when the event is older than this field."""


class CanceledShipmentLeft(Event, type="warehouse.canceled_shipment_left.v1", subject="order_id"):
    """A parcel of a canceled order, or one that was unpacked, left all the same, once: it was handed over before that was known
    where that was done, or its courier has it (W7, W11). Its pieces are booked out; a person has it recalled."""

    order_id: Code
    shipment_id: Code
    courier: Code
    courier_name: Text
    tracking_number: Code
    lines: tuple[SkuQuantity, ...]
    left_at: Time
    canceled_at: Time | None
    """Null for a parcel that was canceled before this was kept."""
    delivery_method: DeliveryMethod | None = None
    """Who has it now: the buyer, where they fetched it themselves. None when the event is older than this field."""
    to_pay: Money | None = None
    """For COD: what its courier, or our counter, was to collect. None when the event is older than this field."""
    unpacked: bool = False
    """True where its order goes on, and is or was sent once more: the parcel had only been unpacked, and left all the same."""


class TrackingUpdated(Event, type="warehouse.tracking_updated.v1", subject="order_id"):
    """The courier reported progress (W11). Late reports are told too, with the status they leave standing."""

    order_id: Code
    shipment_id: Code
    status: TrackingStatus
    """The status of the parcel after this report."""
    reported: TrackingStatus
    occurred_at: Time
    detail: Text


class ShipmentDelivered(Event, type="warehouse.shipment_delivered.v1", subject="order_id"):
    """A parcel reached the buyer (W11): its courier says so, or the buyer took it over our counter (W7)."""

    order_id: Code
    shipment_id: Code
    delivered_at: Time
    cod_collected: Minor
    last: bool
    """True when nothing more of the order is still to reach the buyer: the others arrived, or are brought back."""
    lines: tuple[SkuQuantity, ...] = ()
    """What is in the parcel; empty when the event is older than this field."""
    whole: bool | None = None
    """True when the buyer has all of the order now: nothing of it was kept back or turned round. Null in older events."""
    delivery_method: DeliveryMethod | None = None
    """How it reached the buyer: goods that they fetched did not arrive. None when the event is older than this field."""


class CodCollected(Event, type="warehouse.cod_collected.v1", subject="order_id"):
    """The courier says beside the delivery that it has collected cash for a parcel: before it, later, or more than it said then
    (W11). What it says with the delivery stands in `shipment_delivered`; all these together are what was collected."""

    order_id: Code
    shipment_id: Code
    amount: Minor
    """What is new."""
    collected: Minor
    """All that was collected for the parcel."""
    reported_at: Time


class DeliveryFailed(Event, type="warehouse.delivery_failed.v1", subject="order_id"):
    """The courier tried and could not deliver (W11)."""

    order_id: Code
    shipment_id: Code
    occurred_at: Time
    detail: Text


class ShipmentReturned(Event, type="warehouse.shipment_returned.v1", subject="order_id"):
    """The courier brings the parcel back: refused by the buyer, or not deliverable (W11, A1)."""

    order_id: Code
    shipment_id: Code
    occurred_at: Time
    detail: Text
    lines: tuple[SkuQuantity, ...] = ()
    """What is in the parcel; empty when the event is older than this field."""
    cod_due: Minor = 0
    """Cash that the courier was to collect with it."""
    last: bool = True
    """True when nothing more of the order is still to reach the buyer."""


class ShipmentEndDisputed(Event, type="warehouse.shipment_end_disputed.v1", subject="order_id"):
    """The courier of a parcel that reached the buyer says now that it comes back, or the other way about; once for each parcel
    (W11). What it said first stands; a person asks it where the parcel is."""

    order_id: Code
    shipment_id: Code
    courier: Code
    courier_name: Text
    tracking_number: Code
    stands: TrackingStatus
    """`delivered` or `return_to_sender`."""
    reported: TrackingStatus
    """The other one."""
    reported_at: Time
    lines: tuple[SkuQuantity, ...]
    """What is in the parcel."""
    cod_due: Minor
    """Cash that the courier was to collect with it."""


# --- returns dock, stream order/<order id> -------------------------------------------------------------------


class InspectedLine(SkuQuantity):
    """What the dock found of one SKU, and whether it went back on the shelf."""

    condition: Condition
    restocked: bool


class ReturnReceived(Event, type="warehouse.return_received.v1", subject="order_id"):
    """The returned goods of a case arrived at the dock (W8, A2)."""

    order_id: Code
    case_id: Code
    received_at: Time | None = None
    """When they were scanned, be it offline (W12). None when the event is older than this field."""


class ReturnInspected(Event, type="warehouse.return_inspected.v1", subject="order_id"):
    """The returned goods of a case were inspected, restocked or scrapped (W8, A2)."""

    order_id: Code
    case_id: Code
    lines: tuple[InspectedLine, ...] = Field(min_length=1)


class WarehouseMessageRefused(MessageRefused, type="warehouse.message_refused.v1", subject="refused"):
    """A message in `scans.inbox` or `tracking.inbox` was refused."""


class WarehouseEventParked(EventParked, type="warehouse.event_parked.v1", subject="service"):
    """The warehouse set a message aside."""
