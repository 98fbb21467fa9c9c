"""What the courier brings back, the buyer never had: whatever becomes of it is no loss of theirs (A1, A6)."""

from dataclasses import replace

import pytest

from services.aftersales.domain.coming_back import came_back_as_agreed
from services.aftersales.handlers.asked import ApproveCase, OpenRefund
from shared.events.aftersales import CaseClosed, CaseKind, CaseRejected, ReturnReason
from shared.events.warehouse import Condition, InspectedLine
from tests.aftersales.desk import DAY, Shop, goods, money
from tests.builders import lines
from tests.harness import AGENT, SUPERVISOR, refused_by


async def on_its_way_back(*first: str, cod: bool = False) -> Shop:
    """An order of 2 × TEA that the courier brings back, `first` before or after that."""
    shop = Shop()
    await shop.placed(cod=cod)
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
async def test_a_late_cancel_of_what_the_buyer_has_and_does_not_send_back_is_rejected() -> None:
    shop = await on_its_way_back("cancel_refused")
    await shop.delivered()
    await shop.bench.pass_time(14 * DAY)
    assert shop.refunds == []
    assert [e.kind for e in shop.bench.said_of(CaseRejected)] == [CaseKind.LATE_CANCEL]


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
@pytest.mark.parametrize("lost", [False, True])
async def test_one_of_two_parcels_that_comes_back_is_paid_back_by_itself(lost: bool) -> None:
    shop = Shop()
    await shop.placed()
    await shop.delivered(last=False)
    await shop.returned(TEA=1)
    assert shop.case().lines == goods(TEA=1)
    if lost:
        await shop.bench.pass_time(14 * DAY)
    else:
        await shop.came_back(shop.case().case_id, TEA=1)
    assert shop.refunds == [5000]
    assert [e.order_ends for e in shop.bench.said_of(CaseClosed)] == [False], "the buyer has the other one"
    assert (await shop.asks(TEA=1)).refusal is None
    assert refused_by(await shop.asks(TEA=1)) == "not_returnable"


@pytest.mark.requirement("A1")
async def test_an_order_ends_when_the_last_of_its_parcels_is_back() -> None:
    shop = Shop()
    await shop.placed()
    await shop.returned(TEA=1, last=False)
    await shop.returned(TEA=1)
    for ordinal in (2, 1):
        await shop.came_back(shop.case(ordinal).case_id, TEA=1)
    assert shop.refunds == [5000, 5000]
    assert [e.order_ends for e in shop.bench.said_of(CaseClosed)] == [False, True]


@pytest.mark.requirement("A6")
async def test_nobody_is_asked_about_cash_that_was_given_back_before() -> None:
    shop = Shop()
    await shop.placed(cod=True)
    await shop.delivered(cod_collected=10000, last=False)
    await shop.returned()
    refund = OpenRefund(order_id=shop.order_id, amount=10000, reason="it was late")
    case_id = (await shop.bench.ask(refund, actor=AGENT)).answer["case_id"]
    await shop.bench.ask(ApproveCase(case_id=case_id), actor=SUPERVISOR)
    await shop.came_back(shop.case(1).case_id)
    assert shop.refunds == [10000]
    assert shop.case(3) is None
    assert shop.bench.said_of(CaseClosed)[-1].refunded == money(0)


@pytest.mark.requirement("X1")
@pytest.mark.parametrize(("pieces", "refunds"), [(2, [10000]), (1, [5000])])
async def test_what_the_warehouse_told_before_orders_did_is_not_forgotten(
    pieces: int, refunds: list[int]
) -> None:
    shop = Shop()
    await shop.returned(TEA=pieces)
    await shop.placed()
    await shop.bench.pass_time(14 * DAY)
    assert shop.refunds == refunds
    assert shop.parked == []


@pytest.mark.requirement("A1")
async def test_cash_that_was_collected_for_a_parcel_that_came_back_is_looked_into() -> None:
    shop = Shop()
    await shop.placed(cod=True)
    await shop.delivered(cod_collected=10000, last=False)
    await shop.returned()
    await shop.came_back(shop.case().case_id)
    assert shop.refunds == []
    assert (shop.case(2).state, shop.case(2).amount) == ("awaiting_approval", 10000)


@pytest.mark.requirement("A1")
async def test_of_a_refused_cod_parcel_nothing_is_owed_and_what_arrived_keeps_its_price() -> None:
    shop = Shop()
    await shop.placed(cod=True)
    await shop.delivered(cod_collected=5000, last=False)
    await shop.returned(TEA=1)
    await shop.came_back(shop.case().case_id, TEA=1)
    assert shop.refunds == []
    await shop.asks(TEA=1)
    await shop.came_back(shop.case(2).case_id, TEA=1)
    assert shop.refunds == [5000]
    assert refused_by(await shop.asks(TEA=1)) == "not_returnable"


@pytest.mark.requirement("A1")
@pytest.mark.parametrize("kept_back", [False, True])
async def test_of_one_article_at_two_prices_each_parcel_costs_what_its_courier_was_told_to_collect(
    kept_back: bool,
) -> None:
    shop = Shop()
    await shop.placed(lines(("TEA", 1, 9000), ("TEA", 1, 3000)), cod=True)
    if kept_back:
        await shop.cancel_refused(TEA=1)
        await shop.delivered(cod_collected=6000)
    else:
        await shop.delivered(cod_collected=6000, last=False)
        await shop.returned(TEA=1)
        await shop.came_back(shop.case().case_id, TEA=1)
        await shop.asks(TEA=1)
    assert shop.refunds == []
    await shop.came_back(shop.case(1 if kept_back else 2).case_id, TEA=1)
    assert shop.refunds == [6000]


@pytest.mark.requirement("A2")
async def test_nor_does_it_cost_another_price_while_a_parcel_is_on_its_way_back() -> None:
    shop = Shop()
    await shop.placed(lines(("TEA", 2, 9000), ("TEA", 1, 3000)), cod=True)
    await shop.returned(TEA=1, last=False)
    await shop.delivered(cod_collected=14000)
    await shop.asks(TEA=1)
    await shop.came_back(shop.case(2).case_id, TEA=1)
    assert shop.refunds == [7000]
    await shop.came_back(shop.case(1).case_id, TEA=1)
    await shop.asks(TEA=1)
    await shop.came_back(shop.case(3).case_id, TEA=1)
    assert shop.refunds == [7000, 7000]


@pytest.mark.requirement("A6")
@pytest.mark.parametrize("cod", [False, True])
async def test_a_parcel_with_a_case_of_its_own_says_nothing_of_the_one_that_a_late_cancel_awaits(
    cod: bool,
) -> None:
    shop = Shop()
    await shop.placed(cod=cod)
    await shop.returned(TEA=1, last=False)
    await shop.came_back(shop.case().case_id, TEA=1)
    await shop.cancel_refused()
    await shop.delivered(cod_collected=5000 if cod else 0)
    await shop.bench.pass_time(14 * DAY)
    assert shop.case(2).kind is CaseKind.LATE_CANCEL
    assert shop.refunds == ([] if cod else [5000]), "the buyer keeps the other parcel"
    assert [e.case_id for e in shop.bench.said_of(CaseRejected)] == [shop.case(2).case_id]


@pytest.mark.requirement("A1")
@pytest.mark.parametrize("cod", [False, True])
async def test_what_a_buyer_asks_to_send_back_but_never_had_is_awaited_of_the_courier(cod: bool) -> None:
    """One of three pieces was delivered; the buyer asks to send back two, and the parcel with the others turns round. As they
    had confirmed the receipt, a person says that they have not got it."""
    shop = Shop()
    await shop.placed(lines(("TEA", 3, 5000)), cod=cod)
    await shop.delivered(cod_collected=5000 if cod else 0, last=False)
    await shop.completed()
    await shop.asks(TEA=2)
    await shop.returned(TEA=2)
    await shop.bench.ask(ApproveCase(case_id=shop.case(2).case_id), actor=SUPERVISOR)
    await shop.came_in_part(1, 1)
    await shop.bench.pass_time(30 * DAY)
    assert sum(shop.refunds) == (5000 if cod else 15000)
    kinds = [e.kind for e in shop.bench.said_of(CaseClosed)]
    assert kinds.count(CaseKind.REFUSED_COD if cod else CaseKind.RETURNED_PARCEL) == 2
    assert refused_by(await shop.asks(TEA=1)) == "not_returnable"
    assert shop.parked == []


@pytest.mark.requirement("A1")
async def test_the_same_when_what_the_buyer_sent_is_not_as_agreed() -> None:
    shop = Shop()
    await shop.placed(lines(("TEA", 3, 5000)))
    await shop.delivered(last=False)
    await shop.completed()
    await shop.asks(TEA=2)
    await shop.returned(TEA=2)
    await shop.bench.ask(ApproveCase(case_id=shop.case(2).case_id), actor=SUPERVISOR)
    await shop.came_back(shop.case(1).case_id, Condition.DAMAGED, TEA=1)
    await shop.bench.pass_time(30 * DAY)
    assert sum(shop.refunds) == 10000
    assert (await shop.asks(TEA=1)).refusal is None, "the buyer may ask again for the one that they had"


@pytest.mark.requirement("A1")
async def test_a_late_cancel_does_not_end_an_order_of_which_a_courier_still_brings_a_parcel_back() -> None:
    shop = Shop()
    await shop.placed()
    await shop.returned(TEA=1, last=False)
    await shop.cancel_refused()
    await shop.delivered()
    await shop.came_back(shop.case(2).case_id, TEA=1)
    await shop.came_back(shop.case(1).case_id, TEA=1)
    closed = [(e.kind, e.order_ends) for e in shop.bench.said_of(CaseClosed)]
    assert closed == [(CaseKind.LATE_CANCEL, False), (CaseKind.RETURNED_PARCEL, True)]
    assert sum(shop.refunds) == 10000


@pytest.mark.requirement("A6")
@pytest.mark.parametrize("word", [*ReturnReason, "nobody home"])
async def test_what_a_courier_says_in_its_own_words_is_no_reason_of_a_buyer(word: str) -> None:
    shop = await on_its_way_back("returned")
    told = replace(shop.case(), reason=str(word))
    in_its_place = InspectedLine(sku="CUP", quantity=2, condition=Condition.WRONG_ITEM, restocked=False)
    assert came_back_as_agreed(told, (in_its_place,)) == ()
