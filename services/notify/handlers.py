"""What notify does on each event: plan the messages that it calls for, once; sending them is the sender's (N1, N2, N6)."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from pydantic import BaseModel

from services.notify.tables import (
    CONTACTS,
    MESSAGES,
    OPT_OUTS,
    BuyerContact,
    Message,
    MessageState,
    OptOut,
)
from shared.events import aftersales, notify, orders, warehouse
from shared.events.base import EVENT_TYPES, Event
from shared.events.notify import MessageFailed, MessageSent
from shared.runtime.desk import Desk, Want
from shared.runtime.messages import Command, Refused
from shared.runtime.service import Handling, Service, on
from shared.values import Locale

LEASE = timedelta(minutes=2)
"""How long a sender has a message to itself; when it dies meanwhile, another takes over. Longer than a batch can take."""
TRIES = 30
"""About 20 hours: a mail server may be away for a night."""
LONGEST_WAIT = timedelta(hours=1)

NECESSARY = (
    "address_confirmation",
    "canceled",
    "expired",
    "return_authorized",
    "refund_requested",
    "case_rejected",
)
"""Sent to buyers who opted out too: they concern the contract or the buyer's money."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Which template an event calls for, and who gets it."""

    template: str
    audience: str


PLANS: dict[type[Event], Plan] = {
    orders.AddressConfirmationRequested: Plan("address_confirmation", "buyer"),
    orders.OrderCanceled: Plan("canceled", "buyer"),
    orders.OrderExpired: Plan("expired", "buyer"),
    warehouse.ShipmentShipped: Plan("shipped", "buyer"),
    warehouse.ShipmentDelivered: Plan("delivered", "buyer"),
    warehouse.ReturnReceived: Plan("return_received", "buyer"),
    aftersales.ReturnAuthorized: Plan("return_authorized", "buyer"),
    aftersales.RefundRequested: Plan("refund_requested", "buyer"),
    aftersales.CaseRejected: Plan("case_rejected", "buyer"),
    orders.OrderEscalated: Plan("escalated", "staff"),
    orders.PaymentAnomalyFound: Plan("payment_anomaly", "staff"),
    orders.OrderEventParked: Plan("event_parked", "staff"),
    warehouse.WarehouseEventParked: Plan("event_parked", "staff"),
    aftersales.AftersalesEventParked: Plan("event_parked", "staff"),
    notify.NotifyEventParked: Plan("event_parked", "staff"),
}


REACHED = (orders.OrderPlaced, orders.AddressConfirmed)
"""Events that say how a buyer is reached."""


@dataclass(frozen=True, slots=True)
class Webhook:
    """An endpoint outside that wants events; `events` are wire names, a trailing * stands for any ending."""

    name: str
    url: str
    secret: str
    events: tuple[str, ...]

    def wants(self, type_name: str) -> bool:
        """True when the endpoint asked for events of this type."""
        return any(type_name == e or (e.endswith("*") and type_name.startswith(e[:-1])) for e in self.events)


@dataclass(frozen=True, slots=True)
class Routing:
    """Which channel reaches buyers and staff, and which endpoints want events."""

    buyer: str = "file"
    staff: str = "file"
    webhooks: tuple[Webhook, ...] = ()

    def wants(self, event: type[Event]) -> bool:
        """True when the event tells how a buyer is reached, or somebody is to be told of it. All others are passed over."""
        return event in PLANS or event in REACHED or any(w.wants(event.wire_type) for w in self.webhooks)


class NotifyDesk(Desk):
    """Shelves of one turn."""

    def __init__(self, routing: Routing) -> None:
        super().__init__()
        self.routing = routing
        self.messages = self.shelf(MESSAGES)
        self.contacts = self.shelf(CONTACTS)
        self.opt_outs = self.shelf(OPT_OUTS)


class ClaimMessages(Command):
    """A sender takes messages that are due. The answer is a `Claim`."""

    message_ids: tuple[str, ...]


class Claim(BaseModel):
    """What a sender was given, and until when it has that to itself."""

    message_ids: tuple[str, ...]
    lease: datetime


class Result(Command):
    """How one try to send went; an empty error means sent."""

    message_id: str
    error: str = ""
    lasting: bool = False
    """True when trying again cannot help."""
    suppressed: bool = False
    """True when it is not to be sent at all; `error` says why."""


class RecordResults(Command):
    """What became of messages that were claimed until `lease`."""

    results: tuple[Result, ...]
    lease: datetime


class RetryMessage(Command):
    """Try a failed message again."""

    message_id: str


class SetOptOut(Command):
    """A buyer wants only necessary messages, or all of them again."""

    buyer_id: str
    opted_out: bool


# --- planning --------------------------------------------------------------------------------------------------


def planned(event: Event, desk: NotifyDesk) -> list[tuple[str, str, str, str]]:
    """(message id, template, audience, channel) of all that an event calls for."""
    found = []
    if (plan := PLANS.get(type(event))) is not None:
        channel = desk.routing.buyer if plan.audience == "buyer" else desk.routing.staff
        found.append((plan.template, plan.audience, channel))
    # that a webhook got its message is told to no webhook: one such message would make the next, for ever
    if not (isinstance(event, MessageSent | MessageFailed) and event.channel.startswith("webhook:")):
        found += [
            ("event", w.name, f"webhook:{w.name}") for w in desk.routing.webhooks if w.wants(event.wire_type)
        ]
    key = f"{desk.envelope.source} {desk.envelope.id}"
    return [(sha256(f"{key} {t} {a}".encode()).hexdigest()[:40], t, a, c) for t, a, c in found]


def rows(event: Event, desk: NotifyDesk) -> Iterator[tuple[Want, ...]]:
    """The messages that may be planned already, and the contact of the order.

    No generator itself: the envelope that message ids are made of is in hand only while this is called, not when rounds run.
    """
    order_id = getattr(event, "order_id", "")
    wants = (
        desk.messages.want(*(message_id for message_id, *_ in planned(event, desk))),
        desk.contacts.want(*([order_id] if isinstance(event, REACHED) else [])),
    )
    return iter((wants,))


def tell(event: Event, desk: NotifyDesk) -> None:
    """Keep the contact, and plan what the event calls for (N1, N2)."""
    if isinstance(event, REACHED):
        remember(event, desk)
    for message_id, template, audience, channel in planned(event, desk):
        if desk.messages.get(message_id) is None:
            desk.messages.put(
                Message(
                    message_id=message_id,
                    order_id=getattr(event, "order_id", ""),
                    template=template,
                    channel=channel,
                    audience=audience,
                    state=MessageState.PLANNED,
                    due=desk.now,
                    tries=0,
                    event_id=f"{desk.envelope.source} {desk.envelope.id}",
                    event_type=event.wire_type,
                    planned_at=desk.now,
                    facts=event.model_dump(mode="json", exclude={"personal"}),
                )
            )


def remember(event: orders.OrderPlaced | orders.AddressConfirmed, desk: NotifyDesk) -> None:
    """Keep how the buyer is reached."""
    contact = event.personal.contact if event.personal else None
    if isinstance(event, orders.OrderPlaced):
        known = BuyerContact(event.order_id, event.buyer_id, event.external_number, event.locale, contact)
    else:
        known = replace(desk.contacts[event.order_id], contact=contact)
    desk.contacts.put(known)


# --- sending ---------------------------------------------------------------------------------------------------


def named(command: ClaimMessages | RecordResults | RetryMessage, desk: NotifyDesk) -> Iterator[Want]:
    """The messages that a sender or a person means."""
    match command:
        case ClaimMessages():
            yield desk.messages.want(*command.message_ids)
        case RecordResults():
            yield desk.messages.want(*(r.message_id for r in command.results))
        case RetryMessage():
            yield desk.messages.want(command.message_id)


def claim(command: ClaimMessages, desk: NotifyDesk) -> Claim:
    """Give a sender the messages that are still due; nobody else gets them until the lease ends."""
    claimed, lease = [], desk.now + LEASE
    for message_id in command.message_ids:
        message = desk.messages.get(message_id)
        if message is not None and message.state is MessageState.PLANNED and message.due <= desk.now:
            desk.messages.put(replace(message, due=lease, tries=message.tries + 1))
            claimed.append(message_id)
    return Claim(message_ids=tuple(claimed), lease=lease)


def record(command: RecordResults, desk: NotifyDesk) -> None:
    """Book what became of messages: sent, tried again later, or given up (N6)."""
    for result in command.results:
        message = desk.messages[result.message_id]
        if message.state is not MessageState.PLANNED:
            continue
        if result.error and message.due != command.lease:
            continue  # it came too late: somebody else has the message, and is not to lose it to a third
        if not result.error:
            desk.messages.put(replace(message, state=MessageState.SENT, last_error=""))
            _say(MessageSent, message, desk)
        elif result.suppressed:
            desk.messages.put(replace(message, state=MessageState.SUPPRESSED, last_error=result.error))
        elif result.lasting or message.tries >= TRIES:
            desk.messages.put(replace(message, state=MessageState.FAILED, last_error=result.error))
            _say(MessageFailed, message, desk, reason=result.error)
        else:
            later = backed_off(message, desk.now)
            desk.messages.put(replace(message, due=later, last_error=result.error))


def backed_off(message: Message, now: datetime) -> datetime:
    """When a failed try is repeated: 5 s, doubling, an hour at most."""
    return now + min(timedelta(seconds=5 * 2 ** (message.tries - 1)), LONGEST_WAIT)


def _say(event: type[Event], message: Message, desk: NotifyDesk, **more: Any) -> None:
    if not message.order_id:
        return  # an alert to ops or a stock event: the delivery log is enough
    facts = {n: getattr(message, n) for n in ("order_id", "message_id", "template", "channel", "audience")}
    desk.publish(event(**facts, **more))


def retry(command: RetryMessage, desk: NotifyDesk) -> dict[str, str]:
    """Send a message that was given up again, from its first try."""
    message = desk.messages.get(command.message_id)
    if message is None:
        raise Refused("unknown_message", "there is no such message", field="message_id", status=404)
    if message.state is not MessageState.FAILED:
        raise Refused("not_failed", f"the message is {message.state}; only failed ones are tried again")
    desk.messages.put(replace(message, state=MessageState.PLANNED, due=desk.now, tries=0))
    return {"state": MessageState.PLANNED}


def opt_out(command: SetOptOut, desk: NotifyDesk) -> dict[str, object]:
    """Note what a buyer wants; necessary messages are sent all the same (N6)."""
    known = desk.opt_outs.get(command.buyer_id)
    if command.opted_out and known is None:
        desk.opt_outs.put(OptOut(command.buyer_id, str(desk.actor), desk.now))
    elif not command.opted_out and known is not None:
        desk.opt_outs.remove(command.buyer_id)
    return {"buyer_id": command.buyer_id, "opted_out": command.opted_out}


def opted(command: SetOptOut, desk: NotifyDesk) -> Iterator[Want]:
    """The buyer's opt-out."""
    yield desk.opt_outs.want(command.buyer_id)


HEARD = [
    event
    for name, event in sorted(EVENT_TYPES.items())
    if name.split(".", 1)[0] in ("orders", "warehouse", "aftersales", "notify") and ".inbox." not in name
]
"""Everything that the services say, notify too: a webhook may want any of it, and staff what is parked."""

CONSUMES: tuple[Handling[Any, NotifyDesk], ...] = (
    *(on(event, tell, rows) for event in HEARD),
    on(ClaimMessages, claim, named),
    on(RecordResults, record, named),
    on(RetryMessage, retry, named),
    on(SetOptOut, opt_out, opted),
)


def service(routing: Routing | None = None) -> Service[NotifyDesk]:
    """Notify with a shop's channels."""
    routing = routing or Routing()
    consumes = tuple(h for h in CONSUMES if not issubclass(h.message, Event) or routing.wants(h.message))
    return Service(
        name="notify", desk=lambda: NotifyDesk(routing), consumes=consumes, parked=notify.NotifyEventParked
    )


def language(contact: BuyerContact | None, audience: str, staff: Locale) -> Locale:
    """Buyers in theirs, staff in the shop's (N4)."""
    return contact.locale if contact is not None and audience == "buyer" else staff
