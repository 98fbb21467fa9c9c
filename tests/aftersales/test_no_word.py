"""A cancel after dispatch, and nobody tells where the goods ended: what a courier lost is not the buyer's loss (A1, A6)."""

import pytest

from services.aftersales.handlers.asked import ApproveCase, OpenRefund, RejectCase
from shared.events.aftersales import (
    ApprovalRequested,
    CaseClosed,
    CaseRejected,
    MoneyQuestion,
    PaidGoodsArrived,
    RejectReason,
    ReturnAuthorized,
)
from tests.aftersales.desk import DAY, Shop, goods
from tests.builders import lines
from tests.harness import AGENT, SUPERVISOR


async def silent(*, cod: bool = False) -> Shop:
    """A canceled order whose parcel had left, and of which nothing was heard for as long as the goods were awaited."""
    shop = Shop()
    await shop.placed(cod=cod)
    await shop.cancel_refused()
    await shop.bench.pass_time(14 * DAY)
    return shop


@pytest.mark.requirement("A6")
async def test_a_person_is_asked_who_has_the_goods() -> None:
    shop = await silent()
    (asked,) = shop.bench.said_of(ApprovalRequested)
    assert (asked.case_id, asked.reason) == (shop.case().case_id, MoneyQuestion.NO_WORD)
    assert shop.case().state == "awaiting_approval"
    assert shop.refunds == []
    assert not shop.bench.said_of(CaseRejected)


@pytest.mark.requirement("A6")
@pytest.mark.parametrize(("cod", "refunds"), [(False, [10000]), (True, [])])
async def test_when_the_courier_lost_them_the_buyer_is_paid_and_the_order_ends(
    cod: bool, refunds: list[int]
) -> None:
    shop = await silent(cod=cod)
    await shop.bench.ask(ApproveCase(case_id=shop.case().case_id), actor=SUPERVISOR)
    assert shop.refunds == refunds
    (closed,) = shop.bench.said_of(CaseClosed)
    assert closed.order_ends


@pytest.mark.requirement("A2")
async def test_when_the_buyer_has_them_nothing_is_paid_and_a_return_may_be_asked_for() -> None:
    shop = await silent()
    await shop.bench.ask(RejectCase(case_id=shop.case().case_id, reason="they have it"), actor=SUPERVISOR)
    assert shop.refunds == []
    (rejected,) = shop.bench.said_of(CaseRejected)
    assert (rejected.reason, rejected.arrived) == (RejectReason.BY_AGENT, True)
    assert (await shop.asks()).answer["state"] == "waiting_buyer"
    await shop.came_back(shop.case(2).case_id)
    assert shop.refunds == [10000]


@pytest.mark.requirement("A2")
async def test_goods_that_come_before_a_person_has_decided_are_paid_for() -> None:
    shop = await silent()
    await shop.came_back(shop.case().case_id)
    assert shop.refunds == [10000]
    assert shop.parked == []


@pytest.mark.requirement("W11")
@pytest.mark.parametrize(("word", "refunds"), [("returned", [10000]), ("delivered", [])])
async def test_a_courier_that_tells_after_all_spares_the_person_the_question(
    word: str, refunds: list[int]
) -> None:
    shop = await silent()
    await getattr(shop, word)()
    assert shop.case().state == "waiting_buyer"
    assert len(shop.bench.said_of(ReturnAuthorized)) == 2
    await shop.bench.pass_time(14 * DAY)
    assert shop.refunds == refunds
    assert shop.case().over
    assert len(shop.bench.said_of(ApprovalRequested)) == 1


@pytest.mark.requirement("A2")
async def test_goods_that_come_after_a_person_said_that_the_buyer_has_them_wait_for_a_person_again() -> None:
    shop = await silent()
    case_id = shop.case().case_id
    await shop.bench.ask(RejectCase(case_id=case_id, reason="they have it"), actor=SUPERVISOR)
    await shop.came_back(case_id)
    assert shop.bench.said_of(ApprovalRequested)[-1].reason == MoneyQuestion.CAME_BACK_LATE


@pytest.mark.requirement("A6")
async def test_of_two_parcels_one_of_which_arrived_a_person_is_asked_about_the_other() -> None:
    shop = Shop()
    await shop.placed()
    await shop.delivered(last=False, TEA=1)
    await shop.cancel_refused()
    await shop.bench.pass_time(14 * DAY)
    (rejected,) = shop.bench.said_of(CaseRejected)
    assert (rejected.reason, rejected.arrived) == (RejectReason.NOT_RETURNED, False)
    (asked,) = shop.bench.said_of(ApprovalRequested)
    assert (asked.reason, asked.amount.amount) == (MoneyQuestion.NO_WORD, 5000)
    await shop.bench.ask(ApproveCase(case_id=asked.case_id), actor=SUPERVISOR)
    assert shop.refunds == [5000]
    assert not any(e.order_ends for e in shop.bench.said_of(CaseClosed)), "the buyer has the other"


@pytest.mark.requirement("A6")
async def test_a_parcel_that_a_person_knows_to_have_arrived_says_nothing_of_the_other() -> None:
    shop = Shop()
    await shop.placed()
    await shop.cancel_refused()
    await shop.returned(last=False, TEA=1)
    await shop.disputed(TEA=1)
    await shop.bench.ask(RejectCase(case_id=shop.case().case_id, reason="they have it"), actor=SUPERVISOR)
    await shop.bench.pass_time(14 * DAY)
    asked = shop.bench.said_of(ApprovalRequested)[-1]
    assert (asked.case_id, asked.reason) == (shop.case(2).case_id, MoneyQuestion.NO_WORD)


@pytest.mark.requirement("A6")
async def test_when_one_parcel_was_lost_and_the_other_turned_round_both_are_paid_and_the_order_ends() -> None:
    shop = Shop()
    await shop.placed()
    await shop.cancel_refused()
    await shop.returned(last=False, TEA=1)
    await shop.bench.pass_time(14 * DAY)
    await shop.bench.pass_time(14 * DAY)
    (asked,) = shop.bench.said_of(ApprovalRequested)
    await shop.bench.ask(ApproveCase(case_id=asked.case_id), actor=SUPERVISOR)
    assert shop.refunds == [5000, 5000]
    assert [e.order_ends for e in shop.bench.said_of(CaseClosed)] == [False, True]


@pytest.mark.requirement("A6")
@pytest.mark.parametrize("how", ["sent it back after the cancel", "had asked to", "asked and did not"])
async def test_the_piece_that_the_buyer_had_says_nothing_of_the_one_that_was_lost(how: str) -> None:
    """Both are of the same article."""
    shop = Shop()
    await shop.placed()
    await shop.delivered(last=False, TEA=1)
    if how == "sent it back after the cancel":
        await shop.cancel_refused()
        await shop.came_in_part(1, found=1)
    else:
        await shop.asks(TEA=1)
        await shop.cancel_refused()
        if how == "had asked to":
            await shop.came_back(shop.case(1).case_id, TEA=1)
    await shop.bench.pass_time(14 * DAY)
    asked = shop.bench.said_of(ApprovalRequested)
    assert [(e.case_id, e.reason) for e in asked] == [(shop.case(2).case_id, MoneyQuestion.NO_WORD)]


@pytest.mark.requirement("A6")
async def test_nor_does_the_one_that_they_sent_back_late_and_were_paid_for() -> None:
    shop = Shop()
    await shop.placed()
    await shop.delivered(last=False, TEA=1)
    await shop.asks(TEA=1)
    await shop.bench.pass_time(14 * DAY)
    await shop.came_back(shop.case(1).case_id, TEA=1)
    await shop.bench.ask(ApproveCase(case_id=shop.case(2).case_id), actor=SUPERVISOR)
    await shop.cancel_refused()
    await shop.bench.pass_time(14 * DAY)
    asked = shop.bench.said_of(ApprovalRequested)[-1]
    assert (asked.case_id, asked.reason) == (shop.case(3).case_id, MoneyQuestion.NO_WORD)


@pytest.mark.requirement("A6")
@pytest.mark.parametrize("cod", [False, True])
async def test_nor_does_the_one_that_its_courier_brought_back_before(cod: bool) -> None:
    """Three of one article: one turned round, one arrived and was sent back; canceled, the third never came."""
    shop = Shop()
    await shop.placed(lines(("TEA", 3, 5000)), cod=cod)
    await shop.returned(last=False, TEA=1)
    await shop.came_back(shop.case(1).case_id, TEA=1)
    await shop.delivered(cod_collected=5000 * cod, last=False, TEA=1)
    await shop.asks(TEA=1)
    await shop.came_back(shop.case(2).case_id, TEA=1)
    await shop.cancel_refused(15000)
    await shop.bench.pass_time(14 * DAY)
    (asked,) = shop.bench.said_of(ApprovalRequested)
    assert (asked.case_id, asked.reason) == (shop.case(3).case_id, MoneyQuestion.NO_WORD)
    assert not shop.bench.said_of(CaseRejected)


@pytest.mark.requirement("A6")
async def test_a_piece_that_was_not_in_its_box_is_with_the_buyer_once() -> None:
    """One of three was lost; of the two that arrived, one was asked about twice: under the return and under the cancel."""
    shop = Shop()
    await shop.placed(lines(("TEA", 3, 5000), ("CUP", 1, 1000)))
    await shop.delivered(last=False, TEA=2, CUP=1)
    await shop.asks(TEA=1, CUP=1)
    await shop.cancel_refused()
    await shop.came_back(shop.case(1).case_id, CUP=1)
    await shop.bench.pass_time(14 * DAY)
    (asked,) = shop.bench.said_of(ApprovalRequested)
    assert (asked.reason, asked.amount.amount) == (MoneyQuestion.NO_WORD, 5000)


@pytest.mark.requirement("A2")
async def test_when_the_last_parcel_is_known_to_be_lost_the_time_for_returns_begins() -> None:
    shop = Shop()
    await shop.placed()
    await shop.delivered(last=False, TEA=1)
    await shop.cancel_refused()
    await shop.bench.pass_time(14 * DAY)
    await shop.bench.ask(ApproveCase(case_id=shop.case(2).case_id), actor=SUPERVISOR)
    await shop.bench.pass_time(16 * DAY)
    assert "rejected" in (await shop.asks(TEA=1)).answer


@pytest.mark.requirement("A6")
async def test_what_was_paid_as_lost_and_then_arrives_is_told() -> None:
    shop = await silent()
    await shop.bench.ask(ApproveCase(case_id=shop.case().case_id), actor=SUPERVISOR)
    await shop.delivered(TEA=2)
    (told,) = shop.bench.said_of(PaidGoodsArrived)
    assert (told.lines, told.refunded.amount) == (goods(TEA=2), 10000)


@pytest.mark.requirement("A6")
@pytest.mark.parametrize("amount", [10000, 9999])
async def test_so_is_a_parcel_whose_whole_price_an_agent_had_given_back(amount: int) -> None:
    shop = Shop()
    await shop.placed()
    refund = OpenRefund(order_id=shop.order_id, amount=amount, reason="it is lost")
    await shop.bench.ask(refund, actor=AGENT)
    await shop.bench.ask(ApproveCase(case_id=shop.case().case_id), actor=SUPERVISOR)
    await shop.delivered(TEA=2)
    assert len(shop.bench.said_of(PaidGoodsArrived)) == (amount == 10000), "a part of it is a courtesy"


@pytest.mark.requirement("A6")
async def test_goods_that_are_back_when_their_courier_tells_of_the_delivery_are_told_of_to_nobody() -> None:
    shop = Shop()
    await shop.placed()
    await shop.cancel_refused()
    await shop.came_back(shop.case().case_id)
    await shop.delivered(TEA=2)
    assert not shop.bench.said_of(PaidGoodsArrived)


@pytest.mark.requirement("A6")
async def test_what_a_person_knew_to_have_arrived_is_no_news_when_its_courier_says_so() -> None:
    shop = await silent()
    await shop.bench.ask(RejectCase(case_id=shop.case().case_id, reason="they have it"), actor=SUPERVISOR)
    await shop.delivered(TEA=2)
    assert not shop.bench.said_of(PaidGoodsArrived)
