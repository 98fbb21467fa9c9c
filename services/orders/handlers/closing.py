"""Orders end: canceled, expired, completed; and promises are watched (O4, O10, O11, O16)."""

from dataclasses import replace
from datetime import datetime

from services.orders.desk import OrdersDesk
from services.orders.domain.order import ORDER, Fulfillment, Order
from services.orders.handlers.release import stop
from shared.events.identity import order_id as id_of
from shared.events.inbox import CancelAsked, ReceiptConfirmed
from shared.events.orders import (
    CancelRequested,
    Hold,
    OrderCanceled,
    OrderCompleted,
    OrderEscalated,
    OrderExpired,
    Overdue,
)
from shared.runtime.messages import Command, Refused, Timer
from shared.values import Money, Text


class UnpaidDue(Timer, name="orders.unpaid_due"):
    """The order stayed unpaid too long (O4)."""

    order_id: str


class CompletionDue(Timer, name="orders.completion_due"):
    """Nobody confirmed receipt or complained for long enough (O16)."""

    order_id: str


class ShipByDue(Timer, name="orders.ship_by_due"):
    """The promised time of dispatch has come (O11)."""

    order_id: str


class DeliverByDue(Timer, name="orders.deliver_by_due"):
    """The promised time of delivery has come (O11)."""

    order_id: str


class CancelOrder(Command):
    """An agent cancels an order, for a reason."""

    order_id: str
    reason: Text


class ConfirmReceipt(Command):
    """An agent notes that the buyer has the goods."""

    order_id: str


def cancel_asked(event: CancelAsked, desk: OrdersDesk) -> dict[str, str]:
    """The buyer or the shop wants out."""
    return _cancel(desk.known(id_of(event.source, event.external_number)), event.reason, desk)


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
    order = stop(order, Hold.CANCEL_PENDING, reason, desk)
    desk.orders.put(replace(order, closed_reason=reason))
    desk.publish(CancelRequested(order_id=order.order_id, reason=reason))
    return {"status": "cancel_pending"}


def end_canceled(order: Order, reason: str, refund: int, desk: OrdersDesk) -> Order:
    """Cancel the order and say what the buyer is owed."""
    after = ORDER.next(order.status, OrderCanceled)
    if after is None:
        return order
    order = replace(order, status=after, released=False, held=False, closed_reason=reason)
    desk.orders.put(order)
    desk.publish(
        OrderCanceled(
            order_id=order.order_id, reason=reason, refund=Money(amount=refund, currency=order.currency)
        )
    )
    _forget_timers(order, desk)
    return order


def expire(timer: UnpaidDue, desk: OrdersDesk) -> None:
    """Close an order that stayed unpaid; what was paid in part is owed back (O4)."""
    order = desk.orders.get(timer.order_id)
    if order is None or order.money_is_right or order.has(Hold.PAYMENT_ANOMALY):
        return
    after = ORDER.next(order.status, OrderExpired)
    if after is None:
        return
    desk.orders.put(replace(order, status=after, held=False, closed_reason="unpaid"))
    refund = Money(amount=order.owed_back, currency=order.currency)
    desk.publish(OrderExpired(order_id=order.order_id, refund=refund))
    _forget_timers(order, desk)


def receipt_confirmed(event: ReceiptConfirmed, desk: OrdersDesk) -> dict[str, str]:
    """The buyer has the goods."""
    return _receipt(desk.known(id_of(event.source, event.external_number)), desk)


def receipt_by_agent(command: ConfirmReceipt, desk: OrdersDesk) -> dict[str, str]:
    """An agent notes that the buyer has the goods."""
    return _receipt(desk.known(command.order_id), desk)


def _receipt(order: Order, desk: OrdersDesk) -> dict[str, str]:
    if order.fulfillment not in (Fulfillment.SHIPPED, Fulfillment.DELIVERED) and not order.closed:
        raise Refused("not_shipped", "nothing of the order has left the warehouse yet")
    if order.open_cases:
        raise Refused("case_open", "an after-sales case is open; the order completes when it is closed")
    return {"status": complete(order, desk, by_buyer=True).status}


def complete_by_time(timer: CompletionDue, desk: OrdersDesk) -> None:
    """The receipt period is over (O16)."""
    order = desk.orders.get(timer.order_id)
    if order is not None and not order.open_cases:
        complete(order, desk, by_buyer=False)


def complete(order: Order, desk: OrdersDesk, *, by_buyer: bool) -> Order:
    """Complete the order; nothing happens when it is closed already."""
    after = ORDER.next(order.status, OrderCompleted)
    if after is None:
        return order
    order = replace(order, status=after)
    desk.orders.put(order)
    desk.publish(OrderCompleted(order_id=order.order_id, confirmed_by_buyer=by_buyer))
    _forget_timers(order, desk)
    return order


def ship_by_due(timer: ShipByDue, desk: OrdersDesk) -> None:
    """Escalate an order that has not left in time (O11)."""
    order = desk.orders.get(timer.order_id)
    late = (Fulfillment.SHIPPED, Fulfillment.DELIVERED, Fulfillment.RETURNING)
    if order is not None and order.fulfillment not in late:
        _escalate(order, Overdue.SHIP_BY, order.ship_by, desk)


def deliver_by_due(timer: DeliverByDue, desk: OrdersDesk) -> None:
    """Escalate an order that has not arrived in time (O11)."""
    order = desk.orders.get(timer.order_id)
    if order is not None and order.delivered_at is None:
        _escalate(order, Overdue.DELIVER_BY, order.deliver_by, desk)


def _escalate(order: Order, overdue: Overdue, due: datetime, desk: OrdersDesk) -> None:
    if order.closed or overdue.value in order.escalated or not order.money_is_right:
        return
    desk.orders.put(replace(order, escalated=(*order.escalated, overdue.value)))
    desk.publish(OrderEscalated(order_id=order.order_id, overdue=overdue, due=due, held_by=order.held_by()))


def _forget_timers(order: Order, desk: OrdersDesk) -> None:
    for timer in (UnpaidDue, CompletionDue, ShipByDue, DeliverByDue):
        desk.timers.cancel(timer(order_id=order.order_id))
