"""Buyers, their shops and payment providers."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from deploy.simulate.edges import AGENT, PAYMENTS, SHOP
from deploy.simulate.story import DAYS, HOURS, MINUTES, SOURCE, Story
from services.aftersales.handlers.asked import OpenReturn
from shared.events import inbox
from shared.events.aftersales import RejectReason, ReturnReason
from shared.values import DeliveryMethod, Money, PaymentMethod, SkuQuantity


class Buyers:
    """They buy, pay, answer, change their minds, send back."""

    def __init__(self, story: Story) -> None:
        self.story = story

    def begin(self) -> None:
        """Buy, pay, and perhaps change one's mind."""
        dice, total = self.story.dice, self.story.submission.total
        start = self.story.submission.placed_at - self.story.edges.now()
        self.story.after(start, lambda: self.story.send(self.story.submission, SHOP, "order"))
        if self.story.submission.payment_method is PaymentMethod.PREPAID:
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
            last_moment = dice.random() < 0.05
            for n, amount in enumerate(parts):
                # now and then before the order itself
                when = (
                    3 * DAYS + dice.uniform(-1, 0.5) * HOURS if last_moment else dice.uniform(-1, 4) * HOURS
                )
                self.story.after(start + when, self._payment(n, amount, "CNY"))
            if dice.random() < 0.02:
                self.story.after(start + 2 * HOURS, self._payment(9, total, "EUR"))
        elif dice.random() < 0.05:  # although the courier is to collect it
            self.story.after(start + dice.uniform(0, 90) * HOURS, self._payment(0, total, "CNY"))
        if dice.random() < 0.15:
            self.story.after(start + dice.uniform(0, 6) * DAYS, lambda: self.story.cancel("cancel"))

    def _payment(self, n: int, amount: int, currency: str) -> Callable[[], None]:
        event = inbox.PaymentCaptured(
            source=SOURCE,
            external_number=self.story.number,
            payment_id=f"{self.story.number}-P{n}",
            amount=Money(amount=amount, currency=currency),
            captured_at=self.story.edges.now(),
        )

        def captured() -> None:
            self.story.captured[event.payment_id] = event.amount
            self.story.send(event, PAYMENTS, f"pay-{n}")

        return captured

    def _pays_again(self, chance: float) -> None:
        if self.story.dice.random() < chance:
            amount = self.story.dice.randint(1, self.story.submission.total + 100)
            delay = self.story.dice.uniform(0, 3) * DAYS
            self.story.after(delay, self._payment(len(self.story.captured) + 20, amount, "CNY"))

    def _on_order_placed(self, data: Any) -> None:
        if self.story.dice.random() < 0.03:  # the shop hands in something else under its number
            other = self.story.submission.model_copy(update={"remark": "another one"})
            self.story.after(self.story.dice.uniform(0, 2) * DAYS, lambda: self.story.tell(other, SHOP))
        if self.story.dice.random() < 0.08:  # the buyer moves
            moved = inbox.AddressAnswered(
                source=SOURCE,
                external_number=self.story.number,
                cod_accepted=True,
                delivery_method=self.story.dice.choice((None, None, DeliveryMethod.SELF_PICKUP)),
                personal=self.story.personal_at(self.story.dice.choice(("310001", "310001", "999078"))),
            )
            self.story.after(self.story.dice.uniform(0, 3) * DAYS, lambda: self.story.tell(moved, SHOP))

    def _on_order_canceled(self, data: Any) -> None:
        self._pays_again(0.06)

    def _on_order_expired(self, data: Any) -> None:
        self._pays_again(0.3)

    def _on_order_completed(self, data: Any) -> None:
        self._pays_again(0.02)

    def _on_shipment_returned(self, data: Any) -> None:
        if self.story.dice.random() < 0.3:
            self.story.after(
                self.story.dice.uniform(0, 3) * DAYS,
                lambda: self.story.cancel(f"cancel-{data['shipment_id']}"),
            )

    def _on_address_confirmation_requested(self, data: Any) -> None:
        if self.story.dice.random() < 0.7:
            answer = inbox.AddressAnswered(
                source=SOURCE, external_number=self.story.number, cod_accepted=True
            )
            self.story.after(
                self.story.dice.uniform(1, 9) * MINUTES, lambda: self.story.send(answer, SHOP, "address")
            )

    def _on_label_created(self, data: Any) -> None:
        if self.story.dice.random() < 0.05:  # too early
            self._confirms(self.story.dice.uniform(0, 5) * HOURS)

    def _on_shipment_shipped(self, data: Any) -> None:
        if self.story.dice.random() < 0.04:  # before its courier says where it is, and whatever that will be
            self._confirms(self.story.dice.uniform(0, 3) * DAYS)

    def _on_shipment_delivered(self, data: Any) -> None:
        dice = self.story.dice
        if dice.random() < 0.3:
            self._confirms(dice.uniform(0, 4) * DAYS)
        if dice.random() < 0.3:
            for _ in range(dice.randint(1, 3)):
                self.story.after(dice.uniform(0, 9 if dice.random() < 0.85 else 17) * DAYS, self._return)

    def _confirms(self, delay: timedelta) -> None:
        """The shop hands in that the buyer has the goods."""
        receipt = inbox.ReceiptConfirmed(source=SOURCE, external_number=self.story.number)
        self.story.after(delay, lambda: self.story.tell(receipt, SHOP))

    def _on_case_rejected(self, data: Any) -> None:
        if data["reason"] == RejectReason.DELIVERED_AFTER_ALL:
            self.story.stands = True
            self._on_shipment_delivered(data)

    def _return(self) -> None:
        """Ask to send back some of what the order had, by the shop or by calling an agent."""
        dice = self.story.dice
        of = {line.sku: line.quantity for line in self.story.submission.lines}
        skus = dice.sample(sorted(of), dice.randint(1, len(of)))
        lines = tuple(SkuQuantity(sku=sku, quantity=dice.randint(1, of[sku])) for sku in skus)
        reason = ReturnReason.CHANGED_MIND if dice.random() < 0.4 else dice.choice(list(ReturnReason))
        if dice.random() < 0.2:
            called = OpenReturn(order_id=self.story.order_id, lines=lines, reason=reason)
            self.story.ask("aftersales", called, AGENT)
        else:
            asked = inbox.ReturnAsked(
                source=SOURCE, external_number=self.story.number, lines=lines, reason=reason
            )
            self.story.tell(asked, SHOP)
