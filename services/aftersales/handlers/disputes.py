"""A person says who has the goods of a parcel of which both ends were said, or none (A1, A3)."""

from services.aftersales.desk import AftersalesDesk
from services.aftersales.domain.case import Case, Custody, noted
from services.aftersales.handlers.awaiting import reject
from services.aftersales.handlers.cases import moved
from services.aftersales.handlers.coming_back import apart, settle_brought_back
from shared.events.aftersales import CaseApproved, CaseKind, RejectReason
from shared.goods import as_pieces, by_sku
from shared.replacing import replace
from shared.values import SkuQuantity


def lost_on_its_way(case: Case, desk: AftersalesDesk) -> None:
    """The buyer has not got it: pay for it as for any parcel that the courier brings back (A6)."""
    desk.publish(CaseApproved(order_id=case.order_id, case_id=case.case_id, by_rule=False))
    case = noted(moved(case, CaseApproved), desk.now, desk.actor, "approved: the buyer has not got it")
    lost = replace(case, custody=Custody.NOT_RETURNED, disputed=())
    settle_brought_back(lost, _in_dispute(case), desk, by_rule=False)
    known = desk.orders[case.order_id]
    awaited = any(one.kind is CaseKind.LATE_CANCEL and not one.over for one in desk.cases_of(known))
    if case.no_word and not awaited:
        desk.orders.put(known.all_ended(desk.now))


def delivered_after_all(case: Case, detail: str, desk: AftersalesDesk) -> None:
    """The buyer has it: nothing is owed, and they may ask to send it back. What else the case awaits is awaited further."""
    theirs = _in_dispute(case)
    case = replace(apart(replace(case, disputed=()), theirs, desk), brought=theirs, disputed=theirs)
    desk.orders.put(desk.orders[case.order_id].arrived_after_all(desk.now))
    reject(case, RejectReason.DELIVERED_AFTER_ALL, detail, desk)


def _in_dispute(case: Case) -> tuple[SkuQuantity, ...]:
    return as_pieces(by_sku(case.lines) & by_sku(case.disputed))
