"""A store in memory, for tests and simulation: the same promises as PostgreSQL's, without a database.

Transactions are optimistic: a commit raises TryAgain when a row that it read was changed meanwhile (PostgreSQL has locked it)
or one that it writes (the version guard).
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

from shared.replacing import replace
from shared.runtime.chain import Entry
from shared.runtime.store import Ask, Changes, DueTimer, Found, TryAgain


class MemoryStore:
    """One service's rows, event log, outbox and timers."""

    def __init__(self) -> None:
        self.tables: dict[str, dict[str, tuple[Any, int]]] = {}
        self.ledgers: dict[str, list[Any]] = {}
        self.timers: dict[str, DueTimer] = {}
        self.event_log: list[Entry] = []
        self.outbox: list[int] = []
        """Positions (index in `event_log`) still to be sent."""

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator["MemoryTransaction"]:
        """Collects the changes of one turn and applies them when the block ends."""
        tx = MemoryTransaction(self)
        yield tx
        tx.commit()

    async def any_due(self, now: datetime) -> bool:
        """See `Store.any_due`."""
        return any(timer.due <= now for timer in self.timers.values())

    def rows(self, table: str) -> list[Any]:
        """All rows of a table, for assertions."""
        return [row for row, _ in self.tables.get(table, {}).values()]


class MemoryTransaction:
    """One turn's view of a MemoryStore."""

    def __init__(self, store: MemoryStore) -> None:
        self.store = store
        self.changes: Changes | None = None
        self.claimed: list[DueTimer] = []
        self.read: dict[tuple[str, str], int] = {}
        """Table and key of the rows found → the version they had."""

    async def load(self, asks: Sequence[Ask]) -> list[Found]:
        """See `Transaction.load`."""
        return [self.noted(ask, self.look(ask)) for ask in asks]

    def noted(self, ask: Ask, found: Found) -> Found:
        """Remember the versions of rows that were read."""
        name, key = ask.rows.name, ask.rows.key
        for row, version in found:
            self.read.setdefault((name, key(row)), version)
        return found

    def look(self, ask: Ask) -> Found:
        """The rows that are there now."""
        table = self.store.tables.get(ask.rows.name, {})
        if ask.group is None:
            return [table[key] for key in ask.keys if key in table]
        key_of, (order, limit) = ask.rows.key, ask.rows.groups[ask.group]
        found: Found = []
        for value in ask.keys:
            group = [r for r, _ in table.values() if getattr(r, ask.group) == value]
            places = sorted((getattr(r, order), key_of(r)) for r in group)
            found += [table[key] for *at, key in places if not ask.behind or (*at, key) > ask.behind][:limit]
        return found

    async def claim_timers(
        self, now: datetime, limit: int, names: Sequence[str] | None = None
    ) -> list[DueTimer]:
        """See `Transaction.claim_timers`."""
        due = (t for t in self.store.timers.values() if t.due <= now and (names is None or t.name in names))
        self.claimed = sorted(due, key=lambda t: (t.due, t.timer_id))[:limit]
        return self.claimed

    async def still_set(self, timer_ids: Sequence[str]) -> set[str]:
        """See `Transaction.still_set`."""
        return self.store.timers.keys() & set(timer_ids)

    async def save(self, changes: Changes) -> None:
        """See `Transaction.save`."""
        self.changes = changes

    def commit(self) -> None:
        """Check every version, then write everything."""
        if self.changes is None:
            return
        store, changes = self.store, self.changes
        for (table_name, key), version in self.read.items():
            if store.tables[table_name].get(key, (None, 0))[1] != version:
                raise TryAgain(table_name)
        for rows, upserts in changes.upserts:
            table = store.tables.setdefault(rows.name, {})
            for row, version in upserts:
                if table.get(rows.key(row), (None, 0))[1] != version - 1:
                    raise TryAgain(rows.name)
        for rows, removes in changes.removes:
            for key, version in removes:
                if store.tables.get(rows.name, {}).get(key, (None, 0))[1] != version:
                    raise TryAgain(rows.name)
        if any(store.timers.get(t.timer_id) != t for t in self.claimed):
            raise TryAgain("timers")
        for rows, upserts in changes.upserts:
            store.tables[rows.name] |= {rows.key(row): (row, version) for row, version in upserts}
        for rows, removes in changes.removes:
            for key, _ in removes:
                del store.tables[rows.name][key]
        for rows, added in changes.added:
            store.ledgers.setdefault(rows.name, []).extend(added)
        # PostgreSQL does all of it in one statement, in no order
        assert not {t.timer_id for t in changes.timers_set} & {*changes.timers_canceled}
        for timer_id in changes.timers_canceled:
            store.timers.pop(timer_id, None)
        store.timers |= {t.timer_id: t for t in changes.timers_set}
        for entry in changes.entries:
            store.outbox.append(len(store.event_log))
            store.event_log.append(entry)
        if changes.erased:
            store.event_log[:] = [
                replace(e, personal=None, salt=None) if e.stream in changes.erased else e
                for e in store.event_log
            ]
