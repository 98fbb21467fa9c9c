"""What notify hears in its tests: one of each event that it tells somebody about."""

from datetime import timedelta
from typing import Any

from shared.events import aftersales, orders, warehouse
from shared.events.base import Event
from shared.events.notify import MessageFailed
from shared.values import DeliveryMethod, Locale, Money, PaymentMethod, Role, SkuQuantity
from tests.builders import PERSONAL, lines
from tests.harness import START

ORDER = "0b8f0c1e-order"
MONEY = Money(amount=10000, currency="CNY")
LATER = START + timedelta(days=3)


def placed(order_id: str = ORDER, **parts: Any) -> orders.OrderPlaced:
    """An order came in."""
    known: dict[str, Any] = {
        "order_id": order_id, "source": "shop", "external_number": "T-1", "placed_at": START, "buyer_id": "buyer-1",
        "lines": lines(("TEA", 2, 5000)), "currency": "CNY", "total": 10000, "payment_method": PaymentMethod.PREPAID,
        "delivery_method": DeliveryMethod.COURIER, "ship_by": LATER, "deliver_by": LATER, "locale": Locale.EN,
        "agent": None, "remark": "", "personal": PERSONAL,
    }  # fmt: skip
    return orders.OrderPlaced(**(known | parts))


def packed(method: DeliveryMethod | None = DeliveryMethod.SELF_PICKUP) -> warehouse.FulfillmentPacked:
    """It is ready."""
    return warehouse.FulfillmentPacked(
        order_id=ORDER, shipments=("s-1",), packer="li", delivery_method=method, to_pay=MONEY
    )


def shipped(
    order_id: str = ORDER, delivery_method: DeliveryMethod = DeliveryMethod.COURIER
) -> warehouse.ShipmentShipped:
    """Its parcel left."""
    return warehouse.ShipmentShipped(
        order_id=order_id,
        shipment_id="s-1",
        courier="sf",
        courier_name="顺丰速运 SF Express",
        tracking_number="SF1",
        delivery_method=delivery_method,
        shipped_at=START,
        expected_at=LATER,
        last=True,
    )


def authorized(
    kind: aftersales.CaseKind | None = aftersales.CaseKind.RETURN, rest_of: str | None = None
) -> aftersales.ReturnAuthorized:
    """Its goods may come back."""
    back = (SkuQuantity(sku="TEA", quantity=2),)
    return aftersales.ReturnAuthorized(
        order_id=ORDER, case_id="c-1", lines=back, return_by=LATER, kind=kind, rest_of=rest_of
    )


def canceled(order_id: str = ORDER) -> orders.OrderCanceled:
    """It was canceled."""
    return orders.OrderCanceled(order_id=order_id, reason="changed my mind", refund=MONEY)


def anomaly(order_id: str = ORDER) -> orders.PaymentAnomalyFound:
    """Its payment does not match."""
    return orders.PaymentAnomalyFound(
        order_id=order_id,
        payment_id="p-1",
        anomaly=orders.PaymentAnomaly.OVERPAID,
        amount=Money(amount=12000, currency="CNY"),
        expected=MONEY,
    )


def parked(kind: Any = orders.OrderEventParked, service: str = "orders") -> Any:
    """A service set a message aside."""
    return kind(
        service=service, parked_id="x", parked_type="t", parked_stream="order/1", reason="KeyError in tell"
    )


def escalated() -> orders.OrderEscalated:
    """A deadline was missed."""
    return orders.OrderEscalated(
        order_id=ORDER, overdue=orders.Overdue.SHIP_BY, due=START, held_by="warehouse: picking"
    )


def for_buyers() -> dict[str, Event]:
    """Every event that buyers are told of, by its template (N1)."""
    return {
        "address_confirmation": orders.AddressConfirmationRequested(
            order_id=ORDER,
            answer_by=LATER,
            cod=True,
            delivery_method=DeliveryMethod.TO_DOOR,
            to_pay=MONEY,
            personal=PERSONAL,
        ),
        "ready_for_pickup": packed(),
        "shipped": shipped(),
        "delivered": warehouse.ShipmentDelivered(
            order_id=ORDER, shipment_id="s-1", delivered_at=START, cod_collected=0, last=True
        ),
        "canceled": canceled(),
        "expired": orders.OrderExpired(order_id=ORDER, refund=MONEY),
        "return_authorized": authorized(),
        "returned_parcel": authorized(aftersales.CaseKind.RETURNED_PARCEL),
        "rest_awaited": authorized(aftersales.CaseKind.LATE_CANCEL, rest_of="c-0"),
        "return_received": warehouse.ReturnReceived(order_id=ORDER, case_id="c-1"),
        "refund_requested": aftersales.RefundRequested(
            order_id=ORDER, case_id="c-1", amount=MONEY, reason="return"
        ),
        "case_rejected": aftersales.CaseRejected(
            order_id=ORDER,
            case_id="c-1",
            reason=aftersales.RejectReason.NOT_AS_AGREED,
            detail="not as agreed",
        ),
        "delivered_after_all": aftersales.CaseRejected(
            order_id=ORDER,
            case_id="c-1",
            reason=aftersales.RejectReason.DELIVERED_AFTER_ALL,
            detail="the buyer has it",
        ),
    }


def left_although_canceled() -> warehouse.CanceledShipmentLeft:
    """Its parcel is gone although it was canceled."""
    return warehouse.CanceledShipmentLeft(
        order_id=ORDER,
        shipment_id="s-1",
        courier="sf",
        courier_name="顺丰速运 SF Express",
        tracking_number="SF1",
        lines=(SkuQuantity(sku="TEA", quantity=2), SkuQuantity(sku="CUP", quantity=1)),
        left_at=LATER,
        canceled_at=START,
    )


def end_disputed(first: str = "return_to_sender", then: str = "delivered") -> warehouse.ShipmentEndDisputed:
    """Its courier contradicts itself."""
    return warehouse.ShipmentEndDisputed(
        order_id=ORDER,
        shipment_id="s-1",
        courier="sf",
        courier_name="顺丰速运 SF Express",
        tracking_number="SF1",
        stands=warehouse.TrackingStatus(first),
        reported=warehouse.TrackingStatus(then),
        reported_at=LATER,
        lines=(SkuQuantity(sku="TEA", quantity=2), SkuQuantity(sku="CUP", quantity=1)),
        cod_due=0,
    )


def approval_requested(**parts: Any) -> aftersales.ApprovalRequested:
    """A case of it waits for a person."""
    known: dict[str, Any] = {
        "order_id": ORDER, "case_id": "c-2", "kind": aftersales.CaseKind.REFUND_ONLY, "amount": MONEY,
        "needs": Role.BACK_OFFICE, "reason": aftersales.MoneyQuestion.CAME_BACK_LATE, "earlier_case": "c-1",
    }  # fmt: skip
    return aftersales.ApprovalRequested(**(known | parts))


def case_overdue() -> aftersales.CaseOverdue:
    """Nobody went on with a case of it."""
    return aftersales.CaseOverdue(
        order_id=ORDER,
        case_id="c-2",
        kind=aftersales.CaseKind.RETURN,
        waits_for=aftersales.WaitsFor.INSPECTION,
        since=START,
    )


def paid_goods_arrived() -> aftersales.PaidGoodsArrived:
    """Its parcel came after it had been paid back as lost."""
    lines = (SkuQuantity(sku="TEA", quantity=2), SkuQuantity(sku="CUP", quantity=1))
    return aftersales.PaidGoodsArrived(
        order_id=ORDER, shipment_id="SF1", delivered_at=LATER, lines=lines, refunded=MONEY
    )


def letter_failed(**parts: Any) -> MessageFailed:
    """A letter that must reach its buyer did not."""
    known: dict[str, Any] = {
        "order_id": ORDER, "message_id": "m-1", "template": "return_authorized", "channel": "email",
        "audience": "buyer", "reason": "no e-mail address is known",
    }  # fmt: skip
    return MessageFailed(**(known | parts))


def held(hold: orders.Hold = orders.Hold.DUPLICATE_SUSPECTED) -> orders.HoldPlaced:
    """It may not go on."""
    return orders.HoldPlaced(
        order_id=ORDER, hold=hold, reason="same buyer and goods as order T-0 shortly before"
    )


def for_staff() -> dict[str, Event]:
    """Every event that staff are told of, by its template (N2)."""
    return {
        "held": held(),
        "escalated": escalated(),
        "payment_anomaly": anomaly(),
        "payment_unclaimed": orders.PaymentUnclaimed(
            order_id=ORDER, payment_id="p-1", amount=MONEY, captured_at=START, told_by="bank"
        ),
        "canceled_left": left_although_canceled(),
        "end_disputed": end_disputed(),
        "approval_requested": approval_requested(),
        "case_overdue": case_overdue(),
        "paid_goods_arrived": paid_goods_arrived(),
        "event_parked": parked(),
        "letter_failed": letter_failed(),
    }
