"""All services together, when a courier says of a parcel both that it comes back and that it was delivered (W11, A1)."""

from datetime import timedelta

import pytest

from services.aftersales.handlers.asked import ApproveCase, RejectCase
from shared.events import inbox
from shared.events.aftersales import CaseOpened, ReturnReason
from shared.events.orders import OrderCompleted, PaymentAnomaly, PaymentAnomalyFound
from shared.values import PaymentMethod, SkuQuantity
from tests.builders import SOURCE, cancel, receipt
from tests.harness import SUPERVISOR, refused_by
from tests.town import Town

LONG = timedelta(days=60)


@pytest.fixture
async def town() -> Town:
    town = Town()
    await town.stock()
    return town


async def both(town: Town, *, cod: bool = False, canceled: bool = False, cash: int = 0) -> str:
    """An order whose parcel was said to come back, and then to be delivered."""
    order = await town.release(**({"payment_method": PaymentMethod.COD} if cod else {}))
    number = await town.ship(order)
    if canceled:
        await town.outside(cancel())
    await town.track(number, "return_to_sender")
    await town.track(number, "delivered", cod_collected=cash)
    return order


async def decide(town: Town, *, paid: bool) -> None:
    case_id = town.said(CaseOpened)[0].case_id
    command = ApproveCase(case_id=case_id) if paid else RejectCase(case_id=case_id, reason="they have it")
    outcome = await town.ask("aftersales", command, actor=SUPERVISOR)
    assert outcome.refusal is None, outcome.refusal


@pytest.mark.requirement("A3")
@pytest.mark.parametrize("canceled", [False, True])
async def test_nothing_is_paid_and_nothing_ends_before_a_person_has_decided(
    town: Town, canceled: bool
) -> None:
    order = await both(town, canceled=canceled)
    await town.pass_time(LONG)
    assert town.refunds() == []
    assert town.row("orders", "orders", order).status == "approved"
    told = town.letters("staff")
    assert (told.count("end_disputed"), told.count("approval_requested")) == (1, 1)


@pytest.mark.requirement("A6")
@pytest.mark.parametrize("canceled", [False, True])
async def test_a_buyer_who_has_not_got_it_gets_the_money_and_the_order_ends(
    town: Town, canceled: bool
) -> None:
    order = await both(town, canceled=canceled)
    await decide(town, paid=True)
    assert town.refunds() == [10000]
    after = town.row("orders", "orders", order)
    assert (after.status, after.payment_status) == ("canceled", "refunded")
    assert town.parked() == []


@pytest.mark.requirement("O16")
@pytest.mark.parametrize("canceled", [False, True])
async def test_the_order_of_a_buyer_who_has_it_completes_like_any_other(town: Town, canceled: bool) -> None:
    order = await both(town, canceled=canceled)
    await decide(town, paid=False)
    assert town.row("orders", "orders", order).fulfillment == "delivered"
    assert "delivered_after_all" in town.letters()
    assert "case_rejected" not in town.letters()
    await town.pass_time(LONG)
    assert town.row("orders", "orders", order).status == "completed"
    assert len(town.said(OrderCompleted)) == 1
    assert town.refunds() == []
    assert town.parked() == []


@pytest.mark.requirement("O16")
async def test_a_buyer_who_has_it_may_say_so(town: Town) -> None:
    await both(town)
    await decide(town, paid=False)
    confirmed = await town.outside(receipt())
    assert confirmed.answer == {"status": "completed"}


@pytest.mark.requirement("O3")
@pytest.mark.parametrize("cash", [0, 10000])
async def test_the_cash_of_a_parcel_that_the_buyer_has_is_due(town: Town, cash: int) -> None:
    order = await both(town, cod=True, cash=cash)
    await decide(town, paid=False)
    await town.pass_time(LONG)
    after = town.row("orders", "orders", order)
    assert (after.due, after.cod_collected, after.status) == (10000, cash, "completed")
    assert "payment_anomaly" in town.letters("staff")
    assert town.refunds() == []


@pytest.mark.requirement("W8")
async def test_a_delivered_parcel_that_comes_back_is_taken_in_under_a_return(town: Town) -> None:
    order = await town.release()
    number = await town.ship(order)
    await town.track(number, "delivered")
    await town.track(number, "return_to_sender")
    assert town.letters("staff").count("end_disputed") == 1
    goods = (SkuQuantity(sku="TEA", quantity=2),)
    asked = inbox.ReturnAsked(source=SOURCE, external_number="T-1", reason=ReturnReason.OTHER, lines=goods)
    case_id = (await town.outside(asked)).answer["case_id"]
    found = [{"sku": "TEA", "quantity": 2, "condition": "as_new"}]
    assert (await town.scan(inbox.ReturnReceivedScanned, case_id=case_id)).refusal is None
    assert (await town.scan(inbox.ReturnInspectedScanned, case_id=case_id, lines=found)).refusal is None
    assert town.refunds() == [10000]
    assert town.row("orders", "orders", order).status == "approved"


@pytest.mark.requirement("O10")
@pytest.mark.parametrize("cod", [False, True])
@pytest.mark.parametrize("has", [True, False])
async def test_a_cancel_of_what_had_not_left_leaves_the_disputed_parcel_to_a_person(
    town: Town, cod: bool, has: bool
) -> None:
    order = await town.release(**({"payment_method": PaymentMethod.COD} if cod else {}))
    await town.pick(order)
    await town.check(order)
    one = [{"sku": "TEA", "quantity": 1}]
    packed = await town.scan(inbox.PackScanned, order_id=order, weight_grams=1, lines=one)
    for status in ("in_transit", "return_to_sender"):
        await town.track(packed.answer["tracking_number"], status)
    await town.track(packed.answer["tracking_number"], "delivered", cod_collected=5000 if cod and has else 0)
    await town.outside(cancel())
    assert town.refunds() == ([] if cod else [5000])
    await decide(town, paid=not has)
    await town.pass_time(LONG)
    after = town.row("orders", "orders", order)
    assert after.status == ("completed" if has else "canceled")
    assert sum(town.refunds()) == (0 if cod else 5000 if has else 10000)
    assert town.parked() == []


@pytest.mark.requirement("W8")
async def test_either_of_two_parcels_may_come_to_the_dock_first(town: Town) -> None:
    order = await town.release()
    first, second = await town.ship_apart(order, "TEA", "TEA")
    await town.outside(cancel())
    for number, status in ((first, "return_to_sender"), (first, "delivered"), (second, "return_to_sender")):
        await town.track(number, status)
    came, missing = ({"sku": "TEA", "quantity": 1, "condition": c} for c in ("as_new", "missing"))
    for case, found in enumerate(([came, missing], [came])):
        case_id = town.said(CaseOpened)[case].case_id
        assert (await town.scan(inbox.ReturnReceivedScanned, case_id=case_id)).refusal is None
        assert (await town.scan(inbox.ReturnInspectedScanned, case_id=case_id, lines=found)).refusal is None
    assert town.refunds() == [5000, 5000]
    assert town.row("orders", "orders", order).status == "canceled"


@pytest.mark.requirement("O16")
async def test_a_receipt_that_is_confirmed_meanwhile_is_told_of_the_case(town: Town) -> None:
    await both(town)
    assert refused_by(await town.outside(receipt())) == "case_open"


async def turned_after_receipt(town: Town) -> str:
    """An order with cash on delivery whose receipt was confirmed, and whose courier says that it brings the parcel back."""
    order = await town.release(payment_method=PaymentMethod.COD)
    number = await town.ship(order)
    await town.outside(receipt())
    await town.track(number, "return_to_sender")
    return order


@pytest.mark.requirement("O3")
async def test_the_cash_of_a_receipt_that_stands_after_all_is_missed(town: Town) -> None:
    """Its courier said that it brings the parcel back, so that none was due; the buyer has it, a person says."""
    order = await turned_after_receipt(town)
    turned = town.row("orders", "orders", order)
    assert (turned.due, turned.payment_status) == (0, "unpaid")
    await decide(town, paid=False)
    after = town.row("orders", "orders", order)
    assert (after.status, after.due, after.payment_status) == ("completed", 10000, "cod_due")
    assert after.fulfillment == "delivered"
    await town.pass_time(LONG)
    (missed,) = town.said(PaymentAnomalyFound)
    assert (missed.anomaly, missed.expected.amount) == (PaymentAnomaly.UNDERPAID_AT_CLOSING, 10000)


@pytest.mark.requirement("O3")
async def test_of_a_receipt_that_turns_out_wrong_no_cash_is_due(town: Town) -> None:
    order = await turned_after_receipt(town)
    await decide(town, paid=True)
    await town.pass_time(LONG)
    after = town.row("orders", "orders", order)
    assert (after.status, after.due, after.payment_status) == ("completed", 0, "unpaid")
    assert not town.said(PaymentAnomalyFound)
