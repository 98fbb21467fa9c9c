"""The steady load: orders live their lives through the public edges, each at its own pace, faults or not.

What Kafka acknowledged is sent again only when its topic was made anew since, for that takes records with it that nobody had
read; so a record that is passed over is missed. Some are sent twice at once, under the same id, as storefronts do.
"""

import asyncio
import contextlib
import random
from collections import Counter
from itertools import chain
from typing import Any

from deploy.play.day import AGENT, COURIER_OF, PAYMENTS, PICKERS, SHOP
from deploy.play.edges import Refusal
from deploy.play.script import SOURCE, Script, Story, write
from shared.events import inbox
from shared.events.base import Event
from shared.events.warehouse import TrackingStatus
from shared.values import Actor, Money
from tests.faults.edges import Answered, FaultyEdges, Step, kind, now
from tests.faults.findings import Ended
from tests.faults.witness import Said, Witness

STORIES = (Story.PLAIN, Story.COD, Story.TWO_PAYMENTS, Story.CANCELED_EARLY)
AGAIN_AFTER = 8.0
"""Seconds without an answering event after which a storefront sends again what was not acknowledged, or lay in a topic that is
gone."""
TWICE = 0.1
"""How many records are sent a second time."""
GIVE_UP = 240.0
"""Seconds without an answer after which a message counts as lost."""
AT_ONCE = 80
"""How many lives are under way at most."""
TOO_EARLY = {"unknown_order", "not_shipped", "not_delivered"}
"""Rules by which something may be refused whose news travels between services in its own time; whatever else is refused was
refused wrongly, and fails the run."""
ENOUGH = 0.25
"""How many of the orders that were due must have lived: with fewer, the faults met next to nothing."""


def _ended(script: Script) -> Ended:
    """An order at the end of its story, in plain words: the checker knows nothing of ours."""
    order, person = script.order, script.order.personal.contact
    prepaid = 2 if script.story is Story.TWO_PAYMENTS else 1
    return Ended(
        number=script.number,
        canceled=script.story is Story.CANCELED_EARLY,
        payments=0 if order.payment_method == "cod" else prepaid,
        pieces=Counter({line.sku: line.quantity for line in order.lines}),
        reached_at=person.email or person.phone,
    )


class Load:
    """Starts `rate` lives a second while `open`; `living` are under way."""

    def __init__(self, edges: FaultyEdges, witness: Witness, seed: int, rate: float) -> None:
        self.edges = edges
        self.witness = witness
        self.rate = rate
        self.open = True
        self.draw = random.Random(seed)
        self.living: set[asyncio.Task[None]] = set()
        self.due = 0
        """How many orders were to begin while open."""
        self.ended: dict[str, Ended] = {}
        """Orders that reached the end of their story, by our id."""
        self.stocked: Counter[str] = Counter()
        """Pieces by SKU whose scan was accepted."""
        self.failures: list[str] = []
        self.refusals: Counter[str] = Counter()
        """By rule, how often something was refused."""
        self._heard: dict[str, list[Said]] = {}
        self._waiting: dict[str, list[Step]] = {}
        run = f"f{seed}-{now():%H%M%S}"
        scripts = write(run, 12_000, seed, now())
        self._scripts = (s for s in scripts if s.story in STORIES)
        witness.tell(self._hear)

    async def run(self) -> None:
        """Start lives, for ever."""
        while True:
            await asyncio.sleep(self.draw.expovariate(self.rate))
            if not self.open:
                continue
            self.due += 1
            if len(self.living) < AT_ONCE:
                task = asyncio.create_task(self._live(next(self._scripts)))
                self.living.add(task)
                task.add_done_callback(self.living.discard)

    def too_few(self) -> str:
        """Says so when too few orders reached the end of their story."""
        few = len(self.ended) < max(1, self.due * ENOUGH)
        return f"only {len(self.ended)} orders ended of {self.due} that were due" if few else ""

    async def stock(self, sku: str, quantity: int) -> None:
        """Receive goods onto a shelf."""
        scan = inbox.StockScanned(barcode=sku, quantity=quantity, location="A-01", scanned_at=now())
        await self._scan(scan, PICKERS[0])
        self.stocked[sku] += quantity

    # --- a life -------------------------------------------------------------------------------------------

    async def _live(self, script: Script) -> None:
        try:
            await self._buy(script)
            if script.story is not Story.CANCELED_EARLY:
                await self._work(script)
                await self._arrive(script)
            self.ended[script.order_id] = _ended(script)
        except Exception as error:  # whatever it is: an order that did not end is told
            self.failures.append(f"{script.number} ({script.story}): {error!r}")
        finally:
            self.forget(script)

    def forget(self, script: Script) -> None:
        """Nobody waits for news of this order any more."""
        self._heard.pop(script.order_id, None)
        self._waiting.pop(script.order_id, None)

    async def _buy(self, script: Script) -> None:
        order, number = script.order, script.number
        for line in order.lines:
            await self.stock(line.sku, line.quantity)
        steps = [self._step(script, order, SHOP, "order", kind("order_placed"))]
        if order.payment_method == "prepaid":
            parts = 2 if script.story is Story.TWO_PAYMENTS else 1
            first = order.total // parts
            for part, amount in enumerate([first, order.total - first][:parts]):
                steps.append(self._payment(script, part, amount))
        if script.story is Story.CANCELED_EARLY:
            cancel = inbox.CancelAsked(source=SOURCE, external_number=number, reason="changed my mind")
            steps.append(self._step(script, cancel, SHOP, "cancel", kind("order_canceled")))
        elif self.draw.random() < 0.8:
            cod = order.payment_method == "cod"
            answer = inbox.AddressAnswered(source=SOURCE, external_number=number, cod_accepted=cod)
            steps.append(self._step(script, answer, SHOP, "address", kind("address_confirmed")))
        else:
            self._call_agent(script)
        await self.hand_in(script, steps, over_http=self.draw.random() < 0.4)

    def _payment(self, script: Script, part: int, amount: int) -> Step:
        payment_id = f"{script.number}-{part}"
        payment = inbox.PaymentCaptured(
            source=SOURCE,
            external_number=script.number,
            payment_id=payment_id,
            amount=Money(amount=amount, currency="CNY"),
            captured_at=now(),
        )
        booked = kind("payment_recorded", payment_id=payment_id)
        late = kind("payment_anomaly_found", payment_id=payment_id)  # the order was canceled meanwhile
        return self._step(script, payment, PAYMENTS, f"pay-{part}", lambda said: booked(said) or late(said))

    def _call_agent(self, script: Script) -> None:
        """An agent confirms the address by phone, by a command over HTTP, when asked to."""

        async def confirm() -> None:
            await self.until(script, kind("address_confirmation_requested"))
            body = {"cod_accepted": script.order.payment_method == "cod"}
            await self.edges.ask("orders", f"/v1/orders/{script.order_id}/confirm-address", AGENT, body)

        task = asyncio.create_task(self._guarded(script, confirm()))
        self.living.add(task)
        task.add_done_callback(self.living.discard)

    async def _guarded(self, script: Script, work: Any) -> None:
        try:
            await work
        except Exception as error:
            self.failures.append(f"{script.number} (agent): {error!r}")

    async def _work(self, script: Script) -> None:
        await self.until(script, kind("fulfillment_allocated"))
        picker, checker = self.draw.sample(PICKERS, 2)
        order_id, lines = script.order_id, [(line.sku, line.quantity) for line in script.order.lines]
        start = inbox.PickStartScanned(order_id=order_id, scanned_at=now())
        started = self._step(script, start, picker, "pick", kind("fulfillment_pick_started"))
        await self.hand_in(script, [started], over_http=self.draw.random() < 0.7)
        for sku, quantity in lines:
            await self._scan(
                inbox.PickScanned(order_id=order_id, barcode=sku, quantity=quantity, scanned_at=now()), picker
            )
        await self._scan(inbox.CheckStartScanned(order_id=order_id, scanned_at=now()), checker)
        for sku, quantity in lines:
            await self._scan(
                inbox.CheckScanned(order_id=order_id, barcode=sku, quantity=quantity, scanned_at=now()),
                checker,
            )
        await self._scan(inbox.CheckFinishScanned(order_id=order_id, scanned_at=now()), checker)
        pack = inbox.PackScanned(order_id=order_id, weight_grams=850, scanned_at=now())
        number = (await self._scan(pack, picker))["tracking_number"]
        leave = inbox.HandOverScanned(tracking_number=number, scanned_at=now())
        left = self._step(script, leave, picker, "leave", kind("shipment_shipped"))
        await self.hand_in(script, [left], over_http=self.draw.random() < 0.7)

    async def _arrive(self, script: Script) -> None:
        shipped = await self.until(script, kind("shipment_shipped"))
        cod = script.order.total if script.story is Story.COD else 0
        steps = []
        for status in ("out_for_delivery", "in_transit", "delivered"):  # out of order, as couriers do
            report = inbox.TrackingReported(
                courier=shipped.data["courier"],
                tracking_number=shipped.data["tracking_number"],
                status=TrackingStatus(status),
                occurred_at=now(),
                cod_collected=cod if status == "delivered" else 0,
            )
            delivered = status == "delivered"
            told = kind("shipment_delivered") if delivered else kind("tracking_updated", reported=status)
            steps.append(self._step(script, report, COURIER_OF[shipped.data["courier"]], status, told))
        await self.hand_in(script, steps, over_http=self.draw.random() < 0.2)
        completed = kind("order_completed")
        over = any(
            completed(said) for said in self._heard[script.order_id]
        )  # by time, while the courier's word was sent
        if (
            not over and self.draw.random() < 0.5
        ):  # the others say nothing, and theirs completes by time (O16)
            receipt = inbox.ReceiptConfirmed(source=SOURCE, external_number=script.number)
            confirmed = self._step(script, receipt, SHOP, "receipt", completed)
            await self.hand_in(script, [confirmed], over_http=self.draw.random() < 0.5)
        await self.until(script, completed)

    # --- handing in ---------------------------------------------------------------------------------------

    @staticmethod
    def _step(script: Script, event: Event, actor: Actor, name: str, answer: Answered) -> Step:
        return Step(event, actor, f"{script.number}-{name}", answer)

    async def _scan(self, scan: Event, actor: Actor) -> Any:
        """Scanners send until they are answered, under the id made on the device."""
        scan_id = self.edges.fresh("scan")
        while True:
            with contextlib.suppress(TimeoutError):
                return await self.edges.say(scan, actor, scan_id)

    async def hand_in(self, script: Script, steps: list[Step], *, over_http: bool) -> None:
        """Send all, then again whatever no event answers. What was refused too early is asked again under a new id."""
        self._waiting.setdefault(script.order_id, []).extend(steps)
        deadline = asyncio.get_running_loop().time() + GIVE_UP
        while left := [step for step in steps if not step.done.is_set()]:
            if asyncio.get_running_loop().time() > deadline:
                raise TimeoutError(f"no answer to {', '.join(step.id for step in left)}")
            for step in left:
                if step.refused:
                    step.id, step.refused, step.acknowledged = self.edges.fresh(step.id), False, 0
                if not over_http:
                    await self._offer(step)
                    continue
                try:
                    await self.edges.say(step.event, step.actor, step.id)
                except Refusal as refusal:
                    self._refused(step, refusal.code)
            waits = [asyncio.create_task(step.done.wait()) for step in left]
            await asyncio.wait(waits, timeout=0.5 if any(s.refused for s in left) else AGAIN_AFTER)
            for wait in waits:
                wait.cancel()

    async def _offer(self, step: Step) -> None:
        life = self.witness.lives  # what is taken while topics are made anew may lie in the old one
        if step.acknowledged == life:
            return
        for _ in range(2 if self.draw.random() < TWICE else 1):
            if await self.edges.offer(step.event, step.actor, step.id):
                step.acknowledged = life

    async def until(self, script: Script, answer: Answered) -> Said:
        """Wait for an event of an order."""
        deadline = asyncio.get_running_loop().time() + GIVE_UP
        while True:
            for said in self._heard.get(script.order_id, []):
                if answer(said):
                    return said
            if asyncio.get_running_loop().time() > deadline:
                raise TimeoutError(f"{script.number}: an event did not come")
            await asyncio.sleep(0.05)

    def _refused(self, step: Step, code: str) -> None:
        step.refused = True
        self.refusals[code] += 1
        if code not in TOO_EARLY:
            self.failures.append(f"{step.id} was refused: {code}")

    def _hear(self, said: Said) -> None:
        if said.type.endswith(".message_refused.v1"):
            for step in chain.from_iterable(self._waiting.values()):
                if step.id == said.data["refused"]:
                    self._refused(step, said.data["code"])
            return
        order_id = said.stream.removeprefix("order/")
        self._heard.setdefault(order_id, []).append(said)
        for step in self._waiting.get(order_id, []):
            if step.answer(said):
                step.done.set()
