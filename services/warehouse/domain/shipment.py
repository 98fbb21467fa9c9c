"""A parcel, and where its courier says it is; late, doubled and out-of-order reports never undo what is known (W7, W11)."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from shared.events.orders import CancelRequested
from shared.events.warehouse import (
    CanceledShipmentLeft,
    FulfillmentCheckStopped,
    ShipmentDelivered,
    ShipmentEndDisputed,
    ShipmentReturned,
    ShipmentShipped,
    TrackingStatus,
)
from shared.lifecycle import lifecycle
from shared.replacing import replace
from shared.values import SkuQuantity


class ShipmentState(StrEnum):
    """Our view of a parcel."""

    READY = "ready"
    SHIPPED = "shipped"
    DELIVERED = "delivered"
    RETURNED = "returned"
    CANCELED = "canceled"


P = ShipmentState
SHIPMENT = lifecycle(
    "shipment",
    P,
    # while           this happens      becomes
    (P.READY, ShipmentShipped, P.SHIPPED),
    (P.READY, CancelRequested, P.CANCELED),
    (P.READY, FulfillmentCheckStopped, P.CANCELED),  # it was unpacked, its order goes on
    (P.SHIPPED, ShipmentDelivered, P.DELIVERED),
    (P.SHIPPED, ShipmentReturned, P.RETURNED),
    (P.CANCELED, CanceledShipmentLeft, P.CANCELED),
    (P.DELIVERED, ShipmentEndDisputed, P.DELIVERED),
    (P.RETURNED, ShipmentEndDisputed, P.RETURNED),
    overtaken=[
        ((P.SHIPPED, P.DELIVERED, P.RETURNED, P.CANCELED), CancelRequested),
        ((P.DELIVERED, P.RETURNED, P.CANCELED), ShipmentDelivered),
        ((P.DELIVERED, P.RETURNED, P.CANCELED), ShipmentReturned),
    ],
)
"""A parcel leaves by a hand-over scan or by its courier's word; a second time is not in the table: it is refused."""


@dataclass(frozen=True)
class Shipment:
    """One parcel."""

    shipment_id: str
    order_id: str
    state: ShipmentState
    courier: str
    tracking_number: str
    weight_grams: int
    packer: str
    packed_at: datetime
    lines: tuple[SkuQuantity, ...]
    cod_due: int
    transit_days: int
    tracking_status: TrackingStatus = TrackingStatus.PRE_TRANSIT
    last_report: datetime | None = None
    reports: tuple[str, ...] = ()
    """What was reported, to know it when it comes again."""
    shipped_at: datetime | None = None
    delivered_at: datetime | None = None
    cod_collected: int = 0
    """Cash that its courier says it has collected, all in all."""
    canceled_at: datetime | None = None
    """When it was to stay here. One that left all the same has both this and `shipped_at`."""
    end_disputed: bool = False
    """True once its courier said the other end of it too."""

    @property
    def kept_back(self) -> bool:
        """True when it is to stay here, and nothing says that it left."""
        return self.state is ShipmentState.CANCELED and self.shipped_at is None


_RANK = {
    TrackingStatus.UNKNOWN: 0,
    TrackingStatus.PRE_TRANSIT: 1,
    TrackingStatus.IN_TRANSIT: 2,
    TrackingStatus.EXCEPTION: 2,
    TrackingStatus.OUT_FOR_DELIVERY: 2,
    TrackingStatus.AVAILABLE_FOR_PICKUP: 2,
    TrackingStatus.DELIVERY_ATTEMPTED: 2,
    TrackingStatus.RETURN_TO_SENDER: 9,
    TrackingStatus.DELIVERED: 9,
}
"""The first end stands for good; on the way the newest report stands; what comes before the way never undoes it."""

WITH_COURIER = frozenset(
    {
        TrackingStatus.IN_TRANSIT,
        TrackingStatus.OUT_FOR_DELIVERY,
        TrackingStatus.AVAILABLE_FOR_PICKUP,
        TrackingStatus.DELIVERY_ATTEMPTED,
        TrackingStatus.DELIVERED,
        TrackingStatus.RETURN_TO_SENDER,
    }
)
"""Reports that prove that the courier has, or had, the parcel. An exception may also be one of paper."""

KEPT_REPORTS = 40

ENDS = frozenset({TrackingStatus.DELIVERED, TrackingStatus.RETURN_TO_SENDER})


def disputes(parcel: Shipment, status: TrackingStatus) -> bool:
    """True when a courier tells of the other end than the one that stands, for the first time."""
    return {parcel.tracking_status, status} == ENDS and not parcel.end_disputed


def report(parcel: Shipment, status: TrackingStatus, occurred_at: datetime) -> Shipment | None:
    """The parcel after a courier's report; None when this very report was known."""
    mark = f"{status.value}@{occurred_at.isoformat()}"
    if mark in parcel.reports:
        return None
    now = parcel.tracking_status
    newer = parcel.last_report is None or occurred_at >= parcel.last_report
    stands = _RANK[now] < 9 and (_RANK[status] > _RANK[now] or (_RANK[status] == _RANK[now] and newer))
    return replace(
        parcel,
        tracking_status=status if stands else now,
        last_report=max(occurred_at, parcel.last_report or occurred_at),
        reports=(*parcel.reports, mark)[-KEPT_REPORTS:],
    )
