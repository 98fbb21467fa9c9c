"""What all scans have in common: who, when, and a clear word when one is wrong (W12)."""

from datetime import datetime, timedelta

from services.warehouse.desk import WarehouseDesk
from services.warehouse.domain.fulfillment import FULFILLMENT, Fulfillment, FulfillmentState
from services.warehouse.domain.stock import STAGING
from shared.lifecycle import NotAllowed
from shared.runtime.messages import Refused

AHEAD = timedelta(minutes=5)
"""How far the clock of a device or a courier may run ahead."""


def judge_time(scanned_at: datetime, desk: WarehouseDesk) -> None:
    """A scan made offline comes late and is fine; one from the future shows a device whose clock is wrong."""
    _not_ahead(scanned_at, desk, "the device's clock runs ahead; set it and scan again", "scanned_at")


def judge_report(occurred_at: datetime, desk: WarehouseDesk) -> None:
    """The same of what a courier reports: nothing that comes later in truth could stand against it (W11)."""
    detail = "this is still to come; report it with the time at which it happened"
    _not_ahead(occurred_at, desk, detail, "occurred_at")


def _not_ahead(at: datetime, desk: WarehouseDesk, detail: str, field: str) -> None:
    if at > desk.now + AHEAD:
        raise Refused("clock_ahead", detail, field=field)


def judge_shelf(location: str) -> None:
    """Where picked goods wait is no shelf: nothing is put there, or taken from it, by a scan of its own."""
    if location == STAGING:
        raise Refused("not_a_shelf", f"{STAGING} is where picked goods wait; scan a shelf", field="location")


def step(work: Fulfillment, event: type) -> FulfillmentState:
    """The state after a scan. Raises Refused with what the state allows instead."""
    try:
        after = FULFILLMENT.next(work.state, event)
    except NotAllowed:
        raise Refused("not_now", _HINT[work.state]) from None
    assert after is not None, "no scan is overtaken: it is refused"
    return after


_HINT = {
    FulfillmentState.OPEN: "the order has no stock yet; take the next order",
    FulfillmentState.BACKORDERED: "the order waits for stock; take the next order",
    FulfillmentState.ALLOCATED: "start the picking first",
    FulfillmentState.PICKING: "the order is being picked; its picker ends that, after a failed check by scanning its code",
    FulfillmentState.PICKED: "the order is picked; a second person checks it now",
    FulfillmentState.CHECKING: "the order is being checked; finish that first",
    FulfillmentState.CHECKED: "the order is checked; pack it",
    FulfillmentState.PACKED: "the order is packed; hand its parcels over",
    FulfillmentState.SHIPPED: "the order has left; take the next order, and put back what is still in hand for this one",
    FulfillmentState.CANCELED: "the order was canceled: put the goods back",
}
