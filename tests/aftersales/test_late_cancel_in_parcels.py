"""A canceled order that had left in several parcels: each is settled when it comes, the others are awaited on (A1, A2, A6)."""

import pytest

from services.aftersales.handlers.asked import ApproveCase
from shared.events.aftersales import (
    ApprovalRequested,
    CaseClosed,
    CaseKind,
    CaseOverdue,
    CaseRejected,
    MoneyQuestion,
    RejectReason,
    ReturnAuthorized,
)
from shared.events.warehouse import Condition
from tests.aftersales.desk import DAY, Shop, goods
from tests.builders import lines
from tests.harness import SUPERVISOR, refused_by


async def canceled(*, cod: bool = False, fee: int = 0) -> Shop:
    """2 × TEA at 50.00, one in each of two parcels, both gone when the cancel came."""
    shop = Shop()
    await shop.placed(total=10000 + fee, cod=cod)
    await shop.cancel_refused()
    return shop


def ends(shop: Shop) -> list[bool]:
    return [e.order_ends for e in shop.bench.said_of(CaseClosed)]


@pytest.mark.requirement("A6")
@pytest.mark.parametrize("fee", [0, 800])
@pytest.mark.parametrize("lost", [False, True])
async def test_each_parcel_that_the_courier_brings_back_is_paid_when_it_is_here(lost: bool, fee: int) -> None:
    shop = await canceled(fee=fee)
    await shop.returned(TEA=1, last=False)
    await shop.came_in_part(1, found=1)
    assert shop.refunds == [5000]
    assert (shop.case(2).kind, shop.case(2).lines) == (CaseKind.LATE_CANCEL, goods(TEA=1))
    await shop.returned(TEA=1)
    if lost:
        await shop.bench.pass_time(14 * DAY)
    else:
        await shop.came_in_part(2, found=1)
    assert shop.refunds == [5000, 5000 + fee]
    assert ends(shop) == [False, True]
    assert shop.case(3) is None


@pytest.mark.requirement("A2")
async def test_parcels_that_the_buyer_sends_back_one_by_one_are_all_paid() -> None:
    shop = await canceled()
    await shop.delivered()
    for ordinal in (1, 2):
        await shop.came_in_part(ordinal, found=1)
    assert shop.refunds == [5000, 5000]
    assert ends(shop) == [False, True]


@pytest.mark.requirement("A1")
async def test_the_buyer_and_the_dock_are_told_what_is_still_awaited_and_until_when() -> None:
    shop = await canceled()
    await shop.bench.pass_time(3 * DAY)
    await shop.came_in_part(1, found=1)
    rest = shop.bench.said_of(ReturnAuthorized)[-1]
    assert (rest.case_id, rest.rest_of) == (shop.case(2).case_id, shop.case(1).case_id)
    assert (rest.lines, rest.return_by) == (goods(TEA=1), shop.bench.clock.now() + 14 * DAY)


@pytest.mark.requirement("A2")
async def test_what_is_awaited_under_one_case_cannot_be_asked_for_under_another() -> None:
    shop = await canceled()
    await shop.delivered()
    await shop.came_in_part(1, found=1)
    assert refused_by(await shop.asks(TEA=1)) == "not_returnable"
    await shop.came_in_part(2, found=1)
    assert refused_by(await shop.asks(TEA=1)) == "not_returnable"


@pytest.mark.requirement("A2")
async def test_a_buyer_who_keeps_one_parcel_keeps_the_order_and_may_return_that_one() -> None:
    shop = await canceled()
    await shop.delivered(last=False)
    await shop.returned(TEA=1)
    await shop.came_in_part(1, found=1)
    await shop.bench.pass_time(14 * DAY)
    (rejected,) = shop.bench.said_of(CaseRejected)
    assert (rejected.case_id, rejected.reason) == (shop.case(2).case_id, RejectReason.NOT_RETURNED)
    assert shop.refunds == [5000], "the courier had one, the buyer keeps the other"
    assert ends(shop)[0] is False
    assert refused_by(await shop.asks(TEA=2)) == "not_returnable"
    assert (await shop.asks(TEA=1)).refusal is None


@pytest.mark.requirement("A6")
async def test_a_parcel_that_the_courier_lost_on_its_way_back_is_paid_and_the_other_awaited() -> None:
    shop = await canceled()
    await shop.returned(TEA=1)
    await shop.bench.pass_time(14 * DAY)
    assert shop.refunds == [5000]
    await shop.came_in_part(2, found=1)
    assert shop.refunds == [5000, 5000]


async def lost_on_its_way_back(days: int) -> Shop:
    """A canceled order whose TEA the courier was to bring back, and whose CUP the buyer has, after so many days."""
    shop = Shop()
    await shop.placed(lines(("TEA", 1, 5000), ("CUP", 1, 3000)))
    await shop.cancel_refused(8000)
    await shop.returned(TEA=1, last=False)
    await shop.delivered()
    await shop.bench.pass_time(days * DAY)
    return shop


@pytest.mark.requirement("A1")
@pytest.mark.parametrize(
    ("found", "paid"),
    [({"CUP": 1}, [5000, 3000]), ({"TEA": 1}, [5000]), ({"TEA": 1, "CUP": 1}, [5000, 3000])],
)
async def test_what_the_buyer_sends_under_the_number_of_the_parcel_that_was_lost_is_paid_too(
    found: dict[str, int], paid: list[int]
) -> None:
    shop = await lost_on_its_way_back(14)
    await shop.came_back(shop.case(1).case_id, Condition.AS_NEW, **found)
    assert shop.refunds == paid
    assert shop.case(2).state == ("closed" if len(paid) == 2 else "waiting_buyer")
    assert ends(shop) == ([False, True] if len(paid) == 2 else [False])
    assert shop.parked == []


@pytest.mark.requirement("A1")
async def test_boxes_that_come_one_after_the_other_each_under_the_number_before_are_all_paid() -> None:
    shop = Shop()
    await shop.placed(lines(("TEA", 1, 5000), ("CUP", 2, 3000)))
    await shop.cancel_refused(11000)
    await shop.returned(TEA=1, last=False)
    await shop.delivered()
    await shop.bench.pass_time(14 * DAY)
    for number in (1, 2):  # the numbers of what was settled already
        await shop.came_back(shop.case(number).case_id, Condition.AS_NEW, CUP=1)
    assert shop.refunds == [5000, 3000, 3000]
    assert shop.case(3).over
    assert shop.parked == []


@pytest.mark.requirement("A2")
async def test_what_comes_under_that_number_when_the_rest_was_given_up_too_is_for_a_person() -> None:
    shop = await lost_on_its_way_back(30)
    await shop.came_back(shop.case(1).case_id, Condition.AS_NEW, CUP=1)
    assert shop.refunds == [5000]
    (asked,) = shop.bench.said_of(ApprovalRequested)
    assert (asked.reason, asked.amount.amount) == (MoneyQuestion.CAME_BACK_LATE, 3000)
    assert shop.parked == []


@pytest.mark.requirement("A2")
async def test_the_box_of_the_rest_is_told_of_while_it_waits_also_where_its_pieces_came_in_another() -> None:
    shop = await lost_on_its_way_back(30)
    await shop.received(shop.case(2).case_id)
    await shop.came_back(shop.case(1).case_id, Condition.AS_NEW, CUP=1)
    waits = shop.bench.said_of(ApprovalRequested)[-1].case_id
    await shop.bench.pass_time(4 * DAY)
    assert {told.case_id for told in shop.bench.said_of(CaseOverdue)} == {shop.case(2).case_id, waits}
    await shop.inspected(shop.case(2).case_id, Condition.AS_NEW, CUP=1)
    assert len(shop.bench.said_of(ApprovalRequested)) == 1, "and of these pieces a person is asked once"


@pytest.mark.requirement("A6")
async def test_all_at_once_is_one_case_also_while_the_courier_has_told_of_one_parcel_only() -> None:
    shop = await canceled()
    await shop.returned(TEA=1, last=False)
    await shop.came_in_part(1, found=2)
    await shop.returned(TEA=1)
    assert shop.refunds == [10000]
    assert ends(shop) == [True]
    assert shop.case(2) is None


@pytest.mark.requirement("A2")
async def test_when_nothing_more_was_found_the_rest_is_rejected_and_can_be_asked_for_again() -> None:
    shop = await canceled()
    await shop.delivered()
    await shop.came_in_part(1, found=1)
    await shop.came_in_part(2, found=0)
    assert shop.bench.said_of(CaseRejected)[-1].reason is RejectReason.NOT_AS_AGREED
    assert (await shop.asks(TEA=1)).refusal is None


@pytest.mark.requirement("A1")
async def test_of_goods_that_are_sold_in_several_lines_a_given_up_case_lets_go_of_each() -> None:
    shop = Shop()
    await shop.placed(lines(("TEA", 2, 5000), ("CUP", 1, 3000)))
    await shop.cancel_refused(13000)
    await shop.delivered()
    await shop.received(shop.case().case_id)
    await shop.inspected(shop.case().case_id, TEA=1)
    await shop.bench.pass_time(14 * DAY)
    assert (await shop.asks(TEA=1, CUP=1)).refusal is None
    assert refused_by(await shop.asks(TEA=1)) == "not_returnable"


@pytest.mark.requirement("A2")
@pytest.mark.parametrize("first", [1, 2])
async def test_whichever_comes_first_of_cash_on_delivery_all_that_was_collected_goes_back(first: int) -> None:
    shop = Shop()
    await shop.placed(total=10800, cod=True)
    await shop.returned(TEA=1, last=False)
    await shop.cancel_refused()
    await shop.delivered(cod_collected=5400)
    for ordinal in (first, 3 - first):
        await shop.came_back(shop.case(ordinal).case_id, TEA=1)
    assert shop.refunds == ([5400] if first == 1 else [5000, 400])
    assert shop.bench.said_of(ApprovalRequested) == []


@pytest.mark.requirement("A1")
@pytest.mark.parametrize(("collected", "asked"), [(5000, []), (10000, [5000])])
async def test_cash_for_a_parcel_that_came_back_is_asked_about_and_for_the_other_owed(
    collected: int, asked: list[int]
) -> None:
    shop = await canceled(cod=True)
    await shop.delivered(cod_collected=collected, last=False)
    await shop.returned(TEA=1)
    await shop.came_in_part(1, found=1)
    assert shop.refunds == [], "what was paid for, the buyer may still have"
    assert [e.amount.amount for e in shop.bench.said_of(ApprovalRequested)] == asked
    await shop.came_in_part(2, found=1)
    assert shop.refunds == [5000]


@pytest.mark.requirement("A1")
async def test_cash_for_two_parcels_that_came_back_is_asked_about_once() -> None:
    shop = await canceled(cod=True)
    await shop.delivered(cod_collected=10000, last=False)
    await shop.returned(TEA=1, last=False)
    await shop.came_in_part(1, found=1)
    await shop.returned(TEA=1)
    await shop.came_in_part(2, found=1)
    waiting = [shop.case(n) for n in (3, 4)]
    assert [(c.state, c.amount) for c in waiting] == [("awaiting_approval", 5000)] * 2
    for case in waiting:
        await shop.bench.ask(ApproveCase(case_id=case.case_id), actor=SUPERVISOR)
    assert shop.refunds == [5000, 5000]


@pytest.mark.requirement("A1")
async def test_one_box_with_everything_is_paid_under_whichever_of_its_numbers_it_comes() -> None:
    """The case was split as one parcel had arrived and of the other nothing was heard; the buyer knows its first number."""
    shop = await canceled()
    await shop.delivered(TEA=1, last=False)
    await shop.bench.pass_time(14 * DAY)
    await shop.delivered(TEA=1)
    await shop.came_back(shop.case(1).case_id, TEA=2)
    assert shop.refunds == [5000], "it was awaited under the second number"
    late = shop.bench.said_of(ApprovalRequested)[-1]
    assert (late.reason, late.amount.amount) == (MoneyQuestion.CAME_BACK_LATE, 5000)
