"""Labels and shipping notes (W5)."""

from collections.abc import Mapping
from functools import partial
from math import inf
from typing import Any, NamedTuple

import pytest
from reportlab.graphics.barcode.code128 import Code128
from reportlab.lib.pagesizes import A5
from reportlab.lib.units import mm
from reportlab.pdfgen.canvas import Canvas

from services.warehouse import documents
from services.warehouse.domain.courier import SENDER_LENGTH, Courier
from services.warehouse.domain.shipment import Shipment
from shared.replacing import replace
from shared.values import OrderLine, PaymentMethod
from tests.builders import PERSONAL, lines
from tests.warehouse.floor import Floor

LONG_LINE = OrderLine(line=1, sku="TEA", name="龙井茶" * 10, quantity=2, unit_price=100)


class Written(NamedTuple):
    """A line of text on the paper, and from where to where it goes."""

    text: str
    x: float
    end: float
    size: float
    y: float


class Bars(NamedTuple):
    """A barcode on the paper: its place, quiet zones included, and how wide its narrowest bar and those zones are."""

    x: float
    end: float
    y: float
    top: float
    module: float
    quiet: float


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[Written]:
    """What is written on the paper from now on."""
    found: list[Written] = []
    draw = documents._text

    def text(page: Canvas, x: float, y: float, text: str, size: float, most: float = inf) -> None:
        width = documents._width(text, size)
        found.append(Written(text, x, x + min(width, most), size, y))
        draw(page, x, y, text, size, most)

    monkeypatch.setattr(documents, "_text", text)
    return found


@pytest.fixture
def bars(monkeypatch: pytest.MonkeyPatch) -> list[Bars]:
    """What barcodes are drawn on the paper from now on."""
    found: list[Bars] = []
    draw = Code128.drawOn

    def drawn(code: Code128, page: Canvas, x: float, y: float) -> None:
        quiet = min(code.lquiet, code.rquiet)
        found.append(Bars(x, x + code.width, y, y + code.height, code.barWidth, quiet))
        draw(code, page, x, y)

    monkeypatch.setattr(Code128, "drawOn", drawn)
    return found


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
@pytest.mark.parametrize(
    ("currency", "shown"), [("CNY", "128.00 CNY"), ("JPY", "12800 JPY"), ("KWD", "12.800 KWD")]
)
async def test_the_courier_is_told_the_cash_to_collect_with_the_decimals_of_its_currency(
    written: list[Written], currency: str, shown: str
) -> None:
    cod = {"payment_method": PaymentMethod.COD, "cod_due": 12_800, "currency": currency}
    floor, shipment = await _packed(**cod)
    documents.label(shipment, floor.work(), "顺丰速运")
    assert f"代收货款 COD: {shown}" in [line.text for line in written]


@pytest.mark.requirement("W5")
async def test_an_address_without_a_postcode_has_its_country_at_the_left_like_the_rest(
    written: list[Written],
) -> None:
    address = PERSONAL.address.model_copy(update={"postcode": ""})
    floor, shipment = await _packed(personal=PERSONAL.model_copy(update={"address": address}))
    documents.label(shipment, floor.work(), "顺丰速运")
    assert "CN" in [line.text for line in written]


@pytest.mark.requirement("W5")
async def test_nothing_on_the_note_runs_past_the_right_end_of_its_rule(written: list[Written]) -> None:
    floor, shipment = await _packed(lines=(LONG_LINE,))
    documents.shipping_note(shipment, floor.work())
    assert "数量 Qty" in [line.text for line in written]
    assert [line.text for line in written if line.end > 133 * mm] == []


@pytest.mark.requirement("W5")
async def test_long_skus_and_names_go_on_below_and_stay_in_their_columns(written: list[Written]) -> None:
    line = LONG_LINE.model_copy(update={"sku": "TEA-" + "W" * 60})
    floor = Floor()
    await floor.stock(line.sku)
    number = await floor.packed(await floor.release(lines=(line,)))
    documents.shipping_note(floor.parcel_row(number), floor.work())
    heads = [
        next(w.x for w in written if w.text == head) for head in ("货号 SKU", "品名 Article", "数量 Qty")
    ]
    row = written[[w.text for w in written].index("数量 Qty") + 1 :]
    for text, start, end in zip((line.sku, line.name), heads, heads[1:], strict=False):
        cell = [w for w in row if w.x == start]
        assert "".join(w.text for w in cell) == text
        assert len(cell) > 1
        assert all(w.end <= end for w in cell)


@pytest.mark.requirement("W5")
async def test_a_note_of_many_lines_runs_on_to_further_pages_that_say_what_they_belong_to(
    written: list[Written],
) -> None:
    goods = tuple(OrderLine(line=i, sku=f"S-{i}", name="茶", quantity=1, unit_price=1) for i in range(1, 80))
    floor = Floor()
    for line in goods:
        await floor.stock(line.sku)
    number = await floor.packed(await floor.release(lines=goods))
    pages = documents.shipping_note(floor.parcel_row(number), floor.work()).count(b"/Type /Page\n")
    assert pages > 1
    for head in (f"订单 Order: {floor.work().external_number}", "货号 SKU", "品名 Article", "数量 Qty"):
        assert [line.text for line in written].count(head) == pages


@pytest.mark.requirement("W5")
async def test_what_a_buyer_remarked_is_for_us_and_is_not_on_the_note(written: list[Written]) -> None:
    floor, shipment = await _packed(remark="black list")
    documents.shipping_note(shipment, floor.work())
    assert not any("black list" in line.text for line in written)


@pytest.mark.requirement("W5")
@pytest.mark.parametrize("name", ["王𠮷", "김철수", "Zoë 😀", "กานดา"])
async def test_a_label_says_where_a_character_could_not_be_printed(written: list[Written], name: str) -> None:
    contact = PERSONAL.contact.model_copy(update={"name": name})
    floor, shipment = await _packed(personal=PERSONAL.model_copy(update={"contact": contact}))
    documents.label(shipment, floor.work(), "顺丰速运")
    assert documents.MISSING_TOLD in [line.text for line in written]
    assert documents.MISSING in "".join(run for _, run in documents._runs(name))


@pytest.mark.requirement("W5")
@pytest.mark.parametrize("name", ["王芳", "Señor Müller", "Николай", "さくら", "镕堃喆"])
async def test_a_label_says_nothing_of_that_where_all_is_printed(written: list[Written], name: str) -> None:
    contact = PERSONAL.contact.model_copy(update={"name": name})
    floor, shipment = await _packed(personal=PERSONAL.model_copy(update={"contact": contact}))
    documents.label(shipment, floor.work(), "顺丰速运")
    assert documents.MISSING_TOLD not in [line.text for line in written]
    assert "".join(run for _, run in documents._runs(name)) == name


@pytest.mark.requirement("W5")
async def test_papers_say_which_parcel_of_the_order_it_is_and_of_how_many_once_all_is_packed(
    written: list[Written],
) -> None:
    floor = Floor()
    await floor.stock()
    await floor.bench.hear(floor.order("o-1", ("TEA", 2)))
    await floor.settle()
    first = await floor.packed(lines=[{"sku": "TEA", "quantity": 1}])
    documents.label(floor.parcel_row(first), floor.work(), "顺丰速运")
    assert [line.text.split("   ")[1] for line in written if "Weight" in line.text] == ["包裹 Parcel: 1"]
    second = await floor.parcel(lines=[{"sku": "TEA", "quantity": 1}])
    for number in (first, second):
        written.clear()
        documents.label(floor.parcel_row(number), floor.work(), "顺丰速运")
        documents.shipping_note(floor.parcel_row(number), floor.work())
        place = f"包裹 Parcel: {1 + (number == second)}/2"
        assert [line.text for line in written if line.text.endswith(place)] != []
        assert sum(place in line.text for line in written) == 2


@pytest.mark.requirement("W5")
@pytest.mark.parametrize(
    ("sender", "lines", "size"),
    [
        ("茶舍 Tea House, 浙江省杭州市余杭区仓前街 9 号", 1, 8),
        ("茶" * 50, 2, 8),
        ("茶" * 70, 2, 6),
        ("茶" * SENDER_LENGTH, 3, 5),
    ],
)
async def test_a_label_names_who_gets_the_parcel_back_however_much_of_it_there_is(
    written: list[Written], sender: str, lines: int, size: float
) -> None:
    floor, shipment = await _packed(payment_method=PaymentMethod.COD, cod_due=19_950)
    documents.label(shipment, floor.work(), "顺丰速运", sender)
    foot = written[[line.text.startswith("寄 From: ") for line in written].index(True) :]
    assert "".join(line.text for line in foot) == f"寄 From: {sender}"
    assert (len(foot), {line.size for line in foot}) == (lines, {size})
    assert all(line.end <= documents.LABEL[0] - 6 * mm for line in foot)


@pytest.mark.requirement("W5")
@pytest.mark.parametrize(
    ("prefix", "digits"),
    [("SF", 12), ("P", 4), ("HANDOVERCN", 12), ("8A1Z1D9B7A", 17), ("8A1Z1D9B7A", 18), ("WWWWWWWWWW", 18)],
)
async def test_any_number_that_a_courier_may_have_is_printed_so_that_scanners_read_it(
    written: list[Written], bars: list[Bars], prefix: str, digits: int
) -> None:
    """Bars of a quarter of a millimeter at least, on the paper with their quiet zones, and nothing else among them."""
    number = _courier(number_prefix=prefix, number_digits=digits).number(10**digits - 1)
    floor, shipment = await _packed(external_number="W" * 30)
    shipment = replace(shipment, tracking_number=number)
    label = partial(documents.label, courier_name="顺丰速运")
    for paper, (width, _) in ((label, documents.LABEL), (documents.shipping_note, A5)):
        written.clear()
        bars.clear()
        paper(shipment, floor.work())
        (code,) = bars
        assert code.x >= 0
        assert code.end <= width
        assert code.module >= 0.25 * mm
        assert code.quiet >= 9.99 * code.module
        assert all(line.end <= width - 6 * mm for line in written)
        across = [w for w in written if w.x < code.end and code.x < w.end]
        assert [w.text for w in across if w.y < code.top and code.y < w.y + w.size] == []
        assert any(number in line.text for line in written)


def _courier(**parts: Any) -> Courier:
    told = {
        "code": "sf", "name": "顺丰速运", "delivery_methods": ["courier"], "max_weight_grams": 1,
        "number_last": 10 ** parts["number_digits"] - 1, "areas": [{"country": "CN"}],
    }  # fmt: skip
    return Courier.model_validate(told | parts)


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


@pytest.mark.requirement("W5")
@pytest.mark.parametrize("due", [19_950, 7, 0])
async def test_each_parcel_collects_the_share_of_its_pieces_and_together_they_collect_what_is_due(
    due: int,
) -> None:
    floor = Floor()
    await floor.stock()
    await floor.stock("CUP")
    order = floor.order("o-1", ("TEA", 2), ("CUP", 1), payment_method=PaymentMethod.COD, cod_due=due)
    await floor.bench.hear(order)
    await floor.settle()
    first = floor.parcel_row(await floor.packed(lines=[{"sku": "TEA", "quantity": 1}]))
    second = floor.parcel_row(
        await floor.parcel(lines=[{"sku": "CUP", "quantity": 1}, {"sku": "TEA", "quantity": 1}])
    )
    assert first.cod_due == due // 3
    assert first.cod_due + second.cod_due == due


@pytest.mark.requirement("W5")
async def test_of_one_article_at_two_prices_each_piece_collects_the_same() -> None:
    floor = Floor()
    await floor.stock()
    bought = lines(("TEA", 1, 9000), ("TEA", 2, 3000))
    await floor.bench.hear(floor.order(lines=bought, payment_method=PaymentMethod.COD, cod_due=15_000))
    await floor.settle()
    first = floor.parcel_row(await floor.packed(lines=[{"sku": "TEA", "quantity": 1}]))
    second = floor.parcel_row(await floor.parcel())
    assert (first.cod_due, second.cod_due) == (5000, 10_000)
