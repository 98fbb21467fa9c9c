"""The desk of orders, and how its rows are found."""

from collections.abc import Iterator
from hashlib import sha256
from typing import Any

from services.orders.domain.order import Order
from services.orders.domain.policy import Policy
from services.orders.tables import EARLY_PAYMENTS, HEARD, ORDERS, RECENT_BUYS
from shared.events.base import stream_name
from shared.events.identity import order_id as id_of
from shared.events.inbox import OrderSubmitted, PaymentCaptured
from shared.events.orders import OrderPlaced
from shared.runtime.desk import Desk, Want
from shared.runtime.messages import Refused

UNKNOWN_ORDER = "there is no such order; by the shop's own number it is found with ?source=…&number=…"
"""What was asked for is not our id."""


class OrdersDesk(Desk):
    """Shelves of one turn."""

    def __init__(self, policy: Policy) -> None:
        super().__init__()
        self.policy = policy
        self.orders = self.shelf(ORDERS)
        self.early_payments = self.shelf(EARLY_PAYMENTS)
        self.recent_buys = self.shelf(RECENT_BUYS)
        self.heard = self.ledger(HEARD)

    def known(self, order_id: str) -> Order:
        """The order, for a command. Raises Refused (404) when there is none."""
        order = self.orders.get(order_id)
        if order is None:
            raise Refused("unknown_order", UNKNOWN_ORDER, field="order_id", status=404)
        return order

    def named(self, message: Any) -> Order:
        """The order that an outside message names. Raises Refused (404) when there is none."""
        order = self.orders.get(id_of(message.source, message.external_number))
        if order is None:
            detail = f"there is no order {message.external_number} of {message.source}"
            raise Refused("unknown_order", detail, field="external_number", status=404)
        return order


def by_id(message: Any, desk: OrdersDesk) -> Iterator[Want]:
    """The order that the message names by our id."""
    yield desk.orders.want(message.order_id)


def by_number(message: Any, desk: OrdersDesk) -> Iterator[tuple[Want, ...]]:
    """The order that an outside message names by source and external number."""
    yield _told_of(id_of(message.source, message.external_number), desk)


def _told_of(order_id: str, desk: OrdersDesk) -> tuple[Want, Want]:
    """An order about which something will be said."""
    return desk.orders.want(order_id), desk.speaks_on(stream_name(OrderPlaced, order_id))


def payment_rows(message: Any, desk: OrdersDesk) -> Iterator[Want | tuple[Want, ...]]:
    """The order and the payment that may be waiting for it."""
    order_id = id_of(message.source, message.external_number)
    yield *_told_of(order_id, desk), desk.early_payments.want(early_key(order_id, message))


def submission(message: OrderSubmitted, desk: OrdersDesk) -> Iterator[Want | tuple[Want, ...]]:
    """The order, payments that came before it, the buyer's last order of the same goods, and the first that this is like."""
    order_id = id_of(message.source, message.external_number)
    yield (
        *_told_of(order_id, desk),
        desk.early_payments.want_group("order_id", order_id),
        desk.recent_buys.want(goods_key(message)),
    )
    if (before := desk.recent_buys.get(goods_key(message))) is not None:
        yield desk.orders.want(before.order_id)
        if (order := desk.orders.get(before.order_id)) is not None and order.like is not None:
            yield desk.orders.want(order.like)


def early_key(order_id: str, payment: PaymentCaptured) -> str:
    """One payment that waits for its order; its id with another amount is another one, and none may be lost (O3)."""
    return f"{order_id}/{payment.payment_id}/{payment.amount.amount}/{payment.amount.currency}"


def goods_key(message: OrderSubmitted) -> str:
    """Buyer and goods of a submission in one key (O5)."""
    goods = sorted((line.sku, line.quantity) for line in message.lines)
    return sha256(repr((message.source, message.buyer_id, goods)).encode()).hexdigest()
