"""After-sales over HTTP: staff commands go through the same handlers as events; reads go to queries."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import Field

from services.aftersales import queries
from services.aftersales.domain.case import CaseState
from services.aftersales.handlers.asked import ApproveCase, OpenRefund, OpenReturn, RejectCase
from services.aftersales.views import CaseView, shown
from shared.events.aftersales import CaseKind, ReturnReason
from shared.runtime.access import Anyone, Because, Person
from shared.runtime.messages import Refused
from shared.runtime.reading import Limit, listed_last
from shared.runtime.running import Runtime
from shared.values import Code, Minor, Reason, SkuQuantity, Text, Value


class NewReturn(Value):
    """A return that an agent opens for a buyer."""

    kind: Literal["return"]
    order_id: Code
    lines: tuple[SkuQuantity, ...] = Field(min_length=1, max_length=1000)
    reason: ReturnReason
    comment: Text = ""


class NewRefund(Value):
    """A refund without goods that an agent asks for."""

    kind: Literal["refund_only"]
    order_id: Code
    amount: Minor
    reason: Reason


class Consent(Value):
    """Why a case is granted, where there is something to say."""

    reason: Reason | None = None


def router(runtime: Runtime) -> APIRouter:
    """The routes of after-sales."""
    routes = APIRouter(prefix="/v1/cases", tags=["cases"])

    @routes.get("")
    async def list_cases(
        asked: Anyone,
        state: CaseState | None = None,
        kind: CaseKind | None = None,
        order_id: Code | None = None,
        open: Annotated[bool | None, Query(description="Cases that are not closed, or that are.")] = None,
        after: Annotated[
            Code | None, Query(description="Id of the last case seen: those that come after it.")
        ] = None,
        limit: Limit = 100,
    ) -> list[CaseView]:
        """Cases, oldest first."""
        last = await listed_last(queries.find, runtime.read, after, "a case")
        found = await queries.listing(
            runtime.read, state=state, kind=kind, order_id=order_id, open=open, after=last, limit=limit
        )
        orders = await queries.orders_of(runtime.read, found)
        return [shown(case, orders[case.order_id]) for case in found]

    @routes.get("/{case_id}")
    async def get_case(case_id: Code, asked: Anyone) -> CaseView:
        """One case with its history."""
        case = await queries.find(runtime.read, case_id)
        if case is None:
            raise Refused("unknown_case", "there is no such case", field="case_id", status=404)
        orders = await queries.orders_of(runtime.read, [case])
        return shown(case, orders[case.order_id])

    @routes.post("")
    async def open_case(
        body: Annotated[NewReturn | NewRefund, Field(discriminator="kind")], asked: Person
    ) -> Any:
        """Open a return, or ask for a refund without goods; the second is always approved by somebody else (A3)."""
        parts = {name: value for name, value in body if name != "kind"}
        command = OpenReturn(**parts) if isinstance(body, NewReturn) else OpenRefund(**parts)
        return await asked.do(command)

    @routes.post("/{case_id}/approve")
    async def approve(case_id: Code, asked: Person, body: Consent | None = None) -> Any:
        """Grant a case: not one's own, above the agents' limit only the back office (A3). A reason is kept with it."""
        return await asked.do(ApproveCase(case_id=case_id, reason=body.reason if body else None))

    @routes.post("/{case_id}/reject")
    async def reject(case_id: Code, body: Because, asked: Person) -> Any:
        """Refuse a case that awaits approval (A3), take back one of one's own, or end a return whose goods have not come."""
        return await asked.do(RejectCase(case_id=case_id, reason=body.reason))

    return routes
