"""Why an order is held, in the words of whoever reads it: what orders really says, as staff get it (N2, N4)."""

import re

import pytest

from services.notify.texts import Texts
from services.orders.domain.policy import Policy
from services.orders.handlers import service as orders
from services.orders.handlers.release import PlaceHold
from services.warehouse.handlers.stock import RegisterSku
from shared.events.orders import Hold, HoldPlaced, HoldRule
from shared.events.warehouse import FulfillmentRefusal, FulfillmentRefused
from shared.values import DeliveryMethod, Locale, PaymentMethod
from tests.builders import confirmed, oid, paid, submitted
from tests.harness import SUPERVISOR, Bench
from tests.orders.world import refund
from tests.warehouse.floor import ABROAD, Floor


async def said(rule: HoldRule) -> HoldPlaced:
    """The hold that a rule places, as orders tells of it."""
    bench = Bench(orders(Policy(audit_above={"CNY": 9999} if rule is HoldRule.ABOVE_LIMIT else {})))
    match rule:
        case HoldRule.ABOVE_LIMIT:
            await bench.outside(submitted())
        case HoldRule.GIVEN_BACK:
            await bench.outside(submitted(address_confirmed=True))
            await bench.outside(paid())
            await bench.hear(refund(10000))
        case HoldRule.BOUGHT_TWICE:
            await bench.outside(submitted("T-0", buyer_id="buyer-1"))
            await bench.outside(submitted(buyer_id="buyer-1"))
        case HoldRule.NO_COURIER:
            way = DeliveryMethod.SELF_PICKUP
            await bench.outside(submitted(payment_method=PaymentMethod.COD, delivery_method=way))
            await bench.outside(confirmed(cod_accepted=True))
            detail = "no courier delivers by self_pickup with COD to this address"
            reason = FulfillmentRefusal.UNREACHABLE_ADDRESS
            await bench.hear(FulfillmentRefused(order_id=oid(), reason=reason, detail=detail))
        case HoldRule.TOO_HEAVY:
            await bench.outside(submitted(address_confirmed=True))
            await bench.outside(paid())
            await bench.hear(await too_heavy())
    (event,) = [e for e in bench.said_of(HoldPlaced) if e.rule is not None]
    assert event.rule is rule
    return event


async def too_heavy() -> FulfillmentRefused:
    """What the warehouse says of a release of what no courier can bring."""
    floor = Floor()
    await floor.bench.ask(RegisterSku(sku="SOFA", name="Sofa", weight_grams=70_001), actor=SUPERVISOR)
    await floor.release(oid(), ("SOFA", 1), personal=ABROAD)
    (event,) = floor.bench.said_of(FulfillmentRefused)
    return event


def letter(event: HoldPlaced, locale: Locale) -> str:
    """What staff read of it, without the order's id."""
    facts = event.model_dump(mode="json") | {"name": "", "number": "T-1"}
    return Texts("Tea House", "Asia/Shanghai").render("held", locale, facts).body.replace(event.order_id, "…")


WHY = {
    HoldRule.ABOVE_LIMIT: (
        "原因：订单金额超过免审单限额。",
        "Why: the total is above what is released without audit.",
    ),
    HoldRule.GIVEN_BACK: ("原因：已付款项已全部退还。", "Why: all that was paid was given back."),
    HoldRule.BOUGHT_TWICE: (
        "原因：同一买家不久前订购了相同商品（订单 T-0）。",
        "Why: the same buyer ordered the same goods shortly before (order T-0).",
    ),
    HoldRule.TOO_HEAVY: (
        "原因：商品 SOFA 登记的单件重量为 70001 克，没有快递能将其送达该地址（配送方式：快递）。",
        "Why: of SOFA one piece weighs 70001 g as registered, and no courier takes that to this address in the way "
        'the buyer chose ("by courier").',
    ),
    HoldRule.NO_COURIER: (
        "原因：没有快递能送达该地址（配送方式：到店自提，货到付款）。",
        'Why: no courier delivers to this address in the way the buyer chose ("you fetch it from us", with cash on delivery).',
    ),
}


@pytest.mark.requirement("N2", "N4", "O7")
@pytest.mark.parametrize("rule", HoldRule)
async def test_why_a_rule_holds_an_order_is_said_in_the_language_of_staff(rule: HoldRule) -> None:
    event = await said(rule)
    for locale, why in zip((Locale.ZH_CN, Locale.EN), WHY[rule], strict=True):
        assert why in letter(event, locale)
    chinese = letter(event, Locale.ZH_CN).replace(event.heaviest or "…", "…")
    assert re.findall(r"[A-Za-z]{2,}", chinese) == []


@pytest.mark.requirement("N2", "W6")
@pytest.mark.parametrize(
    ("locale", "address"), [(Locale.ZH_CN, "地址无法送达"), (Locale.EN, "reaches the address")]
)
async def test_of_a_weight_staff_read_that_it_may_be_wrong_and_of_no_address_that_is(
    locale: Locale, address: str
) -> None:
    event = await said(HoldRule.TOO_HEAVY)
    facts = event.model_dump(mode="json") | {"name": "", "number": "T-1"}
    held = Texts("Tea House", "Asia/Shanghai").render("held", locale, facts)
    assert address not in held.subject + held.body
    assert (
        "请更正后解除冻结" if locale is Locale.ZH_CN else "correct the weight if it is wrong"
    ) in held.body


@pytest.mark.requirement("N2", "O7")
async def test_why_a_person_holds_an_order_is_said_in_their_own_words() -> None:
    bench = Bench(orders())
    await bench.outside(submitted())
    await bench.ask(PlaceHold(order_id=oid(), hold=Hold.AWAITING_AUDIT, reason="large for a new buyer"))
    event = next(e for e in bench.said_of(HoldPlaced) if e.hold is Hold.AWAITING_AUDIT)
    assert "备注：large for a new buyer。" in letter(event, Locale.ZH_CN)
    assert "What was noted: large for a new buyer." in letter(event, Locale.EN)


@pytest.mark.requirement("N2", "X1")
@pytest.mark.parametrize("locale", Locale)
def test_a_hold_placed_before_rules_were_named_is_told_as_it_was(locale: Locale) -> None:
    facts = {
        "order_id": "o-1",
        "hold": "awaiting_audit",
        "reason": "looks odd",
        "name": "",
        "number": "T-1",
    }
    assert "looks odd" in Texts("Tea House", "Asia/Shanghai").render("held", locale, facts).body
