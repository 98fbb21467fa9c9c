"""Stock comes in, and SKUs are made known (W1, W12)."""

from pydantic import Field

from services.warehouse.desk import Wants, WarehouseDesk
from services.warehouse.domain.barcode import as_skus, keys
from services.warehouse.domain.stock import MoveKind
from services.warehouse.handlers.allocation import offer
from services.warehouse.handlers.scanning import judge_shelf, judge_time
from services.warehouse.tables import Barcode, Sku
from shared.events.inbox import Barcode as Read
from shared.events.inbox import StockScanned
from shared.events.warehouse import StockReceived
from shared.runtime.messages import Command, Refused
from shared.values import Code, Name

NEW_SKU = (
    "nobody knew this code: it is a SKU of its own now; if it is the barcode of another one, receive no more under it until "
    "the back office has registered it: these pieces stay under the new SKU"
)


class RegisterSku(Command):
    """Make a SKU's name, weight and barcodes known."""

    sku: Code
    name: Name
    weight_grams: int = Field(0, ge=0, le=1_000_000)
    barcodes: tuple[Read, ...] | None = Field(None, max_length=50)
    """All of them; None leaves them as they are."""


def receive(event: StockScanned, desk: WarehouseDesk) -> dict[str, object]:
    """Goods arrived: book them and offer them to who waits (W1, W2)."""
    judge_time(event.scanned_at, desk)
    sku = desk.sku_of(event.barcode)
    # nobody registered it, received it or ordered it: a SKU of its own, by a typing error or a barcode that is not known yet
    new = desk.levels.get(sku) is None and desk.skus.get(sku) is None
    judge_shelf(event.location)
    desk.move(desk.entry(sku, MoveKind.RECEIVED, event.quantity, event.location))
    level = desk.level(sku)
    desk.publish(
        StockReceived(sku=sku, quantity=event.quantity, on_hand=level.on_hand, available=level.available)
    )
    offer(sku, desk)
    answer: dict[str, object] = {"sku": sku, "on_hand": level.on_hand, "available": level.available}
    return answer | ({"new_sku": True, "hint": NEW_SKU} if new else {})


def barcodes_of(command: RegisterSku, desk: WarehouseDesk) -> Wants:
    """The SKU, whoever has its barcodes now, and the stock of what they were taken for until now."""
    named = command.barcodes or ()
    own = sorted({sku for b in named for sku in as_skus(b)})
    yield (
        desk.skus.want(command.sku, *own),
        desk.barcodes.want(*(k for b in named for k in keys(b))),
        desk.levels.want(*own),
    )
    if (known := desk.skus.get(command.sku)) is not None:
        yield desk.barcodes.want(*(k for b in known.barcodes for k in keys(b)))


def register(command: RegisterSku, desk: WarehouseDesk) -> dict[str, object]:
    """Name a SKU and its barcodes; a barcode of another SKU is refused, one no longer named is freed."""
    known = desk.skus.get(command.sku)
    barcodes = command.barcodes if command.barcodes is not None else known.barcodes if known else ()
    for barcode in barcodes:
        _nothing_under(barcode, command.sku, desk)
    new = {k for b in barcodes for k in keys(b)}
    for key in sorted(new):
        holder = desk.barcodes.get(key)
        if holder is not None and holder.sku != command.sku:
            raise Refused("barcode_taken", f"barcode {key} names SKU {holder.sku}", field="barcodes")
        desk.barcodes.put(Barcode(key, command.sku))
    for key in {k for b in (known.barcodes if known else ()) for k in keys(b)} - new:
        holder = desk.barcodes.get(key)
        # registered when it had fewer keys, others may have the rest
        if holder is not None and holder.sku == command.sku:
            desk.barcodes.remove(key)
    desk.skus.put(Sku(command.sku, command.name, command.weight_grams, barcodes, str(desk.actor), desk.now))
    return {"sku": command.sku, "barcodes": sorted(new)}


def _nothing_under(barcode: str, sku: str, desk: WarehouseDesk) -> None:
    """Goods scanned before their barcode was registered are a SKU of its own, which nobody could pick any more (W3)."""
    if any(desk.barcodes.get(key) is not None for key in keys(barcode)):
        return  # it names a SKU already; whose, is judged with the others
    for own in as_skus(barcode):
        if own != sku and desk.skus.get(own) is not None:
            raise Refused("barcode_taken", f"{own} is a SKU of its own", field="barcodes")
        level = desk.level(own)
        if own != sku and (level.on_hand or level.waiting):
            detail = (
                f"barcode {own} is in use as a SKU of its own (on hand: {level.on_hand}, allocated: {level.allocated}, "
                f"orders waiting: {level.waiting}); let all of it leave, adjust it away, or register it under SKU {own}"
            )
            raise Refused("barcode_in_use", detail, field="barcodes")
