"""Whatever is asked, granted, sent back, doubled or late: never more is refunded than was paid (A2, O10)."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from services.aftersales.domain.known_order import KnownOrder
from services.aftersales.domain.policy import Policy
from services.aftersales.handlers.asked import ApproveCase, OpenRefund, RejectCase
from shared.events.aftersales import (
    ApprovalRequested,
    CaseApproved,
    CaseClosed,
    CaseOpened,
    MoneyQuestion,
    RefundRequested,
)
from shared.events.orders import OrderCanceled, OrderExpired
from shared.events.warehouse import Condition
from shared.goods import by_sku
from tests.aftersales.desk import DAY, Shop, goods, money
from tests.builders import lines
from tests.harness import AGENT, SUPERVISOR, refused_by

PRICES = st.integers(0, 90_000)
CASES = st.integers(1, 6)
STEPS = st.one_of(
    st.tuples(st.just("asks"), st.sampled_from(["TEA", "CUP"]), st.integers(1, 3)),
    st.tuples(st.just("refund"), st.integers(1, 300_000)),
    st.tuples(st.just("overpaid"), st.integers(1, 50_000)),
    st.tuples(st.just("approve"), CASES),
    st.tuples(st.just("reject"), CASES),
    st.tuples(st.just("received"), CASES),
    st.tuples(st.just("inspected"), CASES, st.sampled_from(list(Condition)), st.integers(1, 3)),
    st.tuples(st.sampled_from(["delivered", "returned", "late_cancel"])),
    st.tuples(st.just("parcel_back"), st.integers(1, 2), st.booleans()),
    st.tuples(st.just("kept_back"), st.integers(1, 2), st.booleans()),
    st.tuples(st.sampled_from(["canceled", "expired"]), st.integers(0, 3)),
    st.tuples(st.just("wait"), st.integers(1, 20)),
)


async def play(shop: Shop, step: tuple[Any, ...], cod: int, captured: int) -> None:
    match step:
        case ("asks", sku, n):
            await shop.asks(**{sku: n})
        case ("refund", amount):
            await shop.bench.ask(OpenRefund(order_id=shop.order_id, amount=amount, reason="x"), actor=AGENT)
        case ("overpaid", excess):
            await shop.overpaid(excess)
        case ("approve", n):
            await shop.bench.ask(ApproveCase(case_id=f"{shop.order_id}-C{n}"), actor=SUPERVISOR)
        case ("reject", n):
            await shop.bench.ask(RejectCase(case_id=f"{shop.order_id}-C{n}", reason="x"), actor=SUPERVISOR)
        case ("received", n):
            # the dock only takes what it expects, and once; it goes on expecting what has not come in time
            if (case := shop.case(n)) is not None and case.custody in ("authorized", "not_returned"):
                await shop.received(case.case_id)
        case ("inspected", n, condition, most):
            case = shop.case(n)
            if case is not None and case.custody == "received":
                found = {line.sku: min(line.quantity, most) for line in case.lines}
                await shop.inspected(case.case_id, condition, **found)
        case ("delivered",):
            await shop.delivered(cod_collected=cod)
        case ("returned",):
            await shop.returned()
        case ("parcel_back", n, last):
            await shop.returned(TEA=n, last=last)
        case ("kept_back", n, last):
            await shop.kept_back(TEA=n, last=last)
            await shop.cancel_refused(TEA=n)
        case ("late_cancel",):
            await shop.cancel_refused()
        case ("canceled" | "expired" as how, heard):
            # orders owes what counts less the refunds that it has heard of; the last ones may still be under way
            asked = shop.bench.said_of(RefundRequested)[:heard]
            owed = money(captured - sum(e.amount.amount - e.excess for e in asked))
            ended = {
                "canceled": OrderCanceled(order_id=shop.order_id, reason="x", refund=owed),
                "expired": OrderExpired(order_id=shop.order_id, refund=owed),
            }
            await shop.bench.hear(ended[how])
        case ("wait", days):
            await shop.bench.pass_time(timedelta(days=days))


@pytest.mark.requirement("A2")
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.tuples(PRICES, PRICES), st.integers(0, 2000), st.booleans(), st.lists(STEPS, max_size=25))
def test_refunds_never_exceed_what_was_paid(
    prices: tuple[int, int], fee: int, cod: bool, steps: list[tuple[Any, ...]]
) -> None:
    async def story() -> None:
        shop = Shop(Policy(authorized_up_to={"CNY": 60_000}))
        items = lines(("TEA", 2, prices[0]), ("CUP", 1, prices[1]))
        total = 2 * prices[0] + prices[1] + fee
        await shop.placed(items, total=total, cod=cod)
        collected = 0
        for step in steps:
            first = step == ("delivered",) and not collected
            await play(shop, step, total if cod and first else 0, collected if cod else total)
            collected += total if cod and first else 0
        price, excess = collected if cod else total, sum(s[1] for s in steps if s[0] == "overpaid")
        asked = shop.bench.said_of(RefundRequested)
        assert sum(e.excess for e in asked) <= excess
        assert sum(e.amount.amount - e.excess for e in asked) <= price
        if not cod and steps and steps[-1] == ("canceled", 0):
            assert sum(e.amount.amount - e.excess for e in asked) == price
        known = shop.bench.row("known_orders", shop.order_id)
        assert known.refunded + known.excess_refunded == sum(shop.refunds)
        assert not by_sku(known.claimed) - by_sku(known.lines)
        assert shop.parked == []
        asked_for_approval = shop.bench.said_of(ApprovalRequested)
        waited = [e.case_id for e in asked_for_approval]
        unheard = {e.case_id for e in asked_for_approval if e.reason == MoneyQuestion.NO_WORD}
        by_rule = {e.case_id for e in shop.bench.said_of(CaseApproved) if e.by_rule}
        waiting = {c.case_id for c in shop.bench.store.rows("cases") if c.state == "awaiting_approval"}
        assert len(waited) == len(set(waited))
        assert waiting <= set(waited)
        assert not by_rule & {*waited} - unheard
        closed = shop.bench.said_of(CaseClosed)
        assert len({e.case_id for e in closed}) == len(closed) <= len(shop.bench.said_of(CaseOpened))
        by_case = {e.case_id: e.amount.amount for e in shop.bench.said_of(RefundRequested)}
        assert {e.case_id: e.refunded.amount for e in closed if e.refunded.amount} == by_case

    asyncio.run(story())


@pytest.mark.requirement("A2")
async def test_what_waits_for_approval_is_spoken_for() -> None:
    shop = Shop()
    await shop.placed()
    await shop.delivered()
    asked = [
        await shop.bench.ask(OpenRefund(order_id=shop.order_id, amount=amount, reason="x"), actor=AGENT)
        for amount in (8000, 8000, 2000, 1)
    ]
    assert [one.refusal and one.refusal.detail for one in asked] == [
        None,
        "from 1 to 2000 minor units, 20.00 CNY, can be refunded now",
        None,
        "nothing that was paid is left to refund beside what waits for approval",
    ]
    for n in (1, 2):
        await shop.bench.ask(ApproveCase(case_id=f"{shop.order_id}-C{n}"), actor=SUPERVISOR)
    assert shop.refunds == [8000, 2000]


@pytest.mark.requirement("A2")
async def test_a_sum_that_was_paid_back_otherwise_is_not_granted_for_nothing() -> None:
    shop = Shop()
    await shop.placed()
    await shop.bench.ask(OpenRefund(order_id=shop.order_id, amount=8000, reason="x"), actor=AGENT)
    await shop.bench.hear(OrderCanceled(order_id=shop.order_id, reason="x", refund=money(10000)))
    case_id = f"{shop.order_id}-C1"
    granted = await shop.bench.ask(ApproveCase(case_id=case_id), actor=SUPERVISOR)
    assert (refused_by(granted), shop.refunds) == ("nothing_left", [10000])
    await shop.bench.ask(RejectCase(case_id=case_id, reason="it was canceled"), actor=SUPERVISOR)
    assert shop.bench.said_of(CaseClosed)[-1].case_id == case_id


@pytest.mark.requirement("O10")
async def test_a_canceled_order_is_refunded_once() -> None:
    shop = Shop()
    await shop.placed()
    event = OrderCanceled(order_id=shop.order_id, reason="x", refund=money(10000))
    heard = shop.bench.incoming(event)
    await shop.bench.turns.run([heard])
    await shop.bench.turns.run([heard])
    assert shop.refunds == [10000]
    outcome = await shop.bench.ask(OpenRefund(order_id=shop.order_id, amount=1, reason="x"))
    assert refused_by(outcome) == "amount"


@pytest.mark.requirement("O10")
@pytest.mark.parametrize(("agents", "rest"), [(10000, []), (4000, [6000])])
async def test_a_cancel_gives_back_only_what_a_refund_under_way_has_left(
    agents: int, rest: list[int]
) -> None:
    shop = Shop()
    await shop.placed()
    await shop.bench.ask(OpenRefund(order_id=shop.order_id, amount=agents, reason="x"), actor=AGENT)
    await shop.bench.ask(ApproveCase(case_id=f"{shop.order_id}-C1"), actor=SUPERVISOR)
    await shop.bench.hear(OrderCanceled(order_id=shop.order_id, reason="x", refund=money(10000)))
    assert shop.refunds == [agents, *rest]
    assert len(shop.bench.said_of(CaseClosed)) == 1 + len(rest)


async def agent_gives_back(shop: Shop, amount: int) -> str:
    """Opened and approved; the code that it is refused with, or nothing."""
    outcome = await shop.bench.ask(OpenRefund(order_id=shop.order_id, amount=amount, reason="x"), actor=AGENT)
    if outcome.refusal is not None:
        return outcome.refusal.code
    await shop.bench.ask(ApproveCase(case_id=outcome.answer["case_id"]), actor=SUPERVISOR)
    return ""


@pytest.mark.requirement("O10")
@pytest.mark.parametrize(
    ("amounts", "excess"), [([2000], [2000]), ([500, 1500], [500, 1500]), ([2500], [2000])]
)
async def test_money_back_without_goods_is_first_of_all_what_was_paid_too_much(
    amounts: list[int], excess: list[int]
) -> None:
    shop = Shop()
    await shop.placed()
    await shop.overpaid(2000)
    for amount in amounts:
        await agent_gives_back(shop, amount)
    assert [e.excess for e in shop.bench.said_of(RefundRequested)] == excess
    of_the_price = sum(amounts) - 2000
    await shop.bench.hear(
        OrderCanceled(order_id=shop.order_id, reason="x", refund=money(10000 - of_the_price))
    )
    assert sum(shop.refunds) == 12000
    assert await agent_gives_back(shop, 1) == "amount"


@pytest.mark.requirement("A2")
async def test_a_return_after_what_was_paid_too_much_was_given_back_brings_the_whole_price() -> None:
    shop = Shop()
    await shop.placed()
    await shop.overpaid(2000)
    await agent_gives_back(shop, 2000)
    await shop.delivered()
    await shop.asks()
    await shop.came_back(shop.case(2).case_id)
    assert shop.refunds == [2000, 10000]


@pytest.mark.requirement("O10")
async def test_what_was_paid_too_much_can_still_be_given_back_once_the_price_was() -> None:
    shop = Shop()
    await shop.placed()
    await shop.bench.hear(OrderCanceled(order_id=shop.order_id, reason="x", refund=money(10000)))
    await shop.overpaid(10000)
    assert await agent_gives_back(shop, 10000) == ""
    assert await agent_gives_back(shop, 1) == "amount"
    assert [(e.amount.amount, e.excess) for e in shop.bench.said_of(RefundRequested)] == [
        (10000, 0),
        (10000, 10000),
    ]


@pytest.mark.requirement("A3")
async def test_an_open_case_keeps_what_it_asks_of_what_was_paid_too_much() -> None:
    shop = Shop()
    await shop.placed()
    await shop.overpaid(2000)
    for amount in (2000, 500):
        await shop.bench.ask(OpenRefund(order_id=shop.order_id, amount=amount, reason="x"), actor=AGENT)
    assert [shop.case(n).excess for n in (1, 2)] == [2000, 0]
    await shop.bench.ask(RejectCase(case_id=shop.case(1).case_id, reason="x"), actor=SUPERVISOR)
    await agent_gives_back(shop, 2000)
    assert shop.case(3).excess == 2000


@pytest.mark.requirement("A2")
@pytest.mark.parametrize("together", [False, True])
async def test_of_one_article_at_two_prices_each_is_given_back_once(together: bool) -> None:
    shop = Shop()
    await shop.placed(lines(("TEA", 1, 9000), ("TEA", 1, 5000), ("CUP", 1, 6000)))
    await shop.delivered()
    for n in (1, 2):
        await shop.asks(TEA=1)
        if not together:
            await shop.came_back(shop.case(n).case_id, TEA=1)
    if together:
        for n in (2, 1):
            await shop.came_back(shop.case(n).case_id, TEA=1)
    assert shop.refunds == [9000, 5000]


@pytest.mark.requirement("A2")
@settings(deadline=None)
@example([("TEA", 1, 0)], 800, Random(1))
@example([("TEA", 1, 0), ("CUP", 1, 5000)], 800, Random(1))
@given(
    st.lists(st.tuples(st.sampled_from(["TEA", "CUP"]), st.integers(1, 3), PRICES), min_size=1, max_size=4),
    st.integers(-20_000, 2000),
    st.randoms(use_true_random=False),
)
def test_piece_by_piece_all_goods_bring_what_they_bring_at_once(
    items: list[tuple[str, int, int]], fee: int, dice: Any
) -> None:
    bought = lines(*items)
    total = max(sum(one.quantity * one.unit_price for one in bought) + fee, 0)
    known = KnownOrder("o", "shop", "1", bought, total, "CNY", cod=False, paid=total)
    assert known.worth(known.unclaimed()) == total
    pieces = [sku for sku, quantity, _ in items for _ in range(quantity)]
    dice.shuffle(pieces)
    given = []
    for sku in pieces:
        given.append(known.worth(goods(**{sku: 1})))
        known = replace(known, settled=known.settled + goods(**{sku: 1}))
    assert sum(given) == total
    assert min(given) >= 0


@pytest.mark.requirement("A2")
async def test_cash_that_was_never_collected_is_never_refunded() -> None:
    shop = Shop()
    await shop.placed(cod=True)
    await shop.delivered(cod_collected=0)
    await shop.asks()
    await shop.came_back(shop.case().case_id)
    assert shop.refunds == []
    await shop.bench.pass_time(30 * DAY)
    assert shop.parked == []
