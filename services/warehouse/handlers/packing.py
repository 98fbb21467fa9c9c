"""Packing with courier choice and label, and the hand-over: a parcel leaves once, never for a canceled order (W5, W6, W7)."""

from datetime import datetime

from services.warehouse.desk import Wants, WarehouseDesk, named_in, order_and_stock
from services.warehouse.domain.courier import Courier
from services.warehouse.domain.fulfillment import Fulfillment, FulfillmentState, Pick
from services.warehouse.domain.shipment import SHIPMENT, Shipment, ShipmentState
from services.warehouse.domain.stock import STAGING
from services.warehouse.handlers.leaving import collect, deliver, leave, left_although_canceled
from services.warehouse.handlers.scanning import AHEAD, judge_time, step
from services.warehouse.handlers.tracking import apply_early
from services.warehouse.tables import Label, NumberRange
from shared.events.inbox import HandOverScanned, PackScanned
from shared.events.warehouse import FulfillmentPacked, LabelCreated, ShipmentShipped, TrackingStatus
from shared.goods import as_pieces
from shared.replacing import replace
from shared.runtime.messages import Refused
from shared.values import PaymentMethod, SkuQuantity

TOGETHER = 100
"""Numbers that are looked up together."""


def packing(event: PackScanned, desk: WarehouseDesk) -> Wants:
    """The order, its stock, the courier's number range, and reports that came before the label."""
    if event.lines:
        yield named_in(event.lines, desk)
    yield from order_and_stock(event, desk)
    work = desk.fulfillments.get(event.order_id)
    courier = _courier(work, event.weight_grams, desk) if work else None
    if courier is not None:
        yield desk.number_ranges.want(courier.code)
        numbers = _numbers(courier, desk)
        yield desk.labels.want(*numbers), desk.early_reports.want_group("tracking_number", *numbers)


def _numbers(courier: Courier, desk: WarehouseDesk) -> list[str]:
    """The number that a parcel gets, if any is left. Where an earlier parcel of the turn got one also those behind it, by the
    hundred: the next parcel takes the next number, and looking each of them up would be a round trip for each."""
    first = _next(courier, desk)
    more = courier.code in desk.number_ranges.changed
    last = first + TOGETHER - first % TOGETHER if more else first + 1
    return [courier.number(n) for n in range(first, last) if courier.has(n)]


def pack(event: PackScanned, desk: WarehouseDesk) -> dict[str, object]:
    """Close a parcel: contents from what was checked, courier by address, method, COD and weight, label with its number."""
    packer = desk.actor.name
    judge_time(event.scanned_at, desk)
    work = desk.work(event.order_id)
    step(work, PackScanned)
    if work.unpacked_at is not None and event.scanned_at < work.unpacked_at:
        detail = (
            "this scan is from before the order was unpacked; pack what was checked since, and scan it anew"
        )
        raise Refused("old_scan", detail, field="scanned_at")
    lines = _contents(event, work, desk)
    courier = _courier(work, event.weight_grams, desk)
    if courier is None:
        several = sum(line.quantity for line in lines) > 1
        then = "pack several parcels" if several else "weigh it again; an agent cancels what nobody can bring"
        detail = f"no courier takes {event.weight_grams} g to this address; {then}"
        raise Refused("too_heavy", detail, field="weight_grams")
    if not courier.has(_next(courier, desk)):
        detail = f"{courier.code} has no tracking numbers left; set its next range in the couriers file"
        raise Refused("no_numbers_left", detail)
    number = courier.number(_next(courier, desk))
    desk.number_ranges.put(NumberRange(courier.code, _next(courier, desk) + 1))
    shipment = _parcel(work, event, lines, courier, number, packer, desk.now)
    picks = tuple(Pick(line.sku, STAGING, line.quantity) for line in lines)
    work = replace(work, packed=(*work.packed, *picks), shipments=(*work.shipments, shipment.shipment_id))
    desk.shipments.put(shipment)
    desk.labels.put(Label(number, shipment.shipment_id, work.order_id))
    desk.publish(
        LabelCreated(
            order_id=work.order_id,
            shipment_id=shipment.shipment_id,
            courier=courier.code,
            tracking_number=number,
        )
    )
    if not work.left_to_pack():
        work = replace(work, state=step(work, FulfillmentPacked))
        desk.publish(
            FulfillmentPacked(
                order_id=work.order_id,
                shipments=work.shipments,
                packer=packer,
                delivery_method=work.delivery_method,
                to_pay=work.cash(work.cod_due),
            )
        )
    desk.fulfillments.put(work)
    apply_early(shipment, desk)
    work = desk.fulfillments[work.order_id]
    return {
        "shipment_id": shipment.shipment_id,
        "courier": courier.code,
        "tracking_number": number,
        "left": work.left_to_pack(),
        "state": work.state,
    }


def _contents(event: PackScanned, work: Fulfillment, desk: WarehouseDesk) -> tuple[SkuQuantity, ...]:
    left = work.left_to_pack()
    if not event.lines:
        return as_pieces(left)
    lines = tuple(SkuQuantity(sku=line.sku, quantity=line.quantity) for line in desk.named(event.lines))
    for place, line in enumerate(lines):
        if line.quantity > left.get(line.sku, 0):
            detail = f"{left.get(line.sku, 0)} of {line.sku} are left to pack, not {line.quantity}"
            raise Refused("not_in_order", detail, field=f"lines.{place}")
        left[line.sku] -= line.quantity
    return lines


def _courier(work: Fulfillment, weight: int, desk: WarehouseDesk) -> Courier | None:
    if work.personal is None:
        return None
    cod = work.payment_method is PaymentMethod.COD
    return desk.couriers.choose(work.personal.address, work.delivery_method, cod=cod, weight_grams=weight)


def _next(courier: Courier, desk: WarehouseDesk) -> int:
    """The next of its numbers; never one from before `number_first`, which moves on with a courier's next range, and after a
    restore."""
    known = desk.number_ranges.get(courier.code)
    return max(known.next, courier.number_first) if known else courier.number_first


def _parcel(
    work: Fulfillment,
    event: PackScanned,
    lines: tuple[SkuQuantity, ...],
    courier: Courier,
    number: str,
    packer: str,
    now: datetime,
) -> Shipment:
    """The parcel. Packed when we gave it its number: nobody had a label before, whatever the scanner's clock says."""
    area = courier.area(work.personal.address) if work.personal else None
    days = area.transit_days if area and area.transit_days is not None else courier.transit_days
    return Shipment(
        shipment_id=number,
        order_id=work.order_id,
        state=ShipmentState.READY,
        courier=courier.code,
        tracking_number=number,
        weight_grams=event.weight_grams,
        packer=packer,
        packed_at=now,
        lines=lines,
        cod_due=work.cod_due_with(lines),
        transit_days=days,
    )


def hand_over(event: HandOverScanned, desk: WarehouseDesk) -> dict[str, object]:
    """The parcel leaves the house (W7)."""
    judge_time(event.scanned_at, desk)
    label = desk.labels.get(event.tracking_number)
    if label is None:
        detail = "no parcel has this number; scan the tracking number on its label"
        raise Refused("unknown_parcel", detail, field="tracking_number", status=404)
    shipment, work = desk.shipments[label.shipment_id], desk.fulfillments[label.order_id]
    if event.scanned_at < shipment.packed_at - AHEAD:
        detail = "scanned before the parcel was packed: the device's clock runs behind; set it and scan again"
        raise Refused("old_scan", detail, field="scanned_at")
    if shipment.kept_back:
        return _left_before_the_cancel(event, shipment, work, desk)
    if work.fetched_by_buyer and shipment.state is ShipmentState.SHIPPED:  # brought to another counter first
        return _fetched(event, shipment, desk)
    if not SHIPMENT.allows(shipment.state, ShipmentShipped):
        raise Refused("already_left", "this parcel was handed over before, or its courier reported it")
    if work.state is not FulfillmentState.PACKED:
        raise Refused("not_packed", "not all parcels of the order are packed; finish packing first")
    shipment = replace(shipment, state=ShipmentState.SHIPPED, shipped_at=event.scanned_at)
    leave(shipment, desk)
    if work.fetched_by_buyer:
        return _fetched(event, shipment, desk)
    return _handed_over(shipment)


def _fetched(event: HandOverScanned, shipment: Shipment, desk: WarehouseDesk) -> dict[str, object]:
    """The buyer took it over the counter: that is the delivery, no courier will report one (W7). What is due is paid before."""
    cash = _still_due(shipment)
    shipment = replace(
        shipment, tracking_status=TrackingStatus.DELIVERED, cod_collected=shipment.cod_collected + cash
    )
    return _handed_over(deliver(shipment, event.scanned_at, cash, desk))


def _still_due(shipment: Shipment) -> int:
    return max(shipment.cod_due - shipment.cod_collected, 0)


def _handed_over(shipment: Shipment, hint: str = "") -> dict[str, object]:
    answer: dict[str, object] = {
        "order_id": shipment.order_id,
        "shipment_id": shipment.shipment_id,
        "courier": shipment.courier,
    }
    return answer | ({"hint": hint} if hint else {})


def _left_before_the_cancel(
    event: HandOverScanned, shipment: Shipment, work: Fulfillment, desk: WarehouseDesk
) -> dict[str, object]:
    """A scan made offline before the cancel, that comes after it, says that the parcel is gone (W12). After one made later
    it is still here, and is to stay."""
    what, then = "the order was canceled", "keep the parcel here and unpack it"
    if work.voided(shipment.shipment_id):
        what, then = "this parcel was unpacked", "its label is void"
    if shipment.canceled_at is None or event.scanned_at >= shipment.canceled_at:
        raise Refused("canceled", f"{what}: {then}")
    shipment = left_although_canceled(replace(shipment, shipped_at=event.scanned_at), desk)
    if work.fetched_by_buyer and (cash := _still_due(shipment)):
        collect(shipment, cash, event.scanned_at, desk)
    return _handed_over(shipment, f"{what} meanwhile: have the parcel back if it is still in reach")
