"""The work that all contestants do, so that a ratio compares ways of doing it and nothing else.

A payment of an order comes in; once only, whatever is delivered twice, the order's account is changed and "booked" is
logged and sent out. Classes for both events, the row and the rule are shared: reading an event safely is part of the work.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from sqlalchemy import BigInteger, Column, MetaData, Table, Text
from sqlalchemy.dialects.postgresql import JSONB

from shared.events.base import Event, EventParked
from shared.runtime.bookkeeping import runtime_tables
from shared.runtime.desk import Desk, Want
from shared.runtime.messages import Timer
from shared.runtime.rows import RowMap
from shared.runtime.service import Service, on
from shared.values import Code, Minor, Money, OrderLine, Time

STREAMS = 5_000
"""Orders that take payments in turn: a batch of 500 finds about 475 different ones."""


class PaymentTaken(Event, type="shop.payment_taken.v1", subject="order_id"):
    """What comes in: about 400 bytes, as the usual event of this system."""

    order_id: Code
    payment_id: Code
    amount: Money
    taken_at: Time
    lines: tuple[OrderLine, ...]


class PaymentBooked(Event, type="ledger.payment_booked.v1", subject="order_id"):
    """What goes out."""

    order_id: Code
    payment_id: Code
    amount: Money
    balance: Minor


class PaymentDue(Timer, name="ledger.payment_due"):
    """What falls due, where timers are measured."""

    reminder_id: str
    order_id: str


class PaymentMissed(Event, type="ledger.payment_missed.v1", subject="order_id"):
    """What goes out then."""

    order_id: Code
    reminder_id: Code


class LedgerEventParked(EventParked, type="ledger.event_parked.v1", subject="service"):
    """A service must have one; none is sent here."""


@dataclass(frozen=True)
class Account:
    """The row that is changed. `last_payment` and `currency` lie in the JSONB column."""

    order_id: str
    balance: int
    payments: int
    last_payment: str
    currency: str


def book(account: Account, event: PaymentTaken) -> tuple[Account, PaymentBooked]:
    """The rule, the same for all."""
    balance = account.balance + event.amount.amount
    after = replace(account, balance=balance, payments=account.payments + 1, last_payment=event.payment_id)
    said = PaymentBooked(
        order_id=event.order_id, payment_id=event.payment_id, amount=event.amount, balance=balance
    )
    return after, said


metadata = MetaData()
runtime_tables(metadata)
ACCOUNTS = RowMap(
    Account,
    Table(
        "accounts",
        metadata,
        Column("order_id", Text, primary_key=True),
        Column("balance", BigInteger, nullable=False),
        Column("payments", BigInteger, nullable=False),
        Column("doc", JSONB, nullable=False),
        Column("version", BigInteger, nullable=False),
    ),
)


class LedgerDesk(Desk):
    """One shelf."""

    def __init__(self) -> None:
        super().__init__()
        self.accounts = self.shelf(ACCOUNTS)


def take(event: PaymentTaken, desk: LedgerDesk) -> None:
    """The handler: as pure as those of the real services."""
    account, said = book(desk.accounts[event.order_id], event)
    desk.accounts.put(account)
    desk.publish(said)


def remind(timer: PaymentDue, desk: LedgerDesk) -> None:
    """A row is changed and an event said, as by a payment."""
    desk.accounts.put(replace(desk.accounts[timer.order_id], last_payment=timer.reminder_id))
    desk.publish(PaymentMissed(order_id=timer.order_id, reminder_id=timer.reminder_id))


def account_of(message: PaymentTaken | PaymentDue, desk: LedgerDesk) -> Iterator[Want]:
    """The account that it is about."""
    yield desk.accounts.want(message.order_id)


def ledger() -> Service[LedgerDesk]:
    """The service: hears topic `shop`, speaks on topic `ledger`."""
    consumes = (on(PaymentTaken, take, account_of), on(PaymentDue, remind, account_of))
    return Service("ledger", LedgerDesk, consumes, LedgerEventParked)
