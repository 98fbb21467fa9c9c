"""Events from outside, whichever way they come: one function makes the message of a Kafka record and of an HTTP
request, so that both are judged alike and one (source, id) is one message.
"""

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache

from pydantic import ValidationError

from shared.events.base import EVENT_TYPES, Event, topic_of
from shared.events.inbox import OF_SYSTEMS, SCANS
from shared.runtime.messages import Door, Envelope, Incoming, Raw, Refused
from shared.runtime.tracing import known_trace
from shared.runtime.wording import fields_of, place_of
from shared.values import Actor, ActorKind

LONGEST = 200
"""Characters of an id or source."""
LARGEST = 512 * 1024
"""Bytes of an event's data: whatever a service says about it must fit into a record of Kafka, which takes 1 MiB."""


@cache
def inbox_types(inbox: str) -> tuple[str, ...]:
    """The event types that an inbox takes."""
    return tuple(sorted(name for name in EVENT_TYPES if topic_of(name) == inbox))


def outside(
    headers: Mapping[str, str],
    body: bytes,
    actor: Actor,
    *,
    inbox: str | None = None,
    inboxes: tuple[str, ...] = (),
    raw: Raw | None = None,
) -> Incoming:
    """The message that CloudEvents attributes (`ce_…` headers) and data make.

    `inbox` is the topic that it came on; over HTTP `inboxes` are those of the service. Raises Refused (422)
    when the identity cannot be read, (403) when people send what systems say, or others what people scan (X4, W12); such a
    token uses up no id, so that the same may come again with a better one. A body that does not fit its type is in
    `error`, under the identity that it has.
    """
    attributes = {
        name[3:].replace("-", "_"): value for name, value in headers.items() if name[:3] in ("ce_", "ce-")
    }
    for name in ("id", "source", "type", "correlationid"):
        if name not in attributes:
            if name == "correlationid":
                continue
            detail = (
                f"the CloudEvents attribute {name} is missing: send it as header ce-{name} (over Kafka ce_{name}), "
                "or over HTTP the whole event as application/cloudevents+json"
            )
            raise Refused("malformed", detail, field=name, status=422)
        if not _fit(attributes[name]):
            detail = f"the CloudEvents attribute {name} must have 1 to {LONGEST} printable characters"
            raise Refused("malformed", detail, field=name, status=422)
    # "<source> <id>" is the key that it is known by: only the id may hold spaces
    if " " in attributes["source"]:
        raise Refused("malformed", "source is a URI reference: it has no spaces", field="source", status=422)
    if attributes.get("specversion", "1.0") != "1.0":
        raise Refused("malformed", "specversion must be 1.0", field="specversion", status=422)
    type_name = attributes["type"]
    inboxes = (inbox,) if inbox else inboxes
    named = inbox or next((i for i in inboxes if topic_of(type_name) == i), None)
    topic = named or inboxes[0]
    if named in OF_SYSTEMS and actor.kind in (ActorKind.OPERATOR, ActorKind.DEVICE):
        detail = f"{topic} takes events of systems (shops, payment providers, couriers); this is a token of {actor}"
        raise Refused("not_a_system", detail, field="authorization", status=403)
    if named == SCANS and (actor.kind is not ActorKind.OPERATOR or actor.device is None):
        detail = f"scan with the token of an operator signed in at a device; this is a token of {actor}"
        raise Refused("no_operator", detail, field="authorization", status=403)
    event, error = _event(type_name, inboxes, body)
    stream = event.stream if event is not None else f"unknown/{attributes['id']}"
    # what says nothing is left out, so that a field that a newer version adds makes no other message of the same bytes
    data = event.model_dump_json(exclude_defaults=True).encode() if event is not None else body
    envelope = Envelope(
        id=attributes["id"],
        source=attributes["source"],
        type=type_name,
        stream=stream,
        time=datetime.now(UTC),
        actor=actor,
        correlation_id=attributes.get("correlationid"),
        trace=known_trace(attributes.get("traceparent")) or known_trace(headers.get("traceparent")),
    )
    if raw is None:
        # as Kafka would have brought it: it may have to wait behind another, and is read again then
        said = [("id", envelope.id), ("source", envelope.source), ("type", type_name),
                ("correlationid", envelope.correlation_id), ("traceparent", envelope.trace)]  # fmt: skip
        headers_kept = tuple((f"ce_{name}", value.encode()) for name, value in said if value is not None)
        raw = Raw(topic, 0, 0, None, headers_kept, body)
    return Incoming(
        envelope,
        Door.KAFKA if inbox else Door.HTTP,
        f"{topic}|{stream}",
        event,
        error,
        raw,
        hashlib.sha256(type_name.encode() + b"\0" + data).digest(),
    )


def claimed(headers: Mapping[str, str]) -> str | None:
    """The id that a record whose sender is not known gives itself, if it can be one."""
    value = headers.get("ce_id", "")
    return value if _fit(value) else None


def _fit(value: str) -> bool:
    return 0 < len(value) <= LONGEST and value.isprintable()


def _event(type_name: str, inboxes: tuple[str, ...], body: bytes) -> tuple[Event | None, Refused | None]:
    event_class = EVENT_TYPES.get(type_name)
    if event_class is None or topic_of(type_name) not in inboxes:
        detail = "; ".join(f"{inbox} takes {', '.join(inbox_types(inbox))}" for inbox in inboxes)
        return None, Refused("unknown_type", detail, field="type", status=422)
    if len(body) > LARGEST:
        return None, Refused("too_large", f"an event has at most {LARGEST} bytes", field="data", status=413)
    try:
        return event_class.model_validate_json(body), None
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        field = place_of(first["loc"]) or "data"
        return None, Refused("invalid", fields_of(error), field=field, status=422)
