"""What tests hand in: orders, payments, answers, scans; each with sensible parts that a test can replace."""

from datetime import datetime
from typing import Any

from shared.events.identity import order_id as id_of
from shared.events.inbox import (
    AddressAnswered,
    CancelAsked,
    OrderSubmitted,
    PaymentCaptured,
    ReceiptConfirmed,
)
from shared.values import Address, Contact, Money, OrderLine, Personal
from tests.harness import START

PERSONAL = Personal(
    contact=Contact(name="王芳", phone="+8613800000000", email="wang@example.org"),
    address=Address(country="CN", region="浙江省", city="杭州市", street="文三路 1 号", postcode="310000"),
)
SOURCE = "shop"


def lines(*skus: tuple[str, int, int]) -> tuple[OrderLine, ...]:
    """Order lines of (sku, quantity, unit price)."""
    return tuple(OrderLine(line=i, sku=s, quantity=q, unit_price=p) for i, (s, q, p) in enumerate(skus, 1))


def submitted(number: str = "T-1", placed_at: datetime = START, **parts: Any) -> OrderSubmitted:
    """An order of one buyer: 2 × TEA at 50.00, prepaid."""
    goods = parts.pop("lines", lines(("TEA", 2, 5000)))
    extra = parts.get("delivery_fee", 0) + parts.get("cod_fee", 0) - parts.get("discount", 0)
    total = sum(line.quantity * line.unit_price for line in goods) + extra
    defaults: dict[str, Any] = {
        "source": SOURCE, "external_number": number, "placed_at": placed_at, "buyer_id": f"buyer-{number}",
        "lines": goods, "currency": "CNY", "total": total, "personal": PERSONAL,
    }  # fmt: skip
    return OrderSubmitted(**(defaults | parts))


def paid(
    number: str = "T-1", amount: int = 10000, payment_id: str = "", currency: str = "CNY"
) -> PaymentCaptured:
    """A captured payment."""
    return PaymentCaptured(
        source=SOURCE,
        external_number=number,
        payment_id=payment_id or f"pay-{number}",
        amount=Money(amount=amount, currency=currency),
        captured_at=START,
    )


def confirmed(number: str = "T-1", **parts: Any) -> AddressAnswered:
    """The buyer's confirmation of the address."""
    return AddressAnswered(source=SOURCE, external_number=number, **parts)


def cancel(number: str = "T-1") -> CancelAsked:
    """The buyer wants out."""
    return CancelAsked(source=SOURCE, external_number=number, reason="changed my mind")


def receipt(number: str = "T-1") -> ReceiptConfirmed:
    """The buyer has the goods."""
    return ReceiptConfirmed(source=SOURCE, external_number=number)


def oid(number: str = "T-1") -> str:
    """Our id of the shop's order."""
    return id_of(SOURCE, number)
