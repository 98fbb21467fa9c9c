"""Labels and shipping notes (W5)."""

from collections.abc import Mapping
from typing import Any

import pytest

from services.warehouse import documents
from services.warehouse.domain.shipment import Shipment
from shared.values import OrderLine, PaymentMethod
from tests.builders import PERSONAL
from tests.warehouse.floor import Floor


async def _packed(**parts: Any) -> tuple[Floor, Shipment]:
    floor = Floor()
    await floor.stock()
    number = await floor.packed(await floor.release(**parts))
    return floor, floor.parcel_row(number)


@pytest.mark.requirement("W5")
@pytest.mark.parametrize("cod", [{}, {"payment_method": PaymentMethod.COD, "cod_due": 19_950}])
async def test_label_and_note_are_pdfs(cod: Mapping[str, Any]) -> None:
    floor, shipment = await _packed(**cod)
    for paper in (
        documents.label(shipment, floor.work(), "顺丰速运"),
        documents.shipping_note(shipment, floor.work()),
    ):
        assert paper.startswith(b"%PDF-")
        assert paper.rstrip().endswith(b"%%EOF")


@pytest.mark.requirement("W5")
async def test_a_note_of_many_lines_runs_on_to_further_pages() -> None:
    goods = tuple(OrderLine(line=i, sku=f"S-{i}", name="茶", quantity=1, unit_price=1) for i in range(1, 80))
    floor = Floor()
    for line in goods:
        await floor.stock(line.sku)
    number = await floor.packed(await floor.release(lines=goods))
    assert documents.shipping_note(floor.parcel_row(number), floor.work()).count(b"/Type /Page\n") > 1


@pytest.mark.requirement("W5")
async def test_the_latin_font_travels_with_the_paper() -> None:
    """The Chinese one does not: it is one of the fonts that a PDF reader brings."""
    floor, shipment = await _packed()
    for paper in (
        documents.label(shipment, floor.work(), "顺丰速运"),
        documents.shipping_note(shipment, floor.work()),
    ):
        assert b"/FontFile2" in paper
        assert b"STSong-Light" in paper


@pytest.mark.requirement("W5")
def test_letters_with_accents_are_drawn_in_the_font_that_has_them() -> None:
    assert list(documents._runs("Señor Müller 收件")) == [
        (documents.LATIN, "Señor Müller "),
        (documents.CHINESE, "收件"),
    ]


@pytest.mark.requirement("W5")
async def test_the_longest_address_still_makes_a_label() -> None:
    address = PERSONAL.address.model_copy(update={"street": "长" * 200, "district": "W" * 200})
    floor, shipment = await _packed(
        personal=PERSONAL.model_copy(update={"address": address}), remark="茶 " * 400
    )
    assert documents.label(shipment, floor.work(), "顺丰速运").startswith(b"%PDF-")
    assert documents.shipping_note(shipment, floor.work()).startswith(b"%PDF-")
