"""The desk: a service's unit of work. Its shelves hold the rows of this turn; what a handler changes is staged and kept only
when the handler returned, so that a refusal or a bug leaves no trace of that one message.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

from shared.events.base import Event
from shared.runtime.bookkeeping import CURSORS, HEADS, INBOX, PARKED
from shared.runtime.messages import Envelope, Timer
from shared.runtime.rows import RowMap
from shared.values import Actor

R = TypeVar("R")
Place = tuple[Any, str]
"""Where a row stands in its group: what that is ordered by, and the row's key."""


class NotWanted(LookupError):
    """A handler asked for a row that its `needs` did not name: a bug of the handler, so the message is parked."""


@dataclass(slots=True)
class Want:
    """Rows that a message needs: by primary key, or all of a group (rows whose `group` column has one of the keys), from
    its beginning or behind a place in it."""

    shelf: "Shelf[Any]"
    keys: tuple[str, ...]
    group: str | None = None
    behind: Place | None = None

    def missing(self) -> list[str]:
        """The keys that were not loaded yet."""
        known = self.shelf.known if self.group is None else self.shelf.known_groups[self.group]
        return [k for k in self.keys if k not in known]


class Shelf(Generic[R]):
    """The rows of one table in this turn. Rows are frozen: take one, `put` a changed copy."""

    def __init__(self, rows: RowMap[R], touched: "list[Part]") -> None:
        self.map = rows
        self._touched = touched
        self.known: dict[str, R | None] = {}
        self.known_groups: dict[str, dict[str, Place | None]] = {column: {} for column in rows.groups}
        self.versions: dict[str, int] = {}
        self.changed: set[str] = set()
        self._staged: dict[str, R | None] = {}

    # --- for `needs` and handlers -------------------------------------------------------------------------

    def want(self, *keys: str) -> Want:
        """Name rows by primary key, to be loaded and locked."""
        return Want(self, keys)

    def want_group(self, column: str, *values: str, behind: Place | None = None) -> Want:
        """Name rows by a group column, of one group also those behind a place in it. Lock the row that rules the group in an
        earlier round: rows added by others are seen only then."""
        return Want(self, values, column, behind)

    def get(self, key: str) -> R | None:
        """The row with this key, or None when there is none. Raises NotWanted when `needs` did not name it."""
        if key in self._staged:
            return self._staged[key]
        try:
            return self.known[key]
        except KeyError:
            raise NotWanted(f"{self.map.name}[{key!r}] was not named in needs") from None

    def __getitem__(self, key: str) -> R:
        """The row with this key. Raises LookupError when there is none: for rows that must exist."""
        row = self.get(key)
        if row is None:
            raise LookupError(f"no {self.map.name} {key!r}")
        return row

    def put(self, *rows: R) -> None:
        """Add or replace rows. A row that was not loaded is taken to be new; a race is noticed at the commit."""
        if not self._staged:
            self._touched.append(self)
        key = self.map.key
        for row in rows:
            self._staged[key(row)] = row

    def remove(self, key: str) -> None:
        """Delete the row; it must have been loaded."""
        self.get(key)
        if not self._staged:
            self._touched.append(self)
        self._staged[key] = None

    def group(self, column: str, value: str) -> list[R]:
        """The rows of a group in their order, with this turn's changes. Raises NotWanted when it was not named."""
        if value not in self.known_groups[column]:
            raise NotWanted(f"{self.map.name} by {column}={value!r} was not named in needs")
        rows = [
            r for r in (self.known | self._staged).values() if r is not None and getattr(r, column) == value
        ]
        return sorted(rows, key=lambda r: self.place(column, r))

    def place(self, column: str, row: R) -> Place:
        """Where a row stands in its group."""
        order, _ = self.map.groups[column]
        return getattr(row, order), self.map.key(row)

    def more(self, column: str, value: str) -> Place | None:
        """Where the last row stands that one look brought, when the group held more than that; else None."""
        return self.known_groups[column][value]

    # --- for the turn -------------------------------------------------------------------------------------

    def loaded(self, keys: Iterable[str], found: Iterable[tuple[R, int]]) -> None:
        """Take in what the store found for `keys`; rows changed in this turn stay as they are."""
        key_of = self.map.key
        for row, version in found:
            key = key_of(row)
            if key not in self.known:
                self.known[key] = row
                self.versions[key] = version
        for key in keys:
            self.known.setdefault(key, None)

    def loaded_group(self, column: str, values: Iterable[str], found: Iterable[tuple[R, int]]) -> None:
        """Take in the groups that the store found."""
        found = list(found)
        self.loaded((), found)
        _, limit = self.map.groups[column]
        for value in values:
            places = [self.place(column, row) for row, _ in found if getattr(row, column) == value]
            self.known_groups[column][value] = places[-1] if len(places) >= limit else None

    def keep(self) -> None:
        """The handler returned: what it changed is part of the turn."""
        if self._staged:
            self.changed.update(self._staged)
            self.known.update(self._staged)
            self._staged.clear()

    def discard(self) -> None:
        """The handler refused or failed: forget what it changed."""
        self._staged = {}

    def changes(self) -> tuple[list[tuple[R, int]], list[tuple[str, int]]]:
        """Rows to write with their new version, and keys to delete with the version they must have; sorted by key."""
        upserts: list[tuple[R, int]] = []
        removes: list[tuple[str, int]] = []
        for key in sorted(self.changed):
            row, version = self.known[key], self.versions.get(key, 0)
            if row is not None:
                upserts.append((row, version + 1))
            elif version:
                removes.append((key, version))
        return upserts, removes


class Ledger(Generic[R]):
    """An append-only table: rows are added and never changed."""

    def __init__(self, rows: RowMap[R], touched: "list[Part]") -> None:
        self.map = rows
        self._touched = touched
        self.added: list[R] = []
        self._staged: list[R] = []

    def add(self, *rows: R) -> None:
        """Append rows."""
        if not self._staged:
            self._touched.append(self)
        self._staged.extend(rows)

    def keep(self) -> None:
        """The handler returned: what it added is part of the turn."""
        self.added += self._staged
        self._staged = []

    def discard(self) -> None:
        """The handler refused or failed: forget what it added."""
        self._staged = []


class Timers:
    """What falls due later. Setting a timer again moves it; canceling one that is not set does nothing."""

    def __init__(self, touched: "list[Part]") -> None:
        self._touched = touched
        self.changed: dict[str, tuple[Timer, datetime] | None] = {}
        self._staged: dict[str, tuple[Timer, datetime] | None] = {}

    def set(self, timer: Timer, at: datetime) -> None:
        """Let `timer` come through the timer door at `at` or soon after."""
        self._stage(timer, (timer, at))

    def cancel(self, timer: Timer) -> None:
        """Forget the timer with this name and key."""
        self._stage(timer, None)

    def _stage(self, timer: Timer, change: tuple[Timer, datetime] | None) -> None:
        if not self._staged:
            self._touched.append(self)
        self._staged[timer.timer_id] = change

    def keep(self) -> None:
        """The handler returned: its timers are part of the turn."""
        self.changed |= self._staged
        self._staged = {}

    def discard(self) -> None:
        """The handler refused or failed: forget its timers."""
        self._staged = {}


Part = Shelf[Any] | Ledger[Any] | Timers
"""What a desk is made of."""


@dataclass(slots=True)
class Said:
    """An event to be published, with the message that caused it."""

    event: Event
    stream: str
    cause: Envelope
    at: datetime


class Books:
    """The runtime's own shelves of one turn, beside the service's."""

    def __init__(self, desk: "Desk") -> None:
        self.cursors = desk.shelf(CURSORS)
        self.heads = desk.shelf(HEADS)
        self.inbox = desk.shelf(INBOX)
        self.parked = desk.shelf(PARKED)


class Desk:
    """Base of each service's desk: make the shelves in `__init__` with `self.shelf` and `self.ledger`.

    `now` is the turn's time and `actor` who caused the message in hand; domain functions get them as arguments.
    """

    now: datetime
    envelope: Envelope

    def __init__(self) -> None:
        self.shelves: list[Shelf[Any]] = []
        self.ledgers: list[Ledger[Any]] = []
        self._touched: list[Part] = []
        """The parts in which the message in hand has staged something."""
        self.timers = Timers(self._touched)
        self.said: list[Said] = []
        self._saying: list[Said] = []
        self.erased: list[str] = []
        self._erasing: list[str] = []
        self.books = Books(self)

    def shelf(self, rows: RowMap[R]) -> Shelf[R]:
        """Add a shelf for a table whose rows change."""
        shelf = Shelf(rows, self._touched)
        self.shelves.append(shelf)
        return shelf

    def ledger(self, rows: RowMap[R]) -> Ledger[R]:
        """Add a ledger for a table whose rows are only added."""
        ledger = Ledger(rows, self._touched)
        self.ledgers.append(ledger)
        return ledger

    @property
    def actor(self) -> Actor:
        """Who caused the message in hand."""
        return self.envelope.actor

    def speaks_on(self, *streams: str) -> Want:
        """Name streams that the handler may say something on: their heads then come along with the rows of this step. Name them
        no earlier than the rows by which others come to speak on them, or two turns wait for one another. Heads that were not
        named are asked for once their stream was spoken on: a round trip more."""
        return self.books.heads.want(*streams)

    def publish(self, *events: Event) -> None:
        """Say that something happened; numbered, chained and sent when the turn commits."""
        self._saying += [Said(event, event.stream, self.envelope, self.now) for event in events]

    @contextmanager
    def on_word_of(self, kept: Envelope | None) -> Iterator[None]:
        """What is done meanwhile is caused by this message, which was kept until now; by the one in hand where it is None."""
        in_hand = self.envelope
        self.envelope = kept or in_hand
        try:
            yield
        finally:
            self.envelope = in_hand

    def erase(self, stream: str) -> None:
        """Erase the personal parts of all that was said on a stream, for good (X4); its hash chain still verifies."""
        self._erasing.append(stream)

    def begin(self, envelope: Envelope, now: datetime) -> None:
        """Take the next message in hand."""
        self.envelope = envelope
        self.now = now

    def keep(self) -> None:
        """The handler returned: all it did is part of the turn."""
        for part in self._touched:
            part.keep()
        self._touched.clear()
        if self._saying:
            self.said += self._saying
            self._saying = []
        if self._erasing:
            self.erased += self._erasing
            self._erasing = []

    def discard(self) -> None:
        """The handler refused or failed: nothing of it remains."""
        for part in self._touched:
            part.discard()
        self._touched.clear()
        self._saying = []
        self._erasing = []
