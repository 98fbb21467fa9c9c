"""What orders and the warehouse say: what was bought and paid, what arrived, what came back (A1, A2)."""

from datetime import datetime

from services.aftersales.desk import AftersalesDesk
from services.aftersales.domain.case import (
    CASE,
    Case,
    CaseState,
    Custody,
    KnownOrder,
    brought_by_courier,
    brought_of,
    came_back_as_agreed,
    unplaced,
)
from services.aftersales.handlers.cases import (
    ReturnDue,
    ask_for_approval,
    authorize,
    close,
    open_case,
    reject,
    settle,
)
from shared.events.aftersales import CaseKind, MoneyQuestion, RejectReason
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
    Condition,
    FulfillmentCancelRefused,
    ReturnInspected,
    ReturnReceived,
    ShipmentDelivered,
    ShipmentReturned,
)
from shared.goods import as_pieces, by_sku
from shared.replacing import replace
from shared.values import PaymentMethod, SkuQuantity


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
    )
    if before.delivered_at is not None or before.returned_early is not None:
        known = known.paid_in_full()
    desk.orders.put(known)
    if before.returned_early is not None:
        _brought_back(known, known.brought, before.returned_early, desk)


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
    known = replace(before, paid=before.paid + event.cod_collected, part_arrived=True)
    if event.last:
        known = replace(known, delivered_at=event.delivered_at)
    _more_is_paid(known, before, desk)


def cash(event: CodCollected, desk: AftersalesDesk) -> None:
    """What the courier tells of beside the delivery is paid too."""
    before = _known(event.order_id, desk)
    _more_is_paid(replace(before, paid=before.paid + event.amount), before, desk)


def _more_is_paid(known: KnownOrder, before: KnownOrder, desk: AftersalesDesk) -> None:
    """Goods may have come back before the courier told of their cash: what they could not bring then is paid now (A2)."""
    desk.orders.put(known)
    _pay_the_rest(known, before, desk)


def _pay_the_rest(known: KnownOrder, before: KnownOrder, desk: AftersalesDesk) -> None:
    if owed := known.owed_after(before):
        reason = "what came back before brings more by now"
        authorize(open_case(known, CaseKind.REFUND_ONLY, reason, (), owed, desk), desk, by_rule=True)


def completed(event: OrderCompleted, desk: AftersalesDesk) -> None:
    """The buyer has the goods, also where the courier never said so: the return window begins (A2)."""
    known = desk.orders[event.order_id].paid_in_full()
    if known.delivered_at is None:
        desk.orders.put(replace(known, delivered_at=desk.envelope.time))


def owed(event: OrderCanceled | OrderExpired, desk: AftersalesDesk) -> None:
    """An order ended with the buyer's money still here: give it back, by rule (O10, O4)."""
    known = desk.orders[event.order_id]
    # orders may not have heard yet of a refund that was asked for meanwhile: that one is not owed again
    amount = known.refundable(event.refund.amount)
    if amount == 0:
        return
    reason = "order canceled" if isinstance(event, OrderCanceled) else "order expired"
    case = open_case(known, CaseKind.REFUND_ONLY, reason, (), amount, desk)
    authorize(case, desk, by_rule=True)


def late_cancel(event: CancelRefused, desk: AftersalesDesk) -> None:
    """A parcel had left when the cancel came: it is to come back, and what had not left is paid back at once (O10, A1)."""
    known = desk.orders[event.order_id].paid_in_full()
    if kept := known.unclaimed(event.kept_back) if event.kept_back else ():
        _keep_back(known, kept, desk)
        known = desk.orders[event.order_id]
    _comes_back(known, known.unclaimed(), CaseKind.LATE_CANCEL, "canceled after shipping", desk)


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
    if event.kept_back and event.last:
        desk.orders.put(_all_ended(_known(event.order_id, desk), desk.envelope.time))


def _all_ended(known: KnownOrder, at: datetime) -> KnownOrder:
    """The buyer has all that they will get."""
    arrived = known.part_arrived
    return replace(
        known, nothing_arrives=not arrived, delivered_at=known.delivered_at or (at if arrived else None)
    )


def returned(event: ShipmentReturned, desk: AftersalesDesk) -> None:
    """The courier brings the parcel back: refused or not deliverable (A1)."""
    known = _known(event.order_id, desk).paid_in_full()
    known = replace(known, brought_back=True, brought=known.brought + event.lines)
    if event.last:
        known = _all_ended(known, event.occurred_at)
    desk.orders.put(known)
    why = event.detail or "brought back by the courier"
    if known.placed:
        _brought_back(known, event.lines, why, desk)
    else:
        desk.orders.put(replace(known, returned_early=why))


def _brought_back(
    known: KnownOrder, contents: tuple[SkuQuantity, ...], why: str, desk: AftersalesDesk
) -> None:
    kind = CaseKind.REFUSED_COD if known.cod else CaseKind.RETURNED_PARCEL
    _comes_back(known, known.unclaimed(contents), kind, why, desk)


def _comes_back(
    known: KnownOrder, lines: tuple[SkuQuantity, ...], kind: CaseKind, reason: str, desk: AftersalesDesk
) -> None:
    if known.whole_comes_back or not lines:
        return  # an earlier case has it all
    case = open_case(known, kind, reason, lines, known.worth(lines), desk)
    authorize(case, desk, by_rule=True)


def received(event: ReturnReceived, desk: AftersalesDesk) -> None:
    """The goods are at the dock."""
    case = desk.cases[event.case_id]
    state = CASE.next(case.state, ReturnReceived)
    if state is not None:
        desk.cases.put(replace(case, state=state, custody=Custody.RECEIVED))
        desk.timers.cancel(ReturnDue(case_id=case.case_id))
    elif case.given_up:
        desk.cases.put(replace(case, custody=Custody.RECEIVED))


def inspected(event: ReturnInspected, desk: AftersalesDesk) -> None:
    """Refund what came back as agreed; nothing as agreed is a rejection (A2)."""
    case = desk.cases[event.case_id]
    known = desk.orders[case.order_id]
    good = came_back_as_agreed(case, event.lines)
    looked_at = replace(case, custody=Custody.INSPECTED)
    state = CASE.next(case.state, ReturnInspected)
    if state is None:
        if case.given_up:
            desk.cases.put(looked_at)
            _came_too_late(case, good, desk)
    elif brought_by_courier(case, known, desk.cases_of(known)):
        _settle_brought_back(replace(looked_at, state=state), good, desk)
    elif good:
        settled = settle(_apart(replace(looked_at, state=state), good, desk), good, desk)
        _still_with_the_buyer(settled, event, desk)
    else:
        reject(looked_at, RejectReason.NOT_AS_AGREED, "nothing came back as it was agreed", desk)


def _still_with_the_buyer(case: Case, event: ReturnInspected, desk: AftersalesDesk) -> None:
    """What of a return was not in the parcel can be asked for again (A2)."""
    missing = by_sku(line for line in event.lines if line.condition is Condition.MISSING)
    known = desk.orders[case.order_id]
    desk.orders.put(known.unclaim(as_pieces(by_sku(case.lines) & missing)))


def _came_too_late(case: Case, good: tuple[SkuQuantity, ...], desk: AftersalesDesk) -> None:
    """The shop has the goods and the money of a case that was given up: a person decides about it (A2)."""
    known = desk.orders[case.order_id]
    if known.refundable(known.worth(case.lines)) == 0:
        return
    reason = f"came back late, see {case.case_id}"
    late = open_case(known, CaseKind.REFUND_ONLY, reason, good, known.worth(good), desk)
    if good:
        ask_for_approval(late, desk, MoneyQuestion.CAME_BACK_LATE, case)
    else:
        reject(late, RejectReason.NOT_AS_AGREED, "nothing came back as it was agreed", desk)


def not_returned(timer: ReturnDue, desk: AftersalesDesk) -> None:
    """The goods have not come in time (A2)."""
    case = desk.cases.get(timer.case_id)
    if case is None or case.state is not CaseState.WAITING_BUYER:
        return
    known = desk.orders[case.order_id]
    if brought_by_courier(case, known, desk.cases_of(known)):
        _settle_brought_back(replace(case, custody=Custody.NOT_RETURNED), (), desk)
    else:
        reject(case, RejectReason.NOT_RETURNED, "the goods did not come back in time", desk)


def _settle_brought_back(case: Case, found: tuple[SkuQuantity, ...], desk: AftersalesDesk) -> None:
    """Pay for the whole parcel, whatever of it was found: what the courier loses or spoils is not the buyer's loss (A6)."""
    known = desk.orders[case.order_id]
    brought, pieces = case.lines, case.lines
    if case.kind is CaseKind.LATE_CANCEL and known.brought:
        brought = brought_of(case, known, desk.cases_of(known))
        pieces = as_pieces(by_sku(case.lines) & (by_sku(found) | by_sku(brought)))
        case = replace(_apart(case, pieces, desk), brought=brought)
    if not known.cod:
        settle(case, pieces, desk)
        return
    # cash of what it brings was not collected; if it was all the same, a person looks into it
    known = desk.orders[case.order_id]
    less = known.without(brought)
    desk.orders.put(less)
    _pay_the_rest(
        less, known, desk
    )  # what the buyer had sent back may be all that they got: then fees go back too
    if case.kind is CaseKind.REFUSED_COD:
        close(case, desk)
    else:
        settle(case, as_pieces(by_sku(pieces) - by_sku(brought)), desk)
    _ask_about_cash(case, less.paid_too_much - known.paid_too_much, desk)


def _ask_about_cash(case: Case, amount: int, desk: AftersalesDesk) -> None:
    known = desk.orders[case.order_id]
    if rest := known.refundable(amount):
        reason = f"cash was collected for a parcel that came back, see {case.case_id}"
        late = open_case(known, CaseKind.REFUND_ONLY, reason, (), rest, desk)
        ask_for_approval(late, desk, MoneyQuestion.CASH_COLLECTED, case)


def _apart(case: Case, pieces: tuple[SkuQuantity, ...], desk: AftersalesDesk) -> Case:
    """The case with these of its pieces alone. What of a canceled order did not come with them left in another parcel: it is
    awaited under a case of its own (A1)."""
    rest = as_pieces(by_sku(case.lines) - by_sku(pieces))
    if case.kind is not CaseKind.LATE_CANCEL or not rest:
        return case
    known = desk.orders[case.order_id]
    amount = known.worth(case.lines) - known.worth(pieces)
    known = replace(known.unclaim(rest), whole_comes_back=False)
    later = open_case(known, case.kind, case.reason, rest, amount, desk, rest_of=case)
    authorize(later, desk, by_rule=True)
    return replace(case, lines=pieces)
