"""The message log over HTTP, without addresses and texts, and what people may do about messages."""

from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query
from sqlalchemy import select, tuple_

from services.notify.handlers import SetOptOut
from services.notify.sending import RetryMessage
from services.notify.tables import (
    MESSAGES,
    OPT_OUTS,
    Message,
    MessageState,
    as_it_stands,
    messages,
    opt_out_key,
    opt_outs,
)
from services.notify.troubles import troubles
from shared.runtime.access import Anyone, BackOffice, PersonOrShop
from shared.runtime.reading import Limit, Read, listed_last
from shared.runtime.running import Runtime
from shared.runtime.views import View
from shared.values import Code, Flag, Value


class MessageView(View):
    """One message, without address and text."""

    message_id: str
    order_id: str
    template: str
    channel: str
    audience: str
    """`buyer`, `staff`, or the name of a webhook."""
    state: MessageState
    tries: int
    due: datetime
    """When it is tried next."""
    planned_at: datetime
    event_type: str
    """The event that it tells of."""
    last_error: str
    retried_by: str | None
    """Who had it sent again last, after it was given up."""
    retried_at: datetime | None


class ChannelView(View):
    """A channel with messages that could not be sent."""

    channel: str
    waiting: int
    """Messages that wait after a failed try."""
    tries: int
    """The most tries of one of these."""
    last_error: str
    away: bool
    """True where none has left since the newest of them was planned."""
    unserved: int
    """Messages for a channel that the settings do not name."""
    untaken: int
    """Messages that are due and that nobody takes."""
    given_up: int


class Wish(Value):
    """What a buyer wants."""

    buyer_id: Code
    opted_out: Flag
    source: Code | None = None
    """The shop that the buyer is one of; without it, buyers of this number at all shops."""


class OptOutView(View):
    """What was said last of a buyer's letters, of all shops or of one."""

    source: str | None
    """The shop; null for all."""
    opted_out: bool
    """True while the buyer wants only necessary messages."""
    by: str
    at: datetime


async def find(read: Read, message_id: str) -> Message | None:
    """One message, or None."""
    records = await read(select(messages).where(messages.c.message_id == message_id))
    return MESSAGES.load(records[0]) if records else None


def router(runtime: Runtime) -> APIRouter:
    """The routes of notify."""
    routes = APIRouter(prefix="/v1", tags=["messages"])

    @routes.get("/messages")
    async def list_messages(
        asked: Anyone,
        order_id: Code | None = None,
        state: MessageState | None = None,
        after: Annotated[
            Code | None, Query(description="Id of the last message seen: those that come after it.")
        ] = None,
        limit: Limit = 100,
    ) -> list[MessageView]:
        """Messages, newest first: to whom (buyer, staff, webhook), about what, through which channel, how often tried."""
        last = await listed_last(find, runtime.read, after, "a message")
        query = select(messages).order_by(messages.c.due.desc(), messages.c.message_id.desc()).limit(limit)
        if last is not None:
            query = query.where(tuple_(messages.c.due, messages.c.message_id) < (last.due, last.message_id))
        if order_id is not None:
            query = query.where(messages.c.order_id == order_id)
        if state is not None:
            query = query.where(messages.c.state == state)
        return [MessageView.model_validate(MESSAGES.load(record)) for record in await runtime.read(query)]

    @routes.get("/channels")
    async def channels(asked: Anyone) -> list[ChannelView]:
        """Channels with messages that could not be sent: how many wait for another try, or for a channel that the settings do
        not name, and how many were given up."""
        return [ChannelView.model_validate(found) for found in await troubles(runtime)]

    @routes.post("/messages/{message_id}/retry")
    async def retry(message_id: Code, asked: BackOffice) -> Any:
        """Send a message that was given up again."""
        return await asked.do(RetryMessage(message_id=message_id))

    @routes.get("/opt-outs")
    async def opt_outs_of(
        asked: PersonOrShop, buyer_id: Code, source: Code | None = None
    ) -> list[OptOutView]:
        """What a buyer wants of letters, by whose word and since when: of all shops, and of `source`; empty where nobody ever
        said (N6, X4)."""
        shop = opt_out_key(source, buyer_id)
        found = await runtime.read(select(opt_outs).where(opt_outs.c.buyer_id.in_({buyer_id, shop})))
        said = {row.buyer_id: row for row in map(OPT_OUTS.load, found)}
        everywhere = said.get(buyer_id)
        rows = {None: everywhere, source: as_it_stands(everywhere, said.get(shop))}
        return [
            OptOutView.model_validate(asdict(r) | {"source": s}) for s, r in rows.items() if r is not None
        ]

    @routes.post("/opt-outs")
    async def opt_out(body: Wish, asked: PersonOrShop) -> Any:
        """Note that a buyer wants only necessary messages, or all of them again (N6).

        Without `source` of all shops, whatever was said of one. Refused with 409, `opted_out_everywhere`: to lift at one shop
        what stands at all.
        """
        return await asked.do(SetOptOut(**dict(body)))

    return routes
