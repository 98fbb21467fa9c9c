"""Who is told of what, and by which way (N1, N2, N3)."""

from dataclasses import dataclass

from services.notify.tables import CONTACTS, MESSAGES, OPT_OUTS
from shared.events import aftersales, notify, orders, warehouse
from shared.events.aftersales import CaseKind, RejectReason
from shared.events.base import Event
from shared.events.orders import Hold
from shared.runtime.desk import Desk
from shared.values import DeliveryMethod

NECESSARY = (
    "address_confirmation",
    "ready_for_pickup",
    "canceled",
    "expired",
    "return_authorized",
    "returned_parcel",
    "rest_awaited",
    "refund_requested",
    "case_rejected",
    "delivered_after_all",
)
"""Sent to buyers who opted out too: they concern the contract or the buyer's money."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Which template an event calls for, and who gets it."""

    template: str
    audience: str


PLANS: dict[type[Event], Plan] = {
    orders.AddressConfirmationRequested: Plan("address_confirmation", "buyer"),
    orders.OrderCanceled: Plan("canceled", "buyer"),
    orders.OrderExpired: Plan("expired", "buyer"),
    warehouse.FulfillmentPacked: Plan("ready_for_pickup", "buyer"),
    warehouse.ShipmentShipped: Plan("shipped", "buyer"),
    warehouse.ShipmentDelivered: Plan("delivered", "buyer"),
    warehouse.ReturnReceived: Plan("return_received", "buyer"),
    aftersales.ReturnAuthorized: Plan("return_authorized", "buyer"),
    aftersales.RefundRequested: Plan("refund_requested", "buyer"),
    aftersales.CaseRejected: Plan("case_rejected", "buyer"),
    orders.HoldPlaced: Plan("held", "staff"),
    orders.OrderEscalated: Plan("escalated", "staff"),
    orders.PaymentAnomalyFound: Plan("payment_anomaly", "staff"),
    orders.PaymentUnclaimed: Plan("payment_unclaimed", "staff"),
    warehouse.CanceledShipmentLeft: Plan("canceled_left", "staff"),
    warehouse.ShipmentEndDisputed: Plan("end_disputed", "staff"),
    aftersales.ApprovalRequested: Plan("approval_requested", "staff"),
    aftersales.CaseOverdue: Plan("case_overdue", "staff"),
    aftersales.PaidGoodsArrived: Plan("paid_goods_arrived", "staff"),
    orders.OrderEventParked: Plan("event_parked", "staff"),
    warehouse.WarehouseEventParked: Plan("event_parked", "staff"),
    aftersales.AftersalesEventParked: Plan("event_parked", "staff"),
    notify.NotifyEventParked: Plan("event_parked", "staff"),
    notify.MessageFailed: Plan("letter_failed", "staff"),
}


FOR_A_PERSON = (Hold.DUPLICATE_SUSPECTED, Hold.UNREACHABLE_ADDRESS, Hold.AWAITING_AUDIT)
"""Holds that a rule places and a person lifts, and of which nothing else tells staff (O5, O6, O7)."""


def plan_for(event: Event) -> Plan | None:
    """What an event calls for. Nothing where it asks the buyer for what they cannot do, or tells what they just did."""
    match event:
        case orders.HoldPlaced(hold=hold) if hold not in FOR_A_PERSON:
            return None
        case aftersales.ReturnAuthorized(kind=CaseKind.RETURNED_PARCEL):
            return Plan("returned_parcel", "buyer")  # the courier brings the goods; the buyer never had them
        case aftersales.ReturnAuthorized(kind=CaseKind.REFUSED_COD):
            return None  # nor paid for them
        case aftersales.ReturnAuthorized(rest_of=str()):
            return Plan("rest_awaited", "buyer")
        case aftersales.CaseRejected(reason=RejectReason.DELIVERED_AFTER_ALL):
            return Plan("delivered_after_all", "buyer")  # it is no request of theirs that is refused
        case aftersales.CaseRejected(asked_by_buyer=False):
            return None  # nor is this
        case notify.MessageFailed(audience=audience, template=template):
            must_reach = audience == "buyer" and template in NECESSARY
            return PLANS[notify.MessageFailed] if must_reach else None
        case warehouse.FulfillmentPacked(delivery_method=method) if method is not DeliveryMethod.SELF_PICKUP:
            return None  # its courier comes for it; one older than the field may have been fetched long ago
        case warehouse.ShipmentShipped(delivery_method=DeliveryMethod.SELF_PICKUP):
            return None  # the buyer takes it over the counter at this moment
    return PLANS.get(type(event))


OF_BUYERS = (
    orders.OrderPlaced,
    orders.AddressConfirmed,
    orders.PersonalErased,
    aftersales.ReturnAuthorized,
    aftersales.CaseRejected,
)
"""Events that say how a buyer is reached, that nobody is to know any more, or whether what they canceled is to go back."""


@dataclass(frozen=True, slots=True)
class Webhook:
    """An endpoint outside that wants events; `events` are wire names, a trailing * stands for any ending."""

    name: str
    url: str
    secret: str
    events: tuple[str, ...]

    def wants(self, type_name: str) -> bool:
        """True when the endpoint asked for events of this type."""
        return any(type_name == e or (e.endswith("*") and type_name.startswith(e[:-1])) for e in self.events)


@dataclass(frozen=True, slots=True)
class Routing:
    """Which channel reaches buyers and staff, and which endpoints want events."""

    buyer: str = "file"
    staff: str = "file"
    webhooks: tuple[Webhook, ...] = ()

    def wants(self, event: type[Event]) -> bool:
        """True when the event tells how a buyer is reached, or somebody is to be told of it. All others are passed over."""
        return event in PLANS or event in OF_BUYERS or any(w.wants(event.wire_type) for w in self.webhooks)


class NotifyDesk(Desk):
    """Shelves of one turn."""

    def __init__(self, routing: Routing) -> None:
        super().__init__()
        self.routing = routing
        self.messages = self.shelf(MESSAGES)
        self.contacts = self.shelf(CONTACTS)
        self.opt_outs = self.shelf(OPT_OUTS)
