"""What is promised of goods: in turn, to whoever waits, and none from nowhere; see `invariants.py`."""

from collections import Counter, defaultdict
from datetime import datetime
from typing import Any

from deploy.simulate.logs import LAG, Found, said, stopped
from deploy.simulate.world import World
from services.warehouse.handlers.adjusting import AdjustStock
from services.warehouse.handlers.allocation import Reallocate
from shared.events.inbox import PickScanned, StockScanned
from shared.goods import by_sku


def served(world: World) -> Found:
    """W2: first come, first served: nobody gets what an order that came before would have done with"""
    came: dict[str, int] = {}  # in which turn: by the log, for hosts have clocks of their own
    turn, said_at = 0, None
    waits: dict[str, dict[str, int]] = defaultdict(dict)

    def leaves(order: str) -> None:
        for row in waits.values():
            row.pop(order, None)

    for entry, what, data in said(world, "warehouse"):
        order = entry.stream
        turn, said_at = turn + (entry.time != said_at), entry.time
        match what:
            case "fulfillment_backordered":
                came.setdefault(order, turn)
                wants = _wants(world, order)
                if len(wants) == 1:
                    waits[next(iter(wants))][order] = wants.total()
            case "fulfillment_allocated":
                came.setdefault(order, turn)
                leaves(order)
                for line in data["lines"]:
                    for other, n in waits[line["sku"]].items():
                        if n <= line["quantity"] and came[other] < came[order]:
                            yield (
                                order,
                                f"got {line['quantity']} of {line['sku']}, and {other} waited longer for {n}",
                            )
            case "fulfillment_canceled" | "fulfillment_cancel_refused" | "fulfillment_refused":
                leaves(order)
                came.pop(order, None)


def _wants(world: World, stream: str) -> Counter[str]:
    return by_sku(world.people[stream.removeprefix("order/")].story.submission.lines)


def idle(world: World) -> Found:
    """W2: nobody waits for days for what is there"""
    free: dict[str, list[tuple[datetime, int]]] = defaultdict(list)
    have: Counter[str] = Counter()
    for move in world.node("warehouse").store.ledgers.get("moves", []):
        have[move.sku] += move.on_hand - move.allocated
        free[move.sku].append((move.at, have[move.sku]))
    waits: dict[str, datetime] = {}
    if Reallocate.timer_name in stopped(world, "warehouse"):
        return  # nobody was offered anything until that was mended
    for entry, what, _ in said(world, "warehouse"):
        if what == "fulfillment_backordered":
            waits.setdefault(entry.stream, entry.time)
        elif what in ("fulfillment_allocated", "fulfillment_canceled") and entry.stream in waits:
            since = waits.pop(entry.stream)
            there = [since]
            for sku, n in _wants(world, entry.stream).items():
                enough = None
                for at, left in free[sku]:
                    if at >= entry.time:
                        break
                    enough = (enough or at) if left >= n else None
                there.append(enough or entry.time)
            if entry.time - max(there) > LAG:
                yield entry.stream, f"waited until {entry.time}, and all was there from {max(there)} on"


def listed(world: World) -> Found:
    """W2: shops know what is to be had"""
    gone: dict[str, bool] = {}
    for _, what, data in said(world, "warehouse"):
        if what in ("stock_depleted", "stock_replenished"):
            if gone.get(data["sku"], False) == (what == "stock_depleted"):
                yield data["sku"], f"{what} was said of what shops knew so already"
            gone[data["sku"]] = what == "stock_depleted"
    for level in world.node("warehouse").store.rows("levels"):
        if (told_gone := gone.get(level.sku, False)) != (level.available == 0):
            yield level.sku, f"{level.available} are free, told to be gone: {told_gone}"


def goods(world: World) -> Found:
    """W1, W8: what is in the house is what was scanned in, less what left and what was thrown away"""
    there: Counter[str] = Counter()
    thrown: Counter[str] = Counter()
    spoiled: Counter[str] = Counter()
    boxes: Counter[str] = Counter()
    parcels = {one.shipment_id: one for one in world.node("warehouse").store.rows("shipments")}
    for scan in world.node("warehouse").store.ledgers.get("applied", []):
        if isinstance(box := world.receipts.sent.get(scan.message), StockScanned):
            there[box.barcode] += box.quantity
    for entry, what, data in said(world, "warehouse"):
        match what:
            case "stock_adjusted":
                if not _was_asked(world, entry, data):
                    yield (
                        data["sku"],
                        f"{data['change']} were adjusted, and {entry.causation_id} asked for something else",
                    )
                there[data["sku"]] += data["change"]
            case "stock_scrapped":
                thrown[data["sku"]] += data["quantity"]
            case "shipment_shipped" | "canceled_shipment_left":
                for line in parcels[data["shipment_id"]].lines:
                    there[line.sku] -= line.quantity
            case "return_inspected":
                boxes[data["case_id"]] += 1
                if boxes[data["case_id"]] > 1:
                    yield data["case_id"], "its box was inspected twice"
                for line in data["lines"]:
                    if line["condition"] != "missing":
                        there[line["sku"]] += line["quantity"]
                    if line["condition"] in ("damaged", "wrong_item"):
                        spoiled[line["sku"]] += line["quantity"]
    for level in world.node("warehouse").store.rows("levels"):
        if level.on_hand - level.gone != there[level.sku] - thrown[level.sku]:
            yield (
                level.sku,
                f"{level.on_hand} in the books, {there[level.sku] - thrown[level.sku]} in the house",
            )
        if thrown[level.sku] < spoiled[level.sku]:
            yield level.sku, f"{spoiled[level.sku]} came back unfit, {thrown[level.sku]} were thrown away"


def _was_asked(world: World, entry: Any, data: dict[str, Any]) -> bool:
    """True when the books were changed as the back office asked, or by no more than a picker missed: some of it may have been
    known to be gone."""
    cause = entry.causation_id
    match world.receipts.asked.get(cause) or world.receipts.sent.get(f"{entry.actor_name} {cause}"):
        case AdjustStock(sku=sku, change=change):
            return bool((data["sku"], data["change"]) == (sku, change))
        case PickScanned(barcode=sku, missing=missing):
            return bool(data["sku"] == sku and 0 < -data["change"] <= missing)
    return False


def tracked(world: World) -> Found:
    """W11: where a parcel ended first stands, whatever is told later"""
    ended: dict[str, str] = {}
    for entry, what, data in said(world, "warehouse"):
        if what == "tracking_updated":
            stands = ended.get(data["shipment_id"], data["status"])
            if data["status"] != stands:
                yield entry.stream, f"{data['shipment_id']} was {stands}, and is {data['status']} now"
            if data["status"] in ("delivered", "return_to_sender"):
                ended[data["shipment_id"]] = data["status"]
    for shipment in world.node("warehouse").store.rows("shipments"):
        if ended.get(shipment.shipment_id, shipment.tracking_status) != shipment.tracking_status:
            yield (
                shipment.shipment_id,
                f"told as {ended[shipment.shipment_id]}, is {shipment.tracking_status}",
            )
