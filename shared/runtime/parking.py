"""Parked messages, as ops use them: list, show, mend, retry, skip (X2).

A parked message blocks only its own lane; later ones of the lane queue behind it in order. Retrying takes the lane through the
fourth door of the turn, oldest first, until one fails again. Lanes that wait for a missing message go on by themselves.
"""

import asyncio
import contextlib
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

import orjson
import structlog

from shared.runtime.bookkeeper import tell_refused
from shared.runtime.bookkeeping import CURSORS, PARKED, Cursor, LaneState, Parked, ParkedState, Seen
from shared.runtime.desk import Books, Desk, Want
from shared.runtime.messages import (
    Command,
    Door,
    Incoming,
    Outcome,
    Raw,
    Refused,
    Status,
    timer_fallen_due,
)
from shared.runtime.postgres import Pool
from shared.runtime.service import Handling, Service, on
from shared.runtime.turn import Turns
from shared.values import Actor, Reason

log = structlog.get_logger(__name__)

D = TypeVar("D", bound=Desk)
Decode = Callable[[Raw, Actor | None], Incoming]
"""Makes a message of a record; with an actor, of one whose token was judged before."""

STAYS = (Status.PARKED, Status.QUEUED)
"""What becomes of a message that is parked again; any other is off its lane."""
AT_ONCE = 200
"""Messages of a lane that one retry takes through a turn."""
LANES = 100
"""Lanes that one look finds."""


class SkipParked(Command):
    """Give up a parked message, with a reason; the messages behind it go on."""

    parked_key: str
    reason: Reason


class MendParked(Command):
    """Replace the body of a parked message by a corrected one, with a reason; then retry it."""

    parked_key: str
    body: dict[str, Any]
    reason: Reason


def _parked(command: SkipParked | MendParked, desk: Desk) -> Iterator[Want | tuple[Want, ...]]:
    books = desk.books
    yield books.parked.want(command.parked_key)
    if parked := books.parked.get(command.parked_key):
        yield (
            books.cursors.want(parked.lane),
            books.inbox.want(f"{parked.source} {parked.message_id}"),
            books.parked.want_group("queue", parked.lane),
        )


def skip(service: Service[Any], command: SkipParked, desk: Desk) -> dict[str, str]:
    """Take the first message of a lane off it for good, kept for the record with who and why. One that waits for a gap to close
    takes the gap along: what is missing there is not waited for any more. Of one from outside, its sender is told."""
    books = desk.books
    parked = _first(books, command.parked_key, ParkedState.FAILED, ParkedState.GAP, ParkedState.QUEUED)
    note = _noted(parked, f"skipped by {desk.actor}: {command.reason}")
    books.parked.put(replace(parked, state=ParkedState.SKIPPED, queue="", note=note))
    cursor = books.cursors.get(parked.lane) or Cursor(parked.lane)
    if parked.sequence is not None and parked.sequence <= cursor.sequence:  # no place is gone back to
        detail = "what it waited for came, and it was done meanwhile; list them again"
        raise Refused("not_parked", detail, status=404)
    sequence = cursor.sequence if parked.sequence is None else parked.sequence
    rest = books.parked.group("queue", parked.lane)
    books.cursors.put(replace(cursor, sequence=sequence, state=LaneState.GAP if rest else LaneState.FLOWING))
    if parked.sequence is None and parked.door != Door.TIMER:
        key, digest = f"{parked.source} {parked.message_id}", bytes.fromhex(parked.digest)
        refused = Refused("skipped", f"it could not be handled and was given up: {command.reason}")
        books.inbox.put(Seen(key, digest, desk.now, Status.REFUSED, refused.told))
        if parked.topic in service.inboxes:
            tell_refused(service, desk, refused, parked.message_id, parked.source, parked.type)
    log.warning("parked message skipped", type=parked.type, stream=parked.stream, actor=str(desk.actor))
    return {"lane": parked.lane, "state": ParkedState.SKIPPED}


def mend(command: MendParked, desk: Desk) -> dict[str, str]:
    """Replace the body of a parked message; headers, identity and place stay. The first body is kept beside it."""
    books = desk.books
    parked = _first(books, command.parked_key, ParkedState.FAILED)
    note = _noted(parked, f"mended by {desk.actor}: {command.reason}")
    body = b64encode(orjson.dumps(command.body)).decode()
    books.parked.put(replace(parked, body=body, original=parked.original or parked.body, note=note))
    log.warning("parked message mended", type=parked.type, stream=parked.stream, actor=str(desk.actor))
    return {"lane": parked.lane, "state": parked.state}


def _noted(parked: Parked, what: str) -> str:
    """Beside what was noted before: a message may be mended, skipped, and parked anew."""
    return f"{parked.note}; {what}" if parked.note else what


def _first(books: Books, key: str, *states: ParkedState) -> Parked:
    """The message under a key, which must be the first of its lane and in one of these states. One that failed always is; one
    that queued behind it is once that is gone, and may wait for a gap then."""
    parked = books.parked.get(key)
    if parked is None:
        raise Refused("not_parked", "no message is parked under this key; list them again", status=404)
    head = books.parked.group("queue", parked.lane)[:1]
    behind = parked.state is not ParkedState.FAILED and head != [parked]
    if parked.state not in states or behind:
        raise Refused("not_first", _why_not(parked, states))
    return parked


def _why_not(parked: Parked, states: tuple[ParkedState, ...]) -> str:
    if not parked.queue:
        return f"this message was {parked.state} before, and waits no more"
    if parked.state in states:
        return "only the first message of a lane can be changed, and others are before this one"
    return f"only a message that is {' or '.join(states)} can be changed; this one is {parked.state}"


def with_parking(service: Service[D]) -> Service[D]:
    """The service, hearing ops too."""
    ops: tuple[Handling[Any, Any], ...] = (
        on(SkipParked, partial(skip, service), _parked),
        on(MendParked, mend, _parked),
    )
    return replace(service, consumes=(*service.consumes, *ops))


class Parking:
    """Reads and retries the parked messages of one service."""

    def __init__(self, turns: Turns[Any], pool: Pool, decode: Decode) -> None:
        self.turns = turns
        self.pool = pool
        self.decode = decode
        self._woken = asyncio.Event()

    async def list_(self, state: str | None = None, limit: int = 100) -> list[Parked]:
        """Parked messages, those first that others wait for, lane by lane in order; without a state, all that still wait."""
        where = "state = $1" if state else "queue <> '' AND $1::text IS NULL"
        sql = f"SELECT * FROM parked WHERE {where} ORDER BY state = 'queued', queue, place LIMIT $2"
        return [PARKED.load(dict(r)) for r in await self.pool.fetch(sql, state, limit)]

    async def show(self, key: str) -> Parked | None:
        """One parked message with all that is known of it."""
        record = await self.pool.fetchrow("SELECT * FROM parked WHERE parked_key = $1", key)
        return PARKED.load(dict(record)) if record else None

    async def waiting(self, lane: str, limit: int) -> list[Parked]:
        """The messages that wait on a lane, oldest first."""
        sql = "SELECT * FROM parked WHERE queue = $1 ORDER BY place LIMIT $2"
        return [PARKED.load(dict(r)) for r in await self.pool.fetch(sql, lane, limit)]

    async def counts(self) -> dict[str, int]:
        """How many messages are parked, by state."""
        records = await self.pool.fetch(
            "SELECT state, count(*) AS n FROM parked WHERE queue <> '' GROUP BY state"
        )
        return {r["state"]: r["n"] for r in records}

    async def retry(self, lane: str) -> list[Outcome]:
        """Try the lane again from its oldest message on, in order, until one fails or all are done."""
        outcomes: list[Outcome] = []
        while True:
            waiting = await self.waiting(lane, AT_ONCE)
            batch = await self.turns.run([again(parked, self.decode) for parked in waiting])
            outcomes += batch
            if len(waiting) < AT_ONCE or any(o.status in STAYS for o in batch):
                return outcomes

    def wake(self) -> None:
        """Some lane may be able to go on."""
        self._woken.set()

    async def run(self) -> None:
        """Let lanes go on whose missing message arrived, or whose failed one was skipped."""
        while True:
            self._woken.clear()
            pause = 5.0
            try:
                ready = await self._ready()
                for lane in ready:
                    await self.retry(lane)
                if len(ready) == LANES:  # there are more
                    pause = 0.1
            except Exception as error:
                log.warning("parking waits", service=self.turns.service.name, error=type(error).__name__)
                await asyncio.sleep(2)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._woken.wait(), pause)

    async def _ready(self) -> list[str]:
        sql = f"""
            SELECT c.lane FROM {CURSORS.name} c
            LEFT JOIN LATERAL (SELECT place, doc->>'sequence' AS sequence FROM parked p
                               WHERE p.queue = c.lane ORDER BY place LIMIT 1) p ON true
            WHERE c.state = '{LaneState.GAP.value}' AND (p.sequence IS NULL OR p.place <= c.sequence + 1) LIMIT {LANES}"""
        return [r["lane"] for r in await self.pool.fetch(sql)]


def again(parked: Parked, decode: Decode) -> Incoming:
    """A parked message as it comes through the retry door."""
    raw = Raw(parked.topic, parked.partition, parked.offset, b64decode(parked.key) or None,
              tuple((k, b64decode(v)) for k, v in parked.headers), b64decode(parked.body))  # fmt: skip
    if parked.door == Door.TIMER:
        incoming = timer_fallen_due(parked.message_id, parked.source, parked.type, parked.parked_at, raw.body)
    else:
        incoming = decode(raw, parked.actor)
    incoming.door, incoming.lane, incoming.parked_key = Door.RETRY, parked.lane, parked.parked_key
    if parked.digest:  # mended or not, it is the message that came
        incoming.digest = bytes.fromhex(parked.digest)
    return incoming
