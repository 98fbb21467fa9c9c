"""Holds, audit and release: an order reaches the warehouse only when its money is right and nothing stands against it (O7)."""

from typing import Any

from pydantic import Field

from services.orders.desk import OrdersDesk
from services.orders.domain.order import ORDER, Fulfillment, Order
from services.orders.domain.payment import status_of
from services.orders.handlers.promises import UnpaidDue, say_paid, watch
from shared.events.orders import (
    AddressConfirmationRequested,
    Hold,
    HoldLifted,
    HoldPlaced,
    HoldRule,
    OrderApproved,
    OrderReleased,
)
from shared.replacing import replace
from shared.runtime.messages import Command, Refused, Timer
from shared.values import Money, Reason, Role, Time


class PlaceHold(Command):
    """Somebody stops an order, for a reason."""

    order_id: str
    hold: Hold
    reason: Reason


class LiftHold(Command):
    """Whoever may lift a hold says that it no longer stands."""

    order_id: str
    hold: Hold
    reason: Reason
    seen: Time | None = Field(
        None,
        description="`placed_at` of the hold on the screen: where it was placed anew by now, none is lifted.",
    )


class ConfirmationDue(Timer, name="orders.confirmation_due"):
    """Nobody confirmed the address in time (O6)."""

    order_id: str


BY_HAND = (Hold.CUSTOMER_REQUEST, Hold.AWAITING_AUDIT, Hold.OUT_OF_STOCK, Hold.DUPLICATE_SUSPECTED)
"""Holds that people place; the others follow from facts."""

NEEDS_BACK_OFFICE = (Hold.PAYMENT_ANOMALY, Hold.AWAITING_AUDIT)
"""Holds that an ordinary agent may not lift."""

NOT_BY_HAND = {
    Hold.CANCEL_PENDING: "the warehouse's answer to the cancel lifts this hold",
    Hold.ADDRESS_UNCONFIRMED: "confirm the address; that lifts this hold",
    Hold.COD_UNCONFIRMED: "confirm the address with cod_accepted; that lifts this hold",
}
"""Holds that something else lifts, and what."""


def put_on_hold(
    order: Order, hold: Hold, reason: str, desk: OrdersDesk, rule: HoldRule | None = None, **more: Any
) -> Order:
    """Place a hold and say so, with `more` of the event's fields; nothing happens when it stands already."""
    if order.has(hold):
        return order
    desk.publish(HoldPlaced(order_id=order.order_id, hold=hold, reason=reason, rule=rule, **more))
    return order.with_hold(hold, reason, desk.actor, desk.now, rule)


def lift(order: Order, hold: Hold, reason: str, desk: OrdersDesk) -> Order:
    """Lift a hold and say so; nothing happens when it does not stand."""
    if not order.has(hold):
        return order
    desk.publish(HoldLifted(order_id=order.order_id, hold=hold, reason=reason))
    return order.without_hold(hold, desk.actor, desk.now)


def advance(order: Order, desk: OrdersDesk) -> Order:
    """Keep the order, and take it to the next step that its state allows: ask for confirmation, or release."""
    if order.money_is_right and not order.closed and not order.confirmation_asked:
        order = ask_for_confirmation(order, desk)
    if order.ready():
        after = ORDER.next(order.status, OrderApproved)
        assert after is not None
        order = replace(order, status=after, released=True, fulfillment=Fulfillment.RELEASED)
        desk.publish(OrderApproved(order_id=order.order_id), released(order))
    desk.orders.put(order)
    return order


def ask_for_confirmation(order: Order, desk: OrdersDesk) -> Order:
    """Have the buyer asked once to confirm the address (and for COD the fee), with a deadline for the answer (O6)."""
    if not order.awaits_word:
        return order
    answer_by = desk.now + desk.policy.confirm_within
    desk.timers.set(ConfirmationDue(order_id=order.order_id), answer_by)
    desk.publish(
        AddressConfirmationRequested(
            order_id=order.order_id,
            answer_by=answer_by,
            cod=order.is_cod,
            unreachable=order.has(Hold.UNREACHABLE_ADDRESS),
            delivery_method=order.delivery_method,
            to_pay=Money(amount=order.due, currency=order.currency) if order.is_cod else None,
            personal=order.personal,
        )
    )
    return replace(order, confirmation_asked=True, answer_by=answer_by)


def released(order: Order) -> OrderReleased:
    """The order as the warehouse gets it."""
    return OrderReleased(
        order_id=order.order_id,
        external_number=order.external_number,
        source=order.source,
        placed_at=order.placed_at,
        lines=order.lines,
        currency=order.currency,
        payment_method=order.payment_method,
        cod_due=order.total if order.is_cod else 0,
        delivery_method=order.delivery_method,
        ship_by=order.ship_by,
        deliver_by=order.deliver_by,
        remark=order.remark,
        locale=order.locale,
        personal=order.personal,
    )


def place_hold(command: PlaceHold, desk: OrdersDesk) -> dict[str, object]:
    """A person stops an order that has not gone to the warehouse yet (O7)."""
    order = desk.known(command.order_id)
    if command.hold not in BY_HAND:
        raise Refused("hold_not_by_hand", f"place one of {', '.join(BY_HAND)}", field="hold")
    _open(order)
    if order.released:
        raise Refused("already_released", "the warehouse has the order; cancel it instead")
    if order.holds_otherwise(command.hold, command.reason):
        raise Refused(
            "hold_stands", f"the hold {command.hold} stands already; its reason is shown with the order"
        )
    order = put_on_hold(order, command.hold, command.reason, desk)
    desk.orders.put(order)
    return {"holds": order.standing()}


def lift_hold(command: LiftHold, desk: OrdersDesk) -> dict[str, object]:
    """Lift a hold; the order is released when it was the last (O7). Money is settled also after the order's end (O3)."""
    order = desk.known(command.order_id)
    if command.hold is not Hold.PAYMENT_ANOMALY:
        _open(order)
    if not order.has(command.hold):
        raise Refused("no_such_hold", f"the hold {command.hold} does not stand", field="hold")
    if command.hold in NOT_BY_HAND:
        raise Refused("hold_not_by_hand", NOT_BY_HAND[command.hold], field="hold")
    if command.hold in NEEDS_BACK_OFFICE and not desk.actor.role.includes(Role.BACK_OFFICE):
        raise Refused(
            "role_too_low", f"{command.hold} is lifted by the back office", field="hold", status=403
        )
    if command.seen not in (None, order.stands_since(command.hold)):
        detail = f"{command.hold} was lifted and placed anew since it was read; read the order again"
        raise Refused("hold_changed", detail, field="seen")
    order = lift(order, command.hold, command.reason, desk)
    if command.hold is Hold.PAYMENT_ANOMALY:
        order = _count_money_anew(order, desk)
    order = advance(order, desk)
    return {"holds": order.standing(), "status": order.status}


def _count_money_anew(order: Order, desk: OrdersDesk) -> Order:
    """What was odd is paid back or accepted; what counts decides how the order goes on, with time left to pay the rest."""
    order = replace(order, payment_status=status_of(order))
    if order.closed or order.is_cod:
        return order
    if order.awaits_payment:
        desk.timers.set(UnpaidDue(order_id=order.order_id), desk.now + desk.policy.unpaid_expires_after)
        return order
    order = say_paid(order, desk)
    watch(order, desk)
    return order


def _open(order: Order) -> None:
    if order.closed:
        raise Refused("order_closed", f"the order is {order.status}; nothing about it can be changed")
