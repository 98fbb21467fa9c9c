"""The couriers of the simulated town, and the counter where buyers fetch their parcels."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from deploy.simulate.edges import COURIER, PICKER
from deploy.simulate.story import DAYS, HOURS, Story
from shared.events import inbox
from shared.events.warehouse import TrackingStatus
from shared.goods import by_sku
from shared.values import DeliveryMethod


class Couriers:
    """They carry parcels, report late and twice, bring some back, and tell of the cash in their own time."""

    def __init__(self, story: Story) -> None:
        self.story = story
        self.labels: list[Mapping[str, Any]] = []
        self.last_label = story.edges.now()
        self.cash: dict[str, int] = {}
        """What was said to be collected, by parcel."""
        self.ended: set[str] = set()
        """Parcels that reached the buyer, or turned round."""
        self.contradicted = False

    def _on_label_created(self, data: Any) -> None:
        self.labels.append(data)
        self.last_label = self.story.edges.now()
        if self.story.dice.random() < 0.05:  # the courier is faster than the scanner
            self.story.after(3 * HOURS, lambda: self._report(data, "in_transit"))

    def _on_fulfillment_canceled(self, data: Any) -> None:
        self._goes_all_the_same(self.labels)

    def _on_fulfillment_cancel_refused(self, data: Any) -> None:
        shipments = [
            (p, self.story.edges.row("warehouse", "shipments", p["shipment_id"])) for p in self.labels
        ]
        self._goes_all_the_same([parcel for parcel, shipment in shipments if shipment.kept_back])

    def _goes_all_the_same(self, kept_back: list[Mapping[str, Any]]) -> None:
        """Now and then a parcel that was to stay has gone: scanned offline before that, or as its courier knows."""
        way = self.story.dice.random()
        for parcel in kept_back:
            delay = self.story.dice.uniform(0.1, 20) * HOURS
            if way < 0.35:
                late: dict[str, Any] = {
                    "tracking_number": parcel["tracking_number"],
                    "scanned_at": self.last_label,
                }
                self.story.after(delay, lambda s=late: self.story.scan(inbox.HandOverScanned, PICKER, **s))  # type: ignore[misc]
            if 0.25 < way < 0.6:
                self.story.after(delay, lambda p=parcel: self._report(p, "in_transit"))  # type: ignore[misc]

    def _on_shipment_shipped(self, data: Any) -> None:
        if data["delivery_method"] == DeliveryMethod.SELF_PICKUP:
            # mostly it was just taken over the counter; one that was brought to another is taken there
            taken = {"tracking_number": data["tracking_number"]}
            self.story.after(
                self.story.dice.uniform(1, 30) * HOURS,
                lambda: self.story.scan(inbox.HandOverScanned, PICKER, **taken),
            )
            return
        way = self.story.dice.random()
        back, lost = (0.2, 0.35) if len(self.labels) > 1 else (0.08, 0.1)  # several parcels go several ways
        end = "return_to_sender" if way < back else "in_transit" if way < lost else "delivered"
        if end == "in_transit" and self.story.dice.random() < 0.3:  # found again, when all had given it up
            weeks = self.story.dice.uniform(2, 6) * 7 * DAYS
            self.story.after(weeks, lambda: self._report(data, "delivered"))
        if end == "return_to_sender" and not self.contradicted and self.story.dice.random() < 0.3:
            self._contradicts(data)
            return
        for status, hours in (("in_transit", 3), ("out_for_delivery", 20), (end, 40)):
            for _ in range(2 if self.story.dice.random() < 0.1 else 1):
                delay = (hours + self.story.dice.uniform(0, 30)) * HOURS
                self.story.after(delay, lambda s=status: self._report(data, s))  # type: ignore[misc]

    def _contradicts(self, data: Any) -> None:
        """It says that a parcel comes back, and then that it was delivered; one of the two is so."""
        self.contradicted = True
        delivered = self.story.dice.random() < 0.6
        if delivered:
            self.story.after_all.add(data["shipment_id"])
        back = self.story.dice.uniform(20, 60) * HOURS
        self.story.after(back, lambda: self._report(data, "return_to_sender", so=not delivered))
        later = back + self.story.dice.uniform(1, 8) * DAYS
        self.story.after(
            later, lambda: self._report(data, "delivered", None if delivered else 0, so=delivered)
        )

    def _on_shipment_delivered(self, data: Any) -> None:
        self._ends(data["shipment_id"], self.story.has)

    def _ends(self, parcel: str, where: Counter[str]) -> None:
        """The goods of a parcel are where it ended."""
        if parcel not in self.ended:
            self.ended.add(parcel)
            pieces = by_sku(self.story.edges.row("warehouse", "shipments", parcel).lines)
            where.update(pieces)
            if where is self.story.turned:
                self.story.parcels_back[parcel] = pieces

    def _cash(self, parcel: Mapping[str, Any]) -> int:
        """What the courier says that it has collected: now and then less than is due, or nothing until later."""
        shipment = self.story.edges.row("warehouse", "shipments", parcel["shipment_id"])
        if shipment is None or not shipment.cod_due:
            return 700 if self.story.dice.random() < 0.01 else 0
        way, due = self.story.dice.random(), shipment.cod_due
        if way < 0.15:
            self.story.after(
                self.story.dice.uniform(1, 5) * DAYS, lambda: self._report(parcel, "delivered", due)
            )
        return 0 if way < 0.18 else due // 2 if way < 0.24 else due + 100 if way < 0.27 else due

    def _report(
        self, parcel: Mapping[str, Any], status: str, cash: int | None = None, *, so: bool = True
    ) -> None:
        courier, number = parcel["courier"], parcel["tracking_number"]
        if cash is None:
            cash = self._cash(parcel) if status == "delivered" else 0
        self.cash[number] = max(cash, self.cash.get(number, 0))
        if so and status in ("delivered", "return_to_sender"):
            self._ends(number, self.story.has if status == "delivered" else self.story.turned)
        report = inbox.TrackingReported(
            courier=courier,
            tracking_number=number,
            status=TrackingStatus(status),
            occurred_at=self.story.edges.now(),
            cod_collected=cash,
        )
        self.story.scans += 1
        self.story.send(report, COURIER, f"track-{self.story.scans}")
