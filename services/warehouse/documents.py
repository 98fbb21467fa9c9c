"""Paper of the warehouse: the courier label 快递单 and the shipping note 发货单, as PDF with barcode (W5).

Latin text is in Bitstream Vera, which travels in the PDF. Chinese is in STSong-Light, one of the standard Asian fonts of PDF,
which is named and not embedded: whoever prints needs a PDF reader with its Asian font pack, or any Chinese font installed.
What neither font has is drawn as 〓, as printers always did.
"""

from collections.abc import Iterator
from io import BytesIO
from itertools import groupby, zip_longest
from math import inf

from reportlab.graphics.barcode import code128
from reportlab.lib.pagesizes import A5
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas

from services.warehouse.domain.fulfillment import Fulfillment
from services.warehouse.domain.shipment import Shipment
from shared.money import spelled

LATIN, CHINESE = "Vera", "STSong-Light"
SMALLEST = 5.0
"""Points below which text is not made smaller to fit."""

MISSING = "〓"
MISSING_TOLD = f"{MISSING} = 无法打印的字，请电话核对收件人 / cannot be printed: call to confirm"

LABEL = (100 * mm, 150 * mm)
"""The size of the label rolls that couriers use."""

QUIET = 10
"""Modules that must be blank on each side of a Code 128, or it is not read (ISO/IEC 15417)."""

_vera = TTFont(LATIN, "Vera.ttf")
_LATIN_HAS = frozenset(_vera.face.charToGlyph)
pdfmetrics.registerFont(_vera)
pdfmetrics.registerFont(UnicodeCIDFont(CHINESE))


def label(shipment: Shipment, work: Fulfillment, courier_name: str, sender: str = "") -> bytes:
    """The courier label of a parcel; `sender` is who gets it back where it cannot be delivered. Raises ValueError when the
    address was erased."""
    if work.personal is None:
        raise ValueError("the address of this order was erased")
    contact, address = work.personal.contact, work.personal.address
    out = BytesIO()
    page = Canvas(out, pagesize=LABEL)
    page.setTitle(f"Label {shipment.tracking_number}")
    width, height = LABEL
    most = width - 12 * mm
    _text(page, 6 * mm, height - 12 * mm, courier_name, 16, most)
    barcode = _barcode(shipment.tracking_number, 22 * mm, 0.42 * mm, width - 4 * mm)
    barcode.drawOn(page, (width - barcode.width) / 2, height - 42 * mm)
    _text(page, 6 * mm, height - 49 * mm, shipment.tracking_number, 13, most)
    page.line(4 * mm, height - 53 * mm, width - 4 * mm, height - 53 * mm)
    street = [address.district, address.street] if address.district else [address.street]
    lines = [
        f"收 To: {contact.name}   {contact.phone}",
        f"{address.region} {address.city}",
        " ".join(street),
        f"{address.postcode} {address.country}".lstrip(),
    ]
    for size in (13, 11, 9, 7.5, 6, 5):  # the largest that the whole address fits in
        parts = [part for line in lines for part in _wrapped(line, size, most)]
        if len(parts) * size * 1.7 <= 50 * mm:
            break
    below = height - 61 * mm
    for part in parts:
        _text(page, 6 * mm, below, part, size)
        below -= size * 1.7
    if any(MISSING in run for line in lines for _, run in _runs(line)):
        _text(page, 6 * mm, below, MISSING_TOLD, 7, most)
    weight = f"重量 Weight: {shipment.weight_grams / 1000:.2f} kg"
    foot = [f"{weight}   {_which(shipment, work)}", f"单号 Order: {work.external_number}"]
    if shipment.cod_due:
        foot.insert(0, f"代收货款 COD: {spelled(shipment.cod_due, work.currency)}")
    for row, line in enumerate(reversed(foot)):
        _text(page, 6 * mm, (14 + 8 * row) * mm, line, 13, most)
    if sender:
        for size in (8, 7, 6, SMALLEST):
            parts = _wrapped(f"寄 From: {sender}", size, most)
            if len(parts) <= 2:
                break
        for row, line in enumerate(parts):
            _text(page, 6 * mm, 8 * mm - 1.4 * size * row, line, size)
    page.save()
    return out.getvalue()


def _which(shipment: Shipment, work: Fulfillment) -> str:
    """Which parcel of the order it is; of how many is known once all of it is packed."""
    number = work.shipments.index(shipment.shipment_id) + 1
    return f"包裹 Parcel: {number}" if work.left_to_pack() else f"包裹 Parcel: {number}/{len(work.shipments)}"


def shipping_note(shipment: Shipment, work: Fulfillment) -> bytes:
    """The note that lies in the parcel: what is in it. The buyer reads it, so the remark, which is for us, is not on it."""
    names = {line.sku: line.name for line in work.lines}
    out = BytesIO()
    page = Canvas(out, pagesize=A5)
    page.setTitle(f"Shipping note {work.external_number}")
    _, height = A5
    _text(page, 15 * mm, height - 20 * mm, "发货单 Shipping note", 18)
    _text(page, 15 * mm, height - 29 * mm, f"订单 Order: {work.external_number}", 11, 118 * mm)
    if work.personal is not None:
        _text(page, 15 * mm, height - 36 * mm, f"收件人 To: {work.personal.contact.name}", 11, 80 * mm)
    _text(page, 97 * mm, height - 36 * mm, _which(shipment, work), 11, 36 * mm)
    _text(page, 15 * mm, height - 43 * mm, f"快递单号 Tracking: {shipment.tracking_number}", 11, 118 * mm)
    barcode = _barcode(shipment.tracking_number, 12 * mm, 0.33 * mm, 118 * mm)
    barcode.drawOn(page, 15 * mm - barcode.lquiet, height - 58 * mm)
    row = _columns(page, height - 67 * mm)
    for line in shipment.lines:
        skus = _wrapped(line.sku, 10, 43 * mm)
        articles = _wrapped(names.get(line.sku, ""), 10, 55 * mm)
        for sku, article, quantity in zip_longest(skus, articles, [str(line.quantity)], fillvalue=""):
            if row < 15 * mm:
                page.showPage()
                _text(page, 15 * mm, height - 15 * mm, f"订单 Order: {work.external_number}", 10, 118 * mm)
                row = _columns(page, height - 25 * mm)
            _text(page, 15 * mm, row, sku, 10)
            _text(page, 60 * mm, row, article, 10)
            _text(page, 117 * mm, row, quantity, 10, 16 * mm)
            row -= 5 * mm
        row -= 2 * mm
    page.save()
    return out.getvalue()


def _barcode(text: str, high: float, module: float, most: float) -> code128.Code128:
    """The text as bars, with their quiet zones in at most `most` points; modules are narrower where they would not fit."""
    modules = code128.Code128(text, barWidth=1, lquiet=QUIET, rquiet=QUIET).width
    module = min(module, most / modules)
    return code128.Code128(
        text, barHeight=high, barWidth=module, lquiet=QUIET * module, rquiet=QUIET * module
    )


def _columns(page: Canvas, top: float) -> float:
    """Draw the heads of the columns. Where the first row stands."""
    for x, title in ((15, "货号 SKU"), (60, "品名 Article"), (117, "数量 Qty")):
        _text(page, x * mm, top, title, 10)
    page.line(15 * mm, top - 2 * mm, 133 * mm, top - 2 * mm)
    return float(top - 9 * mm)


def _text(page: Canvas, x: float, y: float, text: str, size: float, most: float = inf) -> None:
    """Draw a line of text, smaller where it would be wider than `most` points."""
    while size > SMALLEST and _width(text, size) > most:
        size -= 0.5
    for font, run in _runs(text):
        page.setFont(font, size)
        page.drawString(x, y, run)
        x += pdfmetrics.stringWidth(run, font, size)


def _runs(text: str) -> Iterator[tuple[str, str]]:
    """The text in runs of one font: the embedded one wherever it has the characters."""
    for has, run in groupby(map(_printed, text), lambda char: ord(char) in _LATIN_HAS):
        yield (LATIN if has else CHINESE), "".join(run)


def _printed(char: str) -> str:
    """What stands on paper for a character."""
    if ord(char) in _LATIN_HAS:
        return char
    if char.isspace():
        return " "
    try:
        char.encode("gbk")  # as good as all that the Chinese font has
    except UnicodeEncodeError:
        return MISSING
    return char


def _width(text: str, size: float) -> float:
    return float(sum(pdfmetrics.stringWidth(run, font, size) for font, run in _runs(text)))


def _wrapped(text: str, size: float, most: float) -> list[str]:
    """Lines of at most `most` points."""
    lines, line, width = [], "", 0.0
    for char in text:
        wide = _width(char, size)
        if line and width + wide > most:
            lines.append(line)
            line, width = char.lstrip(), 0.0
            wide = wide if line else 0.0
        else:
            line += char
        width += wide
    return [*lines, line]
