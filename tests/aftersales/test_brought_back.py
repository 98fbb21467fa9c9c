"""What the courier brings back, the buyer never had: whatever becomes of it is no loss of theirs (A1, A6)."""

import pytest

from services.aftersales.handlers.asked import ApproveCase, OpenRefund
from shared.events.aftersales import CaseClosed, CaseKind, CaseRejected
from shared.events.warehouse import Condition
from tests.aftersales.desk import DAY, Shop, money
from tests.harness import AGENT, SUPERVISOR


async def on_its_way_back(*first: str, cod: bool = False, parcels: int = 1) -> Shop:
    """An order of 2 × TEA that the courier brings back, `first` before or after that."""
    shop = Shop()
    await shop.placed(cod=cod)
    await shop.shipped(parcels)
    for step in first or ("returned",):
        await getattr(shop, step)()
    return shop


@pytest.mark.requirement("A6")
@pytest.mark.parametrize(
    "first", [["returned"], ["cancel_refused", "returned"], ["returned", "cancel_refused"]]
)
async def test_a_parcel_that_the_courier_never_hands_over_is_paid_back_when_its_time_is_up(
    first: list[str],
) -> None:
    shop = await on_its_way_back(*first)
    await shop.bench.pass_time(14 * DAY)
    assert shop.refunds == [10000]
    assert (shop.case().state, shop.case().custody, shop.case().refund) == (
        "closed",
        "not_returned",
        "requested",
    )
    assert not shop.bench.said_of(CaseRejected)


@pytest.mark.requirement("A6")
async def test_a_parcel_that_comes_after_it_was_paid_back_is_not_paid_again() -> None:
    shop = await on_its_way_back()
    await shop.bench.pass_time(14 * DAY)
    await shop.came_back(shop.case().case_id)
    assert shop.refunds == [10000]
    assert len(shop.bench.said_of(CaseClosed)) == 1
    assert shop.parked == []


@pytest.mark.requirement("A2")
async def test_a_late_cancel_that_nobody_sends_back_is_rejected() -> None:
    shop = await on_its_way_back("cancel_refused")
    await shop.bench.pass_time(14 * DAY)
    assert shop.refunds == []
    assert len(shop.bench.said_of(CaseRejected)) == 1


@pytest.mark.requirement("A6")
@pytest.mark.parametrize("condition", [Condition.MISSING, Condition.WRONG_ITEM, Condition.DAMAGED])
@pytest.mark.parametrize("first", [["returned"], ["cancel_refused", "returned"]])
async def test_what_is_lost_or_exchanged_on_the_way_back_is_paid_back_too(
    first: list[str], condition: Condition
) -> None:
    shop = await on_its_way_back(*first)
    await shop.came_back(shop.case().case_id, condition)
    assert shop.refunds == [10000]


@pytest.mark.requirement("A6")
async def test_a_refused_cod_parcel_that_is_lost_costs_nobody_a_letter() -> None:
    for lost in (True, False):
        shop = await on_its_way_back(cod=True)
        if lost:
            await shop.bench.pass_time(14 * DAY)
        else:
            await shop.came_back(shop.case().case_id, Condition.MISSING)
        assert shop.refunds == []
        assert not shop.bench.said_of(CaseRejected)
        assert [e.kind for e in shop.bench.said_of(CaseClosed)] == [CaseKind.REFUSED_COD]


@pytest.mark.requirement("A6")
@pytest.mark.parametrize(("found", "paid"), [(1, [5000]), (0, [])])
async def test_of_several_parcels_a_person_decides_about_what_did_not_come_back(
    found: int, paid: list[int]
) -> None:
    shop = await on_its_way_back(parcels=2)
    if found:
        await shop.came_back(shop.case().case_id, TEA=found)
    else:
        await shop.bench.pass_time(14 * DAY)
    assert shop.refunds == paid, "the buyer may have the other parcel"
    assert (shop.case(2).state, shop.case(2).amount) == ("awaiting_approval", 10000 - sum(paid))
    await shop.bench.ask(ApproveCase(case_id=shop.case(2).case_id), actor=SUPERVISOR)
    assert sum(shop.refunds) == 10000


@pytest.mark.requirement("A6")
async def test_nobody_is_asked_about_money_that_was_given_back_before() -> None:
    shop = await on_its_way_back(parcels=2)
    refund = OpenRefund(order_id=shop.order_id, amount=10000, reason="it was late")
    case_id = (await shop.bench.ask(refund, actor=AGENT)).answer["case_id"]
    await shop.bench.ask(ApproveCase(case_id=case_id), actor=SUPERVISOR)
    await shop.bench.pass_time(14 * DAY)
    assert shop.refunds == [10000]
    assert shop.case(3) is None
    assert shop.bench.said_of(CaseClosed)[-1].refunded == money(0)


@pytest.mark.requirement("X1")
async def test_what_the_warehouse_told_before_orders_did_is_not_forgotten() -> None:
    for parcels, refunds in ((1, [10000]), (2, [])):
        shop = Shop()
        await shop.shipped(parcels)
        await shop.returned()
        await shop.placed()
        await shop.bench.pass_time(14 * DAY)
        assert shop.refunds == refunds
        assert shop.parked == []
