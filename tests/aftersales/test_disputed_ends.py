"""A courier that was to bring a parcel back says that it delivered it: whether the buyer is paid, a person says (A1, A3)."""

import pytest

from services.aftersales.handlers.asked import ApproveCase, RejectCase
from shared.events.aftersales import (
    ApprovalRequested,
    CaseClosed,
    CaseKind,
    CaseRejected,
    MoneyQuestion,
    RejectReason,
    ReturnAuthorized,
    ReturnReason,
)
from shared.events.warehouse import Condition
from tests.aftersales.desk import DAY, Shop
from tests.builders import lines
from tests.harness import AGENT, SUPERVISOR, refused_by

WAYS = [["returned", "disputed"], ["cancel_refused", "returned", "disputed"]]


async def disputed(*steps: str) -> Shop:
    """2 × TEA at 50.00, of which the courier said both."""
    shop = Shop()
    await shop.placed()
    for step in steps:
        await getattr(shop, step)()
    return shop


async def decides(shop: Shop, *, paid: bool, case: int = 1) -> None:
    case_id = shop.case(case).case_id
    command = ApproveCase(case_id=case_id) if paid else RejectCase(case_id=case_id, reason="the buyer has it")
    outcome = await shop.bench.ask(command, actor=SUPERVISOR)
    assert outcome.refusal is None, outcome.refusal


@pytest.mark.requirement("A3")
@pytest.mark.parametrize("steps", WAYS)
async def test_nobody_is_paid_by_time_and_a_person_is_asked_once(steps: list[str]) -> None:
    shop = await disputed(*steps)
    await shop.bench.pass_time(60 * DAY)
    assert shop.refunds == []
    asked = shop.bench.said_of(ApprovalRequested)
    assert [(e.case_id, e.amount.amount, e.reason) for e in asked] == [
        (shop.case().case_id, 10000, MoneyQuestion.END_DISPUTED)
    ]
    assert shop.case().state == "awaiting_approval"


@pytest.mark.requirement("A3")
async def test_a_person_is_asked_about_presents_too_for_with_the_last_of_them_the_fee_goes_back() -> None:
    shop = Shop()
    await shop.placed(lines(("TEA", 3, 0)), total=1250)
    for pieces in (2, 1):
        await shop.returned(last=pieces == 1, TEA=pieces)
    await shop.disputed(TEA=2)
    await shop.came_back(shop.case(2).case_id, TEA=1)
    await shop.bench.pass_time(60 * DAY)
    assert shop.refunds == []
    (asked,) = shop.bench.said_of(ApprovalRequested)
    assert (asked.case_id, asked.reason) == (shop.case(1).case_id, MoneyQuestion.END_DISPUTED)


@pytest.mark.requirement("A6")
@pytest.mark.parametrize("steps", WAYS)
async def test_a_buyer_who_has_not_got_it_is_paid_as_for_any_parcel_that_is_lost(steps: list[str]) -> None:
    shop = await disputed(*steps)
    await decides(shop, paid=True)
    assert shop.refunds == [10000]
    assert [(e.order_ends, e.refunded.amount) for e in shop.bench.said_of(CaseClosed)] == [(True, 10000)]
    assert len(shop.bench.said_of(ReturnAuthorized)) == 1
    await shop.came_back(shop.case().case_id)
    assert shop.refunds == [10000], "it came after all, and was paid for"
    assert shop.parked == []


@pytest.mark.requirement("A2")
@pytest.mark.parametrize("steps", WAYS)
async def test_a_buyer_who_has_it_is_not_paid_and_can_ask_to_send_it_back(steps: list[str]) -> None:
    shop = await disputed(*steps)
    await decides(shop, paid=False)
    assert shop.refunds == []
    assert [e.reason for e in shop.bench.said_of(CaseRejected)] == [RejectReason.DELIVERED_AFTER_ALL]
    await shop.asks()
    assert shop.case(2).state == "waiting_buyer"
    await shop.came_back(shop.case(2).case_id)
    assert shop.refunds == [10000]


@pytest.mark.requirement("A1")
async def test_the_order_of_a_buyer_who_has_it_does_not_end_with_the_case() -> None:
    shop = await disputed("returned", "disputed")
    await decides(shop, paid=False)
    assert [e.order_ends for e in shop.bench.said_of(CaseClosed)] == [False]


@pytest.mark.requirement("A2")
@pytest.mark.parametrize("steps", WAYS)
async def test_goods_that_come_before_anybody_decides_settle_the_case(steps: list[str]) -> None:
    shop = await disputed(*steps)
    await shop.came_back(shop.case().case_id)
    assert shop.refunds == [10000]
    answer = await shop.bench.ask(ApproveCase(case_id=shop.case().case_id), actor=SUPERVISOR)
    assert refused_by(answer) == "not_awaiting_approval"


@pytest.mark.requirement("A2")
async def test_goods_that_come_although_the_buyer_was_said_to_have_them_are_for_a_person() -> None:
    shop = await disputed("returned", "disputed")
    await decides(shop, paid=False)
    await shop.bench.pass_time(DAY)
    await shop.came_back(shop.case().case_id)
    assert shop.refunds == []
    assert shop.bench.said_of(ApprovalRequested)[-1].reason == MoneyQuestion.CAME_BACK_LATE


@pytest.mark.requirement("A2")
async def test_so_are_those_that_were_to_be_paid_on_delivery() -> None:
    shop = Shop()
    await shop.placed(lines(("TEA", 1, 5000), ("CUP", 1, 5000)), cod=True)
    await shop.delivered(cod_collected=5000, last=False, TEA=1)
    await shop.returned(CUP=1)
    await shop.disputed(cod_due=5000, CUP=1)
    await decides(shop, paid=False)
    await shop.bench.pass_time(DAY)
    await shop.came_back(shop.case().case_id, CUP=1)
    assert shop.refunds == []
    assert shop.bench.said_of(ApprovalRequested)[-1].reason == MoneyQuestion.CAME_BACK_LATE


@pytest.mark.requirement("W12", "A2")
async def test_those_that_the_dock_had_before_the_buyer_was_said_to_have_them_are_paid() -> None:
    shop = await disputed("returned", "disputed")
    at_the_dock = shop.bench.clock.now()
    await shop.bench.pass_time(DAY)
    await decides(shop, paid=False)
    await shop.received(shop.case().case_id, at=at_the_dock)
    await shop.inspected(shop.case().case_id)
    assert shop.refunds == [10000]


@pytest.mark.requirement("W11")
async def test_the_dispute_may_be_heard_before_the_order() -> None:
    shop = Shop()
    await shop.returned()
    await shop.disputed()
    await shop.placed()
    await shop.bench.pass_time(60 * DAY)
    assert shop.refunds == []
    await decides(shop, paid=False)
    assert shop.refunds == []


@pytest.mark.requirement("W11")
async def test_a_case_that_was_settled_before_stays_settled() -> None:
    shop = await disputed("returned")
    await shop.bench.pass_time(14 * DAY)
    await shop.disputed()
    assert shop.refunds == [10000]
    assert not shop.bench.said_of(ApprovalRequested)


@pytest.mark.requirement("W11")
async def test_what_was_delivered_first_is_left_to_its_buyer() -> None:
    shop = await disputed("delivered")
    await shop.disputed(stands="delivered")
    assert shop.case() is None
    await shop.asks()
    assert shop.case().state == "waiting_buyer"


@pytest.mark.requirement("A1")
@pytest.mark.parametrize("paid", [True, False])
async def test_of_two_parcels_of_a_late_cancel_only_the_disputed_one_waits_for_a_person(paid: bool) -> None:
    shop = await disputed("cancel_refused")
    await shop.returned(TEA=1, last=False)
    await shop.disputed(TEA=1)
    await decides(shop, paid=paid)
    assert shop.refunds == ([5000] if paid else [])
    await shop.returned(TEA=1)
    await shop.came_back(shop.case(2).case_id, TEA=1)
    await shop.bench.pass_time(60 * DAY)
    assert shop.refunds == ([5000, 5000] if paid else [5000])
    assert shop.bench.said_of(CaseClosed)[-1].case_id == shop.case(2).case_id
    assert shop.parked == []


@pytest.mark.requirement("A1")
async def test_a_piece_that_its_buyer_has_is_not_awaited_of_the_courier_that_brings_another_like_it() -> None:
    shop = await disputed("cancel_refused")
    await shop.returned(TEA=1, last=False)
    await shop.returned(TEA=1)
    await shop.disputed(TEA=1)
    await decides(shop, paid=False)
    await shop.bench.pass_time(15 * DAY)
    assert shop.refunds == [5000]
    assert len(shop.bench.said_of(ReturnAuthorized)) == 2, "of all, and of the parcel that comes"
    assert (await shop.asks(TEA=1)).refusal is None


@pytest.mark.requirement("A1")
async def test_what_comes_of_a_disputed_late_cancel_is_paid_and_the_rest_is_asked_about() -> None:
    shop = await disputed("cancel_refused", "returned", "disputed")
    await shop.came_in_part(1, 1)
    assert shop.refunds == [5000]
    await shop.bench.pass_time(60 * DAY)
    assert shop.refunds == [5000]
    assert [e.case_id for e in shop.bench.said_of(ApprovalRequested)] == [
        shop.case(1).case_id,
        shop.case(2).case_id,
    ]
    await decides(shop, paid=True, case=2)
    assert shop.refunds == [5000, 5000]
    assert [e.order_ends for e in shop.bench.said_of(CaseClosed)] == [False, True]


@pytest.mark.requirement("A3")
async def test_an_empty_box_under_a_disputed_case_decides_nothing() -> None:
    shop = await disputed("returned", "disputed")
    await shop.came_back(shop.case().case_id, Condition.MISSING)
    assert shop.refunds == []
    assert shop.case().state == "awaiting_approval"
    await decides(shop, paid=True)
    assert shop.refunds == [10000]


@pytest.mark.requirement("A1")
async def test_of_two_parcels_that_turned_round_the_other_is_settled_by_time() -> None:
    shop = Shop()
    await shop.placed()
    await shop.returned(TEA=1, last=False)
    await shop.returned(TEA=1)
    await shop.disputed(TEA=1)
    await shop.bench.pass_time(15 * DAY)
    assert shop.refunds == [5000]
    await decides(shop, paid=False)
    assert shop.refunds == [5000]
    assert [e.order_ends for e in shop.bench.said_of(CaseClosed)] == [False, False]


@pytest.mark.requirement("A3")
async def test_who_may_decide_goes_by_what_is_at_stake() -> None:
    shop = Shop()
    await shop.placed(total=9_000_000)
    await shop.returned()
    await shop.disputed()
    answer = await shop.bench.ask(ApproveCase(case_id=shop.case().case_id), actor=AGENT)
    assert refused_by(answer) == "no_authority"


@pytest.mark.requirement("O3")
async def test_the_cash_of_a_parcel_that_the_buyer_has_is_due_after_all() -> None:
    shop = Shop()
    await shop.placed(cod=True)
    await shop.returned()
    await shop.disputed(cod_due=10000)
    await decides(shop, paid=False)
    assert [e.cod_due for e in shop.bench.said_of(CaseRejected)] == [10000]


@pytest.mark.requirement("A3")
async def test_whoever_says_that_it_is_lost_may_also_say_what_becomes_of_the_cash() -> None:
    shop = Shop()
    await shop.placed(cod=True)
    await shop.returned(TEA=1, last=False)
    await shop.delivered(cod_collected=10000)
    await shop.disputed(TEA=1, cod_due=5000)
    await decides(shop, paid=True)
    assert shop.bench.said_of(ApprovalRequested)[-1].reason == MoneyQuestion.CASH_COLLECTED
    await decides(shop, paid=True, case=2)
    assert shop.refunds == [5000]


@pytest.mark.requirement("W11")
async def test_it_may_be_heard_while_the_box_is_being_opened() -> None:
    shop = await disputed("returned")
    await shop.received(shop.case().case_id)
    await shop.disputed()
    await shop.inspected(shop.case().case_id, Condition.MISSING)
    assert (shop.refunds, shop.case().state) == ([], "awaiting_approval")


@pytest.mark.requirement("W11")
async def test_of_two_parcels_in_a_box_that_is_being_opened_the_missing_one_is_asked_about() -> None:
    shop = await disputed("cancel_refused")
    await shop.returned(TEA=1, last=False)
    await shop.returned(TEA=1)
    await shop.received(shop.case().case_id)
    await shop.disputed(TEA=1)
    await shop.inspected_in_part(1, 1)
    await shop.bench.pass_time(60 * DAY)
    assert (shop.refunds, shop.case(2).state) == ([5000], "awaiting_approval")


@pytest.mark.requirement("A2")
async def test_what_a_return_has_claimed_is_disputed_once_it_lets_go() -> None:
    shop = Shop()
    await shop.placed()
    await shop.completed()
    for step in ("asks", "returned", "disputed"):
        await getattr(shop, step)()
    await shop.bench.pass_time(60 * DAY)
    assert shop.refunds == []
    assert (shop.case(2).kind, shop.case(2).state) == (CaseKind.RETURNED_PARCEL, "awaiting_approval")


@pytest.mark.requirement("A3")
async def test_whoever_refused_the_return_may_decide_about_the_parcel() -> None:
    shop = Shop()
    await shop.placed(total=9_000_000)
    await shop.completed()
    await shop.asks()
    await shop.returned()
    await decides(shop, paid=False)
    await shop.disputed()
    await decides(shop, paid=True, case=2)


@pytest.mark.requirement("A2")
async def test_what_was_paid_as_missing_is_not_paid_again_when_the_courier_brings_it() -> None:
    shop = Shop()
    await shop.placed()
    await shop.delivered(last=False)
    await shop.completed()
    await shop.asks(ReturnReason.MISSING_ITEM, TEA=1)
    await decides(shop, paid=True)
    await shop.asks(TEA=1)
    await shop.returned(TEA=1)
    await shop.bench.pass_time(60 * DAY)
    assert shop.refunds == [5000]


@pytest.mark.requirement("O3")
async def test_of_a_parcel_that_came_in_part_only_the_rest_of_its_cash_is_due() -> None:
    shop = Shop()
    await shop.placed(cod=True)
    await shop.returned()
    await shop.disputed(cod_due=10000)
    await shop.came_in_part(1, 1)
    await decides(shop, paid=False, case=2)
    assert [e.cod_due for e in shop.bench.said_of(CaseRejected)] == [5000]


@pytest.mark.requirement("W8")
async def test_the_dock_expects_the_rest_of_it() -> None:
    shop = await disputed("cancel_refused", "returned", "disputed")
    await shop.came_in_part(1, 1)
    cases = [e.case_id for e in shop.bench.said_of(ReturnAuthorized)]
    assert cases == [shop.case(1).case_id, shop.case(2).case_id]
    await shop.came_back(shop.case(2).case_id, TEA=1)
    assert shop.refunds == [5000, 5000]


@pytest.mark.requirement("A6")
async def test_what_a_person_grants_is_paid_also_when_another_piece_was_taken_for_it() -> None:
    """Of four pieces one is in the disputed parcel; one came in a box, and nobody can tell which."""
    shop = Shop()
    await shop.placed(lines(("TEA", 4, 5000)))
    await shop.cancel_refused(20000)
    await shop.returned(TEA=1, last=False)
    await shop.disputed(TEA=1)
    await shop.delivered()
    await shop.came_in_part(1, 1)
    await decides(shop, paid=True, case=2)
    assert shop.refunds == [5000, 5000]
    await shop.bench.pass_time(60 * DAY)
    assert shop.refunds == [5000, 5000]
    assert (await shop.asks(TEA=2)).refusal is None


@pytest.mark.requirement("A3")
@pytest.mark.parametrize("steps", [["completed", "returned"], ["returned", "completed"]])
async def test_what_the_buyer_confirmed_to_have_is_not_paid_by_time(steps: list[str]) -> None:
    """A courier's slip is believed no more than its buyer; whichever is heard first."""
    shop = await disputed(*steps)
    await shop.bench.pass_time(60 * DAY)
    assert shop.refunds == []
    (asked,) = shop.bench.said_of(ApprovalRequested)
    assert asked.reason == MoneyQuestion.RECEIPT_DISPUTED
    await decides(shop, paid=False)
    assert shop.refunds == []


@pytest.mark.requirement("A2")
async def test_what_the_buyer_confirmed_to_have_and_comes_back_is_paid() -> None:
    shop = await disputed("completed", "returned")
    await shop.came_back(shop.case().case_id)
    assert shop.refunds == [10000]
