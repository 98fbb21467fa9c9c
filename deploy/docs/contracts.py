"""The contracts: AsyncAPI 3.0 of the topics, OpenAPI 3.1 of the HTTP edges, a golden JSON schema of each event (X3)."""

import inspect
from typing import Any

import orjson

from deploy.docs.system import Described, app_of
from shared.events.base import EVENT_TYPES, Event

HEADERS = {
    "type": "object",
    "required": ["ce_id", "ce_source", "ce_type", "ce_specversion"],
    "properties": {
        "ce_id": {"type": "string", "description": "Together with ce_source the identity of the event."},
        "ce_source": {"type": "string"},
        "ce_type": {"type": "string"},
        "ce_specversion": {"const": "1.0"},
        "ce_subject": {"type": "string", "description": "The stream: all events of one publisher about one subject."},
        "ce_sequence": {"type": "string", "description": "Place in the stream, 1, 2, 3 …; only on our own topics."},
        "ce_time": {"type": "string", "format": "date-time"},
        "authorization": {"type": "string", "description": "Bearer token; required on the inboxes."},
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
    for action, events in (("send", described.says()), ("receive", described.service.hears)):
        for event in sorted(events, key=lambda e: e.wire_type):
            topic = event.wire_type.rsplit(".", 2)[0]
            name = event.wire_type
            channel = channels.setdefault(
                topic, {"address": topic, "bindings": {"kafka": {"topic": topic}}, "messages": {}}
            )
            channel["messages"][name] = {"$ref": f"#/components/messages/{name}"}
            messages[name] = {
                "name": name,
                "title": event.__name__,
                "summary": " ".join((inspect.getdoc(event) or "").split()),
                "contentType": "application/json",
                "headers": HEADERS,
                "payload": schema(event),
                "bindings": {"kafka": {"key": {"type": "string", "description": f"{event.subject_field.removesuffix('_id')}/…"}}},
            }
            operation = operations.setdefault(
                f"{action}.{topic}",
                {"action": action, "channel": {"$ref": f"#/channels/{topic.replace('/', '~1')}"}, "messages": []},
            )
            operation["messages"].append({"$ref": f"#/channels/{topic}/messages/{name}"})
    return {
        "asyncapi": "3.0.0",
        "info": {"title": f"Handover {described.name}", "version": "1", "description": "CloudEvents 1.0, Kafka binary mode."},
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": operations,
        "components": {"messages": messages},
    }


def openapi(described: Described) -> dict[str, Any]:
    """What a service is asked over HTTP."""
    return app_of(described).openapi()


def golden() -> dict[str, str]:
    """File name → schema of every event, as it is promised to other systems."""
    return {f"{name}.json": text(schema(event)) for name, event in sorted(EVENT_TYPES.items())}


def text(document: Any) -> str:
    """JSON as it is committed: sorted, indented, with a last newline."""
    return orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS).decode() + "\n"
