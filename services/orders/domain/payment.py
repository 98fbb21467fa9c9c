"""Payments: full, part, over, under, in the wrong currency, twice, too late (O3, O4). What does not match is held, never lost."""

from dataclasses import dataclass, replace

from services.orders.domain.order import CLOSED, Order, Payment, PaymentStatus
from shared.events.orders import PaymentAnomaly


@dataclass(frozen=True, slots=True)
class Booked:
    """The payment counts towards the order."""

    order: Order
    complete: bool


@dataclass(frozen=True, slots=True)
class Anomalous:
    """The payment is kept and held, and does not count."""

    order: Order
    anomaly: PaymentAnomaly


@dataclass(frozen=True, slots=True)
class Known:
    """This very payment was booked before."""


def book(order: Order, payment_id: str, amount: int, currency: str, captured_at: object) -> Booked | Anomalous | Known:
    """Decide what a captured payment does to an order."""
    payment = Payment(payment_id, amount, currency, captured_at, counts=True)  # type: ignore[arg-type]
    same = next((p for p in order.payments if p.payment_id == payment_id), None)
    if same is not None and (same.amount, same.currency) == (amount, currency):
        return Known()
    if anomaly := _anomaly(order, payment, reused=same is not None):
        odd = replace(payment, counts=False, anomaly=anomaly.value)
        status = order.payment_status if order.status in CLOSED else PaymentStatus.ANOMALOUS
        return Anomalous(replace(order, payments=(*order.payments, odd), payment_status=status), anomaly)
    booked = replace(order, payments=(*order.payments, payment))
    return Booked(replace(booked, payment_status=status_of(booked)), complete=booked.paid == booked.total)


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
    """The payment status that the payments add up to, once no anomaly is left to settle."""
    if order.is_cod:
        return PaymentStatus.COD_DUE
    if order.paid == order.total:
        return PaymentStatus.PAID
    return PaymentStatus.PARTIALLY_PAID if order.paid else PaymentStatus.UNPAID


def refund(order: Order, amount: int) -> Order:
    """The order after finance was asked to pay `amount` back."""
    refunded = order.refunded + amount
    whole = refunded >= max(order.paid, order.total if order.payment_status is PaymentStatus.COD_COLLECTED else 0)
    status = PaymentStatus.REFUNDED if whole else PaymentStatus.PARTIALLY_REFUNDED
    return replace(order, refunded=refunded, payment_status=status)
