"""What a handler is called with, whichever door it came through, and how it refuses.

Kafka brings `Event`s, HTTP brings `Command`s (and, at the inbox endpoints, events), the clock brings `Timer`s.
"""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict

from shared.events.base import Event
from shared.values import Actor, ActorKind


class Command(BaseModel):
    """Something a person or system asks over HTTP. Validated strictly; unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


TIMER_TYPES: dict[str, type["Timer"]] = {}
"""Every timer by its name; filled by importing the handlers."""


class Timer(BaseModel):
    """Something that falls due. Class keyword `name` is stored (`orders.unpaid`); the first field is the key: setting a
    timer again under the same name and key moves it. `at_once` is for what goes on by itself in a turn of its own: it is no
    deadline, and does not wait for what was said in time (X1)."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    timer_name: ClassVar[str]
    at_once: ClassVar[bool]

    def __init_subclass__(cls, *, name: str, at_once: bool = False, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.timer_name, cls.at_once = name, at_once
        if name in TIMER_TYPES:
            raise TypeError(f"two timers are called {name}")
        TIMER_TYPES[name] = cls

    @property
    def timer_id(self) -> str:
        """Name and key: what makes this timer one and the same."""
        return f"{self.timer_name}/{next(iter(self.__dict__.values()))}"


Message = Event | Command | Timer


class Refused(Exception):
    """The message cannot be done, by a rule; nothing is changed and whoever sent it is told.

    `code` names the rule (snake_case, stable), `detail` says in a sentence what was wrong and what to do, `field` where.
    `status` is the HTTP status: 409 for a rule, 404 for something unknown, 403 for what the actor may not do. `again` says that
    this was answered before, and is only told once more.
    """

    def __init__(
        self, code: str, detail: str, *, field: str | None = None, status: int = 409, again: bool = False
    ) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.field = field
        self.status = status
        self.again = again

    @property
    def told(self) -> dict[str, Any]:
        """What is told of it, and kept to be told again."""
        return {"code": self.code, "detail": self.detail, "field": self.field, "status": self.status}


class Door(StrEnum):
    """How a message came in."""

    KAFKA = "kafka"
    HTTP = "http"
    TIMER = "timer"
    RETRY = "retry"


@dataclass(
    slots=True
)  # never changed; not frozen, for it is made for every message, and a frozen one takes twice as long
class Envelope:
    """CloudEvents 1.0 attributes of a message. `stream` is the `subject`; `sequence` its place there, None from outside."""

    id: str
    source: str
    type: str
    stream: str
    time: datetime
    actor: Actor
    sequence: int | None = None
    correlation_id: str | None = None
    causation_id: str | None = None
    trace: str | None = None
    """W3C traceparent of what caused the message."""


@dataclass(slots=True)
class Raw:
    """A Kafka record as it came, kept so that a parked message can be shown, mended and tried again."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    headers: tuple[tuple[str, bytes], ...]
    body: bytes
    sent: float | None = None
    """Seconds since 1970 by Kafka: the sender's clock or the broker's. None where a record is not fresh from there."""


@dataclass(slots=True)
class Incoming:
    """One message at a door, decoded as far as it could be.

    `lane` is what must stay in order: publisher and stream. `message` is None when the type is not ours to handle or
    when `error` says why it could not be decoded; an error that is a `Refused` is answered, any other is parked.
    """

    envelope: Envelope
    door: Door
    lane: str
    message: Message | None = None
    error: Exception | None = None
    raw: Raw | None = None
    digest: bytes = b""
    """Of the body, to notice one id used for two messages; empty when the message has no identity to keep."""
    parked_key: str | None = None
    """Where a retried message is parked."""
    claimed_id: str | None = None
    """The id that a message from outside gives itself where that cannot be trusted (its token is bad): only to answer it."""

    @property
    def from_outside(self) -> bool:
        """True for inbox events and HTTP commands that carry an identity: known by (source, id), not by sequence."""
        return self.envelope.sequence is None and bool(self.digest)

    @property
    def is_timer(self) -> bool:
        """True for a timer, also where it was parked and is tried again."""
        return self.envelope.actor.kind is ActorKind.TIMER


class Status(StrEnum):
    """What became of a message."""

    DONE = "done"
    PASSED = "passed"
    """Not a type that this service handles; its place in the stream is kept."""
    DUPLICATE = "duplicate"
    REFUSED = "refused"
    PARKED = "parked"
    QUEUED = "queued"
    """Waits behind a parked message or a gap of its stream."""
    FAILED = "failed"
    """An HTTP command met a bug; nothing was changed."""


@dataclass(slots=True)
class Outcome:
    """What became of one message, and the answer for whoever waits for it."""

    status: Status
    answer: Any = None
    refusal: Refused | None = None
    error: Exception | None = field(default=None, repr=False)


def timer_fallen_due(timer_id: str, source: str, name: str, due: datetime, body: bytes) -> Incoming:
    """A timer as it comes through its door: it acts as itself, in a lane of its own; `error` says why its body does not fit."""
    envelope = Envelope(timer_id, source, name, timer_id, due, Actor(kind=ActorKind.TIMER, name=name))
    incoming = Incoming(envelope, Door.TIMER, f"timers|{timer_id}", raw=Raw("", 0, 0, None, (), body))
    try:
        incoming.message = TIMER_TYPES[name].model_validate_json(body)
    except Exception as broken:  # a timer of a version that is no more: parked like any message
        incoming.error = broken
    return incoming
