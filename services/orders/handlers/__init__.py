"""What each event, command and timer does; CONSUMES is all that orders hears."""

from collections.abc import Iterator
from typing import Any

from services.orders.desk import OrdersDesk, by_id, by_number, payment_rows, submission
from services.orders.domain.policy import Policy
from services.orders.handlers import (
    addresses,
    cash,
    closing,
    erasing,
    facts,
    intake,
    payments,
    promises,
    release,
)
from shared.events import aftersales, inbox, notify, orders, warehouse
from shared.runtime.desk import Want
from shared.runtime.service import Handling, Service, on


def early(timer: payments.EarlyPaymentDue, desk: OrdersDesk) -> Iterator[tuple[Want, ...]]:
    """The early payment and the order that it waits for."""
    yield desk.early_payments.want(timer.payment_key), desk.orders.want(timer.order_id)


CONSUMES: tuple[Handling[Any, OrdersDesk], ...] = (
    # from outside
    on(inbox.OrderSubmitted, intake.submit, submission),
    on(inbox.PaymentCaptured, payments.capture, payment_rows),
    on(inbox.AddressAnswered, addresses.answer, by_number),
    on(inbox.CancelAsked, closing.cancel_asked, by_number),
    on(inbox.ReceiptConfirmed, closing.receipt_confirmed, by_number),
    # from people
    on(release.PlaceHold, release.place_hold, by_id),
    on(release.LiftHold, release.lift_hold, by_id),
    on(addresses.ConfirmAddress, addresses.confirm, by_id),
    on(closing.CancelOrder, closing.cancel_by_agent, by_id),
    on(closing.ConfirmReceipt, closing.receipt_by_agent, by_id),
    on(erasing.ErasePersonal, erasing.erase, by_id),
    # from the clock
    on(promises.UnpaidDue, closing.expire, by_id),
    on(closing.CompletionDue, closing.complete_by_time, by_id),
    on(promises.ShipByDue, promises.ship_by_due, by_id),
    on(promises.DeliverByDue, promises.deliver_by_due, by_id),
    on(cash.CashDue, cash.overdue, by_id),
    on(release.ConfirmationDue, addresses.overdue, by_id),
    on(payments.EarlyPaymentDue, payments.look_again, early),
    # from the warehouse
    *(on(event, facts.told(facts.moved), by_id) for event in facts.STAGE),
    on(warehouse.FulfillmentRefused, facts.told(facts.refused), by_id),
    on(warehouse.FulfillmentCanceled, facts.told(facts.canceled), by_id),
    on(warehouse.FulfillmentCancelRefused, facts.told(facts.cancel_refused), by_id),
    on(warehouse.ShipmentDelivered, facts.told(facts.delivered), by_id),
    on(warehouse.CodCollected, facts.told(facts.cod_collected), by_id),
    on(warehouse.ShipmentReturned, facts.told(facts.returned), by_id),
    on(warehouse.LabelCreated, facts.told(), by_id),
    on(warehouse.TrackingUpdated, facts.told(), by_id),
    on(warehouse.CanceledShipmentLeft, facts.told(), by_id),
    on(warehouse.ShipmentEndDisputed, facts.told(facts.end_disputed), by_id),
    on(warehouse.DeliveryFailed, facts.told(), by_id),
    on(warehouse.ReturnReceived, facts.told(), by_id),
    on(warehouse.ReturnInspected, facts.told(), by_id),
    # from after-sales
    on(aftersales.CaseOpened, facts.told(facts.case_opened), by_id),
    on(aftersales.ApprovalRequested, facts.told(facts.case_waits), by_id),
    on(aftersales.CaseApproved, facts.told(), by_id),
    on(aftersales.CaseRejected, facts.told(facts.case_rejected), by_id),
    on(aftersales.ReturnAuthorized, facts.told(), by_id),
    on(aftersales.RefundRequested, facts.told(facts.refund_requested), by_id),
    on(aftersales.CaseClosed, facts.told(facts.case_closed), by_id),
    on(aftersales.CaseOverdue, facts.told(), by_id),
    on(aftersales.PaidGoodsArrived, facts.told(), by_id),
    # from notify
    on(notify.MessageSent, facts.told(), by_id),
    on(notify.MessageFailed, facts.told(), by_id),
)


def service(policy: Policy | None = None) -> Service[OrdersDesk]:
    """The orders service under a shop's policy."""
    policy = policy or Policy()
    return Service(
        name="orders",
        desk=lambda: OrdersDesk(policy),
        consumes=CONSUMES,
        parked=orders.OrderEventParked,
        refused=orders.OrderMessageRefused,
        inboxes=("orders.inbox",),
    )
