"""What the turn asks of storage. PostgreSQL (`postgres.py`) and memory (`memory.py`) both do it."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple, Protocol

from shared.runtime.chain import Entry
from shared.runtime.rows import RowMap


class TryAgain(Exception):
    """Another writer was first, or the database chose this turn as a deadlock's victim: run the turn again."""


class Unavailable(Exception):
    """The database cannot be reached or dropped the connection: wait, then run the turn again."""


class Unfit(Exception):
    """The database refused the data (a constraint, a value out of range): some message of the turn is at fault.

    `claimed` are the timers that the turn had claimed.
    """

    claimed: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class DueTimer:
    """A timer row that has fallen due."""

    timer_id: str
    name: str
    due: datetime
    body: str


class Ask(NamedTuple):
    """Rows of one table to load: by primary key, or by a group column; of one group also those behind a place in it."""

    rows: RowMap[Any]
    keys: Sequence[str]
    group: str | None = None
    behind: tuple[Any, str] | None = None


Found = list[tuple[Any, int]]
"""Rows with their versions."""


@dataclass(slots=True)
class Changes:
    """All that one turn writes, in one commit."""

    upserts: list[tuple[RowMap[Any], list[tuple[Any, int]]]] = field(default_factory=list)
    """Per table: rows with the version they get; the one before must still stand."""
    removes: list[tuple[RowMap[Any], list[tuple[str, int]]]] = field(default_factory=list)
    added: list[tuple[RowMap[Any], list[Any]]] = field(default_factory=list)
    timers_canceled: list[str] = field(default_factory=list)
    timers_set: list[DueTimer] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    erased: list[str] = field(default_factory=list)
    """Streams of whose events, these among them, no personal part stays."""
    positions: list[int] = field(default_factory=list)
    """Where the entries lie in the event log, in their order; filled by the store that has one."""

    @property
    def empty(self) -> bool:
        """True when there is nothing to write."""
        return not any(
            (self.upserts, self.removes, self.added, self.timers_canceled, self.timers_set, self.entries)
        )


class Transaction(Protocol):
    """One open transaction. Raises TryAgain, Unavailable or Unfit."""

    async def load(self, asks: Sequence[Ask]) -> list[Found]:
        """What each ask finds, locked in the order of the asks: by primary key in key order, by a group column at most the
        group's limit for each value, in the group's order."""
        ...

    async def claim_timers(
        self, now: datetime, limit: int, names: Sequence[str] | None = None
    ) -> list[DueTimer]:
        """Timers that are due, of these names or of all, earliest first, skipping those that another turn has claimed."""
        ...

    async def still_set(self, timer_ids: Sequence[str]) -> set[str]:
        """Which of these timers are set."""
        ...

    async def save(self, changes: Changes) -> None:
        """Write everything; the commit follows when the transaction's block ends."""
        ...


class Store(Protocol):
    """Where a service keeps its rows."""

    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        """Commits when the block ends, rolls back when it raises."""
        ...

    async def any_due(self, now: datetime) -> bool:
        """Whether a timer is due. Raises Unavailable."""
        ...
