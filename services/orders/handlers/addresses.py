"""Address confirmation: after payment the buyer confirms or corrects, or a supervisor is told (O6)."""

from pydantic import Field

from services.orders.desk import OrdersDesk
from services.orders.domain.order import Order
from services.orders.handlers.release import ConfirmationDue, advance, lift
from shared.events.inbox import AddressAnswered
from shared.events.orders import AddressConfirmed, Hold, OrderEscalated, Overdue
from shared.replacing import replace
from shared.runtime.messages import Command, Refused
from shared.values import DeliveryMethod, Personal


class ConfirmAddress(Command):
    """An agent confirmed the address with the buyer, or corrects it."""

    order_id: str
    cod_accepted: bool = Field(
        False, description="For COD: the buyer agrees to pay on delivery, fee included."
    )
    delivery_method: DeliveryMethod | None = None
    personal: Personal | None = Field(
        None, description="The corrected contact and address; without it they stand."
    )
    seen: Personal | None = Field(
        None, description="Those that were on the screen: where others stand by now, nothing is confirmed."
    )


def answer(event: AddressAnswered, desk: OrdersDesk) -> dict[str, object]:
    """The buyer confirmed or corrected the address."""
    order = desk.named(event)
    return _confirm(order, event, desk)


def confirm(command: ConfirmAddress, desk: OrdersDesk) -> dict[str, object]:
    """An agent confirmed or corrected the address, if it is still the one that they saw."""
    order = desk.known(command.order_id)
    if command.seen not in (None, order.personal):
        detail = "contact or address were changed since they were read; read the order again"
        raise Refused("address_changed", detail, field="seen")
    return _confirm(order, command, desk)


def _confirm(order: Order, said: AddressAnswered | ConfirmAddress, desk: OrdersDesk) -> dict[str, object]:
    if order.closed:
        raise Refused("order_closed", f"the order is {order.status}; nothing about it can be changed")
    corrected = (said.personal or order.personal, said.delivery_method or order.delivery_method) != (
        order.personal,
        order.delivery_method,
    )
    if order.released:
        if corrected:
            raise Refused(
                "already_released", "the warehouse has the order; its address can no longer be corrected here"
            )
        return {"holds": order.standing()}
    if order.is_cod and order.has(Hold.COD_UNCONFIRMED) and not said.cod_accepted:
        raise Refused(
            "cod_not_accepted", "say that the buyer agrees to pay on delivery", field="cod_accepted"
        )
    order = replace(
        order,
        personal=said.personal or order.personal,
        delivery_method=said.delivery_method or order.delivery_method,
    )
    desk.publish(
        AddressConfirmed(
            order_id=order.order_id,
            corrected=corrected,
            delivery_method=order.delivery_method,
            personal=order.personal,
        )
    )
    order = lift(order, Hold.ADDRESS_UNCONFIRMED, "confirmed", desk)
    if said.cod_accepted:
        order = lift(order, Hold.COD_UNCONFIRMED, "the buyer agreed", desk)
    if corrected:
        order = lift(order, Hold.UNREACHABLE_ADDRESS, "the address was corrected", desk)
    if not order.awaits_word:
        desk.timers.cancel(ConfirmationDue(order_id=order.order_id))
    order = advance(order, desk)
    return {"holds": order.standing(), "status": order.status}


def overdue(timer: ConfirmationDue, desk: OrdersDesk) -> None:
    """Tell a supervisor, once, that nobody confirmed the address in time."""
    order = desk.orders.get(timer.order_id)
    if order is None or not order.awaits_word:
        return
    desk.orders.put(replace(order, escalated=(*order.escalated, Overdue.ADDRESS_CONFIRMATION.value)))
    desk.publish(
        OrderEscalated(
            order_id=order.order_id,
            overdue=Overdue.ADDRESS_CONFIRMATION,
            due=order.answer_by or desk.now,
            held_by=order.held_by(),
        )
    )
