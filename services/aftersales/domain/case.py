"""A case: what is asked, where the goods are, what happens to the money (A1, A2, A3). Three axes, kept apart."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from shared.events.aftersales import (
    CaseApproved,
    CaseClosed,
    CaseKind,
    CaseRejected,
    ReturnAuthorized,
    ReturnReason,
)
from shared.events.warehouse import Condition, InspectedLine, ReturnInspected, ReturnReceived
from shared.goods import as_pieces, by_sku, evened, price, without
from shared.lifecycle import lifecycle
from shared.replacing import replace
from shared.values import Actor, ActorKind, OrderLine, Role, SkuQuantity


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
    custody: Custody = Custody.NONE
    refund: Refund = Refund.NONE
    refunded: int = 0
    return_by: datetime | None = None
    rest_of: str | None = None
    """The late cancel of which these pieces had not come yet when it was settled."""
    brought: tuple[SkuQuantity, ...] = ()
    """What of a settled late cancel the courier brought back."""
    history: tuple[str, ...] = ()

    @property
    def over(self) -> bool:
        """True when nothing is left to do."""
        return self.state is CaseState.CLOSED

    @property
    def given_up(self) -> bool:
        """True when it was rejected before its goods came, and the dock has not looked at any since."""
        return self.refund is Refund.DENIED and self.custody in (Custody.NOT_RETURNED, Custody.RECEIVED)


@dataclass(frozen=True)
class KnownOrder:
    """What after-sales knows of an order."""

    order_id: str
    source: str
    external_number: str
    lines: tuple[OrderLine, ...]
    total: int
    currency: str
    cod: bool
    paid: int = 0
    delivered_at: datetime | None = None
    refunded: int = 0
    """What was given back of what was paid."""
    excess: int = 0
    """What was captured beyond the price: paid twice, too much, or too late."""
    excess_refunded: int = 0
    cases: tuple[str, ...] = ()
    claimed: tuple[SkuQuantity, ...] = ()
    """Pieces that cases ask for or got; no piece is returned twice."""
    settled: tuple[SkuQuantity, ...] = ()
    """Pieces whose price was given back."""
    whole_comes_back: bool = False
    """True once a case took the whole parcel: a late cancel, a refused or returned parcel."""
    placed: bool = True
    """False while only the warehouse has told of the order: its topic may be read before the one of orders."""
    returned_early: str | None = None
    """What the courier said when it brought the parcel back before we knew the order."""
    brought_back: bool = False
    """True once the courier said that it brings a parcel back."""
    brought: tuple[SkuQuantity, ...] = ()
    """What is in the parcels that it brings back."""
    coming: tuple[str, ...] = ()
    """Open cases of such parcels."""
    part_arrived: bool = False
    """True once a parcel reached the buyer."""
    nothing_arrives: bool = False
    """True once the last of the parcels turned round, and none had reached the buyer."""

    def paid_in_full(self) -> "KnownOrder":
        """A prepaid order that has left was paid in full (O7), also where the news of its payment is still to come."""
        return self if self.cod else replace(self, paid=max(self.paid, self.total))

    def still_returnable(self) -> dict[str, int]:
        """Pieces by SKU that no case has claimed."""
        return dict(by_sku(self.lines) - by_sku(self.claimed))

    def unclaimed(self, pieces: tuple[SkuQuantity, ...] = ()) -> tuple[SkuQuantity, ...]:
        """What no case has claimed, of these pieces or of everything, as lines."""
        left = self.still_returnable()
        if pieces:
            left = {sku: min(n, left[sku]) for sku, n in by_sku(pieces).items() if sku in left}
        return as_pieces(left)

    @property
    def ended_by_return(self) -> bool:
        """True when every parcel of the order is back; also where events older than their contents said so."""
        return not self.coming and (self.nothing_arrives or not self.brought)

    def without(self, pieces: tuple[SkuQuantity, ...]) -> "KnownOrder":
        """The order as if these pieces had not been bought: what they would have cost was not collected either."""
        priced = evened(self.lines)  # as couriers were told to collect it
        lines, goods = without(priced, by_sku(pieces)), price(priced)
        claimed = by_sku(self.claimed) - by_sku(pieces)
        return replace(
            self,
            lines=lines,
            total=self.total - self.total * (goods - price(lines)) // max(goods, 1) if lines else 0,
            claimed=as_pieces(claimed),
        )

    def unclaim(self, pieces: tuple[SkuQuantity, ...]) -> "KnownOrder":
        """The order after a case has let go of these pieces: another may ask for them."""
        return replace(self, claimed=as_pieces(by_sku(self.claimed) - by_sku(pieces)))

    def worth(self, lines: tuple[SkuQuantity, ...]) -> int:
        """What these pieces bring on top of those that were settled: one by one as much as all at once."""
        return self._share(self.settled + lines) - self._share(self.settled)

    def owed_after(self, before: "KnownOrder") -> int:
        """What the pieces that were settled before bring by now beyond what they brought then."""
        return self.refundable(self._share(self.settled) - before._share(self.settled))

    def price_of(self, lines: tuple[SkuQuantity, ...]) -> int:
        """What these pieces bring once all is paid: a courier may tell of the cash after the buyer asks."""
        return replace(self, paid=max(self.paid, self.total)).worth(lines)

    def _share(self, lines: tuple[SkuQuantity, ...]) -> int:
        """The share of these pieces in what was paid, dearest first where prices differ."""
        rest, goods = without(self.lines, by_sku(lines)), price(self.lines)
        if not rest:
            return min(self.paid, self.total)
        # a discount is shared by all pieces; fees for delivery go back only with everything
        return min((goods - price(rest)) * min(self.total, goods) // max(goods, 1), self.paid)

    @property
    def paid_too_much(self) -> int:
        """What a courier collected beyond what the goods that the buyer keeps cost, in minor units."""
        return max(self.paid - self.total, 0)

    def refundable(self, amount: int) -> int:
        """At most what was paid and not yet given back; what was captured beyond the price has no part in this."""
        return max(min(amount, self.paid - self.refunded), 0)

    def excess_left(self, cases: "list[Case]") -> int:
        """What was captured beyond the price, and neither given back nor asked for by an open case."""
        return self.excess - self.excess_refunded - sum(case.excess for case in cases if not case.over)


def unplaced(order_id: str) -> KnownOrder:
    """An order of which only the warehouse has told so far."""
    return KnownOrder(order_id, "", "", (), 0, "XXX", cod=False, placed=False)


def within_window(known: KnownOrder, now: datetime, window: timedelta) -> bool:
    """True while a return can be asked for (A2)."""
    return known.delivered_at is not None and now <= known.delivered_at + window


def at_stake(known: KnownOrder, cases: list[Case]) -> int:
    """What the buyer got back and would get by open cases: what is asked for in parts is judged as a whole (A3)."""
    open_cases = sum(case.amount for case in cases if not case.over)
    return known.refunded + known.excess_refunded + open_cases


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


OUR_FAULT = (ReturnReason.DAMAGED, ReturnReason.NOT_AS_DESCRIBED, ReturnReason.WRONG_ITEM)
"""Reasons for which damaged goods are refunded too."""


def came_back_as_agreed(case: Case, found: tuple[InspectedLine, ...]) -> tuple[SkuQuantity, ...]:
    """The asked pieces that are refunded: as new, damaged ones where that is not the buyer's doing, and where a wrong article
    was sent, that article in their place, whatever it is."""
    good = {Condition.AS_NEW}
    if case.reason in OUR_FAULT or case.kind is not CaseKind.RETURN:
        good.add(Condition.DAMAGED)
    if case.reason == ReturnReason.WRONG_ITEM:
        good.add(Condition.WRONG_ITEM)
    asked = by_sku(case.lines)
    came: Counter[str] = Counter()
    in_their_place = 0
    for one in found:
        if one.condition in good and one.sku in asked:
            came[one.sku] += one.quantity
        elif one.condition in good and one.condition is Condition.WRONG_ITEM:
            in_their_place += one.quantity
    back: list[SkuQuantity] = []
    for sku, most in asked.items():
        part = min(came[sku], most)
        instead = min(in_their_place, most - part)
        in_their_place -= instead
        if part + instead:
            back.append(SkuQuantity(sku=sku, quantity=part + instead))
    return tuple(back)


BY_COURIER = (CaseKind.RETURNED_PARCEL, CaseKind.REFUSED_COD)
"""Cases of parcels that turned round on their way."""


def brought_of(case: Case, known: KnownOrder, cases: list[Case]) -> tuple[SkuQuantity, ...]:
    """What of a late cancel the courier brings back: not the parcels that other cases have."""
    others = [one.lines if one.kind in BY_COURIER else one.brought for one in cases]
    own = by_sku(line for lines in others for line in lines)
    return as_pieces(by_sku(case.lines) & (by_sku(known.brought) - own))


def brought_by_courier(case: Case, known: KnownOrder, cases: list[Case]) -> bool:
    """True when the courier, and not the buyer, brings the goods of the case back, or some of them."""
    if case.kind is CaseKind.LATE_CANCEL:  # events older than their contents said no more than that it does
        return bool(brought_of(case, known, cases)) or (known.brought_back and not known.brought)
    return case.kind in BY_COURIER


def noted(case: Case, now: datetime, actor: Actor, what: str) -> Case:
    """The case with one more line of history."""
    return replace(case, history=(*case.history, f"{now.isoformat(timespec='seconds')} {actor}: {what}"))
