"""Steps of the runtime gone wrong, one at a time (`plant.py`)."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from deploy.simulate import told, trade
from deploy.simulate.host import Host
from deploy.simulate.invariants import (
    accepted_kept,
    applied_once,
    heard_first,
    in_order,
    messages,
    nothing_lost,
    numbered,
    quiet,
)
from deploy.simulate.kafka import Group
from deploy.simulate.mail import Sender
from deploy.simulate.relay import Relay
from deploy.simulate.steps import step
from deploy.simulate.store import SimStore, SimTransaction, Unsent
from services.notify.sending import LEASE, Claim
from shared.runtime import attempt, bookkeeper, parking
from shared.runtime.attempt import Attempt
from shared.runtime.bookkeeping import LaneState, ParkedState
from shared.runtime.desk import Desk
from shared.runtime.messages import Door, Status
from shared.runtime.saying import entries_of
from shared.runtime.store import Changes, DueTimer
from tests.simulate.plant import Plant

# --- storage ---------------------------------------------------------------------------------------------------


def _split(later: Callable[[Changes], Changes], now: Callable[[Changes], Changes]) -> Any:
    """A commit in two parts, with a step between them."""

    async def end(self: SimTransaction) -> None:
        await self._statement("before commit")
        if self.changes is not None:
            whole = self.changes
            self.changes = now(whole)
            self.commit()
            self.store.committed(self.changes)
            await step("between two commits")
            self.read, self.claimed, self.changes = {}, [], later(whole)
            self.commit()
            self.store.committed(self.changes)

    return end


def _only(changes: Changes, *tables: str) -> Changes:
    return Changes(
        upserts=[u for u in changes.upserts if u[0].name in tables],
        removes=[r for r in changes.removes if r[0].name in tables],
    )


def _without(changes: Changes, *tables: str) -> Changes:
    return replace(
        changes,
        upserts=[u for u in changes.upserts if u[0].name not in tables],
        removes=[r for r in changes.removes if r[0].name not in tables],
    )


async def _no_locks(self: SimTransaction, table: str, keys: Sequence[str]) -> bool:
    return False


def _unguarded(table: str) -> Any:
    real = SimTransaction.commit

    def commit(self: SimTransaction) -> None:
        self.read = {key: version for key, version in self.read.items() if key[0] != table}
        if self.changes is not None:
            stored = self.store.tables.get(table, {})
            self.changes.upserts = [
                (rows, [(r, stored.get(rows.key(r), (None, 0))[1] + 1) for r, _ in found])
                if rows.name == table
                else (rows, found)
                for rows, found in self.changes.upserts
            ]
        real(self)

    return commit


async def _claimed_by_anyone(self: SimTransaction, now: Any, limit: int, names: Any = None) -> list[DueTimer]:
    await self._statement("claim timers")
    due = [t for t in self.store.timers.values() if t.due <= now and (names is None or t.name in names)]
    return sorted(due, key=lambda t: (t.due, t.timer_id))[
        :limit
    ]  # nothing is kept that the commit could check


# --- the turn --------------------------------------------------------------------------------------------------


def _nothing_is_known(self: Any, incoming: Any) -> None:
    return None


def _parked_does_not_block(self: Any, incoming: Any) -> Any:
    found = _KNOWN_OR_WAITS(self, incoming)
    waits = found is not None and found.status is Status.QUEUED
    if waits and incoming.door is Door.KAFKA and self.keeper.cursor(incoming.lane).state is LaneState.FAILED:
        self.desk.discard()
        return None
    return found


_KNOWN_OR_WAITS = Attempt._known_or_waits


def _gaps_are_jumped(self: Any, incoming: Any) -> Any:
    sequence, cursor = incoming.envelope.sequence, self.keeper.cursor(incoming.lane)
    if sequence is not None and sequence > cursor.sequence + 1:
        return None
    return _KNOWN_OR_WAITS(self, incoming)


def _duplicates_pass(self: Any, incoming: Any) -> Any:
    sequence, cursor = incoming.envelope.sequence, self.keeper.cursor(incoming.lane)
    if sequence is not None and sequence <= cursor.sequence and incoming.door is Door.KAFKA:
        return None
    return _KNOWN_OR_WAITS(self, incoming)


def _nothing_is_discarded(self: Desk) -> None:
    return None


def _every_chain_begins_anew(*of_a_turn: Any) -> Any:
    entries = _ENTRIES(*of_a_turn)
    return [replace(e, previous=bytes(32)) for e in entries]


_ENTRIES = entries_of


def _mended_in_name_only(command: Any, desk: Any) -> Any:
    answer, parked = _MEND(command, desk), desk.books.parked[command.parked_key]
    desk.books.parked.put(replace(parked, state=ParkedState.MENDED, queue=""))
    desk.books.cursors.put(
        replace(desk.books.cursors[parked.lane], state=LaneState.FLOWING, sequence=parked.sequence)
    )
    return answer


_MEND = parking.mend


def _skipped_and_stopped(service: Any, command: Any, desk: Any) -> Any:
    answer = _SKIP(service, command, desk)
    desk.books.cursors.put(replace(desk.books.cursors[answer["lane"]], state=LaneState.FAILED))
    return answer


_SKIP = parking.skip


# --- the loops around it ---------------------------------------------------------------------------------------


async def _offsets_first(self: Host) -> None:
    generation = self.assignment.generation
    batch, offsets = self.fetch()
    self.commit_offsets(generation, offsets)
    await step("between offsets and commit")
    await self.apply(batch)


def _goes_on(self: Relay, batch: Sequence[Unsent]) -> Sequence[Unsent]:
    return [one for one in batch if _SEND(self, [one])]


def _goes_on_in_a_topic_made_anew(self: Relay, batch: Sequence[Unsent]) -> Sequence[Unsent]:
    town: Any = self.host.town
    return (_goes_on if self.host.node.name in town.lost_topics else _SEND)(self, batch)


_SEND = Relay.send


def _small_ones_overtake(self: Relay) -> list[list[Unsent]]:
    batches = _BATCHES(self)
    return [batch[:3] + batch[4:] for batch in batches]


_BATCHES = Relay.batches


async def _deleted_before_sent(self: Relay) -> None:
    self.host.node.leader = self.host
    batches = self.batches()
    self.in_hand = [one for batch in batches for one in batch]
    self.host.node.store.sent(self.in_hand)
    for batch in batches:
        await step("before sending")
        self.send(batch)


def _refilled_from_the_middle(self: SimStore) -> None:
    self.outbox = list(range(len(self.event_log) // 2, len(self.event_log)))
    self.written.update(self.outbox)


def _refilled_without_a_trace(self: SimStore) -> None:
    self.outbox = list(range(len(self.event_log)))


async def _sent_without_claim(self: Sender, message_ids: list[str]) -> Claim:
    return Claim(message_ids=tuple(message_ids), lease=self.host.town.clock.now() + LEASE)


async def _never_booked(self: Sender, results: list[Any], lease: datetime) -> bool:
    if self.host.town.rng.random() > 0.05:
        return await _BOOK(self, results, lease)
    return True


_BOOK = Sender.book


WRONG_STEPS: dict[str, Plant] = {
    "cursor-outside": Plant("the cursor is saved in a commit of its own", (applied_once,), (
        (SimTransaction, "_end", _split(lambda c: _only(c, "cursors"), lambda c: _without(c, "cursors"))),),
        within=6000),
    "log-outside": Plant("events are logged in a commit of their own", (numbered,), (
        (SimTransaction, "_end", _split(
            lambda c: Changes(entries=c.entries), lambda c: replace(c, entries=[]))),), within=6000),
    "offsets-first": Plant("offsets are committed before the turn", (nothing_lost, accepted_kept),
        ((Host, "intake", _offsets_first),)),
    "no-dedupe": Plant("scans and orders that come twice are not known", (applied_once, accepted_kept),
        ((Attempt, "_seen", _nothing_is_known),)),
    "duplicates-pass": Plant("events that come twice are applied twice", (applied_once,), (
        (Attempt, "_known_or_waits", _duplicates_pass),)),
    "gaps-jumped": Plant("a gap in a stream is not waited for", (nothing_lost,),
        ((Attempt, "_known_or_waits", _gaps_are_jumped),)),
    "parked-not-blocking": Plant("a parked message does not hold up its stream", (nothing_lost,), (
        (Attempt, "_known_or_waits", _parked_does_not_block),)),
    "mended-unhandled": Plant("what ops mended is taken off its lane and never handled", (nothing_lost,), (
        (parking, "mend", _mended_in_name_only),)),
    "skipped-and-stopped": Plant("what ops skipped still stops its lane", (quiet,), (
        (parking, "skip", _skipped_and_stopped),)),
    "refused-unsaid": Plant("whoever sent over Kafka what a rule refuses is not told", (told.answered,), (
        (bookkeeper, "tell_refused", lambda *told: None),)),
    "half-done": Plant("what a failed handler changed is kept", (applied_once,), ((Desk, "discard", _nothing_is_discarded),)),
    "chain-anew": Plant("links do not follow one another", (numbered,), ((attempt, "entries_of", _every_chain_begins_anew),)),
    "no-lock": Plant("stock is allocated without lock and without version", (trade.stock,), (
        (SimTransaction, "_lock", _no_locks), (SimTransaction, "commit", _unguarded("levels")))),
    "no-version": Plant(
        "cursors are written without lock and without version: a zombie overwrites its successor",
        (quiet, applied_once, nothing_lost), (
        (SimTransaction, "_lock", _no_locks), (SimTransaction, "commit", _unguarded("cursors")))),
    "timers-deaf": Plant("timers act before what was said in time is applied", (heard_first,), (
        (Group, "reached", lambda self, ends: True),)),
    "timer-twice": Plant("two replicas claim the same timer", (applied_once,), (
        (SimTransaction, "claim_timers", _claimed_by_anyone),)),
    "relay-goes-on": Plant("the relay goes on behind a failure", (in_order,), ((Relay, "send", _goes_on),)),
    "relay-goes-on-anew": Plant("the relay goes on behind a failure, once its topic was made anew", (in_order,), (
        (Relay, "send", _goes_on_in_a_topic_made_anew),), within=6000),
    "small-overtake": Plant("what fits into a batch overtakes what did not", (in_order,), (
        (Relay, "batches", _small_ones_overtake),)),
    "deleted-before-sent": Plant("the outbox is emptied before the broker acknowledged", (in_order,), (
        (Relay, "round", _deleted_before_sent),)),
    "half-refill": Plant("only half of the log refills a topic", (in_order,), (
        (SimStore, "republish", _refilled_from_the_middle),)),
    "refill-unseen": Plant("the relay deletes what a refill asked for again", (in_order,), (
        (SimStore, "republish", _refilled_without_a_trace),), within=5_000),
    "no-claim": Plant("messages are sent without being claimed", (messages,), ((Sender, "claim", _sent_without_claim),)),
    "not-booked": Plant("a sent message is not booked, and sent again", (messages,), ((Sender, "book", _never_booked),)),
    "lease-unseen": Plant("a sender that was frozen for longer than its lease sends what it had left", (messages,), (
        (Sender, "too_late", lambda self, lease: False),), within=10_000),
}  # fmt: skip
