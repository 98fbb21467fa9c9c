"""A buyer is forgotten: contact and address go from all services once nothing more is to be done for them (X4)."""

from datetime import timedelta

import pytest

from services.aftersales.handlers.asked import OpenRefund
from services.orders.handlers.erasing import ErasePersonal
from shared.events.inbox import ReceiptConfirmed
from shared.events.orders import PersonalErased
from shared.runtime.messages import Outcome
from shared.values import PaymentMethod
from tests.builders import PERSONAL, SOURCE, cancel, submitted
from tests.harness import ADMINISTRATOR, refused_by
from tests.town import Town

pytestmark = pytest.mark.requirement("X4")

SECRETS = (PERSONAL.contact.name, PERSONAL.contact.phone, PERSONAL.address.street)


@pytest.fixture
def town() -> Town:
    return Town()


async def erase(town: Town, order: str) -> Outcome:
    return await town.ask("orders", ErasePersonal(order_id=order, reason="they asked for it"), ADMINISTRATOR)


async def refused(town: Town, order: str) -> str:
    return refused_by(await erase(town, order))


def kept(town: Town) -> list[str]:
    """What services still hold of the buyer, in rows and logs."""
    found = []
    for name, bench in town.benches.items():
        things = [
            *bench.store.event_log,
            *(r for table in bench.store.tables for r in bench.store.rows(table)),
        ]
        found += [f"{name}: {one!r}" for one in things if any(secret in repr(one) for secret in SECRETS)]
    return found


async def completed(town: Town, number: str = "T-1") -> str:
    await town.stock()
    order = await town.release(number)
    await town.track(await town.ship(order), "delivered")
    await town.pass_time(timedelta(days=8))
    return order


async def test_nothing_is_left_of_who_the_buyer_was(town: Town) -> None:
    order = await completed(town)
    assert len(kept(town)) > 5
    assert (await erase(town, order)).refusal is None
    assert kept(town) == []
    assert [e.order_id for e in town.said(PersonalErased)] == [order]
    assert town.parked() == []


async def test_of_another_order_of_theirs_nothing_is_erased(town: Town) -> None:
    order, other = await completed(town), await town.release("T-2")
    await erase(town, order)
    assert town.row("orders", "orders", other).personal == PERSONAL
    assert town.row("warehouse", "fulfillments", other).personal == PERSONAL
    assert town.row("notify", "contacts", other).contact == PERSONAL.contact


async def test_whoever_is_still_to_be_reached_is_not_forgotten(town: Town) -> None:
    await town.stock()
    order = await town.release()
    assert await refused(town, order) == "order_open"
    await town.track(await town.ship(order), "delivered")
    await town.outside(ReceiptConfirmed(source=SOURCE, external_number="T-1"))
    await town.ask("aftersales", OpenRefund(order_id=order, amount=100, reason="a dent"))
    assert await refused(town, order) == "case_open"
    assert kept(town)


async def test_nor_is_whoever_money_is_still_to_come_from_or_to_go_back_to(town: Town) -> None:
    await town.stock()
    cod = await town.release("T-2", payment_method=PaymentMethod.COD)
    await town.track(await town.ship(cod), "delivered")
    await town.outside(ReceiptConfirmed(source=SOURCE, external_number="T-2"))
    assert await refused(town, cod) == "cash_awaited"
    await town.pass_time(timedelta(days=4))
    assert await refused(town, cod) == "held", "it is missing, and staff were told"
    prepaid = await town.release("T-3")
    town.delay("aftersales", to="orders")
    await town.outside(cancel("T-3"))
    assert await refused(town, prepaid) == "refund_awaited"
    await town.catch_up()
    assert (await erase(town, prepaid)).refusal is None


async def test_erased_twice_is_said_once(town: Town) -> None:
    order = await completed(town)
    for _ in range(2):
        assert (await erase(town, order)).refusal is None
    assert len(town.said(PersonalErased)) == 1


async def test_the_same_order_handed_in_again_does_not_bring_it_back(town: Town) -> None:
    order = await completed(town)
    await erase(town, order)
    again = await town.outside(submitted(placed_at=town.row("orders", "orders", order).placed_at))
    assert refused_by(again) == "erased"
    assert kept(town) == []


async def test_who_hears_the_history_later_does_not_get_it_either(town: Town) -> None:
    order = await completed(town)
    await erase(town, order)
    for reader in ("warehouse", "notify"):
        await town.resend("orders", to=reader)
    assert kept(town) == []
