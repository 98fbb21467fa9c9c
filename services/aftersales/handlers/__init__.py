"""What each event, command and timer does; CONSUMES is all that after-sales hears."""

from services.aftersales.desk import AftersalesDesk, by_case, by_number, order
from services.aftersales.domain.policy import Policy
from services.aftersales.handlers import asked, cases, coming_back, facts
from shared.events import aftersales, inbox, orders, warehouse
from shared.runtime.service import Service, on

CONSUMES = (
    # from outside and from people
    on(inbox.ReturnAsked, asked.asked, by_number),
    on(asked.OpenReturn, asked.opened, order),
    on(asked.OpenRefund, asked.refund_only, order),
    on(asked.ApproveCase, asked.approve, by_case),
    on(asked.RejectCase, asked.turn_down, by_case),
    # from orders
    on(orders.OrderPlaced, facts.placed, order),
    on(orders.PaymentRecorded, facts.paid, order),
    on(orders.PaymentAnomalyFound, facts.odd_payment, order),
    on(orders.OrderCanceled, facts.owed, order),
    on(orders.OrderExpired, facts.owed, order),
    on(orders.OrderCompleted, facts.completed, order),
    on(orders.CancelRefused, facts.late_cancel, order),
    # from the warehouse
    on(warehouse.FulfillmentCancelRefused, facts.kept_back, order),
    on(warehouse.ShipmentDelivered, facts.delivered, order),
    on(warehouse.CodCollected, facts.cash, order),
    on(warehouse.ShipmentReturned, facts.returned, order),
    on(warehouse.ShipmentEndDisputed, facts.end_disputed, order),
    on(warehouse.ReturnReceived, coming_back.received, by_case),
    on(warehouse.ReturnInspected, coming_back.inspected, by_case),
    # from the clock
    on(cases.ReturnDue, coming_back.not_returned, by_case),
    on(cases.CaseDue, cases.overdue, by_case),
)


def service(policy: Policy | None = None) -> Service[AftersalesDesk]:
    """After-sales under a shop's policy."""
    policy = policy or Policy()
    return Service(
        name="aftersales",
        desk=lambda: AftersalesDesk(policy),
        consumes=CONSUMES,
        parked=aftersales.AftersalesEventParked,
        refused=aftersales.AftersalesMessageRefused,
        inboxes=("aftersales.inbox",),
    )
