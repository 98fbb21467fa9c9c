"""The returns dock: receive, inspect, back on the shelf or scrapped (W8)."""

from typing import Any

from services.warehouse.desk import Wants, WarehouseDesk, named_in, possible_skus
from services.warehouse.domain.dock import DOCK, RETURNS, DockReturn, DockState
from services.warehouse.domain.stock import MoveKind
from services.warehouse.handlers.allocation import offer
from services.warehouse.handlers.scanning import judge_time
from shared.events.aftersales import ReturnAuthorized
from shared.events.inbox import DockLine, ReturnInspectedScanned, ReturnReceivedScanned, ScannedLine
from shared.events.warehouse import Condition, InspectedLine, ReturnInspected, ReturnReceived, StockScrapped
from shared.goods import by_sku
from shared.lifecycle import NotAllowed
from shared.replacing import replace
from shared.runtime.messages import Refused


def case(message: Any, desk: WarehouseDesk) -> Wants:
    """What is expected for a case, and the stock of what came."""
    lines: tuple[ScannedLine, ...] = getattr(message, "lines", ())
    yield desk.dock.want(message.case_id), named_in(lines, desk)
    skus = sorted({sku for line in lines for sku in possible_skus(line.sku, desk)})
    yield desk.levels.want(*skus), desk.skus.want(*skus)


def expect(event: ReturnAuthorized, desk: WarehouseDesk) -> None:
    """After-sales lets goods come back: the dock expects them."""
    known = desk.dock.get(event.case_id)
    if known is not None and DOCK.next(known.state, ReturnAuthorized) is None:
        return
    desk.dock.put(DockReturn(event.case_id, event.order_id, DockState.EXPECTED, event.lines, event.return_by))


def receive(event: ReturnReceivedScanned, desk: WarehouseDesk) -> dict[str, object]:
    """Returned goods arrived."""
    judge_time(event.scanned_at, desk)
    back = _expected(event.case_id, desk)
    back = replace(back, state=_step(back, ReturnReceivedScanned), received_at=event.scanned_at)
    desk.dock.put(back)
    came = ReturnReceived(order_id=back.order_id, case_id=back.case_id, received_at=event.scanned_at)
    desk.publish(came)
    return {"expected": [line.model_dump() for line in back.lines]}


def inspect(event: ReturnInspectedScanned, desk: WarehouseDesk) -> dict[str, object]:
    """Returned goods were looked at: as new goes back on the shelf, damaged and wrong goods are scrapped.

    A wrong item that never was ours is told of and not booked: shops would delist what they do not sell.
    """
    judge_time(event.scanned_at, desk)
    back = _expected(event.case_id, desk)
    state = _step(back, ReturnInspectedScanned)
    seen = desk.named(event.lines)
    _adds_up(seen, back)
    lines = []
    for line in seen:
        restocked = line.condition is Condition.AS_NEW
        came = desk.entry(line.sku, MoveKind.RETURNED, line.quantity, RETURNS, back.order_id, line.condition)
        if restocked:
            desk.move(came)
        elif line.condition is not Condition.MISSING and not _foreign(line, desk):
            reason = f"returned {line.condition}"
            desk.move(
                came, desk.entry(line.sku, MoveKind.SCRAPPED, line.quantity, RETURNS, back.order_id, reason)
            )
            desk.publish(StockScrapped(sku=line.sku, quantity=line.quantity, reason=reason))
        if restocked:
            offer(line.sku, desk)
        found = InspectedLine(
            sku=line.sku, quantity=line.quantity, condition=line.condition, restocked=restocked
        )
        lines.append(found)
    desk.dock.put(replace(back, state=state))
    desk.publish(ReturnInspected(order_id=back.order_id, case_id=back.case_id, lines=tuple(lines)))
    return {"state": state}


def _foreign(line: DockLine, desk: WarehouseDesk) -> bool:
    """True for a wrong item that nobody ever received, wanted or registered here."""
    wrong = line.condition is Condition.WRONG_ITEM
    return wrong and desk.levels.get(line.sku) is None and desk.skus.get(line.sku) is None


def _expected(case_id: str, desk: WarehouseDesk) -> DockReturn:
    back = desk.dock.get(case_id)
    if back is None:
        detail = (
            "no return is expected under this case; set the parcel aside and ask after-sales for its case"
        )
        raise Refused("unexpected_return", detail, field="case_id", status=404)
    return back


def _step(back: DockReturn, event: type) -> DockState:
    try:
        state = DOCK.next(back.state, event)
    except NotAllowed:
        hint = {DockState.EXPECTED: "scan its arrival first", DockState.RECEIVED: "it was received before",
                DockState.INSPECTED: "it was inspected before; other parcels of the order come under a case of their own",
                }[back.state]  # fmt: skip
        raise Refused("not_now", f"the return is {back.state}: {hint}") from None
    assert state is not None
    return state


BEYOND = "leave it out here, book it in with a stock scan or put it aside, and tell after-sales"


def _adds_up(seen: tuple[DockLine, ...], back: DockReturn) -> None:
    """Every expected piece is accounted for; a wrong item stands for the piece that it came instead of."""
    expected, named = by_sku(back.lines), by_sku(seen)
    left = expected.copy()
    for place, line in enumerate(seen):
        sku = line.sku
        if sku not in expected and line.condition is not Condition.WRONG_ITEM:
            detail = f"{sku} is not part of this return: name it wrong_item if it came instead of a piece; else {BEYOND}"
            raise Refused("not_expected", detail, field=f"lines.{place}")
        if sku in expected:
            left[sku] -= line.quantity
        if left[sku] < 0:
            detail = (
                f"{expected[sku]} of {sku} are expected, and {named[sku]} named here, missing ones included; "
                f"what came beyond: {BEYOND}"
            )
            raise Refused("does_not_add_up", detail, field=f"lines.{place}")
    absent = left.total()
    for place, line in enumerate(seen):
        if line.sku in expected:
            continue
        if line.quantity > absent:
            detail = (
                f"{line.quantity} of {line.sku} are named wrong_item, and {absent} expected pieces are left that they can have "
                f"come instead of; what came beyond: {BEYOND}"
            )
            raise Refused("does_not_add_up", detail, field=f"lines.{place}")
        absent -= line.quantity
    if absent:
        sku = next(sku for sku, pieces in left.items() if pieces)
        detail = (
            f"{expected[sku]} of {sku} are expected, and {named[sku]} named here: name what did not come as missing, and what "
            "came instead of it as wrong_item"
        )
        places = [f"lines.{place}" for place, line in enumerate(seen) if line.sku == sku]
        raise Refused("does_not_add_up", detail, field=places[-1] if places else "lines")
