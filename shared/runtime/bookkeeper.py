"""What became of each message of a turn, as it stands in the books: applied, answered, refused, parked."""

import traceback
from base64 import b64encode
from dataclasses import replace
from datetime import datetime
from typing import Any

import structlog

from shared.runtime.bookkeeping import Cursor, LaneState, Parked, ParkedState, Seen
from shared.runtime.desk import Desk
from shared.runtime.envelope import Malformed
from shared.runtime.messages import Door, Incoming, Outcome, Raw, Refused, Status
from shared.runtime.service import Service
from shared.runtime.store import Unfit
from shared.values import Actor

log = structlog.get_logger(__name__)

_KAFKA, _FLOWING = Door.KAFKA, LaneState.FLOWING
_DONE, _PASSED = Status.DONE, Status.PASSED
_LANE = {ParkedState.FAILED: LaneState.FAILED, ParkedState.GAP: LaneState.GAP}
"""What a message that is set aside makes of its lane; one that queues behind another leaves it as it is."""
_NO_RECORD = Raw("", 0, 0, None, (), b"")


class Bookkeeper:
    """Writes the books of one turn, on its desk."""

    def __init__(self, service: Service[Any], desk: Desk, now: datetime) -> None:
        self.service = service
        self.desk = desk
        self.books = desk.books
        self.now = now

    def cursor(self, lane: str) -> Cursor:
        """How far a lane was applied."""
        return (self.books.cursors.get(lane) if lane else None) or Cursor(lane)

    def passed(self, incoming: Incoming) -> Outcome | None:
        """Most of what a service hears is not for it, and next in its stream: only its place is kept. None for any other."""
        if incoming.message is not None or incoming.error is not None or incoming.door is not _KAFKA:
            return None
        sequence, cursor = incoming.envelope.sequence, self.cursor(incoming.lane)
        if sequence != cursor.sequence + 1 or cursor.state is not _FLOWING:
            return None
        self.books.cursors.put(Cursor(cursor.lane, sequence))
        return Outcome(_PASSED)

    def done(self, incoming: Incoming, answer: Any) -> Outcome:
        """It was handled, or is of a type that nobody here handles: its lane goes on behind it."""
        self._remember(incoming, _DONE, answer)
        self.unpark(incoming)
        if incoming.envelope.sequence is not None:
            cursor = self.cursor(incoming.lane)
            self.books.cursors.put(Cursor(cursor.lane, incoming.envelope.sequence, cursor.state))
        return Outcome(_DONE if incoming.message is not None else _PASSED, answer)

    def _remember(self, incoming: Incoming, status: Status, answer: Any) -> None:
        if incoming.from_outside:
            self.books.inbox.put(Seen(seen_key(incoming), incoming.digest, self.now, status, answer))

    def refuse(self, incoming: Incoming, refused: Refused, *, remember: bool = True) -> Outcome:
        """A rule forbids it: its sender is told, and told the same again if `remember`."""
        if remember:
            self._remember(incoming, Status.REFUSED, refused.told)
        if incoming.door is not Door.HTTP:
            told, envelope = incoming.claimed_id or incoming.envelope.id, incoming.envelope
            tell_refused(self.service, self.desk, refused, told, envelope.source, envelope.type)
        self.unpark(incoming)
        return Outcome(Status.REFUSED, refusal=refused)

    def fail(self, incoming: Incoming, error: Exception) -> Outcome:
        """A bug met it: parked, or answered at once where somebody waits for it."""
        if incoming.door is Door.HTTP:
            log.error(
                "command failed",
                service=self.service.name,
                type=incoming.envelope.type,
                error=type(error).__name__,
                where=_where(error),
            )
            return Outcome(Status.FAILED, error=error)
        return self.park(incoming, ParkedState.FAILED, _reason(error), error)

    def park(
        self, incoming: Incoming, state: ParkedState, reason: str, error: Exception | None = None
    ) -> Outcome:
        """Set it aside. One that failed stops its lane, and ops and staff hear of it; one that waits for another does not."""
        envelope, raw, reason = incoming.envelope, incoming.raw or _NO_RECORD, storable(reason)
        before = self.books.parked.get(incoming.parked_key) if incoming.parked_key else None
        there = None if before else self.books.parked.known.get(parked_key(incoming))
        if there is not None and there.queue:
            if incoming.door is Door.HTTP:  # its sender waits for what becomes of it
                return Outcome(Status.QUEUED)
            if incoming.door is not Door.TIMER:
                return Outcome(Status.DUPLICATE)
            before = replace(there, body=b64encode(raw.body).decode())  # it was set again meanwhile
        cursor = self.cursor(incoming.lane)
        if before is None and envelope.sequence is None:
            cursor = replace(cursor, sequence=cursor.sequence + 1)
        # what could not be read may bear any name
        actor = envelope.actor if incoming.from_outside and incoming.message is not None else None
        if before:
            parked = replace(before, tries=before.tries + 1, actor=before.actor or actor)
        else:
            place = cursor.sequence if envelope.sequence is None else envelope.sequence
            parked = _parked(incoming, state, self.now, place, actor, there.note if there else "")
        self.books.parked.put(replace(parked, state=state, reason=reason, traceback=_traceback(error)))
        self.books.cursors.put(replace(cursor, state=_LANE.get(state, cursor.state)))
        if state is not ParkedState.FAILED:
            return Outcome(Status.QUEUED)
        if before is None or before.state is not ParkedState.FAILED:
            self.desk.publish(
                self.service.parked(service=self.service.name, parked_id=parked.parked_key,
                                    parked_type=envelope.type, parked_stream=envelope.stream, reason=reason)
            )  # fmt: skip
            log.error(
                "message parked",
                service=self.service.name,
                type=envelope.type,
                stream=envelope.stream,
                reason=reason,
            )
        return Outcome(Status.PARKED, error=error)

    def unpark(self, incoming: Incoming) -> None:
        """Take a retried message off its lane; the lane flows again when nothing is left on it. One that was handled under
        another body than it came with is kept, with who gave it that and why."""
        if incoming.parked_key is None:
            return
        parked = self.books.parked.get(incoming.parked_key)
        if parked is not None and parked.original:
            self.books.parked.put(replace(parked, state=ParkedState.MENDED, queue=""))
        else:
            self.books.parked.remove(incoming.parked_key)
        rest = self.books.parked.group("queue", incoming.lane)
        more = self.books.parked.more("queue", incoming.lane)
        state = LaneState.GAP if rest or more is not None else LaneState.FLOWING
        self.books.cursors.put(replace(self.cursor(incoming.lane), state=state))


def tell_refused(
    service: Service[Any], desk: Desk, refused: Refused, id: str, source: str, type_name: str
) -> None:
    """Say to whoever sent a message that it was refused, where the service takes any from outside."""
    if service.refused is not None:
        desk.publish(
            service.refused(refused=storable(id), refused_source=source, refused_type=type_name,
                            code=refused.code, detail=refused.detail, field=refused.field)
        )  # fmt: skip


def seen_key(incoming: Incoming) -> str:
    """Where an outside message is remembered: by who sent it, and the id it gave it."""
    return f"{incoming.envelope.source} {incoming.envelope.id}"


def parked_key(incoming: Incoming) -> str:
    """Where a message lies when it is parked."""
    return incoming.parked_key or f"{incoming.lane} {incoming.envelope.source} {incoming.envelope.id}"


def _parked(
    incoming: Incoming, state: ParkedState, now: datetime, place: int, actor: Actor | None, note: str
) -> Parked:
    """The message as it is set aside for the first time."""
    envelope, raw = incoming.envelope, incoming.raw or _NO_RECORD
    return Parked(
        parked_key=parked_key(incoming), lane=incoming.lane, queue=incoming.lane, state=state, parked_at=now, place=place,
        type=envelope.type, stream=envelope.stream, sequence=envelope.sequence, message_id=envelope.id,
        source=envelope.source, door=incoming.door, topic=raw.topic, partition=raw.partition, offset=raw.offset,
        key=b64encode(raw.key or b"").decode(),
        headers=tuple((storable(k), b64encode(v or b"").decode()) for k, v in raw.headers
                      if actor is None or k.lower() != "authorization"),  # a token is good for weeks
        body=b64encode(raw.body).decode(), reason="", traceback="", tries=1, note=note, actor=actor,
        digest=incoming.digest.hex(),
    )  # fmt: skip


def storable(value: str) -> str:
    """Text that PostgreSQL can hold: no NUL, no lone surrogate."""
    return value.encode("utf-8", "replace").decode().replace("\0", "\ufffd")


def _reason(error: Exception) -> str:
    """One line that says what went wrong without saying whom it was about: never a value from the message (X4)."""
    if isinstance(error, Refused):
        return f"{error.code}: {error.detail}"
    if isinstance(error, Unfit):  # says which rule of the database, never about what
        return str(error)
    if isinstance(error, Malformed):  # says which part, never what it holds
        return f"malformed: {error}"
    return f"{type(error).__name__} in {_where(error)}"


def _traceback(error: Exception | None) -> str:
    """Where a bug was met; empty for what a rule refused, or what merely waits."""
    if error is None or isinstance(error, Refused):
        return ""
    return storable("".join(traceback.format_exception(error, limit=-12)))


def _where(error: Exception) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    return (
        f"{frames[-1].name} ({frames[-1].filename.rsplit('/', 1)[-1]}:{frames[-1].lineno})"
        if frames
        else "the edge"
    )
