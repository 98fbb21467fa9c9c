"""What letters say to staff: what happened, and what to do about it (N2)."""

from typing import Any

import pytest

from services.notify.routing import NECESSARY
from services.notify.texts import Text, Texts
from services.notify.words import NO_ADDRESS, NO_ANSWER, NO_MAILBOX, REFUSED, UNBOOKED
from shared.events.aftersales import MoneyQuestion
from shared.events.orders import Overdue, PaymentAnomaly
from shared.values import Locale
from tests.notify.news import ORDER, for_staff

ZH, EN = Locale.ZH_CN, Locale.EN


def letter(template: str, locale: Locale, /, **more: Any) -> Text:
    facts = for_staff()[template].model_dump(mode="json")
    return Texts("Tea House", "Asia/Shanghai").render(
        template, locale, facts | {"name": "", "number": "T-1"} | more
    )


@pytest.mark.requirement("N2", "O3")
@pytest.mark.parametrize("payment_id", ["p-1", "cod:s-1:2"])
def test_of_each_anomaly_staff_are_told_something_else_to_do(payment_id: str) -> None:
    for locale in Locale:
        told = {
            letter("payment_anomaly", locale, anomaly=a.value, payment_id=payment_id).body
            for a in PaymentAnomaly
        }
        assert len(told) == len(PaymentAnomaly)


@pytest.mark.requirement("N2", "O3")
def test_money_for_an_order_that_is_over_is_paid_back_and_not_ordered_for_again() -> None:
    """It may be over because the buyer has all of it."""
    for locale, back, again in ((ZH, "请退还", "重新下单"), (EN, "pay it back", "order again")):
        told = letter("payment_anomaly", locale, anomaly="after_closing", held=False).body
        assert back in told
        assert again not in told


@pytest.mark.requirement("N2", "O3")
def test_that_the_courier_will_still_collect_is_said_only_of_cash_that_is_still_to_come() -> None:
    assert "will still collect" in letter("payment_anomaly", EN, anomaly="not_due").body
    assert (
        "will still collect"
        not in letter("payment_anomaly", EN, anomaly="not_due", payment_id="cod:s-1:2").body
    )


@pytest.mark.requirement("N2", "W7")
def test_what_the_buyer_fetched_is_asked_of_them_and_not_of_a_courier() -> None:
    to_pay = {"amount": 10000, "currency": "CNY"}
    for locale, recall, buyer in ((ZH, "撤件", "联系买家"), (EN, "recalled", "ask the buyer")):
        for method, fetched in (("self_pickup", True), ("courier", False), (None, False)):
            body = letter("canceled_left", locale, delivery_method=method, to_pay=to_pay).body
            assert ((recall in body), (buyer in body)) == (not fetched, fetched)
            assert "¥100.00" in body


@pytest.mark.requirement("N2", "W7")
def test_of_a_parcel_that_was_unpacked_and_left_the_order_is_not_called_canceled_nor_the_next_still_to_come() -> (
    None
):
    for locale, canceled, another in (
        (ZH, "已取消", "买家会另外收到（或已收到）"),
        (EN, "Order T-1 is canceled", "the buyer gets, or got, another parcel"),
    ):
        for unpacked in (True, False):
            body = letter("canceled_left", locale, unpacked=unpacked).body
            assert (canceled in body, another in body) == (not unpacked, unpacked)


@pytest.mark.requirement("N2", "O11")
@pytest.mark.parametrize("overdue", Overdue)
def test_of_each_deadline_staff_are_told_what_to_do(overdue: Overdue) -> None:
    assert "buyer" in letter("escalated", EN, overdue=overdue.value).body
    packed = letter("escalated", EN, overdue=overdue.value, held_by="warehouse: packed").body
    assert ("If the buyer is to fetch it" in packed) == (overdue is not Overdue.ADDRESS_CONFIRMATION)


@pytest.mark.requirement("N2", "A3")
@pytest.mark.parametrize("question", MoneyQuestion)
def test_who_says_whose_the_goods_are_is_told_what_either_answer_means(question: MoneyQuestion) -> None:
    of_money = (MoneyQuestion.CAME_BACK_LATE, MoneyQuestion.CASH_COLLECTED, MoneyQuestion.SUM_REFUNDED)
    whose = question not in of_money
    for locale, meaning in ((ZH, "拒绝：买家已经收到"), (EN, "To reject says that the buyer has them")):
        text = letter(
            "approval_requested", locale, reason=question.value, amount={"amount": 0, "currency": "CNY"}
        )
        assert (meaning in text.body) == whose
        assert ("0.00" in text.subject) != whose


@pytest.mark.requirement("N2")
def test_what_is_parked_is_for_ops_and_names_no_order_as_its_own() -> None:
    assert "客服无需操作" in letter("event_parked", ZH).body
    english = letter("event_parked", EN)
    assert "customer service need do nothing" in english.body
    assert "T-1" not in english.subject + english.body


@pytest.mark.requirement("N2", "N6")
def test_a_letter_that_may_have_left_is_not_said_to_have_stayed() -> None:
    for locale, stayed in ((ZH, "未能发出"), (EN, "could not be sent")):
        assert stayed in letter("letter_failed", locale).body
        for reason in (UNBOOKED, f"{NO_ANSWER} 20 s"):
            assert stayed not in letter("letter_failed", locale, reason=reason).body


@pytest.mark.requirement("N4")
@pytest.mark.parametrize("reason", [NO_ADDRESS, NO_MAILBOX, REFUSED])
def test_why_a_letter_was_given_up_is_said_in_the_language_of_staff(reason: str) -> None:
    assert reason not in letter("letter_failed", ZH, reason=reason).body.replace(ORDER, "")


@pytest.mark.requirement("N2", "O6")
@pytest.mark.parametrize("template", NECESSARY)
def test_staff_are_asked_to_correct_an_address_only_while_that_can_be_done(template: str) -> None:
    """All but one of these letters are about orders that the warehouse has, or that are over."""
    for locale, call, correct in ((ZH, "致电买家", "更正"), (EN, "call them", "correct")):
        body = letter("letter_failed", locale, template=template).body
        assert call in body
        assert (correct in body) == (template == "address_confirmation")


@pytest.mark.requirement("N2")
@pytest.mark.parametrize("template", ["canceled_left", "end_disputed", "paid_goods_arrived"])
def test_staff_are_told_goods_by_name_and_by_what_stands_on_the_shelf(template: str) -> None:
    names = {"TEA": "明前龙井"}
    assert "明前龙井 (TEA) × 2、CUP × 1" in letter(template, ZH, names=names).body
    assert "2 × 明前龙井 (TEA), 1 × CUP" in letter(template, EN, names=names).body
