"""What is awaited without anybody asking: parcels that couriers bring back, and what a refused case lets go of (A1, A6)."""

from services.aftersales.desk import AftersalesDesk
from services.aftersales.domain.case import Case, CaseState, Custody, Refund, noted
from services.aftersales.domain.coming_back import (
    brought_by_courier,
    either_of_two,
    still_to_bring,
    unheard_of,
)
from services.aftersales.domain.known_order import KnownOrder
from services.aftersales.handlers.cases import (
    ReturnDue,
    ask_for_approval,
    authorize,
    close,
    moved,
    open_case,
)
from shared.events.aftersales import (
    ApprovalRequested,
    CaseKind,
    CaseRejected,
    MoneyQuestion,
    RejectReason,
)
from shared.goods import as_pieces, by_sku
from shared.replacing import replace
from shared.values import SkuQuantity


def await_parcel(
    known: KnownOrder,
    contents: tuple[SkuQuantity, ...],
    why: str,
    desk: AftersalesDesk,
    *,
    shipment_id: str | None = None,
    after: Case | None = None,
) -> None:
    """A courier brings these back: refused or not deliverable (A1). It may have said before that it delivered them."""
    kind = CaseKind.REFUSED_COD if known.cod else CaseKind.RETURNED_PARCEL
    lines = known.unclaimed(contents)
    if contents:  # of what was paid as missing nothing more is owed
        lines = as_pieces(by_sku(lines) & still_to_bring(known, desk.cases_of(known)))
    await_goods(known, lines, kind, why, desk, shipment_id=shipment_id, after=after)
    known = desk.orders[known.order_id]
    if known.disputed:
        told = replace(known, disputed=(), cod_disputed=0)
        desk.orders.put(told)
        dispute(told, known.disputed, known.cod_disputed, desk)


def await_goods(
    known: KnownOrder,
    lines: tuple[SkuQuantity, ...],
    kind: CaseKind,
    reason: str,
    desk: AftersalesDesk,
    *,
    shipment_id: str | None = None,
    after: Case | None = None,
) -> None:
    """Goods come back that nobody asked to send back."""
    if known.whole_comes_back or not lines:
        return  # an earlier case has it all
    amount = known.worth(lines)
    case = open_case(known, kind, reason, lines, amount, desk, shipment_id=shipment_id, after=after)
    authorize(case, desk, by_rule=True)


def dispute(
    known: KnownOrder,
    contents: tuple[SkuQuantity, ...],
    cod_due: int,
    desk: AftersalesDesk,
    shipment_id: str | None = None,
) -> None:
    """What a courier is to bring back it says that it delivered, or the buyer had confirmed that they have it: the case that
    awaits it is settled by no time any more, and where none does yet, the next one will not be."""
    cases = desk.cases_of(known)
    awaited = [
        case
        for case in cases
        if (case.state in (CaseState.WAITING_BUYER, CaseState.WAITING_WAREHOUSE) or case.disputed)
        and not case.over
        and case.shipment_id in (None, shipment_id)
        and brought_by_courier(case, known, cases)
        and by_sku(case.lines) & by_sku(contents)
    ]
    if not awaited:
        if not known.placed or by_sku(contents) & still_to_bring(known, cases):
            disputed, cod_disputed = known.disputed + contents, known.cod_disputed + cod_due
            desk.orders.put(replace(known, disputed=disputed, cod_disputed=cod_disputed))
        return
    case = max(awaited, key=lambda c: c.shipment_id or "")  # one of this very parcel before one of several
    if not (known.cod or known.refundable(known.paid)):
        return  # all is paid back already; goods that cost nothing may still bring the fee, as the last to come back
    told = replace(case, disputed=case.disputed + contents, cod_due=case.cod_due + cod_due)
    told = noted(told, desk.now, desk.actor, "the buyer is said to have it")
    box_is_open = case.state is CaseState.WAITING_WAREHOUSE  # what is in it decides
    if case.disputed or box_is_open:
        desk.cases.put(told)
    else:
        ask_who_has(told, desk)


def ask_who_has(case: Case, desk: AftersalesDesk, earlier: Case | None = None) -> None:
    """Have a person say whether the shop pays for goods of which both ends were said, or none (A3). Should they come before
    that, they are looked at like any others."""
    confirmed = desk.orders[case.order_id].confirmed
    disputed = MoneyQuestion.RECEIPT_DISPUTED if confirmed else MoneyQuestion.END_DISPUTED
    desk.timers.cancel(ReturnDue(case_id=case.case_id))
    case = noted(case, desk.now, desk.actor, "a person is asked who has the goods")
    case = moved(case, ApprovalRequested)
    ask_for_approval(case, desk, MoneyQuestion.NO_WORD if case.no_word else disputed, earlier)


def word_came(known: KnownOrder, desk: AftersalesDesk) -> None:
    """A courier tells after all where goods went about which a person was asked for want of a word: they are awaited again."""
    cases = desk.cases_of(known)
    for case in cases:
        asked = case.no_word and case.state is CaseState.AWAITING_APPROVAL
        # one case is about one of the two questions, so news of another article leaves it as it is
        unknown = by_sku(unheard_of(case, known, cases)) | by_sku(either_of_two(case, known, cases))
        heard = unknown != by_sku(case.lines)
        if asked and (heard or brought_by_courier(case, known, cases)):
            authorize(replace(case, no_word=False), desk, by_rule=True)


def reject(case: Case, reason: RejectReason, detail: str, desk: AftersalesDesk) -> Case:
    """Refuse what is asked, say why, and close; the pieces can be asked for again in another case, but those that were paid."""
    awaited = case.state is CaseState.WAITING_BUYER
    # of a request that was taken back before anybody granted it, the buyer never heard
    told = awaited or reason is not RejectReason.WITHDRAWN
    case = replace(moved(case, CaseRejected), refund=Refund.DENIED, given_up_at=desk.now)
    if awaited or reason is RejectReason.DELIVERED_AFTER_ALL or case.no_word:
        case = replace(case, custody=Custody.NOT_RETURNED)
    desk.publish(
        CaseRejected(
            order_id=case.order_id,
            case_id=case.case_id,
            reason=reason,
            detail=detail,
            cod_due=case.cod_due,
            arrived=case.no_word,
            asked_by_buyer=told and not (case.is_a_sum or case.about_what_was_paid),
            kind=case.kind,
        )
    )
    case = noted(case, desk.now, desk.actor, f"rejected, {reason}: {detail}")
    desk.cases.put(case)
    known = desk.orders[case.order_id]
    # a whole parcel that was given up may still come back: then that is a case again
    others_have = case.kind in (CaseKind.RETURN, CaseKind.REFUND_ONLY) or any(
        one.rest_of == case.case_id for one in desk.cases_of(known)
    )
    desk.orders.put(replace(known, whole_comes_back=known.whole_comes_back and others_have))
    if not case.about_what_was_paid:
        let_go(case, case.lines, desk)
    return close(case, desk)


def let_go(case: Case, pieces: tuple[SkuQuantity, ...], desk: AftersalesDesk) -> None:
    """Another case may ask for these. Of what a buyer asked to send back, some may be in a parcel that never reached them: that
    is awaited now as if they had not asked (A1)."""
    known = desk.orders[case.order_id].unclaim(pieces)
    desk.orders.put(known)
    if coming := still_to_bring(known, desk.cases_of(known)):
        known, why = replace(known, whole_comes_back=False), "brought back by the courier"
        await_parcel(known, as_pieces(coming), why, desk, after=case)
