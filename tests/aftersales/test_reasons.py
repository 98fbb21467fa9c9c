"""What the reason of a return means for what has to come back (A2)."""

from typing import Any

import pytest

from services.aftersales.handlers.asked import ApproveCase, OpenReturn, RejectCase
from shared.events.aftersales import CaseKind, ReturnAuthorized, ReturnReason
from shared.events.inbox import ReturnAsked
from shared.events.warehouse import Condition, InspectedLine, ReturnInspected
from shared.values import SkuQuantity
from tests.aftersales.desk import Shop, goods
from tests.builders import SOURCE, lines
from tests.harness import AGENT, SUPERVISOR, refused_by


@pytest.fixture
async def shop() -> Shop:
    """A delivered order of 2 × TEA at 50.00 and 1 × CUP at 80.00."""
    shop = Shop()
    await shop.placed(lines(("TEA", 2, 5000), ("CUP", 1, 8000)))
    await shop.delivered()
    return shop


async def found(shop: Shop, *pieces: tuple[str, int, Condition]) -> None:
    await shop.received(shop.case().case_id)
    seen = tuple(InspectedLine(sku=s, quantity=n, condition=c, restocked=False) for s, n, c in pieces)
    await shop.bench.hear(ReturnInspected(order_id=shop.order_id, case_id=shop.case().case_id, lines=seen))


W, N, D, M = Condition.WRONG_ITEM, Condition.AS_NEW, Condition.DAMAGED, Condition.MISSING


@pytest.mark.requirement("A2")
@pytest.mark.parametrize(
    ("pieces", "refunds"),
    [
        ([("TEA", 1, W), ("CUP", 1, W)], [13000]),
        ([("MUG", 2, W)], [13000]),
        ([("MUG", 1, W), ("CUP", 1, N)], [13000]),
        ([("MUG", 1, W), ("CUP", 1, M)], [5000]),
        ([("MUG", 5, W)], [13000]),
        ([("MUG", 2, D)], []),
        ([("TEA", 1, M), ("CUP", 1, M)], []),
    ],
)
async def test_the_wrong_article_comes_back_in_place_of_the_one_that_was_bought(
    shop: Shop, pieces: list[Any], refunds: list[int]
) -> None:
    await shop.asks(ReturnReason.WRONG_ITEM, TEA=1, CUP=1)
    await found(shop, *pieces)
    assert shop.refunds == refunds


@pytest.mark.requirement("A2")
@pytest.mark.parametrize("sku", ["TEA", "MUG"])
async def test_with_any_other_reason_a_wrong_article_is_not_as_agreed(shop: Shop, sku: str) -> None:
    await shop.asks(ReturnReason.DAMAGED, TEA=1)
    await found(shop, (sku, 1, Condition.WRONG_ITEM))
    assert shop.refunds == []
    assert shop.case().refund == "denied"


@pytest.mark.requirement("A2")
async def test_what_never_came_is_not_sent_back_but_a_person_decides_about_its_price(shop: Shop) -> None:
    outcome = await shop.asks(ReturnReason.MISSING_ITEM, CUP=1)
    assert outcome.answer["state"] == "awaiting_approval"
    assert (shop.case().kind, shop.case().amount) == (CaseKind.REFUND_ONLY, 8000)
    await shop.bench.ask(ApproveCase(case_id=shop.case().case_id), actor=SUPERVISOR)
    assert shop.refunds == [8000]
    assert not shop.bench.said_of(ReturnAuthorized)


@pytest.mark.requirement("A2")
async def test_what_never_came_is_asked_for_once_and_again_only_after_a_refusal(shop: Shop) -> None:
    await shop.asks(ReturnReason.MISSING_ITEM, CUP=1)
    for reason in (ReturnReason.MISSING_ITEM, ReturnReason.CHANGED_MIND):
        twice = await shop.asks(reason, CUP=1)
        assert refused_by(twice) == "not_returnable"
    refused = RejectCase(case_id=shop.case().case_id, reason="it lay in the lid")
    await shop.bench.ask(refused, actor=SUPERVISOR)
    assert (await shop.asks(CUP=1)).refusal is None


@pytest.mark.requirement("A3")
async def test_an_agent_who_notes_that_a_piece_is_missing_does_not_grant_its_price(shop: Shop) -> None:
    missing = OpenReturn(order_id=shop.order_id, lines=goods(CUP=1), reason=ReturnReason.MISSING_ITEM)
    await shop.bench.ask(missing, actor=AGENT)
    own = await shop.bench.ask(ApproveCase(case_id=shop.case().case_id), actor=AGENT)
    assert refused_by(own) == "no_authority"
    assert shop.refunds == []


@pytest.mark.requirement("A2")
async def test_a_piece_in_whose_place_something_else_came_can_be_sent_back_after_all(shop: Shop) -> None:
    await shop.asks(TEA=2)
    await found(shop, ("TEA", 1, Condition.AS_NEW), ("MUG", 1, Condition.WRONG_ITEM))
    assert shop.refunds == [5000]
    assert (await shop.asks(TEA=1)).answer["state"] == "waiting_buyer"
    assert refused_by(await shop.asks(TEA=1)) == "not_returnable", "the other came back"


@pytest.mark.requirement("A2")
async def test_what_the_buyer_writes_to_their_return_stands_in_its_history(shop: Shop) -> None:
    asked = ReturnAsked(
        source=SOURCE,
        external_number=shop.number,
        lines=(SkuQuantity(sku="TEA", quantity=1),),
        reason=ReturnReason.OTHER,
        comment="the lid does not close",
    )
    await shop.bench.outside(asked)
    assert any("the lid does not close" in line for line in shop.case().history)
