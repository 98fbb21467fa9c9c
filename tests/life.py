"""What happens to orders, to many of them in step: each thing that happens comes to all of them in one turn."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

from services.notify.handlers import SetOptOut
from services.notify.sender import SENDER
from services.notify.sending import Claim, ClaimMessages, RecordResults, Result
from services.notify.tables import MessageState
from services.orders.handlers.erasing import ErasePersonal
from services.warehouse.handlers.stock import RegisterSku
from shared.events import inbox
from shared.events.aftersales import ReturnReason
from shared.events.base import Event, topic_of
from shared.events.warehouse import Condition, TrackingStatus
from shared.runtime.commands import asked
from shared.runtime.messages import Outcome, Status
from shared.values import Actor, OrderLine, SkuQuantity
from tests.builders import SOURCE, cancel, confirmed, lines, oid, paid, submitted
from tests.harness import ADMINISTRATOR, SHOP, SUPERVISOR
from tests.town import CHECKER, COURIER, PICKER, Town

GOODS = lines(("TEA", 2, 5000), ("CUP", 1, 300))
PRICE = 10_300


class InStep:
    """Orders of these numbers, to which everything happens together."""

    def __init__(self, town: Town, numbers: Sequence[str]) -> None:
        self.town = town
        self.numbers = numbers

    async def told(self, tell: Callable[[str], Event], actor: Actor = SHOP) -> list[Outcome]:
        """One event of each order from outside, and all that comes of it."""
        events = [tell(number) for number in self.numbers]
        topic = topic_of(events[0].wire_type)
        bench = next(b for b in self.town.benches.values() if topic in b.service.inboxes)
        outcomes = await bench.turns.run([bench.from_outside(event, actor=actor) for event in events])
        assert {o.status for o in outcomes} == {Status.DONE}, [o.refusal for o in outcomes if o.refusal][:1]
        await self.town.settle()
        return outcomes

    async def scanned(self, event: type[Event], actor: Actor = PICKER, **parts: Any) -> list[Outcome]:
        """One scan for each order."""
        return await self.told(
            lambda n: event(**{"order_id": oid(n), "scanned_at": self.town.now} | parts), actor
        )

    async def placed(self) -> None:
        """Paid before they came, and confirmed."""
        await self.told(lambda n: paid(n, amount=PRICE))
        await self.told(lambda n: submitted(n, placed_at=self.town.now, lines=GOODS))
        await self.told(confirmed)

    async def stocked(self) -> None:
        """Goods for each of them arrive."""
        for line in GOODS:
            await self.told(self._arrival(line), PICKER)

    def _arrival(self, line: OrderLine) -> Callable[[str], Event]:
        more: dict[str, Any] = {"barcode": line.sku, "quantity": line.quantity, "location": "A-1"}
        return lambda n: inbox.StockScanned(**more, scanned_at=self.town.now)

    async def shipped(self) -> dict[str, str]:
        """Picked, checked, packed and handed over; the tracking number of each."""
        pieces: list[dict[str, Any]] = [{"barcode": line.sku, "quantity": line.quantity} for line in GOODS]
        await self.scanned(inbox.PickStartScanned)
        for piece in pieces:
            await self.scanned(inbox.PickScanned, **piece)
        await self.scanned(inbox.CheckStartScanned, CHECKER)
        for piece in pieces:
            await self.scanned(inbox.CheckScanned, CHECKER, **piece)
        await self.scanned(inbox.CheckFinishScanned, CHECKER)
        packed = await self.scanned(inbox.PackScanned, weight_grams=500)
        labels = {n: o.answer["tracking_number"] for n, o in zip(self.numbers, packed, strict=True)}
        await self.told(
            lambda n: inbox.HandOverScanned(tracking_number=labels[n], scanned_at=self.town.now), PICKER
        )
        return labels

    async def tracked(self, labels: dict[str, str], status: TrackingStatus) -> None:
        """Their couriers report."""
        now = self.town.now
        await self.told(
            lambda n: inbox.TrackingReported(
                courier="sf", tracking_number=labels[n], status=status, occurred_at=now
            ),
            COURIER,
        )

    async def sent_back(self) -> None:
        """Their buyers send a part back, which is looked at and paid for."""
        tea, now = (SkuQuantity(sku="TEA", quantity=2),), self.town.now
        why = ReturnReason.CHANGED_MIND
        await self.told(lambda n: inbox.ReturnAsked(source=SOURCE, external_number=n, lines=tea, reason=why))
        await self.told(lambda n: inbox.ReturnReceivedScanned(case_id=f"{oid(n)}-C1", scanned_at=now), PICKER)
        found = (inbox.DockLine(sku="TEA", quantity=2, condition=Condition.AS_NEW),)
        await self.told(
            lambda n: inbox.ReturnInspectedScanned(case_id=f"{oid(n)}-C1", lines=found, scanned_at=now),
            PICKER,
        )

    async def erased(self) -> None:
        """Their buyers are forgotten."""
        orders = self.town.benches["orders"].turns
        commands = [ErasePersonal(order_id=oid(n), reason="they asked for it") for n in self.numbers]
        outcomes = await orders.run([asked(c, ADMINISTRATOR, self.town.now) for c in commands])
        assert {o.status for o in outcomes} == {Status.DONE}
        await self.town.settle()


async def live(town: Town, name: str, orders: int = 1) -> None:
    """So many orders of each kind of life: sold and sent back in part, brought back by the courier, canceled, never paid."""

    def these(kind: str) -> InStep:
        return InStep(town, [f"{name}-{kind}-{n}" for n in range(orders)])

    sold, unwanted, canceled, unpaid = map(these, ("sold", "unwanted", "canceled", "unpaid"))
    await sold.placed()
    await sold.stocked()
    await sold.tracked(await sold.shipped(), TrackingStatus.DELIVERED)
    await sold.sent_back()
    await unwanted.stocked()
    await unwanted.placed()
    await unwanted.tracked(await unwanted.shipped(), TrackingStatus.RETURN_TO_SENDER)
    await canceled.placed()
    await canceled.told(cancel)
    await unpaid.told(lambda n: submitted(n, placed_at=town.now, lines=GOODS))
    # of parcels that nobody knows
    await unpaid.tracked({n: f"SF{n}" for n in unpaid.numbers}, TrackingStatus.IN_TRANSIT)
    await town.pass_time(timedelta(days=60))
    await sold.erased()
    assert town.parked() == []


async def wait(town: Town, name: str) -> None:
    """A payment whose order does not come, a report on a parcel that nobody knows, and an order of goods that are not there."""
    late = InStep(town, [name])
    await late.told(lambda n: paid(f"{n}-late"))
    await late.tracked({name: f"SF{name}"}, TrackingStatus.IN_TRANSIT)
    await town.release(f"{name}-waits", lines=lines((f"{name}-LATER", 1, 5000)))


async def write(town: Town) -> None:
    """All letters leave, and were taken."""
    notify = town.benches["notify"]
    planned = [m.message_id for m in notify.store.rows("messages") if m.state is MessageState.PLANNED]
    claimed = await notify.ask(ClaimMessages(message_ids=tuple(planned)), actor=SENDER)
    claim = Claim.model_validate(claimed.answer)
    sent = tuple(Result(message_id=message_id) for message_id in claim.message_ids)
    await town.ask("notify", RecordResults(results=sent, lease=claim.lease), SENDER)


async def keep(town: Town, name: str) -> None:
    """What people keep: a SKU with its barcode, and a buyer who wants no letters."""
    sku = RegisterSku(sku=f"{name}-SKU", name="Tea", barcodes=(f"{name}-CODE",))
    opt_out = SetOptOut(buyer_id=f"{name}-buyer", opted_out=True)
    assert (await town.benches["warehouse"].ask(sku, actor=SUPERVISOR)).status is Status.DONE
    assert (await town.benches["notify"].ask(opt_out, key=name)).status is Status.DONE
