"""Tables of orders."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import BigInteger, Boolean, Column, DateTime, Identity, Index, MetaData, Table, Text
from sqlalchemy.dialects.postgresql import JSONB

from services.orders.domain.order import Order
from shared.runtime.bookkeeping import runtime_tables
from shared.runtime.messages import Envelope
from shared.runtime.rows import RowMap

metadata = MetaData()
runtime = runtime_tables(metadata)
event_log = runtime["event_log"]

orders = Table(
    "orders",
    metadata,
    Column("order_id", Text, primary_key=True),
    Column("source", Text, nullable=False),
    Column("external_number", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("payment_status", Text, nullable=False),
    Column("fulfillment", Text, nullable=False),
    Column("held", Boolean, nullable=False),
    Column("buyer_id", Text, nullable=False),
    Column("placed_at", DateTime(timezone=True), nullable=False),
    Column("doc", JSONB, nullable=False),
    Column("version", BigInteger, nullable=False),
    Index("orders_number", "source", "external_number", unique=True),
    Index("orders_newest", "placed_at", "order_id"),
    Index("orders_held", "placed_at", "order_id", postgresql_where="held"),
    Index("orders_status", "status", "placed_at"),
    Index("orders_buyer", "buyer_id", "placed_at"),
)


@dataclass(frozen=True, slots=True)
class EarlyPayment:
    """A payment that came before its order; kept until the order comes (O3)."""

    payment_key: str
    order_id: str
    payment_id: str
    amount: int
    currency: str
    captured_at: datetime
    message_id: str
    message_source: str
    """The identity of the message, to answer it when no order comes."""
    told: Envelope | None = None
    """The message, for what comes of it is its doing and its sender's. None where the payment is older than this field."""


early_payments = Table(
    "early_payments",
    metadata,
    Column("payment_key", Text, primary_key=True),
    Column("order_id", Text, nullable=False, index=True),
    Column("doc", JSONB, nullable=False),
    Column("version", BigInteger, nullable=False),
)


@dataclass(frozen=True, slots=True)
class RecentBuy:
    """The last order of a buyer for the same goods, to notice one placed twice (O5)."""

    goods_key: str
    order_id: str
    placed_at: datetime


recent_buys = Table(
    "recent_buys",
    metadata,
    Column("goods_key", Text, primary_key=True),
    Column("order_id", Text, nullable=False),
    Column("placed_at", DateTime(timezone=True), nullable=False),
    Column("version", BigInteger, nullable=False),
)


@dataclass(frozen=True, slots=True)
class Heard:
    """What another service said about an order, for its timeline (O14). Never personal data."""

    order_id: str
    service: str
    type: str
    at: datetime
    actor: str
    what: dict[str, object]


heard = Table(
    "heard",
    metadata,
    Column("position", BigInteger, Identity(always=True), primary_key=True),
    Column("order_id", Text, nullable=False, index=True),
    Column("service", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("actor", Text, nullable=False),
    Column("doc", JSONB, nullable=False),
    info={"append_only": True},
)

ORDERS = RowMap(Order, orders)
EARLY_PAYMENTS = RowMap(EarlyPayment, early_payments, groups={"order_id": ("payment_key", 100)})
RECENT_BUYS = RowMap(RecentBuy, recent_buys)
HEARD = RowMap(Heard, heard)
