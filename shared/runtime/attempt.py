"""One attempt at one turn: known? → load → handle → number and chain → save, in one transaction.

Handlers are plain calls: they wait for nothing and change nothing but the desk. Where what one did shows that the next needs
other rows, those are loaded in between, before it begins.
"""

from base64 import b64decode
from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from pydantic import BaseModel

from shared.runtime.bookkeeper import Bookkeeper, parked_key, seen_key
from shared.runtime.bookkeeping import LaneState, ParkedState, Seen
from shared.runtime.desk import Desk, Want
from shared.runtime.messages import Command, Door, Incoming, Outcome, Refused, Status, timer_fallen_due
from shared.runtime.saying import entries_of
from shared.runtime.service import Handling
from shared.runtime.store import Ask, Changes, DueTimer, Transaction, TryAgain, Unfit

if TYPE_CHECKING:
    from shared.runtime.turn import Turns

D = TypeVar("D", bound=Desk)

# bound here, for CPython 3.11 takes ten times as long to find a member in its enum, and this is asked of every message
_KAFKA, _HTTP, _TIMER, _RETRY = Door.KAFKA, Door.HTTP, Door.TIMER, Door.RETRY
_FAILED, _FLOWING = LaneState.FAILED, LaneState.FLOWING
_STRAIGHT = {_KAFKA, _HTTP}
"""Doors through which nothing comes that may be parked already."""

_Needing = tuple[Incoming, Iterator[Want | tuple[Want, ...]]]
_REUSED_KEY = Refused(
    "id_reused",
    "this Idempotency-Key was used before for another request; send this one with a key of its own",
    field="idempotency-key",
)
_REUSED = Refused(
    "id_reused",
    "this id was used before for another message; send this one with an id of its own",
    field="id",
)


class _MoreWanted(Exception):
    """Rows that an earlier message of the turn led to, and nobody loaded yet."""

    def __init__(self, *wants: Want) -> None:
        self.wants = wants


class Attempt(Generic[D]):
    """Thrown away when the turn must run again."""

    def __init__(
        self,
        turns: "Turns[D]",
        messages: list[Incoming],
        *,
        claim: int = 0,
        until: datetime | None = None,
        names: Sequence[str] | None = None,
        unfit: Collection[str] = (),
    ) -> None:
        self.turns = turns
        self.service = turns.service
        self.messages = messages
        self.claim = claim
        self.unfit = unfit
        self.now = turns.clock.now()
        self.until = until or self.now
        self.names = names
        self.desk = turns.service.desk()
        self.books = self.desk.books
        self.outcomes: list[Outcome] = []
        self.claimed: list[str] = []
        self.moved_on: set[str] = set()
        """Timers that were set again since they were parked."""
        self.keeper = Bookkeeper(self.service, self.desk, self.now)

    async def run(self) -> tuple[list[Incoming], list[Outcome]]:
        async with self.turns.store.transaction() as tx:
            if self.claim:
                claimed = await tx.claim_timers(self.until, self.claim, self.names)
                self.messages = [self._from_timer(timer) for timer in claimed]
            await self._load(tx)
            for message in self.messages:
                outcome = self.keeper.passed(message)
                while outcome is None:
                    try:
                        outcome = self._take(message)
                    except _MoreWanted as more:  # nothing was done yet
                        await self._fetch(tx, more.wants)
                self.outcomes.append(outcome)
                self.desk.keep()
            await self._fetch(tx, [self.books.heads.want(*{said.stream for said in self.desk.said})])
            changes = self._changes()
            if not changes.empty:
                await tx.save(changes)
        for hook in self.turns.after_commit:
            hook(self.messages, self.outcomes, changes)
        return self.messages, self.outcomes

    # --- load ---------------------------------------------------------------------------------------------

    async def _load(self, tx: Transaction) -> None:
        """Load what is known of the messages, then advance their `needs` in step; the first step comes along with the books.
        One SELECT per table and step, whatever the batch."""
        lanes = {m.lane for m in self.messages if m.lane}
        seen = {seen_key(m) for m in self.messages if m.from_outside}
        books = [self.books.cursors.want(*lanes), self.books.inbox.want(*seen)]
        wants, running = _advanced([(m, self._needs(m)) for m in self.messages])
        await self._fetch(tx, books + wants)
        await self._load_parked(tx)
        running = [(m, needs) for m, needs in running if not self._was_known(m)]
        while running:
            wants, running = _advanced(running)
            await self._fetch(tx, wants)

    async def _load_parked(self, tx: Transaction) -> None:
        cursors = self.books.cursors.known.values()
        waiting = {cursor.lane for cursor in cursors if cursor is not None and cursor.state is not _FLOWING}
        doors = {m.door for m in self.messages}
        if not waiting and doors <= _STRAIGHT:
            return
        parked = {parked_key(m) for m in self.messages if m.lane in waiting or m.door is _TIMER}
        retried = {m.lane for m in self.messages if m.door is _RETRY}
        await self._fetch(
            tx, [self.books.parked.want(*parked), self.books.parked.want_group("queue", *retried)]
        )
        if timers := [m.envelope.id for m in self.messages if m.door is _RETRY and m.is_timer]:
            self.moved_on = await tx.still_set(timers)

    def _needs(self, incoming: Incoming) -> Iterator[Want | tuple[Want, ...]]:
        handling = self._handling(incoming)
        if handling is None or incoming.error is not None:
            return iter(())
        self.desk.begin(incoming.envelope, self.now)
        try:
            return handling.needs(incoming.message, self.desk)
        except Exception:  # one that is no generator; met again, and answered, when the message is handled
            return iter(())

    def _was_known(self, incoming: Incoming) -> bool:
        """True when the message was answered before this turn: then no row of it will be looked at."""
        if incoming.from_outside:
            return self.books.inbox.get(seen_key(incoming)) is not None
        sequence = incoming.envelope.sequence
        return sequence is not None and sequence <= self.keeper.cursor(incoming.lane).sequence

    async def _fetch(self, tx: Transaction, wants: Sequence[Want]) -> None:
        keys: dict[Any, tuple[Want, dict[str, None]]] = {}
        for want in wants:
            if missing := want.missing():
                of = id(want.shelf), want.group, want.behind
                keys.setdefault(of, (want, {}))[1].update(dict.fromkeys(missing))
        if not keys:
            return
        # cursors first: a lane belongs to whoever has its cursor, and what he changed is there for the next
        ordered = sorted(
            keys.values(), key=lambda w: (w[0].shelf is not self.books.cursors, w[0].shelf.map.name)
        )
        asks = [Ask(want.shelf.map, sorted(missing), want.group, want.behind) for want, missing in ordered]
        for (want, _), ask, found in zip(ordered, asks, await tx.load(asks), strict=True):
            if want.group is None:
                want.shelf.loaded(ask.keys, found)
            else:
                want.shelf.loaded_group(want.group, ask.keys, found)

    # --- handle -------------------------------------------------------------------------------------------

    def _take(self, incoming: Incoming) -> Outcome:
        """Raises _MoreWanted when it takes more rows; then nothing was done, and it is taken again."""
        if incoming.door is _TIMER and incoming.envelope.id in self.desk.timers.changed:
            return Outcome(Status.DUPLICATE)  # an earlier timer of this turn canceled or moved it
        self.desk.begin(incoming.envelope, self.now)
        return self._answered(incoming)

    def _known_or_waits(self, incoming: Incoming) -> Outcome | None:
        """None when the message is to be handled now; else what became of it."""
        sequence, cursor = incoming.envelope.sequence, self.keeper.cursor(incoming.lane)
        if incoming.door is _RETRY:
            parked = self.books.parked.known.get(parked_key(incoming))
            if parked is None or not parked.queue:
                return Outcome(Status.DUPLICATE)  # another retry was first, or a skip
            if incoming.raw is not None and b64decode(parked.body) != incoming.raw.body:
                return Outcome(Status.QUEUED)  # it was mended meanwhile, and is to be tried as it is now
            changed = self.desk.timers.changed if incoming.is_timer else {}
            if incoming.envelope.id in changed or incoming.envelope.id in self.moved_on:
                self.keeper.unpark(incoming)
                return Outcome(Status.DUPLICATE)  # it comes by itself, when it is due now
        if incoming.from_outside and (outcome := self._seen(incoming)):
            self.keeper.unpark(incoming)
            return outcome
        if sequence is not None and sequence <= cursor.sequence:
            self.keeper.unpark(incoming)
            return Outcome(Status.DUPLICATE)
        if incoming.door is _RETRY:
            gap = sequence is not None and sequence > cursor.sequence + 1
            first = [parked.parked_key for parked in self.books.parked.group("queue", incoming.lane)[:1]]
            return Outcome(Status.QUEUED) if gap or first != [incoming.parked_key] else None
        if incoming.door is _TIMER:
            return None
        # of what has no sequence nothing is missing: it waits wherever another of its lane does, whichever edge brought that
        if cursor.state is _FAILED or (sequence is None and cursor.state is not _FLOWING):
            if sequence is None:  # its id may have been forgotten since it was parked and skipped
                self._whether_parked_before(incoming)
                there = self.books.parked.known.get(parked_key(incoming))
                if there and there.queue and there.digest and there.digest != incoming.digest.hex():
                    return self._reused(incoming)
            return self.keeper.park(
                incoming, ParkedState.QUEUED, "an earlier message of its stream is parked"
            )
        if sequence is not None and sequence > cursor.sequence + 1:
            missing = f"waits for {cursor.sequence + 1} of its stream"
            return self.keeper.park(incoming, ParkedState.GAP, missing)
        return None

    def _seen(self, incoming: Incoming) -> Outcome | None:
        seen = self.books.inbox.get(seen_key(incoming))
        if seen is None:
            return None
        if (seen.digest and seen.digest != incoming.digest) or _marks_reuse(seen):
            return self._reused(incoming)
        if seen.status == Status.REFUSED:
            return Outcome(Status.DUPLICATE, refusal=Refused(**seen.answer))
        return Outcome(Status.DUPLICATE, answer=seen.answer)

    def _reused(self, incoming: Incoming) -> Outcome:
        """Its id is that of another message, done, refused or parked: its sender is told, of each such body once."""
        reused = _REUSED_KEY if isinstance(incoming.message, Command) else _REUSED
        second = f"{seen_key(incoming)}\n{incoming.digest.hex()[:16]}"  # no id has a line break: nobody can send one like it
        self._there(self.books.inbox.want(second))
        if self.books.inbox.get(second) is None:
            self.books.inbox.put(Seen(second, incoming.digest, self.now, Status.REFUSED, None))
            return self.keeper.refuse(incoming, reused, remember=False)
        return Outcome(Status.DUPLICATE, refusal=reused)

    def _answered(self, incoming: Incoming) -> Outcome:
        try:
            known = self._known_or_waits(incoming)
            if known is not None:
                return known
            answer = _jsonable(self._call(incoming))
        except _MoreWanted:
            raise
        except Refused as refused:
            self.desk.discard()
            if incoming.from_outside or incoming.door is _HTTP:
                return self.keeper.refuse(incoming, refused)
            return self._fail(incoming, refused)
        except Exception as error:
            self.desk.discard()
            if isinstance(error, (TryAgain, Unfit)) and error is not incoming.error:
                raise
            return self._fail(incoming, error)
        return self.keeper.done(incoming, answer)

    def _fail(self, incoming: Incoming, error: Exception) -> Outcome:
        if incoming.door is not _HTTP:  # it may have been parked before, and skipped
            self._whether_parked_before(incoming)
        return self.keeper.fail(incoming, error)

    def _whether_parked_before(self, incoming: Incoming) -> None:
        """Looked up for the whole turn, once one fails: what one failed of, hundreds may, and each would be a round trip."""
        if parked_key(incoming) not in self.books.parked.known:
            raise _MoreWanted(self.books.parked.want(*map(parked_key, self.messages)))

    def _call(self, incoming: Incoming) -> Any:
        if incoming.error is not None:
            raise incoming.error
        handling = self._handling(incoming)
        if handling is None:
            return None
        for wanted in handling.needs(incoming.message, self.desk):
            if isinstance(wanted, tuple):
                self._there(*wanted)
            else:
                self._there(wanted)
        return handling.handler(incoming.message, self.desk)

    def _there(self, *wants: Want) -> None:
        for want in wants:
            if want.missing():
                raise _MoreWanted(*wants)

    def _handling(self, incoming: Incoming) -> Handling[Any, D] | None:
        return self.service.by_type.get(type(incoming.message))

    def _from_timer(self, timer: DueTimer) -> Incoming:
        self.claimed.append(timer.timer_id)
        body = timer.body.encode()
        incoming = timer_fallen_due(timer.timer_id, self.service.source, timer.name, timer.due, body)
        if timer.timer_id in self.unfit:
            incoming.error = Unfit("the database refused what the timer changed")
        return incoming

    # --- save ---------------------------------------------------------------------------------------------

    def _changes(self) -> Changes:
        entries = entries_of(self.desk.said, self.books.heads, self.turns.onward)
        changes = Changes(entries=entries, erased=self.desk.erased)
        for shelf in self.desk.shelves:
            upserts, removes = shelf.changes()
            if upserts:
                changes.upserts.append((shelf.map, upserts))
            if removes:
                changes.removes.append((shelf.map, removes))
        changes.added = [(ledger.map, ledger.added) for ledger in self.desk.ledgers if ledger.added]
        timers = self.desk.timers.changed
        changes.timers_canceled = sorted(
            {*self.claimed, *(k for k, v in timers.items() if v is None)}
            - {k for k, v in timers.items() if v is not None}
        )
        changes.timers_set = [
            DueTimer(key, value[0].timer_name, value[1], value[0].model_dump_json())
            for key, value in sorted(timers.items())
            if value is not None
        ]
        return changes


def _advanced(running: Sequence[_Needing]) -> tuple[list[Want], list[_Needing]]:
    """The next wants of each message, and those messages that may want more."""
    wants: list[Want] = []
    going = []
    for message, needs in running:
        try:
            want = next(needs)
        except StopIteration:
            continue
        except Exception:  # noqa: S112  met again, and answered, when the message is handled
            continue
        wants += want if isinstance(want, tuple) else (want,)
        going.append((message, needs))
    return wants, going


def _marks_reuse(seen: Seen) -> bool:
    """What `_reused` keeps; older ones stand under keys that an id may be like."""
    return seen.status == Status.REFUSED and seen.answer is None


def _jsonable(answer: Any) -> Any:
    return answer.model_dump(mode="json") if isinstance(answer, BaseModel) else answer
