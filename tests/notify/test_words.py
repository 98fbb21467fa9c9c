"""Letters say what is meant in the words of their language, and never a code (N4, N1, N2)."""

import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import product

import pytest

from services.notify.app import NotifySettings
from services.notify.routing import NECESSARY
from services.notify.texts import Text, Texts
from services.notify.words import WORDS, in_words
from services.orders.domain.order import Fulfillment, HoldEntry, Order, OrderStatus
from services.orders.handlers import service as orders
from services.warehouse.domain.shipment import ENDS
from shared.events.aftersales import CaseKind, MoneyQuestion, RejectReason, ReturnReason, WaitsFor
from shared.events.base import EVENT_TYPES
from shared.events.orders import Hold, HoldRule, Overdue, PaymentAnomaly
from shared.runtime.settings import load
from shared.values import DeliveryMethod, Locale, Role
from tests.builders import oid, submitted
from tests.harness import START, Bench
from tests.notify.news import ORDER, approval_requested, for_buyers, for_staff

CODES: dict[str, set[str]] = {
    "hold": set(Hold),
    "rule": set(HoldRule),
    "overdue": set(Overdue),
    "template": set(NECESSARY),
    "anomaly": set(PaymentAnomaly),
    "delivery_method": set(DeliveryMethod),
    "reason": {*RejectReason, *ReturnReason, *MoneyQuestion},
    "kind": set(CaseKind),
    "waits_for": set(WaitsFor),
    "stands": set(ENDS),
    "reported": set(ENDS),
    "needs": set(Role),
    "service": {name.split(".")[0] for name in EVENT_TYPES if name.endswith(".event_parked.v1")},
}
"""What each fact that has words can hold; of who has an order, see below."""

SNAKE = re.compile(r"\b[a-z]+(_[a-z]+)+\b")


async def holders() -> set[str]:
    """Who may have an order: asked of orders in every state."""
    bench = Bench(orders())
    await bench.outside(submitted())
    order: Order = bench.row("orders", oid())
    return {
        replace(order, status=status, fulfillment=at, holds=holds, released=released, open_cases=cases).held_by()
        for status, at, holds, released, cases in product(
            OrderStatus, Fulfillment, [(), *((HoldEntry(h, "", "", START),) for h in Hold)], (False, True), ((), ("c",))
        )
    }  # fmt: skip


@pytest.mark.requirement("N4")
async def test_every_code_that_can_stand_in_a_letter_has_words_in_each_language() -> None:
    codes = CODES | {"held_by": await holders()}
    assert codes.keys() == WORDS.keys()
    for fact, known in codes.items():
        assert known <= WORDS[fact].keys()
        for code in known:
            assert re.search(r"[\u4e00-\u9fff]", in_words({fact: code}, Locale.ZH_CN)[fact]), code
            assert re.fullmatch(r"[a-z '():,-]+", in_words({fact: code}, Locale.EN)[fact]), code


def letters(locale: Locale) -> Iterator[tuple[list[str], Text]]:
    """Every letter with each code that can stand in it, and its codes. Not the one to ops, who look for types and streams by
    their names."""
    texts = Texts("Tea House", "Asia/Shanghai")
    events = for_buyers() | for_staff()
    del events["event_parked"]
    for template, event in events.items():
        facts = event.model_dump(mode="json", exclude={"personal"})
        facts |= {"name": "Wang Fang", "number": "T-1", "refund_due": "refund" in facts}
        coded = [name for name in WORDS if name in facts]
        for values in product(*(WORDS[name] for name in coded)):
            told = facts | dict(zip(coded, values, strict=True))
            yield list(values), texts.render(template, locale, told)


@pytest.mark.requirement("N4")
@pytest.mark.parametrize("locale", Locale)
def test_no_letter_shows_a_code(locale: Locale) -> None:
    for codes, text in letters(locale):
        whole = f"{text.subject}\n{text.body}".replace(ORDER, "")
        assert SNAKE.search(whole) is None, whole
        if locale is Locale.ZH_CN:  # in English some codes are the words
            assert not [code for code in codes if re.search(rf"\b{code}\b", whole)], whole


@pytest.mark.requirement("N4")
def test_what_has_no_words_yet_is_shown_as_it_is() -> None:
    assert in_words({"anomaly": "newer_than_we", "held_by": None}, Locale.EN) == {"anomaly": "newer_than_we"}


@pytest.mark.requirement("N2")
@pytest.mark.parametrize("locale", Locale)
@pytest.mark.parametrize("payment_id", ["cod", "cod:s-1:2"])
def test_cash_of_the_courier_is_called_cash(locale: Locale, payment_id: str) -> None:
    facts = for_staff()["payment_anomaly"].model_dump(mode="json") | {"payment_id": payment_id}
    told = facts | {"number": "T-1", "name": ""}
    body = Texts("Tea House", "Asia/Shanghai").render("payment_anomaly", locale, told).body
    assert body.startswith(("Cash on delivery: CN¥120.00", "货到付款金额"))


@pytest.mark.requirement("N1")
@pytest.mark.parametrize("template", ["shipped", "delivered"])
def test_of_several_parcels_no_letter_says_that_one_is_the_whole_order(template: str) -> None:
    texts, facts = Texts("Tea House", "Asia/Shanghai"), for_buyers()[template].model_dump(mode="json")
    for last, subject in ((False, "A parcel of order T-1 "), (True, "Order T-1 ")):
        told = facts | {"last": last, "number": "T-1", "name": "Wang Fang"}
        text = texts.render(template, Locale.EN, told)
        assert text.subject.startswith(subject)
        assert ("review" in text.body) == (last and template == "delivered")


@pytest.mark.requirement("N1")
def test_a_buyer_is_told_the_day_on_which_a_parcel_is_expected_and_no_seconds() -> None:
    facts = for_buyers()["shipped"].model_dump(mode="json") | {"number": "T-1", "name": "Wang Fang"}
    bodies = [Texts("Tea House", "Asia/Shanghai").render("shipped", locale, facts).body for locale in Locale]
    assert "2026年3月5日前后" in bodies[0]
    assert "around Mar 5, 2026." in bodies[1]


@pytest.mark.requirement("N1")
@pytest.mark.parametrize(("locale", "finance"), [(Locale.EN, "finance"), (Locale.ZH_CN, "财务")])
def test_only_the_letter_about_a_refund_says_that_finance_has_it(locale: Locale, finance: str) -> None:
    texts = Texts("Tea House", "Asia/Shanghai")
    for template, event in for_buyers().items():
        facts = event.model_dump(mode="json", exclude={"personal"})
        told = facts | {"number": "T-1", "name": "Wang Fang", "refund_due": "refund" in facts}
        assert (finance in texts.render(template, locale, told).body) == (template == "refund_requested")


@pytest.mark.requirement("N2")
@pytest.mark.parametrize(
    ("reason", "earlier", "told"),
    [
        ("came_back_late", "c-1", " Reason: the goods came back after their time was up (see case c-1)."),
        ("a dent in the tin", None, " Reason: a dent in the tin."),
        ("", None, ""),
    ],
)
def test_who_approves_reads_for_whom_a_case_waits_and_why(
    reason: str, earlier: str | None, told: str
) -> None:
    event = approval_requested(reason=reason, earlier_case=earlier)
    facts = event.model_dump(mode="json") | {"number": "T-1", "name": ""}
    text = Texts("Tea House", "Asia/Shanghai").render("approval_requested", Locale.EN, facts)
    assert text.subject == "[Approval] order T-1: a refund without goods, CN¥100.00"
    begin, _, end = text.body.partition(told or " for the buyer.")
    assert begin.startswith("Case c-2 of order T-1 waits for the back office: ")
    assert end == " Please approve or reject it; nobody decides about their own request."


@pytest.mark.requirement("N2")
def test_only_an_order_that_waits_is_called_held() -> None:
    texts, facts = Texts("Tea House", "Asia/Shanghai"), for_staff()["payment_anomaly"].model_dump(mode="json")
    for held in (True, False):
        text = texts.render("payment_anomaly", Locale.EN, facts | {"number": "T-1", "name": "", "held": held})
        assert ("is held" in text.body) == held
    del facts["held"]  # planned by a version that did not say it, and sent by this one
    older = texts.render("payment_anomaly", Locale.EN, facts | {"number": "T-1", "name": ""})
    assert "is held" in older.body


@pytest.mark.requirement("N1")
def test_an_order_of_which_a_parcel_turned_round_is_not_called_delivered() -> None:
    texts, facts = Texts("Tea House", "Asia/Shanghai"), for_buyers()["delivered"].model_dump(mode="json")
    for whole, subject in ((True, "Order T-1 "), (False, "A parcel of order T-1 ")):
        told = facts | {"last": True, "whole": whole, "number": "T-1", "name": "Wang Fang"}
        assert texts.render("delivered", Locale.EN, told).subject.startswith(subject)


@pytest.mark.requirement("X6")
def test_a_zone_that_there_is_not_ends_the_start(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HANDOVER_SHOP_TIMEZONE", "Asia/Nowhere")
    with pytest.raises(SystemExit):
        load(NotifySettings)
    assert "HANDOVER_SHOP_TIMEZONE is wrong: it is not an IANA time zone" in capsys.readouterr().err
