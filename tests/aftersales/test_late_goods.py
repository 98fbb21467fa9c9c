"""Goods that come after their case was given up: the shop has goods and money, so a person decides (A2)."""

import pytest

from services.aftersales.handlers.asked import ApproveCase, RejectCase
from shared.events.aftersales import ApprovalRequested, CaseKind, CaseRejected, MoneyQuestion, RejectReason
from shared.events.warehouse import Condition, InspectedLine, ReturnInspected, ReturnReceived
from shared.replacing import replace
from tests.aftersales.desk import DAY, Shop
from tests.harness import SUPERVISOR


async def given_up(*, cod: bool = False, first: str = "asks", total: int | None = None) -> Shop:
    """An order whose goods were to come back and did not in time."""
    shop = Shop()
    await shop.placed(cod=cod, total=total)
    if first == "asks":
        await shop.delivered()
    await getattr(shop, first)()
    if first != "asks":
        await shop.delivered()
    await shop.bench.pass_time(14 * DAY)
    assert shop.case().custody == "not_returned"
    return shop


@pytest.mark.requirement("A2")
@pytest.mark.parametrize("first", ["asks", "cancel_refused"])
async def test_late_goods_are_a_case_that_waits_for_a_person(first: str) -> None:
    shop = await given_up(first=first)
    await shop.came_back(shop.case().case_id)
    late = shop.case(2)
    assert (late.kind, late.state, late.amount) == (CaseKind.REFUND_ONLY, "awaiting_approval", 10000)
    assert late.reason == f"came back late, see {shop.case().case_id}"
    (asked,) = shop.bench.said_of(ApprovalRequested)
    assert (asked.case_id, asked.earlier_case) == (late.case_id, shop.case().case_id)
    assert asked.reason == MoneyQuestion.CAME_BACK_LATE
    assert shop.refunds == []
    await shop.bench.ask(ApproveCase(case_id=late.case_id), actor=SUPERVISOR)
    assert shop.refunds == [10000]
    assert shop.case(2).state == "closed"


@pytest.mark.requirement("A2")
async def test_a_person_may_refuse_late_goods_and_the_buyer_is_told() -> None:
    shop = await given_up()
    await shop.came_back(shop.case().case_id)
    await shop.bench.ask(RejectCase(case_id=shop.case(2).case_id, reason="a month late"), actor=SUPERVISOR)
    assert shop.refunds == []
    assert [e.reason for e in shop.bench.said_of(CaseRejected)] == [
        RejectReason.NOT_RETURNED,
        RejectReason.BY_AGENT,
    ]


@pytest.mark.requirement("A2")
async def test_only_what_came_as_agreed_is_put_before_a_person() -> None:
    shop = await given_up()
    await shop.came_back(shop.case().case_id, TEA=1)
    assert shop.case(2).amount == 5000


@pytest.mark.requirement("A2")
async def test_late_goods_that_are_not_as_agreed_are_rejected_and_the_buyer_is_told() -> None:
    shop = await given_up()
    await shop.came_back(shop.case().case_id, Condition.DAMAGED)
    assert shop.bench.said_of(CaseRejected)[-1].reason is RejectReason.NOT_AS_AGREED
    assert shop.case(2).state == "closed"


@pytest.mark.requirement("A2")
async def test_late_goods_of_an_order_that_cost_nothing_are_no_case() -> None:
    shop = await given_up(total=0)
    await shop.came_back(shop.case().case_id)
    assert shop.case(2) is None
    assert shop.case().custody == "inspected"


@pytest.mark.requirement("A2")
@pytest.mark.parametrize("first", ["the cash is told of", "a person decides"])
async def test_late_goods_that_were_paid_on_delivery_are_asked_about_before_their_cash_is_told_of(
    first: str,
) -> None:
    shop = await given_up(cod=True)
    await shop.came_back(shop.case().case_id)
    (asked,) = shop.bench.said_of(ApprovalRequested)
    assert (asked.reason, asked.amount.amount) == (MoneyQuestion.CAME_BACK_LATE, 10000)
    approve = ApproveCase(case_id=asked.case_id)
    if first == "a person decides":
        await shop.bench.ask(approve, actor=SUPERVISOR)
    assert shop.refunds == []
    await shop.delivered(cod_collected=10000)
    if first != "a person decides":
        await shop.bench.ask(approve, actor=SUPERVISOR)
    assert shop.refunds == [10000]


@pytest.mark.requirement("W12", "A2")
@pytest.mark.parametrize("first", ["asks", "cancel_refused"])
async def test_goods_that_the_dock_had_in_time_are_paid_however_late_its_scanner_tells(first: str) -> None:
    shop = await given_up(first=first)
    await shop.received(shop.case().case_id, at=shop.case().return_by - DAY)
    await shop.inspected(shop.case().case_id)
    assert shop.refunds == [10000]
    assert not shop.bench.said_of(ApprovalRequested)


@pytest.mark.requirement("W12", "A2")
async def test_goods_that_were_not_awaited_any_more_are_late_whatever_time_was_left(shop: Shop) -> None:
    await shop.asks()
    await shop.bench.ask(RejectCase(case_id=shop.case().case_id, reason="they keep it"), actor=SUPERVISOR)
    await shop.bench.pass_time(DAY)
    await shop.came_back(shop.case().case_id)
    assert shop.refunds == []
    assert shop.bench.said_of(ApprovalRequested)[-1].reason == MoneyQuestion.CAME_BACK_LATE


@pytest.mark.requirement("W12", "A2")
async def test_of_a_case_that_an_older_version_rejected_nobody_knows_when_so_nothing_is_in_time(
    shop: Shop,
) -> None:
    await shop.asks()
    case_id = shop.case().case_id
    await shop.bench.ask(RejectCase(case_id=case_id, reason="they keep it"), actor=SUPERVISOR)
    cases = shop.bench.store.tables["cases"]
    row, version = cases[case_id]
    cases[case_id] = (replace(row, given_up_at=None), version)
    await shop.came_back(case_id)
    assert shop.refunds == []
    assert shop.bench.said_of(ApprovalRequested)[-1].reason == MoneyQuestion.CAME_BACK_LATE


@pytest.mark.requirement("X2")
async def test_what_the_dock_says_about_late_goods_counts_once_however_often_it_is_heard() -> None:
    shop = await given_up()
    ids = {"order_id": shop.order_id, "case_id": shop.case().case_id}
    found = (InspectedLine(sku="TEA", quantity=2, condition=Condition.AS_NEW, restocked=True),)
    news = [
        shop.bench.incoming(ReturnReceived(**ids)),
        shop.bench.incoming(ReturnInspected(**ids, lines=found)),
    ]
    for batch in ([news[0]], news, [news[1], news[0]]):
        await shop.bench.turns.run(batch)
    await shop.came_back(shop.case().case_id)
    assert shop.told().count("CaseOpened") == 2
    assert shop.parked == []


@pytest.mark.requirement("A2")
async def test_pieces_that_were_asked_for_again_meanwhile_are_paid_for_once() -> None:
    shop = await given_up()
    await shop.asks()
    await shop.came_back(shop.case(1).case_id)
    await shop.bench.ask(ApproveCase(case_id=shop.case(3).case_id), actor=SUPERVISOR)
    await shop.came_back(shop.case(2).case_id)
    assert shop.refunds == [10000]
    assert shop.parked == []
