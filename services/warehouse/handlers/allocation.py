"""Released orders get their stock, or wait for it in turn; canceled ones give it back (W2, W6, O10)."""

from dataclasses import replace

from services.warehouse.desk import Wants, WarehouseDesk
from services.warehouse.domain.fulfillment import FULFILLMENT, Fulfillment, FulfillmentState, opened
from services.warehouse.domain.shipment import SHIPMENT, ShipmentState
from services.warehouse.domain.stock import MoveKind, Reserved, Short, reserve
from services.warehouse.tables import Backorder
from shared.events.orders import CancelRequested, OrderReleased
from shared.events.warehouse import (
    FulfillmentAllocated,
    FulfillmentBackordered,
    FulfillmentCanceled,
    FulfillmentCancelRefused,
    FulfillmentRefusal,
    FulfillmentRefused,
)
from shared.runtime.messages import Timer
from shared.values import PaymentMethod, SkuQuantity


class Reallocate(Timer, name="warehouse.reallocate"):
    """Stock of a SKU came free: serve the orders that wait for it, oldest first. Due at once."""

    sku: str


def allocate(event: OrderReleased, desk: WarehouseDesk) -> None:
    """Take a release: refuse what no courier reaches, reserve every line, or put the order on backorder (W2, W6)."""
    known = desk.fulfillments.get(event.order_id)
    if known is not None:
        FULFILLMENT.next(known.state, OrderReleased)
    address = event.personal.address if event.personal else None
    cod = event.payment_method is PaymentMethod.COD
    if address is None or desk.couriers.choose(address, event.delivery_method, cod=cod) is None:
        desk.publish(
            FulfillmentRefused(
                order_id=event.order_id,
                reason=FulfillmentRefusal.UNREACHABLE_ADDRESS,
                detail=f"no courier delivers by {event.delivery_method}{' with COD' if cod else ''} to this address",
            )
        )
        return
    serve(opened(event, desk.now), desk)


def serve(work: Fulfillment, desk: WarehouseDesk) -> bool:
    """Reserve all that an order wants, or let it wait; True when it was reserved."""
    wanted = work.wanted()
    levels = {sku: desk.level(sku) for sku in wanted}
    match reserve(levels, wanted, work.order_id, str(desk.actor), desk.now):
        case Reserved(_, moves):
            desk.move(*moves)
            after = FULFILLMENT.next(work.state, FulfillmentAllocated)
            assert after is not None
            desk.fulfillments.put(replace(work, state=after))
            lines = tuple(SkuQuantity(sku=sku, quantity=n) for sku, n in wanted.items())
            desk.publish(FulfillmentAllocated(order_id=work.order_id, lines=lines))
            return True
        case Short(missing):
            if work.state is not FulfillmentState.BACKORDERED:
                desk.fulfillments.put(replace(work, state=FulfillmentState.BACKORDERED))
                for sku in sorted(wanted):
                    desk.backorders.put(
                        Backorder(f"{work.order_id}/{sku}", sku, work.order_id, work.released_at)
                    )
                event = FulfillmentBackordered(order_id=work.order_id, missing=missing, expected_at=None)
                desk.publish(event)
            return False


def waiting_for(timer: Reallocate, desk: WarehouseDesk) -> Wants:
    """The level first: it rules who waits; then those who wait, their orders, and all stock that these want."""
    yield desk.levels.want(timer.sku)
    yield desk.backorders.want_group("sku", timer.sku)
    ids = [b.order_id for b in desk.backorders.group("sku", timer.sku)]
    yield desk.fulfillments.want(*ids)
    works = [w for i in ids if (w := desk.fulfillments.get(i)) is not None]
    yield (
        desk.levels.want(*sorted({sku for w in works for sku in w.wanted()})),
        desk.backorders.want(*(f"{w.order_id}/{sku}" for w in works for sku in w.wanted())),
    )


def reallocate(timer: Reallocate, desk: WarehouseDesk) -> None:
    """First come, first served: the oldest waiting orders that can be served whole (W2)."""
    served = 0
    for waiting in desk.backorders.group("sku", timer.sku):
        if desk.level(timer.sku).available == 0:
            return
        work = desk.fulfillments[waiting.order_id]
        if work.state is FulfillmentState.BACKORDERED and serve(work, desk):
            served += 1
            stop_waiting(work, desk)
    if served and desk.backorders.more("sku", timer.sku):
        desk.timers.set(timer, desk.now)


def stop_waiting(work: Fulfillment, desk: WarehouseDesk) -> None:
    """Take an order off the waiting lists of its SKUs."""
    for sku in work.wanted():
        if desk.backorders.get(f"{work.order_id}/{sku}") is not None:
            desk.backorders.remove(f"{work.order_id}/{sku}")


def cancel(event: CancelRequested, desk: WarehouseDesk) -> None:
    """Put everything back, or say that the parcel has left (O10)."""
    work = desk.fulfillments.get(event.order_id)
    if work is None:  # the release was refused; nothing was begun
        return
    after = FULFILLMENT.next(work.state, CancelRequested)
    if work.state is FulfillmentState.SHIPPED or work.left:
        desk.publish(
            FulfillmentCancelRefused(order_id=event.order_id, reason="the parcel has left the warehouse")
        )
        return
    if after is None:
        return
    if work.state is FulfillmentState.BACKORDERED:
        stop_waiting(work, desk)
    else:
        give_back(work, desk)
    for shipment_id in work.shipments:
        if (shipment := desk.shipments.get(shipment_id)) is not None:
            state = SHIPMENT.next(shipment.state, CancelRequested) or ShipmentState.CANCELED
            desk.shipments.put(replace(shipment, state=state))
    desk.fulfillments.put(replace(work, state=after))
    desk.publish(FulfillmentCanceled(order_id=event.order_id))


def give_back(work: Fulfillment, desk: WarehouseDesk) -> None:
    """Picked pieces go back to their shelves, reserved ones to whoever comes next."""
    for pick in work.picks:
        desk.move(desk.entry(pick.sku, MoveKind.PUT_BACK, pick.quantity, pick.location, work.order_id))
    for sku, quantity in work.wanted().items():
        desk.move(desk.entry(sku, MoveKind.RELEASED, quantity, "", work.order_id))
        desk.timers.set(Reallocate(sku=sku), desk.now)
