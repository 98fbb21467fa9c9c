"""Pieces of an order that turn out unfit leave the books; it goes on with others, or waits again (W1, W3, W4)."""

from collections import Counter

from services.warehouse.desk import WarehouseDesk
from services.warehouse.domain.fulfillment import Fulfillment, Pick, take_off
from services.warehouse.domain.stock import Move, MoveKind, shelves_for
from services.warehouse.handlers.allocation import fall_short
from shared.events.inbox import PickScanned
from shared.events.warehouse import CheckDifference, Difference, StockScrapped
from shared.goods import by_sku
from shared.replacing import replace
from shared.runtime.messages import Refused

NONE_LEFT = (
    "none is left in its place: put the good pieces back, set broken ones aside, and take the next order"
)
"""What comes after pieces of an order were lost and it waits for stock again."""


def scrap_damaged(event: PickScanned, work: Fulfillment, sku: str, desk: WarehouseDesk) -> Fulfillment | None:
    """Log and scrap what was found damaged; the order as it waits again when nothing is left in its place, else None."""
    if not event.damaged:
        return None
    level = desk.level(sku)
    shelves = {event.location: event.damaged} if event.location else shelves_for(level, event.damaged)
    if (booked := sum(shelves.values())) < event.damaged:
        detail = f"the books have only {booked} of {sku} on the shelves; book in what they lack with a stock scan first"
        raise Refused("not_on_shelf", detail, field="damaged")
    if (ours := level.available + work.wanted()[sku]) < event.damaged:
        detail = f"{ours} of {sku} are not another order's: scan so many as damaged now, and the rest when that is picked"
        raise Refused("not_on_shelf", detail, field="damaged")
    reason = "found damaged while picking"
    scrapped = [
        desk.entry(sku, MoveKind.SCRAPPED, n, place, work.order_id, reason) for place, n in shelves.items()
    ]
    desk.publish(StockScrapped(sku=sku, quantity=event.damaged, reason=reason))
    if level.available < event.damaged:
        return fall_short(work, desk, *scrapped)
    desk.move(*scrapped)
    return None


def back(picks: tuple[Pick, ...]) -> dict[str, object]:
    """What a picker is told of an order that waits for stock again: the good pieces of it go back to where they came from."""
    shelves: dict[str, Counter[str]] = {}
    for pick in picks:
        shelves.setdefault(pick.sku, Counter())[pick.location] += pick.quantity
    return {"put_back": shelves, "hint": NONE_LEFT}


def put_back(
    work: Fulfillment, found: tuple[CheckDifference, ...], desk: WarehouseDesk
) -> tuple[Fulfillment, tuple[Pick, ...]]:
    """What the check found short or damaged is to be picked again; damaged pieces are scrapped.

    When no others are left in their place the order waits for stock again. With it come the good picks in the tote.
    """
    had, reason = work, "found damaged by the checker"
    scrapped: list[Move] = []
    for one in found:
        if one.difference not in (Difference.TOO_FEW, Difference.DAMAGED):
            continue  # surplus goods go back to the shelf; the ledger never had them off it
        stay, gone = take_off(work.picks, one.sku, one.quantity)
        work = replace(work, picks=stay)
        if one.difference is Difference.DAMAGED and gone:
            scrapped += [
                desk.entry(one.sku, MoveKind.SCRAPPED, pick.quantity, pick.location, work.order_id, reason)
                for pick in gone
            ]
            quantity = sum(pick.quantity for pick in gone)
            desk.publish(StockScrapped(sku=one.sku, quantity=quantity, reason=reason))
    if any(desk.level(sku).available < n for sku, n in by_sku(scrapped).items()):
        return fall_short(had, desk, *scrapped), work.picks
    for pick in _gone(had.picks, work.picks):
        desk.move(desk.entry(pick.sku, MoveKind.PUT_BACK, pick.quantity, pick.location, work.order_id))
    desk.move(*scrapped)
    return work, work.picks


def _gone(before: tuple[Pick, ...], after: tuple[Pick, ...]) -> list[Pick]:
    """The picks of which there is less now, with how much less."""
    rest: Counter[tuple[str, str]] = Counter()
    for pick in before:
        rest[pick.sku, pick.location] += pick.quantity
    for pick in after:
        rest[pick.sku, pick.location] -= pick.quantity
    return [Pick(sku, place, n) for (sku, place), n in rest.items() if n]
