"""Goods are at the dock, or are not in time: what of them is paid, and what is awaited further (A2, A6)."""

from services.aftersales.desk import AftersalesDesk
from services.aftersales.domain.case import CASE, Case, CaseState, Custody, came_in_time, noted
from services.aftersales.domain.coming_back import (
    brought_by_courier,
    came_back_as_agreed,
    either_of_two,
    in_the_box,
    parcels_of,
    sums_of_price,
    unheard_of,
)
from services.aftersales.handlers.awaiting import ask_who_has, await_goods, let_go, reject
from services.aftersales.handlers.cases import (
    CaseDue,
    ReturnDue,
    ask_for_approval,
    authorize,
    close,
    moved,
    open_case,
    pay_more,
    settle,
    watch,
)
from shared.events.aftersales import CaseKind, MoneyQuestion, RejectReason
from shared.events.warehouse import (
    Condition,
    ReturnInspected,
    ReturnReceived,
)
from shared.goods import as_pieces, by_sku
from shared.replacing import replace
from shared.values import SkuQuantity

NOT_IN_TIME = "the goods did not come back in time"


def received(event: ReturnReceived, desk: AftersalesDesk) -> None:
    """The goods are at the dock."""
    case = desk.cases[event.case_id]
    state = CASE.next(case.state, ReturnReceived)
    if state is None and not case.given_up:
        return
    in_time = case.given_up and came_in_time(case, event.received_at)
    came = replace(case, state=state or case.state, custody=Custody.RECEIVED, in_time=in_time)
    desk.cases.put(noted(came, desk.now, desk.actor, "arrived at the dock"))
    desk.timers.cancel(ReturnDue(case_id=case.case_id))
    watch(case, desk)


def inspected(event: ReturnInspected, desk: AftersalesDesk) -> None:
    """Refund what came back as agreed; nothing as agreed is a rejection (A2)."""
    case = desk.cases[event.case_id]
    known = desk.orders[case.order_id]
    good = came_back_as_agreed(case, event.lines)
    looked_at = replace(case, custody=Custody.INSPECTED)
    state = CASE.next(case.state, ReturnInspected)
    if state is not None or case.given_up:
        found = ", ".join(f"{line.quantity} of {line.sku} {line.condition}" for line in event.lines)
        looked_at = noted(looked_at, desk.now, desk.actor, f"inspected: {found}")
    if state is None:
        desk.timers.cancel(CaseDue(case_id=case.case_id))
        desk.cases.put(looked_at)
        if case.given_up:
            _came_too_late(case, good, desk)
            _came_for_the_rest(case, case.lines, event, desk)
        elif case.custody is Custody.NOT_RETURNED:
            _came_for_the_rest(case, case.brought, event, desk)
    elif brought_by_courier(case, known, desk.cases_of(known)):
        _brought(looked_at, state, good, desk)
    elif not good:
        _refuse(looked_at, RejectReason.NOT_AS_AGREED, "nothing came back as it was agreed", desk)
    elif case.kind is CaseKind.LATE_CANCEL:
        settle(apart(replace(looked_at, state=state), good, desk), good, desk)
    else:
        settled = settle(replace(looked_at, state=state), good, desk)
        _still_with_the_buyer(settled, good, event, desk)


def _brought(case: Case, settled: CaseState, good: tuple[SkuQuantity, ...], desk: AftersalesDesk) -> None:
    """What the courier brings is paid whatever of it is found; but what it may have delivered, a person decides about."""
    if not case.disputed:
        settle_brought_back(replace(case, state=settled), good, desk)
    elif good:
        settle_brought_back(apart(replace(case, state=settled), good, desk), good, desk)
    else:
        ask_who_has(noted(case, desk.now, desk.actor, "nothing of it was in the box"), desk)


def _still_with_the_buyer(
    case: Case, good: tuple[SkuQuantity, ...], event: ReturnInspected, desk: AftersalesDesk
) -> None:
    """What of a return was not in the parcel, or had something else in its place, can be asked for again (A2)."""
    itself = (Condition.AS_NEW, Condition.DAMAGED)
    came = by_sku(line for line in event.lines if line.condition in itself)
    let_go(case, as_pieces(by_sku(case.lines) - (by_sku(good) | came)), desk)


def _came_for_the_rest(
    case: Case, own: tuple[SkuQuantity, ...], event: ReturnInspected, desk: AftersalesDesk
) -> None:
    """A first box comes under the number of a late cancel that time had ended. Of its `own` pieces is decided elsewhere; what
    else is in it, the buyer sent: it is awaited under another number, of which they may not have taken notice (A1)."""
    known = desk.orders[case.order_id]
    cases = desk.cases_of(known)
    rest = next((one for one in cases if one.rest_of == case.case_id), None)
    if rest is None or brought_by_courier(rest, known, cases):
        return
    all_of_both = replace(rest, lines=rest.lines + own)
    beyond = by_sku(came_back_as_agreed(all_of_both, event.lines)) - by_sku(own)
    pieces = as_pieces(by_sku(rest.lines) & beyond)
    if pieces and rest.given_up:
        if rest.custody is Custody.RECEIVED:  # its own box is still to be opened, and told of if nobody does
            desk.cases.put(replace(rest, lines=as_pieces(by_sku(rest.lines) - by_sku(pieces))))
        else:
            desk.cases.put(replace(rest, custody=Custody.INSPECTED))
        _came_too_late(rest, pieces, desk)
    elif pieces and rest.state is CaseState.WAITING_BUYER:
        # no box came under its own number: a first one may bring what it awaits further
        rest = replace(moved(moved(rest, ReturnReceived), ReturnInspected), custody=Custody.NOT_RETURNED)
        settle(apart(rest, pieces, desk), pieces, desk)


def _came_too_late(case: Case, good: tuple[SkuQuantity, ...], desk: AftersalesDesk) -> None:
    """The shop has the goods of a case that was given up, and the money, or its courier may tell of that yet: a person decides
    about it (A2). But what the dock had in time, and told of late, is paid as it was agreed (W12)."""
    known = desk.orders[case.order_id]
    if min(known.price_of(case.lines), max(known.paid, known.total) - known.refunded) <= 0:
        return
    agreed = case.in_time and not by_sku(good) - known.still_returnable()
    reason = f"came back {'in time' if agreed else 'late'}, see {case.case_id}"
    late = open_case(known, CaseKind.REFUND_ONLY, reason, good, known.price_of(good), desk)
    late = replace(late, custody=Custody.INSPECTED)
    desk.cases.put(late)
    if good and agreed:
        authorize(late, desk, by_rule=True)
    elif good:
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
        settle_brought_back(replace(case, custody=Custody.NOT_RETURNED), (), desk)
    else:
        _refuse(case, RejectReason.NOT_RETURNED, NOT_IN_TIME, desk)


def _refuse(case: Case, reason: RejectReason, detail: str, desk: AftersalesDesk) -> None:
    """Nothing came that is paid. What the buyer is known to have is theirs; about the rest of a late cancel a person is asked:
    whoever cancels what its courier lost has nothing to send back, and an empty box tells no more than the courier did."""
    known = desk.orders[case.order_id]
    late, cases = case.kind is CaseKind.LATE_CANCEL, desk.cases_of(known)
    # one case for each question, for the answers may differ
    for asked in (unheard_of(case, known, cases), either_of_two(case, known, cases)) if late else ():
        theirs = as_pieces(by_sku(case.lines) - by_sku(asked))
        if not theirs:
            ask_who_has(replace(case, no_word=True), desk)
            return
        if asked:
            case = replace(apart(replace(case, no_word=True), theirs, desk), no_word=False)
    reject(case, reason, detail, desk)


def settle_brought_back(
    case: Case, found: tuple[SkuQuantity, ...], desk: AftersalesDesk, *, by_rule: bool = True
) -> None:
    """Pay for the whole parcel, whatever of it was found: what the courier loses or spoils is not the buyer's loss (A6)."""
    known = desk.orders[case.order_id]
    brought = case.lines
    if case.kind is CaseKind.LATE_CANCEL and known.brought and not case.no_word:
        case = _parcels_apart(case, found, desk)
        brought = case.brought
    pieces = case.lines
    if not known.cod:
        if not (by_rule and brought and _ask_about_sum(case, pieces, desk)):
            settle(case, pieces, desk)
        return
    # cash of what it brings was not collected; if it was all the same, a person looks into it
    known = desk.orders[case.order_id]
    less = known.without(brought)
    if case.no_word:
        case = replace(case, cod_due=known.total - less.total)
    pay_more(less, known, desk)
    if case.kind is CaseKind.REFUSED_COD:
        close(case, desk)
    else:
        settle(case, as_pieces(by_sku(pieces) - by_sku(brought)), desk)
    _ask_about_cash(case, less.paid_too_much - known.paid_too_much, desk)


def _parcels_apart(case: Case, found: tuple[SkuQuantity, ...], desk: AftersalesDesk) -> Case:
    """A late cancel with what is settled now: what was in the box, or all that couriers were to bring, once time is up. Each
    other parcel of theirs is awaited under a case of its own, and under another one what the buyer is to send (A1, A6)."""
    known = desk.orders[case.order_id]
    parcels = parcels_of(case, known, desk.cases_of(known))
    here = in_the_box(parcels, found) if case.custody is Custody.INSPECTED else parcels
    brought = by_sku(line for parcel in here for line in parcel.lines)
    pieces = by_sku(case.lines) & (by_sku(found) | brought)
    left = by_sku(case.lines) - pieces
    ours = {parcel.shipment_id for parcel in parcels}
    others = tuple(parcel for parcel in known.turned_round if parcel.shipment_id not in ours)
    desk.orders.put(replace(known, turned_round=others))
    kind = CaseKind.REFUSED_COD if known.cod else CaseKind.RETURNED_PARCEL
    for parcel in (one for one in parcels if one not in here):
        coming = by_sku(parcel.lines) & left
        brought += by_sku(parcel.lines) - coming  # so much of it was found all the same
        left -= coming
        lines = as_pieces(coming)
        known = replace(desk.orders[case.order_id].unclaim(lines), whole_comes_back=False)
        desk.orders.put(known)
        why, shipment = "brought back by the courier", parcel.shipment_id
        await_goods(known, lines, kind, why, desk, shipment_id=shipment, after=case)
        case = replace(case, lines=as_pieces(by_sku(case.lines) - coming))
    return replace(apart(case, as_pieces(pieces), desk), brought=as_pieces(brought))


def _ask_about_sum(case: Case, pieces: tuple[SkuQuantity, ...], desk: AftersalesDesk) -> bool:
    """Where a part of the price was given back, it may have been for what the courier was to bring: a person decides (A3)."""
    known = desk.orders[case.order_id]
    sums = sums_of_price(desk.cases_of(known))
    if not sums or not known.refundable(known.worth(pieces)):
        return False
    reason, amount = f"a sum was asked for before, see {sums[-1].case_id}", known.worth(pieces)
    kind = CaseKind.REFUND_ONLY
    asked = open_case(known.unclaim(pieces), kind, reason, pieces, amount, desk, after=case)
    close(case, desk)
    ask_for_approval(replace(asked, custody=case.custody), desk, MoneyQuestion.SUM_REFUNDED, case)
    return True


def _ask_about_cash(case: Case, amount: int, desk: AftersalesDesk) -> None:
    known = desk.orders[case.order_id]
    if rest := known.refundable(amount):
        reason = f"cash was collected for a parcel that came back, see {case.case_id}"
        late = open_case(known, CaseKind.REFUND_ONLY, reason, (), rest, desk, after=case)
        ask_for_approval(late, desk, MoneyQuestion.CASH_COLLECTED, case)


def apart(case: Case, pieces: tuple[SkuQuantity, ...], desk: AftersalesDesk) -> Case:
    """The case with these of its pieces alone. What did not come with them, mostly in another parcel, is awaited under a case
    of its own (A1)."""
    rest = as_pieces(by_sku(case.lines) - by_sku(pieces))
    if not rest:
        return case
    known = desk.orders[case.order_id]
    amount = known.worth(case.lines) - known.worth(pieces)
    known = replace(known.unclaim(rest), whole_comes_back=False)
    later = open_case(known, case.kind, case.reason, rest, amount, desk, rest_of=case)
    later = authorize(later, desk, by_rule=True)
    if case.no_word:
        ask_who_has(replace(later, no_word=True), desk, case)
    elif disputed := as_pieces(by_sku(rest) & by_sku(case.disputed)):
        cod_due = case.cod_due * known.price_of(disputed) // max(known.price_of(case.disputed), 1)
        ask_who_has(replace(later, disputed=disputed, cod_due=cod_due), desk, case)
    return replace(case, lines=pieces)
