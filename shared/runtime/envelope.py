"""CloudEvents 1.0 in Kafka's binary mode: attributes in headers (UTF-8 strings, never null), data as the value.

The identity of a message is in its headers, never a defaulted body field.
"""

import hashlib
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any

from shared.events.base import EVENT_TYPES, Event
from shared.runtime.messages import Door, Envelope, Incoming, Raw
from shared.runtime.wording import fields_of, plain
from shared.values import Actor, ActorKind, Role

CONTENT_TYPE = b"application/json"
_REQUIRED = {"ce_id", "ce_source", "ce_type", "ce_subject", "ce_sequence", "ce_time"}
_KAFKA = Door.KAFKA
LONGEST = 850
"""Bytes of an attribute of ours: a subject may be a barcode, and an id names its subject. Three of them stay below what an
index of PostgreSQL takes, 2,704."""
LONGEST_CAUSE = 2704
"""Bytes of what an event came of: a timer is named by all that it is for, and lies in an index alone."""


class Malformed(Exception):
    """A record whose headers or body cannot be read as a CloudEvent; says which part, never its content."""


def headers(entry: Any, source: str) -> list[tuple[str, bytes]]:
    """Kafka headers of an event-log entry."""
    stream, sequence = entry.stream.encode(), b"%d" % entry.sequence
    found = [
        ("content-type", CONTENT_TYPE),
        ("ce_specversion", b"1.0"),
        ("ce_id", b"%b/%b" % (stream, sequence)),
        ("ce_source", source.encode()),
        ("ce_type", entry.type.encode()),
        ("ce_subject", stream),
        ("ce_time", _written(entry.time)),
        ("ce_sequence", sequence),
        ("ce_partitionkey", stream),
        ("ce_authtype", entry.actor_kind.encode()),
        ("ce_authid", entry.actor_name.encode()),
    ]
    if entry.correlation_id is not None:
        found.append(("ce_correlationid", entry.correlation_id.encode()))
    if entry.causation_id is not None:
        found.append(("ce_causationid", entry.causation_id.encode()))
    if entry.trace is not None:
        found.append(("ce_traceparent", entry.trace.encode()))
    return found


@lru_cache(maxsize=16)
def _written(time: datetime) -> bytes:
    """All events of a turn have one time."""
    return time.isoformat().encode()


def text_headers(raw: Raw) -> dict[str, str]:
    """Headers as text. Raises Malformed for one that is null, repeated or not UTF-8, naming it."""
    try:  # all at once, since nearly all are well
        headers = {name: value.decode() for name, value in raw.headers}
    except (UnicodeDecodeError, AttributeError):
        headers = {}
    names = "".join(headers)
    well = len(headers) == len(raw.headers) and "\ufffd" not in names
    if well and "\x00" not in names + "".join(headers.values()):
        return headers
    return _named_fault(raw)


def _named_fault(raw: Raw) -> dict[str, str]:
    headers: dict[str, str] = {}
    for name, value in raw.headers:
        if "\ufffd" in name:  # `records` put it in the place of what is no text
            raise Malformed("the name of a header is not UTF-8")
        if name in headers:
            raise Malformed(f"header {plain(name)!r} stands twice")
        try:
            headers[name] = value.decode()
        except (UnicodeDecodeError, AttributeError):
            raise Malformed(f"header {plain(name)!r} is null or not UTF-8") from None
        if "\x00" in headers[name] or "\x00" in name:
            raise Malformed("a header holds a null character")
    return headers


def decode_ours(raw: Raw, heard: Mapping[str, type[Event]] = EVENT_TYPES) -> Incoming:
    """An event that one of our services sent, from its own topic. Of a type that is not `heard`, only the headers are read.

    What cannot be read is returned with its error, to be parked: on its stream when the headers still name one.
    """
    try:
        headers = text_headers(raw)
        if not headers.keys() >= _REQUIRED:
            missing = sorted(_REQUIRED - headers.keys())
            raise Malformed(f"headers {', '.join(missing)} are missing")
        envelope = Envelope(
            headers["ce_id"],
            headers["ce_source"],
            headers["ce_type"],
            headers["ce_subject"],
            _time(headers["ce_time"]),
            _actor(headers["ce_authtype"], headers["ce_authid"]),
            _sequence(headers["ce_sequence"]),
            headers.get("ce_correlationid"),
            headers.get("ce_causationid"),
            headers.get("ce_traceparent"),
        )
        _fits(envelope)
        if not envelope.type.startswith(f"{raw.topic}."):
            raise Malformed(f"its type is not one of {raw.topic}")
    except (Malformed, ValueError, KeyError) as error:
        reason = (
            error
            if isinstance(error, Malformed)
            else Malformed(f"headers cannot be read: {type(error).__name__}")
        )
        return unreadable(raw, reason)
    incoming = Incoming(envelope, _KAFKA, f"{raw.topic}|{envelope.stream}", raw=raw)
    if (event := heard.get(envelope.type)) is not None:
        try:
            incoming.message = event.model_validate_json(raw.body, extra="ignore")
        except ValueError as error:
            incoming.error = Malformed(f"the body does not fit {envelope.type}: {fields_of(error)}")
        else:
            if incoming.message.stream != envelope.stream:
                incoming.message = None
                incoming.error = Malformed("the body is about another subject than the headers")
    return incoming


def _fits(envelope: Envelope) -> None:
    names = (("ce_id", envelope.id, LONGEST), ("ce_source", envelope.source, LONGEST), ("ce_type", envelope.type, LONGEST),
             ("ce_subject", envelope.stream, LONGEST), ("ce_correlationid", envelope.correlation_id, LONGEST_CAUSE),
             ("ce_causationid", envelope.causation_id, LONGEST_CAUSE))  # fmt: skip
    for name, value, longest in names:
        if value is None:
            continue
        # four bytes a sign at most: what is short in signs needs no counting
        if not value or (len(value) > longest // 4 and len(value.encode()) > longest):
            raise Malformed(f"header {name} must have 1 to {longest} bytes")


def _time(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    if time.tzinfo is None or not 2000 <= time.year <= 2300:
        raise Malformed("header ce_time must lie between the years 2000 and 2300, with its offset from UTC")
    return time


def _sequence(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 18 and int(text) > 0):
        raise Malformed("header ce_sequence must be a number from 1 on, of at most 18 digits")
    return int(text)


@lru_cache(maxsize=10_000)
def _actor(kind: str, name: str) -> Actor:
    """The same few actors come again and again."""
    return Actor(kind=ActorKind(kind), name=name)


def unreadable(
    raw: Raw, error: Exception, claimed_id: str | None = None, actor: Actor | None = None
) -> Incoming:
    """A record whose identity cannot be read or trusted: known by its place in the topic, so that it cannot use up the id of a
    genuine message, and by what it holds, for at its place in a topic made anew lies another. `actor` is who sent it, where
    that is known: the answer names them."""
    digest = _digest(raw)
    known_by = f"{raw.topic}/{raw.partition}/{raw.offset}/{digest.hex()[:16]}"
    return Incoming(
        _said_by(actor or _NOBODY, known_by, raw.topic),
        Door.KAFKA,
        f"{raw.topic}|{known_by}",
        error=error,
        raw=raw,
        digest=digest,
        claimed_id=claimed_id,
    )


def _digest(raw: Raw) -> bytes:
    """Of all that a record holds, each part after its length."""
    whole = hashlib.sha256()
    names = [(name.encode("utf-8", "replace"), value or b"") for name, value in raw.headers]
    for part in (raw.key or b"", *(part for header in names for part in header), raw.body):
        whole.update(len(part).to_bytes(8, "big") + part)
    return whole.digest()


_NOBODY = Actor(kind=ActorKind.SYSTEM, name="unknown", role=Role.ORDINARY)


def _said_by(actor: Actor, known_by: str, topic: str) -> Envelope:
    return Envelope(
        known_by, topic, "unknown", known_by, datetime.fromisoformat("2000-01-01T00:00:00+00:00"), actor
    )
