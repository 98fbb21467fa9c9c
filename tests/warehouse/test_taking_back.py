"""Whoever began to pick or to check and went away holds nobody up (W3, W4)."""

from datetime import timedelta

import pytest

from services.warehouse.handlers.taking_back import TakeBack
from shared.events import inbox
from shared.events.warehouse import (
    FulfillmentChecked,
    FulfillmentCheckStopped,
    FulfillmentPicked,
    FulfillmentPickStopped,
)
from shared.values import Actor, ActorKind
from tests.harness import AGENT, SUPERVISOR
from tests.warehouse.floor import CHECKER, PICKER, Floor

THIRD = Actor(kind=ActorKind.OPERATOR, name="sun.li", device="scanner-3")
MINUTE = timedelta(minutes=1)


@pytest.fixture
async def floor() -> Floor:
    floor = Floor()
    await floor.stock(quantity=9)
    await floor.release()
    return floor


async def take_back(floor: Floor, actor: Actor = SUPERVISOR, order: str = "o-1") -> str:
    outcome = await floor.bench.ask(TakeBack(order_id=order, reason="the shift is over"), actor=actor)
    return outcome.refusal.code if outcome.refusal else str(outcome.answer["state"])


async def picks(floor: Floor, who: Actor, quantity: int = 1) -> str:
    return await floor.code(inbox.PickScanned, who, order_id="o-1", barcode="TEA", quantity=quantity)


async def counts(floor: Floor, quantity: int, **parts: object) -> str:
    return await floor.code(
        inbox.CheckScanned, CHECKER, order_id="o-1", barcode="TEA", quantity=quantity, **parts
    )


@pytest.mark.requirement("W3")
async def test_another_picker_goes_on_with_what_was_picked(floor: Floor) -> None:
    await floor.code(inbox.PickStartScanned, order_id="o-1")
    await picks(floor, PICKER)
    assert await floor.code(inbox.PickStartScanned, THIRD, order_id="o-1") == "not_yours"
    assert await take_back(floor) == "allocated"
    assert await picks(floor, PICKER) == "not_now"
    started = await floor.scan(inbox.PickStartScanned, THIRD, order_id="o-1")
    assert started.answer["left"] == {"TEA": 1}
    assert await picks(floor, PICKER) == "not_yours"
    assert await picks(floor, THIRD) == "ok"
    assert [e.picker for e in floor.bench.said_of(FulfillmentPicked)] == ["sun.li"]
    stopped = floor.bench.said_of(FulfillmentPickStopped)
    assert [(e.picker, e.reason) for e in stopped] == [("li.wei", "the shift is over")]
    floor.adds_up()


@pytest.mark.requirement("W4")
async def test_nobody_who_picked_a_piece_checks(floor: Floor) -> None:
    await floor.code(inbox.PickStartScanned, order_id="o-1")
    await picks(floor, PICKER)
    await take_back(floor)
    await floor.code(inbox.PickStartScanned, THIRD, order_id="o-1")
    await picks(floor, THIRD)
    for who in (PICKER, THIRD):
        assert await floor.code(inbox.CheckStartScanned, who, order_id="o-1") == "same_person"
    await floor.count(TEA=2)
    assert [e.checker for e in floor.bench.said_of(FulfillmentChecked)] == ["zhao.min"]


@pytest.mark.requirement("W4")
async def test_who_began_and_picked_nothing_may_check(floor: Floor) -> None:
    await floor.code(inbox.PickStartScanned, CHECKER, order_id="o-1")
    assert await take_back(floor, CHECKER) == "allocated", "their own they give back themselves"
    await floor.pick()
    await floor.count(TEA=2)
    assert len(floor.bench.said_of(FulfillmentChecked)) == 1


@pytest.mark.requirement("W3")
async def test_what_was_picked_whole_needs_no_further_pick(floor: Floor) -> None:
    await floor.pick()
    surplus = await floor.count(TEA=3)
    assert surplus.answer["state"] == "picking"
    assert await take_back(floor) == "allocated"
    started = await floor.scan(inbox.PickStartScanned, THIRD, order_id="o-1")
    assert started.answer["state"] == "picked"


@pytest.mark.requirement("W4")
async def test_another_checker_counts_from_the_beginning(floor: Floor) -> None:
    await floor.pick()
    await floor.code(inbox.CheckStartScanned, THIRD, order_id="o-1")
    await floor.code(inbox.CheckScanned, THIRD, order_id="o-1", barcode="TEA", quantity=2)
    assert await take_back(floor) == "picked"
    await floor.count(TEA=2)
    assert [e.checker for e in floor.bench.said_of(FulfillmentChecked)] == ["zhao.min"]
    assert [e.checker for e in floor.bench.said_of(FulfillmentCheckStopped)] == ["sun.li"]


@pytest.mark.requirement("X4")
async def test_only_the_person_and_the_back_office_take_back(floor: Floor) -> None:
    assert await take_back(floor) == "not_now", "nobody has it yet"
    await floor.code(inbox.PickStartScanned, order_id="o-1")
    assert await take_back(floor, AGENT) == "not_yours"
    assert await take_back(floor, order="o-9") == "unknown_order"
    assert await take_back(floor, PICKER) == "allocated"


@pytest.mark.requirement("W12")
async def test_scans_of_a_count_that_was_given_up_do_not_count(floor: Floor) -> None:
    await floor.pick()
    await floor.code(inbox.CheckStartScanned, CHECKER, order_id="o-1")
    before = floor.now + MINUTE
    await floor.bench.pass_time(2 * MINUTE)
    assert await counts(floor, 1) == "ok"
    anew = await floor.scan(inbox.CheckStartScanned, CHECKER, order_id="o-1", anew=True)
    assert anew.answer == {"counted": {}, "damaged": {}}
    assert await counts(floor, 1, scanned_at=before) == "old_scan"
    assert (
        await floor.code(inbox.CheckFinishScanned, CHECKER, order_id="o-1", scanned_at=before) == "old_scan"
    )
    assert await counts(floor, 2) == "ok"
    done = await floor.scan(inbox.CheckFinishScanned, CHECKER, order_id="o-1")
    assert done.answer == {"state": "checked", "differences": []}


@pytest.mark.requirement("W12")
async def test_a_start_by_a_slower_clock_makes_its_scans_count(floor: Floor) -> None:
    await floor.pick()
    await floor.code(inbox.CheckStartScanned, CHECKER, order_id="o-1")
    slow = floor.now - 3 * MINUTE
    assert await counts(floor, 2, scanned_at=slow) == "old_scan"
    await floor.code(inbox.CheckStartScanned, CHECKER, order_id="o-1", scanned_at=slow)
    assert await counts(floor, 2, scanned_at=slow) == "ok"


@pytest.mark.requirement("W1")
async def test_a_cancel_puts_back_what_was_picked_before_it_was_taken_back(floor: Floor) -> None:
    await floor.code(inbox.PickStartScanned, order_id="o-1")
    await picks(floor, PICKER)
    await take_back(floor)
    await floor.cancel()
    assert (floor.level().allocated, floor.level().locations) == (0, {"A-1": 9})
    floor.adds_up()
