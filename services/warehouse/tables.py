"""Tables of the warehouse."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Identity,
    Index,
    MetaData,
    Table,
    Text,
)
from sqlalchemy.dialects.postgresql import JSONB

from services.warehouse.domain.dock import DockReturn
from services.warehouse.domain.fulfillment import Fulfillment
from services.warehouse.domain.shipment import Shipment
from services.warehouse.domain.stock import Level, Move
from shared.events.warehouse import TrackingStatus
from shared.runtime.bookkeeping import runtime_tables
from shared.runtime.messages import Envelope
from shared.runtime.rows import RowMap

metadata = MetaData()
event_log = runtime_tables(metadata)["event_log"]


def _version() -> Column[int]:
    return Column("version", BigInteger, nullable=False)


def _doc() -> Column[object]:
    return Column("doc", JSONB, nullable=False)


levels = Table(
    "levels",
    metadata,
    Column("sku", Text, primary_key=True),
    Column("on_hand", BigInteger, nullable=False),
    Column("allocated", BigInteger, nullable=False),
    Column("depleted", Boolean, nullable=False),
    _doc(),
    _version(),
    CheckConstraint("on_hand >= 0 AND allocated >= 0 AND allocated <= on_hand", name="levels_never_negative"),
)
moves = Table(
    "moves",
    metadata,
    Column("position", BigInteger, Identity(always=True), primary_key=True),
    Column("sku", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("on_hand", BigInteger, nullable=False),
    Column("allocated", BigInteger, nullable=False),
    Column("quantity", BigInteger, nullable=False),
    Column("location", Text, nullable=False),
    Column("order_id", Text),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("actor", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Index("moves_sku", "sku", "position"),
    CheckConstraint("quantity > 0", name="moves_move_something"),
    CheckConstraint("kind NOT IN ('scrapped', 'adjusted') OR reason <> ''", name="moves_have_reasons"),
    info={"append_only": True},
)


@dataclass(frozen=True, slots=True)
class Sku:
    """What is known of a SKU beside its stock."""

    sku: str
    name: str
    weight_grams: int
    barcodes: tuple[str, ...]
    registered_by: str | None = None
    registered_at: datetime | None = None
    """By whom and when it was last made known as it is (X4). None where that is older than these fields."""


@dataclass(frozen=True, slots=True)
class Barcode:
    """A barcode that names a SKU."""

    barcode: str
    sku: str


skus = Table("skus", metadata, Column("sku", Text, primary_key=True), _doc(), _version())
barcodes = Table(
    "barcodes",
    metadata,
    Column("barcode", Text, primary_key=True),
    Column("sku", Text, nullable=False),
    _version(),
)
fulfillments = Table(
    "fulfillments",
    metadata,
    Column("order_id", Text, primary_key=True),
    Column("state", Text, nullable=False),
    Column("picker", Text),
    Column("checker", Text),
    Column("released_at", DateTime(timezone=True), nullable=False),
    Column("ship_by", DateTime(timezone=True), nullable=False),
    _doc(),
    _version(),
    Index("fulfillments_state", "state", "released_at"),
    Index("fulfillments_oldest", "released_at", "order_id"),
    CheckConstraint(
        "picker IS NULL OR checker IS NULL OR picker <> checker", name="checked_by_a_second_person"
    ),
    CheckConstraint(
        "checker IS NULL OR NOT coalesce(jsonb_exists(doc -> 'pickers', checker), false)",
        name="checked_by_nobody_who_picked",
    ),
)


@dataclass(frozen=True, slots=True)
class Backorder:
    """An order that waits for a SKU; one row for each SKU that it is short of (W2)."""

    backorder_key: str
    sku: str
    order_id: str
    since: datetime


def backorder_key(order_id: str, sku: str) -> str:
    """Where it stands that an order waits for a SKU."""
    return f"{order_id}/{sku}"


backorders = Table(
    "backorders",
    metadata,
    Column("backorder_key", Text, primary_key=True),
    Column("sku", Text, nullable=False),
    Column("order_id", Text, nullable=False),
    Column("since", DateTime(timezone=True), nullable=False),
    _version(),
    Index("backorders_sku", "sku", "since"),
)
shipments = Table(
    "shipments",
    metadata,
    Column("shipment_id", Text, primary_key=True),
    Column("order_id", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("courier", Text, nullable=False),
    Column("tracking_number", Text, nullable=False, unique=True),
    Column("weight_grams", BigInteger, nullable=False),
    Column("tracking_status", Text, nullable=False),
    _doc(),
    _version(),
    CheckConstraint("weight_grams > 0", name="shipments_weigh_something"),
)


@dataclass(frozen=True, slots=True)
class Label:
    """Which parcel a tracking number is on."""

    tracking_number: str
    shipment_id: str
    order_id: str


labels = Table(
    "labels",
    metadata,
    Column("tracking_number", Text, primary_key=True),
    Column("shipment_id", Text, nullable=False),
    Column("order_id", Text, nullable=False),
    _version(),
)


@dataclass(frozen=True, slots=True)
class NumberRange:
    """The next tracking number of a courier."""

    courier: str
    next: int


number_ranges = Table(
    "number_ranges",
    metadata,
    Column("courier", Text, primary_key=True),
    Column("next", BigInteger, nullable=False),
    _version(),
)


@dataclass(frozen=True, slots=True)
class EarlyReport:
    """A courier's report on a parcel that is not known yet (W11)."""

    report_key: str
    tracking_number: str
    courier: str
    status: TrackingStatus
    occurred_at: datetime
    cod_collected: int
    detail: str
    message_id: str = ""
    message_source: str = ""
    """What its sender is told of, should it be refused; empty where the report is older than these fields."""
    told: Envelope | None = None
    """The message, for what comes of it is its doing and its sender's. None where the report is older than this field."""
    came_at: datetime | None = None
    """When we heard of it. None where the report is older than this field."""


early_reports = Table(
    "early_reports",
    metadata,
    Column("report_key", Text, primary_key=True),
    Column("tracking_number", Text, nullable=False, index=True),
    Column("occurred_at", DateTime(timezone=True), nullable=False),
    _doc(),
    _version(),
)
dock = Table(
    "dock",
    metadata,
    Column("case_id", Text, primary_key=True),
    Column("order_id", Text, nullable=False),
    Column("state", Text, nullable=False),
    _doc(),
    _version(),
)

LEVELS = RowMap(Level, levels)
MOVES = RowMap(Move, moves)
SKUS = RowMap(Sku, skus)
BARCODES = RowMap(Barcode, barcodes)
FULFILLMENTS = RowMap(Fulfillment, fulfillments)
BACKORDERS = RowMap(Backorder, backorders, groups={"sku": ("since", 100)})
SHIPMENTS = RowMap(Shipment, shipments)
LABELS = RowMap(Label, labels)
NUMBER_RANGES = RowMap(NumberRange, number_ranges)
EARLY_REPORTS = RowMap(EarlyReport, early_reports, groups={"tracking_number": ("occurred_at", 100)})
DOCK = RowMap(DockReturn, dock)
