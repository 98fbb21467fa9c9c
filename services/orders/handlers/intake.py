"""Orders come in: once, whatever is retried, with all that stands against them named at once (O1, O5)."""

from datetime import datetime, timedelta
from hashlib import sha256

from services.orders.desk import OrdersDesk, goods_key
from services.orders.domain.order import Fulfillment, Order, OrderStatus, PaymentStatus
from services.orders.handlers.payments import apply_early
from services.orders.handlers.promises import UnpaidDue, say_paid, watch
from services.orders.handlers.release import advance, put_on_hold
from services.orders.tables import RecentBuy
from shared.events.identity import order_id as id_of
from shared.events.inbox import OrderSubmitted
from shared.events.orders import Hold, HoldRule, OrderPlaced
from shared.replacing import replace
from shared.runtime.messages import Refused
from shared.values import PaymentMethod

AHEAD = timedelta(days=1)
"""How far the clock of a shop may run ahead: a local time that is sent as UTC is an order all the same."""


def submit(event: OrderSubmitted, desk: OrdersDesk) -> dict[str, str]:
    """Accept an order. Handed in again it is answered and changes nothing; another one under its number is refused, and one
    that is still to be placed: its promises, reckoned from then, would never be overdue."""
    order_id = id_of(event.source, event.external_number)
    content = sha256(event.model_dump_json(exclude_defaults=True).encode()).hexdigest()
    if (known := desk.orders.get(order_id)) is not None:
        if known.personal is None:
            detail = "who the buyer is was erased from this order; send a new one under its own number"
            raise Refused("erased", detail, field="external_number")
        if known.content != content:
            raise Refused(
                "order_exists",
                f"order {event.external_number} of {event.source} exists with other content; cancel it, "
                "or send the new one under its own number",
                field="external_number",
            )
        return {"order_id": order_id, "status": known.status}
    if event.placed_at > desk.now + AHEAD:
        detail = "this is still to come; send the time at which the order was placed"
        raise Refused("clock_ahead", detail, field="placed_at")
    order = _new(event, order_id, content, desk)
    desk.publish(_placed(order, event))
    order = _hold_back(order, event, desk)
    if order.payment_status is PaymentStatus.UNPAID:
        desk.timers.set(
            UnpaidDue(order_id=order_id), _later(order.placed_at, desk) + desk.policy.unpaid_expires_after
        )
    else:
        watch(order, desk)
        order = order if order.is_cod else say_paid(order, desk)
    desk.orders.put(order)
    order = apply_early(order, desk)
    order = advance(order, desk)
    return {"order_id": order_id, "status": order.status}


def _new(event: OrderSubmitted, order_id: str, content: str, desk: OrdersDesk) -> Order:
    policy = desk.policy
    free = event.total == 0
    cod = event.payment_method is PaymentMethod.COD
    status = PaymentStatus.COD_DUE if cod else PaymentStatus.PAID if free else PaymentStatus.UNPAID
    ship_by = event.ship_by or event.placed_at + policy.ship_within
    if event.deliver_by is not None:
        ship_by = min(ship_by, event.deliver_by)
    return Order(
        order_id=order_id,
        source=event.source,
        external_number=event.external_number,
        status=OrderStatus.PLACED,
        payment_status=status,
        fulfillment=Fulfillment.NONE,
        held=False,
        buyer_id=event.buyer_id,
        placed_at=event.placed_at,
        total=event.total,
        currency=event.currency,
        lines=event.lines,
        payment_method=event.payment_method,
        delivery_method=event.delivery_method,
        ship_by=ship_by,
        deliver_by=event.deliver_by or max(event.placed_at + policy.deliver_within, ship_by),
        locale=event.locale,
        agent=event.agent,
        remark=event.remark,
        personal=event.personal,
        content=content,
    )


def _hold_back(order: Order, event: OrderSubmitted, desk: OrdersDesk) -> Order:
    if not event.address_confirmed:
        order = put_on_hold(order, Hold.ADDRESS_UNCONFIRMED, "the buyer has not confirmed the address", desk)
    if order.is_cod:
        order = put_on_hold(order, Hold.COD_UNCONFIRMED, "the buyer has not agreed to pay on delivery", desk)
    above = desk.policy.audit_above.get(order.currency)
    if above is not None and order.total > above:
        why = "the total is above what is released without audit"
        order = put_on_hold(order, Hold.AWAITING_AUDIT, why, desk, rule=HoldRule.ABOVE_LIMIT)
    key = goods_key(event)
    before = desk.recent_buys.get(key)
    if before is None or order.placed_at >= before.placed_at:  # one from before may come late
        desk.recent_buys.put(RecentBuy(key, order.order_id, order.placed_at))
    earlier = desk.orders.get(before.order_id) if before is not None else None
    if earlier is not None and earlier.came_to_nothing:  # the one that it was like may stand
        earlier = desk.orders.get(earlier.like) if earlier.like is not None else None
    if (
        earlier is None
        or earlier.came_to_nothing
        or abs(order.placed_at - earlier.placed_at) > desk.policy.duplicate_window
    ):
        return order
    number = earlier.external_number
    reason = f"same buyer and goods as order {number} shortly before"
    order = replace(order, like=earlier.like or earlier.order_id)
    rule = HoldRule.BOUGHT_TWICE
    return put_on_hold(order, Hold.DUPLICATE_SUSPECTED, reason, desk, rule=rule, like_number=number)


def _placed(order: Order, event: OrderSubmitted) -> OrderPlaced:
    return OrderPlaced(
        order_id=order.order_id,
        source=order.source,
        external_number=order.external_number,
        placed_at=order.placed_at,
        buyer_id=order.buyer_id,
        lines=order.lines,
        currency=order.currency,
        total=order.total,
        delivery_fee=event.delivery_fee,
        cod_fee=event.cod_fee,
        discount=event.discount,
        payment_method=order.payment_method,
        delivery_method=order.delivery_method,
        ship_by=order.ship_by,
        deliver_by=order.deliver_by,
        locale=order.locale,
        agent=order.agent,
        remark=order.remark,
        personal=order.personal,
    )


def _later(placed_at: datetime, desk: OrdersDesk) -> datetime:
    """An order that reaches us late must not expire on arrival."""
    return max(placed_at, desk.now)
