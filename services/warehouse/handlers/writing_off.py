"""Pieces of an order that are broken, or not in their place, leave the books: it goes on with others, or waits again (W1, W2,
W3, W4)."""

from collections import Counter

from services.warehouse.desk import LEFT, WarehouseDesk
from services.warehouse.domain.fulfillment import Fulfillment, Pick, take_off
from services.warehouse.domain.stock import STAGING, Level, Move, MoveKind, shelves_for
from services.warehouse.handlers.allocation import fall_short
from shared.events.inbox import PickScanned
from shared.events.warehouse import CheckDifference, Difference, StockAdjusted, StockScrapped
from shared.goods import by_sku
from shared.replacing import replace
from shared.runtime.messages import Refused

DAMAGED = "found damaged while picking"
MISSING = "missing while picking"
"""Why pieces leave the books, in their ledger: what was broken is told apart from what was not there."""
NONE_LEFT = (
    "none is left in its place: put the good pieces back, set broken ones aside, and take the next order"
)
"""What comes after pieces of an order were lost and it waits for stock again."""


def write_off(event: PickScanned, work: Fulfillment, sku: str, desk: WarehouseDesk) -> Fulfillment | None:
    """Book out what was found damaged or is not in its place; the order as it waits again when nothing is left instead of it,
    else None."""
    level, lost = desk.level(sku), event.damaged + event.missing
    if not lost:
        return None
    _judge(event, work, level)
    # what left in a canceled parcel is among what is missing now: that was told when it left, and is not to be told twice
    known = min(event.missing, level.gone)
    desk.levels.put(replace(level, gone=level.gone - known))
    shelves = {event.location: lost} if event.location else shelves_for(level, lost)
    rest, damaged = take_off(tuple(Pick(sku, place, n) for place, n in shelves.items()), sku, event.damaged)
    missing, gone = take_off(rest, sku, known)
    moves = [
        *_out(MoveKind.SCRAPPED, damaged, DAMAGED, work, desk),
        *_out(MoveKind.GONE, gone, LEFT, work, desk),
        *_out(MoveKind.ADJUSTED, missing, MISSING, work, desk),
    ]
    if event.damaged:
        desk.publish(StockScrapped(sku=sku, quantity=event.damaged, reason=DAMAGED))
    waits = None
    if level.available < lost:
        waits = fall_short(work, desk, *moves)
    else:
        desk.move(*moves)
    if missing:
        now, change = desk.level(sku), -sum(p.quantity for p in missing)
        desk.publish(
            StockAdjusted(
                sku=sku, change=change, reason=MISSING, on_hand=now.on_hand, available=now.available
            )
        )
    return waits


def _out(
    kind: MoveKind, pieces: tuple[Pick, ...], reason: str, work: Fulfillment, desk: WarehouseDesk
) -> list[Move]:
    """The moves that take pieces off their shelves and out of the books."""
    moves = (desk.entry(p.sku, kind, p.quantity, p.location, work.order_id, reason) for p in pieces)
    return [replace(move, on_hand=-move.quantity) for move in moves]


def _judge(event: PickScanned, work: Fulfillment, level: Level) -> None:
    """Refuse to write off what the books do not have, or have for others."""
    sku, here, lost = level.sku, event.quantity + event.damaged, event.damaged + event.missing
    booked = sum(n for place, n in level.locations.items() if place != STAGING)
    if here > booked:
        detail = f"the books have only {booked} of {sku} on the shelves; book in what they lack with a stock scan first"
        raise Refused("not_on_shelf", detail, field="damaged")
    if here + event.missing > booked:
        detail = f"the books have only {booked} of {sku} on the shelves: no more than {booked - here} can be missing"
        raise Refused("not_on_shelf", detail, field="missing")
    if (ours := level.available + work.wanted()[sku]) < lost:
        found = {"damaged": event.damaged, "missing": event.missing}
        what = " or ".join(name for name, n in found.items() if n)
        detail = f"{ours} of {sku} are not another order's: scan so many as {what} now, and the rest when that is picked"
        raise Refused("not_on_shelf", detail, field="missing" if event.missing else "damaged")


def instead(event: PickScanned, sku: str, left: int, desk: WarehouseDesk) -> dict[str, object]:
    """Where the picker finds others in place of what was written off."""
    if not left or not (event.damaged or event.missing):
        return {}
    level = desk.level(sku)
    answer: dict[str, object] = {"shelves": {sku: shelves_for(level, left)}}
    if not event.missing:
        return answer
    places = ", ".join(f"{n} on {place}" for place, n in sorted(level.locations.items()) if place != STAGING)
    return answer | {
        "hint": f"the books have {places}: take the rest there, and scan as missing what is not there either"
    }


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
            continue  # the ledger never had surplus goods off their shelf
        stay, gone = take_off(work.picks, one.sku, one.quantity)
        work = replace(work, picks=stay)
        if one.difference is Difference.DAMAGED and gone:
            scrapped += _out(MoveKind.SCRAPPED, gone, reason, work, desk)
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
