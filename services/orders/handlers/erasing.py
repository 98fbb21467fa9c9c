"""A buyer wants to be forgotten: contact and address go, what happened stays (X4)."""

from services.orders.desk import OrdersDesk
from shared.events.orders import PersonalErased
from shared.replacing import replace
from shared.runtime.messages import Command, Refused
from shared.values import Reason


class ErasePersonal(Command):
    """An administrator has an order forget who its buyer is, and says why."""

    order_id: str
    reason: Reason


def erase(command: ErasePersonal, desk: OrdersDesk) -> dict[str, object]:
    """Erase contact and address here, and say so to all who have them. Again it changes nothing.

    Only once nothing more is to be done for the buyer: until then somebody has to reach them.
    """
    order = desk.known(command.order_id)
    if order.personal is None:
        return {"erased": True}
    if not order.closed:
        detail = f"the order is {order.status}, and its buyer is still to be reached; cancel it, or wait until it is completed"
        raise Refused("order_open", detail)
    if order.open_cases:
        cases = ", ".join(order.open_cases)
        raise Refused("case_open", f"its buyer is still to be reached about {cases}; settle that first")
    if order.awaits_cash:
        raise Refused(
            "cash_awaited", "its courier has not told of the cash yet; wait until it has, or is overdue"
        )
    if order.came_to_nothing and order.owed_back and not order.kept_cases:
        raise Refused(
            "refund_awaited", "what was paid is still to be paid back; try again once that was asked for"
        )
    if order.standing():
        holds = ", ".join(order.standing())
        raise Refused("held", f"a person still has to look at {holds}; lift that first")
    event = PersonalErased(order_id=order.order_id, reason=command.reason)
    desk.orders.put(replace(order, personal=None, content=""))
    desk.erase(event.stream)
    desk.publish(event)
    return {"erased": True}
