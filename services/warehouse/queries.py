"""Named reads of the warehouse for the API."""

from typing import Any

import orjson
from sqlalchemy import select, tuple_

from services.warehouse.domain.fulfillment import Fulfillment
from services.warehouse.domain.shipment import Shipment
from services.warehouse.domain.stock import Level
from services.warehouse.tables import (
    FULFILLMENTS,
    LEVELS,
    SHIPMENTS,
    event_log,
    fulfillments,
    levels,
    moves,
    shipments,
)
from shared.events.base import stream_name
from shared.events.warehouse import FulfillmentAllocated, FulfillmentCheckFailed, FulfillmentPicked
from shared.runtime.reading import Read


async def fulfillment(read: Read, order_id: str) -> Fulfillment | None:
    """The work on one order, or None."""
    records = await read(select(fulfillments).where(fulfillments.c.order_id == order_id))
    return FULFILLMENTS.load(records[0]) if records else None


async def differences(read: Read, order_id: str) -> list[dict[str, Any]]:
    """What the last check of an order found, until the order is picked again (W4)."""
    rounds = [e.wire_type for e in (FulfillmentAllocated, FulfillmentPicked, FulfillmentCheckFailed)]
    stream = stream_name(FulfillmentCheckFailed, order_id)
    query = (
        select(event_log.c.type, event_log.c.data)
        .where(event_log.c.stream == stream, event_log.c.type.in_(rounds))
        .order_by(event_log.c.sequence.desc())
        .limit(1)
    )
    last = [r for r in await read(query) if r["type"] == FulfillmentCheckFailed.wire_type]
    return orjson.loads(last[0]["data"])["differences"] if last else []


async def listing(
    read: Read, *, state: str | None = None, after: Fulfillment | None = None, limit: int = 100
) -> list[Fulfillment]:
    """Work by state, oldest release first, after `after`: what a picker takes next (W3)."""
    query = select(fulfillments).order_by(fulfillments.c.released_at, fulfillments.c.order_id).limit(limit)
    if state is not None:
        query = query.where(fulfillments.c.state == state)
    if after is not None:
        place = (after.released_at, after.order_id)
        query = query.where(tuple_(fulfillments.c.released_at, fulfillments.c.order_id) > place)
    return [FULFILLMENTS.load(record) for record in await read(query)]


async def shipment(read: Read, shipment_id: str) -> Shipment | None:
    """One parcel, or None."""
    records = await read(select(shipments).where(shipments.c.shipment_id == shipment_id))
    return SHIPMENTS.load(records[0]) if records else None


async def stock_of(read: Read, *skus: str) -> list[Level]:
    """The levels of SKUs, those that have one."""
    records = await read(select(levels).where(levels.c.sku.in_(skus))) if skus else []
    return [LEVELS.load(record) for record in records]


async def last_moves(read: Read, sku: str) -> list[dict[str, Any]]:
    """The newest entries of a SKU's ledger (W1)."""
    query = select(moves).where(moves.c.sku == sku).order_by(moves.c.position.desc()).limit(50)
    return [dict(record) for record in await read(query)]
