"""The people in the simulated warehouse."""

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from deploy.simulate.edges import ACTORS, BACK_OFFICE, CHECKER, PICKER, SECOND_PICKER
from deploy.simulate.story import DAYS, HOURS, LOOKS, MINUTES, Story
from services.aftersales.domain.coming_back import BY_COURIER
from services.warehouse.domain.dock import DockState
from services.warehouse.domain.fulfillment import Fulfillment
from services.warehouse.domain.fulfillment import FulfillmentState as S
from services.warehouse.handlers.adjusting import AdjustStock
from services.warehouse.handlers.taking_back import TakeBack
from services.warehouse.handlers.unpacking import Unpack
from shared.events import inbox
from shared.events.aftersales import CaseKind
from shared.events.warehouse import Condition
from shared.goods import by_sku


class Floor:
    """They bring goods, pick, check, pack, unpack at times, hand over, and take back what returns."""

    def __init__(self, story: Story) -> None:
        self.story = story
        self.left: dict[str, int] = {}
        """What was still to be picked at the last look."""

    def _on_fulfillment_picked(self, data: Any) -> None:
        """Somebody counted a shelf, and found another number there."""
        if (dice := self.story.dice).random() < 0.03:
            sku, change = dice.choice(self.story.submission.lines).sku, dice.choice((-2, -1, 1, 3))
            where = f"A-{dice.randint(1, 3)}"
            books = AdjustStock(sku=sku, location=where, change=change, reason="counted")
            self.story.ask("warehouse", books, BACK_OFFICE)

    def _on_fulfillment_allocated(self, data: Any) -> None:
        self.story.after(self.story.dice.uniform(0.1, 20) * HOURS, self._work)

    def _on_fulfillment_backordered(self, data: Any) -> None:
        short = {missing["sku"]: missing["quantity"] for missing in data["missing"]}
        dice = self.story.dice
        # or so late that others bring it, or the buyer cancels
        delay = dice.uniform(1, 30) * HOURS if dice.random() < 0.7 else 8 * DAYS
        self.story.after(delay, lambda: self._restock(short))

    def _restock(self, short: dict[str, int]) -> None:
        """Bring what an order waits for; look again later, for others may have come before it."""
        work = self.story.edges.row("warehouse", "fulfillments", self.story.order_id)
        self.story.looks += 1
        if work is None or self.story.looks > LOOKS or work.state is not S.BACKORDERED:
            return
        for sku, pieces in short.items():
            shelf, more = f"A-{self.story.dice.randint(1, 3)}", self.story.dice.randint(0, 12)
            self.story.scan(inbox.StockScanned, PICKER, barcode=sku, quantity=pieces + more, location=shelf)
        self.story.after(2 * DAYS, lambda: self._restock(work.wanted()))

    def _work(self) -> None:
        """Look at the screen, and scan what comes next; then look again until the parcel has left."""
        work = self.story.edges.row("warehouse", "fulfillments", self.story.order_id)
        self.story.looks += 1
        if work is None or self.story.looks > LOOKS or work.state in (S.SHIPPED, S.CANCELED, S.BACKORDERED):
            return
        of = {"order_id": self.story.order_id}
        picker, checker = ACTORS.get(work.picker, PICKER), ACTORS.get(work.checker, CHECKER)
        if work.state in (S.PICKING, S.CHECKING) and self.story.dice.random() < 0.04:  # the shift is over
            taken = TakeBack(order_id=self.story.order_id, reason="the shift is over")
            self.story.ask("warehouse", taken, BACK_OFFICE if self.story.dice.random() < 0.5 else picker)
        if work.state in (S.CHECKED, S.PACKED) and self.story.dice.random() < 0.06:
            back = Unpack(order_id=self.story.order_id, reason="a piece broke")
            self.story.ask("warehouse", back, self.story.dice.choice((BACK_OFFICE, checker, picker)))
        unit = MINUTES
        match work.state:
            case S.ALLOCATED:
                who = PICKER if self.story.dice.random() < 0.7 else SECOND_PICKER
                self.story.scan(inbox.PickStartScanned, who, **of)
            case S.PICKING:
                left = work.left_to_pick()
                one_by_one = left == self.left  # no shelf holds so many, it may be
                self.left = left
                for sku, pieces in left.items():
                    take = (
                        pieces if self.story.dice.random() < 0.9 else self.story.dice.randint(1, pieces + 1)
                    )
                    take = 1 if one_by_one else take
                    luck = self.story.dice.random()
                    bad, gone = int(luck < 0.03), int(0.03 <= luck < 0.05)
                    if bad or gone:  # one of those that were wanted
                        take = max(take - 1, 0)
                    goods = {"barcode": sku, "quantity": take, "damaged": bad, "missing": gone}
                    self.story.scan(inbox.PickScanned, picker, location=self._shelf(sku), **goods, **of)
                if self.story.dice.random() < 0.05:
                    self.story.scan(inbox.PickScanned, picker, barcode="NOT-HERE", quantity=1, **of)
                if not left:
                    self.story.scan(inbox.PickStartScanned, picker, **of)
            case S.PICKED:
                picked = sorted(work.by_all_who_picked())
                chance = 0.5 if len(picked) > 1 else 0.1  # all of them know the order, and none may
                who = ACTORS[self.story.dice.choice(picked)] if self.story.dice.random() < chance else CHECKER
                self.story.scan(inbox.CheckStartScanned, who, **of)
            case S.CHECKING if self.story.dice.random() < 0.05:  # lost count
                self.story.scan(inbox.CheckStartScanned, checker, anew=True, **of)
            case S.CHECKING:
                seen = {c.sku: c.good + c.damaged for c in work.counted}
                bad = self.story.dice.random() < 0.02
                for sku, pieces in work.wanted().items():
                    if pieces > seen.get(sku, 0):
                        self.story.scan(
                            inbox.CheckScanned,
                            checker,
                            barcode=sku,
                            quantity=pieces - seen.get(sku, 0),
                            damaged=bad,
                            **of,
                        )
                self.story.scan(inbox.CheckFinishScanned, checker, **of)
            case S.CHECKED:
                self._pack(work)
            case S.PACKED:
                unit = self._hand_over(work)
        self.story.after(self.story.dice.uniform(2, 50) * unit, self._work)

    def _on_fulfillment_check_stopped(self, data: Any) -> None:
        """A label that is void is still about, and scanned with others."""
        dice = self.story.dice
        for void in data["unpacked"]:
            if dice.random() < 0.3:
                scan = {"tracking_number": void}
                delay = dice.uniform(0, 9) * HOURS
                self.story.after(delay, lambda s=scan: self.story.scan(inbox.HandOverScanned, PICKER, **s))  # type: ignore[misc]

    def _pack(self, work: Fulfillment) -> None:
        """Into one parcel, or a piece or two by themselves first."""
        left = work.left_to_pack()
        alone = [{"sku": sku, "quantity": 1} for sku in left][:1]
        split = sum(left.values()) > 1 and len(work.shipments) < 2 and self.story.dice.random() < 0.25
        self.story.scan(
            inbox.PackScanned,
            PICKER,
            order_id=self.story.order_id,
            weight_grams=self.story.dice.randint(200, 3000),
            lines=alone if split else [],
        )

    def _hand_over(self, work: Fulfillment) -> timedelta:
        """To the courier; of several parcels mostly one first, and then a buyer may want out. In what unit to count the time
        until the others go: minutes, or long enough for the first to arrive."""
        apart = len(work.shipments) > 1 and not work.left and self.story.dice.random() < 0.7
        unit = self.story.dice.choice((MINUTES, HOURS)) if apart else MINUTES
        if self.story.dice.random() < (0.5 if apart else 0.04):
            name = f"cancel-{self.story.looks}"
            delay = self.story.dice.uniform(0, 50) * unit if apart else timedelta(0)
            self.story.after(delay, lambda: self.story.cancel(name))
        for shipment in work.shipments[:1] if apart else work.shipments:
            self.story.scan(inbox.HandOverScanned, PICKER, tracking_number=shipment)
        return unit

    def _on_return_authorized(self, data: Any) -> None:
        if data["kind"] in BY_COURIER:
            self.story.awaited.update({line["sku"]: line["quantity"] for line in data["lines"]})
        way = self.story.dice.random()
        days = self.story.dice.uniform(1, 6) if way < 0.8 else self.story.dice.uniform(14, 17)
        if way < 0.9:
            self.story.after(days * DAYS, lambda: self._arrives(data))

    def _shelf(self, sku: str) -> str | None:
        """The shelf that a picker scans too, if they do: where pieces are, or a wrong one."""
        if self.story.dice.random() < 0.8:
            return None
        level = self.story.edges.row("warehouse", "levels", sku)
        shelf: str = self.story.dice.choice(("A-1", "A-2", *sorted(level.locations)))
        return shelf

    def _arrives(self, data: Any, tries: int = 0) -> None:
        """What couriers and buyer have of it comes, or a part of it; an empty box at times."""
        dice, late_cancel = self.story.dice, data["kind"] == CaseKind.LATE_CANCEL
        if data["case_id"] in self.story.sent_back:
            return  # the buyer wrote this number on what they sent later, and its box is open: no second one is taken in
        expected = Counter({line["sku"]: line["quantity"] for line in data["lines"]})
        by_courier = expected & self._with_couriers(data)
        by_buyer = (expected - by_courier) & self._with_buyer(data)
        if by_courier and dice.random() < 0.5:  # in different boxes
            by_buyer = Counter()
        if dice.random() < 0.3:
            by_buyer = Counter(dict([*by_buyer.items()][:1]))
        if not by_courier and not by_buyer and (self.story.after_all or dice.random() < 0.9):
            if tries < 5 and (late_cancel or data["kind"] in BY_COURIER):  # it may be under way to the buyer
                self.story.after(3 * DAYS, lambda: self._arrives(data, tries + 1))
            return
        self.story.turned -= by_courier
        if not late_cancel:
            self.story.awaited -= by_courier
        sent = self._as_sent(by_buyer)
        for (sku, condition), n in sent.items():
            self.story.has[sku] -= n if condition is not Condition.WRONG_ITEM else 0
        self.story.has = +self.story.has
        number = self._number(data) if not by_courier else data["case_id"]
        back = self.story.edges.row("warehouse", "dock", number)
        missing = (expected if back is None else by_sku(back.lines)) - by_courier - by_buyer
        found = sent + self._as_sent(by_courier, exchanged=0)
        found += Counter({(sku, Condition.MISSING): n for sku, n in missing.items()})
        lines = [
            inbox.DockLine(sku=sku, quantity=n, condition=condition) for (sku, condition), n in found.items()
        ]
        self.story.sent_back[number] = self.story.sent_back.get(number, Counter()) + sent
        self._unpack(number, lines)

    def _number(self, data: Any) -> str:
        """What the buyer writes on the box: at times what they were told first, where nothing has come under that."""
        awaited = self.story.edges.row("aftersales", "cases", data["case_id"]).state == "waiting_buyer"
        first = awaited and self._nothing_came_before(data)
        return str(data["rest_of"] if first and self.story.dice.random() < 0.3 else data["case_id"])

    def _nothing_came_before(self, data: Any) -> bool:
        """True when the dock still expects the first box of a case of which this one is the rest."""
        if not data["rest_of"] or data["rest_of"] in self.story.sent_back:
            return False
        earlier = self.story.edges.row("warehouse", "dock", data["rest_of"])
        return earlier is not None and earlier.state is DockState.EXPECTED

    def _with_couriers(self, data: Any) -> Counter[str]:
        """What they may bring for a case: what is awaited under another belongs to that."""
        if data["kind"] in BY_COURIER:
            case = self.story.edges.row("aftersales", "cases", data["case_id"])
            if case.shipment_id in self.story.after_all:
                return Counter()
            return self.story.turned & self.story.parcels_back.get(case.shipment_id, self.story.turned)
        if data["kind"] == CaseKind.RETURN or self._nothing_came_before(data):
            return Counter()
        coming = self.story.turned - self.story.awaited - self._paid_before(data["rest_of"])
        parcels = [part for one in self.story.parcels_back.values() if (part := one & coming)]
        return parcels[0] if parcels and self.story.dice.random() < 0.7 else coming

    def _paid_before(self, case_id: str | None) -> Counter[str]:
        """What couriers bring late of the cancels before this one: it comes under their numbers."""
        if case_id is None:
            return Counter()
        case = self.story.edges.row("aftersales", "cases", case_id)
        return by_sku(case.brought) + self._paid_before(case.rest_of)

    def _with_buyer(self, data: Any) -> Counter[str]:
        """What the buyer may send: under the number that they were told last."""
        case = self.story.edges.row("aftersales", "cases", data["case_id"])
        settled = case.state == "closed" and not case.given_up
        told = self.story.stands or (data["rest_of"] and self.story.after_all)
        unasked = data["kind"] in BY_COURIER or (told and data["kind"] == CaseKind.LATE_CANCEL)
        return Counter() if settled or unasked else self.story.has

    def _as_sent(self, pieces: Counter[str], exchanged: float = 0.1) -> Counter[tuple[str, Condition]]:
        """In what condition they come."""
        found: Counter[tuple[str, Condition]] = Counter()
        for sku, n in pieces.items():
            way, condition = self.story.dice.random(), Condition.AS_NEW
            if way < exchanged:
                condition = Condition.WRONG_ITEM
            elif way < 0.25:
                condition = Condition.DAMAGED
            found[sku, condition] += n
        return found

    def _unpack(self, case_id: str, found: Sequence[inbox.DockLine]) -> None:
        """Scan what came back, and look again until the dock has it."""
        back = self.story.edges.row("warehouse", "dock", case_id)
        self.story.looks += 1
        if self.story.looks > LOOKS or (back is not None and back.state is DockState.INSPECTED):
            return
        if back is None or back.state is DockState.EXPECTED:
            self.story.scan(inbox.ReturnReceivedScanned, PICKER, case_id=case_id)
        else:
            for _ in range(2 if self.story.dice.random() < 0.1 else 1):  # two people, or one who is not sure
                self.story.scan(inbox.ReturnInspectedScanned, CHECKER, case_id=case_id, lines=tuple(found))
        slow = back is None or (back.state is DockState.EXPECTED and self.story.dice.random() < 0.1)
        self.story.after(6 * DAYS if slow else 2 * HOURS, lambda: self._unpack(case_id, found))
