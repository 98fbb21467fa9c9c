"""How every case runs: opened, authorized, settled or rejected, closed (A1, A2)."""

from services.aftersales.desk import AftersalesDesk
from services.aftersales.domain.case import CASE, Case, CaseState, Custody, Refund, needed, noted
from services.aftersales.domain.coming_back import BY_COURIER, order_ends
from services.aftersales.domain.known_order import KnownOrder, at_stake, payable, would_pay
from shared.events.aftersales import (
    ApprovalRequested,
    CaseApproved,
    CaseClosed,
    CaseKind,
    CaseOpened,
    CaseOverdue,
    MoneyQuestion,
    RefundRequested,
    ReturnAuthorized,
    WaitsFor,
)
from shared.events.base import Event
from shared.money import spelled
from shared.replacing import replace
from shared.runtime.messages import Timer
from shared.values import Money, SkuQuantity


class ReturnDue(Timer, name="aftersales.return_due"):
    """The goods of an authorized return have not come in time (A2)."""

    case_id: str


class CaseDue(Timer, name="aftersales.case_due"):
    """Somebody of the shop should have gone on with the case by now (A7)."""

    case_id: str


WAITS_FOR = {
    CaseState.AWAITING_APPROVAL: WaitsFor.APPROVAL,
    CaseState.WAITING_WAREHOUSE: WaitsFor.INSPECTION,
}


def open_case(
    known: KnownOrder,
    kind: CaseKind,
    reason: str,
    lines: tuple[SkuQuantity, ...],
    amount: int,
    desk: AftersalesDesk,
    *,
    excess: int = 0,
    requested: bool = False,
    rest_of: Case | None = None,
    after: Case | None = None,
    shipment_id: str | None = None,
) -> Case:
    """Open a case for an order; it waits for approval until somebody or a rule gives it. One that follows from another was
    opened by whoever opened that, and not by whose decision led to it."""
    before = rest_of or after
    case = Case(
        case_id=f"{known.order_id}-C{len(known.cases) + 1}",
        order_id=known.order_id,
        kind=kind,
        state=CaseState.AWAITING_APPROVAL,
        opened_at=desk.now,
        opened_by=before.opened_by if before else str(desk.actor),
        reason=reason,
        lines=lines,
        amount=amount,
        currency=known.currency,
        excess=excess,
        requested=requested,
        rest_of=rest_of.case_id if rest_of else None,
        shipment_id=rest_of.shipment_id if rest_of else shipment_id,
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


def agent_limit(case: Case, desk: AftersalesDesk) -> int:
    """What an agent may let an order have, in its currency; nothing where the shop named no limit (A3)."""
    return desk.policy.agent_limit.get(case.currency, 0)


def ask_for_approval(
    case: Case, desk: AftersalesDesk, question: MoneyQuestion | None = None, earlier: Case | None = None
) -> None:
    """Say that the case waits for a person, and for whom (A3)."""
    desk.cases.put(replace(case, question=question))
    watch(case, desk)
    desk.publish(
        ApprovalRequested(
            order_id=case.order_id,
            case_id=case.case_id,
            kind=case.kind,
            amount=Money(amount=would_pay(case, desk.orders[case.order_id]), currency=case.currency),
            needs=needed(stake_of(case, desk), agent_limit(case, desk)),
            reason=question or case.reason,
            earlier_case=earlier.case_id if earlier else None,
        )
    )


def watch(case: Case, desk: AftersalesDesk) -> None:
    """From now on the case waits for somebody of the shop."""
    desk.timers.set(CaseDue(case_id=case.case_id), desk.now + desk.policy.case_overdue_after)


def overdue(timer: CaseDue, desk: AftersalesDesk) -> None:
    """Nobody went on with it in time: staff are told, whose turn it is (A7)."""
    case = desk.cases.get(timer.case_id)
    if case is None:
        return
    # a box may come when its case is over, and waits at the dock like any other
    waits_for = WaitsFor.INSPECTION if case.custody is Custody.RECEIVED else WAITS_FOR.get(case.state)
    if waits_for is None:
        return
    desk.publish(
        CaseOverdue(
            order_id=case.order_id,
            case_id=case.case_id,
            kind=case.kind,
            waits_for=waits_for,
            since=desk.envelope.time - desk.policy.case_overdue_after,
        )
    )


def authorize(case: Case, desk: AftersalesDesk, *, by_rule: bool) -> Case:
    """Grant what is asked: money alone is settled at once, goods may come back (A2)."""
    desk.publish(CaseApproved(order_id=case.order_id, case_id=case.case_id, by_rule=by_rule))
    case = noted(case, desk.now, desk.actor, "approved by rule" if by_rule else "approved")
    if case.kind is CaseKind.REFUND_ONLY:
        return settle(moved(case, CaseApproved), case.lines, desk)
    return_by = desk.now + desk.policy.return_within
    case = replace(moved(case, ReturnAuthorized), custody=Custody.AUTHORIZED, return_by=return_by)
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
    amount = payable(case, pieces, known)
    of_price = amount - case.excess
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
        case = noted(case, desk.now, desk.actor, f"{spelled(amount, case.currency)} to be paid back")
    return close(case, desk)


def pay_more(known: KnownOrder, before: KnownOrder, desk: AftersalesDesk) -> None:
    """Keep what is known of the order now, and pay back what pieces settled before bring more than they did then (A2): their
    cash was told of after they had come, or they turn out to be all that the buyer got, so that fees go back too."""
    desk.orders.put(known)
    if owed := known.owed_after(before):
        reason = "what came back before brings more by now"
        authorize(open_case(known, CaseKind.REFUND_ONLY, reason, (), owed, desk), desk, by_rule=True)


def close(case: Case, desk: AftersalesDesk) -> Case:
    """Nothing is left to do."""
    case = noted(moved(case, CaseClosed), desk.now, desk.actor, "closed")
    desk.cases.put(case)
    desk.timers.cancel(ReturnDue(case_id=case.case_id))
    desk.timers.cancel(CaseDue(case_id=case.case_id))
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
            cod_lost=case.cod_due if case.no_word and case.refund is not Refund.DENIED else 0,
        )
    )
    return case


def moved(case: Case, event: type[Event]) -> Case:
    """The case in the state that an event leads to."""
    after = CASE.next(case.state, event)
    return case if after is None else replace(case, state=after)
