"""A case: what is asked, where the goods are, what happens to the money (A1, A2, A3). Three axes, kept apart."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from shared.events.aftersales import (
    ApprovalRequested,
    CaseApproved,
    CaseClosed,
    CaseKind,
    CaseRejected,
    MoneyQuestion,
    ReturnAuthorized,
)
from shared.events.warehouse import ReturnInspected, ReturnReceived
from shared.lifecycle import lifecycle
from shared.replacing import replace
from shared.values import Actor, ActorKind, Role, SkuQuantity


class CaseState(StrEnum):
    """Whose turn it is."""

    AWAITING_APPROVAL = "awaiting_approval"
    WAITING_BUYER = "waiting_buyer"
    WAITING_WAREHOUSE = "waiting_warehouse"
    SETTLED = "settled"
    REJECTED = "rejected"
    CLOSED = "closed"


class Custody(StrEnum):
    """Where the goods of a case are."""

    NONE = "none"
    AUTHORIZED = "authorized"
    RECEIVED = "received"
    INSPECTED = "inspected"
    NOT_RETURNED = "not_returned"


class Refund(StrEnum):
    """What happens to the money."""

    NONE = "none"
    REQUESTED = "requested"
    DENIED = "denied"


C = CaseState
CASE = lifecycle(
    "case",
    C,
    # while                  this happens        becomes
    (C.AWAITING_APPROVAL, ReturnAuthorized, C.WAITING_BUYER),
    (C.AWAITING_APPROVAL, CaseApproved, C.SETTLED),
    (C.AWAITING_APPROVAL, CaseRejected, C.REJECTED),
    (C.WAITING_BUYER, ReturnReceived, C.WAITING_WAREHOUSE),
    (C.WAITING_BUYER, CaseRejected, C.REJECTED),
    # its courier contradicts itself, or told nothing: a person says who has the goods, or they come
    ((C.WAITING_BUYER, C.WAITING_WAREHOUSE), ApprovalRequested, C.AWAITING_APPROVAL),
    (C.AWAITING_APPROVAL, ReturnReceived, C.WAITING_WAREHOUSE),
    # settled without the goods: the courier lost them on the way back
    (C.WAITING_BUYER, CaseClosed, C.CLOSED),
    (C.WAITING_WAREHOUSE, ReturnInspected, C.SETTLED),
    (C.WAITING_WAREHOUSE, CaseRejected, C.REJECTED),
    ((C.SETTLED, C.REJECTED), CaseClosed, C.CLOSED),
    overtaken=[
        # goods that come after their time was up: the case is over, a new one lets a person decide
        ((C.SETTLED, C.REJECTED, C.CLOSED), ReturnReceived),
        ((C.SETTLED, C.REJECTED, C.CLOSED), ReturnInspected),
    ],
)


@dataclass(frozen=True)
class Case:
    """One case."""

    case_id: str
    order_id: str
    kind: CaseKind
    state: CaseState
    opened_at: datetime
    opened_by: str
    reason: str
    lines: tuple[SkuQuantity, ...]
    amount: int
    """What the buyer would get back, in minor units."""
    currency: str
    excess: int = 0
    """What of the amount was captured beyond the price."""
    requested: bool = False
    """True where whoever opened it asked for it; other cases follow from what happened."""
    custody: Custody = Custody.NONE
    refund: Refund = Refund.NONE
    refunded: int = 0
    return_by: datetime | None = None
    given_up_at: datetime | None = None
    """When it was rejected. None too where that was before it was written down: then nothing counts as in time."""
    in_time: bool = False
    """True when the goods of a case that was given up had been scanned at the dock before its time was up."""
    rest_of: str | None = None
    """The case of which these pieces had not come yet when it was settled."""
    brought: tuple[SkuQuantity, ...] = ()
    """What of a closed late cancel the courier brought back, or left to the buyer after all."""
    disputed: tuple[SkuQuantity, ...] = ()
    """What its courier was to bring back and then said that it delivered."""
    cod_due: int = 0
    """Cash that was to be collected with that, or with what its courier lost without a word."""
    no_word: bool = False
    """True when a person is asked who has the goods, for no courier told."""
    question: MoneyQuestion | None = None
    """What the shop itself asked a person about it; None where somebody else asks for something."""
    shipment_id: str | None = None
    """The parcel that the courier brings back, where the case is about one."""
    history: tuple[str, ...] = ()

    @property
    def over(self) -> bool:
        """True when nothing is left to do."""
        return self.state is CaseState.CLOSED

    @property
    def is_a_sum(self) -> bool:
        """True when money is asked for, and not the price of pieces."""
        return self.kind is CaseKind.REFUND_ONLY and not self.lines

    @property
    def about_what_was_paid(self) -> bool:
        """True when pieces that the shop has, or lost, may have been paid for as a sum before: refused, they were."""
        return self.question is MoneyQuestion.SUM_REFUNDED

    @property
    def return_reason(self) -> str:
        """The `ReturnReason` of a buyer who asks about goods; empty where the reason is in somebody's own words."""
        return self.reason if self.lines and self.kind in (CaseKind.RETURN, CaseKind.REFUND_ONLY) else ""

    @property
    def left_to_buyer(self) -> bool:
        """True when a person said that the buyer has what its courier was to bring back."""
        return self.refund is Refund.DENIED and bool(self.disputed)

    @property
    def given_up(self) -> bool:
        """True when it was rejected before its goods came, and the dock has not looked at any since."""
        return self.refund is Refund.DENIED and self.custody in (Custody.NOT_RETURNED, Custody.RECEIVED)


def came_in_time(case: Case, at: datetime | None) -> bool:
    """True when goods that were at the dock at this time were there while their case awaited them (W12): before its time was
    up, and before anybody refused it."""
    if at is None or case.return_by is None or case.given_up_at is None:
        return False
    return case.opened_at <= at <= case.return_by and at < case.given_up_at


def needed(stake: int, limit: int) -> Role:
    """The lowest role that may decide about so much (A3)."""
    return Role.BACK_OFFICE if stake > limit else Role.ORDINARY


def may_approve(case: Case, actor: Actor, stake: int, limit: int) -> str | None:
    """Why this actor may not approve the case, or None (A3): only people, nobody their own, above the limit the back office."""
    if actor.kind is not ActorKind.OPERATOR:
        return "only a person of the shop grants or refuses a case"
    if case.opened_by == str(actor):
        return "nobody approves their own request; ask a colleague"
    if not actor.role.includes(needed(stake, limit)):
        return "the order's refunds and open cases are above an agent's limit; ask the back office"
    return None


def noted(case: Case, now: datetime, actor: Actor, what: str) -> Case:
    """The case with one more line of history."""
    return replace(case, history=(*case.history, f"{now.isoformat(timespec='seconds')} {actor}: {what}"))
