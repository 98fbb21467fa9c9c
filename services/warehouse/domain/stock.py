"""The stock ledger 出入账: levels that always equal the sum of their moves and never go below zero (W1, W2)."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from shared.replacing import replace
from shared.values import SkuQuantity

STAGING = "STAGING"
"""Where picked pieces are until they leave."""


class MoveKind(StrEnum):
    """Why pieces moved."""

    RECEIVED = "received"
    ALLOCATED = "allocated"
    RELEASED = "released"
    PICKED = "picked"
    PUT_BACK = "put_back"
    SHIPPED = "shipped"
    RETURNED = "returned"
    SCRAPPED = "scrapped"
    GONE = "gone"
    """Left the house in a parcel that was canceled: its pieces had been booked back to their shelves."""
    ADJUSTED = "adjusted"
    """The books had too few there, or too many."""


EFFECT = {
    MoveKind.RECEIVED: (1, 0),
    MoveKind.ALLOCATED: (0, 1),
    MoveKind.RELEASED: (0, -1),
    MoveKind.PICKED: (0, 0),
    MoveKind.PUT_BACK: (0, 0),
    MoveKind.SHIPPED: (-1, -1),
    MoveKind.RETURNED: (1, 0),
    MoveKind.SCRAPPED: (-1, 0),
    MoveKind.GONE: (-1, 0),
    MoveKind.ADJUSTED: (1, 0),
}
"""What a piece that moved so does to on hand and to allocated."""


@dataclass(frozen=True, slots=True)
class Move:
    """One entry of the ledger: what it does to on hand and to allocated, where, for whom, by whom."""

    sku: str
    kind: MoveKind
    on_hand: int
    allocated: int
    at: datetime
    location: str
    quantity: int
    order_id: str | None
    actor: str
    reason: str = ""


@dataclass(frozen=True)
class Level:
    """Stock of one SKU: on hand, of that allocated to orders, and where it lies."""

    sku: str
    on_hand: int = 0
    allocated: int = 0
    depleted: bool = False
    """True from the moment nothing is available until something is again that nobody waits for (W2)."""
    locations: dict[str, int] = field(default_factory=dict)
    waiting: int = 0
    """Orders that wait for the SKU."""
    last_queued: datetime | None = None
    """The place that was given last in the queue of those who wait."""
    gone: int = 0
    """Pieces that left in canceled parcels and are still in the books, since orders have reserved all there is: they are booked
    out as soon as any come free, and nobody can have them. Nothing is available while there are some."""
    offering: bool = False
    """True while pieces that came free are being offered to those who wait: newcomers queue behind them (W2)."""
    offered_to: tuple[datetime, str] | None = None
    """The place in the queue of the last of those who were asked by now; None when nobody was."""

    @property
    def available(self) -> int:
        """What new orders can have."""
        return self.on_hand - self.allocated

    def offered_behind(self, place: tuple[datetime, str]) -> bool:
        """True while pieces are offered to those behind this place: whoever stands before it was asked."""
        return self.offered_to is not None and place <= self.offered_to


class NotEnough(Exception):
    """A move would take more than there is."""


def apply(level: Level, move: Move) -> Level:
    """The level after a move. Raises NotEnough rather than let anything go below zero."""
    on_hand, allocated = level.on_hand + move.on_hand, level.allocated + move.allocated
    if on_hand < 0 or allocated < 0 or allocated > on_hand:
        raise NotEnough(f"{move.kind} of {move.quantity} leaves on hand {on_hand}, allocated {allocated}")
    locations = dict(level.locations)
    for place, change in _places(move):
        locations[place] = locations.get(place, 0) + change
        if locations[place] < 0:
            raise NotEnough(f"{move.kind} of {move.quantity}: {place} would hold {locations[place]}")
    kept = {place: count for place, count in locations.items() if count}
    return replace(level, on_hand=on_hand, allocated=allocated, locations=kept)


def _places(move: Move) -> Iterable[tuple[str, int]]:
    match move.kind:
        case MoveKind.RECEIVED | MoveKind.RETURNED:
            return ((move.location, move.quantity),)
        case MoveKind.PICKED:
            return ((move.location, -move.quantity), (STAGING, move.quantity))
        case MoveKind.PUT_BACK:
            return ((STAGING, -move.quantity), (move.location, move.quantity))
        case MoveKind.SHIPPED:
            return ((STAGING, -move.quantity),)
        case MoveKind.SCRAPPED | MoveKind.GONE:
            return ((move.location, -move.quantity),)
        case MoveKind.ADJUSTED:
            return ((move.location, move.on_hand),)
        case MoveKind.ALLOCATED | MoveKind.RELEASED:
            return ()


@dataclass(frozen=True, slots=True)
class Reserved:
    """Every piece is there: the moves that reserve them."""

    moves: tuple[Move, ...]


@dataclass(frozen=True, slots=True)
class Short:
    """Not everything is there; nothing is reserved."""

    missing: tuple[SkuQuantity, ...]


def missing(wanted: Mapping[str, int], free: Mapping[str, int]) -> tuple[SkuQuantity, ...]:
    """What is wanted beyond what is free, by SKU."""
    return tuple(
        SkuQuantity(sku=sku, quantity=count - free[sku])
        for sku, count in sorted(wanted.items())
        if free[sku] < count
    )


def place_in(level: Level, since: datetime) -> datetime:
    """The place of one more order in the queue of a SKU, behind all who came before it (W2)."""
    return max(since, level.last_queued + timedelta(microseconds=1)) if level.last_queued else since


def joined(level: Level, since: datetime) -> Level:
    """The level once one more order waits at this place of the queue."""
    last = max(since, level.last_queued or since)
    return replace(level, waiting=level.waiting + 1, last_queued=last)


def reserve(
    levels: Mapping[str, Level],
    wanted: Mapping[str, int],
    order_id: str,
    actor: str,
    now: datetime,
    *,
    offered: Collection[str] = (),
) -> Reserved | Short:
    """Reserve all that an order wants, or nothing (W2).

    `offered` are SKUs that it is this order's turn to have; others that are being offered cannot be had now.
    """
    free = {s: 0 if level.offering and s not in offered else level.available for s, level in levels.items()}
    if short := missing(wanted, free):
        return Short(short)
    return Reserved(
        tuple(
            Move(sku, MoveKind.ALLOCATED, 0, count, now, "", count, order_id, actor)
            for sku, count in sorted(wanted.items())
        )
    )


def shelves_for(level: Level, quantity: int) -> dict[str, int]:
    """Where so many pieces are, and how many from each, the fullest first: from that alone when it has them all.

    Fewer than asked for when the shelves do not hold so many.
    """
    found: dict[str, int] = {}
    for count, place in sorted(((n, place) for place, n in level.locations.items()), reverse=True):
        part = 0 if place == STAGING else min(count, quantity)
        if part:
            found[place] = part
            quantity -= part
    return found
