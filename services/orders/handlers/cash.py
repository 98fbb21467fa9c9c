"""Cash on delivery: what couriers collect is booked; what is short, late or not due is looked into, not passed over (O3)."""

from services.orders.desk import OrdersDesk
from services.orders.domain.order import Order, Payment, PaymentStatus
from services.orders.domain.payment import collect, status_of
from services.orders.handlers.payments import odd
from shared.events.orders import PaymentAnomaly
from shared.replacing import replace
from shared.runtime.messages import Timer
from shared.values import Money


class CashDue(Timer, name="orders.cash_due"):
    """The courier should have told of the cash by now (O3)."""

    order_id: str


def came(order: Order, shipment_id: str, amount: int, desk: OrdersDesk) -> Order:
    """A courier collected so much more for a parcel."""
    if not amount:
        return order
    if not order.is_cod or order.came_to_nothing:
        anomaly = PaymentAnomaly.AFTER_CLOSING if order.came_to_nothing else PaymentAnomaly.NOT_DUE
        name = f"cod:{shipment_id}:{len(order.payments) + 1}"
        payment = Payment(
            name, 0, order.currency, desk.now, counts=False, anomaly=anomaly.value, excess=amount
        )
        return _odd(replace(order, payments=(*order.payments, payment)), name, anomaly, amount, 0, desk)
    due = max(order.due - order.paid, 0)
    order = collect(order, amount)
    if order.paid_in_full:
        desk.timers.cancel(CashDue(order_id=order.order_id))
    if amount > due + order.cod_rounded:
        return _odd(order, f"cod:{shipment_id}", PaymentAnomaly.OVERPAID, amount, due, desk)
    return order


def waive(order: Order, amount: int) -> Order:
    """So much is not to be collected any more; where it is negative, it is after all."""
    if not amount:
        return order
    order = replace(order, cod_waived=order.cod_waived + amount)
    # what a person is looking into stays so, also when the order is over
    anomalous = order.payment_status is PaymentStatus.ANOMALOUS
    return order if anomalous else replace(order, payment_status=status_of(order))


def less_due(order: Order, amount: int, desk: OrdersDesk) -> Order:
    """So much less is due than before; what a courier took for it all the same is looked into."""
    if not order.is_cod or not amount or order.cod_collected <= order.due + order.cod_rounded:
        return order
    return _odd(order, "cod", PaymentAnomaly.OVERPAID, order.cod_collected, order.due, desk)


def judge(order: Order, desk: OrdersDesk) -> Order:
    """The buyer has everything: less cash than due is told at once, none at all may still be told of for a while."""
    if not order.is_cod or order.came_to_nothing:
        return order
    if order.paid_in_full:
        return order if order.closed else replace(order, payment_status=status_of(order))
    if order.cod_collected:
        return _short(order, desk)
    desk.timers.set(CashDue(order_id=order.order_id), desk.now + desk.policy.cash_within)
    return order


def overdue(timer: CashDue, desk: OrdersDesk) -> None:
    """Nobody told of the cash in time."""
    order = desk.orders.get(timer.order_id)
    if order is not None and order.is_cod and not order.paid_in_full and not order.came_to_nothing:
        desk.orders.put(_short(order, desk))


def _short(order: Order, desk: OrdersDesk) -> Order:
    desk.timers.cancel(CashDue(order_id=order.order_id))
    anomaly = PaymentAnomaly.UNDERPAID_AT_CLOSING
    return _odd(order, "cod", anomaly, order.cod_collected, order.due, desk)


def _odd(
    order: Order, name: str, anomaly: PaymentAnomaly, amount: int, expected: int, desk: OrdersDesk
) -> Order:
    money, why = Money(amount=amount, currency=order.currency), f"cash of the courier is {anomaly}"
    order = odd(order, name, anomaly, money, expected, why, desk)
    return order if order.closed else replace(order, payment_status=status_of(order))
