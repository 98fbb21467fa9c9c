"""What the other services say about an order: where its goods are, which cases are open, what was refunded (O10, O14, O16)."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from services.orders.desk import OrdersDesk
from services.orders.domain.order import ORDER, Fulfillment, Order, OrderStatus
from services.orders.domain.payment import refund
from services.orders.handlers import cash
from services.orders.handlers.closing import CompletionDue, end_canceled
from services.orders.handlers.promises import watch_delivery
from services.orders.handlers.release import ask_for_confirmation, lift, put_on_hold
from services.orders.tables import Heard
from shared.events.aftersales import (
    ApprovalRequested,
    CaseClosed,
    CaseKind,
    CaseOpened,
    CaseRejected,
    MoneyQuestion,
    RefundRequested,
    RejectReason,
)
from shared.events.base import Event, topic_of
from shared.events.orders import CancelRefused, Hold, HoldRule
from shared.events.warehouse import (
    CodCollected,
    FulfillmentAllocated,
    FulfillmentBackordered,
    FulfillmentCanceled,
    FulfillmentCancelRefused,
    FulfillmentChecked,
    FulfillmentCheckFailed,
    FulfillmentCheckStopped,
    FulfillmentPacked,
    FulfillmentPicked,
    FulfillmentPickStarted,
    FulfillmentPickStopped,
    FulfillmentRefused,
    ShipmentDelivered,
    ShipmentEndDisputed,
    ShipmentReturned,
    ShipmentShipped,
    TrackingStatus,
)
from shared.replacing import replace
from shared.values import Money

STAGE: dict[type[Event], Fulfillment] = {
    FulfillmentAllocated: Fulfillment.ALLOCATED,
    FulfillmentBackordered: Fulfillment.BACKORDERED,
    FulfillmentPickStarted: Fulfillment.PICKING,
    FulfillmentPickStopped: Fulfillment.ALLOCATED,
    FulfillmentPicked: Fulfillment.PICKED,
    FulfillmentCheckStopped: Fulfillment.PICKED,
    FulfillmentCheckFailed: Fulfillment.PICKING,
    FulfillmentChecked: Fulfillment.CHECKED,
    FulfillmentPacked: Fulfillment.PACKED,
    ShipmentShipped: Fulfillment.SHIPPED,
}
"""What the warehouse says, and where the goods then are."""

GIVEN_BACK = "all that was paid was given back: cancel it, or lift this"
"""Why an order is held that nobody pays for any more."""

ENDED_BY_RETURN = (CaseKind.LATE_CANCEL, CaseKind.RETURNED_PARCEL, CaseKind.REFUSED_COD)
"""Cases after which the buyer has nothing: the order ends as canceled."""


def told(
    decide: Callable[[Any, Order, OrdersDesk], Order] | None = None,
) -> Callable[[Any, OrdersDesk], None]:
    """A handler that puts an event into the order's timeline and then lets `decide` change the order."""

    def handler(event: Any, desk: OrdersDesk) -> None:
        actor = f"{desk.envelope.actor}"
        what = event.model_dump(mode="json", exclude={"personal", "order_id"})
        service = topic_of(event.wire_type)
        desk.heard.add(Heard(event.order_id, service, event.wire_type, desk.envelope.time, actor, what))
        order = desk.orders.get(event.order_id)
        if order is not None and decide is not None:
            desk.orders.put(decide(event, order, desk))

    return handler


def moved(event: Event, order: Order, desk: OrdersDesk) -> Order:
    """The goods are somewhere else now; a first parcel's news does not undo that another was delivered."""
    if order.fulfillment is Fulfillment.DELIVERED:
        return order
    # the warehouse has the order until its last parcel leaves
    if isinstance(event, ShipmentShipped) and not event.last:
        return order
    return replace(order, fulfillment=STAGE[type(event)])


def refused(event: FulfillmentRefused, order: Order, desk: OrdersDesk) -> Order:
    """No courier reaches the address: the order comes back and waits for a better one; or for staff, where it is a piece's
    weight that none takes there (O6)."""
    after = ORDER.next(order.status, FulfillmentRefused)
    if after is None:
        return order
    pending = order.has(Hold.CANCEL_PENDING)
    order = replace(order, status=after, released=False, fulfillment=Fulfillment.NONE)
    if pending:
        return end_canceled(order, order.closed_reason, order.owed_back, desk)
    order = put_on_hold(
        order,
        Hold.UNREACHABLE_ADDRESS,
        event.detail,
        desk,
        rule=HoldRule.TOO_HEAVY if event.heaviest else HoldRule.NO_COURIER,
        delivery_method=order.delivery_method,
        cod=order.is_cod,
        heaviest=event.heaviest,
        grams=event.grams,
    )
    return ask_for_confirmation(_no_present(order, desk), desk)


def canceled(event: FulfillmentCanceled, order: Order, desk: OrdersDesk) -> Order:
    """The warehouse has put everything back: the cancel is done (O10)."""
    order = replace(order, fulfillment=Fulfillment.CANCELED)
    order = lift(order, Hold.CANCEL_PENDING, "the warehouse put everything back", desk)
    return end_canceled(order, order.closed_reason, order.owed_back, desk)


def cancel_refused(event: FulfillmentCancelRefused, order: Order, desk: OrdersDesk) -> Order:
    """A parcel had left: after-sales takes it from here, and what had not left stays in the warehouse (O10, A1)."""
    if order.closed:
        return order
    order = cash.waive(order, event.cod_due)
    disputed = bool(set(order.disputed_cases) & set(order.open_cases)) or _soon_disputed(order)
    if event.kept_back and event.last and not order.part_arrived and not disputed:
        # all that left was turned round: the buyer has nothing and gets nothing, as if none of it had left
        order = replace(order, fulfillment=Fulfillment.RETURNING)
        return end_canceled(order, order.closed_reason, order.owed_back, desk)
    desk.publish(
        CancelRefused(
            order_id=order.order_id,
            reason=event.reason,
            paid=Money(amount=order.owed_back, currency=order.currency),
            kept_back=event.kept_back,
        )
    )
    order = lift(order, Hold.CANCEL_PENDING, event.reason, desk)
    order = cash.less_due(order, event.cod_due, desk)
    if not event.kept_back:
        return order
    if event.last and disputed:
        return replace(order, fulfillment=Fulfillment.RETURNING)  # until a person says who has it
    order = replace(order, fulfillment=Fulfillment.SHIPPED)
    return _arrived(order, desk.envelope.time, desk) if event.last else order


def _soon_disputed(order: Order) -> bool:
    """Both ends were said of a parcel, and after-sales is yet to ask a person about it."""
    asked_or_over = order.disputed_cases or order.return_decided
    return order.end_disputed and not asked_or_over and (order.is_cod or order.owed_back > 0)


def end_disputed(event: ShipmentEndDisputed, order: Order, desk: OrdersDesk) -> Order:
    """What its courier was to bring back, it says that it delivered: whether the buyer has it, after-sales finds out."""
    return replace(order, end_disputed=True) if event.stands is TrackingStatus.RETURN_TO_SENDER else order


def delivered(event: ShipmentDelivered, order: Order, desk: OrdersDesk) -> Order:
    """The buyer has a parcel; with the last one the receipt period begins (O16), and all cash should be there (O3)."""
    order = cash.came(order, event.shipment_id, event.cod_collected, desk)
    order = replace(order, part_arrived=True)
    return _arrived(order, event.delivered_at, desk) if event.last else order


def returned(event: ShipmentReturned, order: Order, desk: OrdersDesk) -> Order:
    """The courier turns round with a parcel; others may have reached the buyer, or still will."""
    order = cash.waive(order, event.cod_due)
    if not event.last:
        return order
    if order.part_arrived:
        return _arrived(order, event.occurred_at, desk)
    return replace(order, fulfillment=Fulfillment.RETURNING)


def _arrived(order: Order, at: datetime, desk: OrdersDesk) -> Order:
    """The buyer has all that they will get."""
    order = replace(order, fulfillment=Fulfillment.DELIVERED, delivered_at=order.delivered_at or at)
    order = cash.judge(order, desk)
    _await_completion(order, desk)
    return order


def cod_collected(event: CodCollected, order: Order, desk: OrdersDesk) -> Order:
    """The courier tells of cash beside the delivery (O3)."""
    return cash.came(order, event.shipment_id, event.amount, desk)


def case_opened(event: CaseOpened, order: Order, desk: OrdersDesk) -> Order:
    """While a case is open the order does not complete by itself."""
    desk.timers.cancel(CompletionDue(order_id=order.order_id))
    called_back = order.called_back or event.kind is CaseKind.LATE_CANCEL
    return replace(order, open_cases=(*order.open_cases, event.case_id), called_back=called_back)


def case_waits(event: ApprovalRequested, order: Order, desk: OrdersDesk) -> Order:
    """A person is to say whether the buyer has a parcel of which its courier said both ends."""
    if event.reason != MoneyQuestion.END_DISPUTED:
        return order
    return replace(order, disputed_cases=(*order.disputed_cases, event.case_id))


def case_rejected(event: CaseRejected, order: Order, desk: OrdersDesk) -> Order:
    """The goods are not back, whatever else came in their place: the buyer has them."""
    order = replace(order, kept_cases=(*order.kept_cases, event.case_id))
    if event.arrived and not order.closed and order.delivered_at is None:
        order = replace(order, part_arrived=True)
        # while others are asked about, not all is known
        return order if set(order.open_cases) - {event.case_id} else _arrived(order, desk.envelope.time, desk)
    if event.reason is not RejectReason.DELIVERED_AFTER_ALL or order.came_to_nothing:
        return order
    # a buyer who confirmed the receipt has ended the order, and its cash is due all the same
    order = cash.waive(replace(order, part_arrived=True), -event.cod_due)
    if order.fulfillment is Fulfillment.RETURNING:
        return _arrived(order, desk.envelope.time, desk)
    return cash.judge(order, desk) if order.delivered_at is not None else order


def case_closed(event: CaseClosed, order: Order, desk: OrdersDesk) -> Order:
    """The receipt period begins anew, or the order ends because everything came back."""
    over = order.return_decided or event.kind in ENDED_BY_RETURN
    left = tuple(c for c in order.open_cases if c != event.case_id)
    order = replace(order, open_cases=left, return_decided=over)
    kept = event.case_id in order.kept_cases and event.kind is CaseKind.LATE_CANCEL
    on_its_way_back = order.fulfillment is Fulfillment.RETURNING
    if event.kind in ENDED_BY_RETURN and event.order_ends and (on_its_way_back or not kept):
        # the warehouse may still be to say what a cancel kept back: that is owed too
        owed = order.owed_back if order.has(Hold.CANCEL_PENDING) else 0
        return end_canceled(order, event.kind.value, owed, desk)
    if event.cod_lost:
        order = cash.waive(replace(order, cod_rounded=order.cod_rounded + 1), event.cod_lost)
        order = cash.less_due(order, event.cod_lost, desk)
    all_known = order.called_back and not order.open_cases and not order.closed
    if all_known and order.part_arrived and order.delivered_at is None:
        return _arrived(order, desk.envelope.time, desk)
    if order.delivered_at is None and not order.closed:
        watch_delivery(order, desk)
    _await_completion(order, desk)
    return order


def refund_requested(event: RefundRequested, order: Order, desk: OrdersDesk) -> Order:
    """Money goes back to the buyer."""
    return _no_present(refund(order, event.amount.amount, event.excess), desk)


def _no_present(order: Order, desk: OrdersDesk) -> Order:
    """Nothing leaves for nothing: whether a buyer who got all their money back gets the goods too, a person says (O7). What the
    warehouse has begun goes on meanwhile, and staff are told while it can still be stopped."""
    if order.given_back and not order.has_left and not order.closed and not order.has(Hold.CANCEL_PENDING):
        if order.holds_otherwise(Hold.AWAITING_AUDIT, GIVEN_BACK):
            order = lift(order, Hold.AWAITING_AUDIT, f"stands anew: {GIVEN_BACK}", desk)
        return put_on_hold(order, Hold.AWAITING_AUDIT, GIVEN_BACK, desk, rule=HoldRule.GIVEN_BACK)
    return order


def _await_completion(order: Order, desk: OrdersDesk) -> None:
    waits = order.status is OrderStatus.APPROVED and order.delivered_at is not None and not order.open_cases
    if waits and order.fulfillment is Fulfillment.DELIVERED:
        desk.timers.set(CompletionDue(order_id=order.order_id), desk.now + desk.policy.completes_after)
