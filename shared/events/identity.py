"""Ids that follow from what they name, so that the same order handed in twice is one order (O1)."""

from functools import lru_cache
from uuid import UUID, uuid5

_ORDERS = UUID("6f1c6f0e-6d3c-5b0e-9a51-4b3f6d2a7c11")
_DIGITS = 14
"""As many fit into the 48 bits before the version."""


@lru_cache(maxsize=4096)  # an order's first messages come close together, and each asks several times
def order_id(source: str, external_number: str) -> str:
    """The id of the order that `source` calls `external_number`: a UUID of version 8 (RFC 9562, section 5.8).

    It begins with the number's digits and ends with a hash of both names, length-prefixed, so that no two pairs meet. Shops
    count their orders up, so the orders of a day lie side by side in every index of every service, and not on a page each among
    millions. Numbers that tell no order cost more work (docs/performance.md, Growth), and are otherwise as good.
    """
    hashed = uuid5(_ORDERS, f"{len(source)}:{source}/{external_number}").int
    digits = "".join(c for c in external_number if c in "0123456789")[:_DIGITS]
    return str(UUID(int=int(digits or 0) << 80 | 8 << 76 | hashed & (1 << 76) - 1))
