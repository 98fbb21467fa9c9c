"""The warehouse's work on one order: who picks, who checks, what is packed (W3, W4, W5)."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from shared.events.inbox import (
    CheckFinishScanned,
    CheckStartScanned,
    PackScanned,
    PickScanned,
    PickStartScanned,
)
from shared.events.orders import CancelRequested, OrderCanceled, OrderReleased
from shared.events.warehouse import (
    CheckDifference,
    Difference,
    FulfillmentAllocated,
    FulfillmentBackordered,
    FulfillmentCheckFailed,
    FulfillmentCheckStopped,
    FulfillmentPacked,
    FulfillmentPicked,
    FulfillmentPickStopped,
    ShipmentShipped,
)
from shared.goods import by_sku, evened, price, without
from shared.lifecycle import lifecycle
from shared.replacing import replace
from shared.values import DeliveryMethod, Locale, Money, OrderLine, PaymentMethod, Personal, SkuQuantity


class FulfillmentState(StrEnum):
    """Where the work stands."""

    OPEN = "open"
    BACKORDERED = "backordered"
    ALLOCATED = "allocated"
    PICKING = "picking"
    PICKED = "picked"
    CHECKING = "checking"
    CHECKED = "checked"
    PACKED = "packed"
    SHIPPED = "shipped"
    CANCELED = "canceled"


S = FulfillmentState
BEFORE_LEAVING = (S.OPEN, S.BACKORDERED, S.ALLOCATED, S.PICKING, S.PICKED, S.CHECKING, S.CHECKED, S.PACKED)

FULFILLMENT = lifecycle(
    "fulfillment",
    S,
    # while                  this happens            becomes
    (S.OPEN, FulfillmentAllocated, S.ALLOCATED),
    (S.BACKORDERED, FulfillmentAllocated, S.ALLOCATED),
    # from picking: pieces turned out damaged or missing, and none are left in their place
    ((S.OPEN, S.PICKING), FulfillmentBackordered, S.BACKORDERED),
    (S.ALLOCATED, PickStartScanned, S.PICKING),
    (S.PICKING, PickScanned, S.PICKING),
    (S.PICKING, FulfillmentPicked, S.PICKED),
    (S.PICKING, FulfillmentPickStopped, S.ALLOCATED),
    (S.PICKED, CheckStartScanned, S.CHECKING),
    (S.CHECKING, FulfillmentCheckStopped, S.PICKED),
    (S.CHECKING, FulfillmentCheckFailed, S.PICKING),
    (S.CHECKING, CheckFinishScanned, S.CHECKED),
    (S.CHECKED, PackScanned, S.CHECKED),
    (S.CHECKED, FulfillmentPacked, S.PACKED),
    ((S.CHECKED, S.PACKED), FulfillmentCheckStopped, S.PICKED),  # unpacked before a parcel left
    (S.PACKED, ShipmentShipped, S.SHIPPED),
    # where a parcel has left, this is the end of the rest
    (BEFORE_LEAVING, CancelRequested, S.CANCELED),
    (BEFORE_LEAVING, OrderCanceled, S.CANCELED),  # ended by after-sales after some of its parcels left
    overtaken=[
        (S.CANCELED, CancelRequested),
        (S.SHIPPED, CancelRequested),  # answered with a refusal: the parcel has left
        (S.SHIPPED, OrderCanceled),
        (S.CANCELED, OrderCanceled),
    ],
)


@dataclass(frozen=True)
class Pick:
    """Pieces of a SKU taken from a location."""

    sku: str
    location: str
    quantity: int


@dataclass(frozen=True)
class Counted:
    """What the checker counted of a SKU."""

    sku: str
    good: int = 0
    damaged: int = 0


@dataclass(frozen=True)
class Fulfillment:
    """The work on one order."""

    order_id: str
    state: FulfillmentState
    picker: str | None
    checker: str | None
    released_at: datetime
    ship_by: datetime
    external_number: str
    source: str
    lines: tuple[OrderLine, ...]
    payment_method: PaymentMethod
    cod_due: int
    currency: str
    delivery_method: DeliveryMethod
    locale: Locale
    remark: str
    personal: Personal | None
    picks: tuple[Pick, ...] = ()
    counted: tuple[Counted, ...] = ()
    packed: tuple[Pick, ...] = ()
    shipments: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    """Shipments that were handed over."""
    pickers: tuple[str, ...] = ()
    """Everybody who picked a piece that is in hand for the order; `picker` is who has it now, or had it last."""
    check_began: datetime | None = None
    """When the count of the check began: as `round_began`, for the checker's scans."""
    round_began: datetime | None = None
    """When picking began, or began again after a failed check: scans from before it are of no use. Never later than our own
    time, and as early as a device of the picker says that it started."""
    unpacked_at: datetime | None = None
    """When its parcels were last unpacked: a packing scan from before that tells of one that is void."""

    def by_all_who_picked(self) -> set[str]:
        """Everybody who took pieces for the order, or is taking them: none of them may check it (W4)."""
        return {*self.pickers, *([self.picker] if self.picker else [])}

    @property
    def fetched_by_buyer(self) -> bool:
        """True when the buyer takes the parcels over our counter: no courier brings them."""
        return self.delivery_method is DeliveryMethod.SELF_PICKUP

    def voided(self, shipment_id: str) -> bool:
        """True for a parcel of this order that was unpacked: what was in it is packed anew."""
        return shipment_id not in self.shipments

    def cash(self, amount: int) -> Money | None:
        """What is to be collected, as it is told; nothing where nothing is."""
        return Money(amount=amount, currency=self.currency) if amount else None

    def wanted(self) -> dict[str, int]:
        """Pieces by SKU over all lines."""
        return dict(by_sku(self.lines))

    def picked(self) -> dict[str, int]:
        """Pieces picked so far, by SKU."""
        return dict(by_sku(self.picks))

    def left_to_pick(self) -> dict[str, int]:
        """Pieces still to be picked, by SKU."""
        picked = self.picked()
        return {sku: n - picked.get(sku, 0) for sku, n in self.wanted().items() if n > picked.get(sku, 0)}

    def left_to_pack(self) -> dict[str, int]:
        """Pieces still to be packed, by SKU."""
        packed = by_sku(self.packed)
        return {sku: n - packed.get(sku, 0) for sku, n in self.wanted().items() if n > packed.get(sku, 0)}

    def cod_due_with(self, parcel: tuple[SkuQuantity, ...]) -> int:
        """What the courier collects with the next parcel: the share of its pieces in what is due; the last one brings the rest.
        A buyer who refuses one of two parcels owes nothing for it."""
        before = by_sku(self.packed)
        return self._cod_due(before + by_sku(parcel)) - self._cod_due(before)

    def _cod_due(self, pieces: Counter[str]) -> int:
        lines = evened(self.lines)
        rest, goods = without(lines, pieces), price(lines)
        return self.cod_due * (goods - price(rest)) // max(goods, 1) if rest else self.cod_due


def opened(event: OrderReleased, now: datetime) -> Fulfillment:
    """The work that a release begins."""
    return Fulfillment(
        order_id=event.order_id,
        state=FulfillmentState.OPEN,
        picker=None,
        checker=None,
        released_at=now,
        ship_by=event.ship_by,
        external_number=event.external_number,
        source=event.source,
        lines=event.lines,
        payment_method=event.payment_method,
        cod_due=event.cod_due,
        currency=event.currency,
        delivery_method=event.delivery_method,
        locale=event.locale,
        remark=event.remark,
        personal=event.personal,
    )


def count(work: Fulfillment, sku: str, quantity: int, *, damaged: bool) -> Fulfillment:
    """The checker saw so many pieces."""
    before = next((c for c in work.counted if c.sku == sku), Counted(sku))
    after = (
        replace(before, damaged=before.damaged + quantity)
        if damaged
        else replace(before, good=before.good + quantity)
    )
    return replace(work, counted=(*(c for c in work.counted if c.sku != sku), after))


def differences(work: Fulfillment) -> tuple[CheckDifference, ...]:
    """How what was counted differs from the order (W4); empty when it is right."""
    found: list[CheckDifference] = []
    wanted, counted = work.wanted(), {c.sku: c for c in work.counted}
    for sku in sorted(wanted.keys() | counted.keys()):
        want, seen = wanted.get(sku, 0), counted.get(sku, Counted(sku))
        all_seen = seen.good + seen.damaged
        if want == 0:
            found.append(CheckDifference(sku=sku, quantity=all_seen, difference=Difference.WRONG_ITEM))
        elif all_seen > want:
            found.append(CheckDifference(sku=sku, quantity=all_seen - want, difference=Difference.TOO_MANY))
        elif all_seen < want:
            found.append(CheckDifference(sku=sku, quantity=want - all_seen, difference=Difference.TOO_FEW))
        # where the good ones are enough, a broken piece beside them is none of the order's
        if damaged := min(seen.damaged, max(want - seen.good, 0)):
            found.append(CheckDifference(sku=sku, quantity=damaged, difference=Difference.DAMAGED))
    return tuple(found)


def take_off(picks: tuple[Pick, ...], sku: str, quantity: int) -> tuple[tuple[Pick, ...], tuple[Pick, ...]]:
    """Split picks into those that stay and those that make up `quantity` pieces of `sku`, last picked first."""
    stay: list[Pick] = []
    gone: list[Pick] = []
    for pick in reversed(picks):
        part = min(pick.quantity, quantity) if pick.sku == sku else 0
        quantity -= part
        if part:
            gone.append(replace(pick, quantity=part))
        if pick.quantity > part:
            stay.append(replace(pick, quantity=pick.quantity - part))
    return tuple(reversed(stay)), tuple(gone)
