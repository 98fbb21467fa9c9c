"""A buyer is forgotten: their address goes from the work on an order that is over (X4)."""

from services.warehouse.desk import Wants, WarehouseDesk
from shared.events.orders import PersonalErased
from shared.replacing import replace


def work(event: PersonalErased, desk: WarehouseDesk) -> Wants:
    """The work on the order, if there ever was any."""
    yield desk.fulfillments.want(event.order_id)


def erase(event: PersonalErased, desk: WarehouseDesk) -> None:
    """No label is printed with it any more."""
    found = desk.fulfillments.get(event.order_id)
    if found is not None:
        desk.fulfillments.put(replace(found, personal=None))
