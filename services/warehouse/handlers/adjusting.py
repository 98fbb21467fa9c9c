"""The books are put right where a shelf holds another number of pieces than they say (W1)."""

from pydantic import Field

from services.warehouse.desk import Wants, WarehouseDesk
from services.warehouse.domain.stock import MoveKind
from services.warehouse.handlers.allocation import offer
from services.warehouse.handlers.scanning import judge_shelf
from shared.events.warehouse import StockAdjusted
from shared.replacing import replace
from shared.runtime.messages import Command, Refused
from shared.values import MAX_PIECES, Reason


class AdjustStock(Command):
    """The back office says how many pieces more, or fewer, lie on a shelf than the books have there, and why."""

    sku: str
    location: str
    change: int = Field(ge=-MAX_PIECES, le=MAX_PIECES)
    reason: Reason


def stock_of(command: AdjustStock, desk: WarehouseDesk) -> Wants:
    """The SKU and its level."""
    yield desk.levels.want(command.sku), desk.skus.want(command.sku)


def adjust(command: AdjustStock, desk: WarehouseDesk) -> dict[str, object]:
    """Book the difference. Pieces that orders have reserved stay in the books until they leave, or their picker misses them."""
    sku, pieces = command.sku, abs(command.change)
    judge_shelf(command.location)
    if desk.levels.get(sku) is None and desk.skus.get(sku) is None:
        detail = "nobody ever received, wanted or registered this SKU; look at its spelling"
        raise Refused("unknown_sku", detail, field="sku", status=404)
    if not pieces:
        raise Refused("nothing_changes", "say how many pieces more, or fewer", field="change")
    level = desk.level(sku)
    if command.change < 0 and (held := level.locations.get(command.location, 0)) < pieces:
        detail = f"the books have {held} of {sku} on {command.location}, not {pieces}"
        raise Refused("not_on_shelf", detail, field="change")
    if command.change < 0 and level.available < pieces:
        free = f"{level.available} of {sku} are not reserved for orders"
        detail = f"{free}; of the others, pickers scan as missing what is not there"
        raise Refused("reserved", detail, field="change")
    more = desk.entry(sku, MoveKind.ADJUSTED, pieces, command.location, reason=command.reason)
    desk.move(replace(more, on_hand=command.change))
    level = desk.level(sku)
    desk.publish(
        StockAdjusted(
            sku=sku,
            change=command.change,
            reason=command.reason,
            on_hand=level.on_hand,
            available=level.available,
        )
    )
    if command.change > 0:
        offer(sku, desk)
    return {"sku": sku, "on_hand": level.on_hand, "available": level.available}
