"""A case that waits for somebody of the shop is not forgotten (A2, A7)."""

import pytest

from services.aftersales.handlers.asked import ApproveCase
from shared.events.aftersales import CaseOverdue, ReturnReason, WaitsFor
from tests.aftersales.desk import DAY, Shop
from tests.harness import SUPERVISOR

pytestmark = pytest.mark.requirement("A2")


async def test_goods_that_lie_at_the_dock_unlooked_at_are_told_once(shop: Shop) -> None:
    case_id = (await shop.asks()).answer["case_id"]
    await shop.bench.pass_time(3 * DAY)
    assert not shop.bench.said_of(CaseOverdue), "it was the buyer's turn"
    came = shop.bench.clock.now()
    await shop.received(case_id)
    await shop.bench.pass_time(30 * DAY)
    (told,) = shop.bench.said_of(CaseOverdue)
    assert (told.case_id, told.waits_for, told.since) == (case_id, WaitsFor.INSPECTION, came)


async def test_a_case_that_nobody_decides_about_is_told_once(shop: Shop) -> None:
    case_id = (await shop.asks(ReturnReason.MISSING_ITEM)).answer["case_id"]
    await shop.bench.pass_time(30 * DAY)
    (told,) = shop.bench.said_of(CaseOverdue)
    assert (told.case_id, told.waits_for) == (case_id, WaitsFor.APPROVAL)


async def test_of_a_case_that_goes_on_in_time_nobody_hears(shop: Shop) -> None:
    missing = (await shop.asks(ReturnReason.MISSING_ITEM, TEA=1)).answer["case_id"]
    await shop.bench.ask(ApproveCase(case_id=missing), actor=SUPERVISOR)
    back = (await shop.asks(TEA=1)).answer["case_id"]
    await shop.came_back(back, TEA=1)
    await shop.bench.pass_time(30 * DAY)
    assert not shop.bench.said_of(CaseOverdue)
