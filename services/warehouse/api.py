"""The warehouse over HTTP: scans come in at `/v1/events`; here is what scanners and staff read, and the paper they print."""

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import Response
from pydantic import Field

from services.warehouse import documents, queries
from services.warehouse.desk import UNKNOWN_ORDER
from services.warehouse.domain.courier import Couriers
from services.warehouse.domain.fulfillment import Fulfillment, FulfillmentState
from services.warehouse.domain.shipment import Shipment, ShipmentState
from services.warehouse.domain.stock import shelves_for
from services.warehouse.handlers.adjusting import AdjustStock
from services.warehouse.handlers.stock import RegisterSku
from services.warehouse.handlers.taking_back import TakeBack
from services.warehouse.handlers.unpacking import Unpack
from services.warehouse.views import FulfillmentView, ShelvedView, ShipmentView, StockView, shelved, shown
from shared.events.inbox import Barcode
from shared.runtime.access import Anyone, BackOffice, Because, OnTheFloor, Person, Supervisor
from shared.runtime.messages import Refused
from shared.runtime.reading import Limit, listed_last
from shared.runtime.running import Runtime
from shared.values import MAX_PIECES, Code, Name, Reason, Value


class SkuDetails(Value):
    """What is to be known of a SKU."""

    name: Name
    weight_grams: int = Field(0, ge=0, le=1_000_000, strict=True)
    barcodes: tuple[Barcode, ...] = Field(default_factory=tuple, max_length=50)
    """All that name it, from now on; without this they stay as they are."""


class Adjustment(Value):
    """How many pieces more, or fewer when negative, lie on a shelf than the books have there, and why."""

    location: Code
    change: Annotated[int, Field(ge=-MAX_PIECES, le=MAX_PIECES, strict=True)]
    reason: Reason


_PDF: dict[int | str, dict[str, Any]] = {
    200: {"content": {"application/pdf": {"schema": {"type": "string", "format": "binary"}}}}
}
TO_PICK = (FulfillmentState.ALLOCATED, FulfillmentState.PICKING)


def router(runtime: Runtime) -> APIRouter:
    """The routes of the warehouse."""
    routes = APIRouter(prefix="/v1", tags=["warehouse"])
    couriers: Couriers = runtime.service.desk().couriers

    async def one(order_id: str) -> Fulfillment:
        work = await queries.fulfillment(runtime.read, order_id)
        if work is None:
            raise Refused("unknown_order", UNKNOWN_ORDER, field="order_id", status=404)
        return work

    async def parcel(shipment_id: str) -> Shipment:
        shipment = await queries.shipment(runtime.read, shipment_id)
        if shipment is None:
            raise Refused("unknown_parcel", "there is no such parcel", field="shipment_id", status=404)
        return shipment

    @routes.get("/fulfillments")
    async def list_fulfillments(
        asked: Anyone,
        state: FulfillmentState | None = None,
        after: Annotated[
            Code | None, Query(description="Id of the last order seen: work that was released after it.")
        ] = None,
        limit: Limit = 100,
    ) -> list[FulfillmentView]:
        """Work by state, oldest release first (W3)."""
        last = await listed_last(queries.fulfillment, runtime.read, after, "an order")
        found = await queries.listing(runtime.read, state=state, after=last, limit=limit)
        return [shown(work) for work in found]

    @routes.get("/fulfillments/{order_id}")
    async def get_fulfillment(order_id: Code, asked: Anyone) -> ShelvedView:
        """The work on one order: what is picked, checked, packed, what is left, the shelves that it lies on (W3), and, where a
        check found something, what the picker is to put right (W4)."""
        work = await one(order_id)
        to_pick = work.state in TO_PICK
        left = work.left_to_pick() if to_pick else {}
        found = {level.sku: level for level in await queries.stock_of(runtime.read, *left)}
        shelves = {s: shelves_for(found[s], n) for s, n in left.items() if s in found}
        return shelved(work, shelves, await queries.differences(runtime.read, order_id) if to_pick else [])

    @routes.post("/fulfillments/{order_id}/take-back")
    async def take_back(order_id: Code, body: Because, asked: Person) -> Any:
        """Take an order back from whoever picks or checks it and does not go on (W3, W4).

        They do it themselves, or the back office does. What is picked stays picked; a check is counted from the beginning.
        """
        return await asked.do(TakeBack(order_id=order_id, reason=body.reason))

    @routes.post("/fulfillments/{order_id}/unpack")
    async def unpack(order_id: Code, body: Because, asked: Person) -> Any:
        """Let an order that is checked, or packed, be checked again: a piece broke, or a label is wrong (W4, W5).

        Whoever checked or packed it does so, or the back office, before any of its parcels left. The labels are void: what is
        packed anew gets others.
        """
        return await asked.do(Unpack(order_id=order_id, reason=body.reason))

    @routes.get("/stock/{sku:path}")
    async def get_stock(sku: Code, asked: Anyone) -> StockView:
        """On hand, allocated and available of a SKU, where it lies, and its newest moves (W1)."""
        level = next(iter(await queries.stock_of(runtime.read, sku)), None)
        if level is None:
            raise Refused("unknown_sku", "nobody ever received or wanted this SKU", field="sku", status=404)
        entries = await queries.last_moves(runtime.read, sku)
        return StockView.model_validate(vars(level) | {"available": level.available, "moves": entries})

    @routes.post("/stock/{sku:path}/adjust")
    async def adjust(sku: Code, body: Adjustment, asked: Supervisor) -> Any:
        """Put the books right where a shelf holds another number of pieces than they say (W1)."""
        return await asked.do(AdjustStock(sku=sku, **dict(body)))

    @routes.put("/skus/{sku:path}")
    async def register_sku(sku: Code, body: SkuDetails, asked: BackOffice) -> Any:
        """Make a SKU's name, weight and barcodes known (W12).

        Refused with 409: `barcode_taken` when a barcode names another SKU, or is one itself; `barcode_in_use` when stock lies
        or orders wait under one that nobody had registered.
        """
        named = body.barcodes if "barcodes" in body.model_fields_set else None
        return await asked.do(RegisterSku(sku=sku, **dict(body) | {"barcodes": named}))

    @routes.get("/shipments/{shipment_id}")
    async def get_shipment(shipment_id: Code, asked: Anyone) -> ShipmentView:
        """One parcel: contents, courier, where it is (W7, W11)."""
        return ShipmentView.model_validate(await parcel(shipment_id))

    @routes.get("/shipments/{shipment_id}/label.pdf", response_class=Response, responses=_PDF)
    async def get_label(shipment_id: Code, asked: OnTheFloor) -> Response:
        """The courier label 快递单 (W5). It names the buyer, so it is for people and their devices, not for systems (X4)."""
        shipment = await parcel(shipment_id)
        work = await one(shipment.order_id)
        if work.personal is None:
            raise Refused("erased", "the address of this order was erased")
        if shipment.state is ShipmentState.CANCELED:
            raise Refused("canceled", "this parcel was canceled: it stays; unpack it")
        name, sender = couriers.name(shipment.courier), couriers.sender
        pdf = await asyncio.to_thread(documents.label, shipment, work, name, sender)
        return Response(pdf, media_type="application/pdf")

    @routes.get("/shipments/{shipment_id}/note.pdf", response_class=Response, responses=_PDF)
    async def get_note(shipment_id: Code, asked: OnTheFloor) -> Response:
        """The shipping note 发货单 (W5), for the same."""
        shipment = await parcel(shipment_id)
        work = await one(shipment.order_id)
        if work.voided(shipment_id):
            raise Refused("canceled", "this parcel was unpacked: nothing is in it")
        # of a large order it takes a second, in which scans go on
        pdf = await asyncio.to_thread(documents.shipping_note, shipment, work)
        return Response(pdf, media_type="application/pdf")

    @routes.get("/couriers")
    async def list_couriers(asked: Anyone) -> list[dict[str, Any]]:
        """The couriers of the shop, as their file describes them (W6)."""
        return [courier.model_dump(mode="json") for courier in couriers.all]

    return routes
