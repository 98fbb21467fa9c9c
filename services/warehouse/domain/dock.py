"""The returns dock: what is expected back for a case, and what came (W8)."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from shared.events.aftersales import ReturnAuthorized
from shared.events.inbox import ReturnInspectedScanned, ReturnReceivedScanned
from shared.lifecycle import lifecycle
from shared.values import SkuQuantity

RETURNS = "RETURNS"
"""Where goods found as new are put back, until they are picked."""


class DockState(StrEnum):
    """Where a return stands at the dock."""

    EXPECTED = "expected"
    RECEIVED = "received"
    INSPECTED = "inspected"


DOCK = lifecycle(
    "return",
    DockState,
    (DockState.EXPECTED, ReturnReceivedScanned, DockState.RECEIVED),
    (DockState.RECEIVED, ReturnInspectedScanned, DockState.INSPECTED),
    overtaken=[((DockState.EXPECTED, DockState.RECEIVED, DockState.INSPECTED), ReturnAuthorized)],
)


@dataclass(frozen=True)
class DockReturn:
    """Goods expected back for one case."""

    case_id: str
    order_id: str
    state: DockState
    lines: tuple[SkuQuantity, ...]
    return_by: datetime
    received_at: datetime | None = None
