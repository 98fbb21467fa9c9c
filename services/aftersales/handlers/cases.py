"""How every case runs: opened, authorized, settled or rejected, closed (A1, A2)."""

from services.aftersales.desk import AftersalesDesk
from services.aftersales.domain.case import CASE, Case, CaseState, Custody, Refund, needed, noted
from services.aftersales.domain.coming_back import BY_COURIER, order_ends, uncovered
from services.aftersales.domain.known_order import KnownOrder, at_stake
from shared.events.aftersales import (
    ApprovalRequested,
    CaseApproved,
    CaseClosed,
    CaseKind,
    CaseOpened,
    CaseRejected,
    MoneyQuestion,
    RefundRequested,
    RejectReason,
    ReturnAuthorized,
)
from shared.events.base import Event
from shared.replacing import replace
from shared.runtime.messages import Timer
from shared.values import Money, SkuQuantity


class ReturnDue(Timer, name="aftersales.return_due"):
    """The goods of an authorized return have not come in time (A2)."""

    case_id: str


def open_case(
    known: KnownOrder,
    kind: CaseKind,
    reason: str,
    lines: tuple[SkuQuantity, ...],
    amount: int,
    desk: AftersalesDesk,
    *,
    excess: int = 0,
    rest_of: Case | None = None,
    shipment_id: str | None = None,
    opened_by: str = "",
) -> Case:
    """Open a case for an order; it waits for approval until somebody or a rule gives it."""
    case = Case(
        case_id=f"{known.order_id}-C{len(known.cases) + 1}",
        order_id=known.order_id,
        kind=kind,
        state=CaseState.AWAITING_APPROVAL,
        opened_at=desk.now,
        opened_by=opened_by or str(desk.actor),
        reason=reason,
        lines=lines,
        amount=amount,
        currency=known.currency,
        excess=excess,
        rest_of=rest_of.case_id if rest_of else None,
        shipment_id=shipment_id,
    )
    case = noted(case, desk.now, desk.actor, f"opened: {reason}")
    whole = kind not in (CaseKind.RETURN, CaseKind.REFUND_ONLY) and lines == known.unclaimed()
    coming = (case.case_id,) if kind in BY_COURIER else ()
    desk.orders.put(
        replace(
            known,
            cases=(*known.cases, case.case_id),
            coming=known.coming + coming,
            claimed=(*known.claimed, *lines),
            whole_comes_back=known.whole_comes_back or whole,
        )
    )
    desk.cases.put(case)
    desk.publish(CaseOpened(order_id=case.order_id, case_id=case.case_id, kind=kind, reason=reason))
    return case


def stake_of(case: Case, desk: AftersalesDesk) -> int:
    """What the buyer of the case's order got back and would get by its open cases (A3)."""
    known = desk.orders[case.order_id]
    return at_stake(known, desk.cases_of(known))


def ask_for_approval(
    case: Case, desk: AftersalesDesk, question: MoneyQuestion | None = None, earlier: Case | None = None
) -> None:
    """Say that the case waits for a person, and for whom (A3)."""
    desk.publish(
        ApprovalRequested(
            order_id=case.order_id,
            case_id=case.case_id,
            kind=case.kind,
            amount=Money(amount=case.amount, currency=case.currency),
            needs=needed(stake_of(case, desk), desk.policy.agent_limit),
            reason=question or case.reason,
            earlier_case=earlier.case_id if earlier else None,
        )
    )


def authorize(case: Case, desk: AftersalesDesk, *, by_rule: bool) -> Case:
    """Grant what is asked: money alone is settled at once, goods may come back (A2)."""
    desk.publish(CaseApproved(order_id=case.order_id, case_id=case.case_id, by_rule=by_rule))
    case = noted(case, desk.now, desk.actor, "approved by rule" if by_rule else "approved")
    if case.kind is CaseKind.REFUND_ONLY:
        return settle(_move(case, CaseApproved), case.lines, desk)
    return_by = desk.now + desk.policy.return_within
    case = replace(_move(case, ReturnAuthorized), custody=Custody.AUTHORIZED, return_by=return_by)
    desk.cases.put(case)
    desk.timers.set(ReturnDue(case_id=case.case_id), return_by)
    desk.publish(
        ReturnAuthorized(
            order_id=case.order_id,
            case_id=case.case_id,
            lines=case.lines,
            return_by=return_by,
            kind=case.kind,
            rest_of=case.rest_of,
        )
    )
    return case


def settle(case: Case, pieces: tuple[SkuQuantity, ...], desk: AftersalesDesk) -> Case:
    """Ask finance for the price of these pieces, or for the sum that a case without pieces is about; never for more than was
    paid. Then close."""
    known = desk.orders[case.order_id]
    of_price = known.refundable(known.worth(pieces) if case.lines else case.amount - case.excess)
    amount = of_price + case.excess
    known = replace(
        known,
        settled=known.settled + pieces,
        refunded=known.refunded + of_price,
        excess_refunded=known.excess_refunded + case.excess,
    )
    desk.orders.put(known)
    if amount:
        money = Money(amount=amount, currency=case.currency)
        desk.publish(
            RefundRequested(
                order_id=case.order_id,
                case_id=case.case_id,
                amount=money,
                reason=case.kind.value,
                excess=case.excess,
            )
        )
        case = replace(case, refund=Refund.REQUESTED, refunded=amount)
    return close(case, desk)


def pay_more(known: KnownOrder, before: KnownOrder, desk: AftersalesDesk) -> None:
    """Keep what is known of the order now, and pay back what pieces settled before bring more than they did then (A2): their
    cash was told of after they had come, or they turn out to be all that the buyer got, so that fees go back too."""
    desk.orders.put(known)
    if owed := known.owed_after(before):
        reason = "what came back before brings more by now"
        authorize(open_case(known, CaseKind.REFUND_ONLY, reason, (), owed, desk), desk, by_rule=True)


def reject(case: Case, reason: RejectReason, detail: str, desk: AftersalesDesk) -> Case:
    """Refuse what is asked, say why, and close; the pieces can be asked for again in another case."""
    case = replace(_move(case, CaseRejected), refund=Refund.DENIED)
    if reason in (RejectReason.NOT_RETURNED, RejectReason.DELIVERED_AFTER_ALL):
        case = replace(case, custody=Custody.NOT_RETURNED)
    desk.publish(
        CaseRejected(
            order_id=case.order_id, case_id=case.case_id, reason=reason, detail=detail, cod_due=case.cod_due
        )
    )
    known = desk.orders[case.order_id]
    # a whole parcel that was given up may still come back: then that is a case again
    whole = known.whole_comes_back and case.kind in (CaseKind.RETURN, CaseKind.REFUND_ONLY)
    desk.orders.put(replace(known, whole_comes_back=whole))
    case = noted(case, desk.now, desk.actor, f"rejected: {reason}")
    desk.cases.put(case)
    let_go(case, case.lines, desk)
    return close(case, desk)


def let_go(case: Case, pieces: tuple[SkuQuantity, ...], desk: AftersalesDesk) -> None:
    """Another case may ask for these. Of what a buyer asked to send back, some may be in a parcel that never reached them: that
    is awaited now as if they had not asked (A1)."""
    known = desk.orders[case.order_id].unclaim(pieces)
    desk.orders.put(known)
    if coming := uncovered(known, desk.cases_of(known)):
        await_parcel(replace(known, whole_comes_back=False), coming, "brought back by the courier", desk)


def await_parcel(
    known: KnownOrder,
    contents: tuple[SkuQuantity, ...],
    why: str,
    desk: AftersalesDesk,
    shipment_id: str | None = None,
) -> None:
    """A courier brings these back: refused or not deliverable (A1)."""
    kind = CaseKind.REFUSED_COD if known.cod else CaseKind.RETURNED_PARCEL
    lines = known.unclaimed(contents)
    await_goods(known, lines, kind, why, desk, shipment_id)


def await_goods(
    known: KnownOrder,
    lines: tuple[SkuQuantity, ...],
    kind: CaseKind,
    reason: str,
    desk: AftersalesDesk,
    shipment_id: str | None = None,
) -> None:
    """Goods come back that nobody asked to send back."""
    if known.whole_comes_back or not lines:
        return  # an earlier case has it all
    case = open_case(known, kind, reason, lines, known.worth(lines), desk, shipment_id=shipment_id)
    authorize(case, desk, by_rule=True)


def close(case: Case, desk: AftersalesDesk) -> Case:
    """Nothing is left to do."""
    case = noted(_move(case, CaseClosed), desk.now, desk.actor, "closed")
    desk.cases.put(case)
    desk.timers.cancel(ReturnDue(case_id=case.case_id))
    known = desk.orders[case.order_id]
    known = replace(known, coming=tuple(c for c in known.coming if c != case.case_id))
    desk.orders.put(known)
    desk.publish(
        CaseClosed(
            order_id=case.order_id,
            case_id=case.case_id,
            kind=case.kind,
            refunded=Money(amount=case.refunded, currency=case.currency),
            order_ends=order_ends(case, known, desk.cases_of(known)),
        )
    )
    return case


def _move(case: Case, event: type[Event]) -> Case:
    after = CASE.next(case.state, event)
    return case if after is None else replace(case, state=after)
