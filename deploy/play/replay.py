"""Plays order histories through the public edges, day by day on the driven clock, and says where every order ended.

Everything handed in has an id that follows from the files, so that a replay can be stopped and started again, or played twice,
without doubling anything.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

from deploy.play.edges import Edges, Heard, Listener, person, system
from deploy.play.files import ZONE
from deploy.play.histories import SOURCE, History
from deploy.play.pace import Pace
from shared.events import inbox
from shared.events.base import Event
from shared.events.identity import order_id as id_of
from shared.events.warehouse import TrackingStatus
from shared.values import Actor, Address, Contact, Locale, Money, OrderLine, Personal

SHOP = system(SOURCE)
PAYMENTS = system("payments")
PICKER = person("li.wei", device="scanner-1")
CHECKER = person("zhao.min", device="scanner-2")
STOCKED = "2000-01-01"
"""Name of the step before the first day: receiving stock."""
AFTER = timedelta(days=45)
"""So long the clock goes on in small steps once nothing happens: for what completes, expires or is given up by time."""


class OtherReplay(Exception):
    """What is kept in the folder is of another replay; says which, and what to do."""


class Progress:
    """What is replayed and how far it came, kept in a file of its folder: another replay over the same data would take the
    orders that it does not hand in for its own. Raises OtherReplay."""

    def __init__(self, file: Path, limit: int, files: str) -> None:
        self.file = file
        self.limit = limit
        self.files = files
        self.done = self._kept() if file.exists() else ""

    def finished(self, day: str) -> None:
        """This day is settled."""
        self.done = day
        part = self.file.with_suffix(".part")
        part.write_text(json.dumps({"done": day, "limit": self.limit, "files": self.files}))
        part.replace(self.file)

    def _kept(self) -> str:
        try:
            kept = json.loads(self.file.read_text())
            done, limit, files = str(kept["done"]), int(kept["limit"]), kept["files"]
        except (KeyError, TypeError, ValueError):
            raise OtherReplay(f"{self.file} does not tell what was replayed: give another --data.") from None
        other = "Give another --data, or"
        if files != self.files:
            raise OtherReplay(f"{self.file} is of a replay of other files. {other} the same files as then.")
        if limit != self.limit:
            raise OtherReplay(f"{self.file} is of a replay with --limit {limit}. {other} the same --limit.")
        return done


class Replay:
    """One run over the histories."""

    def __init__(self, histories: Sequence[History], edges: Edges, pace: Pace, listener: Listener) -> None:
        self.histories = list(histories)
        self.edges = edges
        self.pace = pace
        self.tracking: dict[str, tuple[str, str]] = {}
        """Order → courier and tracking number, as the warehouse told."""
        self.refused: dict[str, str] = {}
        """Id of a refused message → why."""
        self.cancel_refused: set[str] = set()
        self._waiting: list[Any] = []
        self._days = self._schedule()
        listener.tell(self._hear)

    @property
    def days(self) -> list[date]:
        """The days on which something happened, and those after each, until the next, on which only what is timed happens: its
        consequences are reckoned from when it is done, so that one long step would put them off."""
        days: list[date] = []
        for day, following in pairwise([*sorted(self._days), date.max]):
            quiet = (day + timedelta(days=n) for n in range(5, AFTER.days + 1, 5))
            days += [day, *(d for d in quiet if d < following)]
        return days

    async def play(self, progress: Progress, again: bool, each: Callable[[date], None]) -> None:
        """Play from where it was stopped; `again` plays all of it over a system that has it all."""
        if not progress.done:
            progress.finished("")  # from here on the data is of this replay, however early it is stopped
        if again or not progress.done:
            await self._receive_stock()
            if not again:
                progress.finished(STOCKED)
        for day in self.days:
            name = day.isoformat()
            if again or name > progress.done:
                await self._day(day)
                if not again:
                    progress.finished(name)
            each(day)

    # --- a day --------------------------------------------------------------------------------------------

    async def _day(self, day: date) -> None:
        happening = self._days.get(day, {})
        if self.pace.now is None or self.pace.now < midnight(day):
            # what fell due in the days between has happened before anybody acts today, and today is no longer still to come
            await self.pace.move_to(midnight(day))
            await self._settle()
        for history, what in happening.get("shop", []):
            await self._shop(history, what)
        await self._settle()
        await self.pace.move_to(end_of(day))
        await self._settle()
        for history, _ in happening.get("courier", []):
            await self._courier(history)
        for history, _ in happening.get("warehouse", []):
            await self._work(history)
        if happening.get("warehouse"):
            await self._settle()
            for history, _ in happening["warehouse"]:
                await self._hand_over(history)
            await self._settle()
        for history, _ in happening.get("later", []):
            await self._courier(history)

    def _schedule(self) -> dict[date, dict[str, list[tuple[History, str]]]]:
        """Day → who acts → on which order, in the order of their times."""
        moments: list[tuple[datetime, str, History, str]] = []
        for h in self.histories:
            moments.append((h.placed_at, "shop", h, "order"))
            if h.approved_at:
                moments.append((max(h.approved_at, h.placed_at), "shop", h, "pay"))
            if h.canceled_at:
                moments.append((h.canceled_at, "shop", h, "cancel"))
            if h.shipped_at:
                moments.append((h.shipped_at, "warehouse", h, "ship"))
                if h.delivered_at:
                    same = h.delivered_at.astimezone(ZONE).date() <= h.shipped_at.astimezone(ZONE).date()
                    moments.append(
                        (max(h.delivered_at, h.shipped_at), "later" if same else "courier", h, "deliver")
                    )
                    if h.reviewed_at and h.reviewed_at > h.delivered_at + timedelta(days=1):
                        moments.append((h.reviewed_at, "shop", h, "receipt"))
        days: dict[date, dict[str, list[tuple[History, str]]]] = defaultdict(lambda: defaultdict(list))
        for at, who, history, what in sorted(moments, key=lambda m: (m[0], m[2].order_id)):
            days[at.astimezone(ZONE).date()][who].append((history, what))
        return days

    async def _receive_stock(self) -> None:
        """Enough of every SKU that every item can be allocated."""
        wanted: dict[str, int] = defaultdict(int)
        for history in self.histories:
            for (sku, _), pieces in history.items.items():
                wanted[sku] += pieces
        before = self.histories[0].placed_at - timedelta(days=1)
        for sku, pieces in sorted(wanted.items()):
            scan = inbox.StockScanned(barcode=sku, quantity=pieces, location="SHELF", scanned_at=before)
            await self._send(scan, PICKER, f"stock-{sku}")
        await self._settle()

    # --- who does what ------------------------------------------------------------------------------------

    async def _shop(self, h: History, what: str) -> None:
        match what:
            case "order":
                await self._submit(h)
            case "pay":
                for payment_id, amount in h.payments:
                    await self._send(
                        inbox.PaymentCaptured(
                            source=SOURCE,
                            external_number=h.order_id,
                            payment_id=payment_id,
                            amount=Money(amount=amount, currency="BRL"),
                            captured_at=h.approved_at or h.placed_at,
                        ),
                        PAYMENTS,
                        f"{payment_id}-captured",
                    )
            case "cancel":
                asked = inbox.CancelAsked(
                    source=SOURCE, external_number=h.order_id, reason=f"the shop says {h.status}"
                )
                await self._send(asked, SHOP, f"{h.order_id}-cancel")
            case "receipt":
                confirmed = inbox.ReceiptConfirmed(source=SOURCE, external_number=h.order_id)
                await self._send(confirmed, SHOP, f"{h.order_id}-receipt")

    async def _submit(self, h: History) -> None:
        lines = [
            OrderLine(line=n, sku=sku, quantity=pieces, unit_price=price)
            for n, ((sku, price), pieces) in enumerate(sorted(h.items.items()), 1)
        ]
        # the files hold no names: what stands here is made up, only place and postcode are theirs
        contact = Contact(
            name=f"Buyer {h.buyer_id[:8]}", phone="+5511900000000", email=f"{h.buyer_id[:8]}@example.org"
        )
        address = Address(
            country="BR", region=h.region, city=h.city, street="(not in the files)", postcode=h.postcode
        )
        parts: dict[str, Any] = {
            "source": SOURCE,
            "external_number": h.order_id,
            "placed_at": h.placed_at,
            "buyer_id": h.buyer_id,
            "lines": tuple(lines),
            "currency": "BRL",
            "total": h.total,
            "delivery_fee": h.freight,
            "deliver_by": max(h.estimated_at, h.placed_at + timedelta(days=3)) if h.estimated_at else None,
            "locale": Locale.EN,
            "address_confirmed": True,
            "personal": Personal(contact=contact, address=address),
        }
        # an order without items is handed in as it is: refusing it is the system's to do
        order = inbox.OrderSubmitted(**parts) if lines else inbox.OrderSubmitted.model_construct(**parts)
        await self._send(order, SHOP, f"{h.order_id}-submitted")

    async def _work(self, h: History) -> None:
        """Pick, check and pack, each step scanned a little before the courier came."""
        assert h.shipped_at is not None
        order = id_of(SOURCE, h.order_id)
        at = [h.shipped_at - timedelta(minutes=30 - n) for n in range(6)]
        goods = [{"barcode": sku, "quantity": n} for sku, n in h.goods]
        scans: list[tuple[Event, Actor]] = [
            (inbox.PickStartScanned(order_id=order, scanned_at=at[0]), PICKER)
        ]
        scans += [(inbox.PickScanned(order_id=order, scanned_at=at[1], **g), PICKER) for g in goods]  # type: ignore[arg-type]
        scans.append((inbox.CheckStartScanned(order_id=order, scanned_at=at[2]), CHECKER))
        scans += [(inbox.CheckScanned(order_id=order, scanned_at=at[3], **g), CHECKER) for g in goods]  # type: ignore[arg-type]
        scans.append((inbox.CheckFinishScanned(order_id=order, scanned_at=at[4]), CHECKER))
        weight = min(max(h.weight_grams, 1), 1_000_000)
        scans.append((inbox.PackScanned(order_id=order, weight_grams=weight, scanned_at=at[5]), PICKER))
        for n, (scan, actor) in enumerate(scans):
            await self._send(scan, actor, f"{h.order_id}-scan-{n}")

    async def _hand_over(self, h: History) -> None:
        parcel = self.tracking.get(id_of(SOURCE, h.order_id))
        if parcel is None or h.shipped_at is None:
            return  # the warehouse had no such order to pack: canceled, held or refused before
        scan = inbox.HandOverScanned(tracking_number=parcel[1], scanned_at=h.shipped_at)
        await self._send(scan, PICKER, f"{h.order_id}-handed-over")
        await self._report(h, "in_transit", h.shipped_at)

    async def _courier(self, h: History) -> None:
        if h.delivered_at is not None:
            await self._report(h, "delivered", h.delivered_at)

    async def _report(self, h: History, status: str, at: datetime) -> None:
        parcel = self.tracking.get(id_of(SOURCE, h.order_id))
        if parcel is None:
            return
        report = inbox.TrackingReported(
            courier=parcel[0], tracking_number=parcel[1], status=TrackingStatus(status), occurred_at=at
        )
        await self._send(report, system(parcel[0]), f"{h.order_id}-{status}")

    # --- the edges ----------------------------------------------------------------------------------------

    async def _send(self, event: Event, actor: Actor, message_id: str) -> None:
        self._waiting.append(await self.edges.send(event, actor, id=message_id, source=actor.name))

    async def _settle(self) -> None:
        for future in self._waiting:
            await future
        self._waiting.clear()
        await self.pace.settled()

    def _hear(self, heard: Heard) -> None:
        kind = heard.type.split(".", 1)[1]
        if kind == "label_created.v1":
            self.tracking[heard.data["order_id"]] = (heard.data["courier"], heard.data["tracking_number"])
        elif kind == "message_refused.v1":
            self.refused[heard.data["refused"]] = f"{heard.data['code']}: {heard.data['detail']}"
        elif heard.type == "orders.cancel_refused.v1":
            self.cancel_refused.add(heard.data["order_id"])


def midnight(day: date) -> datetime:
    """When a day begins, where the histories happened."""
    return datetime.combine(day, time(), ZONE).astimezone(UTC)


def end_of(day: date) -> datetime:
    """When the next day begins."""
    return midnight(day + timedelta(days=1))
