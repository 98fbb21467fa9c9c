"""The agents and the back office of the simulated shops."""

from collections import Counter
from collections.abc import Callable
from typing import Any

from deploy.simulate.edges import ADMINISTRATOR, AGENT, BACK_OFFICE, SHOP
from deploy.simulate.story import DAYS, HOURS, SOURCE, Story
from services.aftersales.domain.case import Case, Refund
from services.aftersales.domain.known_order import payable
from services.aftersales.handlers.asked import ApproveCase, OpenRefund, RejectCase
from services.orders.handlers.addresses import ConfirmAddress
from services.orders.handlers.closing import CancelOrder, ConfirmReceipt
from services.orders.handlers.erasing import ErasePersonal
from services.orders.handlers.release import BY_HAND, LiftHold, PlaceHold
from shared.events import inbox
from shared.events.aftersales import CaseKind, MoneyQuestion
from shared.events.orders import Hold, Overdue
from shared.goods import by_sku
from shared.runtime.messages import Command

WHO_HAS = (MoneyQuestion.END_DISPUTED, MoneyQuestion.RECEIPT_DISPUTED, MoneyQuestion.NO_WORD)
"""Questions that a case raises long after it was opened."""


class Agents:
    """They help, decide, place and lift holds, and give money back."""

    def __init__(self, story: Story) -> None:
        self.story = story

    def _on_order_placed(self, data: Any) -> None:
        dice = self.story.dice
        if dice.random() < 0.06:
            stop = PlaceHold(order_id=self.story.order_id, hold=dice.choice(BY_HAND), reason="wait")
            self._later(dice.uniform(0, 60), "orders", stop)
        if dice.random() < 0.05:
            amount = dice.choice((100, self.story.submission.total // 2, self.story.submission.total))
            kind = OpenRefund(order_id=self.story.order_id, amount=amount, reason="for the trouble")
            self._later(dice.uniform(0, 24 * dice.choice((2, 12))), "aftersales", kind)

    def _on_shipment_shipped(self, data: Any) -> None:
        if self.story.dice.random() < 0.03:
            there = ConfirmReceipt(order_id=self.story.order_id, reason="the buyer says so")
            self._later(self.story.dice.uniform(0, 120), "orders", there)

    def _on_order_escalated(self, data: Any) -> None:
        dice = self.story.dice
        if data["overdue"] == Overdue.ADDRESS_CONFIRMATION:
            confirm = ConfirmAddress(order_id=self.story.order_id, cod_accepted=True)
            self._later(dice.uniform(0.1, 3), "orders", confirm)
        elif data["overdue"] == Overdue.DELIVER_BY:
            self.story.after(dice.uniform(2, 5) * DAYS, self._given_up)

    def _on_order_completed(self, data: Any) -> None:
        self._forget(0.1)

    def _on_order_canceled(self, data: Any) -> None:
        self._forget(0.2)

    def _forget(self, chance: float) -> None:
        """A buyer wants to be forgotten, whether that can be or not."""
        if self.story.dice.random() < chance:
            erase = ErasePersonal(order_id=self.story.order_id, reason="they asked for it")
            self._later(self.story.dice.uniform(0, 200), "orders", erase, ADMINISTRATOR)

    def _given_up(self) -> None:
        """A parcel never came: the agent gives its price back, and notes that nothing more will happen."""
        order = self.story.edges.row("orders", "orders", self.story.order_id)
        if order is None or order.closed:
            return
        if order.delivered_at is None and order.fulfillment == "shipped" and not order.open_cases:
            over = ConfirmReceipt(order_id=self.story.order_id, reason="lost on its way")
            self.story.ask("orders", over, AGENT)
            whole = OpenRefund(order_id=self.story.order_id, amount=order.owed_back or 1, reason="lost")
            self.story.ask("aftersales", whole, AGENT)
        self.story.after(8 * DAYS, self._given_up)

    def _on_hold_placed(self, data: Any) -> None:
        dice = self.story.dice
        chance, hours = (0.5, 0.02) if data["hold"] == Hold.CANCEL_PENDING else (0.1, 2)
        if dice.random() < chance:  # whether it may be lifted or not
            lift = LiftHold(order_id=self.story.order_id, hold=Hold(data["hold"]), reason="let it go")
            self._later(dice.uniform(0, hours), "orders", lift)
        match data["hold"]:
            case Hold.UNREACHABLE_ADDRESS:
                better = inbox.AddressAnswered(
                    source=SOURCE,
                    external_number=self.story.number,
                    personal=self.story.personal_at("310000"),
                    cod_accepted=True,
                )
                self.story.after(HOURS, lambda: self.story.tell(better, SHOP))
            case Hold.PAYMENT_ANOMALY:
                self._lift(Hold.PAYMENT_ANOMALY, 5)
                if dice.random() < 0.3:
                    cancel = CancelOrder(order_id=self.story.order_id, reason="the buyer gave up")
                    self._later(6, "orders", cancel)
            case hold if hold in BY_HAND:
                if dice.random() < 0.2:
                    cancel = CancelOrder(order_id=self.story.order_id, reason="the buyer wants out")
                    self._later(dice.uniform(0, 40), "orders", cancel)
                self._lift(Hold(hold), dice.uniform(1, 70))

    def _lift(self, hold: Hold, hours: float) -> None:
        lift = LiftHold(order_id=self.story.order_id, hold=hold, reason="settled")
        self._later(hours, "orders", lift, BACK_OFFICE)

    def _later(self, hours: float, service: str, command: Command, actor: Any = AGENT) -> None:
        self.story.after(hours * HOURS, lambda: self.story.ask(service, command, actor))

    def _on_payment_anomaly_found(self, data: Any) -> None:
        if data["excess"] and self.story.dice.random() < 0.7:
            back = OpenRefund(
                order_id=self.story.order_id,
                amount=data["excess"] + self.story.dice.choice((0, 0, 700)),
                reason="paid too much",
            )
            self._later(self.story.dice.uniform(0.1, 24), "aftersales", back)

    def _on_case_opened(self, data: Any) -> None:
        self._decide(data["case_id"])
        self._forget(0.05)  # too early, mostly

    def _on_return_authorized(self, data: Any) -> None:
        if data["kind"] == CaseKind.RETURN and self.story.dice.random() < 0.06:  # by mistake, as it turns out
            back = RejectCase(case_id=data["case_id"], reason="of another order")
            self._later(self.story.dice.uniform(0, 14 * 24), "aftersales", back)

    def _on_approval_requested(self, data: Any) -> None:
        if data["reason"] in WHO_HAS:
            self._decide(data["case_id"])

    def _decide(self, case_id: str) -> None:
        dice = self.story.dice
        hours = dice.uniform(0.1, 30) if dice.random() < 0.9 else dice.uniform(60, 150)

        def decide(who: Any, *, again: bool = False) -> Callable[[], None]:
            def decided() -> None:
                case = self.story.edges.row("aftersales", "cases", case_id)
                if case is None or case.state != "awaiting_approval":
                    return
                still_out = by_sku(case.disputed) & self.story.turned
                after_all = self.story.after_all
                arrived = case.shipment_id in after_all if case.shipment_id else bool(after_all)
                in_a_box = case.disputed and not (still_out or arrived)  # at the dock, as it seems
                if in_a_box and not again:
                    self.story.after(2 * DAYS, decide(who, again=True))
                    return
                lost = still_out and not arrived
                agreed = lost if case.disputed else dice.random() < 0.85
                lines, back = by_sku(case.lines), sum(self.story.parcels_back.values(), Counter[str]())
                if case.no_word and lines & (back | self.story.has):
                    agreed = not lines & (self.story.has - self._denied_before(case))  # they asked the buyer
                if case.is_a_sum and agreed:
                    known = self.story.edges.row("aftersales", "known_orders", case.order_id)
                    agreed = payable(case, (), known) > 0
                    # it may be paid back otherwise before this is heard: whoever is refused looks again
                    self.story.after(1 * DAYS, decide(BACK_OFFICE))
                grant = ApproveCase(case_id=case_id)
                refuse = RejectCase(case_id=case_id, reason="not agreed")
                self.story.ask("aftersales", grant if agreed else refuse, who)

            return decided

        if dice.random() < 0.3:
            self.story.after(hours * HOURS, decide(AGENT))
        self.story.after((hours + 1) * HOURS, decide(BACK_OFFICE))

    def _denied_before(self, case: Case) -> Counter[str]:
        """What the case that this one was split from said to be the buyer's: so much of what they have is not asked about."""
        before = self.story.edges.row("aftersales", "cases", case.rest_of) if case.rest_of else None
        if before is None or before.refund is not Refund.DENIED or before.no_word:
            return Counter()
        return by_sku(before.lines)
