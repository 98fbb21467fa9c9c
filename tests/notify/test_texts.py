"""Templates: two languages, courtesies, no absolute promises (N4)."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from jinja2.exceptions import SecurityError, UndefinedError

from services.notify.texts import BUYER, TEMPLATES, TemplatesWrong, Texts, promise_in
from shared.values import Address, Locale
from tests.notify.news import for_buyers, for_staff

PROMISES = [
    "我们肯定明天送到", "保证满意", "绝对正品", "we Guarantee delivery", "it is guaranteed", "Absolutely no fee",
    "we promise", "promised by Friday", "一定会到", "definitely",
]  # fmt: skip


def values(template: str, **more: Any) -> dict[str, Any]:
    facts = (for_buyers() | for_staff())[template].model_dump(mode="json", exclude={"personal"})
    known = {"name": "王芳", "number": "T-1", "refund_due": True}
    return facts | known | more


@pytest.mark.requirement("N4")
@pytest.mark.parametrize("locale", Locale)
@pytest.mark.parametrize("template", BUYER)
def test_every_message_exists_in_each_language_with_the_shops_courtesies(
    template: str, locale: Locale
) -> None:
    text = Texts("Tea House", "Asia/Shanghai").render(template, locale, values(template))
    opening, closing = ("Dear 王芳", "With kind regards, Tea House")
    if locale is Locale.ZH_CN:
        opening, closing = ("王芳，您好", "Tea House 敬上")
    assert text.body.startswith(opening)
    assert text.body.endswith(closing)
    assert text.subject
    assert "\n" not in text.subject
    assert promise_in(text.subject + text.body) is None


@pytest.mark.requirement("N4")
@pytest.mark.parametrize("text", PROMISES)
def test_absolute_promises_are_found(text: str) -> None:
    assert promise_in(text) is not None


@pytest.mark.requirement("N4")
@pytest.mark.parametrize(
    "text", ["预计明天送达", "We expect it on Friday", "a compromise", "收到后请检查商品"]
)
def test_plain_words_are_no_promise(text: str) -> None:
    assert promise_in(text) is None


@pytest.mark.requirement("N4")
@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("Hello\nit is guaranteed", "promises too much"),
        ("Hello\n{% if %}", "is broken"),
        (None, "is missing"),
    ],
)
def test_a_wrong_template_ends_the_start_with_a_sentence(
    tmp_path: Path, content: str | None, complaint: str
) -> None:
    shutil.copytree(TEMPLATES, tmp_path, dirs_exist_ok=True)
    file = tmp_path / "en" / "shipped.txt"
    file.unlink() if content is None else file.write_text(content)
    with pytest.raises(TemplatesWrong, match=rf"en/shipped\.txt {complaint}"):
        Texts("Tea House", "Asia/Shanghai", tmp_path)


@pytest.mark.requirement("N4")
@pytest.mark.parametrize(
    ("attack", "refusal"),
    [("{{ ''.__class__.__mro__ }}", SecurityError), ("{{ nothing_of_that_name }}", UndefinedError)],
)
def test_templates_run_in_a_sandbox_and_name_only_what_there_is(
    tmp_path: Path, attack: str, refusal: type[Exception]
) -> None:
    shutil.copytree(TEMPLATES, tmp_path, dirs_exist_ok=True)
    (tmp_path / "en" / "shipped.txt").write_text(f"Hello\n{attack}")
    with pytest.raises(refusal):
        Texts("Tea House", "Asia/Shanghai", tmp_path).render("shipped", Locale.EN, values("shipped"))


def test_what_a_buyer_is_called_is_never_a_template() -> None:
    text = Texts("Tea House", "Asia/Shanghai").render(
        "shipped", Locale.EN, values("shipped", name="{{ 7 * 7 }}")
    )
    assert "{{ 7 * 7 }}" in text.body


@pytest.mark.requirement("N1")
@pytest.mark.parametrize("locale", Locale)
@pytest.mark.parametrize(
    ("known", "said"),
    [
        ({"courier_name": "顺丰速运 SF Express"}, "顺丰速运 SF Express"),
        ({"courier_name": ""}, "acme"),
        ({}, "acme"),
    ],
)
def test_a_ship_notice_names_the_courier_as_people_know_it(
    locale: Locale, known: dict[str, str], said: str
) -> None:
    facts = values("shipped", courier="acme")
    del facts["courier_name"]  # as in one that was planned before events held it
    assert f" {said}" in Texts("Tea House", "Asia/Shanghai").render("shipped", locale, facts | known).body


@pytest.mark.requirement("N1")
@pytest.mark.parametrize(
    ("locale", "agreed", "refuse"),
    [
        (Locale.EN, "Your return for order T-1 is agreed", "do not accept the parcel"),
        (Locale.ZH_CN, "订单 T-1 的退货申请已同意", "拒收"),
    ],
)
def test_whoever_canceled_too_late_is_asked_to_refuse_the_parcel_or_send_it_back(
    locale: Locale, agreed: str, refuse: str
) -> None:
    texts = Texts("Tea House", "Asia/Shanghai")
    late = texts.render("return_authorized", locale, values("return_authorized", kind="late_cancel"))
    assert refuse in late.body
    assert "c-1" in late.body
    asked = values("return_authorized")
    for known in (asked, {name: value for name, value in asked.items() if name != "kind"}):
        text = texts.render("return_authorized", locale, known)
        assert text.subject == agreed
        assert refuse not in text.body


@pytest.mark.requirement("O6")
@pytest.mark.parametrize(
    ("locale", "subject", "asks"),
    [
        (Locale.EN, "Please give us another address for order T-1", "another address"),
        (Locale.ZH_CN, "请为订单 T-1 提供其他收货地址", "其他收货地址"),
    ],
)
def test_whom_no_courier_reaches_is_not_asked_to_confirm_that_address(
    locale: Locale, subject: str, asks: str
) -> None:
    texts = Texts("Tea House", "Asia/Shanghai")
    unreached = texts.render("address_confirmation", locale, values("address_confirmation", unreachable=True))
    assert unreached.subject == subject
    assert asks in unreached.body
    facts = values("address_confirmation")
    for known in (facts, {name: value for name, value in facts.items() if name != "unreachable"}):
        assert asks not in texts.render("address_confirmation", locale, known).body


@pytest.mark.requirement("O5")
@pytest.mark.parametrize("locale", Locale)
def test_whoever_must_ask_about_an_order_that_may_be_double_is_told_which_the_other_is(
    locale: Locale,
) -> None:
    assert "T-0" in Texts("Tea House", "Asia/Shanghai").render("held", locale, values("held")).body


@pytest.mark.requirement("X7")
def test_money_and_times_are_written_as_the_reader_writes_them() -> None:
    texts = Texts("Tea House", "Asia/Shanghai")
    chinese = texts.render("refund_requested", Locale.ZH_CN, values("refund_requested")).body
    english = texts.render("refund_requested", Locale.EN, values("refund_requested")).body
    assert "¥100.00" in chinese
    assert "CN¥100.00" in english
    by = texts.render("return_authorized", Locale.ZH_CN, values("return_authorized")).body
    assert "09:00" in by, "the shop's zone, not UTC"


@pytest.mark.requirement("N4")
@pytest.mark.parametrize(
    ("country", "parts", "written"),
    [
        ("CN", ("浙江省", "杭州市", "西湖区", "文三路 1 号"), "浙江省杭州市西湖区文三路 1 号 310000"),
        ("US", ("California", "Los Angeles", "", "5 Elm St"), "California Los Angeles 5 Elm St 310000 US"),
        ("JP", ("東京都", "Shibuya", "", "1-2-3"), "東京都Shibuya 1-2-3 310000 JP"),
    ],
)
def test_an_address_in_chinese_runs_on_only_where_it_is_written_in_chinese(
    country: str, parts: tuple[str, ...], written: str
) -> None:
    region, city, district, street = parts
    there = Address(
        country=country, region=region, city=city, district=district, street=street, postcode="310000"
    )
    told = values("address_confirmation", address=there, phone="138")
    assert (
        f"，{written}\n"
        in Texts("Tea House", "Asia/Shanghai").render("address_confirmation", Locale.ZH_CN, told).body
    )
