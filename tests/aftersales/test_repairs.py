"""Bugs that were found once and stay mended."""

import pytest

from services.aftersales.handlers.asked import ApproveCase, OpenRefund
from shared.events.aftersales import CaseKind, CaseOpened
from shared.values import Actor, ActorKind, Role
from tests.aftersales.desk import DAY, Shop
from tests.builders import lines
from tests.harness import AGENT, refused_by


@pytest.mark.requirement("A1")
async def test_a_parcel_that_comes_back_after_its_case_was_given_up_is_a_case_again() -> None:
    shop = Shop()
    await shop.placed()
    await shop.cancel_refused()
    await shop.delivered(last=False, TEA=2)  # said too early, as it turns out
    await shop.bench.pass_time(15 * DAY)
    await shop.returned()
    kinds = [e.kind for e in shop.bench.said_of(CaseOpened)]
    assert kinds == [CaseKind.LATE_CANCEL, CaseKind.RETURNED_PARCEL]
    await shop.came_back(shop.case(2).case_id)
    assert shop.refunds == [10000]


@pytest.mark.requirement("A2")
async def test_a_discount_is_shared_by_the_pieces() -> None:
    shop = Shop()
    await shop.placed(lines(("TEA", 2, 5000)), total=8000)
    await shop.delivered()
    for n in (1, 2):
        await shop.asks(TEA=1)
        await shop.came_back(shop.case(n).case_id, TEA=1)
    assert shop.refunds == [4000, 4000]


@pytest.mark.requirement("A2")
async def test_without_a_couriers_word_the_time_for_returns_begins_when_the_order_is_completed() -> None:
    shop = Shop()
    await shop.placed()
    await shop.bench.pass_time(3 * DAY)
    await shop.completed()
    await shop.bench.pass_time(15 * DAY)
    assert (await shop.asks(TEA=1)).answer["state"] == "waiting_buyer"
    await shop.bench.pass_time(DAY)
    assert (await shop.asks(TEA=1)).answer["state"] == "closed"
    await shop.came_back(shop.case().case_id, TEA=1)
    assert shop.refunds == [5000]


@pytest.mark.requirement("A2")
async def test_the_couriers_word_counts_more_than_the_completion_before_or_after_it() -> None:
    for steps in (("delivered", "completed"), ("completed", "delivered")):
        shop = Shop()
        await shop.placed()
        arrived = shop.bench.clock.now()
        for step in steps:
            await shop.bench.pass_time(DAY)
            await (shop.delivered(at=arrived) if step == "delivered" else shop.completed())
        assert shop.bench.row("known_orders", shop.order_id).delivered_at == arrived


@pytest.mark.requirement("X1")
async def test_nothing_is_asked_of_an_order_that_only_the_warehouse_has_told_of() -> None:
    shop = Shop()
    await shop.delivered(cod_collected=10000)
    outcome = await shop.bench.ask(OpenRefund(order_id=shop.order_id, amount=100, reason="x"), actor=AGENT)
    assert refused_by(outcome) == "unknown_order"


@pytest.mark.requirement("A3")
@pytest.mark.parametrize("kind", [ActorKind.SYSTEM, ActorKind.DEVICE])
async def test_only_people_grant_cases(kind: ActorKind) -> None:
    shop = Shop()
    await shop.placed(lines(("TEA", 1, 60_000)))
    await shop.delivered()
    case_id = (await shop.asks(TEA=1)).answer["case_id"]
    machine = Actor(kind=kind, name="other", role=Role.ADMINISTRATOR)
    outcome = await shop.bench.ask(ApproveCase(case_id=case_id), actor=machine)
    assert refused_by(outcome) == "no_authority"
