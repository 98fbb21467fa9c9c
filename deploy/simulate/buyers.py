"""Buyers, payment providers and agents of the simulated shops."""

from collections.abc import Callable
from typing import Any

from deploy.simulate.edges import AGENT, BACK_OFFICE, PAYMENTS, SHOP
from deploy.simulate.story import DAYS, HOURS, MINUTES, SOURCE, Story, personal_at
from services.aftersales.handlers.asked import ApproveCase, OpenRefund, RejectCase
from services.orders.handlers.addresses import ConfirmAddress
from services.orders.handlers.closing import CancelOrder
from services.orders.handlers.release import LiftHold
from shared.events import inbox
from shared.events.aftersales import ReturnReason
from shared.events.orders import Hold
from shared.values import Money, PaymentMethod, SkuQuantity


class Buyers:
    """They buy, pay, answer, change their minds, send back; agents help, decide and lift holds."""

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
            for n, amount in enumerate(parts):
                # now and then before the order itself
                self.story.after(start + dice.uniform(-1, 4) * HOURS, self._payment(n, amount, "CNY"))
            if dice.random() < 0.02:
                self.story.after(start + 2 * HOURS, self._payment(9, total, "EUR"))
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
        return lambda: self.story.send(event, PAYMENTS, f"pay-{n}")

    def _on_address_confirmation_requested(self, data: Any) -> None:
        if self.story.dice.random() < 0.7:
            answer = inbox.AddressAnswered(
                source=SOURCE, external_number=self.story.number, cod_accepted=True
            )
            self.story.after(
                self.story.dice.uniform(1, 9) * MINUTES, lambda: self.story.send(answer, SHOP, "address")
            )

    def _on_order_escalated(self, data: Any) -> None:
        confirm = ConfirmAddress(order_id=self.story.order_id, cod_accepted=True)
        self.story.after(
            self.story.dice.uniform(0.1, 3) * HOURS, lambda: self.story.ask("orders", confirm, AGENT)
        )

    def _on_hold_placed(self, data: Any) -> None:
        match data["hold"]:
            case Hold.UNREACHABLE_ADDRESS:
                better = inbox.AddressAnswered(
                    source=SOURCE,
                    external_number=self.story.number,
                    personal=personal_at("310000"),
                    cod_accepted=True,
                )
                self.story.after(HOURS, lambda: self.story.send(better, SHOP, "new-address"))
            case Hold.DUPLICATE_SUSPECTED:
                real = LiftHold(
                    order_id=self.story.order_id, hold=Hold.DUPLICATE_SUSPECTED, reason="both are meant"
                )
                self.story.after(3 * HOURS, lambda: self.story.ask("orders", real, AGENT))
            case Hold.PAYMENT_ANOMALY:
                lift = LiftHold(order_id=self.story.order_id, hold=Hold.PAYMENT_ANOMALY, reason="settled")
                self.story.after(5 * HOURS, lambda: self.story.ask("orders", lift, BACK_OFFICE))
                if self.story.dice.random() < 0.3:
                    cancel = CancelOrder(order_id=self.story.order_id, reason="the buyer gave up")
                    self.story.after(6 * HOURS, lambda: self.story.ask("orders", cancel, AGENT))

    def _on_payment_anomaly_found(self, data: Any) -> None:
        if data["excess"] and self.story.dice.random() < 0.7:
            back = OpenRefund(
                order_id=self.story.order_id,
                amount=data["excess"] + self.story.dice.choice((0, 0, 700)),
                reason="paid too much",
            )
            delay = self.story.dice.uniform(0.1, 24) * HOURS
            self.story.after(delay, lambda: self.story.ask("aftersales", back, AGENT))

    def _on_shipment_delivered(self, data: Any) -> None:
        if self.story.dice.random() < 0.3:
            receipt = inbox.ReceiptConfirmed(source=SOURCE, external_number=self.story.number)
            self.story.after(
                self.story.dice.uniform(0, 4) * DAYS, lambda: self.story.send(receipt, SHOP, "receipt")
            )
        if self.story.dice.random() < 0.2:
            line = self.story.submission.lines[0]
            wanted = SkuQuantity(sku=line.sku, quantity=self.story.dice.randint(1, line.quantity))
            asked = inbox.ReturnAsked(
                source=SOURCE,
                external_number=self.story.number,
                lines=(wanted,),
                reason=ReturnReason.CHANGED_MIND,
            )
            self.story.after(
                self.story.dice.uniform(0, 9) * DAYS, lambda: self.story.send(asked, SHOP, "return")
            )

    def _on_case_opened(self, data: Any) -> None:
        case_id = data["case_id"]

        def decide() -> None:
            case = self.story.edges.row("aftersales", "cases", case_id)
            if case is not None and case.state == "awaiting_approval":
                grant = ApproveCase(case_id=case_id)
                refuse = RejectCase(case_id=case_id, reason="not agreed")
                self.story.ask("aftersales", grant if self.story.dice.random() < 0.9 else refuse, BACK_OFFICE)

        self.story.after(4 * HOURS, decide)
