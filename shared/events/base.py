"""What an event is: one flat, frozen Pydantic class with a wire name and a subject.

The publisher owns the class; consumers import it. The wire name carries the version: within v1 only optional fields
may be added (golden schemas in `tests/contracts` hold it), anything else is v2 beside v1 (X3).
"""

from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict

EVENT_TYPES: dict[str, type["Event"]] = {}
"""Every event by its wire name; filled by importing the files of this package."""


class Event(BaseModel):
    """Something that happened. Written strictly, read tolerantly: unknown fields of a newer minor version are skipped.

    Class keywords: `type` is the wire name (`orders.order_released.v1`), `subject` the field that names the thing the
    event is about. All events of one publisher about one subject form a stream, `order/<id>`, numbered 1, 2, 3 …
    An event that carries personal data keeps it in one field named `personal`, which erasure reaches (X4).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    wire_type: ClassVar[str]
    subject_field: ClassVar[str]
    stream_kind: ClassVar[str]
    """What a stream's name begins with: the subject field without `_id`."""

    def __init_subclass__(cls, *, type: str = "", subject: str = "", **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if subject:
            cls.subject_field = subject
            cls.stream_kind = subject.removesuffix("_id")
        if type:
            if type in EVENT_TYPES:
                raise TypeError(f"two events are called {type}")
            cls.wire_type = type
            EVENT_TYPES[type] = cls

    @property
    def stream(self) -> str:
        """The subject as it stands on the wire: kind and id, `order/5b0c…`."""
        return f"{self.stream_kind}/{getattr(self, self.subject_field)}"

    def dumped(self, without: set[str] | None = None) -> str:
        """The event as JSON, some fields left out: what `model_dump_json` gives, in half the time."""
        return self.__pydantic_serializer__.to_json(self, exclude=without).decode()


def is_inbox(wire_type: str) -> bool:
    """True for an event that comes from outside, by its wire name."""
    return ".inbox." in wire_type


def topic_of(wire_type: str) -> str:
    """The topic that carries an event, by its wire name: its publisher's, or an inbox."""
    return wire_type.rsplit(".", 2)[0]


def stream_name(event: type[Event], subject: str) -> str:
    """The stream that holds the events of this class about `subject`: `order/5b0c…`, `sku/A-1`."""
    return f"{event.stream_kind}/{subject}"


class MessageRefused(Event):
    """The answer to an outside message that was refused: which one, by which rule, what to do. Nothing was changed.

    Over HTTP the same answer is a problem document (RFC 9457), and this is said of a message alone that was parked first.
    """

    refused: str
    refused_source: str
    refused_type: str
    code: str
    detail: str
    field: str | None


class EventParked(Event):
    """A message could not be handled and was set aside; its stream waits for ops (X2, N2)."""

    service: str
    parked_id: str
    parked_type: str
    parked_stream: str
    reason: str
    """What failed, and where in the code."""
