"""What the warehouse shows over HTTP of its work, parcels and stock (W1, W3, W7)."""

from datetime import datetime
from typing import Any

from services.warehouse.domain.fulfillment import Fulfillment, FulfillmentState
from services.warehouse.domain.shipment import ShipmentState
from services.warehouse.domain.stock import MoveKind
from shared.events.warehouse import CheckDifference, TrackingStatus
from shared.runtime.views import View
from shared.values import DeliveryMethod, OrderLine, PaymentMethod, SkuQuantity


class PickView(View):
    """Pieces taken from a shelf, or packed."""

    sku: str
    location: str
    quantity: int


class CountedView(View):
    """What the checker counted of a SKU."""

    sku: str
    good: int
    damaged: int


class FulfillmentView(View):
    """The work on an order, without the buyer's address: that stands on the label."""

    order_id: str
    source: str
    external_number: str
    state: FulfillmentState
    picker: str | None
    """Who picks it, or picked it last."""
    checker: str | None
    lines: tuple[OrderLine, ...]
    left_to_pick: dict[str, int]
    """Pieces by SKU."""
    left_to_pack: dict[str, int]
    """Pieces by SKU."""
    picks: tuple[PickView, ...]
    counted: tuple[CountedView, ...]
    """What the check counted so far."""
    packed: tuple[PickView, ...]
    shipments: tuple[str, ...]
    """Its parcels."""
    left: tuple[str, ...]
    """Those that have left."""
    released_at: datetime
    ship_by: datetime
    payment_method: PaymentMethod
    cod_due: int
    """What couriers are to collect, in minor units."""
    currency: str
    delivery_method: DeliveryMethod
    remark: str


class ShelvedView(FulfillmentView):
    """The work on one order, with the shelves of what is to be picked."""

    shelves: dict[str, dict[str, int]]
    """SKU → shelf → pieces to take there."""
    differences: tuple[CheckDifference, ...]
    """What the last check found, until the order is picked again."""


class ShipmentView(View):
    """One parcel: contents, courier, where it is."""

    shipment_id: str
    order_id: str
    state: ShipmentState
    courier: str
    tracking_number: str
    tracking_status: TrackingStatus
    weight_grams: int
    packer: str
    packed_at: datetime
    shipped_at: datetime | None
    delivered_at: datetime | None
    canceled_at: datetime | None
    """When it was to stay here. One that left all the same has both this and `shipped_at`."""
    lines: tuple[SkuQuantity, ...]
    cod_due: int
    """What its courier is to collect, in minor units."""
    cod_collected: int
    """What its courier says it has collected."""
    end_disputed: bool
    """True once its courier told both ends of it."""


class MoveView(View):
    """One entry of the ledger."""

    position: int
    kind: MoveKind
    on_hand: int
    """What it did to the pieces in the house."""
    allocated: int
    """What it did to those that are reserved."""
    quantity: int
    location: str
    order_id: str | None
    at: datetime
    actor: str
    reason: str


class StockView(View):
    """Stock of one SKU with its newest moves, newest first."""

    sku: str
    on_hand: int
    allocated: int
    """Reserved for orders."""
    available: int
    """What new orders can have."""
    waiting: int
    """Orders that wait for it."""
    depleted: bool
    """True from the moment nothing is available until something is again that nobody waits for."""
    locations: dict[str, int]
    """Shelf → pieces."""
    moves: list[MoveView]


def shown(work: Fulfillment) -> FulfillmentView:
    """The work on an order."""
    left = {"left_to_pick": work.left_to_pick(), "left_to_pack": work.left_to_pack()}
    return FulfillmentView.model_validate(vars(work) | left)


def shelved(
    work: Fulfillment, shelves: dict[str, dict[str, int]], differences: list[dict[str, Any]]
) -> ShelvedView:
    """The work on an order, where its goods lie, and what its check found."""
    return ShelvedView.model_validate(vars(shown(work)) | {"shelves": shelves, "differences": differences})
