"""A parcel leaves the house: handed over by scan, or had by its courier, which proves as much (W7, W11)."""

from datetime import datetime, timedelta

from services.warehouse.desk import WarehouseDesk
from services.warehouse.domain.fulfillment import FulfillmentState
from services.warehouse.domain.shipment import SHIPMENT, Shipment, ShipmentState
from services.warehouse.domain.stock import STAGING, MoveKind
from services.warehouse.handlers.scanning import step
from shared.events.warehouse import (
    CanceledShipmentLeft,
    CodCollected,
    ShipmentDelivered,
    ShipmentReturned,
    ShipmentShipped,
)
from shared.replacing import replace


def leave(shipment: Shipment, desk: WarehouseDesk) -> None:
    """Book a parcel out and say that it left; a courier may report it while others of the order are still packed."""
    work = desk.fulfillments[shipment.order_id]
    for line in shipment.lines:
        desk.move(desk.entry(line.sku, MoveKind.SHIPPED, line.quantity, STAGING, work.order_id))
    work = replace(work, left=(*work.left, shipment.shipment_id))
    last = work.state is FulfillmentState.PACKED and set(work.left) == set(work.shipments)
    if last:
        work = replace(work, state=step(work, ShipmentShipped))
    desk.shipments.put(shipment)
    desk.fulfillments.put(work)
    shipped_at = shipment.shipped_at or desk.now
    desk.publish(
        ShipmentShipped(
            order_id=work.order_id,
            shipment_id=shipment.shipment_id,
            courier=shipment.courier,
            courier_name=desk.couriers.name(shipment.courier),
            tracking_number=shipment.tracking_number,
            delivery_method=work.delivery_method,
            shipped_at=shipped_at,
            expected_at=shipped_at + timedelta(days=shipment.transit_days),
            last=last,
            lines=shipment.lines,
        )
    )


def deliver(shipment: Shipment, at: datetime, cod_collected: int, desk: WarehouseDesk) -> Shipment:
    """The buyer has a parcel (W11)."""
    state = SHIPMENT.next(shipment.state, ShipmentDelivered) or shipment.state
    shipment = replace(shipment, state=state, delivered_at=at)
    desk.shipments.put(shipment)
    work, last = desk.fulfillments[shipment.order_id], all_ended(shipment.order_id, desk)
    arrived = all(desk.shipments[s].state is ShipmentState.DELIVERED for s in work.shipments)
    desk.publish(
        ShipmentDelivered(
            order_id=shipment.order_id,
            shipment_id=shipment.shipment_id,
            delivered_at=at,
            cod_collected=cod_collected,
            last=last,
            lines=shipment.lines,
            whole=last and arrived and work.state is not FulfillmentState.CANCELED,
            delivery_method=work.delivery_method,
        )
    )
    return shipment


def collect(shipment: Shipment, cash: int, at: datetime, desk: WarehouseDesk) -> Shipment:
    """Cash that is told of beside the delivery, often days after it."""
    shipment = replace(shipment, cod_collected=shipment.cod_collected + cash)
    desk.shipments.put(shipment)
    desk.publish(
        CodCollected(
            order_id=shipment.order_id,
            shipment_id=shipment.shipment_id,
            amount=cash,
            collected=shipment.cod_collected,
            reported_at=at,
        )
    )
    return shipment


def bring_back(shipment: Shipment, at: datetime, detail: str, desk: WarehouseDesk) -> Shipment:
    """The courier turns round with a parcel (W11, A1)."""
    shipment = replace(shipment, state=SHIPMENT.next(shipment.state, ShipmentReturned) or shipment.state)
    desk.shipments.put(shipment)
    desk.publish(
        ShipmentReturned(
            order_id=shipment.order_id,
            shipment_id=shipment.shipment_id,
            occurred_at=at,
            detail=detail,
            lines=shipment.lines,
            cod_due=shipment.cod_due,
            last=all_ended(shipment.order_id, desk),
        )
    )
    return shipment


def all_ended(order_id: str, desk: WarehouseDesk) -> bool:
    """True when nothing more of an order is still to reach the buyer: what left has ended its way, the rest stays here."""
    work = desk.fulfillments[order_id]
    under_way = (ShipmentState.READY, ShipmentState.SHIPPED)
    to_pack = work.left_to_pack() if work.state is not FulfillmentState.CANCELED else {}
    return not to_pack and not any(desk.shipments[s].state in under_way for s in work.shipments)


def left_although_canceled(shipment: Shipment, desk: WarehouseDesk) -> Shipment:
    """Say that a canceled parcel is gone, and book its pieces out, which had been booked back to their shelves (W1, W7)."""
    state = SHIPMENT.next(shipment.state, CanceledShipmentLeft)
    assert state is not None
    shipment = replace(shipment, state=state)
    desk.shipments.put(shipment)
    work = desk.fulfillments[shipment.order_id]
    for line in shipment.lines:
        desk.lose(line.sku, line.quantity, shipment.order_id)
    desk.publish(
        CanceledShipmentLeft(
            order_id=shipment.order_id,
            shipment_id=shipment.shipment_id,
            courier=shipment.courier,
            courier_name=desk.couriers.name(shipment.courier),
            tracking_number=shipment.tracking_number,
            lines=shipment.lines,
            left_at=shipment.shipped_at or desk.now,
            canceled_at=shipment.canceled_at,
            delivery_method=work.delivery_method,
            to_pay=work.cash(shipment.cod_due),
            unpacked=work.voided(shipment.shipment_id) and work.state is not FulfillmentState.CANCELED,
        )
    )
    return shipment
