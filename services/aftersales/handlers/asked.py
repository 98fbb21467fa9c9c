"""What buyers and agents ask for, and who may grant it (A1, A2, A3)."""

from pydantic import Field

from services.aftersales.desk import AftersalesDesk
from services.aftersales.domain.case import Case, CaseState, may_approve, noted
from services.aftersales.domain.coming_back import with_the_buyer
from services.aftersales.domain.known_order import KnownOrder, payable, within_window
from services.aftersales.handlers.awaiting import reject
from services.aftersales.handlers.cases import (
    agent_limit,
    ask_for_approval,
    authorize,
    open_case,
    stake_of,
)
from services.aftersales.handlers.disputes import delivered_after_all, lost_on_its_way
from shared.events.aftersales import CaseKind, RejectReason, ReturnReason
from shared.events.identity import order_id as id_of
from shared.events.inbox import ReturnAsked
from shared.goods import as_pieces, by_sku
from shared.money import spelled
from shared.runtime.messages import Command, Refused
from shared.values import Minor, Reason, SkuQuantity, Text


class OpenReturn(Command):
    """An agent opens a return for a buyer."""

    order_id: str
    lines: tuple[SkuQuantity, ...] = Field(min_length=1, max_length=1000)
    reason: ReturnReason
    comment: Text = ""


class OpenRefund(Command):
    """An agent asks for money back without goods."""

    order_id: str
    amount: Minor
    reason: Reason


class ApproveCase(Command):
    """Somebody with the authority grants a case, and may say why."""

    case_id: str
    reason: Reason | None = None


class RejectCase(Command):
    """Somebody with the authority refuses a case, whoever opened it takes it back, or a return is not awaited any more; for a
    reason."""

    case_id: str
    reason: Reason


def asked(event: ReturnAsked, desk: AftersalesDesk) -> dict[str, str]:
    """The buyer asks to send goods back."""
    known = _placed(desk.orders.get(id_of(event.source, event.external_number)), "external_number")
    return _return(known, event.lines, event.reason, event.comment, desk)


def opened(command: OpenReturn, desk: AftersalesDesk) -> dict[str, str]:
    """An agent asks for the buyer."""
    known = _placed(desk.orders.get(command.order_id), "order_id")
    return _return(known, command.lines, command.reason, command.comment, desk)


def _placed(known: KnownOrder | None, field: str) -> KnownOrder:
    if known is None or not known.placed:
        raise Refused("unknown_order", "there is no such order", field=field, status=404)
    return known


def _return(
    known: KnownOrder,
    lines: tuple[SkuQuantity, ...],
    reason: ReturnReason,
    comment: str,
    desk: AftersalesDesk,
) -> dict[str, str]:
    if known.delivered_at is None and not known.arrived:
        raise Refused("not_delivered", _not_delivered(desk.cases_of(known)))
    missing = reason is ReturnReason.MISSING_ITEM
    if known.delivered_at is None and missing:
        raise Refused("not_delivered", "other parcels of the order are under way; ask when the last has come")
    wanted = by_sku(lines)
    left = with_the_buyer(known, desk.cases_of(known))
    for place, (sku, quantity) in enumerate(wanted.items()):
        if quantity > left[sku]:
            why = _not_returnable(sku, known, desk.cases_of(known))
            detail = f"{left[sku]} of {sku} can be returned now, not {quantity}{why}"
            raise Refused("not_returnable", detail, field=f"lines.{place}")
    lines = as_pieces(wanted)  # not before: nobody has so many as lines of the same article may add up to
    # who may grant it is judged by the price; no more than was paid is paid back
    amount = known.price_of(lines)
    # what never came cannot be sent back: its price is asked for, and whether it was missing, a person judges
    kind = CaseKind.REFUND_ONLY if missing else CaseKind.RETURN
    case = open_case(known, kind, reason.value, lines, amount, desk, requested=True)
    if comment:
        case = noted(case, desk.now, desk.actor, comment)
        desk.cases.put(case)
    if known.delivered_at and not within_window(known, desk.now, desk.policy.return_window):
        why = f"asked more than {desk.policy.return_window.days} days after delivery"
        case = reject(case, RejectReason.OUTSIDE_WINDOW, why, desk)
        return {"case_id": case.case_id, "state": case.state, "rejected": why}
    if not missing and stake_of(case, desk) <= desk.policy.authorized_up_to.get(case.currency, -1):
        case = authorize(case, desk, by_rule=True)
    else:
        ask_for_approval(case, desk)
    return {"case_id": case.case_id, "state": case.state}


def _not_returnable(sku: str, known: KnownOrder, cases: list[Case]) -> str:
    """Why no more of it can be returned."""
    if sku not in by_sku(known.lines):
        return ": it is not in the order"
    if case := next((c for c in cases if not c.over and sku in by_sku(c.lines)), None):
        return f": case {case.case_id} is about it"
    return ""


def _not_delivered(cases: list[Case]) -> str:
    if open_case := next((case.case_id for case in cases if not case.over), None):
        return f"nothing of the order has been delivered, and case {open_case} is open: it is settled first"
    return "nothing of the order has been delivered; it can be canceled"


def refund_only(command: OpenRefund, desk: AftersalesDesk) -> dict[str, str]:
    """Money back without goods, first of all what was captured beyond the price (O3); always approved by somebody else (A3)."""
    known = _placed(desk.orders.get(command.order_id), "order_id")
    cases = desk.cases_of(known)
    excess = known.excess_left(cases)
    # a sum that waits for its approval is spoken for: granted too, it would come to nothing
    waits = sum(case.amount - case.excess for case in cases if case.is_a_sum and not case.over)
    most = max(known.paid - known.refunded - waits, 0) + excess
    if most <= 0:
        beside = " beside what waits for approval" if waits else ""
        raise Refused("amount", f"nothing that was paid is left to refund{beside}", field="amount")
    if not 0 < command.amount <= most:
        units = spelled(most, known.currency)
        raise Refused("amount", f"from 1 to {most} minor units, {units}, can be refunded now", field="amount")
    excess = min(excess, command.amount)
    kind, amount = CaseKind.REFUND_ONLY, command.amount
    case = open_case(known, kind, command.reason, (), amount, desk, excess=excess, requested=True)
    ask_for_approval(case, desk)
    return {"case_id": case.case_id, "state": case.state}


def approve(command: ApproveCase, desk: AftersalesDesk) -> dict[str, str]:
    """Grant a case that waits for approval (A3)."""
    case = desk.case(command.case_id)
    _awaits_approval(case)
    _may_decide(case, desk)
    if command.reason:
        case = noted(case, desk.now, desk.actor, command.reason)
    if case.disputed or case.no_word:
        lost_on_its_way(case, desk)
    else:
        if case.is_a_sum and not payable(case, (), desk.orders[case.order_id]):
            detail = "all that was paid has been paid back meanwhile: reject the case"
            raise Refused("nothing_left", detail)
        authorize(case, desk, by_rule=False)
    return {"case_id": case.case_id, "state": desk.cases[case.case_id].state}


def turn_down(command: RejectCase, desk: AftersalesDesk) -> dict[str, str]:
    """Refuse a case that waits for approval (A3), or end a return whose goods have not come, as its time would (A2). To take
    back what one asked for oneself needs nobody's leave."""
    case = desk.case(command.case_id)
    own = case.requested and case.opened_by == str(desk.actor) and not (case.disputed or case.no_word)
    awaited = case.state is CaseState.WAITING_BUYER and case.kind is CaseKind.RETURN
    if not awaited:
        _awaits_approval(case)
    if not own:
        _may_decide(case, desk)
    if case.disputed:
        delivered_after_all(case, command.reason, desk)
    elif own or awaited:
        reject(case, RejectReason.WITHDRAWN, command.reason, desk)
    else:
        if case.no_word:
            desk.orders.put(desk.orders[case.order_id].arrived_after_all(desk.now))
        reject(case, RejectReason.BY_AGENT, command.reason, desk)
    return {"case_id": case.case_id, "state": desk.cases[case.case_id].state}


def _awaits_approval(case: Case) -> None:
    if case.state is not CaseState.AWAITING_APPROVAL:
        raise Refused("not_awaiting_approval", f"nobody is asked about the case: {_NOT_ASKED[case.state]}")


_NOT_ASKED = {
    CaseState.WAITING_BUYER: "its goods are to come back, and are looked at then",
    CaseState.WAITING_WAREHOUSE: "its goods are at the dock, and the warehouse looks at them",
    CaseState.SETTLED: "it is settled",
    CaseState.REJECTED: "it was rejected",
    CaseState.CLOSED: "it is closed",
}


def _may_decide(case: Case, desk: AftersalesDesk) -> None:
    if why := may_approve(case, desk.actor, stake_of(case, desk), agent_limit(case, desk)):
        raise Refused("no_authority", why, status=403)
