"""Named reads of orders for the API (O14)."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Select, select, tuple_

from services.orders.domain.order import Order
from services.orders.tables import ORDERS, event_log, heard, orders
from shared.events.orders import Hold
from shared.runtime.reading import Read


def of_order(order_id: str) -> Select[Any]:
    """One order."""
    return select(orders).where(orders.c.order_id == order_id)


async def find(read: Read, order_id: str) -> Order | None:
    """One order by our id, or None."""
    records = await read(of_order(order_id))
    return ORDERS.load(records[0]) if records else None


async def listing(
    read: Read,
    *,
    status: str | None = None,
    held: bool | None = None,
    hold: Hold | None = None,
    source: str | None = None,
    buyer_id: str | None = None,
    after: Order | None = None,
    limit: int = 100,
) -> list[Order]:
    """Orders, newest first, `after` the last one seen; orders of one instant are neither skipped nor seen twice."""
    query = select(orders).order_by(orders.c.placed_at.desc(), orders.c.order_id.desc()).limit(limit)
    if status is not None:
        query = query.where(orders.c.status == status)
    if held is not None:
        query = query.where(orders.c.held if held else ~orders.c.held)
    if buyer_id is not None:
        query = query.where(orders.c.buyer_id == buyer_id)
    if source is not None:
        query = query.where(orders.c.source == source)
    if hold is not None:
        stands = [{"hold": hold.value, "lifted_at": None}]
        query = query.where(orders.c.held, orders.c.doc["holds"].contains(stands))
    if after is not None:
        query = query.where(tuple_(orders.c.placed_at, orders.c.order_id) < (after.placed_at, after.order_id))
    return [ORDERS.load(record) for record in await read(query)]


async def timeline(read: Read, order_id: str) -> list[dict[str, Any]]:
    """What happened to an order in all services, oldest first: our own event log and what we heard (O14)."""
    own = await read(
        select(event_log).where(event_log.c.stream == f"order/{order_id}").order_by(event_log.c.sequence)
    )
    others = await read(select(heard).where(heard.c.order_id == order_id).order_by(heard.c.position))
    entries = [
        {
            "at": record["time"],
            "service": "orders",
            "event": record["type"],
            "actor": f"{record['actor_kind']}:{record['actor_name']}",
            "what": {k: v for k, v in orjson.loads(record["data"]).items() if k != "order_id"},
        }
        for record in own
    ]
    entries += [
        {
            "at": record["at"],
            "service": record["service"],
            "event": record["type"],
            "actor": record["actor"],
            "what": record["doc"]["what"],
        }
        for record in others
    ]
    latest: dict[str, datetime] = {}

    def place(entry: Mapping[str, Any]) -> datetime:
        # what a service said later stays later: a turn that began before may have waited for its order
        service, at = entry["service"], entry["at"]
        latest[service] = max(at, latest.get(service, at))
        return latest[service]

    return sorted(entries, key=place)
