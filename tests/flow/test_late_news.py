"""Services that hear one another late, and parcels of which nobody hears at all: the money comes out the same (X1, O3, A6)."""

from datetime import timedelta

import pytest

from services.aftersales.handlers.asked import ApproveCase
from shared.events import inbox
from shared.events.aftersales import ApprovalRequested
from shared.events.orders import OrderCanceled, PaymentAnomalyFound
from shared.values import PaymentMethod
from tests.builders import cancel
from tests.harness import SUPERVISOR
from tests.town import CHECKER, Town

DAY = timedelta(days=1)


async def first_of_two_left(method: PaymentMethod = PaymentMethod.PREPAID) -> tuple[Town, str, str]:
    """An order in two parcels, of which one has left; its tracking number."""
    town = Town()
    await town.stock()
    order = await town.release(payment_method=method)
    await town.pick(order)
    await town.check(order)
    one = [{"sku": "TEA", "quantity": 1}]
    packed = [await town.scan(inbox.PackScanned, order_id=order, weight_grams=1, lines=one) for _ in "12"]
    first: str = packed[0].answer["tracking_number"]
    await town.scan(inbox.HandOverScanned, tracking_number=first)
    return town, order, first


@pytest.mark.requirement("X1")
@pytest.mark.parametrize("late", [False, True])
async def test_what_a_cancel_kept_back_is_paid_when_orders_hears_of_it_after_the_end(late: bool) -> None:
    town, order, first = await first_of_two_left()
    await town.track(first, "return_to_sender")
    if late:
        town.delay("warehouse", to="orders")
    await town.outside(cancel())
    found = [{"sku": "TEA", "quantity": 1, "condition": "as_new"}]
    await town.scan(inbox.ReturnReceivedScanned, case_id=f"{order}-C1")
    await town.scan(inbox.ReturnInspectedScanned, CHECKER, case_id=f"{order}-C1", lines=found)
    await town.catch_up()
    await town.pass_time(30 * DAY)
    assert town.row("orders", "orders", order).status == "canceled"
    assert sum(town.refunds()) == 10000
    assert not town.parked()


@pytest.mark.requirement("X1")
@pytest.mark.parametrize("late", [False, True])
async def test_cash_that_orders_heard_of_first_is_paid_back_once_after_sales_has_heard_of_it(
    late: bool,
) -> None:
    town, _, first = await first_of_two_left(PaymentMethod.COD)
    if late:
        town.delay("warehouse", to="aftersales")
    await town.track(first, "delivery_attempted", cod_collected=5000)
    await town.track(first, "return_to_sender")
    await town.outside(cancel())
    (canceled,) = town.said(OrderCanceled)
    assert canceled.refund.amount == 5000
    await town.catch_up()
    await town.pass_time(30 * DAY)
    assert sum(town.refunds()) == 5000
    assert not town.parked()


@pytest.mark.requirement("A6")
@pytest.mark.parametrize("method", PaymentMethod)
async def test_an_order_of_which_one_parcel_arrived_and_the_other_was_lost_completes(
    method: PaymentMethod,
) -> None:
    cod = method is PaymentMethod.COD
    town = Town()
    await town.stock()
    order = await town.release(payment_method=method)
    first, _ = await town.ship_apart(order, "TEA", "TEA")
    await town.track(first, "delivered", cod_collected=5000 if cod else 0)
    await town.outside(cancel())
    await town.pass_time(15 * DAY)
    (asked,) = town.said(ApprovalRequested)
    await town.ask("aftersales", ApproveCase(case_id=asked.case_id), SUPERVISOR)
    assert sum(town.refunds()) == (0 if cod else 5000)
    await town.pass_time(15 * DAY)
    assert town.row("orders", "orders", order).status == "completed"
    assert not town.said(PaymentAnomalyFound), "nobody owes the cash of a parcel that was lost"
