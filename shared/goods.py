"""What the goods of an order cost, piece by piece."""

from collections import Counter
from collections.abc import Iterable, Mapping

from shared.values import OrderLine


def price(lines: Iterable[OrderLine]) -> int:
    """All pieces of these lines, in minor units."""
    return sum(line.quantity * line.unit_price for line in lines)


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
