"""Checking (W4): a second person verifies by counting."""

from services.warehouse.desk import Rounds, WarehouseDesk
from services.warehouse.domain import checking
from services.warehouse.domain.fulfillment import Fulfillment
from services.warehouse.handlers.allocation import queue
from services.warehouse.handlers.judging import scan
from services.warehouse.handlers.picking import article
from services.warehouse.handlers.stockbook import StockBook
from shared.events.inbox import CheckFinishScanned, CheckScanned, CheckStartScanned
from shared.events.warehouse import FulfillmentChecked, FulfillmentCheckFailed


def the_order(event: CheckStartScanned, desk: WarehouseDesk) -> Rounds:
    """The order only."""
    yield desk.fulfillments.want(event.order_id)


@scan
def start(event: CheckStartScanned, desk: WarehouseDesk) -> dict[str, object]:
    """A person who did not pick for the order begins to check it (W4)."""
    order = checking.start(desk.fulfillment(event.order_id), desk.actor.name, event.scanned_at)
    desk.fulfillments.put(order)
    return to_check(order)


@scan
def count(event: CheckScanned, desk: WarehouseDesk) -> dict[str, object]:
    """The checker saw so many pieces of an article (W4)."""
    before = desk.fulfillment(event.order_id)
    sku = article(event.barcode, before, desk)
    order = checking.count(before, sku, event.quantity, event.damaged, desk.actor.name, event.scanned_at)
    desk.fulfillments.put(order)
    line = order.line(sku)
    seen = {"sku": sku, "in_order": line is not None}
    if line is not None:
        over = max(0, line.counted + line.damaged - line.quantity)
        seen |= {"counted": line.counted, "damaged": line.damaged, "too_many": over}
    return {"line": seen, **to_check(order)}


def order_and_its_stock(event: CheckFinishScanned, desk: WarehouseDesk) -> Rounds:
    """The order, and the stock of the lines that differ."""
    yield desk.fulfillments.want(event.order_id)
    if order := desk.fulfillments.get(event.order_id):
        yield desk.stock.want(*order.skus)


@scan
def finish(event: CheckFinishScanned, desk: WarehouseDesk) -> dict[str, object]:
    """All pieces were counted: the order goes on to packing, or back to picking with what differs (W4)."""
    before = desk.fulfillment(event.order_id)
    checker, why = desk.actor.name, desk.cause(event.order_id)
    match checking.finish(before, desk.levels(before.skus), checker, event.scanned_at, why):
        case checking.Checked(order):
            desk.fulfillments.put(order)
            # the one who finished the picking stands for all who picked
            picker = order.picked_by[-1]
            desk.publish(FulfillmentChecked(order_id=order.order_id, picker=picker, checker=checker))
            return {**to_check(order), "differences": []}
        case checking.Differs(order, differences, levels, moves, scrapped, missing):
            book = StockBook(desk)
            for level in levels:
                book.enter(level, [move for move in moves if move.sku == level.sku])
            for sku, quantity in scrapped.items():
                book.scrapped(sku, quantity, "damaged, found while checking")
            desk.publish(
                FulfillmentCheckFailed(order_id=order.order_id, checker=checker, differences=differences)
            )
            if missing:
                queue(order, missing, desk)
            else:
                desk.fulfillments.put(order)
            book.close()
            stated = [difference.model_dump(mode="json") for difference in differences]
            return {**to_check(order), "differences": stated}


def to_check(order: Fulfillment) -> dict[str, object]:
    """What a checker's screen needs: how much was counted, not how much there should be, so that people count."""
    return {
        "order_id": order.order_id,
        "state": order.state.value,
        "lines": len(order.lines),
        "lines_counted": sum(1 for line in order.lines if line.counted or line.damaged),
        "pieces_counted": sum(line.counted + line.damaged for line in order.lines),
    }
