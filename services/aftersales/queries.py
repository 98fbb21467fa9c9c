"""Named reads of after-sales for the API."""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, literal_column, select, tuple_

from services.aftersales.domain.case import Case, CaseState
from services.aftersales.domain.known_order import KnownOrder
from services.aftersales.tables import CASES, KNOWN_ORDERS, cases, known_orders
from shared.runtime.reading import Read


async def find(read: Read, case_id: str) -> Case | None:
    """One case, or None."""
    records = await read(select(cases).where(cases.c.case_id == case_id))
    return CASES.load(records[0]) if records else None


async def listing(
    read: Read,
    *,
    state: str | None = None,
    kind: str | None = None,
    order_id: str | None = None,
    open: bool | None = None,
    after: Case | None = None,
    limit: int = 100,
) -> list[Case]:
    """Cases, oldest first, those after `after`: whose turn it is, since when (A11)."""
    query = select(cases).order_by(cases.c.opened_at, cases.c.case_id).limit(limit)
    if open is not None:
        closed: ColumnElement[str] = literal_column(
            f"'{CaseState.CLOSED}'"
        )  # as the index of open cases has it
        query = query.where(cases.c.state != closed if open else cases.c.state == closed)
    if after is not None:
        query = query.where(tuple_(cases.c.opened_at, cases.c.case_id) > (after.opened_at, after.case_id))
    for column, value in ((cases.c.state, state), (cases.c.kind, kind), (cases.c.order_id, order_id)):
        if value is not None:
            query = query.where(column == value)
    return [CASES.load(record) for record in await read(query)]


async def orders_of(read: Read, found: Sequence[Case]) -> dict[str, KnownOrder]:
    """What is known of the orders that cases are about, by order id."""
    ids = {case.order_id for case in found}
    records = await read(select(known_orders).where(known_orders.c.order_id.in_(ids)))
    return {known.order_id: known for known in map(KNOWN_ORDERS.load, records)}
