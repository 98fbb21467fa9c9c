"""Orders, warehouse and after-sales together: what goes wrong after the parcel left, from the word to the money."""

from datetime import timedelta
from typing import Any

import pytest

from services.aftersales.handlers.asked import ApproveCase, OpenRefund, RejectCase
from shared.events import inbox
from shared.events.aftersales import (
    ApprovalRequested,
    CaseApproved,
    CaseClosed,
    CaseKind,
    CaseOpened,
    CaseRejected,
    RejectReason,
    ReturnAuthorized,
    ReturnReason,
)
from shared.events.orders import OrderCanceled, OrderCompleted
from shared.values import PaymentMethod, SkuQuantity
from tests.builders import SOURCE, cancel, lines, oid, paid, receipt, submitted
from tests.harness import AGENT, SHOP, SUPERVISOR, refused_by
from tests.town import Town


@pytest.fixture
async def town() -> Town:
    town = Town()
    await town.stock()
    return town


def asks(
    number: str = "T-1", quantity: int = 2, reason: ReturnReason = ReturnReason.CHANGED_MIND
) -> inbox.ReturnAsked:
    goods = (SkuQuantity(sku="TEA", quantity=quantity),)
    return inbox.ReturnAsked(source=SOURCE, external_number=number, lines=goods, reason=reason)


async def dock(town: Town, case_id: str, condition: str = "as_new", quantity: int = 2) -> None:
    for event, parts in (
        (inbox.ReturnReceivedScanned, {}),
        (
            inbox.ReturnInspectedScanned,
            {"lines": [{"sku": "TEA", "quantity": quantity, "condition": condition}]},
        ),
    ):
        parcel: dict[str, Any] = {"case_id": case_id, **parts}
        outcome = await town.scan(event, **parcel)
        assert outcome.refusal is None, outcome.refusal


async def delivered(town: Town, **parts: Any) -> str:
    order = await town.release(**parts)
    number = await town.ship(order)
    await town.track(number, "delivered", cod_collected=10000 if "payment_method" in parts else 0)
    return order


@pytest.mark.requirement("A2")
@pytest.mark.requirement("W8")
async def test_a_return_goes_from_the_word_to_the_money(town: Town) -> None:
    order = await delivered(town)
    outcome = await town.outside(asks())
    case_id = outcome.answer["case_id"]
    assert town.said(CaseApproved)[0].by_rule
    await dock(town, case_id)
    assert town.refunds() == [10000]
    assert town.row("warehouse", "levels", "TEA").locations == {"A-1": 98, "RETURNS": 2}
    assert town.row("orders", "orders", order).payment_status == "refunded"
    await town.pass_time(timedelta(days=8))
    assert len(town.said(OrderCompleted)) == 1
    assert town.parked() == []


@pytest.mark.requirement("A2")
async def test_half_of_the_goods_brings_half_of_the_money(town: Town) -> None:
    await delivered(town)
    case_id = (await town.outside(asks(quantity=1))).answer["case_id"]
    await dock(town, case_id, quantity=1)
    again = await town.outside(asks(quantity=2))
    assert town.refunds() == [5000]
    assert refused_by(again) == "not_returnable"


@pytest.mark.requirement("A2")
async def test_what_does_not_come_back_as_agreed_is_rejected(town: Town) -> None:
    await delivered(town)
    case_id = (await town.outside(asks())).answer["case_id"]
    await dock(town, case_id, condition="damaged")
    assert town.refunds() == []
    assert [e.reason for e in town.said(CaseRejected)] == [RejectReason.NOT_AS_AGREED]


@pytest.mark.requirement("A2")
async def test_goods_that_never_come_close_the_case(town: Town) -> None:
    await delivered(town)
    await town.outside(asks())
    await town.pass_time(timedelta(days=15))
    assert [e.reason for e in town.said(CaseRejected)] == [RejectReason.NOT_RETURNED]
    assert len(town.said(CaseClosed)) == 1


@pytest.mark.requirement("A2")
async def test_goods_that_come_after_their_time_wait_for_a_person_who_may_still_pay_for_them(
    town: Town,
) -> None:
    order = await delivered(town)
    case_id = (await town.outside(asks())).answer["case_id"]
    await town.pass_time(timedelta(days=15))
    await dock(town, case_id)
    late = town.said(CaseOpened)[1].case_id
    assert town.refunds() == []
    await town.ask("aftersales", ApproveCase(case_id=late), SUPERVISOR)
    assert town.refunds() == [10000]
    assert town.row("orders", "orders", order).payment_status == "refunded"
    assert town.parked() == []


async def test_a_return_asked_too_late_is_rejected_and_one_before_delivery_refused(town: Town) -> None:
    number = await town.ship(await town.release())
    early = await town.outside(asks())
    assert refused_by(early) == "not_delivered"
    await town.track(number, "delivered")
    await town.pass_time(timedelta(days=16))
    await town.outside(asks())
    assert [e.reason for e in town.said(CaseRejected)] == [RejectReason.OUTSIDE_WINDOW]


@pytest.mark.requirement("A2")
async def test_a_buyer_who_confirmed_receipt_may_return_although_the_courier_said_nothing(town: Town) -> None:
    await town.ship(await town.release())
    early = await town.outside(asks())
    assert refused_by(early) == "not_delivered"
    await town.outside(receipt())
    await dock(town, (await town.outside(asks())).answer["case_id"])
    assert town.refunds() == [10000]
    assert town.parked() == []


@pytest.mark.requirement("A3")
async def test_above_the_limit_a_person_with_authority_decides_and_never_on_their_own_request(
    town: Town,
) -> None:
    await delivered(town, lines=lines(("TEA", 2, 80000)))
    case_id = (await town.outside(asks(), actor=SHOP)).answer["case_id"]
    assert town.said(ReturnAuthorized) == []
    by_agent = await town.ask("aftersales", ApproveCase(case_id=case_id), AGENT)
    assert refused_by(by_agent) == "no_authority"
    await town.ask("aftersales", ApproveCase(case_id=case_id), SUPERVISOR)
    assert len(town.said(ReturnAuthorized)) == 1


@pytest.mark.requirement("A3")
async def test_nobody_approves_their_own_refund(town: Town) -> None:
    order = await delivered(town)
    refund = OpenRefund(order_id=order, amount=2000, reason="a dent in the tin")
    case_id = (await town.ask("aftersales", refund, SUPERVISOR)).answer["case_id"]
    own = await town.ask("aftersales", ApproveCase(case_id=case_id), SUPERVISOR)
    assert refused_by(own) == "no_authority"
    await town.ask("aftersales", ApproveCase(case_id=case_id), AGENT)
    assert town.refunds() == [2000]
    too_much = await town.ask("aftersales", OpenRefund(order_id=order, amount=9000, reason="more"), AGENT)
    assert refused_by(too_much) == "amount"


@pytest.mark.requirement("A1")
async def test_a_cancel_after_shipping_is_a_case_that_ends_with_the_goods_and_the_money(town: Town) -> None:
    order = await town.release()
    number = await town.ship(order)
    await town.outside(cancel())
    case = town.said(CaseOpened)[0]
    assert case.kind is CaseKind.LATE_CANCEL
    await town.track(number, "return_to_sender")
    assert len(town.said(CaseOpened)) == 1
    await dock(town, case.case_id)
    assert town.refunds() == [10000]
    assert town.row("orders", "orders", order).status == "canceled"


@pytest.mark.requirement("A6")
@pytest.mark.parametrize("canceled", [False, True])
async def test_a_parcel_that_the_courier_loses_on_its_way_back_is_paid_back_all_the_same(
    town: Town, canceled: bool
) -> None:
    order = await town.release()
    number = await town.ship(order)
    if canceled:
        await town.outside(cancel())
    await town.track(number, "return_to_sender")
    await town.pass_time(timedelta(days=15))
    assert town.refunds() == [10000]
    after = town.row("orders", "orders", order)
    assert (after.status, after.payment_status) == ("canceled", "refunded")
    await dock(town, town.said(CaseOpened)[0].case_id)
    assert town.refunds() == [10000]
    assert town.parked() == []


@pytest.mark.requirement("A6")
@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("cod", [False, True])
async def test_when_one_of_two_parcels_arrives_and_one_is_lost_the_order_completes_with_what_arrived(
    town: Town, first: int, cod: bool
) -> None:
    order = await town.release(**({"payment_method": PaymentMethod.COD} if cod else {}))
    numbers = await town.ship_apart(order, "TEA", "TEA")
    due = [town.row("warehouse", "shipments", number).cod_due for number in numbers]
    assert due == ([5000, 5000] if cod else [0, 0])
    reports = [("delivered", {"cod_collected": due[0]}), ("return_to_sender", {})]
    for n in (first, 1 - first):
        status, parts = reports[n]
        await town.track(numbers[n], status, **parts)
    await town.pass_time(timedelta(days=15))
    assert town.refunds() == ([] if cod else [5000])
    assert town.row("orders", "orders", order).status == "approved"
    await town.pass_time(timedelta(days=8))
    assert town.row("orders", "orders", order).status == "completed"
    assert town.parked() == []


@pytest.mark.requirement("A1")
async def test_an_order_of_two_parcels_that_both_come_back_is_canceled_with_the_last(town: Town) -> None:
    order = await town.release()
    numbers = await town.ship_apart(order, "TEA", "TEA")
    for number in numbers:
        await town.track(number, "return_to_sender")
    for opened, status in zip(town.said(CaseOpened), ("approved", "canceled"), strict=True):
        await dock(town, opened.case_id, quantity=1)
        assert town.row("orders", "orders", order).status == status
    assert town.refunds() == [5000, 5000]


@pytest.mark.requirement("N1")
@pytest.mark.parametrize("lost", [False, True])
async def test_a_buyer_whose_prepaid_parcel_turned_round_hears_each_step_of_it_once(
    town: Town, lost: bool
) -> None:
    number = await town.ship(await town.release())
    before = town.letters()
    await town.track(number, "return_to_sender")
    await town.track(number, "return_to_sender")
    told = ["returned_parcel"]
    assert town.letters() == sorted(before + told)
    if lost:
        await town.pass_time(timedelta(days=15))
    else:
        await dock(town, town.said(CaseOpened)[0].case_id)
        told.append("return_received")
    assert town.letters() == sorted([*before, *told, "refund_requested", "canceled"])


@pytest.mark.requirement("N1")
async def test_who_canceled_or_has_not_paid_hears_nothing_new_when_the_parcel_turns_round(town: Town) -> None:
    for number, parts in (("T-1", {}), ("T-2", {"payment_method": PaymentMethod.COD})):
        tracking = await town.ship(await town.release(number, **parts))
        if not parts:
            await town.outside(cancel())
        before = town.letters()
        await town.track(tracking, "return_to_sender")
        assert town.letters() == before


@pytest.mark.requirement("A1")
async def test_a_refused_cod_parcel_comes_back_and_costs_the_buyer_nothing(town: Town) -> None:
    order = await town.release(payment_method=PaymentMethod.COD)
    number = await town.ship(order)
    await town.track(number, "return_to_sender")
    case = town.said(CaseOpened)[0]
    assert case.kind is CaseKind.REFUSED_COD
    await dock(town, case.case_id)
    assert town.refunds() == []
    assert town.row("orders", "orders", order).status == "canceled"


async def test_cash_collected_on_delivery_is_refunded_like_any_other(town: Town) -> None:
    await delivered(town, payment_method=PaymentMethod.COD)
    case_id = (await town.outside(asks())).answer["case_id"]
    await dock(town, case_id)
    assert town.refunds() == [10000]


@pytest.mark.requirement("O10")
async def test_what_a_canceled_order_had_paid_goes_back_by_rule(town: Town) -> None:
    await town.outside(submitted())
    await town.outside(paid())
    await town.outside(cancel())
    assert len(town.said(OrderCanceled)) == 1
    assert town.refunds() == [10000]
    assert [e.kind for e in town.said(CaseClosed)] == [CaseKind.REFUND_ONLY]
    assert town.row("orders", "orders", oid()).payment_status == "refunded"


async def test_a_rejected_case_says_why_and_leaves_the_goods_returnable(town: Town) -> None:
    await delivered(town, lines=lines(("TEA", 2, 80000)))
    case_id = (await town.outside(asks())).answer["case_id"]
    await town.ask("aftersales", RejectCase(case_id=case_id, reason="used for weeks"), SUPERVISOR)
    assert [e.detail for e in town.said(CaseRejected)] == ["used for weeks"]
    assert (await town.outside(asks())).refusal is None


@pytest.mark.requirement("X1")
async def test_after_sales_that_was_away_reads_the_topics_in_any_order(town: Town) -> None:
    away = town.benches.pop("aftersales")
    order = await town.release()
    number = await town.ship(order)
    await town.track(number, "return_to_sender")
    town.benches["aftersales"] = away
    for name in ("warehouse", "orders"):
        await town.resend(name, to="aftersales")
        await town.settle()
    case = town.said(CaseOpened)[0]
    await dock(town, case.case_id)
    assert town.refunds() == [10000]
    assert town.parked() == []


@pytest.mark.requirement("N2")
async def test_staff_hear_once_of_each_case_that_waits_for_a_person(town: Town) -> None:
    order = await delivered(town, lines=lines(("TEA", 2, 80000)))
    assert "approval_requested" not in town.letters("staff")
    case_id = (await town.outside(asks(), actor=SHOP)).answer["case_id"]
    assert town.letters("staff").count("approval_requested") == 1
    await town.ask("aftersales", ApproveCase(case_id=case_id), SUPERVISOR)
    await town.ask("aftersales", OpenRefund(order_id=order, amount=2000, reason="a dent"), AGENT)
    assert town.letters("staff").count("approval_requested") == 2
    heard = [h.type for h in town.benches["orders"].store.ledgers["heard"]]
    assert heard.count(ApprovalRequested.wire_type) == 2


@pytest.mark.requirement("N1")
async def test_a_buyer_who_asked_for_nothing_hears_of_no_refusal(town: Town) -> None:
    order = await delivered(town)
    goodwill = OpenRefund(order_id=order, amount=5000, reason="typed 50 for 5")
    case_id = (await town.ask("aftersales", goodwill)).answer["case_id"]
    await town.ask("aftersales", RejectCase(case_id=case_id, reason="wrong sum"), SUPERVISOR)
    assert "case_rejected" not in town.letters()


@pytest.mark.requirement("A2")
async def test_a_return_that_is_refused_says_so_in_its_answer(town: Town) -> None:
    await delivered(town)
    await town.pass_time(timedelta(days=30))
    answer = (await town.outside(asks())).answer
    assert (answer["state"], answer["rejected"]) == ("closed", "asked more than 15 days after delivery")
