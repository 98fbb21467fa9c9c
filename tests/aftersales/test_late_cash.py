"""Cash that a courier tells of after the goods it was paid for came back: the buyer is owed it all the same (A2)."""

import pytest

from services.aftersales.handlers.asked import OpenRefund
from shared.events.aftersales import CaseApproved, CaseKind
from shared.events.warehouse import CodCollected
from tests.aftersales.desk import Shop
from tests.harness import AGENT


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
