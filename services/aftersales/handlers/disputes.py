"""A courier contradicts itself about a parcel that it was to bring back: a person says who has the goods (A1, A3)."""

from services.aftersales.desk import AftersalesDesk
from services.aftersales.domain.case import CASE, Case, CaseState, Custody, noted
from services.aftersales.domain.coming_back import brought_by_courier
from services.aftersales.domain.known_order import KnownOrder
from services.aftersales.handlers.cases import reject
from services.aftersales.handlers.coming_back import apart, ask_who_has_it, settle_brought_back
from shared.events.aftersales import CaseApproved, RejectReason
from shared.goods import as_pieces, by_sku
from shared.replacing import replace
from shared.values import SkuQuantity


def ask_who_has(
    known: KnownOrder,
    contents: tuple[SkuQuantity, ...],
    cod_due: int,
    desk: AftersalesDesk,
    shipment_id: str | None = None,
) -> None:
    """Settle no case by time whose goods the buyer may have. A person is asked once for each, where money depends on it."""
    cases = desk.cases_of(known)
    awaited = [
        case
        for case in cases
        if (case.state is CaseState.WAITING_BUYER or (case.disputed and not case.over))
        and case.shipment_id in (None, shipment_id)
        and brought_by_courier(case, known, cases)
        and by_sku(case.lines) & by_sku(contents)
    ]
    if not awaited:
        return
    case = max(awaited, key=lambda c: c.shipment_id or "")  # one of this very parcel before one of several
    if not (known.cod or known.refundable(known.worth(case.lines))):
        return  # all is paid back already
    told = replace(case, disputed=case.disputed + contents, cod_due=case.cod_due + cod_due)
    if case.disputed:
        desk.cases.put(told)
    else:
        ask_who_has_it(told, desk)


def lost_on_its_way(case: Case, desk: AftersalesDesk) -> None:
    """The buyer has not got it: pay for it as for any parcel that the courier brings back (A6)."""
    desk.publish(CaseApproved(order_id=case.order_id, case_id=case.case_id, by_rule=False))
    state = CASE.next(case.state, CaseApproved) or case.state
    case = noted(case, desk.now, desk.actor, "approved: the buyer has not got it")
    settle_brought_back(replace(case, state=state, custody=Custody.NOT_RETURNED, disputed=()), (), desk)


def delivered_after_all(case: Case, detail: str, desk: AftersalesDesk) -> None:
    """The buyer has it: nothing is owed, and they may ask to send it back. What else the case awaits is awaited further."""
    theirs = as_pieces(by_sku(case.lines) & by_sku(case.disputed))
    case = replace(apart(replace(case, disputed=()), theirs, desk), brought=theirs, disputed=theirs)
    desk.orders.put(desk.orders[case.order_id].arrived_after_all(desk.now))
    reject(case, RejectReason.DELIVERED_AFTER_ALL, detail, desk)
