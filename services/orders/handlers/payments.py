"""Payments come in, also before their order and after its end (O3, O4)."""

from datetime import datetime, timedelta

from services.orders.desk import OrdersDesk, early_key
from services.orders.domain.order import Order
from services.orders.domain.payment import Anomalous, Booked, Known, book
from services.orders.handlers.promises import UnpaidDue, say_paid, watch
from services.orders.handlers.release import advance, put_on_hold
from services.orders.tables import EarlyPayment
from shared.events.identity import order_id as id_of
from shared.events.inbox import PaymentCaptured
from shared.events.orders import (
    Hold,
    OrderMessageRefused,
    PaymentAnomaly,
    PaymentAnomalyFound,
    PaymentRecorded,
    PaymentUnclaimed,
)
from shared.runtime.messages import Timer
from shared.values import Money

KEPT_FOR = timedelta(days=7)
"""A wait longer than this is not begun: the payment is refused. The waits double, so it was kept for at least as long."""


class EarlyPaymentDue(Timer, name="orders.early_payment_due"):
    """Look again whether the order of an early payment has come; it may have come in the same instant."""

    payment_key: str
    order_id: str
    wait_minutes: int


def capture(event: PaymentCaptured, desk: OrdersDesk) -> dict[str, str]:
    """Book a captured payment, or keep it until its order comes."""
    order_id = id_of(event.source, event.external_number)
    order = desk.orders.get(order_id)
    if order is None:
        key = early_key(order_id, event)
        if desk.early_payments.get(key) is not None:
            return {"order_id": order_id, "payment": "kept until the order comes"}
        early = EarlyPayment(
            payment_key=key,
            order_id=order_id,
            payment_id=event.payment_id,
            amount=event.amount.amount,
            currency=event.amount.currency,
            captured_at=event.captured_at,
            message_id=desk.envelope.id,
            message_source=desk.envelope.source,
            told=desk.envelope,
        )
        desk.early_payments.put(early)
        due = EarlyPaymentDue(payment_key=key, order_id=order_id, wait_minutes=1)
        desk.timers.set(due, desk.now + timedelta(minutes=1))
        return {"order_id": order_id, "payment": "kept until the order comes"}
    order = advance(_book(order, event.payment_id, event.amount, event.captured_at, desk), desk)
    return {"order_id": order_id, "payment": order.payment_status}


def apply_early(order: Order, desk: OrdersDesk) -> Order:
    """Book the payments that came before their order."""
    waiting = desk.early_payments.group("order_id", order.order_id)
    for early in sorted(waiting, key=lambda e: (e.captured_at, e.payment_key)):
        order = _book_early(order, early, desk)
        desk.early_payments.remove(early.payment_key)
        due = EarlyPaymentDue(payment_key=early.payment_key, order_id=order.order_id, wait_minutes=1)
        desk.timers.cancel(due)
    return order


def look_again(timer: EarlyPaymentDue, desk: OrdersDesk) -> None:
    """Book an early payment whose order has come; when none came for days refuse it, and have staff told of the money."""
    early, order = desk.early_payments.get(timer.payment_key), desk.orders.get(timer.order_id)
    if early is None:
        return
    if order is not None:
        advance(_book_early(order, early, desk), desk)
        desk.early_payments.remove(early.payment_key)
        return
    wait = timedelta(minutes=timer.wait_minutes * 2)
    if wait < KEPT_FOR:
        desk.timers.set(timer.model_copy(update={"wait_minutes": timer.wait_minutes * 2}), desk.now + wait)
        return
    desk.early_payments.remove(early.payment_key)
    desk.publish(
        OrderMessageRefused(
            refused=early.message_id,
            refused_source=early.message_source,
            refused_type=PaymentCaptured.wire_type,
            code="unknown_order",
            detail="no order came for this payment; pay it back or send the order",
            field="external_number",
        )
    )
    desk.publish(
        PaymentUnclaimed(
            order_id=early.order_id,
            payment_id=early.payment_id,
            amount=Money(amount=early.amount, currency=early.currency),
            captured_at=early.captured_at,
            told_by=early.message_source,
        )
    )


def odd(
    order: Order,
    payment_id: str,
    anomaly: PaymentAnomaly,
    amount: Money,
    expected: int,
    why: str,
    desk: OrdersDesk,
    *,
    excess: int = 0,
) -> Order:
    """Tell of money that does not match, and hold the order until somebody has looked (O3)."""
    desk.publish(
        PaymentAnomalyFound(
            order_id=order.order_id,
            payment_id=payment_id,
            anomaly=anomaly,
            amount=amount,
            expected=Money(amount=expected, currency=order.currency),
            excess=excess,
            held=not (order.released or order.closed),
        )
    )
    return put_on_hold(order, Hold.PAYMENT_ANOMALY, why, desk)


def _book_early(order: Order, early: EarlyPayment, desk: OrdersDesk) -> Order:
    money = Money(amount=early.amount, currency=early.currency)
    with desk.on_word_of(early.told):
        return _book(order, early.payment_id, money, early.captured_at, desk)


def _book(order: Order, payment_id: str, amount: Money, captured_at: datetime, desk: OrdersDesk) -> Order:
    match book(order, payment_id, amount.amount, amount.currency, captured_at):
        case Known():
            return order
        case Anomalous(after, anomaly, counted, excess):
            if counted:
                part = Money(amount=counted, currency=order.currency)
                desk.publish(
                    PaymentRecorded(
                        order_id=order.order_id, payment_id=payment_id, amount=part, paid=after.paid, due=0
                    )
                )
                watch(after, desk)
            expected = 0 if order.closed or order.is_cod else max(order.total - order.paid, 0)
            why = f"payment {payment_id} is {anomaly}"
            return odd(after, payment_id, anomaly, amount, expected, why, desk, excess=excess)
        case Booked(after, complete):
            due = after.total - after.paid
            desk.publish(
                PaymentRecorded(
                    order_id=order.order_id, payment_id=payment_id, amount=amount, paid=after.paid, due=due
                )
            )
            if complete:
                desk.timers.cancel(UnpaidDue(order_id=order.order_id))
                after = say_paid(after, desk)
                watch(after, desk)
            return after
