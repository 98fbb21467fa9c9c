"""Who brings what is heavy: known at the release where the weight of a piece is, else at packing (W6)."""

from typing import Any

import pytest

from services.warehouse.handlers.stock import RegisterSku
from shared.events import inbox
from shared.events.warehouse import FulfillmentAllocated, FulfillmentRefused
from tests.harness import SUPERVISOR
from tests.warehouse.floor import ABROAD, Floor


@pytest.fixture
def floor() -> Floor:
    return Floor()


@pytest.mark.requirement("W6")
@pytest.mark.parametrize(("grams", "taken"), [(70_000, True), (70_001, False)])
async def test_an_order_with_a_piece_that_no_courier_can_bring_comes_back_at_its_release(
    floor: Floor, grams: int, taken: bool
) -> None:
    for sku, weight in (("SOFA", grams), ("TEA", 100)):
        known = RegisterSku(sku=sku, name=sku, weight_grams=weight)
        assert (await floor.bench.ask(known, actor=SUPERVISOR)).refusal is None
        await floor.stock(sku, 1000)
    await floor.release("o-1", ("TEA", 900), ("SOFA", 1), personal=ABROAD)
    assert len(floor.bench.said_of(FulfillmentAllocated)) == taken
    told = [(e.reason, e.detail, e.heaviest, e.grams) for e in floor.bench.said_of(FulfillmentRefused)]
    detail = "no courier delivers SOFA, of 70001 g a piece, by courier to this address"
    assert told == ([] if taken else [("unreachable_address", detail, "SOFA", 70_001)])
    floor.adds_up()


@pytest.mark.requirement("W6")
async def test_a_piece_that_is_too_heavy_by_itself_is_not_to_be_packed_in_several_parcels(
    floor: Floor,
) -> None:
    await floor.stock()
    await floor.pick(await floor.release(personal=ABROAD))
    await floor.count(TEA=2)
    pack: dict[str, Any] = {"order_id": "o-1", "weight_grams": 80_000}
    assert "pack several parcels" in await floor.told(inbox.PackScanned, **pack)
    alone = await floor.told(inbox.PackScanned, **pack, lines=[{"sku": "TEA", "quantity": 1}])
    assert alone.startswith("too_heavy: no courier takes 80000 g to this address; weigh it again")
