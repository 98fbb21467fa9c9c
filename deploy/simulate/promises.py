"""What is promised of orders and cases: when they go on, who may decide, and who hears that nobody did; see `invariants.py`."""

from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from datetime import datetime
from typing import Any

from deploy.simulate.logs import LAG, Found, said, stopped
from deploy.simulate.world import World
from services.aftersales.domain.policy import Policy
from services.aftersales.handlers.asked import OpenRefund, OpenReturn
from services.orders.handlers.release import LiftHold
from shared.events.aftersales import RejectReason
from shared.values import Role

LIFTED_BY_AN_ANSWER = ("address_unconfirmed", "cod_unconfirmed", "unreachable_address")
"""Holds that the buyer's word about address and cash lifts."""


def released(world: World) -> Found:
    """O7: an order goes to the warehouse when it is paid, and nothing stands against it"""
    holds: dict[str, set[str]] = defaultdict(set)
    paid: Counter[str] = Counter()
    placed: dict[str, Any] = {}
    for entry, what, data in said(world, "orders"):
        match what:
            case "order_placed":
                placed[entry.stream] = data
            case "hold_placed":
                holds[entry.stream].add(data["hold"])
            case "hold_lifted":
                holds[entry.stream].discard(data["hold"])
            case "payment_recorded":
                paid[entry.stream] += data["amount"]["amount"]
            case "order_released":
                if holds[entry.stream]:
                    yield entry.stream, f"released, and {sorted(holds[entry.stream])} stand against it"
                order = placed.get(entry.stream)
                if order is None:
                    yield entry.stream, "released, and it was never placed"
                elif order["payment_method"] == "prepaid" and paid[entry.stream] < order["total"]:
                    yield entry.stream, f"released with {paid[entry.stream]} of {order['total']} paid"


def received(world: World) -> Found:
    """O16: nobody has received what has not left"""
    left = _left(world)
    for entry, what, _ in said(world, "orders"):
        if what == "order_completed" and not (entry.stream in left and left[entry.stream] <= entry.time):
            yield entry.stream, f"completed at {entry.time}, and its goods left at {left.get(entry.stream)}"


def _left(world: World) -> dict[str, datetime]:
    """When all of an order that was to leave had left."""
    return {
        entry.stream: entry.time
        for entry, what, data in said(world, "warehouse")
        if (what == "shipment_shipped" and data["last"])
        or (what == "fulfillment_cancel_refused" and data["kept_back"])
    }


def escalated(world: World) -> Found:
    """O6, O11: a deadline that is missed is told, once"""
    shipped = _left(world)
    began: dict[str, datetime] = {}
    ended: dict[str, datetime] = {}
    placed: dict[str, Any] = {}
    told: dict[str, Counter[str]] = defaultdict(Counter)
    asked: dict[str, list[datetime]] = defaultdict(list)
    answered_at: dict[str, list[datetime]] = defaultdict(list)
    for entry, what, data in said(world, "orders"):
        match what:
            case "order_placed":
                placed[entry.stream] = data
                if data["payment_method"] == "cod":
                    began[entry.stream] = entry.time
            case "order_paid":
                began[entry.stream] = entry.time
            case "order_escalated":
                told[entry.stream][data["overdue"]] += 1
            case "order_completed" | "order_canceled" | "order_expired":
                ended[entry.stream] = entry.time
            case "address_confirmation_requested":
                asked[entry.stream].append(datetime.fromisoformat(data["answer_by"]))
            case "hold_lifted" if data["hold"] in LIFTED_BY_AN_ANSWER:
                answered_at[entry.stream].append(entry.time)
    for stream, data in placed.items():
        for overdue in ("ship_by", "deliver_by"):
            if told[stream][overdue] > 1:
                yield stream, f"{overdue} was told {told[stream][overdue]} times"
        if told[stream]["address_confirmation"] > len(asked[stream]):
            yield (
                stream,
                f"asked {len(asked[stream])} times, escalated {told[stream]['address_confirmation']} times",
            )
        if stream in began:
            late = max(datetime.fromisoformat(data["ship_by"]), began[stream]) + LAG
            over = min([t for t in (shipped.get(stream), ended.get(stream)) if t] or [world.now()])
            if late < over and not told[stream]["ship_by"]:
                yield stream, "its dispatch was overdue for days, and nobody was told"
        done = answered_at[stream] + ([ended[stream]] if stream in ended else [])
        must = sum(all(at > by + LAG for at in done) for by in asked[stream])
        if told[stream]["address_confirmation"] < must:
            yield stream, "its address was not confirmed for days, and nobody was told"


def decided(world: World) -> Found:
    """A3, O3: nobody decides about their own request, or above their authority"""
    opened: dict[str, str] = {}
    given: Counter[str] = Counter()
    amounts: dict[str, int] = {}
    for entry, what, data in said(world, "aftersales"):
        match what:
            case "case_opened":
                cause = world.receipts.asked.get(entry.causation_id or "")
                if isinstance(cause, OpenRefund | OpenReturn):
                    opened[data["case_id"]] = entry.actor_name
            case "approval_requested":
                amounts[data["case_id"]] = data["amount"]["amount"]
            case "case_rejected" if data["reason"] in (RejectReason.BY_AGENT, RejectReason.WITHDRAWN):
                own = opened.get(data["case_id"]) == entry.actor_name
                stake = given[entry.stream] + amounts.get(data["case_id"], 0)
                if not own and _ordinary(world, entry) and stake > Policy().agent_limit["CNY"]:
                    yield entry.stream, f"{entry.actor_name} refused {data['case_id']}: {stake} are at stake"
                if data["reason"] == RejectReason.BY_AGENT and own:
                    yield entry.stream, f"{entry.actor_name} refused their own {data['case_id']}"
            case "case_approved" if not data["by_rule"]:
                if opened.get(data["case_id"]) == entry.actor_name:
                    yield entry.stream, f"{entry.actor_name} granted their own {data['case_id']}"
                stake = given[entry.stream] + amounts[data["case_id"]]
                if _ordinary(world, entry) and stake > Policy().agent_limit["CNY"]:
                    yield entry.stream, f"{entry.actor_name} granted {data['case_id']}: {stake} are at stake"
            case "case_approved":
                if data["case_id"] in amounts and data["case_id"] in opened:
                    yield entry.stream, f"{data['case_id']} was granted by rule after a person was asked"
            case "refund_requested":
                given[entry.stream] += data["amount"]["amount"]
    for entry, what, data in said(world, "orders"):
        if what == "hold_lifted" and isinstance(world.receipts.asked.get(entry.causation_id or ""), LiftHold):
            above = data["hold"] in ("payment_anomaly", "awaiting_audit") and _ordinary(world, entry)
            if above or data["hold"] in ("cancel_pending", "address_unconfirmed", "cod_unconfirmed"):
                yield entry.stream, f"{entry.actor_name} lifted {data['hold']}"


def _ordinary(world: World, entry: Any) -> bool:
    return world.actors[entry.actor_name].role is Role.ORDINARY


def _between(times: list[datetime], first: datetime, last: datetime) -> bool:
    """Whether one of these lies there: where nothing else goes on, a service may be away for days."""
    return bisect_right(times, first) < bisect_left(times, last)


def overdue_cases(world: World) -> Found:
    """A7: a case with which nobody goes on is told, once for each time"""
    patience = Policy().case_overdue_after
    awake = sorted(entry.time for entry, *_ in said(world, "aftersales"))
    told, must, may = Counter[str](), Counter[str](), Counter[str]()
    late_news = stopped(world, "aftersales")
    came: dict[str, datetime] = {}
    looked_at: list[tuple[str, datetime]] = []
    for entry, what, data in said(world, "warehouse"):
        if what == "return_received":
            came[data["case_id"]] = world.committed[entry.hash]
        elif what == "return_inspected" and entry.stream not in late_news:
            looked_at.append((data["case_id"], entry.time))
    asked: dict[str, datetime] = {}
    over: dict[str, datetime] = {}
    refused: set[str] = set()
    for entry, what, data in said(world, "aftersales"):
        match what:
            case "approval_requested":
                asked[data["case_id"]] = entry.time
                may[data["case_id"]] += 1
            case "case_approved" | "case_rejected" | "case_closed" | "return_authorized":
                case_id = data["case_id"]
                since, box = asked.pop(case_id, entry.time), came.get(case_id, entry.time)
                until = min(entry.time, box) if box >= since else entry.time  # a box decides too
                must[case_id] += until - since > patience + LAG and _between(awake, since + patience, until)
                if what == "case_closed":
                    over.setdefault(case_id, entry.time)
                elif what == "case_rejected":
                    refused.add(case_id)
            case "case_overdue":
                told[data["case_id"]] += 1
    may.update(came.keys())
    for case_id, at in looked_at:
        late = (
            over.get(case_id, at) < at and case_id not in refused
        )  # paid before the box came, as when its courier lost it
        lasted = at - came[case_id] > patience + LAG and _between(awake, came[case_id] + patience, at)
        must[case_id] += lasted and not late
    for case_id in told | must:
        least = 0 if f"aftersales.case_due/{case_id}" in late_news else must[case_id]
        if not least <= told[case_id] <= may[case_id]:
            yield (
                case_id,
                f"overdue was told {told[case_id]} times; it waited {must[case_id]} to {may[case_id]} times",
            )
