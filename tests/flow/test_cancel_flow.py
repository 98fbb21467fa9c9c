"""A canceled order is undone, and its buyer gets back all that they paid, whatever was paid back before (O3, O10)."""

from datetime import timedelta
from typing import Any

import pytest

from services.aftersales.handlers.asked import ApproveCase, OpenRefund, RejectCase
from services.orders.handlers.release import LiftHold
from shared.events import inbox
from shared.events.aftersales import ApprovalRequested, ReturnAuthorized, ReturnReason
from shared.events.orders import Hold, OrderPaid, PaymentAnomalyFound
from shared.values import PaymentMethod, SkuQuantity
from tests.builders import SOURCE, cancel, confirmed, lines, oid, paid, submitted
from tests.harness import AGENT, SUPERVISOR, refused_by
from tests.town import Town

TEA = (SkuQuantity(sku="TEA", quantity=2),)


@pytest.fixture
async def town() -> Town:
    town = Town()
    await town.stock()
    return town


async def dock(town: Town, case_id: str) -> None:
    """One piece comes back as new."""
    found = [{"sku": "TEA", "quantity": 1, "condition": "as_new"}]
    await town.scan(inbox.ReturnReceivedScanned, case_id=case_id)
    outcome = await town.scan(inbox.ReturnInspectedScanned, case_id=case_id, lines=found)
    assert outcome.refusal is None, outcome.refusal


async def one_of_two_left(town: Town, *reports: str, **parts: Any) -> tuple[str, str]:
    """The first of two parcels left, and its courier reported this of it; both numbers."""
    order = await town.release(**parts)
    await town.pick(order)
    await town.check(order)
    one = [{"sku": "TEA", "quantity": 1}]
    packed = [await town.scan(inbox.PackScanned, order_id=order, weight_grams=1, lines=one) for _ in "12"]
    first, second = (outcome.answer["tracking_number"] for outcome in packed)
    await town.scan(inbox.HandOverScanned, tracking_number=first)
    for report in reports:
        await town.track(first, report, cod_collected=5000 if parts and report == "delivered" else 0)
    await town.pass_time(timedelta(minutes=1))
    return first, second


async def give_back(town: Town, amount: int) -> None:
    """An agent asks for it, another person grants it."""
    refund = OpenRefund(order_id=oid(), amount=amount, reason="paid too much")
    opened = await town.ask("aftersales", refund, AGENT)
    await town.ask("aftersales", ApproveCase(case_id=opened.answer["case_id"]), SUPERVISOR)


async def settle_money(town: Town) -> None:
    lift = LiftHold(order_id=oid(), hold=Hold.PAYMENT_ANOMALY, reason="the rest was paid back")
    assert (await town.ask("orders", lift, SUPERVISOR)).refusal is None


@pytest.mark.requirement("O3")
@pytest.mark.requirement("O10")
@pytest.mark.parametrize("payments", [[12000], [10000, 2000], [4000, 8000]])
@pytest.mark.parametrize("back", [[2000], [500, 1500], [2600]])
@pytest.mark.parametrize("stage", ["held", "in the warehouse"])
async def test_what_was_paid_in_all_comes_back_with_a_cancel_once(
    town: Town, payments: list[int], back: list[int], stage: str
) -> None:
    await town.outside(submitted())
    for n, amount in enumerate(payments):
        await town.outside(paid(payment_id=f"p{n}", amount=amount))
    for amount in back:
        await give_back(town, amount)
    if stage == "in the warehouse":
        await settle_money(town)
        await town.outside(confirmed())
        assert len(town.said(OrderPaid)) == 1
        await town.pick(oid())
    await town.outside(cancel())
    assert town.refunds() == [*back, 12000 - sum(back)]
    assert town.row("orders", "orders", oid()).payment_status == "refunded"
    assert town.parked() == []


@pytest.mark.requirement("O3")
async def test_what_was_paid_too_much_can_be_given_back_after_the_cancel_too(town: Town) -> None:
    await town.outside(submitted())
    await town.outside(paid(amount=12000))
    await town.outside(cancel())
    assert town.refunds() == [10000]
    assert town.row("orders", "orders", oid()).standing() == [Hold.PAYMENT_ANOMALY]
    await give_back(town, 2000)
    await settle_money(town)
    assert town.refunds() == [10000, 2000]
    assert town.row("orders", "orders", oid()).payment_status == "refunded"


@pytest.mark.requirement("O10")
async def test_of_two_parcels_the_one_that_is_still_here_stays_and_is_paid_back(town: Town) -> None:
    _, second = await one_of_two_left(town)
    await town.outside(cancel())
    late = await town.scan(inbox.HandOverScanned, tracking_number=second)
    assert refused_by(late) == "canceled"
    assert town.refunds() == [5000]
    level = town.row("warehouse", "levels", "TEA")
    assert (level.on_hand, level.allocated, level.locations) == (99, 0, {"A-1": 99})
    assert town.parked() == []


@pytest.mark.requirement("O10")
@pytest.mark.parametrize("way", ["return_to_sender", "delivered and sent back"])
@pytest.mark.parametrize("reported", ["before the cancel", "after it"])
async def test_once_the_other_is_back_too_the_order_is_canceled_and_all_money_back(
    town: Town, way: str, reported: str
) -> None:
    report = way.split()[0]
    first, _ = await one_of_two_left(town, *([report] if reported == "before the cancel" else []))
    await town.outside(cancel())
    if reported == "after it":
        await town.track(first, report)
    await dock(town, next(e.case_id for e in town.said(ReturnAuthorized)))
    order = town.row("orders", "orders", oid())
    assert (order.status, order.payment_status) == ("canceled", "refunded")
    assert sum(town.refunds()) == 10000
    assert town.row("warehouse", "levels", "TEA").on_hand == 100
    assert town.parked() == []


@pytest.mark.requirement("O16")
@pytest.mark.parametrize("cod", [False, True])
@pytest.mark.parametrize("reported", ["before the cancel", "after it"])
async def test_a_buyer_who_keeps_the_other_pays_for_that_alone(town: Town, cod: bool, reported: str) -> None:
    parts = {"payment_method": PaymentMethod.COD} if cod else {}
    first, _ = await one_of_two_left(
        town, *(["delivered"] if reported == "before the cancel" else []), **parts
    )
    await town.outside(cancel())
    if reported == "after it":
        await town.track(first, "delivered", cod_collected=5000 if cod else 0)
    await town.pass_time(timedelta(days=30))
    order = town.row("orders", "orders", oid())
    assert (order.status, order.standing()) == ("completed", [])
    assert town.refunds() == ([] if cod else [5000])
    assert order.paid - order.refunded == 5000
    assert town.parked() == []


@pytest.mark.requirement("O10")
async def test_a_refused_cod_parcel_beside_one_that_stayed_ends_the_order_for_nothing(town: Town) -> None:
    first, _ = await one_of_two_left(town, payment_method=PaymentMethod.COD)
    await town.outside(cancel())
    await town.track(first, "return_to_sender")
    await town.pass_time(timedelta(days=30))
    assert (town.refunds(), town.row("orders", "orders", oid()).status) == ([], "canceled")
    assert town.row("orders", "orders", oid()).standing() == []


@pytest.mark.requirement("A6")
@pytest.mark.parametrize("lost", [True, False])
async def test_a_canceled_parcel_of_which_nothing_is_heard_is_put_before_a_person(
    town: Town, lost: bool
) -> None:
    order = await town.release()
    await town.track(await town.ship(order), "in_transit")
    await town.outside(cancel())
    await town.pass_time(timedelta(days=20))
    (asked,) = town.said(ApprovalRequested)
    assert "approval_requested" in town.letters("staff")
    decision = (
        ApproveCase(case_id=asked.case_id) if lost else RejectCase(case_id=asked.case_id, reason="has it")
    )
    await town.ask("aftersales", decision, SUPERVISOR)
    await town.pass_time(timedelta(days=20))
    ended = town.row("orders", "orders", order)
    assert town.refunds() == ([10000] if lost else [])
    assert (ended.status, ended.payment_status) == (
        ("canceled", "refunded") if lost else ("completed", "paid")
    )
    assert town.parked() == []


@pytest.mark.requirement("O10")
async def test_a_cancel_or_return_that_waits_for_a_case_is_told_which(town: Town) -> None:
    await town.ship(await town.release())
    refund = OpenRefund(order_id=oid(), amount=500, reason="late")
    case_id = (await town.ask("aftersales", refund, AGENT)).answer["case_id"]
    back = inbox.ReturnAsked(
        source=SOURCE, external_number="T-1", lines=TEA, reason=ReturnReason.CHANGED_MIND
    )
    for asked in (cancel(), back):
        refusal = (await town.outside(asked)).refusal
        assert refusal is not None
        assert case_id in refusal.detail


@pytest.mark.requirement("A2")
async def test_what_arrived_can_be_returned_while_another_parcel_is_under_way(town: Town) -> None:
    order = await town.release()
    first, second = await town.ship_apart(order, "TEA", "TEA")
    await town.track(first, "delivered")
    both = inbox.ReturnAsked(source=SOURCE, external_number="T-1", lines=TEA, reason=ReturnReason.DAMAGED)
    refusal = (await town.outside(both)).refusal
    assert refusal is not None
    assert refusal.detail == "1 of TEA can be returned now, not 2"
    missing = both.model_copy(update={"reason": ReturnReason.MISSING_ITEM})
    refusal = (await town.outside(missing)).refusal
    assert refusal is not None
    assert "under way" in refusal.detail, "it may be in the other"
    one = both.model_copy(update={"lines": (SkuQuantity(sku="TEA", quantity=1),)})
    case_id = (await town.outside(one)).answer["case_id"]
    await dock(town, case_id)
    assert town.refunds() == [5000]
    await town.track(second, "delivered")
    await town.pass_time(timedelta(days=30))
    assert town.row("orders", "orders", order).status == "completed"
    assert town.parked() == []


@pytest.mark.requirement("O3")
@pytest.mark.parametrize("short", [0, 2])
async def test_when_a_parcel_was_lost_a_courier_who_took_what_was_due_for_the_other_is_not_asked(
    town: Town, short: int
) -> None:
    """The fee is shared by both: each share is rounded, and the price of what was lost is worked out anew."""
    await town.stock("CUP")
    goods = lines(("TEA", 1, 5000), ("CUP", 1, 3000))
    order = await town.release(lines=goods, delivery_fee=900, payment_method=PaymentMethod.COD)
    tea, cup = await town.ship_apart(order, "TEA", "CUP")
    dues = [town.row("warehouse", "shipments", parcel).cod_due for parcel in (tea, cup)]
    assert dues == [5562, 3338]
    await town.track(tea, "delivered", cod_collected=5562 - short)
    await town.outside(cancel())
    await town.pass_time(timedelta(days=15))
    (asked,) = town.said(ApprovalRequested)
    await town.ask("aftersales", ApproveCase(case_id=asked.case_id), SUPERVISOR)  # the cup was lost
    await town.pass_time(timedelta(days=15))
    assert town.row("orders", "orders", order).status == "completed"
    assert [e.anomaly for e in town.said(PaymentAnomalyFound)] == ["underpaid_at_closing"] * bool(short)


@pytest.mark.requirement("O3")
@pytest.mark.parametrize("lost_first", [False, True])
async def test_cash_is_judged_when_all_that_is_asked_about_is_known(town: Town, lost_first: bool) -> None:
    """The buyer has one of two TEA, the other came back, and of the CUP nothing was heard."""
    await town.stock("CUP")
    goods = lines(("TEA", 2, 5000), ("CUP", 1, 3000))
    order = await town.release(lines=goods, payment_method=PaymentMethod.COD)
    first, second, _ = await town.ship_apart(order, "TEA", "TEA", "CUP")
    await town.outside(cancel())
    await town.track(first, "delivered", cod_collected=5000)
    await town.track(second, "return_to_sender")
    found = [{"sku": "TEA", "quantity": 1, "condition": "as_new"}]
    found += [{"sku": sku, "quantity": 1, "condition": "missing"} for sku in ("TEA", "CUP")]
    await town.scan(inbox.ReturnReceivedScanned, case_id=f"{order}-C1")
    await town.scan(inbox.ReturnInspectedScanned, case_id=f"{order}-C1", lines=found)
    await town.pass_time(timedelta(days=15))
    about = {
        town.row("aftersales", "cases", e.case_id).lines[0].sku: e.case_id
        for e in town.said(ApprovalRequested)
    }
    answers = [RejectCase(case_id=about["TEA"], reason="they have it"), ApproveCase(case_id=about["CUP"])]
    for answer in reversed(answers) if lost_first else answers:
        assert (await town.ask("aftersales", answer, SUPERVISOR)).refusal is None
    await town.pass_time(timedelta(days=15))
    assert town.row("orders", "orders", order).status == "completed"
    assert town.row("orders", "orders", order).due == 5000
    assert not town.said(PaymentAnomalyFound)
    assert town.refunds() == []
