"""What people and systems outside send about a plain order."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

from deploy.play.day import PAYMENTS, PICKERS, SHOP
from deploy.play.script import SOURCE, Script
from shared.events import inbox
from shared.events.base import Event
from shared.values import Actor, Money

Message = tuple[Event, Actor]


def renamed(script: Script, sku: Callable[[int], str]) -> Script:
    """The order with another SKU in each line, by the line's number."""
    lines = tuple(line.model_copy(update={"sku": sku(line.line)}) for line in script.order.lines)
    return replace(script, order=script.order.model_copy(update={"lines": lines}))


def bought(script: Script) -> list[Message]:
    """The order, its payment, the buyer's confirmation."""
    payment = inbox.PaymentCaptured(
        source=SOURCE, external_number=script.number, payment_id=f"{script.number}-a",
        amount=Money(amount=script.order.total, currency="CNY"), captured_at=datetime.now(UTC),
    )  # fmt: skip
    answer = inbox.AddressAnswered(source=SOURCE, external_number=script.number)
    return [(script.order, SHOP), (payment, PAYMENTS), (answer, SHOP)]


def scanned(script: Script) -> list[Message]:
    """Picked by one person, checked by another, packed."""
    now, order_id = datetime.now(UTC), script.order_id
    picker, checker = PICKERS[0], PICKERS[1]
    messages: list[Message] = [(inbox.PickStartScanned(order_id=order_id, scanned_at=now), picker)]
    for line in script.order.lines:
        pick = inbox.PickScanned(order_id=order_id, barcode=line.sku, quantity=line.quantity, scanned_at=now)
        messages.append((pick, picker))
    messages.append((inbox.CheckStartScanned(order_id=order_id, scanned_at=now), checker))
    for line in script.order.lines:
        count = inbox.CheckScanned(
            order_id=order_id, barcode=line.sku, quantity=line.quantity, scanned_at=now
        )
        messages.append((count, checker))
    messages.append((inbox.CheckFinishScanned(order_id=order_id, scanned_at=now), checker))
    messages.append((inbox.PackScanned(order_id=order_id, weight_grams=850, scanned_at=now), picker))
    return messages


def received(script: Script) -> Event:
    """The buyer has it."""
    return inbox.ReceiptConfirmed(source=SOURCE, external_number=script.number)
