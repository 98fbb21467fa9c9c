"""What letters say to buyers: nothing that is not so, and what to do (N1)."""

from collections.abc import Mapping
from typing import Any

import pytest

from services.notify.app import NotifySettings, texts_of
from services.notify.texts import Text, Texts
from shared.values import Locale
from tests.builders import PERSONAL
from tests.notify.news import LATER, for_buyers

ZH, EN = Locale.ZH_CN, Locale.EN


def letter(template: str, locale: Locale, *, house: Mapping[str, Any] | None = None, **more: Any) -> Text:
    facts = for_buyers()[template].model_dump(mode="json", exclude={"personal"})
    contact, address = PERSONAL.contact, PERSONAL.address
    known = {
        "name": contact.name,
        "phone": contact.phone,
        "address": address,
        "number": "T-1",
        "refund_due": True,
    }
    return Texts("Tea House", "Asia/Shanghai", **(house or {})).render(template, locale, facts | known | more)


@pytest.mark.requirement("N1")
@pytest.mark.requirement("A1")
def test_nobody_is_asked_to_review_what_they_canceled() -> None:
    for locale, back, review in (
        (ZH, "请按此前的通知寄回商品", "评价"),
        (EN, "send the goods back", "review"),
    ):
        canceled = letter("delivered", locale, called_back=True).body
        assert back in canceled
        assert review not in canceled
        assert review in letter("delivered", locale).body


@pytest.mark.requirement("N1")
@pytest.mark.parametrize("template", ["return_authorized", "rest_awaited"])
def test_goods_are_to_reach_the_shop_in_time_and_not_only_to_be_sent(template: str) -> None:
    assert "前送达我们" in letter(template, ZH).body
    assert "us by Mar 5, 2026" in letter(template, EN).body


@pytest.mark.requirement("N1")
@pytest.mark.parametrize(
    ("reason", "chinese", "english"),
    [
        (
            "returned_parcel",
            "因包裹未能成功派送，您的",
            "T-1 was canceled, because its parcel could not be delivered.",
        ),
        ("refused_cod", "因包裹未签收，您的", "T-1 was canceled, because its parcel was not accepted."),
        ("late_cancel", "\n\n您的订单 T-1 已取消。", "T-1 was canceled. "),
        ("no need", "\n\n您的订单 T-1 已取消。", "T-1 was canceled. "),
    ],
)
def test_a_buyer_who_canceled_nothing_is_told_why_the_order_ends(
    reason: str, chinese: str, english: str
) -> None:
    assert chinese in letter("canceled", ZH, reason=reason).body
    assert english in letter("canceled", EN, reason=reason).body


@pytest.mark.requirement("N1", "O6")
@pytest.mark.parametrize("locale", Locale)
@pytest.mark.parametrize("unreachable", [False, True])
def test_a_buyer_is_asked_to_answer_soon_and_is_given_no_date(locale: Locale, unreachable: bool) -> None:
    body = letter("address_confirmation", locale, unreachable=unreachable, answer_by=LATER.isoformat()).body
    assert "2026" not in body
    assert ("尽快回复" if locale is ZH else "reply to this message soon") in body
    assert ("确认”" if locale is ZH else '"confirmed"') in body or unreachable


@pytest.mark.requirement("N1", "O6")
@pytest.mark.parametrize("locale", Locale)
def test_whoever_fetches_the_goods_is_asked_for_no_address(locale: Locale) -> None:
    body = letter("address_confirmation", locale, delivery_method="self_pickup").body
    assert PERSONAL.address.street not in body
    assert PERSONAL.contact.phone in body
    assert ("取货时付款" if locale is ZH else "paid when you collect it") in body


@pytest.mark.requirement("N1", "O6")
@pytest.mark.parametrize("locale", Locale)
@pytest.mark.parametrize("method", [None, "to_door", "self_pickup"])
def test_whom_no_courier_reaches_is_not_asked_to_agree_to_pay(locale: Locale, method: str | None) -> None:
    body = letter("address_confirmation", locale, unreachable=True, delivery_method=method).body
    assert not any(asked in body for asked in ("同意", "agree"))
    assert PERSONAL.address.street in body


@pytest.mark.requirement("N1")
@pytest.mark.parametrize("template", ["rest_awaited", "return_received", "returned_parcel"])
def test_a_refund_is_promised_to_nobody_who_may_have_paid_nothing(template: str) -> None:
    assert "如有应退款项" in letter(template, ZH).body
    assert "If a refund is due" in letter(template, EN).body


@pytest.mark.requirement("N1")
def test_a_ship_notice_tells_what_is_in_the_parcel_where_that_is_known() -> None:
    goods = [{"sku": "TEA", "quantity": 2}, {"sku": "CUP", "quantity": 1}]
    assert "包裹内：TEA × 2、CUP × 1。" in letter("shipped", ZH, lines=goods).body
    assert "In it: 2 × TEA, 1 × CUP." in letter("shipped", EN, lines=goods).body
    assert "In it" not in letter("shipped", EN, lines=[]).body


@pytest.mark.requirement("N1")
def test_goods_are_told_by_their_names_and_by_their_skus_where_they_have_none() -> None:
    goods: dict[str, Any] = {"names": {"TEA": "明前\n龙井"}}
    goods["lines"] = [{"sku": "TEA", "quantity": 2}, {"sku": "CUP", "quantity": 1}]
    assert "包裹内：明前 龙井 × 2、CUP × 1。" in letter("shipped", ZH, **goods).body
    for template in ("shipped", "return_authorized", "rest_awaited"):
        assert "2 × 明前 龙井, 1 × CUP" in letter(template, EN, **goods).body


@pytest.mark.requirement("N1")
@pytest.mark.parametrize("locale", Locale)
def test_that_staff_refused_a_request_is_not_given_as_its_own_reason(locale: Locale) -> None:
    reason = "原因" if locale is ZH else "Reason"
    assert reason in letter("case_rejected", locale).body
    assert reason not in letter("case_rejected", locale, reason="by_agent").body


@pytest.mark.requirement("N1", "W7")
@pytest.mark.parametrize("whole", [True, False])
def test_goods_that_the_buyer_fetched_are_not_said_to_have_arrived(whole: bool) -> None:
    for method, fetched in (("self_pickup", True), ("courier", False), (None, False)):
        chinese = letter("delivered", ZH, delivery_method=method, whole=whole)
        english = letter("delivered", EN, delivery_method=method, whole=whole)
        assert [word in chinese.subject + chinese.body for word in ("取货", "送达")] == [fetched, not fetched]
        assert english.subject.startswith("You have collected ") == fetched
        assert ("has arrived" in english.body) != fetched


@pytest.mark.requirement("N1")
def test_letters_name_the_addresses_of_the_shop_where_they_are_known() -> None:
    known: dict[str, Any] = {"shop_address": "南山路 2 号", "return_address": "仓前街 9 号"}
    assert known.items() <= texts_of(NotifySettings.model_construct(**known)).house.items()
    for template, there in (
        ("ready_for_pickup", "南山路 2 号"),
        ("return_authorized", "仓前街 9 号"),
        ("rest_awaited", "仓前街 9 号"),
    ):
        for locale in Locale:
            assert there in letter(template, locale, house=known).body
            assert "：。" not in letter(template, locale).body
            assert ": ." not in letter(template, locale).body


@pytest.mark.requirement("N1", "W7")
def test_whoever_fetches_the_goods_is_told_what_to_pay_and_only_if_anything_is_due() -> None:
    assert "共计 ¥100.00" in letter("ready_for_pickup", ZH).body
    assert "pay CN¥100.00 in all" in letter("ready_for_pickup", EN).body
    assert "pay" not in letter("ready_for_pickup", EN, to_pay=None).body


@pytest.mark.requirement("N1", "A1")
@pytest.mark.parametrize("template", ["case_rejected", "delivered_after_all"])
def test_whoever_canceled_too_late_is_told_that_the_order_stands(template: str) -> None:
    for kind, canceled in (("late_cancel", True), ("return", False), (None, False)):
        assert ("未能取消" in letter(template, ZH, kind=kind).body) == canceled
        assert ("could not be canceled" in letter(template, EN, kind=kind).body) == canceled


@pytest.mark.requirement("N1", "A1")
def test_whoever_owes_the_cash_for_a_parcel_is_not_told_that_nothing_is_refunded() -> None:
    for cod_due, told in ((0, True), (10000, False)):
        assert ("不作退款" in letter("delivered_after_all", ZH, cod_due=cod_due).body) == told
        assert ("refunded" in letter("delivered_after_all", EN, cod_due=cod_due).body) == told
