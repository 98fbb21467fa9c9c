"""Whatever well-formed events come in, in whatever order: each is applied or refused with a reason; none is parked (X2, O1)."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.events.aftersales import ReturnReason
from shared.events.base import Event
from shared.events.inbox import HandOverScanned, ReturnAsked
from shared.events.warehouse import WarehouseMessageRefused
from shared.runtime.messages import Status
from shared.values import SkuQuantity
from tests.builders import oid, paid, submitted
from tests.poison.seeds import fuzz, seeded
from tests.poison.strategies import events
from tests.town import CHECKER, COURIER, PICKER, Town

pytestmark = [pytest.mark.requirement("X2"), pytest.mark.requirement("O1"), pytest.mark.timeout(240)]

EXAMPLES = 8
"""For each stage, from each seed."""
STAGES = ("nothing", "placed", "released", "picked", "packed", "shipped", "delivered", "returned")
ENDS = (Status.DONE, Status.REFUSED, Status.DUPLICATE)


async def at_stage(stage: str) -> tuple[Town, dict[str, tuple[Any, ...]]]:
    """A town whose order T-1 has come so far, and what is known there."""
    town = Town()
    await town.stock("TEA", 100)
    reached = STAGES.index(stage)
    known: dict[str, tuple[Any, ...]] = {}
    if reached == 1:
        await town.outside(submitted("T-1"))
        await town.outside(paid("T-1", amount=1))
    if reached >= 2:
        await town.release("T-1")
    if reached >= 3:
        await town.pick(oid())
    if reached >= 4:
        await town.check(oid())
        known["tracking_number"] = (await town.pack(oid()),)
    if reached >= 5:
        await town.scan(HandOverScanned, tracking_number=known["tracking_number"][0])
    if reached >= 6:
        await town.track(known["tracking_number"][0], "delivered")
    if reached >= 7:
        asked = ReturnAsked(
            source="shop",
            external_number="T-1",
            lines=(SkuQuantity(sku="TEA", quantity=1),),
            reason=ReturnReason.DAMAGED,
        )
        answer = (await town.outside(asked)).answer
        known["case_id"] = (answer["case_id"],)
    return town, known


@seeded
@pytest.mark.parametrize("stage", STAGES)
def test_any_events_are_applied_or_refused(stage: str, seed: str) -> None:
    _, known = asyncio.run(at_stage(stage))

    @fuzz(seed, EXAMPLES)
    @given(
        sent=st.lists(st.tuples(events(known), st.sampled_from((PICKER, CHECKER))), min_size=1, max_size=8),
        days=st.sampled_from((0, 1, 40)),
    )
    def holds(sent: list[tuple[Event, Any]], days: int) -> None:
        asyncio.run(_play(stage, sent, days))

    holds()


async def _play(stage: str, sent: list[tuple[Event, Any]], days: int) -> None:
    town, _ = await at_stage(stage)
    for number, (event, person) in enumerate(sent):
        inbox = event.wire_type.split(".", 1)[0]
        actor = {"scans": person, "tracking": COURIER}.get(inbox)
        outcome = await town.outside(event, **({"actor": actor} if actor else {}), id=f"fuzz-{number}")
        assert outcome.status in ENDS, (outcome, event)
        if outcome.status is Status.REFUSED:
            assert outcome.refusal is not None
            assert outcome.refusal.code.islower()
            assert len(outcome.refusal.detail) > 10
        assert town.parked() == []
    await town.pass_time(timedelta(days=days))
    await town.settle()
    assert town.parked() == []


async def test_what_comes_of_a_timer_that_has_a_long_name_is_heard() -> None:
    """A report that waits for its parcel is named by all that it says: courier, number, status, time and cash."""
    town = Town()
    await town.track("\U00020000" * 100, "in_transit", courier="\U00020001" * 100)
    await town.pass_time(timedelta(minutes=6))
    (refused,) = town.said(WarehouseMessageRefused)
    assert refused.code == "unknown_parcel"
    assert town.parked() == []
