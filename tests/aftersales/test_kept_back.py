"""What a cancel held back is paid back at once; what had left is a case of its own (O10, A1, A2)."""

from datetime import timedelta

import pytest

from shared.events.aftersales import CaseClosed, CaseKind, CaseOpened
from tests.aftersales.desk import DAY, Shop, goods
from tests.builders import lines
from tests.harness import refused_by


async def canceled(*, cod: bool = False, fee: int = 0) -> Shop:
    """Of 3 × TEA at 50.00 two were kept back; one had left."""
    shop = Shop()
    await shop.placed(lines(("TEA", 3, 5000)), total=15000 + fee, cod=cod)
    await shop.kept_back(TEA=2)
    await shop.cancel_refused(15000, TEA=2)
    return shop


def opened(shop: Shop) -> list[CaseKind]:
    return [e.kind for e in shop.bench.said_of(CaseOpened)]


@pytest.mark.requirement("O10")
async def test_its_price_goes_back_by_rule_and_the_rest_is_awaited() -> None:
    shop = await canceled()
    assert shop.refunds == [10000]
    assert opened(shop) == [CaseKind.REFUND_ONLY, CaseKind.LATE_CANCEL]
    assert (shop.case(1).state, shop.case(2).lines) == ("closed", goods(TEA=1))


@pytest.mark.requirement("O10")
@pytest.mark.parametrize("fee", [0, 800, -1000])
@pytest.mark.parametrize("by_courier", [True, False])
async def test_with_what_had_left_the_whole_comes_back(fee: int, by_courier: bool) -> None:
    shop = await canceled(fee=fee)
    if by_courier:
        await shop.returned(TEA=1)
    else:
        await shop.delivered()
    await shop.came_back(shop.case(2).case_id, TEA=1)
    assert sum(shop.refunds) == 15000 + fee
    assert shop.bench.said_of(CaseClosed)[-1].order_ends
    assert opened(shop) == [CaseKind.REFUND_ONLY, CaseKind.LATE_CANCEL]


@pytest.mark.requirement("A2")
async def test_a_buyer_who_keeps_what_had_left_may_still_return_that_and_no_more() -> None:
    shop = await canceled()
    await shop.delivered()
    await shop.bench.pass_time(14 * DAY)
    assert shop.refunds == [10000]
    assert refused_by(await shop.asks(TEA=2)) == "not_returnable"
    assert (await shop.asks(TEA=1)).refusal is None


@pytest.mark.requirement("A2")
async def test_when_what_left_had_arrived_its_return_window_begins() -> None:
    shop = Shop()
    await shop.placed()
    await shop.delivered(last=False)
    await shop.bench.pass_time(timedelta(days=1))
    await shop.kept_back(TEA=1, last=True)
    assert shop.bench.row("known_orders", shop.order_id).delivered_at == shop.bench.clock.now()


@pytest.mark.requirement("A1")
async def test_a_parcel_that_had_turned_round_before_has_its_own_case() -> None:
    shop = Shop()
    await shop.placed()
    await shop.returned(TEA=1, last=False)
    await shop.cancel_refused(TEA=1)
    assert opened(shop) == [CaseKind.RETURNED_PARCEL, CaseKind.REFUND_ONLY]
    await shop.came_back(shop.case(1).case_id, TEA=1)
    assert shop.refunds == [5000, 5000]


@pytest.mark.requirement("O10")
async def test_cash_that_was_not_collected_for_it_is_not_owed() -> None:
    shop = await canceled(cod=True)
    await shop.delivered(cod_collected=5000)
    assert (shop.refunds, opened(shop)) == ([], [CaseKind.LATE_CANCEL])
    await shop.came_back(shop.case(1).case_id, TEA=1)
    assert shop.refunds == [5000]
    assert refused_by(await shop.asks(TEA=1)) == "not_returnable"


@pytest.mark.requirement("X1")
async def test_in_whatever_order_the_topics_are_read() -> None:
    shop = Shop()
    await shop.kept_back(TEA=1, last=True)
    await shop.placed()
    await shop.cancel_refused(TEA=1)
    assert shop.refunds == [5000]
    assert shop.parked == []
