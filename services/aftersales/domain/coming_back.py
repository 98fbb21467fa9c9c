"""Goods that come back: which of them count, and what of them the courier brings (A1, A2, A6)."""

from collections import Counter

from services.aftersales.domain.case import Case, Custody, Refund
from services.aftersales.domain.known_order import KnownOrder, Parcel
from shared.events.aftersales import CaseKind, ReturnReason
from shared.events.warehouse import Condition, InspectedLine
from shared.goods import as_pieces, by_sku
from shared.values import SkuQuantity

OUR_FAULT = (ReturnReason.DAMAGED, ReturnReason.NOT_AS_DESCRIBED, ReturnReason.WRONG_ITEM)
"""Reasons for which damaged goods are refunded too."""


def with_the_buyer(known: KnownOrder, cases: list[Case]) -> Counter[str]:
    """What can be asked to be sent back: pieces that no case has claimed, and that have arrived. Returns are of such alone."""
    left = known.still_returnable() - by_sku(known.kept_back)
    if known.delivered_at is not None:
        return left
    returns = [one for one in cases if one.kind is CaseKind.RETURN and one.refund is not Refund.DENIED]
    asked = by_sku(line for case in returns for line in case.lines)
    return left & (by_sku(known.arrived) - (by_sku(known.claimed) & asked))


def unheard_of(case: Case, known: KnownOrder, cases: list[Case]) -> tuple[SkuQuantity, ...]:
    """Which pieces of a late cancel no courier told to have arrived, while parcels are still under way. What the buyer has or
    had beside these says nothing of them: what other cases let go of, and what was sent back under them."""
    if known.delivered_at is not None:
        return ()
    others = [one for one in cases if one.case_id != case.case_id]
    if known.cod:  # what couriers brought or lost is taken off its lines once that is settled
        others = [
            one for one in others if not one.over or one.kind in (CaseKind.RETURN, CaseKind.REFUND_ONLY)
        ]
    never_had = by_sku(line for one in others for line in _not_from_the_buyer(one))
    elsewhere = by_sku(known.lines) - by_sku(case.lines) - never_had
    return as_pieces(by_sku(case.lines) - (by_sku(known.arrived) - elsewhere))


def either_of_two(case: Case, known: KnownOrder, cases: list[Case]) -> tuple[SkuQuantity, ...]:
    """Which pieces of a late cancel the buyer has, or their courier lost on its way back: of the article one reached the buyer
    and one turned round, and of the one that came in a box nobody can tell which it is."""
    others = [one for one in cases if one.case_id != case.case_id and one.kind is CaseKind.LATE_CANCEL]
    boxes = by_sku(line for one in others if one.custody is Custody.INSPECTED for line in one.brought)
    return as_pieces(by_sku(case.lines) & by_sku(known.arrived) & boxes)


def paid_as_lost(
    pieces: tuple[SkuQuantity, ...], known: KnownOrder, cases: list[Case]
) -> tuple[SkuQuantity, ...]:
    """Which of these pieces, that have arrived now, were paid as lost or missing; all that are not back, where no money is
    left; and all of them, where just their price was given back."""
    granted = [one for one in cases if one.over and one.refund is not Refund.DENIED]
    lost = by_sku(line for one in granted if one.no_word or _missing(one) for line in one.lines)
    if not known.cod and known.paid and not known.refundable(known.paid):
        lost += by_sku(known.lines) - by_sku(known.settled)
    elif known.price_of(pieces) in [one.amount - one.excess for one in sums_of_price(cases) if one.over]:
        lost += by_sku(pieces)
    return as_pieces(by_sku(pieces) & lost)


def sums_of_price(cases: list[Case]) -> list[Case]:
    """Where somebody asked to give back a part of the price, without goods; nobody knows for which pieces that is."""
    asked = [one for one in cases if one.is_a_sum and one.requested and one.refund is not Refund.DENIED]
    return [one for one in asked if one.amount > one.excess]


def _missing(case: Case) -> bool:
    return case.return_reason == ReturnReason.MISSING_ITEM and case.refund is not Refund.DENIED


def _not_from_the_buyer(case: Case) -> tuple[SkuQuantity, ...]:
    """What of a case never reached the buyer, as far as is known: all but what they asked to send back, what they sent back
    after a late cancel, and what is paid for goods that are back of other cases, or were to come."""
    if case.refund is Refund.DENIED or case.kind is CaseKind.RETURN:
        return ()
    if case.kind is CaseKind.REFUND_ONLY and case.custody is not Custody.NONE:
        return ()
    sent = case.kind is CaseKind.LATE_CANCEL and case.over and not case.no_word
    return case.brought if sent else case.lines


def came_back_as_agreed(case: Case, found: tuple[InspectedLine, ...]) -> tuple[SkuQuantity, ...]:
    """The asked pieces that are refunded: as new, damaged ones where that is not the buyer's doing, and where a wrong article
    was sent, that article in their place, whatever it is."""
    good = {Condition.AS_NEW}
    if case.kind is not CaseKind.RETURN or case.return_reason in OUR_FAULT:
        good.add(Condition.DAMAGED)
    if case.return_reason == ReturnReason.WRONG_ITEM:
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


def _by_courier(case: Case) -> tuple[SkuQuantity, ...]:
    """What the courier brings, or brought, under a case; of a late cancel it is known once that is closed."""
    return case.lines if case.kind in BY_COURIER else case.brought


def still_to_bring(known: KnownOrder, cases: list[Case]) -> Counter[str]:
    """What the courier brings back, and what no case awaits of it or has paid: others had claimed it before."""

    def covered(case: Case) -> tuple[SkuQuantity, ...]:
        awaits = case.kind is CaseKind.LATE_CANCEL and not case.over
        return case.lines if _missing(case) or awaits else _by_courier(case)

    return by_sku(known.brought) - by_sku(line for case in cases for line in covered(case))


def brought_of(case: Case, known: KnownOrder, cases: list[Case]) -> tuple[SkuQuantity, ...]:
    """What of a late cancel the courier brings back: not the parcels that other cases have."""
    own = by_sku(line for one in cases for line in _by_courier(one))
    return as_pieces(by_sku(case.lines) & (by_sku(known.brought) - own))


def parcels_of(case: Case, known: KnownOrder, cases: list[Case]) -> list[Parcel]:
    """The same parcel by parcel, as far as that is known."""
    left, parcels = by_sku(brought_of(case, known, cases)), list[Parcel]()
    for parcel in known.turned_round:
        if part := by_sku(parcel.lines) & left:
            parcels.append(Parcel(parcel.shipment_id, as_pieces(part)))
            left -= part
    return [*parcels, Parcel(None, as_pieces(left))] if left else parcels


def in_the_box(parcels: list[Parcel], found: tuple[SkuQuantity, ...]) -> list[Parcel]:
    """Which of these parcels came in a box in which this was found: those that are whole, else the one of which there is most.
    One in which there is none of them the buyer sent; an empty one may be any."""
    left, whole = by_sku(found), list[Parcel]()
    for parcel in sorted(parcels, key=lambda one: -by_sku(one.lines).total()):
        if by_sku(parcel.lines) <= left:
            whole.append(parcel)
            left -= by_sku(parcel.lines)
    if whole or not parcels:
        return whole
    most = max(parcels, key=lambda one: (by_sku(one.lines) & left).total())
    return [most] if not found or by_sku(most.lines) & left else []


def order_ends(case: Case, known: KnownOrder, cases: list[Case]) -> bool:
    """True when nothing of the order is with its buyer any more, or on its way anywhere, once this case is closed."""
    others = [one for one in cases if one.case_id != case.case_id]
    sent_back = any(one.kind is CaseKind.RETURN and not one.over for one in others)  # perhaps, by who has it
    if known.coming or sent_back or any(one.left_to_buyer for one in cases):
        return False
    if known.still_returnable() & by_sku(known.arrived):
        return False  # the buyer keeps what they had asked to send back
    if case.kind is CaseKind.LATE_CANCEL:
        # what did not come with the first parcel may still be under way, or with the buyer
        late = [one for one in others if one.kind is CaseKind.LATE_CANCEL]
        return not any(not one.over or one.refund is Refund.DENIED for one in late)
    late = [one for one in cases if one.kind is CaseKind.LATE_CANCEL]
    all_came = bool(late) and all(one.over and one.refund is not Refund.DENIED for one in late)
    # events older than their contents said no more than that the courier brings something back
    return all_came or known.nothing_arrives or not known.brought


def brought_by_courier(case: Case, known: KnownOrder, cases: list[Case]) -> bool:
    """True when the courier, and not the buyer, brings the goods of the case back, or some of them."""
    if case.kind is CaseKind.LATE_CANCEL:  # events older than their contents said no more than that it does
        return bool(brought_of(case, known, cases)) or (known.brought_back and not known.brought)
    return case.kind in BY_COURIER
