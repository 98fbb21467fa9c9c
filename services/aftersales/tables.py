"""Tables of after-sales."""

from sqlalchemy import BigInteger, CheckConstraint, Column, DateTime, Index, MetaData, Table, Text
from sqlalchemy.dialects.postgresql import JSONB

from services.aftersales.domain.case import Case
from services.aftersales.domain.known_order import KnownOrder
from shared.runtime.bookkeeping import runtime_tables
from shared.runtime.rows import RowMap

metadata = MetaData()
runtime_tables(metadata)

cases = Table(
    "cases",
    metadata,
    Column("case_id", Text, primary_key=True),
    Column("order_id", Text, nullable=False, index=True),
    Column("kind", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("opened_at", DateTime(timezone=True), nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("refunded", BigInteger, nullable=False),
    Column("doc", JSONB, nullable=False),
    Column("version", BigInteger, nullable=False),
    Index("cases_state", "state", "opened_at"),
    Index("cases_open", "opened_at", "case_id", postgresql_where="state <> 'closed'"),
    Index("cases_oldest", "opened_at", "case_id"),
    CheckConstraint("refunded >= 0", name="cases_refund_something"),
)
known_orders = Table(
    "known_orders",
    metadata,
    Column("order_id", Text, primary_key=True),
    Column("paid", BigInteger, nullable=False),
    Column("refunded", BigInteger, nullable=False),
    Column("doc", JSONB, nullable=False),
    Column("version", BigInteger, nullable=False),
    CheckConstraint("refunded <= paid", name="never_refund_more_than_paid"),
)

CASES = RowMap(Case, cases)
KNOWN_ORDERS = RowMap(KnownOrder, known_orders)
