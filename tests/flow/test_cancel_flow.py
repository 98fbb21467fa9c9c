"""A canceled order is undone, and its buyer gets back all that they paid, whatever was paid back before (O3, O10)."""

import pytest

from services.aftersales.handlers.asked import ApproveCase, OpenRefund
from services.orders.handlers.release import LiftHold
from shared.events.aftersales import RefundRequested
from shared.events.orders import Hold, OrderPaid
from tests.builders import cancel, confirmed, oid, paid, submitted
from tests.harness import AGENT, SUPERVISOR
from tests.town import Town


@pytest.fixture
async def town() -> Town:
    town = Town()
    await town.stock()
    return town


def refunds(town: Town) -> list[int]:
    return [e.amount.amount for e in town.said(RefundRequested)]


async def give_back(town: Town, amount: int) -> None:
    """An agent asks for it, another person grants it."""
    refund = OpenRefund(order_id=oid(), amount=amount, reason="paid too much")
    opened = await town.ask("aftersales", refund, AGENT)
    await town.ask("aftersales", ApproveCase(case_id=opened.answer["case_id"]), SUPERVISOR)


async def settle_money(town: Town) -> None:
    lift = LiftHold(order_id=oid(), hold=Hold.PAYMENT_ANOMALY, reason="the rest was paid back")
    assert (await town.ask("orders", lift, SUPERVISOR)).refusal is None


@pytest.mark.requirement("O3")
@pytest.mark.requirement("O10")
@pytest.mark.parametrize("payments", [[12000], [10000, 2000], [4000, 8000]])
@pytest.mark.parametrize("back", [[2000], [500, 1500], [2600]])
@pytest.mark.parametrize("stage", ["held", "in the warehouse"])
async def test_what_was_paid_in_all_comes_back_with_a_cancel_once(
    town: Town, payments: list[int], back: list[int], stage: str
) -> None:
    await town.outside(submitted())
    for n, amount in enumerate(payments):
        await town.outside(paid(payment_id=f"p{n}", amount=amount))
    for amount in back:
        await give_back(town, amount)
    if stage == "in the warehouse":
        await settle_money(town)
        await town.outside(confirmed())
        assert len(town.said(OrderPaid)) == 1
        await town.pick(oid())
    await town.outside(cancel())
    assert refunds(town) == [*back, 12000 - sum(back)]
    assert town.row("orders", "orders", oid()).payment_status == "refunded"
    assert town.parked() == []


@pytest.mark.requirement("O3")
async def test_what_was_paid_too_much_can_be_given_back_after_the_cancel_too(town: Town) -> None:
    await town.outside(submitted())
    await town.outside(paid(amount=12000))
    await town.outside(cancel())
    assert refunds(town) == [10000]
    assert town.row("orders", "orders", oid()).standing() == [Hold.PAYMENT_ANOMALY]
    await give_back(town, 2000)
    await settle_money(town)
    assert refunds(town) == [10000, 2000]
    assert town.row("orders", "orders", oid()).payment_status == "refunded"
