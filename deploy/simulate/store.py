"""A service's database in memory, which can be away, stop a turn at any step, and lose the answer to a commit."""

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime
from heapq import heappop, heappush
from typing import Any, Self

from deploy.simulate.steps import step
from services.notify.tables import MESSAGES, MessageState
from shared.runtime.bookkeeping import CURSORS, PARKED, LaneState, Parked, ParkedState
from shared.runtime.chain import Entry
from shared.runtime.memory import MemoryStore, MemoryTransaction
from shared.runtime.store import Ask, Changes, DueTimer, Found, Unavailable

PATIENCE = 60
"""Steps that a statement waits for a lock."""

Unsent = tuple[int, int, Entry]
"""A position of the outbox, which writing of it this is, and its event."""


class SimStore(MemoryStore):
    """The database of one service. `said` is called with the entries of each commit."""

    def __init__(self, said: Callable[[Sequence[Entry]], None]) -> None:
        super().__init__()
        self.said = said
        self.away = False
        self.loses_answer: Callable[[], bool] = lambda: False
        """Asked at each commit: does the connection break after it, so that nobody learns of it?"""
        self.waiting_lanes: dict[str, LaneState] = {}
        """Lanes that do not flow, and why."""
        self.queues: dict[str, dict[str, Parked]] = {}
        """Lane → its parked messages."""
        self.locks: dict[tuple[str, str], object] = {}
        """Table and key → the transaction that holds the row."""
        self.planned: dict[str, datetime] = {}
        """Messages that notify is still to send, and when."""
        self.written: Counter[int] = Counter()
        """Position → how often it was put into the outbox again."""
        self.stopped: Counter[str] = Counter()
        """Message → how often it stopped its lane."""
        self.set: Counter[str] = Counter()
        """Timer and time → how often it was set to it."""
        self._due: list[tuple[datetime, str]] = []

    def transaction(self) -> "SimTransaction":  # type: ignore[override]
        """A turn's transaction, with a step at each of its statements."""
        return SimTransaction(self)

    def next_due(self) -> datetime | None:
        """When the earliest timer falls due."""
        while self._due:
            due, timer_id = self._due[0]
            timer = self.timers.get(timer_id)
            if timer is not None and timer.due == due:
                return due
            heappop(self._due)
        return None

    def unsent(self, limit: int) -> list[Unsent]:
        """The oldest positions of the outbox, which writing of each it is, and their events."""
        return [(p, self.written[p], self.event_log[p]) for p in self.outbox[:limit]]

    def sent(self, events: Sequence[Unsent]) -> None:
        """Take events out of the outbox, unless they were put there again since."""
        gone = {position for position, writing, _ in events if self.written[position] == writing}
        self.outbox = [p for p in self.outbox if p not in gone]

    def republish(self) -> None:
        """Put every event into the outbox again."""
        self.outbox = list(range(len(self.event_log)))
        self.written.update(self.outbox)

    def committed(self, changes: Changes) -> None:
        """Keep what the hosts look for up to date."""
        for timer in changes.timers_set:
            self.set[f"{timer.timer_id} {timer.due}"] += 1
            heappush(self._due, (timer.due, timer.timer_id))
        for rows, upserts in changes.upserts:
            for row, _ in upserts:
                self._notice(rows.name, row)
        for rows, removes in changes.removes:
            if rows.name == PARKED.name:
                for key, _ in removes:
                    for queue in self.queues.values():
                        queue.pop(key, None)
        if changes.entries:
            self.said(changes.entries)

    def _notice(self, table: str, row: Any) -> None:
        if table == CURSORS.name:
            if row.state is LaneState.FLOWING:
                self.waiting_lanes.pop(row.lane, None)
            else:
                self.waiting_lanes[row.lane] = row.state
        elif table == PARKED.name:
            queue = self.queues.setdefault(row.lane, {})
            before = queue.pop(row.parked_key, None)
            if row.state is ParkedState.FAILED and (before is None or before.state is not ParkedState.FAILED):
                self.stopped[row.parked_key] += 1
            if row.queue:  # else it is kept for the record
                queue[row.parked_key] = row
        elif table == MESSAGES.name:
            if row.state is MessageState.PLANNED:
                self.planned[row.message_id] = row.due
            else:
                self.planned.pop(row.message_id, None)


class SimTransaction(MemoryTransaction):
    """One turn's transaction. Rows that it read are its own until it ends: others wait, as for PostgreSQL's row locks."""

    store: SimStore

    def __init__(self, store: SimStore) -> None:
        super().__init__(store)
        self.held: list[tuple[str, str]] = []
        """Rows that are its own until it ends."""

    async def __aenter__(self) -> Self:
        await self._statement("begin")
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        try:
            if kind is None:
                await self._end()
        finally:
            for mine in self.held:
                self.store.locks.pop(mine, None)

    async def _end(self) -> None:
        await self._statement("before commit")
        self.commit()
        if self.changes is not None:
            self.store.committed(self.changes)
            if self.store.loses_answer():
                raise Unavailable("the connection broke at the commit")
        await step("after commit")

    async def load(self, asks: Sequence[Ask]) -> list[Found]:
        """See `Transaction.load`. Rows are found as they were when the statement began, and seen as they are once they are its
        own; who waited for a cursor looks for the others again."""
        await self._statement("load")
        found = [self.look(ask) for ask in asks]
        old = False
        for place, ask in enumerate(asks):
            if not found[place]:
                continue
            waited = await self._lock(ask.rows.name, [ask.rows.key(row) for row, _ in found[place]])
            old = old or waited  # who did not wait found what is there now
            if waited and ask.rows is CURSORS:
                found = [self.look(other) for other in asks]
            if old:
                found[place] = self._as_it_is(ask, found[place])
        return [self.noted(ask, rows) for ask, rows in zip(asks, found, strict=True)]

    def _as_it_is(self, ask: Ask, found: Found) -> Found:
        table = self.store.tables.get(ask.rows.name, {})
        keys = [ask.rows.key(row) for row, _ in found]
        return [table[key] for key in keys if key in table]

    async def claim_timers(
        self, now: datetime, limit: int, names: Sequence[str] | None = None
    ) -> list[DueTimer]:
        """See `Transaction.claim_timers`."""
        await self._statement("claim timers")
        due = await super().claim_timers(now, limit, names)
        self.claimed = [t for t in due if ("timers", t.timer_id) not in self.store.locks]
        mine = [("timers", t.timer_id) for t in self.claimed]
        self.store.locks.update(dict.fromkeys(mine, self))
        self.held += mine
        return self.claimed

    async def save(self, changes: Changes) -> None:
        """See `Transaction.save`."""
        await self._statement("save")
        await super().save(changes)

    async def _statement(self, name: str) -> None:
        await step(name)
        if self.store.away:
            raise Unavailable("the simulated database is away")

    async def _lock(self, table: str, keys: Sequence[str]) -> bool:
        """True when somebody had them: the rows may have changed meanwhile."""
        locks, waited = self.store.locks, 0
        for key in keys:
            row = table, key
            while locks.setdefault(row, self) is not self:
                waited += 1
                if waited > PATIENCE:  # two that wait for one another, or for somebody who stands still
                    raise Unavailable("the statement timed out")
                await self._statement("waits for a lock")
            self.held.append(row)
        return waited > 0
