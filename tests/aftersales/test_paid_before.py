"""What was paid back before its courier told where it is: by no rule is it paid a second time (A3, A6)."""

import pytest

from services.aftersales.handlers.asked import ApproveCase, OpenRefund, RejectCase
from shared.events.aftersales import (
    ApprovalRequested,
    CaseClosed,
    CaseKind,
    CaseRejected,
    MoneyQuestion,
    PaidGoodsArrived,
    ReturnReason,
)
from tests.aftersales.desk import DAY, Shop, goods
from tests.builders import lines
from tests.harness import AGENT, SUPERVISOR, refused_by


async def in_two() -> Shop:
    """A TEA at 50.00 that has arrived, and a CUP at 30.00 of whose parcel nothing is heard."""
    shop = Shop()
    await shop.placed(lines(("TEA", 1, 5000), ("CUP", 1, 3000)))
    await shop.delivered(last=False, TEA=1)
    return shop


async def sum_refunded(shop: Shop, amount: int, *, approved: bool = True) -> None:
    """An agent asks for a sum, for they think that a parcel is lost."""
    opened = await shop.bench.ask(
        OpenRefund(order_id=shop.order_id, amount=amount, reason="lost"), actor=AGENT
    )
    if approved:
        await shop.bench.ask(ApproveCase(case_id=opened.answer["case_id"]), actor=SUPERVISOR)


async def missing(shop: Shop, sku: str) -> str:
    """The buyer confirms the receipt, and says that something is missing."""
    await shop.completed()
    return str((await shop.asks(ReturnReason.MISSING_ITEM, **{sku: 1})).answer["case_id"])


@pytest.mark.requirement("A3")
@pytest.mark.parametrize("granted", [False, True])
@pytest.mark.parametrize("canceled", [False, True])
@pytest.mark.parametrize("lost", [False, True])
async def test_where_a_sum_was_given_back_a_person_says_whether_it_was_for_the_parcel_that_came_back(
    lost: bool, canceled: bool, granted: bool
) -> None:
    shop = await in_two()
    await sum_refunded(shop, 3000)
    await shop.returned(CUP=1)
    if canceled:
        await shop.cancel_refused(8000)
    if lost:
        await shop.bench.pass_time(14 * DAY)
    else:
        await shop.came_back(shop.case(2).case_id, CUP=1)
    assert shop.refunds == [3000]
    asked = next(e for e in shop.bench.said_of(ApprovalRequested) if e.reason == MoneyQuestion.SUM_REFUNDED)
    assert (asked.kind, asked.amount.amount) == (CaseKind.REFUND_ONLY, 3000)
    assert asked.earlier_case == shop.case(2).case_id
    decision = ApproveCase if granted else RejectCase
    await shop.bench.ask(decision(case_id=asked.case_id, reason="we looked"), actor=SUPERVISOR)
    assert shop.refunds == ([3000, 3000] if granted else [3000])
    assert not shop.parked


@pytest.mark.requirement("A3")
async def test_what_the_sum_was_for_stays_with_the_shop_and_its_buyer_who_asked_for_nothing_hears_nothing() -> (
    None
):
    shop = await in_two()
    await sum_refunded(shop, 3000)
    await shop.returned(CUP=1)
    await shop.came_back(shop.case(2).case_id, CUP=1)
    await shop.bench.ask(RejectCase(case_id=shop.case(3).case_id, reason="it was for it"), actor=SUPERVISOR)
    (rejected,) = shop.bench.said_of(CaseRejected)
    assert not rejected.asked_by_buyer
    assert refused_by(await shop.asks(CUP=1)) == "not_returnable"
    assert (await shop.asks(TEA=1)).refusal is None


@pytest.mark.requirement("A3")
async def test_nor_is_it_paid_by_rule_while_such_a_sum_waits_for_approval() -> None:
    shop = await in_two()
    await sum_refunded(shop, 3000, approved=False)
    await shop.returned(CUP=1)
    await shop.came_back(shop.case(2).case_id, CUP=1)
    assert shop.refunds == []
    assert shop.bench.said_of(ApprovalRequested)[-1].reason == MoneyQuestion.SUM_REFUNDED


@pytest.mark.requirement("A3")
async def test_whoever_says_that_a_parcel_was_lost_is_not_asked_a_second_time() -> None:
    shop = await in_two()
    await shop.cancel_refused(8000)
    await sum_refunded(shop, 500)
    await shop.bench.pass_time(14 * DAY)
    asked = shop.bench.said_of(ApprovalRequested)[-1]
    assert asked.reason == MoneyQuestion.NO_WORD
    await shop.bench.ask(ApproveCase(case_id=asked.case_id), actor=SUPERVISOR)
    assert shop.refunds == [500, 3000]


@pytest.mark.requirement("A6")
async def test_a_parcel_whose_goods_were_paid_as_missing_turns_round_and_nothing_more_is_owed() -> None:
    shop = Shop()
    await shop.placed()
    await shop.delivered(last=False, TEA=1)
    case_id = await missing(shop, "TEA")
    await shop.bench.ask(ApproveCase(case_id=case_id), actor=SUPERVISOR)
    await shop.returned(TEA=1)
    await shop.bench.pass_time(60 * DAY)
    assert shop.refunds == [5000]
    assert shop.case(2) is None


@pytest.mark.requirement("A6")
async def test_one_that_turns_round_while_they_are_asked_about_is_awaited_once_they_are_not_paid() -> None:
    shop = Shop()
    await shop.placed()
    await shop.delivered(last=False, TEA=1)
    case_id = await missing(shop, "TEA")
    await shop.returned(TEA=1)
    assert shop.case(2) is None
    reject = RejectCase(case_id=case_id, reason="it comes back to us")
    await shop.bench.ask(reject, actor=SUPERVISOR)
    assert (shop.case(2).kind, shop.case(2).lines) == (CaseKind.RETURNED_PARCEL, goods(TEA=1))
    assert [e.case_id for e in shop.bench.said_of(CaseClosed)] == [case_id]


@pytest.mark.requirement("A6")
async def test_what_was_paid_as_missing_and_then_arrives_is_told() -> None:
    shop = await in_two()
    await shop.bench.ask(ApproveCase(case_id=await missing(shop, "CUP")), actor=SUPERVISOR)
    await shop.delivered(CUP=1)
    (told,) = shop.bench.said_of(PaidGoodsArrived)
    assert (told.lines, told.refunded.amount) == (goods(CUP=1), 3000)


@pytest.mark.requirement("A6")
@pytest.mark.parametrize("amount", [2999, 3000, 3001])
async def test_so_is_a_parcel_of_which_just_the_price_was_given_back_as_a_sum(amount: int) -> None:
    shop = await in_two()
    await sum_refunded(shop, amount)
    await shop.delivered(CUP=1)
    assert len(shop.bench.said_of(PaidGoodsArrived)) == (amount == 3000), (
        "any other sum is for something else"
    )
