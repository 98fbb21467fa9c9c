"""What must hold of goods, parcels, money and orders when all is quiet; see `invariants.py`."""

from collections import Counter, defaultdict
from datetime import datetime

from deploy.simulate.logs import Found, said
from deploy.simulate.world import World
from services.aftersales.domain.case import Refund
from shared.events.aftersales import CaseKind
from shared.events.base import topic_of
from shared.goods import by_sku
from shared.values import DeliveryMethod

CLOSED = ("completed", "canceled", "expired")


def stock(world: World) -> Found:
    """W1: stock is the sum of its moves, never below zero, and allocated is what open orders want"""
    node = world.node("warehouse")
    sums: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    booked = Counter[str]()
    for move in node.store.ledgers.get("moves", []):
        sums[move.sku][0] += move.on_hand
        sums[move.sku][1] += move.allocated
        booked[move.sku] += move.quantity if move.kind == "gone" else 0
        if not 0 <= sums[move.sku][1] <= sums[move.sku][0]:
            yield (
                move.sku,
                f"after a move for {move.order_id}: on hand {sums[move.sku][0]}, allocated {sums[move.sku][1]}",
            )
    lost = Counter[str]()
    for shipment in node.store.rows("shipments"):
        if shipment.state == "canceled" and shipment.shipped_at:
            lost.update({line.sku: line.quantity for line in shipment.lines})
    wanted: Counter[str] = Counter()
    for work in node.store.rows("fulfillments"):
        if work.state in ("allocated", "picking", "picked", "checking", "checked", "packed"):
            wanted.update(work.wanted())
    for level in node.store.rows("levels"):
        if [level.on_hand, level.allocated] != sums[level.sku]:
            yield level.sku, f"levels {level.on_hand}, {level.allocated}; moves {sums[level.sku]}"
        if sum(level.locations.values()) != level.on_hand:
            yield level.sku, f"on hand {level.on_hand}, in its places {dict(level.locations)}"
        if level.gone and level.available:
            yield level.sku, f"{level.available} are free, and {level.gone} that are gone are in the books"
        if lost[level.sku] != level.gone + booked[level.sku]:
            yield (
                level.sku,
                f"{lost[level.sku]} left in canceled parcels; booked {booked[level.sku]}, to book {level.gone}",
            )
        if level.allocated != wanted[level.sku]:
            yield level.sku, f"allocated {level.allocated}, open orders want {wanted[level.sku]}"


def parcels(world: World) -> Found:
    """W4, W7: two people; a parcel leaves once, whole, never canceled or unpacked; taken at the counter it is delivered"""
    left: Counter[str] = Counter()
    gone: set[str] = set()
    canceled: set[str] = set()
    void: set[str] = set()
    at_counter: dict[str, str] = {}
    for entry, what, data in said(world, "warehouse"):
        match what:
            case "fulfillment_checked" if data["picker"] == data["checker"]:
                yield entry.stream, f"{data['picker']} picked and checked"
            case "fulfillment_canceled":
                canceled.add(entry.stream)
                if entry.stream in gone:
                    yield entry.stream, "the order is called canceled, but its parcel has left"
            case "fulfillment_allocated":
                canceled.discard(entry.stream)
            case "fulfillment_cancel_refused" if data["kept_back"]:
                canceled.add(entry.stream)
            case "fulfillment_check_stopped":
                void.update(data["unpacked"])
            case "shipment_shipped":
                if data["shipment_id"] in void:
                    yield entry.stream, f"parcel {data['shipment_id']} was unpacked, and left"
                left[data["shipment_id"]] += 1
                gone.add(entry.stream)
                if data["delivery_method"] == DeliveryMethod.SELF_PICKUP:
                    at_counter[data["shipment_id"]] = entry.stream
                if left[data["shipment_id"]] > 1:
                    yield entry.stream, f"parcel {data['shipment_id']} left twice"
                if entry.stream in canceled:
                    yield entry.stream, "a parcel left for a canceled order, or was to be kept back"
            case "shipment_delivered" | "shipment_returned":
                at_counter.pop(data["shipment_id"], None)
            case "canceled_shipment_left":
                left[data["shipment_id"]] += 1
                if left[data["shipment_id"]] > 1:
                    yield entry.stream, f"parcel {data['shipment_id']} left twice"
    for shipment_id, stream in at_counter.items():
        yield stream, f"parcel {shipment_id} was taken over the counter, and is not called delivered"
    packed: dict[str, Counter[str]] = defaultdict(Counter)
    for shipment in world.node("warehouse").store.rows("shipments"):
        under_way = shipment.tracking_status not in (
            "pre_transit",
            "exception",
            "unknown",
            "available_for_pickup",
        )
        if under_way and not left[shipment.shipment_id]:
            yield (
                shipment.shipment_id,
                f"its courier says {shipment.tracking_status}, and nobody was told that it left",
            )
        if bool(shipment.shipped_at) != bool(left[shipment.shipment_id]):
            yield (
                shipment.shipment_id,
                f"left at {shipment.shipped_at}, told {left[shipment.shipment_id]} times",
            )
        if shipment.state != "canceled":
            packed[shipment.order_id].update({line.sku: line.quantity for line in shipment.lines})
    for work in world.node("warehouse").store.rows("fulfillments"):
        if work.checker in work.pickers:
            yield work.order_id, f"{work.checker} checked what they had picked a part of"
        if work.state == "shipped" and packed[work.order_id] != Counter(work.wanted()):
            yield work.order_id, f"wants {work.wanted()}, got {dict(packed[work.order_id])}"


def money(world: World) -> Found:
    """O3: money counts once, and whoever is owed it gets it back once"""
    asked: Counter[str] = Counter()
    for _, what, data in said(world, "aftersales"):
        if what == "refund_requested":
            asked[data["order_id"]] += data["amount"]["amount"]
    cash: Counter[str] = Counter()
    for _, what, data in said(world, "warehouse"):
        if what == "shipment_delivered":
            cash[data["order_id"]] += data["cod_collected"]
        elif what == "cod_collected":
            cash[data["order_id"]] += data["amount"]
    told: Counter[str] = Counter()
    for shipment in world.node("warehouse").store.rows("shipments"):
        told[shipment.order_id] += shipment.cod_collected
        reported = world.people[shipment.order_id].couriers.cash.get(shipment.shipment_id, 0)
        if shipment.courier != "pickup" and shipment.cod_collected != reported:
            yield (
                shipment.shipment_id,
                f"its courier told of {reported} in cash, the warehouse knows {shipment.cod_collected}",
            )
    for order in world.node("orders").store.rows("orders"):
        odd = sum(p.whole for p in order.payments if p.payment_id.startswith("cod:"))
        if not order.cod_collected + odd == cash[order.order_id] == told[order.order_id]:
            yield (
                order.order_id,
                f"couriers told of {told[order.order_id]} in cash, orders has {order.cod_collected} and {odd}",
            )
        due = order.due - order.cod_rounded  # as labels rounded the share of what was lost
        short = order.is_cod and order.status == "completed" and order.cod_collected < due
        if short and not any(h.hold == "payment_anomaly" for h in order.holds):
            yield order.order_id, f"{order.cod_collected} of {order.due} in cash, and nobody was told"
        captured: Counter[str] = Counter(p.payment_id for p in order.payments)
        if twice := [name for name, n in captured.items() if n > 1]:
            yield order.order_id, f"payments {twice} count twice"
        paid = sum(p.amount for p in order.payments if p.counts)
        if paid > order.total:
            yield order.order_id, f"{paid} counts towards a total of {order.total}"
        refunded = order.refunded + order.excess_refunded
        if refunded != asked[order.order_id]:
            yield (
                order.order_id,
                f"orders knows of {refunded} refunded, after-sales asked for {asked[order.order_id]}",
            )
        whole = sum(p.whole for p in order.payments if p.currency == order.currency) + order.cod_collected
        if asked[order.order_id] > whole:
            yield order.order_id, f"{whole} was paid, {asked[order.order_id]} refunded"
        if order.status in ("canceled", "expired") and not order.open_cases and not order.kept_cases:
            owed = paid + order.cod_collected
            # cash may still be told of after its goods were settled; cash that was not due may go back with the price
            if not owed <= order.refunded <= owed + odd and not (
                order.is_cod and order.fulfillment not in ("none", "canceled")
            ):
                yield order.order_id, f"{order.status}, {owed} paid, {order.refunded} refunded"


def _first(world: World, type_name: str) -> dict[str, datetime]:
    """When this was first said of each order."""
    log = world.node(topic_of(type_name)).store.event_log
    return {e.stream.removeprefix("order/"): e.time for e in reversed(log) if e.type == type_name}


def ends(world: World) -> Found:
    """O14: every order comes to an end, and the services agree on it"""
    disputed = {case.order_id for case in world.node("aftersales").store.rows("cases") if case.disputed}
    contradicted = _first(world, "warehouse.shipment_end_disputed.v1")
    canceled = _first(world, "orders.order_canceled.v1")
    # paid or canceled before its courier said that it had delivered what it was to bring back
    paid_before = {one for one, people in world.people.items() if people.story.after_all} - disputed
    paid_before |= {one for one in canceled.keys() & contradicted if canceled[one] < contradicted[one]}
    paid_before |= _first(world, "aftersales.paid_goods_arrived.v1").keys()
    granted: dict[str, Counter[str]] = defaultdict(Counter)  # without seeing them: nobody looks who has them
    for case in world.node("aftersales").store.rows("cases"):
        if case.kind == CaseKind.REFUND_ONLY and case.refund is Refund.REQUESTED:
            granted[case.order_id] += by_sku(case.lines)
    for order_id, people in world.people.items():
        order = world.row("orders", "orders", order_id)
        work = world.row("warehouse", "fulfillments", order_id)
        has = people.story.has - granted[order_id]
        if order is None:
            yield order_id, f"{people.story.number} was lost"
        elif order.status not in CLOSED:
            where = (
                f"{order.fulfillment}, holds {order.standing()}, warehouse: {work.state if work else None}"
            )
            yield order_id, f"{order.status}, {where}"
        elif order.status == "canceled" and work and work.state not in ("canceled", "shipped"):
            yield order_id, f"canceled, but the warehouse has it {work.state}"
        elif work and work.state not in ("canceled", "shipped"):
            yield order_id, f"{order.status}, and the warehouse still works on it: {work.state}"
        elif order.status == "canceled" and order_id not in paid_before and has:
            yield order_id, f"canceled ({order.closed_reason}), and the buyer has {dict(has)}"
        if order is not None and order.open_cases:
            yield order_id, f"cases {order.open_cases} are never closed"
        if order is not None and order.lines != people.story.submission.lines:
            yield order_id, "its lines are not those that were handed in"
    for case in world.node("aftersales").store.rows("cases"):
        if case.state != "closed":
            yield case.order_id, f"case {case.case_id} is {case.state} for good"
    for shipment in world.node("warehouse").store.rows("shipments"):
        if shipment.state == "ready":
            yield shipment.order_id, f"parcel {shipment.shipment_id} is never sent and never unpacked"
    waiting = Counter(row.sku for row in world.node("warehouse").store.rows("backorders"))
    for level in world.node("warehouse").store.rows("levels"):
        if level.waiting != waiting[level.sku]:
            yield level.sku, f"{level.waiting} orders are said to wait, {waiting[level.sku]} do"
