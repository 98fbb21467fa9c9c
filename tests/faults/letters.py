"""The independent judge of what people were told: what notify has in its books against what lies in the folder of letters."""

import contextlib
import itertools
import json
from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from tests.faults.findings import Accepted, Findings

IN_HAND = timedelta(seconds=30)
"""How long a letter that was written may wait until it is booked: the others of its batch, a turn, and a database that is away;
and until a dead sender is found."""

TOLD = (
    ("orders", "address_confirmation_requested", "address_confirmation"),
    ("orders", "order_canceled", "canceled"),
    ("warehouse", "shipment_shipped", "shipped"),
    ("warehouse", "shipment_delivered", "delivered"),
    ("aftersales", "refund_requested", "refund_requested"),
)
"""What buyers of the load are told: who says it, the event, and the template. None of them fetches their parcel."""

Delivered = dict[str, list[tuple[datetime, str, str]]]
"""By the id of a letter: when it was written, to whom, and by which replica, once for each time."""


def delivered(folder: Path) -> Delivered:
    """All that lies in the folder, each replica's in one of its own. A line may be cut short by a kill: whole ones count."""
    found: Delivered = defaultdict(list)
    for file in sorted(folder.glob("*/*.jsonl")):
        for line in file.read_text().splitlines():
            with contextlib.suppress(ValueError):
                letter = json.loads(line)
                found[letter["id"]].append(
                    (datetime.fromisoformat(letter["at"]), letter["to"], file.parent.name)
                )
    return found


async def judge_told(connections: Mapping[str, Any], found: Findings) -> None:
    """Whatever concerns a buyer was told to them."""
    rows = await connections["notify"].fetch(
        "SELECT event_id, template FROM messages WHERE audience = 'buyer'"
    )
    planned = {(r["event_id"], r["template"]) for r in rows}
    for service, event, template in TOLD:
        said = await connections[service].fetch(
            "SELECT stream, sequence FROM event_log WHERE type = $1", f"{service}.{event}.v1"
        )
        events = (f"/handover/{service} {r['stream']}/{r['sequence']}" for r in said)
        found.lost += [f"notify: nobody was told of {e}" for e in events if (e, template) not in planned]


async def judge_messages(notify: Any, found: Findings) -> None:
    """One message per event, recipient and template, said once to be sent."""
    rows = await notify.fetch(
        "SELECT event_id, audience, template FROM messages GROUP BY 1, 2, 3 HAVING count(*) > 1"
    )
    found.doubled += [f"notify: message {r['template']} for {r['event_id']}" for r in rows]
    rows = await notify.fetch(
        """SELECT data::jsonb->>'message_id' AS id FROM event_log WHERE type = 'notify.message_sent.v1'
           GROUP BY 1 HAVING count(*) > 1"""
    )
    found.doubled += [f"notify: message {r['id']} was sent twice" for r in rows]
    rows = await notify.fetch("SELECT message_id, template FROM messages WHERE state = 'failed'")
    found.lost += [f"notify: message {r['template']} {r['message_id']} failed" for r in rows]


async def judge_letters(notify: Any, delivered: Delivered, accepted: Accepted, found: Findings) -> None:
    """What is booked as sent was delivered, to its own buyer alone; nothing oftener than senders took it in hand, and again
    only where the one that had it in hand died."""
    rows = await notify.fetch(
        "SELECT message_id, order_id, audience, template, state, tries FROM messages WHERE channel = 'file'"
    )
    strays = delivered.keys() - {r["message_id"] for r in rows}
    for r in rows:
        letter, copies = (
            f"notify: letter {r['template']} {r['message_id']}",
            delivered.get(r["message_id"], []),
        )
        times, order = len(copies), accepted.orders.get(r["order_id"])
        if order and r["audience"] == "buyer" and not {to for _, to, _ in copies} <= {order.reached_at}:
            found.broken.append(f"{letter} of {order.number} went to somebody else")
        if not times and r["state"] == "sent":
            found.lost.append(f"{letter} was never delivered")
        if times > r["tries"]:
            found.doubled.append(f"{letter} was delivered {times} times in {r['tries']} tries")
        for (first, _, sender), (again, _, _) in itertools.pairwise(sorted(copies)):
            # whoever lives books what left, however long the database is away: a lease is longer than any fault here
            last = min(first + IN_HAND, again)
            if not any(who == sender and first <= death <= last for who, death in accepted.deaths):
                found.doubled.append(
                    f"{letter} left at {first:%H:%M:%S} and {again:%H:%M:%S}, and {sender} had not died"
                )
    found.doubled += [f"notify: letter {id} belongs to nothing" for id in sorted(strays)]
