"""Stock comes in, and SKUs are made known (W1, W12)."""

from pydantic import Field

from services.warehouse.desk import Wants, WarehouseDesk
from services.warehouse.domain.barcode import keys
from services.warehouse.domain.stock import STAGING, MoveKind
from services.warehouse.handlers.allocation import offer
from services.warehouse.handlers.scanning import judge_time
from services.warehouse.tables import Barcode, Sku
from shared.events.inbox import Barcode as Read
from shared.events.inbox import StockScanned
from shared.events.warehouse import StockReceived
from shared.runtime.messages import Command, Refused
from shared.values import Code, Text


class RegisterSku(Command):
    """Make a SKU's name, weight and barcodes known."""

    sku: Code
    name: Text
    weight_grams: int = Field(0, ge=0, le=1_000_000)
    barcodes: tuple[Read, ...] = Field((), max_length=50)


def receive(event: StockScanned, desk: WarehouseDesk) -> dict[str, object]:
    """Goods arrived: book them and offer them to who waits (W1, W2)."""
    desk.scanner()
    judge_time(event.scanned_at, desk)
    sku = desk.sku_of(event.barcode)
    if event.location == STAGING:
        raise Refused("not_a_shelf", f"{STAGING} is where picked goods wait; scan a shelf", field="location")
    desk.move(desk.entry(sku, MoveKind.RECEIVED, event.quantity, event.location))
    level = desk.level(sku)
    desk.publish(
        StockReceived(sku=sku, quantity=event.quantity, on_hand=level.on_hand, available=level.available)
    )
    offer(sku, desk)
    return {"sku": sku, "on_hand": level.on_hand, "available": level.available}


def barcodes_of(command: RegisterSku, desk: WarehouseDesk) -> Wants:
    """The SKU and whoever has its barcodes now."""
    yield desk.skus.want(command.sku), desk.barcodes.want(*(k for b in command.barcodes for k in keys(b)))
    if (known := desk.skus.get(command.sku)) is not None:
        yield desk.barcodes.want(*(k for b in known.barcodes for k in keys(b)))


def register(command: RegisterSku, desk: WarehouseDesk) -> dict[str, object]:
    """Name a SKU and its barcodes; a barcode of another SKU is refused, one no longer named is freed."""
    new = {k for b in command.barcodes for k in keys(b)}
    for key in sorted(new):
        holder = desk.barcodes.get(key)
        if holder is not None and holder.sku != command.sku:
            raise Refused("barcode_taken", f"barcode {key} names SKU {holder.sku}", field="barcodes")
        desk.barcodes.put(Barcode(key, command.sku))
    known = desk.skus.get(command.sku)
    for key in {k for b in (known.barcodes if known else ()) for k in keys(b)} - new:
        desk.barcodes.remove(key)
    desk.skus.put(Sku(command.sku, command.name, command.weight_grams, command.barcodes))
    return {"sku": command.sku, "barcodes": sorted(new)}
