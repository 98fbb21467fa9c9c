"""Everybody around the system: shops, payment providers, buyers, agents, scanners, couriers. What one does next follows from
what the system said, from a look at its screens, and from dice of its own order, so that an order can be left out of a run
without changing what the others do.
"""

from collections.abc import Callable, Mapping
from datetime import timedelta
from random import Random
from typing import Any

import orjson

from deploy.simulate.edges import (
    ACTORS,
    AGENT,
    BACK_OFFICE,
    CHECKER,
    COURIER,
    PAYMENTS,
    PICKER,
    SECOND_PICKER,
    SHOP,
    Edges,
)
from services.aftersales.handlers.asked import ApproveCase, RejectCase
from services.orders.handlers.addresses import ConfirmAddress
from services.orders.handlers.closing import CancelOrder
from services.orders.handlers.release import LiftHold
from services.warehouse.domain.dock import DockState
from services.warehouse.domain.fulfillment import Fulfillment
from services.warehouse.domain.fulfillment import FulfillmentState as S
from services.warehouse.handlers.taking_back import TakeBack
from shared.events import inbox
from shared.events.aftersales import ReturnReason
from shared.events.base import Event
from shared.events.identity import order_id as id_of
from shared.events.orders import Hold
from shared.events.warehouse import Condition, TrackingStatus
from shared.runtime.chain import Entry
from shared.runtime.messages import Command
from shared.values import (
    Actor,
    Address,
    Contact,
    DeliveryMethod,
    Money,
    OrderLine,
    PaymentMethod,
    Personal,
    SkuQuantity,
)

SOURCE = "shop"
SKUS = tuple(f"SKU-{n}" for n in range(12))
HOURS, DAYS, MINUTES = timedelta(hours=1), timedelta(days=1), timedelta(minutes=1)

LOOKS = 1000
"""How often somebody looks after an order in the warehouse before giving it up; far more than any needs."""


class Story:
    """One order and the people around it."""

    def __init__(self, edges: Edges, seed: str, number: int) -> None:
        self.edges = edges
        self.dice = Random(f"{seed}/{number}")  # noqa: S311
        self.number = f"O-{number}"
        self.order_id = id_of(SOURCE, self.number)
        self.looks = 0
        self.left: dict[str, int] = {}
        """What was still to be picked at the last look."""
        self.scans = 0
        self.labels: list[Mapping[str, Any]] = []
        self.last_label = edges.now()
        self.cash: dict[str, int] = {}
        """What the courier said that it has collected, by parcel."""
        self.submission = self._submission()

    def begin(self) -> None:
        """Buy, pay, and perhaps change one's mind."""
        dice, total = self.dice, self.submission.total
        start = self.submission.placed_at - self.edges.now()
        self._after(start, lambda: self._send(self.submission, SHOP, "order"))
        if self.submission.payment_method is PaymentMethod.PREPAID:
            way = dice.random()
            parts = [total]
            if way < 0.10:
                parts = [total // 3, total - total // 3]
            elif way < 0.14:
                parts = [total + 500]
            elif way < 0.17:
                parts = [total, total]
            elif way < 0.22:
                parts = []
            for n, amount in enumerate(parts):
                # now and then before the order itself
                self._after(start + dice.uniform(-1, 4) * HOURS, self._payment(n, amount, "CNY"))
            if dice.random() < 0.02:
                self._after(start + 2 * HOURS, self._payment(9, total, "EUR"))
        if dice.random() < 0.15:
            self._after(start + dice.uniform(0, 6) * DAYS, lambda: self._cancel("cancel"))

    def _cancel(self, name: str) -> None:
        cancel = inbox.CancelAsked(source=SOURCE, external_number=self.number, reason="changed my mind")
        self._send(cancel, SHOP, name)

    def hear(self, kind: str, entry: Entry) -> None:
        """The system said something about the order."""
        react = getattr(self, f"_on_{kind}", None)
        if react is not None:
            react(orjson.loads(entry.data))

    # --- buyers and agents --------------------------------------------------------------------------------

    def _submission(self) -> inbox.OrderSubmitted:
        dice = self.dice
        skus = dice.sample(SKUS[: 3 if dice.random() < 0.5 else len(SKUS)], dice.randint(1, 3))
        lines = tuple(
            OrderLine(line=n, sku=sku, quantity=dice.randint(1, 3), unit_price=dice.randint(1, 9) * 1000)
            for n, sku in enumerate(skus, 1)
        )
        far = dice.random() < 0.03
        return inbox.OrderSubmitted(
            source=SOURCE,
            external_number=self.number,
            placed_at=self.edges.now() + dice.uniform(0, 1) * DAYS,
            buyer_id=f"B-{dice.randint(1, 40)}",
            lines=lines,
            currency="CNY",
            total=sum(line.quantity * line.unit_price for line in lines),
            delivery_method=DeliveryMethod.SELF_PICKUP if dice.random() < 0.1 else DeliveryMethod.COURIER,
            payment_method=PaymentMethod.COD if dice.random() < 0.15 else PaymentMethod.PREPAID,
            address_confirmed=dice.random() < 0.3,
            personal=_personal("999078" if far else "310000"),
        )

    def _payment(self, n: int, amount: int, currency: str) -> Callable[[], None]:
        event = inbox.PaymentCaptured(
            source=SOURCE,
            external_number=self.number,
            payment_id=f"{self.number}-P{n}",
            amount=Money(amount=amount, currency=currency),
            captured_at=self.edges.now(),
        )
        return lambda: self._send(event, PAYMENTS, f"pay-{n}")

    def _on_address_confirmation_requested(self, data: Any) -> None:
        if self.dice.random() < 0.7:
            answer = inbox.AddressAnswered(source=SOURCE, external_number=self.number, cod_accepted=True)
            self._after(self.dice.uniform(1, 9) * MINUTES, lambda: self._send(answer, SHOP, "address"))

    def _on_order_escalated(self, data: Any) -> None:
        confirm = ConfirmAddress(order_id=self.order_id, cod_accepted=True)
        self._after(self.dice.uniform(0.1, 3) * HOURS, lambda: self._ask("orders", confirm, AGENT))

    def _on_hold_placed(self, data: Any) -> None:
        match data["hold"]:
            case Hold.UNREACHABLE_ADDRESS:
                better = inbox.AddressAnswered(
                    source=SOURCE,
                    external_number=self.number,
                    personal=_personal("310000"),
                    cod_accepted=True,
                )
                self._after(HOURS, lambda: self._send(better, SHOP, "new-address"))
            case Hold.DUPLICATE_SUSPECTED:
                real = LiftHold(
                    order_id=self.order_id, hold=Hold.DUPLICATE_SUSPECTED, reason="both are meant"
                )
                self._after(3 * HOURS, lambda: self._ask("orders", real, AGENT))
            case Hold.PAYMENT_ANOMALY:
                lift = LiftHold(order_id=self.order_id, hold=Hold.PAYMENT_ANOMALY, reason="settled")
                self._after(5 * HOURS, lambda: self._ask("orders", lift, BACK_OFFICE))
                if self.dice.random() < 0.3:
                    cancel = CancelOrder(order_id=self.order_id, reason="the buyer gave up")
                    self._after(6 * HOURS, lambda: self._ask("orders", cancel, AGENT))

    def _on_shipment_delivered(self, data: Any) -> None:
        if self.dice.random() < 0.3:
            receipt = inbox.ReceiptConfirmed(source=SOURCE, external_number=self.number)
            self._after(self.dice.uniform(0, 4) * DAYS, lambda: self._send(receipt, SHOP, "receipt"))
        if self.dice.random() < 0.2:
            line = self.submission.lines[0]
            wanted = SkuQuantity(sku=line.sku, quantity=self.dice.randint(1, line.quantity))
            asked = inbox.ReturnAsked(
                source=SOURCE, external_number=self.number, lines=(wanted,), reason=ReturnReason.CHANGED_MIND
            )
            self._after(self.dice.uniform(0, 9) * DAYS, lambda: self._send(asked, SHOP, "return"))

    def _on_case_opened(self, data: Any) -> None:
        case_id = data["case_id"]

        def decide() -> None:
            case = self.edges.row("aftersales", "cases", case_id)
            if case is not None and case.state == "awaiting_approval":
                grant = ApproveCase(case_id=case_id)
                refuse = RejectCase(case_id=case_id, reason="not agreed")
                self._ask("aftersales", grant if self.dice.random() < 0.9 else refuse, BACK_OFFICE)

        self._after(4 * HOURS, decide)

    # --- the warehouse ------------------------------------------------------------------------------------

    def _on_fulfillment_allocated(self, data: Any) -> None:
        self._after(self.dice.uniform(0.1, 20) * HOURS, self._work)

    def _on_fulfillment_backordered(self, data: Any) -> None:
        short = {missing["sku"]: missing["quantity"] for missing in data["missing"]}
        self._after(self.dice.uniform(1, 30) * HOURS, lambda: self._restock(short))

    def _restock(self, short: dict[str, int]) -> None:
        """Bring what an order waits for; look again later, for others may have come before it."""
        work = self.edges.row("warehouse", "fulfillments", self.order_id)
        self.looks += 1
        if work is None or self.looks > LOOKS or work.state is not S.BACKORDERED:
            return
        for sku, pieces in short.items():
            shelf, more = f"A-{self.dice.randint(1, 3)}", self.dice.randint(0, 12)
            self._scan(inbox.StockScanned, PICKER, barcode=sku, quantity=pieces + more, location=shelf)
        self._after(2 * DAYS, lambda: self._restock(work.wanted()))

    def _work(self) -> None:
        """Look at the screen, and scan what comes next; then look again until the parcel has left."""
        work = self.edges.row("warehouse", "fulfillments", self.order_id)
        self.looks += 1
        if work is None or self.looks > LOOKS or work.state in (S.SHIPPED, S.CANCELED, S.BACKORDERED):
            return
        of = {"order_id": self.order_id}
        picker, checker = ACTORS.get(work.picker, PICKER), ACTORS.get(work.checker, CHECKER)
        if work.state in (S.PICKING, S.CHECKING) and self.dice.random() < 0.04:  # the shift is over
            taken = TakeBack(order_id=self.order_id, reason="the shift is over")
            self._ask("warehouse", taken, BACK_OFFICE if self.dice.random() < 0.5 else picker)
        match work.state:
            case S.ALLOCATED:
                who = PICKER if self.dice.random() < 0.7 else SECOND_PICKER
                self._scan(inbox.PickStartScanned, who, **of)
            case S.PICKING:
                left = work.left_to_pick()
                one_by_one = left == self.left  # no shelf holds so many, it may be
                self.left = left
                for sku, pieces in left.items():
                    take = pieces if self.dice.random() < 0.9 else self.dice.randint(1, pieces + 1)
                    take = 1 if one_by_one else take
                    self._scan(inbox.PickScanned, picker, barcode=sku, quantity=take, **of)
                if self.dice.random() < 0.05:
                    self._scan(inbox.PickScanned, picker, barcode="NOT-HERE", quantity=1, **of)
                if not left:
                    self._scan(inbox.PickStartScanned, picker, **of)
            case S.PICKED:
                who = self.dice.choice((PICKER, SECOND_PICKER)) if self.dice.random() < 0.1 else CHECKER
                self._scan(inbox.CheckStartScanned, who, **of)
            case S.CHECKING if self.dice.random() < 0.05:  # lost count
                self._scan(inbox.CheckStartScanned, checker, anew=True, **of)
            case S.CHECKING:
                seen = {c.sku: c.good for c in work.counted}
                for sku, pieces in work.wanted().items():
                    if pieces > seen.get(sku, 0):
                        self._scan(
                            inbox.CheckScanned, checker, barcode=sku, quantity=pieces - seen.get(sku, 0), **of
                        )
                self._scan(inbox.CheckFinishScanned, checker, **of)
            case S.CHECKED:
                self._pack(work)
            case S.PACKED:
                if self.dice.random() < 0.04:
                    self._cancel(f"cancel-{self.looks}")
                for shipment in work.shipments:
                    self._scan(inbox.HandOverScanned, PICKER, tracking_number=shipment)
        self._after(self.dice.uniform(2, 50) * MINUTES, self._work)

    def _pack(self, work: Fulfillment) -> None:
        """Into one parcel, or a piece by itself first."""
        left = work.left_to_pack()
        alone = [{"sku": sku, "quantity": 1} for sku in left][:1]
        split = sum(left.values()) > 1 and not work.shipments and self.dice.random() < 0.15
        self._scan(
            inbox.PackScanned,
            PICKER,
            order_id=self.order_id,
            weight_grams=self.dice.randint(200, 3000),
            lines=alone if split else [],
        )

    def _on_return_authorized(self, data: Any) -> None:
        if self.dice.random() > 0.85:
            return
        found = tuple(
            inbox.DockLine(
                sku=line["sku"],
                quantity=line["quantity"],
                condition=self.dice.choice((Condition.AS_NEW, Condition.DAMAGED)),
            )
            for line in data["lines"]
        )
        self._after(self.dice.uniform(1, 6) * DAYS, lambda: self._unpack(data["case_id"], found))

    def _unpack(self, case_id: str, found: tuple[inbox.DockLine, ...]) -> None:
        """Scan what came back, and look again until the dock has it."""
        back = self.edges.row("warehouse", "dock", case_id)
        self.looks += 1
        if self.looks > LOOKS or (back is not None and back.state is DockState.INSPECTED):
            return
        if back is None or back.state is DockState.EXPECTED:
            self._scan(inbox.ReturnReceivedScanned, PICKER, case_id=case_id)
        else:
            self._scan(inbox.ReturnInspectedScanned, CHECKER, case_id=case_id, lines=found)
        self._after(2 * HOURS, lambda: self._unpack(case_id, found))

    # --- the courier --------------------------------------------------------------------------------------

    def _on_label_created(self, data: Any) -> None:
        self.labels.append(data)
        self.last_label = self.edges.now()
        if self.dice.random() < 0.05:  # the courier is faster than the scanner
            self._after(3 * HOURS, lambda: self._report(data, "in_transit"))

    def _on_fulfillment_canceled(self, data: Any) -> None:
        """Now and then the parcel has gone all the same: scanned offline before that, or as its courier knows."""
        way = self.dice.random()
        for parcel in self.labels:
            delay = self.dice.uniform(0.1, 20) * HOURS
            if way < 0.35:
                late: dict[str, Any] = {
                    "tracking_number": parcel["tracking_number"],
                    "scanned_at": self.last_label,
                }
                self._after(delay, lambda s=late: self._scan(inbox.HandOverScanned, PICKER, **s))  # type: ignore[misc]
            if 0.25 < way < 0.6:
                self._after(delay, lambda p=parcel: self._report(p, "in_transit"))  # type: ignore[misc]

    def _on_shipment_shipped(self, data: Any) -> None:
        if self.submission.delivery_method is DeliveryMethod.SELF_PICKUP:
            # mostly it was just taken over the counter; one that was brought to another is taken there
            taken = {"tracking_number": data["tracking_number"]}
            self._after(
                self.dice.uniform(1, 30) * HOURS, lambda: self._scan(inbox.HandOverScanned, PICKER, **taken)
            )
            return
        end = "return_to_sender" if self.dice.random() < 0.06 else "delivered"
        for status, hours in (("in_transit", 3), ("out_for_delivery", 20), (end, 40)):
            for _ in range(2 if self.dice.random() < 0.1 else 1):
                delay = (hours + self.dice.uniform(0, 30)) * HOURS
                self._after(delay, lambda s=status: self._report(data, s))  # type: ignore[misc]

    def _cash(self, parcel: Mapping[str, Any]) -> int:
        """What the courier says that it has collected: now and then less than is due, or nothing until later."""
        shipment = self.edges.row("warehouse", "shipments", parcel["shipment_id"])
        if shipment is None or not shipment.cod_due:
            return 0
        way, due = self.dice.random(), shipment.cod_due
        if way < 0.15:
            self._after(self.dice.uniform(1, 5) * DAYS, lambda: self._report(parcel, "delivered", due))
        return 0 if way < 0.18 else due // 2 if way < 0.24 else due

    def _report(self, parcel: Mapping[str, Any], status: str, cash: int | None = None) -> None:
        courier, number = parcel["courier"], parcel["tracking_number"]
        if cash is None:
            cash = self._cash(parcel) if status == "delivered" else 0
        self.cash[number] = max(cash, self.cash.get(number, 0))
        report = inbox.TrackingReported(
            courier=courier,
            tracking_number=number,
            status=TrackingStatus(status),
            occurred_at=self.edges.now(),
            cod_collected=cash,
        )
        self.scans += 1
        self._send(report, COURIER, f"track-{self.scans}")

    # --- means --------------------------------------------------------------------------------------------

    def _after(self, delay: timedelta, act: Callable[[], None]) -> None:
        self.edges.later(delay, act)

    def _send(self, event: Event, actor: Actor, name: str) -> None:
        self.edges.send(event, actor, f"{self.number}-{name}")

    def _scan(self, scan: type[Event], actor: Actor, **parts: Any) -> None:
        self.scans += 1
        event = scan.model_validate({"scanned_at": self.edges.now(), **parts})
        self._send(event, actor, f"scan-{self.scans}")

    def _ask(self, service: str, command: Command, actor: Actor) -> None:
        self.scans += 1
        self.edges.ask(service, command, actor, f"{self.number}-ask-{self.scans}")


def _personal(postcode: str) -> Personal:
    return Personal(
        contact=Contact(name="王芳", phone="+8613800000000", email="wang@example.org"),
        address=Address(
            country="CN", region="浙江省", city="杭州市", street="文三路 1 号", postcode=postcode
        ),
    )
