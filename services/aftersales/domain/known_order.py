"""What after-sales knows of an order: what was bought and paid, what cases ask for, what its pieces are worth (A2, O3)."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta

from services.aftersales.domain.case import Case
from shared.events.aftersales import CaseKind
from shared.goods import as_pieces, by_sku, evened, price, without
from shared.replacing import replace
from shared.values import OrderLine, SkuQuantity


@dataclass(frozen=True)
class Parcel:
    """A parcel that its courier brings back; without an id where it is not known which."""

    shipment_id: str | None
    lines: tuple[SkuQuantity, ...]


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
    owed_cash: int = 0
    """What orders said that it owes of cash of which we have not heard yet."""
    excess: int = 0
    """What was captured beyond the price: paid twice, too much, too late, or in cash although it is paid otherwise."""
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
    disputed: tuple[SkuQuantity, ...] = ()
    """What the courier said that it brings back, and then that it delivered, while no case awaited it."""
    cod_disputed: int = 0
    """Cash that was to be collected with that."""
    brought_back: bool = False
    """True once the courier said that it brings a parcel back."""
    brought: tuple[SkuQuantity, ...] = ()
    """What is in the parcels that it brings back."""
    turned_round: tuple[Parcel, ...] = ()
    """Those of them that no case is about: a late cancel awaits what is in them."""
    coming: tuple[str, ...] = ()
    """Open cases of such parcels."""
    part_arrived: bool = False
    """True once a parcel reached the buyer."""
    confirmed: bool = False
    """True once the buyer, or somebody who knows it, confirmed that they have the goods."""
    arrived: tuple[SkuQuantity, ...] = ()
    """What is in the parcels that did, as far as events said so."""
    called_back: bool = False
    """True once orders said that a cancel came too late for some of it."""
    kept_back: tuple[SkuQuantity, ...] = ()
    """What the warehouse keeps of a canceled order: it never reaches the buyer, and is paid once orders says so."""
    nothing_arrives: bool = False
    """True once the last of the parcels turned round, and none had reached the buyer."""

    def paid_in_full(self) -> "KnownOrder":
        """A prepaid order that has left was paid in full (O7), also where the news of its payment is still to come."""
        return self if self.cod else replace(self, paid=max(self.paid, self.total))

    def with_cash(self, amount: int) -> "KnownOrder":
        """The order once couriers collected so much more: of the price where it is paid so, or was not told of yet."""
        if self.cod or not self.placed:
            return replace(self, paid=self.paid + amount)
        return replace(self, excess=self.excess + amount)

    def still_returnable(self) -> Counter[str]:
        """Pieces by SKU that no case has claimed."""
        return by_sku(self.lines) - by_sku(self.claimed)

    def unclaimed(self, pieces: tuple[SkuQuantity, ...] = ()) -> tuple[SkuQuantity, ...]:
        """What no case has claimed, of these pieces or of everything, as lines."""
        left = self.still_returnable()
        return as_pieces(by_sku(pieces) & left if pieces else left)

    def without(self, pieces: tuple[SkuQuantity, ...]) -> "KnownOrder":
        """The order as if these pieces had not been bought: what they would have cost was not collected either."""
        priced = evened(self.lines)  # as couriers were told to collect it
        lines, goods = without(priced, by_sku(pieces)), price(priced)
        total = self.total - self.total * (goods - price(lines)) // max(goods, 1) if lines else 0
        return replace(self.unclaim(pieces), lines=lines, total=total)

    def arrived_after_all(self, at: datetime) -> "KnownOrder":
        """The order when the buyer has a parcel that was thought to come back."""
        ended = self.delivered_at or (at if self.nothing_arrives or not self.brought_back else None)
        return replace(self, part_arrived=True, nothing_arrives=False, delivered_at=ended)

    def all_ended(self, at: datetime) -> "KnownOrder":
        """The order when the buyer has all that they will get."""
        ended = self.delivered_at or (at if self.part_arrived else None)
        return replace(self, nothing_arrives=not self.part_arrived, delivered_at=ended)

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
        """The share of these pieces in what was paid, dearest first where prices differ; in cash, as couriers collect it."""
        priced = evened(self.lines) if self.cod else self.lines
        rest, goods = without(priced, by_sku(lines)), price(priced)
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


def payable(case: Case, pieces: tuple[SkuQuantity, ...], known: KnownOrder) -> int:
    """What the buyer gets of the case, should it end with these pieces now."""
    of_price = case.amount - case.excess if case.is_a_sum else known.worth(pieces)
    return known.refundable(of_price) + case.excess


def would_pay(case: Case, known: KnownOrder) -> int:
    """What it comes to at most, if it is granted now, or all its goods come back. Of a parcel that turned round, cash that was
    not collected was never paid; for what the buyer has, a courier may still tell of it, or has since the case was opened."""
    if case.lines and case.kind in (CaseKind.RETURN, CaseKind.REFUND_ONLY):
        return max(min(case.amount, max(known.paid, known.total) - known.refunded), 0)
    if known.cod and (case.kind is CaseKind.REFUSED_COD or case.no_word):
        # only cash that was collected for these all the same: what is paid for other parcels is theirs
        return known.refundable(known.without(case.lines).paid_too_much - known.paid_too_much)
    return payable(case, case.lines, known)


def at_stake(known: KnownOrder, cases: list[Case]) -> int:
    """What the buyer got back and would get by open cases: what is asked for in parts is judged as a whole (A3)."""
    open_cases = sum(max(case.amount, would_pay(case, known)) for case in cases if not case.over)
    return known.refunded + known.excess_refunded + open_cases
