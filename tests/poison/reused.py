"""One id for two messages: the first is taken or refused by its own rules, the second is not taken, whatever it is."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from shared.events.inbox import StockScanned
from tests.poison.bodies import CANARY
from tests.poison.inboxes import AT, ORDERS, SCANS, Inbox


@dataclass(frozen=True)
class Twin:
    """What comes second under an id; `first` (type and body) came before it."""

    name: str
    id: str
    first: tuple[str, bytes]
    type: str
    body: bytes


_FREE = {"orders.inbox": "remark", "aftersales.inbox": "comment", "tracking.inbox": "detail"}
"""Where people write what they like."""


def taken(inbox: Inbox, about: str, **changes: Any) -> tuple[str, bytes]:
    """Type and body of a good event about something that nobody knows yet. Of scans one that brings it in: no other is done."""
    if inbox is not SCANS:
        buyer = {"buyer_id": about} if inbox is ORDERS else {}  # their latest purchases are kept
        return inbox.event.wire_type, json.dumps(inbox.named(about) | buyer | changes).encode()
    scan = {"barcode": about, "quantity": 1, "location": CANARY, "scanned_at": AT}
    return StockScanned.wire_type, json.dumps(scan | changes).encode()


def twins(inbox: Inbox) -> Iterator[Twin]:
    """For each, its first is sent before all poison."""
    more: dict[str, Any] = {"quantity": 1000} if inbox is SCANS else {_FREE[inbox.topic]: "more"}
    first, other = taken(inbox, "spent"), taken(inbox, "other")
    for name, before, (wire_type, body) in (
        ("about something else", first, other),
        ("changed", first, taken(inbox, "spent", **more)),
        ("empty", first, (first[0], b"")),
        ("of a type that there is not", first, (f"{inbox.topic}.wish.v1", other[1])),
        ("mended, for it was refused", (first[0], b"{}"), other),
    ):
        yield Twin(name, f"{inbox.topic} spent, {name}", before, wire_type, body)
