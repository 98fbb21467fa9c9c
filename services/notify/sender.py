"""The sender: takes planned messages that are due and sends them, each channel by itself: a dead one delays only its own.

A message is claimed under a lease and its result booked, both through turns like everything else; only the sending between
is outside. After a crash between sending and booking the lease ends and the message is sent again, under the same id.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta

import structlog
from jinja2.exceptions import TemplateError
from sqlalchemy import select

from services.notify.channels import Channel, GiveUp, Letter, TryLater, Unsure
from services.notify.routing import NECESSARY
from services.notify.sending import Claim, ClaimMessages, RecordResults, Result
from services.notify.tables import (
    CONTACTS,
    MESSAGES,
    OPT_OUTS,
    BuyerContact,
    Message,
    contacts,
    messages,
    opt_outs,
    opted_out,
)
from services.notify.texts import Texts
from services.notify.words import ERASED, NO_ADDRESS, NO_ANSWER
from shared.runtime.messages import Outcome, Status
from shared.runtime.running import Runtime
from shared.values import Actor, ActorKind, Locale

log = structlog.get_logger(__name__)

BATCH = 100
AT_ONCE = 20
SEND_SECONDS = 20
"""Most that one try may take; a batch of them must end before its lease does."""
POLL = 0.3
"""Seconds between looks while nothing is due."""
PAUSE = 1.0
"""Seconds before another try when the database is away."""
SENDER = Actor(kind=ActorKind.SERVICE, name="notify")


class Sender:
    """Sends what is planned. Run `run()` as long as the service runs."""

    def __init__(
        self,
        runtime: Runtime,
        channels: Mapping[str, Channel],
        texts: Texts,
        staff: str,
        staff_locale: Locale,
        first: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self.runtime = runtime
        self.channels = channels
        self.texts = texts
        self.staff = staff
        self.staff_locale = staff_locale
        self.first = first
        """What is waited for before any letter leaves: who was erased or canceled while we were down gets none."""

    async def run(self) -> None:
        """One loop a channel."""
        if self.first is not None:
            await self.first()
        async with asyncio.TaskGroup() as loops:
            for name, channel in self.channels.items():
                loops.create_task(self._loop(name, channel))

    async def _loop(self, name: str, channel: Channel) -> None:
        while not self.runtime.stopping.is_set():
            try:
                sent = await self._send_due(name, channel)
            except Exception as error:
                log.warning("sender waits", channel=name, error=type(error).__name__)
                sent = 0
                await self.runtime.stopping.within(PAUSE)
            if sent < BATCH:
                await self.runtime.stopping.within(POLL)

    async def _send_due(self, name: str, channel: Channel) -> int:
        now = self.runtime.clock.now()
        query = (
            select(messages.c.message_id)
            .where(messages.c.channel == name, messages.c.state == "planned", messages.c.due <= now)
            .order_by(messages.c.due)
            .limit(BATCH)
        )
        ids = tuple(r["message_id"] for r in await self.runtime.read(query))
        if not ids:
            return 0
        outcome = await self.runtime.commands.tell(ClaimMessages(message_ids=ids), SENDER)
        if outcome.answer is None:  # a bug of ours, and logged
            return 0
        claim = Claim.model_validate(outcome.answer)
        if claim.message_ids:
            busy = asyncio.Semaphore(AT_ONCE)
            jobs = [
                self._send(m, c, out, channel, busy, claim.lease)
                for m, c, out in await self._with_contacts(claim.message_ids)
            ]
            await self._book(name, await asyncio.gather(*jobs), claim.lease)
        return len(claim.message_ids)

    async def _book(self, name: str, results: Sequence[Result], lease: datetime) -> None:
        """Say what became of letters until it is kept: one that left and is not booked leaves again."""
        outcome = await self._kept(name, RecordResults(results=tuple(results), lease=lease))
        if outcome.status is Status.FAILED and len(results) > 1:  # a bug, met with one of them
            for result in results:
                await self._book(name, [result], lease)

    async def _kept(self, name: str, command: RecordResults) -> Outcome:
        while True:
            try:
                return await self.runtime.commands.tell(command, SENDER)
            except Exception as error:  # whatever is in the way: results are not forgotten
                log.warning("sender waits", channel=name, error=type(error).__name__)
                await asyncio.sleep(PAUSE)

    async def _with_contacts(self, ids: Sequence[str]) -> list[tuple[Message, BuyerContact | None, bool]]:
        found = await self.runtime.read(select(messages).where(messages.c.message_id.in_(ids)))
        loaded = [MESSAGES.load(r) for r in found]
        orders = sorted({m.order_id for m in loaded})
        people = await self.runtime.read(select(contacts).where(contacts.c.order_id.in_(orders)))
        by_order = {c.order_id: c for c in map(CONTACTS.load, people)}
        buyers = sorted({key for c in by_order.values() for key in c.opts_out_as})
        out = await self.runtime.read(select(opt_outs).where(opt_outs.c.buyer_id.in_(buyers)))
        said = {o.buyer_id: o for o in map(OPT_OUTS.load, out)}
        contacted = ((m, by_order.get(m.order_id)) for m in loaded)
        return [(m, c, c is not None and opted_out(*map(said.get, c.opts_out_as))) for m, c in contacted]

    async def _send(
        self,
        message: Message,
        contact: BuyerContact | None,
        out: bool,
        channel: Channel,
        busy: asyncio.Semaphore,
        lease: datetime,
    ) -> Result:
        if out and message.audience == "buyer" and message.template not in NECESSARY:
            return Result(message_id=message.message_id, error="the buyer opted out", suppressed=True)
        if contact is not None and contact.erased and message.audience == "buyer":
            return _nobody(message, ERASED)
        async with busy:
            if why := self._too_late(lease):
                return Result(message_id=message.message_id, error=why, untried=True)
            try:
                letter = self._letter(message, contact)
                if not letter.recipient:
                    return _nobody(message, NO_ADDRESS)
                async with asyncio.timeout(SEND_SECONDS):
                    await channel.send(letter)
            except TimeoutError:
                return Result(message_id=message.message_id, error=f"{NO_ANSWER} {SEND_SECONDS} s")
            except TryLater as error:
                return Result(message_id=message.message_id, error=str(error)[:300])
            except Unsure as error:
                return Result(message_id=message.message_id, error=str(error)[:300], unsure=True)
            except GiveUp as error:
                return Result(message_id=message.message_id, error=str(error)[:300], lasting=True)
            except TemplateError as error:
                return Result(
                    message_id=message.message_id, error=f"template: {type(error).__name__}", lasting=True
                )
            except Exception as error:
                # a bug of ours: it must not keep the results of the others from being booked
                log.exception("message cannot be sent", message=message.message_id, template=message.template)
                return Result(message_id=message.message_id, error=f"a bug: {type(error).__name__}")
        return Result(message_id=message.message_id)

    def _too_late(self, lease: datetime) -> str:
        """Why no letter is begun any more; empty as long as there is time for one.

        By the clock that claims go by: where a driver moves it, a lease can end at any moment, and a letter waits for the next.
        """
        if self.runtime.stopping.is_set():
            return "the service is stopping"
        if self.runtime.clock.now() + timedelta(seconds=SEND_SECONDS) > lease:  # the process was frozen
            return "the lease was about to end"
        return ""

    def _letter(self, message: Message, contact: BuyerContact | None) -> Letter:
        facts = message.facts
        if message.template == "event":
            return Letter(
                message.message_id, message.audience, "", "", message.event_id, message.event_type, facts
            )
        if message.audience == "buyer" and (contact is None or contact.contact is None):
            raise TryLater("the buyer's contact is not known yet")
        person = contact.contact if contact is not None else None
        refund = facts.get("refund") or {"amount": 0}
        values = facts | {
            "name": person.name if person else "",
            "phone": person.phone if person else "",
            "address": contact.address if contact else None,
            "number": contact.external_number if contact else facts.get("order_id", ""),
            "refund_due": bool(refund["amount"]),
            "called_back": contact is not None and contact.called_back,
            "names": contact.names if contact else {},
        }
        locale = _language(contact, message.audience, self.staff_locale)
        text = self.texts.render(message.template, locale, values)
        reach = person.email if person else None
        if person and message.channel != "email":
            reach = reach or person.phone
        recipient = self.staff if message.audience == "staff" else reach or ""
        return Letter(
            message.message_id,
            recipient,
            text.subject,
            text.body,
            message.event_id,
            message.event_type,
            facts,
        )


def _nobody(message: Message, why: str) -> Result:
    """There is nobody to send it to: a failure only where it must reach them."""
    must_reach = message.template in NECESSARY
    return Result(message_id=message.message_id, error=why, suppressed=not must_reach, lasting=must_reach)


def _language(contact: BuyerContact | None, audience: str, staff: Locale) -> Locale:
    """Buyers in theirs, staff in the shop's (N4)."""
    return contact.locale if contact is not None and audience == "buyer" else staff
