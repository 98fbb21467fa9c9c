"""A code that nobody knows becomes a SKU of its own when goods arrive under it, and whoever scanned it is told so (W12)."""

import pytest

from services.warehouse.handlers.stock import RegisterSku
from shared.events import inbox
from shared.events.warehouse import ReturnInspected, StockDepleted, StockScrapped
from tests.harness import SUPERVISOR
from tests.warehouse.floor import PICKER, Floor

EAN = "6901234567892"


@pytest.fixture
def floor() -> Floor:
    return Floor()


async def told_new(floor: Floor, barcode: str) -> bool:
    outcome = await floor.scan(inbox.StockScanned, barcode=barcode, quantity=1, location="A-1")
    assert outcome.refusal is None
    assert ("hint" in outcome.answer) == ("new_sku" in outcome.answer)
    return bool(outcome.answer.get("new_sku", False))


@pytest.mark.requirement("W12")
async def test_goods_under_a_code_that_nobody_knows_are_told_as_a_new_sku_once(floor: Floor) -> None:
    assert await told_new(floor, EAN)
    assert not await told_new(floor, EAN), "somebody has answered for it"


@pytest.mark.requirement("W12")
async def test_a_registered_barcode_and_a_registered_sku_are_not_new(floor: Floor) -> None:
    await floor.bench.ask(RegisterSku(sku="TEA", name="Tea", barcodes=(EAN,)), actor=SUPERVISOR)
    await floor.bench.ask(RegisterSku(sku="CUP", name="Cup"), actor=SUPERVISOR)
    assert not await told_new(floor, EAN)
    assert not await told_new(floor, "CUP")


@pytest.mark.requirement("W12")
async def test_a_sku_that_an_order_waits_for_is_not_new(floor: Floor) -> None:
    await floor.release("o-1", ("POT", 1))
    assert not await told_new(floor, "POT")


@pytest.mark.requirement("W8")
async def test_a_foreign_article_in_a_return_becomes_no_sku_and_is_not_told_as_sold_out(floor: Floor) -> None:
    await floor.stock("TEA", 5)
    await floor.expect_back("c-1", ("TEA", 1))
    await floor.scan(inbox.ReturnReceivedScanned, case_id="c-1")
    found = [{"sku": EAN, "quantity": 1, "condition": "wrong_item"}]
    assert await floor.code(inbox.ReturnInspectedScanned, case_id="c-1", lines=found) == "ok"
    assert [line.sku for e in floor.bench.said_of(ReturnInspected) for line in e.lines] == [EAN]
    assert not floor.bench.said_of(StockDepleted)
    assert not floor.bench.said_of(StockScrapped)
    assert await told_new(floor, EAN), "nobody has answered for it"
    floor.adds_up()


@pytest.mark.requirement("W12")
async def test_two_boxes_scanned_at_once_are_told_once(floor: Floor) -> None:
    scans = [
        inbox.StockScanned(barcode="NEW-1", quantity=1, location="A-1", scanned_at=floor.now)
        for _ in range(2)
    ]
    outcomes = await floor.bench.turns.run([floor.bench.from_outside(s, actor=PICKER) for s in scans])
    assert [o.answer.get("new_sku", False) for o in outcomes] == [True, False]
    assert floor.parked() == []
