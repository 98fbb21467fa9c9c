"""Orders over HTTP: staff commands go through the same handlers as events; reads go to queries."""

from typing import Annotated, Any

from fastapi import APIRouter, Query

from services.orders import queries
from services.orders.desk import UNKNOWN_ORDER
from services.orders.domain.order import Order, OrderStatus
from services.orders.handlers.addresses import ConfirmAddress
from services.orders.handlers.closing import CancelOrder, ConfirmReceipt
from services.orders.handlers.erasing import ErasePersonal
from services.orders.handlers.release import LiftHold, PlaceHold
from services.orders.views import OrderView, TimelineView, shown
from shared.events.identity import order_id as id_of
from shared.events.orders import Hold
from shared.runtime.access import AdministratorPerson, Anyone, Because, Person
from shared.runtime.messages import Refused
from shared.runtime.reading import Limit, listed_last
from shared.runtime.running import Runtime
from shared.values import Code, DeliveryMethod, Flag, Personal, Reason, Time, Value


class Confirmation(Value):
    """What the agent confirmed with the buyer."""

    cod_accepted: Flag = False
    delivery_method: DeliveryMethod | None = None
    personal: Personal | None = None
    seen: Personal | None = None
    """What stood on the screen: where another contact or address stands by now, nothing is confirmed or corrected."""


class NewHold(Value):
    """Which hold, and why."""

    hold: Hold
    reason: Reason


class Lifting(Because):
    """Why a hold no longer stands."""

    seen: Time | None = None
    """`placed_at` of the hold that stood on the screen: where it was placed anew by now, none is lifted."""


def router(runtime: Runtime) -> APIRouter:
    """The routes of orders."""
    routes = APIRouter(prefix="/v1/orders", tags=["orders"])

    async def one(order_id: str) -> Order:
        order = await queries.find(runtime.read, order_id)
        if order is None:
            raise Refused("unknown_order", UNKNOWN_ORDER, field="order_id", status=404)
        return order

    @routes.get("")
    async def list_orders(
        asked: Anyone,
        status: OrderStatus | None = None,
        held: bool | None = None,
        hold: Annotated[Hold | None, Query(description="Orders against which this hold stands.")] = None,
        buyer_id: Annotated[
            Code | None, Query(description="Of all shops; with source, of the buyer of that shop.")
        ] = None,
        source: Code | None = None,
        number: Annotated[
            Code | None, Query(description="External number; together with source it finds one order.")
        ] = None,
        after: Annotated[
            Code | None, Query(description="Id of the last order seen: those that come after it.")
        ] = None,
        limit: Limit = 100,
    ) -> list[OrderView]:
        """Orders, newest first."""
        if number is not None:
            if source is None:
                raise Refused("invalid", "a number needs its source", field="source", status=422)
            found = await queries.find(runtime.read, id_of(source, number))
            return [shown(found, asked.actor)] if found else []
        if source is not None and buyer_id is None:
            detail = "a source needs the number of its order, or of its buyer"
            raise Refused("invalid", detail, field="number", status=422)
        last = await listed_last(queries.find, runtime.read, after, "an order")
        orders = await queries.listing(
            runtime.read,
            status=status,
            held=held,
            hold=hold,
            source=source,
            buyer_id=buyer_id,
            after=last,
            limit=limit,
        )
        return [shown(order, asked.actor) for order in orders]

    @routes.get("/{order_id}")
    async def get_order(order_id: Code, asked: Anyone) -> OrderView:
        """One order: status, payment, holds with their history, where its goods are, who has it."""
        return shown(await one(order_id), asked.actor)

    @routes.get("/{order_id}/timeline")
    async def get_timeline(order_id: Code, asked: Anyone) -> TimelineView:
        """What happened to the order in all services, and who has it now (O14)."""
        order = await one(order_id)
        entries = await queries.timeline(runtime.read, order_id)
        known = {"order_id": order_id, "status": order.status, "held_by": order.held_by()}
        return TimelineView.model_validate(known | {"entries": entries})

    @routes.post("/{order_id}/confirm-address")
    async def confirm_address(order_id: Code, body: Confirmation, asked: Person) -> Any:
        """The agent confirmed, or corrects, address, contact and delivery method with the buyer (O6)."""
        return await asked.do(ConfirmAddress(order_id=order_id, **dict(body)))

    @routes.post("/{order_id}/holds")
    async def place_hold(order_id: Code, body: NewHold, asked: Person) -> Any:
        """Stop an order that has not gone to the warehouse yet (O7)."""
        return await asked.do(PlaceHold(order_id=order_id, hold=body.hold, reason=body.reason))

    @routes.post("/{order_id}/holds/{hold}/lift")
    async def lift_hold(order_id: Code, hold: Hold, body: Lifting, asked: Person) -> Any:
        """Lift a hold; payment anomalies and audits need the back office (O7)."""
        return await asked.do(LiftHold(order_id=order_id, hold=hold, **dict(body)))

    @routes.post("/{order_id}/cancel")
    async def cancel(order_id: Code, body: Because, asked: Person) -> Any:
        """Cancel: at once while the order is not released, else the warehouse is asked (O10)."""
        return await asked.do(CancelOrder(order_id=order_id, reason=body.reason))

    @routes.post("/{order_id}/confirm-receipt")
    async def confirm_receipt(order_id: Code, body: Because, asked: Person) -> Any:
        """Note that the buyer has the goods (O16)."""
        return await asked.do(ConfirmReceipt(order_id=order_id, reason=body.reason))

    @routes.post("/{order_id}/erase")
    async def erase(order_id: Code, body: Because, asked: AdministratorPerson) -> Any:
        """Erase contact and address of the buyer in all services, once the order is over (X4)."""
        return await asked.do(ErasePersonal(order_id=order_id, reason=body.reason))

    return routes
