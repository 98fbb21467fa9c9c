"""Who may grant what (A3)."""

import pytest

from services.aftersales.domain.case import CASE, CaseState
from services.aftersales.domain.policy import Policy
from services.aftersales.handlers.asked import ApproveCase, OpenRefund, OpenReturn, RejectCase
from shared.events.aftersales import ApprovalRequested, CaseRejected, RejectReason, ReturnReason
from shared.runtime.messages import Outcome
from shared.values import Actor, ActorKind, Role
from tests.aftersales.desk import DAY, Shop, goods
from tests.builders import lines, oid
from tests.harness import AGENT, SUPERVISOR

COLLEAGUE = Actor(kind=ActorKind.OPERATOR, name="agent.lin")
AT_A_SCANNER = Actor(kind=ActorKind.OPERATOR, name=AGENT.name, device="scanner-1")


@pytest.fixture
async def shop() -> Shop:
    """A delivered order worth 3,000.00."""
    shop = Shop()
    await shop.placed(lines(("TEA", 2, 150_000)))
    await shop.delivered()
    return shop


async def refund(shop: Shop, amount: int, actor: Actor = AGENT) -> str:
    command = OpenRefund(order_id=shop.order_id, amount=amount, reason="a dent")
    return str((await shop.bench.ask(command, actor=actor)).answer["case_id"])


def code(outcome: Outcome) -> tuple[str, int]:
    assert outcome.refusal is not None
    return outcome.refusal.code, outcome.refusal.status


@pytest.mark.requirement("A3")
@pytest.mark.parametrize("actor", [AGENT, AT_A_SCANNER], ids=["at a desk", "at a scanner"])
async def test_nobody_approves_their_own_request(shop: Shop, actor: Actor) -> None:
    approval = ApproveCase(case_id=await refund(shop, 100))
    assert code(await shop.bench.ask(approval, actor=actor)) == ("no_authority", 403)
    assert shop.case().state == "awaiting_approval"
    assert (await shop.bench.ask(approval, actor=COLLEAGUE)).answer["state"] == "closed"


@pytest.mark.requirement("A3")
@pytest.mark.parametrize("amount", [100, 200_000], ids=["small", "above their limit"])
async def test_whoever_asked_by_mistake_takes_it_back(shop: Shop, amount: int) -> None:
    case_id = await refund(shop, amount)
    taken = await shop.bench.ask(RejectCase(case_id=case_id, reason="clicked twice"), actor=AGENT)
    assert taken.answer["state"] == "closed"
    assert shop.refunds == []
    rejected = shop.bench.said_of(CaseRejected)[0]
    assert (rejected.reason, rejected.asked_by_buyer) == (RejectReason.WITHDRAWN, False)


@pytest.mark.requirement("A3")
async def test_what_follows_from_a_decision_of_ones_own_is_decided_by_others(shop: Shop) -> None:
    """Whoever looked at the goods that came late has not asked for their money."""
    case_id = (await shop.asks(TEA=1)).answer["case_id"]
    await shop.bench.ask(ApproveCase(case_id=case_id), actor=SUPERVISOR)
    await shop.bench.pass_time(15 * DAY)
    await shop.came_back(case_id, TEA=1)
    late = shop.case(2)
    opener = Actor(kind=ActorKind.SERVICE, name=late.opened_by.partition(":")[2])
    refusal = RejectCase(case_id=late.case_id, reason="no")
    assert code(await shop.bench.ask(refusal, actor=opener)) == ("no_authority", 403)


@pytest.mark.requirement("A2")
async def test_a_return_that_was_opened_by_mistake_is_ended_and_its_goods_can_be_asked_for(
    shop: Shop,
) -> None:
    command = OpenReturn(order_id=shop.order_id, lines=goods(TEA=1), reason=ReturnReason.OTHER)
    case_id = (await shop.bench.ask(command, actor=AGENT)).answer["case_id"]
    await shop.bench.ask(ApproveCase(case_id=case_id), actor=SUPERVISOR)
    assert shop.case().state == "waiting_buyer"
    withdrawal = RejectCase(case_id=case_id, reason="the wrong order")
    assert code(await shop.bench.ask(withdrawal, actor=COLLEAGUE)) == ("no_authority", 403), (
        "above their limit"
    )
    assert (await shop.bench.ask(withdrawal, actor=AGENT)).answer["state"] == "closed"
    assert shop.bench.said_of(CaseRejected)[0].asked_by_buyer, "the buyer was told to send it"
    assert (await shop.bench.ask(command, actor=AGENT)).refusal is None


@pytest.mark.requirement("A3")
async def test_a_reason_given_with_an_approval_is_kept(shop: Shop) -> None:
    case_id = await refund(shop, 100)
    await shop.bench.ask(ApproveCase(case_id=case_id, reason="seen on a photo"), actor=COLLEAGUE)
    assert any(line.endswith(f"{COLLEAGUE}: seen on a photo") for line in shop.case().history)


@pytest.mark.requirement("A3")
async def test_whoever_is_asked_is_told_what_would_be_paid_by_now(shop: Shop) -> None:
    """A return awaits approval, and all that was paid is paid back otherwise meanwhile."""
    first = await refund(shop, 300_000)
    command = OpenReturn(order_id=shop.order_id, lines=goods(TEA=2), reason=ReturnReason.OTHER)
    await shop.bench.ask(ApproveCase(case_id=first), actor=SUPERVISOR)
    await shop.bench.ask(command, actor=AGENT)
    assert [e.amount.amount for e in shop.bench.said_of(ApprovalRequested)] == [300_000, 0]


@pytest.mark.requirement("A3")
async def test_cash_that_is_still_to_be_told_of_is_reckoned_with(shop: Shop) -> None:
    cash = Shop(number="T-2")
    await cash.placed(lines(("TEA", 2, 150_000)), cod=True)
    await cash.delivered()
    await cash.asks(TEA=1)
    assert [e.amount.amount for e in cash.bench.said_of(ApprovalRequested)] == [150_000]


@pytest.mark.requirement("A3")
async def test_the_back_office_does_not_approve_its_own_request_either(shop: Shop) -> None:
    case_id = await refund(shop, 100, SUPERVISOR)
    assert code(await shop.bench.ask(ApproveCase(case_id=case_id), actor=SUPERVISOR)) == ("no_authority", 403)


@pytest.mark.requirement("A3")
@pytest.mark.parametrize(("amount", "agent_may"), [(100_000, True), (100_001, False)])
async def test_above_an_agents_limit_the_back_office_decides(
    shop: Shop, amount: int, agent_may: bool
) -> None:
    case_id = await refund(shop, amount)
    outcome = await shop.bench.ask(ApproveCase(case_id=case_id), actor=COLLEAGUE)
    if not agent_may:
        assert code(outcome) == ("no_authority", 403)
        assert shop.refunds == []
        await shop.bench.ask(ApproveCase(case_id=case_id), actor=SUPERVISOR)
    assert shop.refunds == [amount]


@pytest.mark.requirement("A3")
async def test_what_is_asked_for_in_parts_is_above_the_limit_as_the_whole_is(shop: Shop) -> None:
    parts = [await refund(shop, 60_000), await refund(shop, 60_000)]
    for case_id in parts:
        by_agent = await shop.bench.ask(ApproveCase(case_id=case_id), actor=COLLEAGUE)
        assert code(by_agent) == ("no_authority", 403)
    await shop.bench.ask(ApproveCase(case_id=parts[0]), actor=SUPERVISOR)
    refunded = await shop.bench.ask(ApproveCase(case_id=parts[1]), actor=COLLEAGUE)
    assert code(refunded) == ("no_authority", 403), "what was refunded counts as what is asked for"


@pytest.mark.requirement("A3")
async def test_a_limit_is_in_a_currency_and_where_none_is_named_no_agent_and_no_rule_grants_anything() -> (
    None
):
    shop = Shop(Policy(agent_limit={"CNY": 100_000, "JPY": 1_000}))
    for number, currency in enumerate(("JPY", "USD")):
        shop.number = f"T-{currency}"
        shop.order_id = oid(shop.number)
        await shop.placed(lines(("TEA", 2, 1_000)), currency=currency)
        await shop.delivered()
        assert (await shop.asks(TEA=1)).answer["state"] == "awaiting_approval"
        by_agent = await shop.bench.ask(ApproveCase(case_id=shop.case().case_id), actor=COLLEAGUE)
        assert (by_agent.refusal is None) == (currency == "JPY")
        assert shop.bench.said_of(ApprovalRequested)[number].needs == (
            Role.ORDINARY if currency == "JPY" else Role.BACK_OFFICE
        )


@pytest.mark.requirement("A3")
async def test_what_was_refused_is_no_longer_part_of_the_whole(shop: Shop) -> None:
    parts = [await refund(shop, 60_000), await refund(shop, 60_000)]
    await shop.bench.ask(RejectCase(case_id=parts[0], reason="no dent"), actor=SUPERVISOR)
    await shop.bench.ask(ApproveCase(case_id=parts[1]), actor=COLLEAGUE)
    assert shop.refunds == [60_000]


@pytest.mark.requirement("A3")
async def test_returns_piece_by_piece_need_a_person_once_together_they_are_worth_enough() -> None:
    shop = Shop()
    await shop.placed(lines(("TEA", 3, 20_000)))
    await shop.delivered()
    states = [(await shop.asks(TEA=1)).answer["state"] for _ in range(3)]
    assert states == ["waiting_buyer", "waiting_buyer", "awaiting_approval"]
    for n in (1, 2):
        await shop.came_back(shop.case(n).case_id, TEA=1)
    await shop.bench.ask(ApproveCase(case_id=shop.case(3).case_id), actor=COLLEAGUE)
    await shop.came_back(shop.case(3).case_id, TEA=1)
    assert shop.refunds == [20_000] * 3


@pytest.mark.requirement("A3")
@pytest.mark.parametrize("role", [Role.BACK_OFFICE, Role.ADMINISTRATOR])
async def test_higher_roles_include_the_back_office(shop: Shop, role: Role) -> None:
    case_id = await refund(shop, 200_000)
    boss = Actor(kind=ActorKind.OPERATOR, name="boss", role=role)
    assert (await shop.bench.ask(ApproveCase(case_id=case_id), actor=boss)).refusal is None


@pytest.mark.requirement("A3")
async def test_a_case_is_decided_once(shop: Shop) -> None:
    case_id = await refund(shop, 100)
    await shop.bench.ask(ApproveCase(case_id=case_id), actor=COLLEAGUE)
    for again in (ApproveCase(case_id=case_id), RejectCase(case_id=case_id, reason="no")):
        assert code(await shop.bench.ask(again, actor=SUPERVISOR)) == ("not_awaiting_approval", 409)
    assert shop.refunds == [100]


@pytest.mark.requirement("A3")
async def test_an_agent_who_opens_a_return_above_the_rule_does_not_grant_it(shop: Shop) -> None:
    command = OpenReturn(order_id=shop.order_id, lines=goods(TEA=1), reason=ReturnReason.OTHER)
    case_id = (await shop.bench.ask(command, actor=SUPERVISOR)).answer["case_id"]
    assert code(await shop.bench.ask(ApproveCase(case_id=case_id), actor=SUPERVISOR)) == ("no_authority", 403)


@pytest.mark.requirement("A3")
async def test_a_rejection_says_by_whom_and_why(shop: Shop) -> None:
    case_id = await refund(shop, 100)
    await shop.bench.ask(RejectCase(case_id=case_id, reason="no dent on the photo"), actor=COLLEAGUE)
    assert (
        shop.case()
        .history[-2]
        .endswith(f"{COLLEAGUE}: rejected, {RejectReason.BY_AGENT}: no dent on the photo")
    )
    assert shop.refunds == []


@pytest.mark.parametrize("amount", [0, 300_001])
async def test_a_refund_is_between_one_and_what_was_paid(shop: Shop, amount: int) -> None:
    outcome = await shop.bench.ask(OpenRefund(order_id=shop.order_id, amount=amount, reason="x"))
    assert code(outcome) == ("amount", 409)


async def test_cases_and_orders_that_do_not_exist_are_not_found(shop: Shop) -> None:
    assert code(await shop.bench.ask(ApproveCase(case_id="nothing"))) == ("unknown_case", 404)
    assert code(await shop.bench.ask(OpenRefund(order_id="nothing", amount=1, reason="x"))) == (
        "unknown_order",
        404,
    )


@pytest.mark.requirement("A2")
def test_every_case_state_but_the_last_leads_on() -> None:
    leads = {state for state, _ in CASE.moves}
    assert leads == set(CaseState) - {CaseState.CLOSED}


@pytest.mark.requirement("A3")
@pytest.mark.parametrize(("amount", "needs"), [(100_000, Role.ORDINARY), (100_001, Role.BACK_OFFICE)])
async def test_that_a_case_waits_is_said_once_with_who_may_decide(
    shop: Shop, amount: int, needs: Role
) -> None:
    case_id = await refund(shop, amount)
    said = shop.bench.said_of(ApprovalRequested)
    assert [(e.case_id, e.amount.amount, e.needs, e.reason) for e in said] == [
        (case_id, amount, needs, "a dent")
    ]
    await shop.bench.ask(ApproveCase(case_id=case_id), actor=SUPERVISOR)
    assert len(shop.bench.said_of(ApprovalRequested)) == 1


@pytest.mark.requirement("A3")
async def test_of_a_case_that_a_rule_decides_nobody_is_asked() -> None:
    shop = Shop()
    await shop.placed()
    await shop.delivered()
    await shop.asks(TEA=1)
    await shop.bench.pass_time(30 * DAY)
    await shop.asks(TEA=1)
    assert [shop.case(n).state for n in (1, 2)] == ["closed", "closed"]
    assert shop.bench.said_of(ApprovalRequested) == []


@pytest.mark.requirement("A3")
@pytest.mark.parametrize("reason", [ReturnReason.CHANGED_MIND, ReturnReason.MISSING_ITEM])
async def test_cash_that_is_not_told_of_yet_counts_for_who_may_grant(reason: ReturnReason) -> None:
    shop = Shop()
    await shop.placed(lines(("TEA", 2, 80_000)), cod=True)
    await shop.delivered()
    await shop.asks(reason)
    await shop.delivered(cod_collected=160_000)
    assert (shop.case().state, shop.case().amount) == ("awaiting_approval", 160_000)
    approve = ApproveCase(case_id=shop.case().case_id)
    assert code(await shop.bench.ask(approve, actor=AGENT)) == ("no_authority", 403)
    assert (await shop.bench.ask(approve, actor=SUPERVISOR)).refusal is None


@pytest.mark.requirement("A3")
async def test_of_cash_that_never_comes_nothing_is_paid_back() -> None:
    shop = Shop()
    await shop.placed(cod=True)
    await shop.delivered()
    await shop.asks()
    await shop.came_back(shop.case().case_id)
    assert (shop.case().state, shop.refunds) == ("closed", [])
