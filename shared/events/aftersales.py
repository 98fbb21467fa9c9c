"""What after-sales says, on topic `aftersales`; a case belongs to an order, so its stream is `order/<order id>`."""

from enum import StrEnum

from pydantic import Field

from shared.events.base import Event, EventParked, MessageRefused
from shared.values import Code, Minor, Money, Role, SkuQuantity, Text, Time


class CaseKind(StrEnum):
    """What a case is about (A1)."""

    RETURN = "return"
    REFUND_ONLY = "refund_only"
    REFUSED_COD = "refused_cod"
    LATE_CANCEL = "late_cancel"
    RETURNED_PARCEL = "returned_parcel"


class RejectReason(StrEnum):
    """Why a case was rejected."""

    OUTSIDE_WINDOW = "outside_window"
    NOT_AS_AGREED = "not_as_agreed"
    NOT_RETURNED = "not_returned"
    DELIVERED_AFTER_ALL = "delivered_after_all"
    """The buyer has the parcel of which its courier said that it comes back."""
    BY_AGENT = "by_agent"
    WITHDRAWN = "withdrawn"
    """It was asked for by mistake: taken back, or its goods are not awaited any more."""


class ReturnReason(StrEnum):
    """Why a buyer wants to send goods back (A1, A10)."""

    CHANGED_MIND = "changed_mind"
    NOT_AS_DESCRIBED = "not_as_described"
    DAMAGED = "damaged"
    WRONG_ITEM = "wrong_item"
    MISSING_ITEM = "missing_item"
    LATE = "late"
    OTHER = "other"


class MoneyQuestion(StrEnum):
    """Why after-sales itself asks a person whether the buyer gets money back (A2, A6)."""

    CAME_BACK_LATE = "came_back_late"
    CASH_COLLECTED = "cash_collected"
    SUM_REFUNDED = "sum_refunded"
    """A sum of the price was given back or asked for, maybe for the very goods that their courier was to bring back."""
    END_DISPUTED = "end_disputed"
    RECEIPT_DISPUTED = "receipt_disputed"
    """The buyer had confirmed the receipt of what its courier says that it brings back."""
    NO_WORD = "no_word"
    """Nobody told where the goods of a canceled order ended, and they did not come back in time."""


class WaitsFor(StrEnum):
    """Whose turn it is, where it is the shop's."""

    APPROVAL = "approval"
    INSPECTION = "inspection"


class CaseOpened(Event, type="aftersales.case_opened.v1", subject="order_id"):
    """A case was opened for the order (A1)."""

    order_id: Code
    case_id: Code
    kind: CaseKind
    reason: Text


class ApprovalRequested(Event, type="aftersales.approval_requested.v1", subject="order_id"):
    """A case waits until a person grants or refuses it, for no rule may (A3); said once for each such case."""

    order_id: Code
    case_id: Code
    kind: CaseKind
    amount: Money
    """What the buyer would get back."""
    needs: Role
    """The lowest role that may decide; nobody does about their own request."""
    reason: Text
    """A `ReturnReason`, a `MoneyQuestion`, or an agent's own words."""
    earlier_case: Code | None
    """The case that left the question open."""


class CaseOverdue(Event, type="aftersales.case_overdue.v1", subject="order_id"):
    """Nobody went on with the case for long enough; said once for each time it waits for somebody of the shop (A2, A7)."""

    order_id: Code
    case_id: Code
    kind: CaseKind
    waits_for: WaitsFor
    since: Time


class CaseApproved(Event, type="aftersales.case_approved.v1", subject="order_id"):
    """What was asked for is granted, by rule or by an agent (A2)."""

    order_id: Code
    case_id: Code
    by_rule: bool


class CaseRejected(Event, type="aftersales.case_rejected.v1", subject="order_id"):
    """What was asked for is not granted (A2)."""

    order_id: Code
    case_id: Code
    reason: RejectReason
    detail: Text
    cod_due: Minor = 0
    """Cash that is due after all for a parcel that the buyer has."""
    arrived: bool = False
    """True when a person says that the buyer has all that left, of which no courier told."""
    asked_by_buyer: bool = True
    """False when the shop itself had asked whether to pay, so that the buyer knows of no request."""
    kind: CaseKind | None = None
    """Of a `late_cancel` the order stands after all. None when the event is older than this field."""


class ReturnAuthorized(Event, type="aftersales.return_authorized.v1", subject="order_id"):
    """These goods may come back until `return_by`; the dock expects them (A2)."""

    order_id: Code
    case_id: Code
    lines: tuple[SkuQuantity, ...] = Field(min_length=1)
    return_by: Time
    kind: CaseKind | None = None
    """Of a `returned_parcel` and a `refused_cod` the courier brings the goods; null when the event is older than this field."""
    rest_of: Code | None = None
    """The `late_cancel` of which some goods came; these left in another parcel and are awaited under a case of their own."""


class RefundRequested(Event, type="aftersales.refund_requested.v1", subject="order_id"):
    """Finance is asked to pay money back to the buyer (A2, O10)."""

    order_id: Code
    case_id: Code
    amount: Money
    """All that is to be paid back now."""
    reason: Text
    """What it is for, in a word: the kind of the case, mostly."""
    excess: Minor = 0
    """What of it was captured beyond the price: all else comes out of the price."""


class CaseClosed(Event, type="aftersales.case_closed.v1", subject="order_id"):
    """Nothing is left to do for the case (A1)."""

    order_id: Code
    case_id: Code
    kind: CaseKind
    refunded: Money
    order_ends: bool = True
    """Of a `late_cancel`, `returned_parcel` or `refused_cod` alone: False while other parcels of the order are with the buyer
    or on their way. It says nothing for other kinds."""
    cod_lost: Minor = 0
    """Cash that nobody will collect: of goods that their courier lost without a word."""


class PaidGoodsArrived(Event, type="aftersales.paid_goods_arrived.v1", subject="order_id"):
    """The buyer got goods after all whose price had been given back, as lost or otherwise; a person sees to it (A6)."""

    order_id: Code
    shipment_id: Code
    delivered_at: Time
    lines: tuple[SkuQuantity, ...] = Field(min_length=1)
    refunded: Money
    """What of the order's price was given back by then."""


class AftersalesMessageRefused(MessageRefused, type="aftersales.message_refused.v1", subject="refused"):
    """A message in `aftersales.inbox` was refused."""


class AftersalesEventParked(EventParked, type="aftersales.event_parked.v1", subject="service"):
    """After-sales set a message aside."""
