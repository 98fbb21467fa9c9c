"""What a service is, as data: its desk, what it hears and asks to be told when time comes, and what its topics are."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Generic, TypeVar

from shared.events.base import Event, EventParked, MessageRefused, is_inbox, topic_of
from shared.runtime.desk import Desk, Want
from shared.runtime.messages import Message, Timer

M = TypeVar("M", bound=Message)
D = TypeVar("D", bound=Desk)

Needs = Callable[[M, D], Iterator[Want | tuple[Want, ...]]]
"""A generator: each `yield` names rows and ends a round; after it, the rows are on the desk, so that a later round can name
rows found through them. It runs again before the handler, so it must have no effect but its yields."""

Handler = Callable[[M, D], Any]
"""Looks at rows, changes them, says what happened. Never awaits, queries or sends. May raise Refused."""


def nothing(message: Any, desk: Any) -> Iterator[Want]:
    """For handlers that need no rows."""
    return iter(())


@dataclass(frozen=True, slots=True)
class Handling(Generic[M, D]):
    """One row of a service's CONSUMES: on this message, run this handler on these rows."""

    message: type[M]
    handler: Handler[M, D]
    needs: Needs[M, D]


def on(message: type[M], handler: Handler[M, D], needs: Needs[M, D] = nothing) -> Handling[M, D]:
    """Say what a service does on a message: an event, a command or a timer."""
    return Handling(message, handler, needs)


@dataclass(frozen=True)
class Service(Generic[D]):
    """A service as the runtime sees it. `refused` and `parked` are its own events for those two answers."""

    name: str
    desk: Callable[[], D]
    consumes: tuple[Handling[Any, D], ...]
    parked: type[EventParked]
    refused: type[MessageRefused] | None = None
    inboxes: tuple[str, ...] = ()
    by_type: Mapping[type, Handling[Any, D]] = field(init=False)
    hears: Mapping[str, type[Event]] = field(init=False)
    """The events that the service handles, by wire type."""

    def __post_init__(self) -> None:
        by_type: dict[type, Handling[Any, D]] = {}
        for handling in self.consumes:
            if handling.message in by_type:
                raise TypeError(f"{self.name}: two handlers for {handling.message.__name__}")
            by_type[handling.message] = handling
        object.__setattr__(self, "by_type", by_type)
        object.__setattr__(self, "hears", {m.wire_type: m for m in by_type if issubclass(m, Event)})

    @cached_property
    def at_once(self) -> list[str]:
        """The names of its timers that wait for nothing."""
        return [m.timer_name for m in self.by_type if issubclass(m, Timer) and m.at_once]

    @property
    def source(self) -> str:
        """CloudEvents source of what the service says."""
        return f"/handover/{self.name}"

    @property
    def topics(self) -> list[str]:
        """The topics that the service reads: its inboxes and the topics of the publishers that it hears."""
        publishers = {topic_of(name) for name in self.hears if not is_inbox(name)}
        return sorted({*publishers, *self.inboxes})
