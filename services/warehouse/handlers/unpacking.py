"""The way back from the packing table, before a parcel left: a piece broke, or a label is the wrong courier's (W4, W5)."""

from services.warehouse.desk import Wants, WarehouseDesk
from services.warehouse.domain.fulfillment import FulfillmentState
from services.warehouse.domain.shipment import SHIPMENT
from services.warehouse.handlers.scanning import step
from shared.events.base import stream_name
from shared.events.warehouse import FulfillmentCheckStopped
from shared.replacing import replace
from shared.runtime.messages import Command, Refused
from shared.values import Reason, Role


class Unpack(Command):
    """What is checked, or packed, is put back into the tote: who checked or packed it says so, or the back office."""

    order_id: str
    reason: Reason


def order(command: Unpack, desk: WarehouseDesk) -> Wants:
    """The work on the order and its parcels."""
    yield desk.fulfillments.want(command.order_id)
    work = desk.fulfillments.get(command.order_id)
    yield (
        desk.shipments.want(*(work.shipments if work else ())),
        desk.speaks_on(stream_name(FulfillmentCheckStopped, command.order_id)),
    )


def unpack(command: Unpack, desk: WarehouseDesk) -> dict[str, object]:
    """Void the labels and let a second person check the order again, who finds what is damaged (W4).

    Its pieces stay picked, for they lie in the tote again. A number once given is never given again: what is packed anew gets
    others, and a parcel that is called void stays here like those of a canceled order.
    """
    work = desk.work(command.order_id)
    if work.state not in (FulfillmentState.CHECKED, FulfillmentState.PACKED):
        raise Refused("not_now", f"only what is checked or packed is unpacked: this order is {work.state}")
    if work.left:
        raise Refused(
            "already_left", f"parcel {work.left[0]} of this order has left: send the rest, or cancel it"
        )
    parcels = [desk.shipments[shipment_id] for shipment_id in work.shipments]
    theirs = {work.checker, *(parcel.packer for parcel in parcels)}
    if desk.actor.name not in theirs and not desk.actor.role.includes(Role.BACK_OFFICE):
        detail = "whoever checked or packed this order unpacks it, or the back office does"
        raise Refused("not_yours", detail, status=403)
    for parcel in parcels:
        void = SHIPMENT.next(parcel.state, FulfillmentCheckStopped)
        assert void is not None
        desk.shipments.put(replace(parcel, state=void, canceled_at=desk.now))
    state = step(work, FulfillmentCheckStopped)
    said = FulfillmentCheckStopped(
        order_id=work.order_id, checker=work.checker or "", reason=command.reason, unpacked=work.shipments
    )
    again = replace(work, checker=None, check_began=None, counted=(), packed=(), shipments=())
    desk.fulfillments.put(replace(again, state=state, unpacked_at=desk.now))
    desk.publish(said)
    return {"state": state, "unpacked": list(said.unpacked)}
