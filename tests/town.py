"""All services together in memory: what one publishes, the others hear, as Kafka would bring it."""

from datetime import datetime, timedelta
from typing import Any

from services.aftersales.handlers import service as aftersales
from services.notify.handlers import service as notify
from services.orders.handlers import service as orders
from services.warehouse.couriers_file import DEFAULT_COURIERS, load_couriers
from services.warehouse.handlers import service as warehouse
from shared.events import inbox
from shared.events.aftersales import RefundRequested
from shared.events.base import EVENT_TYPES, Event, topic_of
from shared.events.warehouse import TrackingStatus
from shared.runtime.envelope import decode_ours, headers
from shared.runtime.messages import Command, Outcome, Raw
from shared.values import Actor, ActorKind
from tests.builders import confirmed, oid, paid, submitted
from tests.harness import AGENT, SHOP, START, Bench

COURIERS = load_couriers(DEFAULT_COURIERS)
PICKER = Actor(kind=ActorKind.OPERATOR, name="li.wei", device="scanner-1")
CHECKER = Actor(kind=ActorKind.OPERATOR, name="zhao.min", device="scanner-2")
COURIER = Actor(kind=ActorKind.SYSTEM, name="sf")


class Town:
    """The services, one clock, and a bus between them."""

    def __init__(self, start: datetime = START) -> None:
        self.benches: dict[str, Bench[Any]] = {
            "orders": Bench(orders(), start),
            "warehouse": Bench(warehouse(COURIERS), start),
            "aftersales": Bench(aftersales(), start),
            "notify": Bench(notify(), start),
        }
        self._sent: dict[str, int] = dict.fromkeys(self.benches, 0)
        self._scans = 0
        self._late: dict[tuple[str, str], list[Any]] = {}
        """Publisher and reader → what the reader is still to hear."""

    @property
    def now(self) -> datetime:
        """The town's time."""
        return self.benches["orders"].clock.now()

    async def settle(self) -> None:
        """Carry events and due timers until nothing moves any more."""
        moved = True
        while moved:
            moved = False
            for name, bench in self.benches.items():
                while await bench.turns.run_timers():
                    moved = True
                entries = bench.store.event_log[self._sent[name] :]
                self._sent[name] += len(entries)
                for reader, other in self.benches.items():
                    if entries and (name, reader) in self._late:
                        self._late[name, reader] += entries
                    elif entries and name in other.service.topics:
                        await other.turns.run([_record(name, e) for e in entries])
                        moved = True

    def delay(self, publisher: str, *, to: str) -> None:
        """From now on one service hears another late."""
        self._late[publisher, to] = []

    async def catch_up(self) -> None:
        """All hear what they are still to hear."""
        late, self._late = self._late, {}
        for (publisher, reader), entries in late.items():
            await self.benches[reader].turns.run([_record(publisher, e) for e in entries])
        await self.settle()

    async def resend(self, name: str, *, to: str) -> None:
        """All that one service said, again, to a service that may have missed it."""
        records = [_record(name, e) for e in self.benches[name].store.event_log]
        await self.benches[to].turns.run(records)

    async def pass_time(self, delta: timedelta) -> None:
        """Move all clocks together, from one due timer to the next."""
        until = self.now + delta
        while True:
            due = [t.due for b in self.benches.values() for t in b.store.timers.values() if t.due <= until]
            if not due:
                break
            self._move(min(due))
            await self.settle()
        self._move(until)

    def _move(self, now: datetime) -> None:
        for bench in self.benches.values():
            bench.clock.move_to(now)

    async def outside(self, event: Event, actor: Actor = SHOP, id: str | None = None) -> Outcome:
        """An outside event at the service that owns its inbox."""
        topic = topic_of(event.wire_type)
        bench = next(b for b in self.benches.values() if topic in b.service.inboxes)
        outcome = await bench.outside(event, actor=actor, id=id)
        await self.settle()
        return outcome

    async def ask(self, service: str, command: Command, actor: Actor = AGENT) -> Outcome:
        """A command to one service."""
        outcome = await self.benches[service].ask(command, actor=actor)
        await self.settle()
        return outcome

    async def scan(self, event: type[Event], actor: Actor = PICKER, **parts: Any) -> Outcome:
        """A scan at this instant."""
        self._scans += 1
        return await self.outside(
            event.model_validate({"scanned_at": self.now} | parts), actor, id=f"scan-{self._scans}"
        )

    async def stock(self, sku: str = "TEA", quantity: int = 100, location: str = "A-1") -> None:
        """Receive stock."""
        assert (
            await self.scan(inbox.StockScanned, barcode=sku, quantity=quantity, location=location)
        ).refusal is None

    async def release(self, number: str = "T-1", **parts: Any) -> str:
        """An order, paid and confirmed."""
        order = submitted(number, placed_at=self.now, **parts)
        await self.outside(order)
        if order.payment_method == "prepaid":
            await self.outside(paid(number, amount=order.total))
        await self.outside(confirmed(number, cod_accepted=True))
        return oid(number)

    async def pick(self, order: str) -> None:
        """Pick all lines."""
        await self.scan(inbox.PickStartScanned, order_id=order)
        work = self.row("warehouse", "fulfillments", order)
        for sku, quantity in work.left_to_pick().items():
            outcome = await self.scan(inbox.PickScanned, order_id=order, barcode=sku, quantity=quantity)
            assert outcome.refusal is None, outcome.refusal

    async def check(self, order: str) -> Outcome:
        """A second person counts what is right."""
        await self.scan(inbox.CheckStartScanned, CHECKER, order_id=order)
        for sku, quantity in self.row("warehouse", "fulfillments", order).wanted().items():
            await self.scan(inbox.CheckScanned, CHECKER, order_id=order, barcode=sku, quantity=quantity)
        return await self.scan(inbox.CheckFinishScanned, CHECKER, order_id=order)

    async def pack(self, order: str, weight: int = 500) -> str:
        """One parcel; its tracking number."""
        outcome = await self.scan(inbox.PackScanned, order_id=order, weight_grams=weight)
        assert outcome.refusal is None, outcome.refusal
        number: str = outcome.answer["tracking_number"]
        return number

    async def ship(self, order: str) -> str:
        """From allocated to handed over; the tracking number."""
        await self.pick(order)
        await self.check(order)
        number = await self.pack(order)
        outcome = await self.scan(inbox.HandOverScanned, tracking_number=number)
        assert outcome.refusal is None, outcome.refusal
        return number

    async def pack_apart(self, order: str, *skus: str) -> list[str]:
        """From allocated to packed, a piece of each in a parcel of its own; the tracking numbers."""
        await self.pick(order)
        await self.check(order)
        numbers = []
        for sku in skus:
            one = [{"sku": sku, "quantity": 1}]
            packed = await self.scan(inbox.PackScanned, order_id=order, weight_grams=1, lines=one)
            numbers.append(packed.answer["tracking_number"])
        return numbers

    async def ship_apart(self, order: str, *skus: str) -> list[str]:
        """The same, from allocated to handed over."""
        numbers = await self.pack_apart(order, *skus)
        for number in numbers:
            outcome = await self.scan(inbox.HandOverScanned, tracking_number=number)
            assert outcome.refusal is None, outcome.refusal
        return numbers

    async def track(self, number: str, status: str, courier: str = "sf", **parts: Any) -> Outcome:
        """The courier's report."""
        report = inbox.TrackingReported(
            courier=courier,
            tracking_number=number,
            status=TrackingStatus(status),
            **({"occurred_at": self.now} | parts),
        )
        return await self.outside(report, COURIER)

    def row(self, service: str, table: str, key: str) -> Any:
        """A row of a service."""
        return self.benches[service].row(table, key)

    def said(self, kind: type[Event]) -> list[Any]:
        """All published events of a class."""
        return [e for b in self.benches.values() for e in b.said_of(kind)]

    def refunds(self) -> list[int]:
        """What finance was asked to pay back."""
        return [e.amount.amount for e in self.said(RefundRequested)]

    def letters(self, audience: str = "buyer") -> list[str]:
        """The templates of what people are written."""
        letters = self.benches["notify"].store.rows("messages")
        return sorted(m.template for m in letters if m.audience == audience)

    def parked(self) -> list[Any]:
        """Everything that any service set aside."""
        return [p for b in self.benches.values() for p in b.store.rows("parked")]


def _record(publisher: str, entry: Any) -> Any:
    said = tuple(headers(entry, f"/handover/{publisher}"))
    incoming = decode_ours(Raw(publisher, 0, entry.sequence, entry.stream.encode(), said, entry.wire))
    assert incoming.error is None, incoming.error
    assert entry.type in EVENT_TYPES
    return incoming
