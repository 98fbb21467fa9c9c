"""What notify does on each event: plan the messages that it calls for, once (N1, N2)."""

from collections.abc import Iterator
from hashlib import sha256
from typing import Any

from services.notify.routing import OF_BUYERS, NotifyDesk, Routing, plan_for
from services.notify.sending import ClaimMessages, RecordResults, RetryMessage, claim, named, record, retry
from services.notify.tables import BuyerContact, Message, MessageState, OptOut, as_it_stands, opt_out_key
from shared.events import aftersales, notify, orders
from shared.events.aftersales import CaseKind
from shared.events.base import EVENT_TYPES, Event, is_inbox
from shared.events.notify import MessageFailed, MessageSent
from shared.replacing import replace
from shared.runtime.desk import Want
from shared.runtime.messages import Command, Refused
from shared.runtime.service import Handling, Service, on
from shared.values import Address, Contact, Locale, Personal


class SetOptOut(Command):
    """A buyer wants only necessary messages, or all of them again."""

    buyer_id: str
    opted_out: bool
    source: str | None = None
    """The shop that the buyer is one of."""


def planned(event: Event, desk: NotifyDesk) -> list[tuple[str, str, str, str]]:
    """(message id, template, audience, channel) of all that an event calls for.

    The id is made of the event, the template and the audience, so that what was planned is known again. It begins with the
    order's, if it is about one: messages lie in the index as their orders do, and not on a page each among millions.
    """
    found = []
    if (plan := plan_for(event)) is not None:
        channel = desk.routing.buyer if plan.audience == "buyer" else desk.routing.staff
        found.append((plan.template, plan.audience, channel))
    # that a webhook got its message is told to no webhook: one such message would make the next, for ever
    if not (isinstance(event, MessageSent | MessageFailed) and event.channel.startswith("webhook:")):
        found += [
            ("event", w.name, f"webhook:{w.name}") for w in desk.routing.webhooks if w.wants(event.wire_type)
        ]
    order, key = getattr(event, "order_id", ""), f"{desk.envelope.source} {desk.envelope.id}"
    return [(_message_id(order, f"{key} {t} {a}"), t, a, c) for t, a, c in found]


def _message_id(order_id: str, key: str) -> str:
    digest = sha256(key.encode()).hexdigest()[:28]
    return f"{order_id}-{digest}" if order_id else digest


def rows(event: Event, desk: NotifyDesk) -> Iterator[tuple[Want, ...]]:
    """The messages that may be planned already, and the contact of the order.

    No generator itself: the envelope that message ids are made of is in hand only while this is called, not when rounds run.
    """
    order_id = getattr(event, "order_id", "")
    wants = (
        desk.messages.want(*(message_id for message_id, *_ in planned(event, desk))),
        desk.contacts.want(*([order_id] if isinstance(event, OF_BUYERS) else [])),
    )
    return iter((wants,))


def tell(event: Event, desk: NotifyDesk) -> None:
    """Keep the contact, and plan what the event calls for (N1, N2)."""
    if isinstance(event, OF_BUYERS):
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


def remember(event: Event, desk: NotifyDesk) -> None:
    """Keep how the buyer is reached, and where, until it is erased (X4); what they ordered, and whether they canceled it on its
    way (N1)."""
    known: BuyerContact | None = desk.contacts.get(getattr(event, "order_id", ""))
    match event:
        case orders.OrderPlaced(external_number=number, buyer_id=buyer, locale=locale, personal=personal):
            names = {line.sku: line.name for line in event.lines if line.name}
            called_back = known is not None and known.called_back  # after-sales may be heard first
            known = BuyerContact(
                event.order_id, buyer, number, locale, *_reached(personal),
                called_back=called_back, names=names, source=event.source,
            )  # fmt: skip
        case orders.AddressConfirmed(personal=personal):
            contact, address = _reached(personal)
            known = replace(desk.contacts[event.order_id], contact=contact, address=address)
        case orders.PersonalErased() if known is not None:  # ops may have skipped what told of it
            known = replace(known, contact=None, address=None, erased=True)
        case aftersales.ReturnAuthorized(kind=CaseKind.LATE_CANCEL, order_id=order_id):
            known = known or BuyerContact(order_id, "", order_id, Locale.ZH_CN, None)
            known = replace(known, called_back=True)
        case aftersales.CaseRejected(kind=CaseKind.LATE_CANCEL) if known is not None:
            known = replace(known, called_back=False)  # the order stands
        case _:
            return
    desk.contacts.put(known)


def _reached(personal: Personal | None) -> tuple[Contact | None, Address | None]:
    return (personal.contact, personal.address) if personal else (None, None)


def opt_out(command: SetOptOut, desk: NotifyDesk) -> dict[str, object]:
    """Note what a buyer wants; necessary messages are sent all the same (N6)."""
    everywhere, key = desk.opt_outs.get(command.buyer_id), opt_out_key(command.source, command.buyer_id)
    if everywhere is not None and everywhere.opted_out and command.source and not command.opted_out:
        detail = (
            "the buyer opted out of letters of all shops; lift that without source, and opt them out anew of the shops of "
            "which they still want none"
        )
        raise Refused("opted_out_everywhere", detail, field="source")
    known, lifts = as_it_stands(everywhere, desk.opt_outs.get(key)), everywhere.lifts if everywhere else 0
    lifted = not command.source and not command.opted_out  # whatever was said at a shop
    if lifted or command.opted_out != (known is not None and known.opted_out):
        desk.opt_outs.put(OptOut(key, str(desk.actor), desk.now, command.opted_out, lifts + lifted))
    return {"source": command.source, "buyer_id": command.buyer_id, "opted_out": command.opted_out}


def opted(command: SetOptOut, desk: NotifyDesk) -> Iterator[Want]:
    """What the buyer wants of all shops, and of this one."""
    yield desk.opt_outs.want(*sorted({command.buyer_id, opt_out_key(command.source, command.buyer_id)}))


HEARD = [
    event
    for name, event in sorted(EVENT_TYPES.items())
    if name.split(".", 1)[0] in ("orders", "warehouse", "aftersales", "notify") and not is_inbox(name)
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
