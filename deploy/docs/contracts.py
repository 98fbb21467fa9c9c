"""The contracts: AsyncAPI 3.0 of the topics, OpenAPI 3.1 of the HTTP edges, a golden JSON schema of each event (X3)."""

import inspect
from typing import Any

import orjson

from deploy.docs.examples import examples
from deploy.docs.schemas import published
from deploy.docs.system import EVENTS, Described, app_of
from shared.events.base import Event, is_inbox, topic_of

_TEXT = {"type": "string"}
_INBOX_HEADERS = {
    "type": "object",
    "required": ["ce_id", "ce_source", "ce_type", "authorization"],
    "properties": {
        "ce_specversion": {"const": "1.0", "description": "Taken for 1.0 where it is left out."},
        "ce_id": _TEXT | {"description": "Together with ce_source the identity of the message."},
        "ce_source": _TEXT,
        "ce_type": _TEXT,
        "ce_time": _TEXT | {"format": "date-time"},
        "authorization": _TEXT | {"description": "Bearer and a token of whoever sends it."},
    },
}
_OUR_HEADERS = {
    "type": "object",
    "required": ["ce_specversion", "ce_id", "ce_source", "ce_type", "ce_subject", "ce_time", "ce_sequence"],
    "properties": {
        "ce_specversion": {"const": "1.0"},
        "ce_id": _TEXT,
        "ce_source": _TEXT,
        "ce_type": _TEXT,
        "ce_subject": _TEXT | {"description": "The stream: all events of one publisher about one subject."},
        "ce_time": _TEXT | {"format": "date-time"},
        "ce_sequence": _TEXT | {"pattern": "^[1-9][0-9]*$", "description": "Place in the stream, 1, 2, 3 …"},
        "ce_partitionkey": _TEXT,
        "ce_authtype": _TEXT | {"description": "What caused it: operator, device, system, timer or service."},
        "ce_authid": _TEXT | {"description": "Who caused it."},
        "ce_correlationid": _TEXT,
        "ce_causationid": _TEXT,
        "ce_traceparent": _TEXT,
    },
}


def schema(event: type[Event]) -> dict[str, Any]:
    """The JSON schema of an event's data."""
    return event.model_json_schema(ref_template="#/$defs/{model}")


def asyncapi(described: Described) -> dict[str, Any]:
    """What a service sends and receives over Kafka."""
    channels: dict[str, Any] = {}
    operations: dict[str, Any] = {}
    messages: dict[str, Any] = {}
    schemas: dict[str, Any] = {"InboxHeaders": _INBOX_HEADERS, "OurHeaders": _OUR_HEADERS}
    for action, events in (("send", described.says()), ("receive", described.hears())):
        for event in events:
            name = event.wire_type
            topic = topic_of(name)
            messages[name] = _message(event, schemas)
            channel = channels.setdefault(
                topic, {"address": topic, "bindings": {"kafka": {"topic": topic}}, "messages": {}}
            )
            channel["messages"][name] = {"$ref": f"#/components/messages/{name}"}
            operation = operations.setdefault(
                f"{action}.{topic}",
                {"action": action, "channel": {"$ref": f"#/channels/{topic}"}, "messages": []},
            )
            operation["messages"].append({"$ref": f"#/channels/{topic}/messages/{name}"})
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": f"Handover {described.name}",
            "version": "1",
            "description": "CloudEvents 1.0, Kafka binary mode.",
        },
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": operations,
        "components": {"messages": messages, "schemas": schemas},
    }


def _message(event: type[Event], schemas: dict[str, Any]) -> dict[str, Any]:
    """One message; the values in its payload go to `schemas`, since a `$ref` is read from the top of the document. Those that
    others write are closed and have names of their own."""
    inbox = is_inbox(event.wire_type)
    prefix = "inbox." if inbox else ""
    payload = published(event, f"#/components/schemas/{prefix}{{model}}")
    for name, value in payload.pop("$defs", {}).items():
        if schemas.setdefault(prefix + name, value) != value:
            raise ValueError(f"two different values are called {name}; AsyncAPI needs a name for each")
    kind = event.subject_field.removesuffix("_id")
    key = (
        f"What keeps order: {event.subject_field}" if inbox else f"The stream, {kind}/<{event.subject_field}>"
    )
    message: dict[str, Any] = {
        "name": event.wire_type,
        "title": event.__name__,
        "summary": " ".join((inspect.getdoc(event) or "").split()),
        "contentType": "application/json",
        "headers": {"$ref": f"#/components/schemas/{'InboxHeaders' if inbox else 'OurHeaders'}"},
        "payload": payload,
        "bindings": {"kafka": {"key": {"type": "string", "description": key}}},
    }
    if example := examples().get(event.wire_type):
        message["examples"] = [{"payload": example["data"]}]
    return message


def openapi(described: Described) -> dict[str, Any]:
    """What a service is asked over HTTP."""
    return app_of(described).openapi()


def golden() -> dict[str, str]:
    """File name → schema of every event, as it is promised to other systems."""
    return {f"{name}.json": text(schema(event)) for name, event in EVENTS.items()}


def text(document: Any) -> str:
    """JSON as it is committed: sorted, indented, with a last newline."""
    return orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS).decode() + "\n"
