"""Messages, contacts and opt-outs: rows and tables."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger, Column, DateTime, Index, Integer, MetaData, Table, Text
from sqlalchemy.dialects.postgresql import JSONB

from shared.replacing import replace
from shared.runtime.bookkeeping import runtime_tables
from shared.runtime.rows import RowMap
from shared.values import Address, Contact, Locale

metadata = MetaData()
runtime_tables(metadata)


class MessageState(StrEnum):
    """Where a message stands."""

    PLANNED = "planned"
    SENT = "sent"
    FAILED = "failed"
    SUPPRESSED = "suppressed"


@dataclass(frozen=True)
class Message:
    """One message to one recipient about one event (N6). It holds no address: that is looked up when it is sent (X4)."""

    message_id: str
    order_id: str
    template: str
    channel: str
    audience: str
    """`buyer`, `staff`, or the name of a webhook."""
    state: MessageState
    due: datetime
    """When it is tried next; while somebody is sending it, when their lease ends."""
    tries: int
    event_id: str
    event_type: str
    planned_at: datetime
    facts: dict[str, Any]
    last_error: str = ""
    unsure: int = 0
    """How often it may have left: it was handed over, and nobody said that it was taken."""
    retried_by: str | None = None
    retried_at: datetime | None = None
    """By whom and when it was sent again last, after it was given up (X4)."""


messages = Table(
    "messages",
    metadata,
    Column("message_id", Text, primary_key=True),
    Column("order_id", Text, nullable=False, index=True),
    Column("template", Text, nullable=False),
    Column("channel", Text, nullable=False),
    Column("audience", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("due", DateTime(timezone=True), nullable=False),
    Column("tries", Integer, nullable=False),
    Column("event_id", Text, nullable=False),
    Column("doc", JSONB, nullable=False),
    Column("version", BigInteger, nullable=False),
    Index("messages_newest", "due", "message_id"),
    Index("messages_state", "state", "due"),
    Index("messages_due", "channel", "due", postgresql_where="state = 'planned'"),
    Index("messages_given_up", "channel", postgresql_where="state = 'failed'"),
)


@dataclass(frozen=True)
class BuyerContact:
    """How the buyer of an order is reached, as the newest news has it."""

    order_id: str
    buyer_id: str
    external_number: str
    locale: Locale
    contact: Contact | None
    address: Address | None = None
    """Where the goods go: buyers are asked whether it is right (O6)."""
    erased: bool = False
    """True once both were erased (X4): nothing is sent to the buyer any more."""
    called_back: bool = False
    """True once a cancel came too late: what still arrives is to go back."""
    names: dict[str, str] = field(default_factory=dict)
    """What the shop calls the goods, by SKU: a SKU tells a buyer nothing (N1)."""
    source: str = ""
    """The shop, whose number the buyer's is; empty where the order was placed before this was kept."""

    @property
    def opts_out_as(self) -> tuple[str, str]:
        """Under what the buyer may have opted out: at any shop, or at this one."""
        return self.buyer_id, opt_out_key(self.source, self.buyer_id)


contacts = Table(
    "contacts",
    metadata,
    Column("order_id", Text, primary_key=True),
    Column("buyer_id", Text, nullable=False),
    Column("doc", JSONB, nullable=False),
    Column("version", BigInteger, nullable=False),
)


@dataclass(frozen=True, slots=True)
class OptOut:
    """A buyer who wants no messages but the necessary ones (N6); kept when it is lifted, for who lifted it and when (X4)."""

    buyer_id: str
    """With the shop before it, see `opt_out_key`."""
    by: str
    at: datetime
    opted_out: bool = True
    """False once it was lifted."""
    lifts: int = 0
    """How often it was lifted at all shops: by now, or of one shop when this was said."""


def as_it_stands(everywhere: OptOut | None, here: OptOut | None) -> OptOut | None:
    """What was said last of a buyer's letters of one shop: what was lifted at all shops since is lifted at this one too."""
    if here is None or everywhere is None or here.lifts == everywhere.lifts:
        return here
    return replace(here, opted_out=False, by=everywhere.by, at=everywhere.at)


def opted_out(everywhere: OptOut | None, here: OptOut | None) -> bool:
    """True for a buyer who wants only necessary messages: of any shop, or of this one."""
    stands = as_it_stands(everywhere, here)
    return (everywhere is not None and everywhere.opted_out) or (stands is not None and stands.opted_out)


def opt_out_key(source: str | None, buyer_id: str) -> str:
    """A buyer of one shop, for shops may number theirs alike; without a source whoever has this number at any."""
    return f"{source} {buyer_id}" if source else buyer_id


opt_outs = Table(
    "opt_outs",
    metadata,
    Column("buyer_id", Text, primary_key=True),
    Column("doc", JSONB, nullable=False),
    Column("version", BigInteger, nullable=False),
)

MESSAGES = RowMap(Message, messages)
CONTACTS = RowMap(BuyerContact, contacts)
OPT_OUTS = RowMap(OptOut, opt_outs)
