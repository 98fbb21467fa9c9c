"""A day in a shop: buyers, payments, agents, pickers, checkers, a courier and the returns dock, each doing what a person or
system outside would do when it sees what the topics say. Everything goes through the public edges.
"""

import asyncio
import itertools
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, Self

from deploy.play.edges import Edges, Heard, Refusal, person, system
from deploy.play.script import CATALOG, SOURCE, End, Script, Story
from shared.events import inbox
from shared.events.aftersales import ReturnReason
from shared.events.base import Event
from shared.events.warehouse import Condition, TrackingStatus
from shared.values import Actor, Money, Role, SkuQuantity

SHOP = system(SOURCE)
PAYMENTS = system("payments")
COURIER_OF = {code: system(code) for code in ("sf", "ems", "heavy", "own", "pickup", "intl")}
AGENT = person("agent.mei")
SUPERVISOR = person("supervisor.chen", Role.BACK_OFFICE)
PICKERS = [
    person(name, device=f"scanner-{i}")
    for i, name in enumerate(("li.wei", "zhao.min", "qian.yu", "sun.bo"), 1)
]
DOCK = person("wu.hao", device="scanner-9")
AT_ONCE = 24
"""How many people and machines are busy at the same time."""


def now() -> datetime:
    """The wall clock: a demo day runs in real time."""
    return datetime.now(UTC)


class Day:
    """Plays the scripts; `done` holds how each order ended as far as the topics told.

    Use it as an async context manager inside its edges and around the listener that tells it: whoever still reacts when it ends
    is stopped, after what starts reactions and before what they use.
    """

    def __init__(self, scripts: list[Script], edges: Edges) -> None:
        self.scripts = {s.order_id: s for s in scripts}
        self.edges = edges
        self.stages: Counter[str] = Counter()
        self.done: dict[str, str] = {}
        self.failures: list[str] = []
        self._busy = asyncio.Semaphore(AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()
        self._ids = itertools.count(1)
        self._run = scripts[0].number.rsplit("-", 1)[0] if scripts else "day"
        self._shifts = itertools.cycle(range(len(PICKERS)))
        self._miscounted: set[str] = set()
        self._seen: set[tuple[str, str]] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # --- the shop's side ----------------------------------------------------------------------------------

    async def receive_stock(self) -> None:
        """Before opening: enough of everything, scanned onto the shelves."""
        wanted: Counter[str] = Counter(dict.fromkeys(CATALOG, 5))
        for script in self.scripts.values():
            for line in script.order.lines:
                wanted[line.sku] += line.quantity
        for place, (sku, quantity) in enumerate(sorted(wanted.items())):
            scan = inbox.StockScanned(
                barcode=sku, quantity=quantity, location=f"A-{place:02d}", scanned_at=now()
            )
            await self._post(scan, PICKERS[0])

    async def open_shop(self, each: Callable[[], None]) -> None:
        """Send all orders in, with their payments and answers, in the order in which they happened."""
        for script in self.scripts.values():
            await self._buy(script)
            each()

    async def _buy(self, script: Script) -> None:
        story, order, number = script.story, script.order, script.number
        if story is Story.BOUGHT_TWICE:
            twin = order.model_copy(update={"external_number": f"{number}-again"})
            await self._put(order, SHOP)
            await self._put(twin, SHOP)
            await self._put(
                inbox.CancelAsked(source=SOURCE, external_number=f"{number}-again", reason="bought twice"),
                SHOP,
            )
        else:
            await self._put(order, SHOP)
        if story is Story.UNPAID:
            return
        if story is Story.TWO_PAYMENTS:
            await self._pay(script, order.total // 2, "a")
            await self._pay(script, order.total - order.total // 2, "b")
        elif story in (Story.OVERPAID_ACCEPTED, Story.OVERPAID_HELD):
            await self._pay(script, order.total // 2, "a")
            await self._pay(script, order.total, "b")
            await self._pay(script, order.total - order.total // 2, "c")
        elif order.payment_method == "prepaid":
            await self._pay(script, order.total, "a")
        if story is Story.CANCELED_EARLY:
            await self._put(
                inbox.CancelAsked(source=SOURCE, external_number=number, reason="changed my mind"), SHOP
            )
        elif story is not Story.AGENT_CORRECTS:
            answer = inbox.AddressAnswered(
                source=SOURCE, external_number=number, cod_accepted=order.payment_method == "cod"
            )
            await self._put(answer, SHOP)

    async def _pay(self, script: Script, amount: int, part: str) -> None:
        payment = inbox.PaymentCaptured(
            source=SOURCE,
            external_number=script.number,
            payment_id=f"{script.number}-{part}",
            amount=Money(amount=amount, currency="CNY"),
            captured_at=now(),
        )
        await self._put(payment, PAYMENTS)

    # --- reactions ----------------------------------------------------------------------------------------

    def hear(self, heard: Heard) -> None:
        """React to what the topics say of our orders."""
        order_id = heard.stream.removeprefix("order/")
        script = self.scripts.get(order_id)
        if script is None:
            return
        kind = heard.type.split(".")[1]
        self.stages[kind] += 1
        self._seen.add((order_id, kind))
        reaction: Callable[[Script, dict[str, Any]], Awaitable[None]] | None = getattr(
            self, f"_on_{kind}", None
        )
        if reaction is not None:
            self._start(reaction, script, heard.data)

    def _start(
        self,
        reaction: Callable[[Script, dict[str, Any]], Awaitable[None]],
        script: Script,
        data: dict[str, Any],
    ) -> None:
        async def react() -> None:
            async with self._busy:
                try:
                    await reaction(script, data)
                except (Refusal, TimeoutError, KeyError) as error:
                    self.failures.append(f"{script.number} ({script.story}): {error!r}")

        task = asyncio.create_task(react())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _on_address_confirmation_requested(self, script: Script, data: dict[str, Any]) -> None:
        if script.story is Story.AGENT_CORRECTS and script.corrected is not None:
            body = {"personal": script.corrected.model_dump(mode="json")}
            await self.edges.ask("orders", f"/v1/orders/{script.order_id}/confirm-address", AGENT, body)

    async def _on_payment_anomaly_found(self, script: Script, data: dict[str, Any]) -> None:
        if script.story is Story.OVERPAID_HELD:
            self._end(script, End.HELD)
        elif script.story is Story.OVERPAID_ACCEPTED:
            path = f"/v1/orders/{script.order_id}/holds/payment_anomaly/lift"
            try:
                await self.edges.ask(
                    "orders", path, SUPERVISOR, {"reason": "the surplus goes back to the buyer"}
                )
            except Refusal as refusal:
                if refusal.code != "no_such_hold":  # lifted with the anomaly before
                    raise

    async def _on_hold_placed(self, script: Script, data: dict[str, Any]) -> None:
        if data["hold"] == "duplicate_suspected":  # the agent asks the buyer, who wants this one
            path = f"/v1/orders/{script.order_id}/holds/duplicate_suspected/lift"
            await self.edges.ask("orders", path, AGENT, {"reason": "the buyer wants this one"})

    async def _on_order_placed(self, script: Script, data: dict[str, Any]) -> None:
        if script.story is Story.UNPAID:
            self._end(script, End.UNPAID)

    async def _on_fulfillment_refused(self, script: Script, data: dict[str, Any]) -> None:
        if script.corrected is not None:
            body = {"personal": script.corrected.model_dump(mode="json")}
            await self._until(lambda: self._correct(script, body))

    async def _correct(self, script: Script, body: dict[str, Any]) -> bool:
        """Orders may not have heard of the refusal yet; an agent would look again."""
        try:
            await self.edges.ask("orders", f"/v1/orders/{script.order_id}/confirm-address", AGENT, body)
        except Refusal as refusal:
            if refusal.code != "already_released":
                raise
            return False
        return True

    async def _on_fulfillment_allocated(self, script: Script, data: dict[str, Any]) -> None:
        shift = next(self._shifts)
        picker, checker = PICKERS[shift], PICKERS[(shift + 1) % len(PICKERS)]
        lines = [(line["sku"], line["quantity"]) for line in data["lines"]]
        try:
            await self._pick(script, picker, lines)
            await self._check(script, checker, lines)
            await self._pack_and_hand_over(script, picker, lines)
        except Refusal as refusal:
            if script.story is not Story.CANCELED_PICKING or refusal.code != "not_now":
                raise

    async def _pick(self, script: Script, picker: Actor, lines: list[tuple[str, int]]) -> None:
        await self._post(inbox.PickStartScanned(order_id=script.order_id, scanned_at=now()), picker)
        for place, (sku, quantity) in enumerate(lines):
            if place == 0 and script.story is Story.CANCELED_PICKING:
                path = f"/v1/orders/{script.order_id}/cancel"
                await self.edges.ask("orders", path, AGENT, {"reason": "the buyer called"})
                await self._until_heard(script, "fulfillment_canceled")  # the next scan will be refused
            scan = inbox.PickScanned(
                order_id=script.order_id, barcode=sku, quantity=quantity, scanned_at=now()
            )
            scan_id = self._id()
            await self._post(scan, picker, scan_id)
            await self._post(scan, picker, scan_id)  # the device did not see the answer and sends again

    async def _check(self, script: Script, checker: Actor, lines: list[tuple[str, int]]) -> None:
        await self._post(inbox.CheckStartScanned(order_id=script.order_id, scanned_at=now()), checker)
        for sku, quantity in lines:
            if script.story is Story.MISCOUNTED and script.order_id not in self._miscounted:
                continue
            scan = inbox.CheckScanned(
                order_id=script.order_id, barcode=sku, quantity=quantity, scanned_at=now()
            )
            await self._post(scan, checker)
        answer = await self._post(
            inbox.CheckFinishScanned(order_id=script.order_id, scanned_at=now()), checker
        )
        if answer["differences"]:
            self._miscounted.add(script.order_id)
            await self._pick(script, PICKERS[(PICKERS.index(checker) - 1) % len(PICKERS)], lines)
            await self._check(script, checker, lines)

    async def _pack_and_hand_over(self, script: Script, packer: Actor, lines: list[tuple[str, int]]) -> None:
        parcels: list[tuple[inbox.ScannedLine, ...]] = [()]
        if script.story is Story.TWO_PARCELS:
            parcels = [(inbox.ScannedLine(sku=lines[0][0], quantity=1),), ()]
        numbers = []
        for contents in parcels:
            scan = inbox.PackScanned(
                order_id=script.order_id, weight_grams=850, lines=contents, scanned_at=now()
            )
            numbers.append((await self._post(scan, packer))["tracking_number"])
        for number in numbers:
            await self._post(inbox.HandOverScanned(tracking_number=number, scanned_at=now()), packer)

    async def _on_shipment_shipped(self, script: Script, data: dict[str, Any]) -> None:
        if script.story is Story.CANCELED_LATE:
            await self._put(
                inbox.CancelAsked(source=SOURCE, external_number=script.number, reason="too slow"), SHOP
            )
        back = script.story in (Story.CANCELED_LATE, Story.COD_REFUSED)
        cod = script.order.total if script.story is Story.COD else 0
        reports = [
            "out_for_delivery",
            "in_transit",
            "in_transit",
            "return_to_sender" if back else "delivered",
        ]
        for status in reports:  # out of order and doubled, as couriers do
            if status == "return_to_sender" and script.story is Story.CANCELED_LATE:
                await self._until_heard(script, "case_opened")
            report = inbox.TrackingReported(
                courier=data["courier"],
                tracking_number=data["tracking_number"],
                status=TrackingStatus(status),
                occurred_at=now(),
                cod_collected=cod if status == "delivered" else 0,
            )
            await self._put(report, COURIER_OF[data["courier"]])

    async def _on_shipment_delivered(self, script: Script, data: dict[str, Any]) -> None:
        if not data["last"]:
            return
        if script.story is Story.RETURNED:
            goods = tuple(SkuQuantity(sku=line.sku, quantity=line.quantity) for line in script.order.lines)
            asked = inbox.ReturnAsked(
                source=SOURCE, external_number=script.number, lines=goods, reason=ReturnReason.CHANGED_MIND
            )
            await self._until(lambda: self._ask_return(asked))
        else:
            await self._until(lambda: self._receipt(script))

    async def _ask_return(self, asked: inbox.ReturnAsked) -> bool:
        try:
            await self._post(asked, SHOP)
        except Refusal as refusal:
            if refusal.code not in ("not_delivered", "unknown_order"):
                raise
            return False  # after-sales has not heard of the delivery yet
        return True

    async def _on_return_authorized(self, script: Script, data: dict[str, Any]) -> None:
        case_id, lines = data["case_id"], data["lines"]
        await self._until(lambda: self._dock(inbox.ReturnReceivedScanned(case_id=case_id, scanned_at=now())))
        found = [inbox.DockLine(condition=Condition.AS_NEW, **line) for line in lines]
        await self._post(
            inbox.ReturnInspectedScanned(case_id=case_id, lines=tuple(found), scanned_at=now()), DOCK
        )

    async def _dock(self, scan: inbox.ReturnReceivedScanned) -> bool:
        try:
            await self._post(scan, DOCK)
        except Refusal as refusal:
            if refusal.code != "unexpected_return":
                raise
            return False  # the dock has not heard of the case yet
        return True

    async def _on_case_closed(self, script: Script, data: dict[str, Any]) -> None:
        if script.story is Story.RETURNED:
            await self._until(lambda: self._receipt(script))

    async def _receipt(self, script: Script) -> bool:
        try:
            await self._post(inbox.ReceiptConfirmed(source=SOURCE, external_number=script.number), SHOP)
        except Refusal as refusal:
            if refusal.code not in ("case_open", "not_shipped"):
                raise
            return False  # orders has not heard of it yet
        return True

    async def _on_order_completed(self, script: Script, data: dict[str, Any]) -> None:
        self._end(script, script.end)

    async def _on_order_canceled(self, script: Script, data: dict[str, Any]) -> None:
        self._end(script, End.CANCELED)

    def _end(self, script: Script, end: End) -> None:
        self.done[script.order_id] = end

    # --- the edges ----------------------------------------------------------------------------------------

    async def finish(self, patience: float, look: Callable[[], None]) -> bool:
        """Wait until every order has ended and nobody is busy; False when that takes too long."""
        deadline = asyncio.get_running_loop().time() + patience
        while len(self.done) < len(self.scripts) or self._tasks:
            look()
            if asyncio.get_running_loop().time() > deadline:
                return False
            await asyncio.sleep(0.1)
        return True

    async def _put(self, event: Event, actor: Actor) -> None:
        await self.edges.put(event, actor, id=self._id(), source=actor.name)

    async def _post(self, event: Event, actor: Actor, scan_id: str | None = None) -> Any:
        return await self.edges.post(event, actor, id=scan_id or self._id(), source=actor.name)

    def _id(self) -> str:
        return f"{self._run}-{next(self._ids)}"

    async def _until_heard(self, script: Script, kind: str) -> None:
        async def heard() -> bool:
            return (script.order_id, kind) in self._seen

        await self._until(heard)

    async def _until(self, attempt: Callable[[], Awaitable[bool]], patience: float = 60) -> None:
        """Look again until it works: news travels between services in its own time."""
        deadline = asyncio.get_running_loop().time() + patience
        while not await attempt():
            if asyncio.get_running_loop().time() > deadline:
                raise TimeoutError("what another service said did not arrive")
            await asyncio.sleep(0.1)
