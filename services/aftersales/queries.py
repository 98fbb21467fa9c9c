"""Named reads of after-sales for the API."""

from sqlalchemy import select

from services.aftersales.domain.case import Case
from services.aftersales.tables import CASES, cases
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
    limit: int = 100,
) -> list[Case]:
    """Cases, oldest first: whose turn it is, since when (A11)."""
    query = select(cases).order_by(cases.c.opened_at).limit(limit)
    for column, value in ((cases.c.state, state), (cases.c.kind, kind), (cases.c.order_id, order_id)):
        if value is not None:
            query = query.where(column == value)
    return [CASES.load(record) for record in await read(query)]
