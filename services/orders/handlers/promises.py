"""What falls due while an order is open: payment, dispatch, delivery (O4, O11)."""

from datetime import datetime

from services.orders.desk import OrdersDesk
from services.orders.domain.order import Order
from shared.events.orders import OrderEscalated, OrderPaid, Overdue
from shared.replacing import replace
from shared.runtime.messages import Timer
from shared.values import Money


class UnpaidDue(Timer, name="orders.unpaid_due"):
    """The order stayed unpaid too long (O4)."""

    order_id: str


class ShipByDue(Timer, name="orders.ship_by_due"):
    """The promised time of dispatch has come (O11)."""

    order_id: str


class DeliverByDue(Timer, name="orders.deliver_by_due"):
    """The promised time of delivery has come (O11)."""

    order_id: str


def watch(order: Order, desk: OrdersDesk) -> None:
    """Watch the promises from when the buyer has done their part; one that is broken already is told at once."""
    desk.timers.set(ShipByDue(order_id=order.order_id), max(order.ship_by, desk.now))
    watch_delivery(order, desk)


def watch_delivery(order: Order, desk: OrdersDesk) -> None:
    """Watch the promised time of delivery; again, where goods that were to come back are the buyer's after all."""
    desk.timers.set(DeliverByDue(order_id=order.order_id), max(order.deliver_by, desk.now))


def say_paid(order: Order, desk: OrdersDesk) -> Order:
    """Say, once, that the order is paid in full (O3)."""
    if order.said_paid:
        return order
    paid = Money(amount=order.paid, currency=order.currency)
    desk.publish(OrderPaid(order_id=order.order_id, paid=paid))
    return replace(order, said_paid=True)


def ship_by_due(timer: ShipByDue, desk: OrdersDesk) -> None:
    """Escalate an order that has not left in time (O11)."""
    order = desk.orders.get(timer.order_id)
    if order is not None and not order.has_left:
        _escalate(order, Overdue.SHIP_BY, order.ship_by, desk)


def deliver_by_due(timer: DeliverByDue, desk: OrdersDesk) -> None:
    """Escalate an order that has not arrived in time (O11). Of goods that are to come back their case tells."""
    order = desk.orders.get(timer.order_id)
    if order is not None and order.delivered_at is None and not order.awaited_back:
        _escalate(order, Overdue.DELIVER_BY, order.deliver_by, desk)


def _escalate(order: Order, overdue: Overdue, due: datetime, desk: OrdersDesk) -> None:
    if order.closed or overdue.value in order.escalated or order.awaits_payment:
        return
    desk.orders.put(replace(order, escalated=(*order.escalated, overdue.value)))
    desk.publish(OrderEscalated(order_id=order.order_id, overdue=overdue, due=due, held_by=order.held_by()))
