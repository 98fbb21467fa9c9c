"""What orders and the warehouse say: what was bought and paid, what arrived, what came back (A1, A2)."""

from services.aftersales.desk import AftersalesDesk
from services.aftersales.domain.coming_back import brought_by_courier, brought_of, paid_as_lost
from services.aftersales.domain.known_order import KnownOrder, Parcel, unplaced
from services.aftersales.handlers.awaiting import await_goods, await_parcel, dispute, word_came
from services.aftersales.handlers.cases import authorize, open_case, pay_more
from shared.events.aftersales import CaseKind, PaidGoodsArrived
from shared.events.orders import (
    CancelRefused,
    OrderCanceled,
    OrderCompleted,
    OrderExpired,
    OrderPlaced,
    PaymentAnomalyFound,
    PaymentRecorded,
)
from shared.events.warehouse import (
    CodCollected,
    FulfillmentCancelRefused,
    ShipmentDelivered,
    ShipmentEndDisputed,
    ShipmentReturned,
    TrackingStatus,
)
from shared.replacing import replace
from shared.values import Money, PaymentMethod, SkuQuantity


def _known(order_id: str, desk: AftersalesDesk) -> KnownOrder:
    return desk.orders.get(order_id) or unplaced(order_id)


def placed(event: OrderPlaced, desk: AftersalesDesk) -> None:
    """Remember what was bought, and catch up with what the warehouse told before."""
    before = _known(event.order_id, desk)
    known = replace(
        before,
        source=event.source,
        external_number=event.external_number,
        lines=event.lines,
        total=event.total,
        currency=event.currency,
        cod=event.payment_method is PaymentMethod.COD,
        placed=True,
        returned_early=None,
        paid=0,
    ).with_cash(before.paid)
    if before.delivered_at is not None or before.returned_early is not None:
        known = known.paid_in_full()
    desk.orders.put(known)
    if before.returned_early is not None:
        await_parcel(known, known.brought, before.returned_early, desk)


def paid(event: PaymentRecorded, desk: AftersalesDesk) -> None:
    """Remember what was paid."""
    known = desk.orders[event.order_id]
    desk.orders.put(replace(known, paid=max(known.paid, event.paid)))


def odd_payment(event: PaymentAnomalyFound, desk: AftersalesDesk) -> None:
    """Remember what was captured beyond the price: it can be given back, and is no part of what goods bring (O3)."""
    known = desk.orders[event.order_id]
    desk.orders.put(replace(known, excess=known.excess + event.excess))


def delivered(event: ShipmentDelivered, desk: AftersalesDesk) -> None:
    """The buyer has a parcel: what the courier collected is paid, and with the last parcel the return window begins."""
    before = _known(event.order_id, desk).paid_in_full()
    if lost := paid_as_lost(event.lines, before, desk.cases_of(before)):
        refunded = Money(amount=before.refunded, currency=before.currency)
        desk.publish(
            PaidGoodsArrived(
                order_id=event.order_id,
                shipment_id=event.shipment_id,
                delivered_at=event.delivered_at,
                lines=lost,
                refunded=refunded,
            )
        )
    arrived = before.arrived + event.lines
    known = replace(before, part_arrived=True, arrived=arrived).with_cash(event.cod_collected)
    if event.last:
        known = replace(known, delivered_at=event.delivered_at)
    _cash_came(known, before, desk)
    word_came(desk.orders[event.order_id], desk)


def cash(event: CodCollected, desk: AftersalesDesk) -> None:
    """What the courier tells of beside the delivery is paid too."""
    before = _known(event.order_id, desk)
    _cash_came(before.with_cash(event.amount), before, desk)


def completed(event: OrderCompleted, desk: AftersalesDesk) -> None:
    """The buyer has the goods, also where the courier never said so: the return window begins (A2)."""
    known = desk.orders[event.order_id].paid_in_full()
    confirmed = known.confirmed or event.confirmed_by_buyer
    known = replace(known, confirmed=confirmed, delivered_at=known.delivered_at or desk.envelope.time)
    desk.orders.put(known)
    cases = desk.cases_of(known)
    for case in cases if confirmed else ():
        if brought_by_courier(case, known, cases):
            brought = brought_of(case, known, cases) or case.lines
            cash_due = known.total - known.without(brought).total if known.cod and not case.disputed else 0
            dispute(known, brought, cash_due, desk, case.shipment_id)


def owed(event: OrderCanceled | OrderExpired, desk: AftersalesDesk) -> None:
    """An order ended with the buyer's money still here: give it back, by rule (O10, O4)."""
    known = desk.orders[event.order_id]
    # orders may not have heard yet of a refund that was asked for meanwhile: that one is not owed again
    amount = known.refundable(event.refund.amount)
    if known.cod:  # orders may have heard of cash before us
        known = replace(known, owed_cash=event.refund.amount - amount)
        desk.orders.put(known)
    _give_back(known, amount, "order canceled" if isinstance(event, OrderCanceled) else "order expired", desk)


def _give_back(known: KnownOrder, amount: int, reason: str, desk: AftersalesDesk) -> None:
    if amount:
        case = open_case(known, CaseKind.REFUND_ONLY, reason, (), amount, desk)
        authorize(case, desk, by_rule=True)


def _cash_came(known: KnownOrder, before: KnownOrder, desk: AftersalesDesk) -> None:
    """More was paid: what that brings of pieces that came back before, and what was owed before we heard of it."""
    pay_more(known, before, desk)
    known = desk.orders[known.order_id]
    amount = known.refundable(known.owed_cash)
    _give_back(replace(known, owed_cash=known.owed_cash - amount), amount, "order canceled", desk)


def late_cancel(event: CancelRefused, desk: AftersalesDesk) -> None:
    """A parcel had left when the cancel came: it is to come back, and what had not left is paid back at once (O10, A1)."""
    known = replace(desk.orders[event.order_id].paid_in_full(), called_back=True, kept_back=())
    desk.orders.put(known)
    if kept := known.unclaimed(event.kept_back) if event.kept_back else ():
        _keep_back(known, kept, desk)
        known = desk.orders[event.order_id]
    await_goods(known, known.unclaimed(), CaseKind.LATE_CANCEL, "canceled after shipping", desk)


def _keep_back(known: KnownOrder, kept: tuple[SkuQuantity, ...], desk: AftersalesDesk) -> None:
    """Pay for what was canceled and had not left; of cash on delivery nothing was collected for it, so nothing is owed."""
    if known.cod:
        desk.orders.put(replace(known, claimed=known.claimed + kept).without(kept))
    else:
        reason = "canceled before it left"
        case = open_case(known, CaseKind.REFUND_ONLY, reason, kept, known.worth(kept), desk)
        authorize(case, desk, by_rule=True)


def kept_back(event: FulfillmentCancelRefused, desk: AftersalesDesk) -> None:
    """What of a canceled order had not left stays in the warehouse: what left may have been all that reaches the buyer."""
    if not event.kept_back:
        return
    known = _known(event.order_id, desk)
    if not known.called_back:  # else orders, which heard of it before us, has said what becomes of its price
        known = replace(known, kept_back=event.kept_back)
    desk.orders.put(known.all_ended(desk.envelope.time) if event.last else known)


def returned(event: ShipmentReturned, desk: AftersalesDesk) -> None:
    """The courier brings the parcel back: refused or not deliverable (A1)."""
    known = _known(event.order_id, desk).paid_in_full()
    known = replace(known, brought_back=True, brought=known.brought + event.lines)
    if event.last:
        known = known.all_ended(event.occurred_at)
    desk.orders.put(known)
    word_came(known, desk)
    why = event.detail or "brought back by the courier"
    if known.placed:
        await_parcel(known, event.lines, why, desk, shipment_id=event.shipment_id)
        known = desk.orders[event.order_id]
        if not any(case.shipment_id == event.shipment_id for case in desk.cases_of(known)):
            parcel = Parcel(event.shipment_id, event.lines)
            desk.orders.put(replace(known, turned_round=(*known.turned_round, parcel)))
        if known.confirmed:
            dispute(desk.orders[event.order_id], event.lines, event.cod_due, desk, event.shipment_id)
    else:
        desk.orders.put(replace(known, returned_early=why))


def end_disputed(event: ShipmentEndDisputed, desk: AftersalesDesk) -> None:
    """The courier delivered, it says now, what it was to bring back. The other way about the buyer is the one who asks."""
    if event.stands is TrackingStatus.RETURN_TO_SENDER:
        dispute(_known(event.order_id, desk), event.lines, event.cod_due, desk, event.shipment_id)
