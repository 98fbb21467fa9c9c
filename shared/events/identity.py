"""Ids that follow from what they name, so that the same order handed in twice is one order (O1)."""

from uuid import UUID, uuid5

_ORDERS = UUID("6f1c6f0e-6d3c-5b0e-9a51-4b3f6d2a7c11")


def order_id(source: str, external_number: str) -> str:
    """The id of the order that `source` calls `external_number`. Length-prefixed, so no two pairs meet."""
    return str(uuid5(_ORDERS, f"{len(source)}:{source}/{external_number}"))
