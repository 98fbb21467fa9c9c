"""Every way a case can go, and what late, doubled and racing facts do to it (A1, A2)."""

import pytest

from services.aftersales.handlers.asked import ApproveCase, OpenReturn, RejectCase
from shared.events.aftersales import (
    CaseClosed,
    CaseKind,
    CaseRejected,
    RejectReason,
    ReturnAuthorized,
    ReturnReason,
)
from shared.events.inbox import ReturnAsked
from shared.events.orders import OrderCanceled, OrderExpired
from shared.events.warehouse import Condition
from shared.values import MAX_PIECES
from tests.aftersales.desk import DAY, Shop, goods, money
from tests.builders import SOURCE, lines
from tests.harness import AGENT, SUPERVISOR, refused_by

# --- the ways through A2 ---------------------------------------------------------------------------------------


@pytest.mark.requirement("A2")
async def test_asked_authorized_received_inspected_refunded_closed(shop: Shop) -> None:
    outcome = await shop.asks()
    assert outcome.answer == {"case_id": f"{shop.order_id}-C1", "state": "waiting_buyer"}
    assert (shop.case().custody, shop.case().refund) == ("authorized", "none")
    await shop.received(shop.case().case_id)
    assert (shop.case().state, shop.case().custody) == ("waiting_warehouse", "received")
    await shop.inspected(shop.case().case_id)
    assert (shop.case().state, shop.case().custody, shop.case().refund) == (
        "closed",
        "inspected",
        "requested",
    )
    assert shop.told() == ["CaseOpened", "CaseApproved", "ReturnAuthorized", "RefundRequested", "CaseClosed"]
    assert shop.refunds == [10000]


@pytest.mark.requirement("A2")
async def test_inside_the_window_to_the_last_second_and_not_after(shop: Shop) -> None:
    await shop.bench.pass_time(15 * DAY)
    assert (await shop.asks(TEA=1)).answer["state"] == "waiting_buyer"
    await shop.bench.pass_time(DAY / 86400)
    assert (await shop.asks(TEA=1)).answer["state"] == "closed"
    assert [e.reason for e in shop.bench.said_of(CaseRejected)] == [RejectReason.OUTSIDE_WINDOW]


@pytest.mark.requirement("A2")
async def test_above_the_value_limit_an_agent_decides() -> None:
    for amount, authorized in ((50_000, True), (50_001, False)):
        shop = Shop()
        await shop.placed(lines(("TEA", 1, amount)))
        await shop.delivered()
        case_id = (await shop.asks(TEA=1)).answer["case_id"]
        assert bool(shop.bench.said_of(ReturnAuthorized)) is authorized
        if not authorized:
            assert shop.case().state == "awaiting_approval"
            assert (await shop.bench.ask(ApproveCase(case_id=case_id))).answer["state"] == "waiting_buyer"
            assert len(shop.bench.said_of(ReturnAuthorized)) == 1


@pytest.mark.requirement("A2")
async def test_an_agent_may_refuse_and_the_pieces_can_be_asked_for_again() -> None:
    shop = Shop()
    await shop.placed(lines(("TEA", 1, 60_000)))
    await shop.delivered()
    case_id = (await shop.asks(TEA=1)).answer["case_id"]
    assert (await shop.bench.ask(RejectCase(case_id=case_id, reason="worn"))).answer["state"] == "closed"
    assert shop.refunds == []
    assert (await shop.asks(TEA=1)).answer["case_id"].endswith("-C2")
    again = await shop.bench.ask(ApproveCase(case_id=case_id))
    assert refused_by(again) == "not_awaiting_approval"


@pytest.mark.requirement("A2")
@pytest.mark.parametrize(
    ("reason", "condition", "refunds"),
    [
        (ReturnReason.CHANGED_MIND, Condition.AS_NEW, [10000]),
        (ReturnReason.CHANGED_MIND, Condition.DAMAGED, []),
        (ReturnReason.DAMAGED, Condition.DAMAGED, [10000]),
        (ReturnReason.DAMAGED, Condition.MISSING, []),
        (ReturnReason.WRONG_ITEM, Condition.MISSING, []),
    ],
)
async def test_what_the_dock_finds_decides_about_the_money(
    shop: Shop, reason: ReturnReason, condition: Condition, refunds: list[int]
) -> None:
    case_id = (await shop.asks(reason)).answer["case_id"]
    await shop.came_back(case_id, condition)
    assert shop.refunds == refunds
    assert shop.case().state == "closed"
    assert shop.case().refund == ("requested" if refunds else "denied")


@pytest.mark.requirement("A2")
async def test_what_was_not_in_the_parcel_can_be_asked_for_again_and_what_was_in_it_cannot(
    shop: Shop,
) -> None:
    await shop.asks(TEA=2)
    await shop.came_in_part(1, found=1)
    assert refused_by(await shop.asks(TEA=2)) == "not_returnable"
    assert (await shop.asks(TEA=1)).answer["state"] == "waiting_buyer"
    await shop.came_back(shop.case(2).case_id, TEA=1)
    assert shop.refunds == [5000, 5000]


@pytest.mark.requirement("A2")
async def test_goods_that_do_not_come_back_in_time_end_the_case(shop: Shop) -> None:
    await shop.asks()
    await shop.bench.pass_time(14 * DAY)
    assert (shop.case().state, shop.case().custody, shop.case().refund) == (
        "closed",
        "not_returned",
        "denied",
    )
    assert shop.refunds == []


@pytest.mark.requirement("A2")
async def test_goods_at_the_dock_are_in_time_however_long_they_lie_there(shop: Shop) -> None:
    case_id = (await shop.asks()).answer["case_id"]
    await shop.received(case_id)
    await shop.bench.pass_time(60 * DAY)
    await shop.inspected(case_id)
    assert shop.refunds == [10000]


@pytest.mark.requirement("A1")
async def test_each_case_has_its_kind_owner_reason_and_history(shop: Shop) -> None:
    command = OpenReturn(order_id=shop.order_id, lines=goods(TEA=1), reason=ReturnReason.LATE)
    await shop.bench.ask(command, actor=AGENT)
    case = shop.case()
    assert (case.kind, case.opened_by, case.reason) == (CaseKind.RETURN, str(AGENT), "late")
    assert [line.partition(": ")[2] for line in case.history] == ["opened: late", "approved by rule"]


# --- what the other services start -----------------------------------------------------------------------------


@pytest.mark.requirement("A1")
@pytest.mark.parametrize(("cod", "kind"), [(False, CaseKind.RETURNED_PARCEL), (True, CaseKind.REFUSED_COD)])
async def test_a_parcel_brought_back_is_a_case_for_all_its_goods(cod: bool, kind: CaseKind) -> None:
    shop = Shop()
    await shop.placed(cod=cod)
    await shop.returned()
    assert shop.case().kind is kind
    said = shop.bench.said_of(ReturnAuthorized)[0]
    assert (said.lines, said.kind) == (goods(TEA=2), kind)
    await shop.came_back(shop.case().case_id)
    assert shop.refunds == ([] if cod else [10000])
    assert shop.bench.said_of(CaseClosed)[0].refunded == money(0 if cod else 10000)


@pytest.mark.requirement("A1")
async def test_a_full_return_of_a_whole_parcel_gives_back_delivery_fees_too() -> None:
    shop = Shop()
    await shop.placed(total=10800)
    await shop.returned()
    await shop.came_back(shop.case().case_id)
    assert shop.refunds == [10800]


@pytest.mark.requirement("O10")
@pytest.mark.parametrize("event", [OrderCanceled, OrderExpired])
async def test_money_of_an_order_that_ended_goes_back_by_rule(event: type) -> None:
    shop = Shop()
    await shop.placed(paid=False)
    await shop.paid(4000)
    parts = {"reason": "no"} if event is OrderCanceled else {}
    await shop.bench.hear(event(order_id=shop.order_id, refund=money(4000), **parts))
    assert shop.refunds == [4000]
    assert shop.told() == ["CaseOpened", "CaseApproved", "RefundRequested", "CaseClosed"]


async def test_an_order_that_ended_without_money_is_no_case() -> None:
    shop = Shop()
    await shop.placed(paid=False)
    await shop.bench.hear(OrderExpired(order_id=shop.order_id, refund=money(0)))
    assert shop.told() == []


# --- late, doubled and racing ----------------------------------------------------------------------------------


@pytest.mark.requirement("A1")
async def test_a_parcel_returned_twice_or_after_a_late_cancel_is_one_case() -> None:
    for first in ("cancel_refused", "returned"):
        shop = Shop()
        await shop.placed()
        await getattr(shop, first)()
        await shop.returned()
        await shop.returned()
        await shop.cancel_refused()
        assert shop.told().count("CaseOpened") == 1
        await shop.came_back(shop.case().case_id)
        await shop.returned()
        assert shop.refunds == [10000]
        assert shop.parked == []


@pytest.mark.requirement("A2")
async def test_a_return_asked_while_a_late_cancel_is_open_is_refused(shop: Shop) -> None:
    await shop.cancel_refused()
    outcome = await shop.asks()
    assert refused_by(outcome) == "not_returnable"
    assert shop.told().count("CaseOpened") == 1


@pytest.mark.requirement("A2")
async def test_a_late_cancel_while_a_return_is_open_takes_only_what_is_left(shop: Shop) -> None:
    await shop.asks(TEA=1)
    await shop.cancel_refused()
    assert shop.bench.said_of(ReturnAuthorized)[1].lines == goods(TEA=1)
    for ordinal in (1, 2):
        await shop.came_back(shop.case(ordinal).case_id, TEA=1)
    assert sum(shop.refunds) == 10000


@pytest.mark.requirement("A2")
async def test_the_same_pieces_are_returned_once(shop: Shop) -> None:
    assert (await shop.asks(TEA=2)).refusal is None
    for pieces in ({"TEA": 1}, {"TEA": 2}, {"JAM": 1}):
        outcome = await shop.asks(ReturnReason.OTHER, **pieces)
        assert refused_by(outcome) == "not_returnable"
    assert shop.told().count("CaseOpened") == 1


@pytest.mark.requirement("A2")
async def test_a_piece_that_is_under_way_is_not_returned_in_place_of_one_that_arrived() -> None:
    shop = Shop()
    await shop.placed(lines(("TEA", 3, 5000)))
    await shop.delivered(last=False, TEA=1)
    await shop.asks(TEA=1)
    assert refused_by(await shop.asks(TEA=1)) == "not_returnable", "the one that arrived is asked for"
    await shop.returned(last=False, TEA=1)
    await shop.bench.pass_time(15 * DAY)
    assert (await shop.asks(TEA=1)).refusal is None, "it was not sent back in time, whatever else comes back"


@pytest.mark.requirement("A2")
async def test_one_request_handed_in_twice_is_one_case(shop: Shop) -> None:

    asked = ReturnAsked(source=SOURCE, external_number="T-1", lines=goods(TEA=1), reason=ReturnReason.OTHER)
    first = await shop.bench.outside(asked, id="r-1")
    again = await shop.bench.outside(asked, id="r-1")
    assert again.answer == first.answer
    assert shop.told().count("CaseOpened") == 1


@pytest.mark.requirement("A2")
async def test_lines_of_one_sku_are_added_up_before_they_are_judged(shop: Shop) -> None:
    twice = (*goods(TEA=1), *goods(TEA=2))
    command = OpenReturn(order_id=shop.order_id, lines=twice, reason=ReturnReason.OTHER)
    outcome = await shop.bench.ask(command, actor=SUPERVISOR)
    assert refused_by(outcome) == "not_returnable"


@pytest.mark.requirement("A2", "X2")
async def test_so_many_that_no_order_could_have_them_are_refused_and_stop_nothing(shop: Shop) -> None:
    outcome = await shop.bench.outside(
        ReturnAsked(
            source=SOURCE,
            external_number="T-1",
            lines=(*goods(TEA=MAX_PIECES), *goods(TEA=1)),
            reason=ReturnReason.OTHER,
        )
    )
    assert outcome.refusal is not None
    assert outcome.refusal.code == "not_returnable"
    assert shop.parked == []
    assert (await shop.asks(TEA=1)).refusal is None


@pytest.mark.requirement("A2")
async def test_what_the_dock_says_about_a_case_that_is_over_changes_nothing(shop: Shop) -> None:
    case_id = (await shop.asks()).answer["case_id"]
    await shop.came_back(case_id)
    before = shop.case()
    await shop.received(case_id)
    await shop.inspected(case_id)
    assert shop.case() == before
    assert shop.refunds == [10000]
    assert shop.parked == []


@pytest.mark.requirement("A2")
async def test_inspected_without_received_is_a_bug_of_the_dock_and_waits_for_ops(shop: Shop) -> None:
    case_id = (await shop.asks()).answer["case_id"]
    outcome = await shop.inspected(case_id)
    assert outcome.status == "parked"
    assert shop.refunds == []
    assert shop.case().state == "waiting_buyer"


@pytest.mark.requirement("A2")
async def test_before_delivery_and_for_unknown_orders_there_is_no_return() -> None:
    shop = Shop()
    unknown = await shop.asks()
    await shop.placed()
    early = await shop.asks()
    assert (refused_by(unknown), refused_by(early)) == ("unknown_order", "not_delivered")
    assert unknown.refusal is not None
    assert unknown.refusal.field == "external_number"


@pytest.mark.requirement("X1")
async def test_the_warehouse_may_be_heard_before_orders() -> None:
    shop = Shop()
    await shop.delivered()
    await shop.placed()
    assert (await shop.asks()).answer["state"] == "waiting_buyer"
    other = Shop(number="T-2")
    await other.returned()
    assert other.told() == []
    await other.placed()
    assert other.case().kind is CaseKind.RETURNED_PARCEL
    await other.came_back(other.case().case_id)
    assert other.refunds == [10000]
    assert shop.parked == other.parked == []
