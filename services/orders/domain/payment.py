"""Payments: full, part, over, under, in the wrong currency, twice, too late (O3, O4). What does not match is held."""

from dataclasses import dataclass
from datetime import datetime

from services.orders.domain.order import CLOSED, Order, Payment, PaymentStatus
from shared.events.orders import Hold, PaymentAnomaly
from shared.replacing import replace


@dataclass(frozen=True, slots=True)
class Booked:
    """The payment counts towards the order."""

    order: Order
    complete: bool


@dataclass(frozen=True, slots=True)
class Anomalous:
    """The payment is kept and held; of what is too much, `counted` is the part that was due, all else does not count.
    `excess` is what of it can be paid back in the order's currency."""

    order: Order
    anomaly: PaymentAnomaly
    counted: int
    excess: int


@dataclass(frozen=True, slots=True)
class Known:
    """This very payment was booked before, or is a payment of nothing."""


def book(
    order: Order, payment_id: str, amount: int, currency: str, captured_at: datetime
) -> Booked | Anomalous | Known:
    """Decide what a captured payment does to an order."""
    same = [p for p in order.payments if p.payment_id == payment_id]
    if amount == 0 or any((p.whole, p.currency) == (amount, currency) for p in same):
        return Known()
    payment = Payment(payment_id, amount, currency, captured_at, counts=True)
    if anomaly := _anomaly(order, payment, reused=bool(same)):
        due = order.total - order.paid if anomaly is PaymentAnomaly.OVERPAID else 0
        excess = amount - due if currency == order.currency else 0
        odd = replace(payment, amount=amount - excess, excess=excess, counts=bool(due), anomaly=anomaly.value)
        status = order.payment_status if order.status in CLOSED else PaymentStatus.ANOMALOUS
        held = replace(order, payments=(*order.payments, odd), payment_status=status)
        return Anomalous(held, anomaly, due, excess)
    booked = replace(order, payments=(*order.payments, payment))
    return Booked(replace(booked, payment_status=status_of(booked)), complete=booked.paid_in_full)


def _anomaly(order: Order, payment: Payment, *, reused: bool) -> PaymentAnomaly | None:
    if order.status in CLOSED:
        return PaymentAnomaly.AFTER_CLOSING
    if payment.currency != order.currency:
        return PaymentAnomaly.WRONG_CURRENCY
    if order.is_cod:
        return PaymentAnomaly.NOT_DUE
    if reused or (order.paid == order.total and payment.amount == order.total):
        return PaymentAnomaly.DUPLICATE
    if order.paid + payment.amount > order.total:
        return PaymentAnomaly.OVERPAID
    return None


def status_of(order: Order) -> PaymentStatus:
    """The payment status that the amounts add up to: derived, so that it cannot disagree with them."""
    if order.has(Hold.PAYMENT_ANOMALY) and not order.closed:
        return PaymentStatus.ANOMALOUS
    if order.refunded:
        return PaymentStatus.REFUNDED if order.refunded >= order.paid else PaymentStatus.PARTIALLY_REFUNDED
    if order.is_cod:
        if not (order.paid_in_full or order.came_to_nothing):
            return PaymentStatus.COD_DUE
        nothing_taken = order.total and not order.paid
        return PaymentStatus.UNPAID if nothing_taken else PaymentStatus.COD_COLLECTED
    if order.paid_in_full:
        return PaymentStatus.PAID
    return PaymentStatus.PARTIALLY_PAID if order.paid else PaymentStatus.UNPAID


def refund(order: Order, amount: int, excess: int) -> Order:
    """The order after finance was asked to pay `amount` back. What of it is `excess` is not taken from the price: that is still
    paid, and owed should the order end."""
    refunded = replace(
        order, refunded=order.refunded + amount - excess, excess_refunded=order.excess_refunded + excess
    )
    return replace(refunded, payment_status=status_of(refunded))


def collect(order: Order, amount: int) -> Order:
    """The order after the courier collected `amount` from the buyer."""
    collected = replace(order, cod_collected=order.cod_collected + amount)
    return replace(collected, payment_status=status_of(collected))
