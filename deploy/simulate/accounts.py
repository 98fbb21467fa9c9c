"""What each buyer paid, got, kept and gave back, and what the shop owes them: reckoned from what people did and from what was
said of it, beside the services' own books.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

from deploy.simulate.logs import LAG, said
from deploy.simulate.story import Story
from deploy.simulate.world import World
from services.aftersales.domain.case import Case, Refund
from shared.events.aftersales import CaseKind, MoneyQuestion, RejectReason, ReturnReason
from shared.events.warehouse import Condition
from shared.goods import by_sku
from shared.values import OrderLine, PaymentMethod

ROUNDED = 2
"""Shares of one price may differ by so much."""

TELLING = frozenset({
    "payment_recorded", "payment_anomaly_found", "order_canceled", "order_expired", "order_completed", "cod_collected",
    "shipment_shipped", "shipment_delivered", "shipment_returned", "shipment_end_disputed", "fulfillment_cancel_refused",
    "return_inspected", "case_opened", "case_approved", "case_rejected", "case_closed", "approval_requested",
    "refund_requested", "paid_goods_arrived", "payment_unclaimed",
})  # fmt: skip
OUR_FAULT = (ReturnReason.DAMAGED, ReturnReason.NOT_AS_DESCRIBED, ReturnReason.WRONG_ITEM)


def accounts(world: World) -> Iterator[tuple[str, str]]:
    """O3, A2: in the end nobody is owed what no person was asked about, and nobody got what they are not owed"""
    told: dict[str, dict[str, list[Any]]] = defaultdict(lambda: defaultdict(list))
    for name in ("orders", "warehouse", "aftersales"):
        for entry, what, data in said(world, name):
            if what in TELLING:
                told[entry.stream.removeprefix("order/")][what].append(data | {"said_at": entry.time})
    cases = {case.case_id: case for case in world.node("aftersales").store.rows("cases")}
    for order_id, people in world.people.items():
        account = Account(people.story, told[order_id], cases)
        cod = people.story.submission.payment_method is PaymentMethod.COD
        sums = account.cod() if cod else account.prepaid()
        for found in (*account.captured(), *account.unasked(), *account.unheard(), *sums):
            yield order_id, found


class Account:
    """One order's."""

    def __init__(self, story: Story, said: dict[str, list[Any]], cases: dict[str, Case]) -> None:
        self.story, self.said, self.cases = story, said, cases
        self.lines, self.total = story.submission.lines, story.submission.total
        self.about = {one["case_id"]: (one["kind"], one["reason"]) for one in said["case_opened"]}
        self.asked = {one["case_id"] for one in said["approval_requested"]}
        """Cases about which a person was asked."""
        by_person = {one["case_id"]: one["said_at"] for one in said["case_approved"] if not one["by_rule"]}
        turned = {
            one["case_id"]
            for one in said["approval_requested"]
            if one["reason"] == MoneyQuestion.SUM_REFUNDED
        }
        self.granted = {
            case: self.not_turned_since(cases[case])
            for case in by_person
            if self.about[case][0] == "refund_only" and case not in turned
        }
        """What a person agreed to pay for without seeing it, by case; of no goods when it is just an amount."""
        self.paid_before = sum(
            (by_sku(cases[one].lines) for one in turned - by_person.keys()), Counter[str]()
        )
        """What turned round and was not paid, for a person said that a sum was for it, or has not decided yet."""
        unheard = {
            one["case_id"] for one in said["approval_requested"] if one["reason"] == MoneyQuestion.NO_WORD
        }
        out = story.turned - story.awaited  # turned round, as was told
        lost = [(by_sku(cases[case].lines), at) for case, at in by_person.items() if case in unheard]
        self.given_up_at_most = lost
        """What a person agreed to pay for because nobody had told where it ended, and when."""
        self.given_up = [(pieces - out, at) for pieces, at in lost]
        """The same but for what may be one and the same piece as another that turned round."""

    def not_turned_since(self, case: Case) -> Counter[str]:
        """What a case is about, but what was missing and came back in a parcel after that."""
        found = by_sku(case.lines)
        if case.return_reason == ReturnReason.MISSING_ITEM:
            for one in self.said["shipment_returned"]:
                found -= _pieces(one) if one["said_at"] > case.opened_at else Counter()
        return found

    def captured(self) -> Iterator[str]:
        """What of the payments neither counts nor is called too much, and what was given back of too much."""
        # staff were told: its order came weeks later
        unclaimed = {one["payment_id"] for one in self.said["payment_unclaimed"]}
        taken = sum(
            money.amount
            for name, money in self.story.captured.items()
            if money.currency == "CNY" and name not in unclaimed
        )
        paid = sum(one["amount"]["amount"] for one in self.said["payment_recorded"])
        found = self.said["payment_anomaly_found"]
        excess = sum(one["excess"] for one in found)
        not_due = [
            one for one in found if one["payment_id"].startswith("cod:") and one["anomaly"] != "overpaid"
        ]
        cash = sum(one["amount"]["amount"] for one in not_due)
        back = sum(one["excess"] for one in self.said["refund_requested"])
        if paid + excess != taken or back > excess + cash:
            beside = f"{excess} called too much, and {cash} in cash, of which {back} was refunded"
            yield f"{taken} was captured: {paid} is booked, {beside}"

    def unasked(self) -> Iterator[str]:
        """Parcels that were paid for by time, although their courier had said long before that it delivered them."""
        for dispute in self.said["shipment_end_disputed"]:
            for closed in self.said["case_closed"]:
                case = self.cases[closed["case_id"]]
                long_before = closed["said_at"] - dispute["said_at"] > LAG
                of_it = case.shipment_id == dispute["shipment_id"] and case.case_id not in self.asked
                if of_it and long_before and case.refunded and not self.came(case.case_id):
                    yield f"{case.case_id} paid for {case.shipment_id}, and nobody was asked who has it"

    def came(self, case_id: str) -> bool:
        """Whether anything of a case was in its box."""
        boxes = [one["lines"] for one in self.said["return_inspected"] if one["case_id"] == case_id]
        return any(line["condition"] != Condition.MISSING for lines in boxes for line in lines)

    def unheard(self) -> Iterator[str]:
        """Canceled goods that were given up by time, although nobody had ever said that anything reached the buyer."""
        known = [one["said_at"] for one in self.said["shipment_delivered"]]
        # the buyer or a person may know it where no courier said so in the end
        known += [one["said_at"] for one in self.said["order_completed"] if one["confirmed_by_buyer"]]
        known += [
            one["said_at"]
            for one in self.said["case_rejected"]
            if one["arrived"] or one["reason"] == RejectReason.DELIVERED_AFTER_ALL
        ]
        for rejected in self.said["case_rejected"]:
            late_cancel = self.about[rejected["case_id"]][0] == CaseKind.LATE_CANCEL
            arrived = any(at <= rejected["said_at"] for at in known)
            if late_cancel and rejected["reason"] == RejectReason.NOT_RETURNED and not arrived:
                yield f"{rejected['case_id']} was given up, and nobody was asked who has its goods"

    def prepaid(self) -> Iterator[str]:
        """What does not add up."""
        paid = sum(one["amount"]["amount"] for one in self.said["payment_recorded"])
        lost, back = self.never_had(), self.gave_back()
        owed = min(_worth(self.lines, self.total, lost + back - self.paid_before), paid)
        most = min(
            _worth(
                self.lines, self.total, self.never_had(as_told=not self.asked_who_has, at_most=True) + back
            ),
            paid,
        )
        refunded, given = self.refunds()
        if not min(owed, paid - given) - ROUNDED <= refunded <= most + ROUNDED:
            yield (
                f"{paid} paid; {dict(lost)} never reached the buyer, {dict(back)} came back: {owed} is owed, "
                f"{refunded} refunded, and {given} given"
            )

    def cod(self) -> Iterator[str]:
        """What does not add up, the same with cash: it is not due for what never reached the buyer."""
        again = self.found_again()
        lost, back = self.never_had() - again, self.gave_back()
        cash = sum(one["cod_collected"] for one in self.said["shipment_delivered"])
        cash += sum(one["amount"] for one in self.said["cod_collected"])
        due, worth = self.in_cash(lost, back)
        as_told = not self.asked_who_has
        gone = self.never_had(as_told=as_told, at_most=True)
        # what was paid as lost stays out of the books when it arrives: what comes back may be all that is left in them
        most = max(self.in_cash(part, back, as_told=as_told)[1] for part in (gone - again, gone))
        refunded, given = self.refunds()
        not_due = max(cash - due, 0)  # it may go back with the price
        if refunded > min(max(worth, most) + not_due, cash) + ROUNDED:
            yield f"{cash} in cash; {dict(back)} came back: {worth} is owed, {refunded} refunded, {given} given"
        asked = {
            one["case_id"]: one["amount"]["amount"]
            for one in self.said["approval_requested"]
            if one["reason"] == MoneyQuestion.CASH_COLLECTED
        }
        looked_into = (cash != due or self.story.after_all) and (self.said["payment_anomaly_found"] or asked)
        refused = sum(
            asked.get(one["case_id"], 0)
            for one in self.said["case_rejected"]
            if one["reason"] == RejectReason.BY_AGENT
        )
        if cash - refunded - given - refused > due - worth + ROUNDED and not looked_into:
            yield (
                f"{cash} in cash, {due} due; {dict(lost)} never reached the buyer, {dict(back)} came back: "
                f"{worth} is owed, {refunded} refunded, and {given} given"
            )

    def in_cash(self, lost: Counter[str], back: Counter[str], *, as_told: bool = False) -> tuple[int, int]:
        """What couriers were to collect, and what of it is owed for what came back."""
        waived = self.turned_round(as_told=as_told) + self.said["fulfillment_cancel_refused"]
        due = 0 if lost == by_sku(self.lines) else self.total - sum(one["cod_due"] for one in waived)
        return due, _worth(_without(self.lines, lost), due, back) if due else 0

    def never_had(self, *, as_told: bool = False, at_most: bool = False) -> Counter[str]:
        """What did not reach the buyer: it turned round, as its courier told it or in truth, was kept back, or nothing left at
        all."""
        ended = self.said["order_canceled"] or self.said["order_expired"]
        if ended and not self.said["shipment_shipped"]:
            return by_sku(self.lines)
        turned = [(_pieces(one), one["said_at"]) for one in self.turned_round(as_told=as_told)]
        found = sum((pieces for pieces, _ in turned), Counter[str]())
        for lost, at in self.given_up_at_most if at_most else self.given_up:
            for pieces, told_at in turned:
                if told_at > at:  # it was no other than these
                    lost = lost - pieces
            found += lost
        for one in self.said["fulfillment_cancel_refused"]:
            found.update({line["sku"]: line["quantity"] for line in one["kept_back"]})
        return found

    def found_again(self) -> Counter[str]:
        """What was given up for lost and arrived after that; with cash on delivery it was paid for then."""
        return sum(map(_pieces, self.said["paid_goods_arrived"]), Counter[str]())

    @property
    def asked_who_has(self) -> bool:
        """True when a person was asked before anything was paid for that its courier had delivered after all."""
        who = (MoneyQuestion.END_DISPUTED, MoneyQuestion.RECEIPT_DISPUTED)
        asked = [one["said_at"] for one in self.said["approval_requested"] if one["reason"] in who]
        paid = [one["said_at"] for one in self.said["refund_requested"]]
        return bool(asked) and not any(at < min(asked) for at in paid)

    def turned_round(self, *, as_told: bool = False) -> list[Any]:
        """Parcels that did so."""
        arrived = set[str]() if as_told else self.story.after_all
        return [one for one in self.said["shipment_returned"] if one["shipment_id"] not in arrived]

    def gave_back(self) -> Counter[str]:
        """What the buyer sent back in time and as agreed, or a person paid for."""
        found: Counter[str] = Counter()
        for granted in self.granted.values():
            found += granted
        for one in self.said["case_approved"]:  # the dock had it in time, and told of it late
            if one["by_rule"] and self.about[one["case_id"]][1].startswith("came back in time"):
                found += by_sku(self.cases[one["case_id"]].lines)
        given_up = (RejectReason.NOT_RETURNED, RejectReason.DELIVERED_AFTER_ALL, RejectReason.WITHDRAWN)
        rejected = self.said["case_rejected"]
        late = {one["case_id"] for one in rejected if one["reason"] in given_up or one["arrived"]}
        for case in {one["case_id"] for one in self.said["return_inspected"]}:
            box = self.as_agreed(case)
            found += self.for_the_rest(case, box) if case in late else box
        return found

    def as_agreed(self, case: str) -> Counter[str]:
        """What the buyer sent back under a case, of that what is good for it."""
        kind, reason = self.about[case]
        good = {Condition.AS_NEW}
        if kind != "return" or reason in OUR_FAULT:
            good.add(Condition.DAMAGED)
        if reason == ReturnReason.WRONG_ITEM:
            good.add(Condition.WRONG_ITEM)
        found: Counter[str] = Counter()
        for (sku, condition), n in self.story.sent_back.get(case, Counter()).items():
            if condition in good:
                found[sku] += n
        return found

    def for_the_rest(self, case: str, box: Counter[str]) -> Counter[str]:
        """What of a box that came under a case that was given up is awaited under the one that it was split into."""
        rests = (one for one in self.cases.values() if one.rest_of == case)
        awaited = (one for one in rests if not one.no_word and one.refund is not Refund.DENIED)
        return (box - by_sku(self.cases[case].lines)) & by_sku(line for one in awaited for line in one.lines)

    def refunds(self) -> tuple[int, int]:
        """What was given back of the price: for goods or an order that ended, and beside that, as a person agreed to."""
        sums = [0, 0]
        for one in self.said["refund_requested"]:
            an_amount = not self.granted.get(one["case_id"], True)
            sums[an_amount] += one["amount"]["amount"] - one["excess"]
        return sums[0], sums[1]


def _pieces(event: Any) -> Counter[str]:
    return Counter({line["sku"]: line["quantity"] for line in event["lines"]})


def _dearest_first(lines: Iterable[OrderLine]) -> dict[str, list[int]]:
    prices: dict[str, list[int]] = defaultdict(list)
    for line in sorted(lines, key=lambda one: -one.unit_price):
        prices[line.sku] += [line.unit_price] * line.quantity
    return prices


def _worth(lines: Iterable[OrderLine], total: int, taken: Counter[str]) -> int:
    """The share of these pieces in what all was sold for: with everything all of it, and else without fees."""
    prices = _dearest_first(lines)
    goods = sum(map(sum, prices.values()))
    if all(taken[sku] >= len(some) for sku, some in prices.items()):
        return total
    part = sum(sum(some[: taken[sku]]) for sku, some in prices.items())
    return part * min(goods, total) // max(goods, 1)


def _without(lines: Iterable[OrderLine], gone: Counter[str]) -> Iterable[OrderLine]:
    """The others; where couriers collect by the parcel, an article that was sold at two prices costs the average."""
    return [
        OrderLine(line=n, sku=sku, quantity=1, unit_price=price)
        for sku, some in _dearest_first(lines).items()
        for n, price in enumerate([sum(some) // len(some)] * (len(some) - gone[sku]), 1)
    ]
