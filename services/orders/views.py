"""What orders shows of an order over HTTP (O14). Amounts are in minor units of the order's currency."""

from datetime import datetime
from typing import Any

from services.orders.domain.order import Fulfillment, Order, OrderStatus, PaymentStatus
from shared.events.orders import Hold
from shared.runtime.views import View
from shared.values import Actor, ActorKind, DeliveryMethod, Locale, OrderLine, PaymentMethod, Personal


class HoldView(View):
    """Why an order may not go to the warehouse, by whom, and who lifted it (O7)."""

    hold: Hold
    reason: str
    placed_by: str
    placed_at: datetime
    lifted_by: str | None
    lifted_at: datetime | None


class PaymentView(View):
    """One payment (O3)."""

    payment_id: str
    amount: int
    """What of it counts towards the price, when it `counts`; else 0, or what came in another currency."""
    excess: int
    """What was captured beyond that, in the order's currency."""
    currency: str
    captured_at: datetime
    counts: bool
    anomaly: str | None
    """What does not match about it."""


class OrderView(View):
    """One order: status, money, holds with their history, where its goods are, who has it."""

    order_id: str
    source: str
    external_number: str
    buyer_id: str
    status: OrderStatus
    payment_status: PaymentStatus
    fulfillment: Fulfillment
    """How far the goods are that are furthest behind. `none` before the release, `returning` when they come back."""
    held_by: str
    """Who has the order now, in a word or two."""
    standing_holds: list[Hold]
    holds: tuple[HoldView, ...]
    """All that ever stood."""
    lines: tuple[OrderLine, ...]
    currency: str
    total: int
    """What it costs: lines, delivery and fees, less discounts."""
    due: int
    """What is to be paid, all in all: the total, less cash of parcels that came back or were lost."""
    paid: int
    """What was paid of it, by payments and in cash."""
    cod_collected: int
    """What of that couriers collected."""
    refunded: int
    """What of the price finance was asked to pay back."""
    excess_refunded: int
    """And of what was captured beyond it."""
    payments: tuple[PaymentView, ...]
    payment_method: PaymentMethod
    delivery_method: DeliveryMethod
    placed_at: datetime
    ship_by: datetime
    deliver_by: datetime
    answer_by: datetime | None
    """Until when the buyer's word about the address is awaited; null once nobody waits for it."""
    released: bool
    """True while the warehouse has it."""
    delivered_at: datetime | None
    """When the last parcel arrived, or turned round."""
    open_cases: tuple[str, ...]
    """Cases of after-sales that are not closed."""
    like: str | None
    """The order that this one may be a double of (O5)."""
    escalated: tuple[str, ...]
    """Deadlines that were missed: `address_confirmation`, `ship_by`, `deliver_by`."""
    closed_reason: str
    agent: str | None
    remark: str
    locale: Locale
    personal: Personal | None
    """For people of the shop alone (X4); null once it was erased."""


class EntryView(View):
    """One thing that happened."""

    at: datetime
    service: str
    event: str
    """The type of the event, which says what `what` holds."""
    actor: str
    what: dict[str, Any]
    """What the event says, without personal data."""


class TimelineView(View):
    """What happened to an order in all services, oldest first."""

    order_id: str
    status: OrderStatus
    held_by: str
    entries: list[EntryView]


def shown(order: Order, actor: Actor) -> OrderView:
    """An order as an actor may see it."""
    reckoned = {
        "paid": order.paid,
        "due": order.due,
        "standing_holds": order.standing(),
        "held_by": order.held_by(),
        "answer_by": order.answer_by if order.awaits_word else None,
        "personal": order.personal if actor.kind is ActorKind.OPERATOR else None,
    }
    return OrderView.model_validate(vars(order) | reckoned)
