"""The desk of the warehouse, and how its rows are found."""

from collections.abc import Iterator
from typing import Any, TypeVar

from services.warehouse.domain.barcode import itself, keys
from services.warehouse.domain.courier import Couriers
from services.warehouse.domain.fulfillment import Fulfillment
from services.warehouse.domain.stock import EFFECT, Level, Move, MoveKind, apply, shelves_for
from services.warehouse.tables import (
    BACKORDERS,
    BARCODES,
    DOCK,
    EARLY_REPORTS,
    FULFILLMENTS,
    LABELS,
    LEVELS,
    MOVES,
    NUMBER_RANGES,
    SHIPMENTS,
    SKUS,
    backorder_key,
)
from shared.events.base import stream_name
from shared.events.inbox import ScannedLine
from shared.events.orders import OrderReleased
from shared.events.warehouse import FulfillmentPicked, StockDepleted, StockReceived, StockReplenished
from shared.replacing import replace
from shared.runtime.desk import Desk, Want
from shared.runtime.messages import Refused

L = TypeVar("L", bound=ScannedLine)
Wants = Iterator[Want | tuple[Want, ...]]

UNKNOWN_ORDER = "the warehouse does not have this order; take its id from the work list, or ask an agent whether it is held"
"""It is not released yet, or what was scanned is the shop's own number or a SKU."""

LEFT = "left in a canceled parcel"
"""Why pieces are booked out that had left, and were on a shelf in the books."""


class WarehouseDesk(Desk):
    """Shelves of one turn, and the two things that every handler of scans needs: who scans, and what was scanned."""

    def __init__(self, couriers: Couriers) -> None:
        super().__init__()
        self.couriers = couriers
        self.levels = self.shelf(LEVELS)
        self.moves = self.ledger(MOVES)
        self.skus = self.shelf(SKUS)
        self.barcodes = self.shelf(BARCODES)
        self.fulfillments = self.shelf(FULFILLMENTS)
        self.backorders = self.shelf(BACKORDERS)
        self.shipments = self.shelf(SHIPMENTS)
        self.labels = self.shelf(LABELS)
        self.number_ranges = self.shelf(NUMBER_RANGES)
        self.early_reports = self.shelf(EARLY_REPORTS)
        self.dock = self.shelf(DOCK)

    def level(self, sku: str) -> Level:
        """The stock level of a SKU; nothing on hand when it was never received."""
        return self.levels.get(sku) or Level(sku)

    def move(self, *moves: Move) -> None:
        """Book moves: the ledger, the levels, and once all are booked the news that a SKU ran out or is back (W1, W2)."""
        for move in moves:
            self._book(move)
        for sku in dict.fromkeys(move.sku for move in moves):
            self._forget_gone(sku)
            self.say_whether_any_is_left(sku)

    def lose(self, sku: str, quantity: int, order_id: str) -> None:
        """Pieces are not in the house although the books have them on a shelf: out of the books, as far as nobody has reserved
        them, and the rest once that comes free (W1)."""
        level = self.level(sku)
        self.levels.put(replace(level, gone=level.gone + quantity))
        self._forget_gone(sku, order_id)
        self.say_whether_any_is_left(sku)

    def _book(self, move: Move) -> None:
        self.levels.put(apply(self.level(move.sku), move))
        self.moves.add(move)

    def _forget_gone(self, sku: str, order_id: str | None = None) -> None:
        """What is free goes first of all out of the books for what is gone."""
        level = self.level(sku)
        quantity = min(level.gone, level.available)
        if not quantity:
            return
        for place, n in shelves_for(level, quantity).items():
            self._book(self.entry(sku, MoveKind.GONE, n, place, order_id, LEFT))
        self.levels.put(replace(self.level(sku), gone=level.gone - quantity))

    def say_whether_any_is_left(self, sku: str, *, offered: bool = False) -> None:
        """Tell shops when a SKU runs out and when it is back (W2): what came free is first `offered` to those who wait."""
        level = self.level(sku)
        if level.available == 0 and not level.depleted:
            self.publish(StockDepleted(sku=sku))
            self.levels.put(replace(level, depleted=True))
        elif level.available > 0 and level.depleted and (offered or not level.waiting):
            self.publish(StockReplenished(sku=sku, available=level.available))
            self.levels.put(replace(level, depleted=False))

    def entry(
        self,
        sku: str,
        kind: MoveKind,
        quantity: int,
        location: str,
        order_id: str | None = None,
        reason: str = "",
    ) -> Move:
        """A move by whoever is acting now; what it does to on hand and allocated follows from its kind."""
        on_hand, allocated = EFFECT[kind]
        return Move(
            sku, kind, on_hand * quantity, allocated * quantity, self.now, location, quantity, order_id,
            str(self.actor), reason,
        )  # fmt: skip

    def sku_of(self, barcode: str) -> str:
        """The SKU that a barcode names; one that nobody registered is a SKU itself when it looks like one.

        Raises Refused for any other.
        """
        for key in keys(barcode):
            if (known := self.barcodes.get(key)) is not None:
                return known.sku
        if (sku := itself(barcode)) is None:
            raise Refused(
                "unknown_barcode", "no SKU has this barcode; register it first", field="barcode", status=404
            )
        return sku

    def named(self, lines: tuple[L, ...]) -> tuple[L, ...]:
        """Lines that name goods by their barcode or their SKU, by their SKU; `named_in` loads what it takes."""
        return tuple(line.model_copy(update={"sku": self.sku_of(line.sku)}) for line in lines)

    def work(self, order_id: str) -> Fulfillment:
        """The work on an order. Raises Refused when the warehouse does not have it."""
        work = self.fulfillments.get(order_id)
        if work is None:
            raise Refused("unknown_order", UNKNOWN_ORDER, field="order_id", status=404)
        return work


def named_in(lines: tuple[ScannedLine, ...], desk: WarehouseDesk) -> Want:
    """What tells which SKUs these lines name."""
    return desk.barcodes.want(*(key for line in lines for key in keys(line.sku)))


def possible_skus(barcode: str, desk: WarehouseDesk) -> list[str]:
    """SKUs that a barcode may turn out to name, once its keys are loaded."""
    found = {b.sku for key in keys(barcode) if (b := desk.barcodes.get(key)) is not None}
    return sorted(found) or _itself(barcode)


def order_and_stock(message: Any, desk: WarehouseDesk) -> Wants:
    """The work on an order, its parcels, and the stock of all its SKUs, what was scanned included; at its release also
    what they weigh."""
    yield desk.fulfillments.want(message.order_id)
    work = desk.fulfillments.get(message.order_id)
    skus = {line.sku for line in getattr(message, "lines", ()) or (work.lines if work else ())}
    skus |= set(work.wanted()) if work else set()
    shipments = work.shipments if work else ()
    yield (
        desk.levels.want(*sorted(skus)),
        desk.shipments.want(*shipments),
        desk.backorders.want(*(backorder_key(message.order_id, sku) for sku in sorted(skus))),
        desk.skus.want(*(sorted(skus) if isinstance(message, OrderReleased) else ())),
        _news_of(message.order_id, desk),
    )


def order_and_scanned(message: Any, desk: WarehouseDesk) -> Wants:
    """The work on an order, and the SKU that was scanned; with a damaged or missing piece all that the order may have to give
    back."""
    lost = message.damaged or getattr(message, "missing", 0)
    yield (
        desk.fulfillments.want(message.order_id),
        desk.barcodes.want(*keys(message.barcode)),
        # then levels are locked together, in their order
        desk.levels.want(*([] if lost else _itself(message.barcode))),
    )
    work = desk.fulfillments.get(message.order_id)
    wanted = sorted(work.wanted()) if work and lost else []
    yield (
        desk.levels.want(*sorted({*wanted, *possible_skus(message.barcode, desk)})),
        desk.shipments.want(*(work.shipments if work else ())),
        desk.backorders.want(*(backorder_key(message.order_id, sku) for sku in wanted)),
    )


def scanned_stock(message: Any, desk: WarehouseDesk) -> Wants:
    """The SKU that was scanned, and its stock."""
    yield desk.barcodes.want(*keys(message.barcode)), *_received(_itself(message.barcode), desk)
    yield _received(possible_skus(message.barcode, desk), desk)


def _received(skus: list[str], desk: WarehouseDesk) -> tuple[Want, Want, Want]:
    streams = (stream_name(StockReceived, sku) for sku in skus)
    return desk.levels.want(*skus), desk.skus.want(*skus), desk.speaks_on(*streams)


def _news_of(order_id: str, desk: WarehouseDesk) -> Want:
    """For a step with the parcels: a courier's report on one speaks of the order too, and has only the parcel locked."""
    return desk.speaks_on(stream_name(FulfillmentPicked, order_id))


def _itself(barcode: str) -> list[str]:
    """The SKU that a barcode is when nobody registered it: asked for along with what tells, to save a look in most shops."""
    return [sku] if (sku := itself(barcode)) is not None else []


def parcel(message: Any, desk: WarehouseDesk) -> Wants:
    """The parcel that carries a tracking number, its order, and the stock in it."""
    yield desk.labels.want(message.tracking_number)
    label = desk.labels.get(message.tracking_number)
    if label is None:
        return
    yield desk.shipments.want(label.shipment_id), desk.fulfillments.want(label.order_id)
    yield (
        desk.shipments.want(*_siblings(label.order_id, desk)),
        _stock_of(desk.shipments.get(label.shipment_id), desk),
        _news_of(label.order_id, desk),
    )


def _siblings(order_id: str, desk: WarehouseDesk) -> tuple[str, ...]:
    work = desk.fulfillments.get(order_id)
    return work.shipments if work else ()


def _stock_of(shipment: Any, desk: WarehouseDesk) -> Want:
    return desk.levels.want(*sorted({line.sku for line in shipment.lines} if shipment else ()))
