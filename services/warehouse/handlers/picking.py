"""Picking by scan, and the check by a second person (W3, W4)."""

from datetime import datetime

from services.warehouse.desk import WarehouseDesk
from services.warehouse.domain.fulfillment import (
    Fulfillment,
    FulfillmentState,
    Pick,
    count,
    differences,
)
from services.warehouse.domain.stock import Level, MoveKind, shelves_for
from services.warehouse.handlers.scanning import judge_shelf, judge_time, step
from services.warehouse.handlers.writing_off import back, instead, put_back, write_off
from shared.events.inbox import (
    CheckFinishScanned,
    CheckScanned,
    CheckStartScanned,
    PickScanned,
    PickStartScanned,
)
from shared.events.warehouse import (
    Difference,
    FulfillmentChecked,
    FulfillmentCheckFailed,
    FulfillmentPicked,
    FulfillmentPickStarted,
)
from shared.replacing import replace
from shared.runtime.messages import Refused
from shared.values import MAX_PIECES

RIGHT = "put right what differs; then the picker scans the order's code, and picks what is left"
"""What comes after a check that found something."""
BROKEN_TOO_MANY = "a broken piece that is too many is set aside: it is another order's, or not in the books"
"""What comes before that where a piece of what is too many is broken: it does not go back on a shelf."""


def start_pick(event: PickStartScanned, desk: WarehouseDesk) -> dict[str, object]:
    """A picker takes the order and is shown what to fetch where (W3)."""
    picker = desk.actor.name
    judge_time(event.scanned_at, desk)
    work = desk.work(event.order_id)
    if work.state is FulfillmentState.PICKING:
        _own(work, picker)
        if work.round_began is not None and event.scanned_at < work.round_began:
            # A slow clock looks like a scan that comes late. By its own time of this scan, what it scans next is of this round.
            # Should this scan be a late one itself, late picks after it may count too: rare, and the check finds them.
            work = replace(work, round_began=event.scanned_at)
            desk.fulfillments.put(work)
        if not work.left_to_pick():  # the check found only what was too much; that is put back now
            work = _picked(work, picker, desk)
            desk.fulfillments.put(work)
        return _todo(work, desk)
    after = step(work, PickStartScanned)
    work = replace(work, state=after, picker=picker, round_began=_began(event.scanned_at, desk))
    desk.publish(FulfillmentPickStarted(order_id=work.order_id, picker=picker))
    if not work.left_to_pick():  # somebody picked it all before it was taken back
        work = _picked(work, picker, desk)
    desk.fulfillments.put(work)
    return _todo(work, desk)


def pick(event: PickScanned, desk: WarehouseDesk) -> dict[str, object]:
    """Pieces off the shelf: the wrong item and one too many are refused at once; damaged and missing ones
    are logged and leave the books (W3)."""
    picker = desk.actor.name
    judge_time(event.scanned_at, desk)
    work = desk.work(event.order_id)
    step(work, PickScanned)
    _own(work, picker)
    if work.round_began is not None and event.scanned_at < work.round_began:
        detail = "this scan is from before the picking began; scan the order's code, then the goods again"
        raise Refused("old_scan", detail)
    sku = desk.sku_of(event.barcode)
    left = work.left_to_pick()
    if sku not in work.wanted():
        if sku == event.barcode and desk.levels.get(sku) is None:
            detail = f"nobody knows the code {sku}; if these are the right goods, scan their SKU and have it registered"
            raise Refused("unknown_barcode", detail, field="barcode", status=404)
        raise Refused("wrong_item", f"{sku} is not in this order; put it back", field="barcode")
    if not left:
        detail = "nothing is left to pick; put this back and scan the order's code"
        raise Refused("too_many", detail, field="quantity")
    if event.quantity > left.get(sku, 0) or sku not in left:
        found = event.quantity or event.damaged or event.missing
        detail = f"{left.get(sku, 0)} of {sku} are left to pick, not {found}; put the rest back"
        raise Refused("too_many", detail, field="quantity")
    _on_shelf(event, desk.level(sku))
    if (short := write_off(event, work, sku, desk)) is not None:
        return {"sku": sku, "left": short.left_to_pick(), "state": short.state} | back(work.picks)
    if event.quantity:
        shelves = _shelves(desk.level(sku), left[sku], event.quantity, event.location)
        desk.move(
            *(desk.entry(sku, MoveKind.PICKED, n, place, work.order_id) for place, n in shelves.items())
        )
        pickers = tuple(dict.fromkeys((*work.pickers, picker)))
        picks = (Pick(sku, place, n) for place, n in shelves.items())
        work = replace(work, picks=(*work.picks, *picks), pickers=pickers)
        if not work.left_to_pick():
            work = _picked(work, picker, desk)
        desk.fulfillments.put(work)
    left = work.left_to_pick()
    return {"sku": sku, "left": left, "state": work.state} | instead(event, sku, left.get(sku, 0), desk)


def _on_shelf(event: PickScanned, level: Level) -> None:
    """Refuse a shelf that, by the books, does not hold what was taken from it, or is missing there."""
    if event.location is None:
        return
    judge_shelf(event.location)
    taken = event.quantity + event.damaged + event.missing
    if (held := level.locations.get(event.location, 0)) < taken:
        detail = f"the books have {held} of {level.sku} on {event.location}, not {taken}; scan the right one, or only the goods"
        raise Refused("not_on_shelf", detail, field="location")


def _shelves(level: Level, left: int, quantity: int, scanned: str | None) -> dict[str, int]:
    """From where pieces are booked: the shelf that was scanned, or of which the pick list asks just so many, else the fullest
    first."""
    if scanned is not None:
        return {scanned: quantity}
    listed = (place for place, n in shelves_for(level, left).items() if n == quantity)
    place = next(listed, None)
    return {place: quantity} if place is not None else shelves_for(level, quantity)


def _picked(work: Fulfillment, picker: str, desk: WarehouseDesk) -> Fulfillment:
    desk.publish(FulfillmentPicked(order_id=work.order_id, picker=picker))
    return replace(work, state=step(work, FulfillmentPicked))


def start_check(event: CheckStartScanned, desk: WarehouseDesk) -> dict[str, object]:
    """A second person begins to verify; whoever picked is refused (W4)."""
    checker = desk.actor.name
    judge_time(event.scanned_at, desk)
    work = desk.work(event.order_id)
    if checker in work.by_all_who_picked():
        raise Refused("same_person", "whoever picked the order may not check it; ask a colleague")
    if work.state is FulfillmentState.CHECKING:
        _own_check(work, checker)
        if event.anew:
            work = replace(work, counted=(), check_began=_began(event.scanned_at, desk))
        elif work.check_began is not None and event.scanned_at < work.check_began:
            work = replace(work, check_began=event.scanned_at)  # a slow clock, as with the picker's
        desk.fulfillments.put(work)
        return _counted(work)
    began = _began(event.scanned_at, desk)
    after = step(work, CheckStartScanned)
    work = replace(work, state=after, checker=checker, counted=(), check_began=began)
    desk.fulfillments.put(work)
    return _counted(work)


def check(event: CheckScanned, desk: WarehouseDesk) -> dict[str, object]:
    """Count what is in the tote, whatever it is (W4); what was ordered is not shown, so that it is really counted."""
    checker = desk.actor.name
    judge_time(event.scanned_at, desk)
    work = desk.work(event.order_id)
    if work.state is not FulfillmentState.CHECKING:
        step(work, CheckFinishScanned)
    _own_check(work, checker)
    _of_this_count(work, event.scanned_at)
    sku = desk.sku_of(event.barcode)
    if sum(c.good + c.damaged for c in work.counted) + event.quantity > MAX_PIECES:
        raise Refused("too_many", "no order has so many pieces; count again", field="quantity")
    work = count(work, sku, event.quantity, damaged=event.damaged)
    desk.fulfillments.put(work)
    return {"sku": sku} | _counted(work)


def _counted(work: Fulfillment) -> dict[str, object]:
    """What was counted so far, damaged pieces too: whoever does not see theirs scans them again."""
    damaged = {c.sku: c.damaged for c in work.counted if c.damaged}
    return {"counted": {c.sku: c.good for c in work.counted}, "damaged": damaged}


def finish_check(event: CheckFinishScanned, desk: WarehouseDesk) -> dict[str, object]:
    """Compare what was counted with the order: right, or back to picking with the difference stated (W4)."""
    checker = desk.actor.name
    judge_time(event.scanned_at, desk)
    work = desk.work(event.order_id)
    after = step(work, CheckFinishScanned)
    _own_check(work, checker)
    _of_this_count(work, event.scanned_at)
    found = differences(work)
    if not found:
        desk.fulfillments.put(replace(work, state=after))
        desk.publish(FulfillmentChecked(order_id=work.order_id, picker=work.picker or "", checker=checker))
        return {"state": after, "differences": []}
    after = step(work, FulfillmentCheckFailed)
    desk.publish(FulfillmentCheckFailed(order_id=work.order_id, checker=checker, differences=found))
    counted = work.counted
    work = replace(work, state=after, checker=None, counted=(), round_began=_began(event.scanned_at, desk))
    work, good = put_back(work, found, desk)
    desk.fulfillments.put(work)
    answer: dict[str, object] = {
        "state": work.state,
        "differences": [d.model_dump(mode="json") for d in found],
    }
    if work.state is FulfillmentState.BACKORDERED:
        return answer | back(good)
    ours = sum(d.quantity for d in found if d.difference is Difference.DAMAGED)
    aside = sum(c.damaged for c in counted) > ours
    return answer | {"hint": f"{BROKEN_TOO_MANY}; {RIGHT}" if aside else RIGHT}


def _began(scanned_at: datetime, desk: WarehouseDesk) -> datetime:
    """When a round of picking began. Another device may scan in it, so one that runs ahead must not set it later than our own
    time; one scanned offline began when it was scanned, as did the picks after it."""
    return min(scanned_at, desk.now)


def _own(work: Fulfillment, picker: str) -> None:
    if work.picker != picker:
        detail = f"{work.picker} is picking this order; ask them to finish it, or take the next order"
        raise Refused("not_yours", detail)


def _own_check(work: Fulfillment, checker: str) -> None:
    if work.checker != checker:
        detail = f"{work.checker} is checking this order; ask them to finish it, or take the next order"
        raise Refused("not_yours", detail)


def _of_this_count(work: Fulfillment, scanned_at: datetime) -> None:
    if work.check_began is not None and scanned_at < work.check_began:
        detail = (
            "this scan is from before the count began; scan the order's code, then what is in the tote again"
        )
        raise Refused("old_scan", detail)


def _todo(work: Fulfillment, desk: WarehouseDesk) -> dict[str, object]:
    shelves = {sku: shelves_for(desk.level(sku), n) for sku, n in work.left_to_pick().items()}
    return {"left": work.left_to_pick(), "shelves": shelves, "remark": work.remark, "state": work.state}
