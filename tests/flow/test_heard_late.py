"""A word that a service hears late, or after another's: the same is paid, asked and told as if it had come in time (X1)."""

from datetime import timedelta
from typing import Any

import pytest

from services.aftersales.handlers.asked import ApproveCase, OpenRefund, RejectCase
from services.orders.handlers.release import LiftHold, PlaceHold
from shared.events import inbox
from shared.events.aftersales import (
    ApprovalRequested,
    CaseOverdue,
    MoneyQuestion,
    ReturnReason,
)
from shared.events.orders import Hold, HoldPlaced, OrderCanceled
from shared.values import PaymentMethod, SkuQuantity
from tests.builders import SOURCE, cancel, confirmed, lines, oid, paid, submitted
from tests.harness import SUPERVISOR
from tests.town import CHECKER, Town

DAY = timedelta(days=1)
GOODS = {"TEA": 5000, "CUP": 3000, "POT": 2000}


async def packed(*skus: str, **parts: Any) -> tuple[Town, str, list[str]]:
    """An order of one piece of each, in a parcel each; their tracking numbers."""
    town = Town()
    for sku in skus:
        await town.stock(sku)
    order = await town.release(lines=lines(*((sku, 1, GOODS[sku]) for sku in skus)), **parts)
    return town, order, await town.pack_apart(order, *skus)


async def leave(town: Town, *numbers: str) -> None:
    for number in numbers:
        await town.scan(inbox.HandOverScanned, tracking_number=number)
    await town.pass_time(DAY)


async def ask_back(town: Town, *skus: str, reason: ReturnReason = ReturnReason.CHANGED_MIND) -> Any:
    pieces = tuple(SkuQuantity(sku=sku, quantity=1) for sku in skus)
    return await town.outside(
        inbox.ReturnAsked(source=SOURCE, external_number="T-1", lines=pieces, reason=reason)
    )


async def comes_back(town: Town, case_id: str, condition: str, *skus: str) -> None:
    await town.scan(inbox.ReturnReceivedScanned, case_id=case_id)
    found = [{"sku": sku, "quantity": 1, "condition": condition} for sku in skus]
    await town.scan(inbox.ReturnInspectedScanned, CHECKER, case_id=case_id, lines=found)


async def receipt(town: Town) -> None:
    await town.outside(inbox.ReceiptConfirmed(source=SOURCE, external_number="T-1"))


@pytest.mark.requirement("O10")
@pytest.mark.parametrize(
    "late", [("warehouse", "orders"), ("orders", "aftersales"), ("warehouse", "aftersales")]
)
@pytest.mark.parametrize("reason", [ReturnReason.CHANGED_MIND, ReturnReason.MISSING_ITEM])
async def test_nobody_can_send_back_what_a_cancel_kept_here_and_it_is_paid(
    late: tuple[str, str], reason: ReturnReason
) -> None:
    town, _, (tea, _) = await packed("TEA", "CUP")
    await leave(town, tea)
    await town.track(tea, "delivered")
    town.delay(late[0], to=late[1])
    await town.outside(cancel())
    asked = await ask_back(town, "CUP", reason=reason)
    assert asked.refusal is not None
    assert asked.refusal.code in ("not_returnable", "not_delivered")  # of what is delivered, or of all of it
    await town.catch_up()
    await town.pass_time(60 * DAY)
    assert sum(town.refunds()) == GOODS["CUP"]
    assert not town.parked()


@pytest.mark.requirement("O10")
@pytest.mark.parametrize("how", ["the other parcel is here first", "its time was up first", "they said so"])
@pytest.mark.parametrize("method", PaymentMethod)
async def test_no_order_is_canceled_whose_buyer_keeps_what_they_asked_to_send_back(
    method: PaymentMethod, how: str
) -> None:
    town, order, (tea, cup, _) = await packed("TEA", "CUP", "POT", payment_method=method)
    await leave(town, tea, cup)
    await town.track(tea, "delivered")
    asked = await ask_back(town, "TEA")
    await town.outside(cancel())
    if how == "they said so":
        await town.ask("aftersales", RejectCase(case_id=asked.answer["case_id"], reason="they keep it"))
    await town.track(cup, "return_to_sender")
    (late,) = [c for c in town.benches["aftersales"].store.rows("cases") if c.kind == "late_cancel"]
    if how != "its time was up first":
        await comes_back(town, late.case_id, "as_new", "CUP")
    await town.pass_time(60 * DAY)  # the tea never comes
    assert not town.said(OrderCanceled)
    assert town.row("orders", "orders", order).status == "completed"
    cod = method is PaymentMethod.COD
    assert town.row("orders", "orders", order).due == (GOODS["TEA"] if cod else sum(GOODS.values()))
    assert sum(town.refunds()) == (0 if cod else GOODS["CUP"] + GOODS["POT"])
    assert ("payment_anomaly" in town.letters("staff")) == cod  # nobody told of its cash


@pytest.mark.requirement("A3")
@pytest.mark.parametrize("late", [False, True])
async def test_nothing_is_paid_by_rule_for_a_parcel_of_which_both_ends_were_said(late: bool) -> None:
    town, order, (tea, _) = await packed("TEA", "CUP")
    await leave(town, tea)
    if late:
        town.delay("warehouse", to="aftersales")
        town.delay("orders", to="aftersales")
    await town.track(tea, "return_to_sender")
    await town.pass_time(timedelta(hours=1))
    await town.track(tea, "delivered")
    await town.outside(cancel())
    await town.catch_up()
    assert sum(town.refunds()) == GOODS["CUP"]
    (asked,) = town.said(ApprovalRequested)
    assert asked.reason == MoneyQuestion.END_DISPUTED
    await town.ask("aftersales", ApproveCase(case_id=asked.case_id), SUPERVISOR)
    assert sum(town.refunds()) == GOODS["TEA"] + GOODS["CUP"]
    assert town.row("orders", "orders", order).status == "canceled"


@pytest.mark.requirement("A3")
@pytest.mark.parametrize("canceled", [False, True])
@pytest.mark.parametrize("method", PaymentMethod)
@pytest.mark.parametrize("first", ["warehouse", "orders"])
async def test_a_receipt_and_a_parcel_that_turned_round_are_asked_about_whichever_is_heard_first(
    first: str, method: PaymentMethod, canceled: bool
) -> None:
    town, order, numbers = await packed("TEA", payment_method=method)
    await leave(town, *numbers)
    town.delay("aftersales", to="orders")
    if canceled:
        await town.outside(cancel())
    town.delay("warehouse", to="orders")
    if first == "orders":
        town.delay("warehouse", to="aftersales")
    await town.track(numbers[0], "return_to_sender")
    await receipt(town)
    await town.catch_up()
    await town.pass_time(20 * DAY)
    assert sum(town.refunds()) == 0
    (asked,) = town.said(ApprovalRequested)
    assert asked.reason == MoneyQuestion.RECEIPT_DISPUTED
    await town.ask("aftersales", RejectCase(case_id=asked.case_id, reason="they have it"), SUPERVISOR)
    await town.pass_time(20 * DAY)
    cod = method is PaymentMethod.COD
    assert town.row("orders", "orders", order).due == GOODS["TEA"]
    assert ("payment_anomaly" in town.letters("staff")) == cod
    assert sum(town.refunds()) == 0
    assert not town.parked()


@pytest.mark.requirement("O7")
async def test_an_order_that_is_held_already_is_held_anew_once_its_price_was_given_back() -> None:
    town, order = Town(), oid("T-1")
    await town.outside(submitted())
    hold = PlaceHold(order_id=order, hold=Hold.AWAITING_AUDIT, reason="large for a new buyer")
    await town.ask("orders", hold)
    await town.outside(paid())
    await town.outside(confirmed())
    opened = await town.ask("aftersales", OpenRefund(order_id=order, amount=10000, reason="wants out"))
    await town.ask("aftersales", ApproveCase(case_id=opened.answer["case_id"]), SUPERVISOR)
    (stands,) = [h for h in town.row("orders", "orders", order).holds if h.stands]
    assert stands.reason.startswith("all that was paid was given back")
    audits = [e.reason for e in town.said(HoldPlaced) if e.hold is Hold.AWAITING_AUDIT]
    assert audits == ["large for a new buyer", stands.reason]
    assert town.letters("staff").count("held") == 2
    await town.ask("orders", LiftHold(order_id=order, hold=Hold.AWAITING_AUDIT, reason="a gift"), SUPERVISOR)
    assert town.row("orders", "orders", order).released


@pytest.mark.requirement("A6")
@pytest.mark.parametrize("days", [10, 15])
@pytest.mark.parametrize("condition", ["missing", "wrong_item"])
async def test_an_empty_box_says_no_more_of_who_has_the_goods_than_its_courier_did(
    days: int, condition: str
) -> None:
    """Before a person was asked for want of a word, and after."""
    town, order, numbers = await packed("TEA")
    await leave(town, *numbers)
    await town.outside(cancel())
    await town.pass_time(days * DAY)
    case_id = f"{order}-C1"
    await comes_back(town, case_id, condition, "TEA")
    assert town.row("aftersales", "cases", case_id).state == "awaiting_approval"
    assert town.said(ApprovalRequested)[-1].reason == MoneyQuestion.NO_WORD
    await town.ask("aftersales", ApproveCase(case_id=case_id), SUPERVISOR)
    assert sum(town.refunds()) == GOODS["TEA"]
    assert town.row("orders", "orders", order).closed


@pytest.mark.requirement("A2")
@pytest.mark.parametrize("looked_at", [False, True])
async def test_of_a_late_box_that_the_dock_forgets_staff_are_told(looked_at: bool) -> None:
    town, order, numbers = await packed("TEA")
    await leave(town, *numbers)
    await town.track(numbers[0], "delivered")
    await ask_back(town, "TEA")
    await town.pass_time(15 * DAY)  # too late: it is rejected
    case_id = f"{order}-C1"
    if looked_at:
        await comes_back(town, case_id, "damaged", "TEA")
    else:
        await town.scan(inbox.ReturnReceivedScanned, case_id=case_id)
    await town.pass_time(60 * DAY)
    told = [e.case_id for e in town.said(CaseOverdue)]
    assert told == ([] if looked_at else [case_id])


@pytest.mark.requirement("N1")
@pytest.mark.parametrize("late", [False, True])
async def test_a_buyer_who_canceled_on_the_way_is_told_so_also_where_the_order_is_heard_of_last(
    late: bool,
) -> None:
    town = Town()
    await town.stock("TEA")
    if late:
        town.delay("orders", to="notify")
    order = await town.release()
    number = await town.ship(order)
    await town.outside(cancel())
    await town.track(number, "delivered")
    await town.catch_up()
    contact = town.row("notify", "contacts", order)
    assert contact.called_back
    assert contact.external_number == "T-1"
    assert not town.parked()
