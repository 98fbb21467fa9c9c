"""Where each order of the files must end, worked out from the files alone, and where it ended, read from the system alone."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from enum import StrEnum
from typing import Any

from deploy.play.histories import History

UNPAID_FOR = timedelta(days=30)
"""Deferred payments (boleto) clear late: the replay gives them this long (setting HANDOVER_UNPAID_EXPIRES_AFTER)."""
BOUGHT_TWICE_WITHIN = timedelta(minutes=30)


class Outcome(StrEnum):
    """The one end of an order."""

    COMPLETED = "completed"
    IN_TRANSIT = "in transit"
    IN_WAREHOUSE = "in the warehouse"
    CANCELED = "canceled"
    EXPIRED = "expired unpaid"
    ANOMALY = "held: payment anomaly"
    TWICE = "held: bought twice"
    REFUSED = "refused at intake"
    LATE_CANCEL = "canceled after shipping, goods not back"


LOST = "lost"
"""What the system says of an order that it neither has nor refused: no outcome."""


def from_files(histories: Sequence[History]) -> dict[str, tuple[Outcome, str]]:
    """Order → outcome and, where it is not what the file's status says, why."""
    last: dict[tuple[str, tuple[tuple[str, int], ...]], History] = {}
    found = {}
    for history in histories:
        before = last.get((history.buyer_id, history.goods))
        twice = before is not None and history.placed_at - before.placed_at <= BOUGHT_TWICE_WITHIN
        if history.items:
            last[history.buyer_id, history.goods] = history
        found[history.order_id] = _one(history, twice=twice)
    return found


def _one(h: History, *, twice: bool) -> tuple[Outcome, str]:
    if not h.items:
        return Outcome.REFUSED, "the files have no items for it"
    if h.approved_at and h.paid > h.total:
        if h.canceled_at:
            return Outcome.CANCELED, ""
        return Outcome.ANOMALY, f"paid {h.paid} for {h.total}"
    if h.canceled_at and h.shipped_at and h.paid == h.total:
        if h.delivered_at:
            return Outcome.COMPLETED, "canceled after the buyer had it"
        return Outcome.LATE_CANCEL, "the parcel had left and the files tell of no way back"
    if h.canceled_at and h.canceled_at - h.placed_at <= UNPAID_FOR:
        return Outcome.CANCELED, ""
    if h.paid < h.total or (h.approved_at and h.approved_at - h.placed_at > UNPAID_FOR):
        return Outcome.EXPIRED, f"paid {h.paid} of {h.total}" if h.approved_at else "no payment was approved"
    if h.canceled_at:
        return Outcome.CANCELED, ""
    if twice:
        return Outcome.TWICE, "the buyer bought the same shortly before"
    if h.delivered_at:
        return Outcome.COMPLETED, ""
    if h.shipped_at:
        why = "" if h.status == "shipped" else f"status {h.status} without a date of delivery"
        return Outcome.IN_TRANSIT, why
    return Outcome.IN_WAREHOUSE, ""


def is_fault(told: str, found: str) -> bool:
    """Whether no rule of the trade can have led to the difference. Where an order stands may hang on the hour of a payment or
    a cancel, which the driven clock knows by the day; whether it is taken in hangs on its content alone."""
    return found == LOST or (told == Outcome.REFUSED) != (found == Outcome.REFUSED)


def from_system(order: Mapping[str, Any] | None, refusal: str | None) -> tuple[str, str]:
    """The outcome of an order as the orders service shows it, or of the refusal of its submission; and why."""
    if order is None:
        return (Outcome.REFUSED, refusal) if refusal else (LOST, "neither an order nor a refusal")
    why = f"{order['payment_status']}, {order['fulfillment']}"
    holds = order["standing_holds"]
    match order["status"]:
        case "completed":
            return Outcome.COMPLETED, why
        case "canceled":
            return Outcome.CANCELED, order["closed_reason"]
        case "expired":
            return Outcome.EXPIRED, why
    if "payment_anomaly" in holds:
        return Outcome.ANOMALY, why
    if "duplicate_suspected" in holds:
        return Outcome.TWICE, why
    if order["fulfillment"] == "shipped":
        return (Outcome.LATE_CANCEL if order["cancel_refused"] else Outcome.IN_TRANSIT), why
    if order["status"] == "approved":
        return Outcome.IN_WAREHOUSE, why
    return f"placed: {order['held_by']}", why
