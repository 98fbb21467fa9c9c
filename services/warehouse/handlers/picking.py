"""Picking by scan, and the check by a second person (W3, W4)."""

from dataclasses import replace

from services.warehouse.desk import WarehouseDesk
from services.warehouse.domain.fulfillment import (
    Fulfillment,
    FulfillmentState,
    Pick,
    count,
    differences,
    take_off,
)
from services.warehouse.domain.stock import MoveKind, shelf_for
from services.warehouse.handlers.allocation import Reallocate
from services.warehouse.handlers.scanning import judge_time, step
from shared.events.inbox import (
    CheckFinishScanned,
    CheckScanned,
    CheckStartScanned,
    PickScanned,
    PickStartScanned,
)
from shared.events.warehouse import (
    CheckDifference,
    Difference,
    FulfillmentChecked,
    FulfillmentCheckFailed,
    FulfillmentPicked,
    FulfillmentPickStarted,
    StockScrapped,
)
from shared.runtime.messages import Refused


def start_pick(event: PickStartScanned, desk: WarehouseDesk) -> dict[str, object]:
    """A picker takes the order and is shown what to fetch where (W3)."""
    picker = desk.scanner()
    judge_time(event.scanned_at, desk)
    work = desk.work(event.order_id)
    if work.state is FulfillmentState.PICKING:
        _own(work, picker)
        return _todo(work, desk)
    after = step(work, PickStartScanned)
    work = replace(work, state=after, picker=picker, round_began=event.scanned_at)
    desk.fulfillments.put(work)
    desk.publish(FulfillmentPickStarted(order_id=work.order_id, picker=picker))
    return _todo(work, desk)


def pick(event: PickScanned, desk: WarehouseDesk) -> dict[str, object]:
    """Pieces off the shelf: the wrong item and one too many are refused at once; damaged ones are logged and scrapped (W3)."""
    picker = desk.scanner()
    judge_time(event.scanned_at, desk)
    work = desk.work(event.order_id)
    step(work, PickScanned)
    _own(work, picker)
    if work.round_began is not None and event.scanned_at < work.round_began:
        raise Refused("old_scan", "this scan is from before the order went back to picking; scan again")
    sku = desk.sku_of(event.barcode)
    left = work.left_to_pick()
    if sku not in work.wanted():
        raise Refused("wrong_item", f"{sku} is not in this order; put it back", field="barcode")
    if event.quantity > left.get(sku, 0):
        detail = f"{left.get(sku, 0)} of {sku} are left to pick, not {event.quantity}; put the rest back"
        raise Refused("too_many", detail, field="quantity")
    _scrap_damaged(event, sku, desk)
    location = shelf_for(desk.level(sku), event.quantity)
    if location is None:
        detail = f"no shelf holds {event.quantity} of {sku}; scan what each shelf has, or count the stock"
        raise Refused("not_on_shelf", detail, field="quantity")
    desk.move(desk.entry(sku, MoveKind.PICKED, event.quantity, location, work.order_id))
    work = replace(work, picks=(*work.picks, Pick(sku, location, event.quantity)))
    if not work.left_to_pick():
        work = replace(work, state=step(work, FulfillmentPicked))
        desk.publish(FulfillmentPicked(order_id=work.order_id, picker=picker))
    desk.fulfillments.put(work)
    return {"sku": sku, "left": work.left_to_pick(), "state": work.state}


def _scrap_damaged(event: PickScanned, sku: str, desk: WarehouseDesk) -> None:
    if not event.damaged:
        return
    level = desk.level(sku)
    location = shelf_for(level, event.damaged)
    if location is None or level.available < event.damaged:
        detail = f"{event.damaged} damaged of {sku} cannot be replaced from stock; tell the shift leader"
        raise Refused("no_replacement", detail, field="damaged")
    reason = "found damaged while picking"
    desk.move(desk.entry(sku, MoveKind.SCRAPPED, event.damaged, location, event.order_id, reason))
    desk.publish(StockScrapped(sku=sku, quantity=event.damaged, reason=reason))


def start_check(event: CheckStartScanned, desk: WarehouseDesk) -> dict[str, object]:
    """A second person begins to verify; the picker is refused (W4)."""
    checker = desk.scanner()
    judge_time(event.scanned_at, desk)
    work = desk.work(event.order_id)
    if work.picker == checker:
        raise Refused("same_person", "whoever picked the order may not check it; ask a colleague")
    if work.state is FulfillmentState.CHECKING:
        _own_check(work, checker)
        return {"counted": {c.sku: c.good for c in work.counted}}
    work = replace(work, state=step(work, CheckStartScanned), checker=checker, counted=())
    desk.fulfillments.put(work)
    return {"counted": {}}


def check(event: CheckScanned, desk: WarehouseDesk) -> dict[str, object]:
    """Count what is in the tote, whatever it is (W4); what was ordered is not shown, so that it is really counted."""
    checker = desk.scanner()
    judge_time(event.scanned_at, desk)
    work = desk.work(event.order_id)
    if work.state is not FulfillmentState.CHECKING:
        step(work, CheckFinishScanned)
    _own_check(work, checker)
    sku = desk.sku_of(event.barcode)
    work = count(work, sku, event.quantity, damaged=event.damaged)
    desk.fulfillments.put(work)
    return {"sku": sku, "counted": {c.sku: c.good for c in work.counted}}


def finish_check(event: CheckFinishScanned, desk: WarehouseDesk) -> dict[str, object]:
    """Compare what was counted with the order: right, or back to picking with the difference stated (W4)."""
    checker = desk.scanner()
    judge_time(event.scanned_at, desk)
    work = desk.work(event.order_id)
    after = step(work, CheckFinishScanned)
    _own_check(work, checker)
    found = differences(work)
    if not found:
        desk.fulfillments.put(replace(work, state=after))
        desk.publish(FulfillmentChecked(order_id=work.order_id, picker=work.picker or "", checker=checker))
        return {"state": after, "differences": []}
    after = step(work, FulfillmentCheckFailed)
    work = replace(work, state=after, checker=None, counted=(), round_began=event.scanned_at)
    desk.fulfillments.put(_put_back(work, found, desk))
    desk.publish(FulfillmentCheckFailed(order_id=work.order_id, checker=checker, differences=found))
    return {"state": after, "differences": [d.model_dump(mode="json") for d in found]}


def _put_back(work: Fulfillment, found: tuple[CheckDifference, ...], desk: WarehouseDesk) -> Fulfillment:
    """What the check found short or damaged is to be picked again; damaged pieces are scrapped and reserved anew."""
    for one in found:
        if one.difference not in (Difference.TOO_FEW, Difference.DAMAGED):
            continue  # surplus goods go back to the shelf; the ledger never had them off it
        stay, gone = take_off(work.picks, one.sku, one.quantity)
        work = replace(work, picks=stay)
        for pick in gone:
            desk.move(desk.entry(one.sku, MoveKind.PUT_BACK, pick.quantity, pick.location, work.order_id))
            if one.difference is Difference.DAMAGED and desk.level(one.sku).available >= pick.quantity:
                reason = "found damaged by the checker"
                desk.move(
                    desk.entry(
                        one.sku, MoveKind.SCRAPPED, pick.quantity, pick.location, work.order_id, reason
                    )
                )
                desk.publish(StockScrapped(sku=one.sku, quantity=pick.quantity, reason=reason))
                desk.timers.set(Reallocate(sku=one.sku), desk.now)
    return work


def _own(work: Fulfillment, picker: str) -> None:
    if work.picker != picker:
        raise Refused("not_yours", f"{work.picker} is picking this order")


def _own_check(work: Fulfillment, checker: str) -> None:
    if work.checker != checker:
        raise Refused("not_yours", f"{work.checker} is checking this order")


def _todo(work: Fulfillment, desk: WarehouseDesk) -> dict[str, object]:
    shelves = {sku: shelf_for(desk.level(sku), n) for sku, n in work.left_to_pick().items()}
    return {"left": work.left_to_pick(), "shelves": shelves, "remark": work.remark}
