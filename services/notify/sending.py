"""What senders do to planned messages: claim them under a lease, book what became of them, try again (N6)."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from pydantic import BaseModel

from services.notify.routing import NotifyDesk
from services.notify.tables import Message, MessageState
from services.notify.words import UNBOOKED
from shared.events.base import Event
from shared.events.notify import MessageFailed, MessageSent
from shared.replacing import replace
from shared.runtime.desk import Want
from shared.runtime.messages import Command, Refused

LEASE = timedelta(minutes=2)
"""How long a sender has a message to itself; when it dies meanwhile, another takes over. Longer than a batch can take."""
TRIES = 30
"""About 20 hours: a mail server may be away for a night."""
LONGEST_WAIT = timedelta(hours=1)
MOST_UNSURE = 3
"""So often a letter may leave of which nobody says that it was taken."""


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
    untried: bool = False
    """True when it was given back for any sender to take; `error` says why."""
    unsure: bool = False
    """True when it may have left."""


class RecordResults(Command):
    """What became of messages that were claimed until `lease`."""

    results: tuple[Result, ...]
    lease: datetime


class RetryMessage(Command):
    """Try a failed message again."""

    message_id: str


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
    """Give a sender the messages that are still due; nobody else gets them until the lease ends.

    One whose tries nobody ever booked, as senders die of it or a bug keeps it from being booked, is given up: else it would
    leave again at the end of each lease, for ever.
    """
    claimed, lease = [], desk.now + LEASE
    for message_id in command.message_ids:
        message = desk.messages.get(message_id)
        if message is None or message.state is not MessageState.PLANNED or message.due > desk.now:
            continue
        if message.tries >= TRIES:
            _give_up(message, UNBOOKED, desk)
        else:
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
        elif result.untried:
            desk.messages.put(replace(message, due=desk.now, tries=message.tries - 1))
        elif result.suppressed:
            desk.messages.put(replace(message, state=MessageState.SUPPRESSED, last_error=result.error))
        elif result.lasting or message.tries >= TRIES or message.unsure + result.unsure >= MOST_UNSURE:
            _give_up(message, result.error, desk)
        elif result.unsure:
            later = desk.now + LONGEST_WAIT
            desk.messages.put(replace(message, due=later, last_error=result.error, unsure=message.unsure + 1))
        else:
            later = backed_off(message, desk.now)
            desk.messages.put(replace(message, due=later, last_error=result.error))


def backed_off(message: Message, now: datetime) -> datetime:
    """When a failed try is repeated: 5 s, doubling, an hour at most."""
    return now + min(timedelta(seconds=5 * 2 ** (message.tries - 1)), LONGEST_WAIT)


def _give_up(message: Message, reason: str, desk: NotifyDesk) -> None:
    desk.messages.put(replace(message, state=MessageState.FAILED, last_error=reason))
    _say(MessageFailed, message, desk, reason=reason)


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
    desk.messages.put(
        replace(
            message,
            state=MessageState.PLANNED,
            due=desk.now,
            tries=0,
            unsure=0,
            retried_by=str(desk.actor),
            retried_at=desk.now,
        )
    )
    return {"state": MessageState.PLANNED}
