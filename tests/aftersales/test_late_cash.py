"""Cash that a courier tells of once a case was opened, or its goods came back: the buyer is owed it all the same (A2)."""

import pytest

from services.aftersales.domain.known_order import would_pay
from services.aftersales.handlers.asked import ApproveCase, OpenRefund
from shared.events.aftersales import ApprovalRequested, CaseApproved, CaseKind, RefundRequested
from shared.events.warehouse import CodCollected
from tests.aftersales.desk import DAY, Shop
from tests.builders import lines
from tests.harness import AGENT, SUPERVISOR, refused_by


async def came_back(pieces: int) -> Shop:
    """Of 2 × TEA at 50.00, paid on delivery, so many came back before the courier told of the cash."""
    shop = Shop()
    await shop.placed(cod=True)
    await shop.delivered()
    await shop.asks(TEA=pieces)
    await shop.came_back(shop.case().case_id, TEA=pieces)
    assert shop.refunds == []
    return shop


async def cash(shop: Shop, amount: int, collected: int) -> None:
    event = CodCollected(
        order_id=shop.order_id, shipment_id="s", amount=amount, collected=collected,
        reported_at=shop.bench.clock.now(),
    )  # fmt: skip
    await shop.bench.hear(event)


@pytest.mark.requirement("A2")
@pytest.mark.parametrize("pieces", [1, 2])
async def test_their_price_is_paid_back_once_the_cash_is_told_of(pieces: int) -> None:
    shop = await came_back(pieces)
    await cash(shop, 10000, 10000)
    assert shop.refunds == [5000 * pieces]
    assert shop.case(2).kind is CaseKind.REFUND_ONLY
    assert shop.bench.said_of(CaseApproved)[-1].by_rule, "what was agreed to when the goods were asked for"


@pytest.mark.requirement("A2")
async def test_as_it_is_told_of_and_never_more_than_was_collected() -> None:
    shop = await came_back(2)
    await cash(shop, 4000, 4000)
    await cash(shop, 5000, 9000)
    assert shop.refunds == [4000, 5000]
    await cash(shop, 2000, 11000)
    assert shop.refunds == [4000, 5000, 1000], "what is beyond the price, a person looks into"


@pytest.mark.requirement("A2")
async def test_what_the_buyer_keeps_is_not_paid_back() -> None:
    shop = Shop()
    await shop.placed(cod=True)
    await shop.delivered()
    await cash(shop, 10000, 10000)
    assert shop.refunds == []
    assert (
        await shop.bench.ask(OpenRefund(order_id=shop.order_id, amount=1, reason="x"), actor=AGENT)
    ).answer


def comes_to(shop: Shop, ordinal: int = 1) -> int:
    return would_pay(shop.case(ordinal), shop.bench.row("known_orders", shop.order_id))


@pytest.mark.requirement("A1")
async def test_a_canceled_parcel_that_was_paid_at_the_door_says_what_it_would_pay() -> None:
    shop = Shop()
    await shop.placed(cod=True)
    await shop.cancel_refused(paid=0)
    assert comes_to(shop) == 0
    await shop.delivered(cod_collected=10000)
    assert comes_to(shop) == 10000
    await shop.came_back(shop.case().case_id)
    assert shop.refunds == [10000]


@pytest.mark.requirement("A3")
async def test_cash_that_an_open_case_would_pay_back_is_at_stake() -> None:
    shop = Shop()
    await shop.placed(lines(("TEA", 2, 60_000)), cod=True)
    await shop.cancel_refused(paid=0)
    await shop.delivered(cod_collected=120_000)
    asked = await shop.bench.ask(OpenRefund(order_id=shop.order_id, amount=100, reason="late"), actor=AGENT)
    assert shop.bench.said_of(ApprovalRequested)[-1].needs == SUPERVISOR.role
    await shop.bench.ask(ApproveCase(case_id=asked.answer["case_id"]), actor=SUPERVISOR)
    assert shop.refunds == [100]


@pytest.mark.requirement("A1")
async def test_what_is_paid_for_another_parcel_is_not_paid_for_one_that_turned_round() -> None:
    shop = Shop()
    await shop.placed(cod=True)
    await shop.delivered(cod_collected=5000, last=False, TEA=1)
    await shop.returned(TEA=1)
    assert comes_to(shop) == 0
    await cash(shop, 3000, 8000)
    assert comes_to(shop) == 3000
    await shop.came_back(shop.case().case_id, TEA=1)
    assert shop.refunds == []
    assert (shop.case(2).amount, comes_to(shop, 2)) == (3000, 3000)


@pytest.mark.requirement("A6")
async def test_nor_for_one_of_which_nobody_told() -> None:
    shop = Shop()
    await shop.placed(cod=True)
    await shop.cancel_refused(paid=0)
    await shop.delivered(cod_collected=5000, last=False, TEA=1)
    await shop.bench.pass_time(14 * DAY)
    (asked,) = shop.bench.said_of(ApprovalRequested)
    assert asked.amount.amount == 0
    await shop.bench.ask(ApproveCase(case_id=asked.case_id), actor=SUPERVISOR)
    assert shop.refunds == []


@pytest.mark.requirement("O3")
@pytest.mark.parametrize("warehouse_first", [True, False])
async def test_cash_for_an_order_that_was_paid_before_is_given_back_beside_its_price(
    warehouse_first: bool,
) -> None:
    shop = Shop()
    if warehouse_first:
        await shop.delivered(cod_collected=4000)
    await shop.placed()
    if not warehouse_first:
        await shop.delivered(cod_collected=4000)
    await cash(shop, 6000, 10000)
    command = OpenRefund(order_id=shop.order_id, amount=10000, reason="not due")
    asked = await shop.bench.ask(command, actor=AGENT)
    await shop.bench.ask(ApproveCase(case_id=asked.answer["case_id"]), actor=SUPERVISOR)
    (given,) = shop.bench.said_of(RefundRequested)
    assert (given.amount.amount, given.excess) == (10000, 10000)
    await shop.asks()
    await shop.came_back(shop.case(2).case_id)
    assert shop.refunds == [10000, 10000], "its price is paid back all the same, and no more"
    again = await shop.bench.ask(command, actor=AGENT)
    assert refused_by(again) == "amount"
