"""Orders end: canceled, expired, completed (O4, O10, O16)."""

from services.orders.desk import OrdersDesk
from services.orders.domain.order import ORDER, Fulfillment, Order, OrderStatus, PaymentStatus
from services.orders.domain.payment import status_of
from services.orders.handlers import cash
from services.orders.handlers.promises import DeliverByDue, ShipByDue, UnpaidDue
from services.orders.handlers.release import ConfirmationDue, lift, put_on_hold
from shared.events.inbox import CancelAsked, ReceiptConfirmed
from shared.events.orders import (
    CancelRequested,
    Hold,
    OrderCanceled,
    OrderCompleted,
    OrderExpired,
)
from shared.replacing import replace
from shared.runtime.messages import Command, Refused, Timer
from shared.values import Money, Reason


class CompletionDue(Timer, name="orders.completion_due"):
    """Nobody confirmed receipt or complained for long enough (O16)."""

    order_id: str


class CancelOrder(Command):
    """An agent cancels an order, for a reason."""

    order_id: str
    reason: Reason


class ConfirmReceipt(Command):
    """An agent notes that the buyer has the goods, and how that is known."""

    order_id: str
    reason: Reason


def cancel_asked(event: CancelAsked, desk: OrdersDesk) -> dict[str, str]:
    """The buyer or the shop wants out."""
    return _cancel(desk.named(event), event.reason, desk)


def cancel_by_agent(command: CancelOrder, desk: OrdersDesk) -> dict[str, str]:
    """An agent cancels."""
    return _cancel(desk.known(command.order_id), command.reason, desk)


def _cancel(order: Order, reason: str, desk: OrdersDesk) -> dict[str, str]:
    """At once while the order is here; otherwise the warehouse is asked, since it alone knows what has left (O10)."""
    if order.closed:
        raise Refused("order_closed", f"the order is {order.status} already")
    if not order.released:
        return {"status": end_canceled(order, reason, order.owed_back, desk).status}
    if order.has(Hold.CANCEL_PENDING):
        return {"status": "cancel_pending"}
    if order.fulfillment is Fulfillment.DELIVERED:
        raise Refused("too_late_to_cancel", "the buyer has the goods; ask for a return instead")
    if order.fulfillment is Fulfillment.RETURNING:
        raise Refused("too_late_to_cancel", "the goods are on their way back; it ends when they are here")
    if order.fulfillment is Fulfillment.SHIPPED and order.open_cases:
        case = order.open_cases[0]
        raise Refused(
            "too_late_to_cancel", f"the goods have left, and case {case} is open: it is settled first"
        )
    if any(h.hold is Hold.CANCEL_PENDING for h in order.holds):
        detail = "a parcel had left when this was asked before; what arrives of it can be sent back"
        raise Refused("cancel_refused_before", detail)
    order = put_on_hold(order, Hold.CANCEL_PENDING, reason, desk)
    desk.orders.put(replace(order, closed_reason=reason))
    desk.publish(CancelRequested(order_id=order.order_id, reason=reason))
    return {"status": "cancel_pending"}


def end_canceled(order: Order, reason: str, refund: int, desk: OrdersDesk) -> Order:
    """Cancel the order and say what the buyer is owed."""
    after = ORDER.next(order.status, OrderCanceled)
    if after is None:
        return order
    order = _close(order, after, reason, desk)
    desk.publish(
        OrderCanceled(
            order_id=order.order_id, reason=reason, refund=Money(amount=refund, currency=order.currency)
        )
    )
    return order


def expire(timer: UnpaidDue, desk: OrdersDesk) -> None:
    """Close an order that stayed unpaid; what was paid in part is owed back (O4)."""
    order = desk.orders.get(timer.order_id)
    if order is None or order.money_is_right or order.has(Hold.PAYMENT_ANOMALY):
        return
    after = ORDER.next(order.status, OrderExpired)
    if after is None:
        return
    refund = Money(amount=order.owed_back, currency=order.currency)
    _close(order, after, "unpaid", desk)
    desk.publish(OrderExpired(order_id=order.order_id, refund=refund))


def receipt_confirmed(event: ReceiptConfirmed, desk: OrdersDesk) -> dict[str, str]:
    """The buyer has the goods."""
    return _receipt(desk.named(event), "the buyer has the goods", desk)


def receipt_by_agent(command: ConfirmReceipt, desk: OrdersDesk) -> dict[str, str]:
    """An agent notes that the buyer has the goods."""
    return _receipt(desk.known(command.order_id), command.reason, desk)


def _receipt(order: Order, reason: str, desk: OrdersDesk) -> dict[str, str]:
    if order.status is OrderStatus.COMPLETED:
        return {"status": order.status}
    if order.closed:
        raise Refused("order_closed", f"the order is {order.status}; there is nothing to receive")
    comes_back = order.fulfillment is Fulfillment.RETURNING and order.open_cases
    if order.fulfillment not in (Fulfillment.SHIPPED, Fulfillment.DELIVERED) and not comes_back:
        if order.fulfillment is Fulfillment.RETURNING:
            raise Refused("not_delivered", "the courier says that it brings the goods back")
        whole = "a part of the order" if order.part_arrived else "the order"
        raise Refused("not_shipped", f"{whole} has not left the warehouse yet")
    if order.open_cases:
        raise Refused("case_open", "an after-sales case is open; the order completes when it is closed")
    return {"status": complete(order, reason, desk, by_buyer=True).status}


def complete_by_time(timer: CompletionDue, desk: OrdersDesk) -> None:
    """The receipt period is over (O16)."""
    order = desk.orders.get(timer.order_id)
    if order is not None and not order.open_cases:
        complete(order, "the receipt period is over", desk, by_buyer=False)


def complete(order: Order, reason: str, desk: OrdersDesk, *, by_buyer: bool) -> Order:
    """Complete the order; nothing happens when it is closed already."""
    after = ORDER.next(order.status, OrderCompleted)
    if after is None:
        return order
    if order.delivered_at is None:  # the buyer says so, not the courier
        order = cash.judge(order, desk)
    order = _close(order, after, reason, desk)
    desk.publish(OrderCompleted(order_id=order.order_id, confirmed_by_buyer=by_buyer))
    return order


def _close(order: Order, status: OrderStatus, reason: str, desk: OrdersDesk) -> Order:
    """Nothing falls due any more and no hold stands, but for money that is still to be settled (O3)."""
    for hold in order.standing():
        if hold is not Hold.PAYMENT_ANOMALY:
            order = lift(order, hold, f"the order is {status.value}", desk)
    for timer in (UnpaidDue, CompletionDue, ShipByDue, DeliverByDue, ConfirmationDue):
        desk.timers.cancel(timer(order_id=order.order_id))
    order = replace(order, status=status, released=False, closed_reason=reason)
    if order.payment_status is PaymentStatus.COD_DUE:  # of what came to nothing no cash is due
        order = replace(order, payment_status=status_of(order))
    desk.orders.put(order)
    return order
