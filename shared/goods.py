"""Goods piece by piece: how many of each SKU, and what they cost."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Protocol

from shared.values import OrderLine, SkuQuantity


class Pieces(Protocol):
    """Anything that is so many pieces of a SKU: lines, picks, moves."""

    @property
    def sku(self) -> str: ...
    @property
    def quantity(self) -> int: ...


def by_sku(pieces: Iterable[Pieces]) -> Counter[str]:
    """How many of each SKU."""
    total: Counter[str] = Counter()
    for piece in pieces:
        total[piece.sku] += piece.quantity
    return total


def as_pieces(quantities: Mapping[str, int]) -> tuple[SkuQuantity, ...]:
    """The same as events tell it."""
    return tuple(SkuQuantity(sku=sku, quantity=n) for sku, n in quantities.items())


def price(lines: Iterable[OrderLine]) -> int:
    """All pieces of these lines, in minor units."""
    return sum(line.quantity * line.unit_price for line in lines)


def evened(lines: Iterable[OrderLine]) -> tuple[OrderLine, ...]:
    """The lines with one price for each SKU, the average where it was bought at several: so its pieces cost the same in
    whichever parcel they lie."""
    lines = tuple(lines)
    pieces, cost = by_sku(lines), Counter[str]()
    for line in lines:
        cost[line.sku] += price([line])
    return tuple(line.model_copy(update={"unit_price": cost[line.sku] // pieces[line.sku]}) for line in lines)


def without(lines: Iterable[OrderLine], pieces: Mapping[str, int]) -> tuple[OrderLine, ...]:
    """What is left of these lines once so many pieces of each SKU are taken, the dearest first where one was bought at two
    prices."""
    left, rest = Counter(pieces), []
    for line in sorted(lines, key=lambda one: -one.unit_price):
        taken = min(line.quantity, left[line.sku])
        left[line.sku] -= taken
        if taken < line.quantity:
            rest.append(line.model_copy(update={"quantity": line.quantity - taken}))
    return tuple(rest)
