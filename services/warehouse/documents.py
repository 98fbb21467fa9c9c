"""Paper of the warehouse: the courier label 快递单 and the shipping note 发货单, as PDF with barcode (W5)."""

from io import BytesIO

from reportlab.graphics.barcode import code128
from reportlab.lib.pagesizes import A5
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.pdfgen.canvas import Canvas

from services.warehouse.domain.fulfillment import Fulfillment
from services.warehouse.domain.shipment import Shipment

FONT = "STSong-Light"
LABEL = (100 * mm, 150 * mm)
"""The size of the label rolls that couriers use."""

pdfmetrics.registerFont(UnicodeCIDFont(FONT))


def label(shipment: Shipment, work: Fulfillment, courier_name: str) -> bytes:
    """The courier label of a parcel. Raises ValueError when the address was erased."""
    if work.personal is None:
        raise ValueError("the address of this order was erased")
    contact, address = work.personal.contact, work.personal.address
    out = BytesIO()
    page = Canvas(out, pagesize=LABEL)
    page.setTitle(f"Label {shipment.tracking_number}")
    width, height = LABEL
    _text(page, 6 * mm, height - 12 * mm, courier_name, 16)
    barcode = code128.Code128(shipment.tracking_number, barHeight=22 * mm, barWidth=0.42 * mm)
    barcode.drawOn(page, max((width - barcode.width) / 2, 2 * mm), height - 42 * mm)
    _text(page, 6 * mm, height - 49 * mm, shipment.tracking_number, 13)
    page.line(4 * mm, height - 53 * mm, width - 4 * mm, height - 53 * mm)
    street = [address.district, address.street] if address.district else [address.street]
    lines = [
        f"收 To: {contact.name}   {contact.phone}",
        f"{address.region} {address.city}",
        *_wrapped(" ".join(street), 24),
        f"{address.postcode} {address.country}",
    ]
    for row, line in enumerate(lines):
        _text(page, 6 * mm, height - (61 + 9 * row) * mm, line, 13)
    foot = [f"重量 Weight: {shipment.weight_grams / 1000:.2f} kg", f"单号 Order: {work.external_number}"]
    if shipment.cod_due:
        foot.insert(0, f"代收货款 COD: {shipment.cod_due / 100:.2f} {work.currency}")
    for row, line in enumerate(reversed(foot)):
        _text(page, 6 * mm, (8 + 9 * row) * mm, line, 13)
    page.save()
    return out.getvalue()


def shipping_note(shipment: Shipment, work: Fulfillment) -> bytes:
    """The note that lies in the parcel: what is in it."""
    names = {line.sku: line.name for line in work.lines}
    out = BytesIO()
    page = Canvas(out, pagesize=A5)
    page.setTitle(f"Shipping note {work.external_number}")
    _, height = A5
    _text(page, 15 * mm, height - 20 * mm, "发货单 Shipping note", 18)
    _text(page, 15 * mm, height - 29 * mm, f"订单 Order: {work.external_number}", 11)
    _text(page, 15 * mm, height - 36 * mm, f"快递单号 Parcel: {shipment.tracking_number}", 11)
    if work.personal is not None:
        _text(page, 15 * mm, height - 43 * mm, f"收件人 To: {work.personal.contact.name}", 11)
    top = height - 56 * mm
    for x, title in ((15, "货号 SKU"), (60, "品名 Article"), (120, "数量 Qty")):
        _text(page, x * mm, top, title, 10)
    page.line(15 * mm, top - 2 * mm, 133 * mm, top - 2 * mm)
    row = top - 9 * mm
    for line in shipment.lines:
        if row < 20 * mm:
            page.showPage()
            row = height - 20 * mm
        _text(page, 15 * mm, row, line.sku[:22], 10)
        _text(page, 60 * mm, row, names.get(line.sku, "")[:30], 10)
        _text(page, 120 * mm, row, str(line.quantity), 10)
        row -= 7 * mm
    if work.remark:
        for part in _wrapped(f"备注 Remark: {work.remark}", 48):
            row -= 6 * mm
            _text(page, 15 * mm, row, part, 10)
    page.save()
    return out.getvalue()


def _text(page: Canvas, x: float, y: float, text: str, size: int) -> None:
    page.setFont(FONT, size)
    page.drawString(x, y, text)


def _wrapped(text: str, width: int) -> list[str]:
    """Lines of at most `width` columns; a Chinese character takes two."""
    lines, line, used = [], "", 0
    for char in text:
        columns = 2 if ord(char) > 0x2E7F else 1
        if used + columns > width * 2 - 10:
            lines.append(line)
            line, used = "", 0
        line += char
        used += columns
    return [*lines, line]
