"""The runtime's own tables, the same in every service's database, and their rows.

`cursors`: the last event applied per lane. `stream_heads`: the last event said per stream. `inbox`: outside messages known by
(source, id) for as long as a retry may come, with the first answer. `parked`: messages set aside. `timers`: what falls due.
`event_log`, `event_personal` and `outbox`: what was said, its personal part, and what is still to be sent.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    Identity,
    Index,
    LargeBinary,
    MetaData,
    Table,
    Text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.schema import SchemaItem

from shared.runtime.rows import RowMap
from shared.values import Actor


class LaneState(StrEnum):
    """Whether messages of a lane flow."""

    FLOWING = "flowing"
    FAILED = "failed"
    """The first parked message failed; all later ones queue behind it until ops retry or skip it (X2)."""
    GAP = "gap"
    """A message is missing; those after it wait for it."""


@dataclass(slots=True)
class Cursor:
    """How far a lane was applied. Where messages have no sequence, it counts those that were ever parked in the lane: that is
    the order in which they came, by whatever door and partition."""

    lane: str
    sequence: int = 0
    state: LaneState = LaneState.FLOWING


@dataclass(slots=True)
class Head:
    """The last event of a stream that we said: its sequence and its link in the hash chain."""

    stream: str
    sequence: int
    hash: bytes


@dataclass(slots=True)
class Seen:
    """An outside message that was answered. `key` is source and id; `status` and `answer` are the first answer."""

    key: str
    digest: bytes
    seen_at: datetime
    status: str
    answer: Any


class ParkedState(StrEnum):
    """Why a message is parked."""

    FAILED = "failed"
    QUEUED = "queued"
    GAP = "gap"
    SKIPPED = "skipped"
    MENDED = "mended"
    """Handled under a body that ops gave it: it waits no more, and is kept for the record."""


@dataclass(frozen=True, slots=True)
class Parked:
    """A message set aside, with all that is needed to show, mend and try it again. `place` orders a lane."""

    parked_key: str
    lane: str
    queue: str
    """The lane while the message waits, empty once it was skipped or mended."""
    place: int
    state: ParkedState
    parked_at: datetime
    type: str
    stream: str
    sequence: int | None
    message_id: str
    source: str
    door: str
    topic: str
    partition: int
    offset: int
    key: str
    """Record key, headers and body are Base64: they may be anything."""
    headers: tuple[tuple[str, str], ...]
    body: str
    reason: str
    traceback: str
    tries: int
    note: str = ""
    """Why and by whom it was mended or skipped."""
    actor: Actor | None = None
    """Who sent it, as it was verified when it was taken: a token does not outlive a message that waits for ops. None where no
    token says so."""
    original: str = ""
    """The body as it came, Base64, when ops gave it another one; else empty."""
    digest: str = ""
    """Of the body as it came, hexadecimal; empty where the message is not known by its id."""


def runtime_tables(metadata: MetaData) -> dict[str, Table]:
    """Define the runtime's tables in a service's metadata."""
    return {
        t.name: t
        for t in (
            _state(
                metadata,
                "cursors",
                Column("lane", Text, primary_key=True),
                Column("sequence", BigInteger, nullable=False),
                Column("state", Text, nullable=False),
                # there is a cursor for every stream that ever was, and those that wait are looked for every few seconds
                Index("cursors_waiting", "lane", postgresql_where=f"state = '{LaneState.GAP.value}'"),
            ),
            _state(
                metadata,
                "stream_heads",
                Column("stream", Text, primary_key=True),
                Column("sequence", BigInteger, nullable=False),
                Column("hash", LargeBinary, nullable=False),
            ),
            _state(
                metadata,
                "inbox",
                Column("key", Text, primary_key=True),
                Column("digest", LargeBinary, nullable=False),
                Column("seen_at", DateTime(timezone=True), nullable=False, index=True),
                Column("doc", JSONB, nullable=False),
            ),
            _state(
                metadata,
                "parked",
                Column("parked_key", Text, primary_key=True),
                Column("queue", Text, nullable=False, index=True),
                Column("place", BigInteger, nullable=False),
                Column("state", Text, nullable=False),
                Column("doc", JSONB, nullable=False),
                # what was mended or skipped stays, in no queue
                Index("parked_waiting", "state", postgresql_where="queue <> ''"),
                # and so does its body for a while: those that are to be emptied are looked for every minute
                Index("parked_bodies", "state", postgresql_where="doc->>'body' <> ''"),
            ),
            Table(
                "timers",
                metadata,
                Column("timer_id", Text, primary_key=True),
                Column("name", Text, nullable=False),
                Column("due", DateTime(timezone=True), nullable=False, index=True),
                Column("body", Text, nullable=False),
            ),
            Table(
                "event_log",
                metadata,
                Column("position", BigInteger, Identity(always=True), primary_key=True),
                Column("stream", Text, nullable=False),
                Column("sequence", BigInteger, nullable=False),
                Column("type", Text, nullable=False),
                Column("time", DateTime(timezone=True), nullable=False),
                Column("actor_kind", Text, nullable=False),
                Column("actor_name", Text, nullable=False),
                Column("correlation_id", Text),
                Column("causation_id", Text),
                Column("trace", Text),
                Column("data", Text, nullable=False),
                Column("personal_digest", LargeBinary),
                Column("previous", LargeBinary, nullable=False),
                Column("hash", LargeBinary, nullable=False),
                Index("event_log_stream", "stream", "sequence", unique=True),
                info={"append_only": True},
            ),
            Table(
                "event_personal",
                metadata,
                Column("stream", Text, primary_key=True),
                Column("sequence", BigInteger, primary_key=True),
                Column("salt", LargeBinary, nullable=False),
                Column("personal", Text, nullable=False),
            ),
            Table("outbox", metadata, Column("position", BigInteger, primary_key=True, autoincrement=False)),
        )
    }


def _state(metadata: MetaData, name: str, *items: SchemaItem) -> Table:
    return Table(name, metadata, *items, Column("version", BigInteger, nullable=False))


_own = runtime_tables(MetaData())
CURSORS = RowMap(Cursor, _own["cursors"])
HEADS = RowMap(Head, _own["stream_heads"])
INBOX = RowMap(Seen, _own["inbox"])
PARKED = RowMap(Parked, _own["parked"], groups={"queue": ("place", 500)})
TIMERS, EVENT_LOG, EVENT_PERSONAL = (_own[name] for name in ("timers", "event_log", "event_personal"))
