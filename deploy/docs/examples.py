"""An example of each event from outside: files that can be posted as they are, and the page that shows them."""

import json
from functools import cache
from typing import Any

from deploy.docs.schemas import published
from deploy.docs.system import OUTSIDE, ROOT, services
from shared.events.base import EVENT_TYPES, Event

FOLDER = ROOT / "docs" / "examples"
TOKENS = {
    "orders.inbox": "`--as system --name my-shop`",
    "aftersales.inbox": "`--as system --name my-shop`",
    "scans.inbox": "`--as operator --name li.wei --device scanner-01`; another person checks",
    "tracking.inbox": "`--as system --name sf`",
}


@cache
def examples() -> dict[str, dict[str, Any]]:
    """Wire name → the example, a structured CloudEvent; in the order in which they tell the story of one order."""
    found = [json.loads(file.read_text(encoding="utf-8")) for file in sorted(FOLDER.glob("*.json"))]
    return {example["type"]: example for example in found}


def page(made: str) -> str:
    """Every event that other systems may hand in, with its example and its fields. `made` is the first line."""
    lines = [made, "# Events from outside", ""]
    lines += [
        "One story: stock arrives, order 1001 of my-shop is bought, picked, checked, packed and delivered; half comes back.",
        "Each example is a file of [docs/examples](../examples), a structured CloudEvent that can be posted as it is to a system without data:",
        "",
        "```sh",
        'curl -sS http://127.0.0.1:8101/v1/events -H "authorization: Bearer $TOKEN" \\',
        "  -H 'content-type: application/cloudevents+json' -d @docs/examples/02-order_submitted.json",
        "```",
        "",
        "Their times are fixed. Write the present one into `scanned_at` of the hand-over before you play it: nothing leaves before its",
        "label was made, which is when you played the packing.",
        "The last one is about an order 1002, which is the second example under another number.",
        "",
        "| inbox | handed in at | sent by | token: `handover token create …` |",
        "|---|---|---|---|",
    ]
    for inbox, token in TOKENS.items():
        owner = next(d.name for d in services() if inbox in d.service.inboxes)
        lines.append(f"| `{inbox}` | {owner}, `POST /v1/events` | {OUTSIDE[inbox]} | {token} |")
    values: dict[str, Any] = {}
    for file in sorted(FOLDER.glob("*.json")):
        example = json.loads(file.read_text(encoding="utf-8"))
        event = EVENT_TYPES[example["type"]]
        data = json.dumps(example["data"], ensure_ascii=False, indent=2)
        lines += ["", f"## {event.__name__}", "", " ".join((event.__doc__ or "").split()), ""]
        lines += [
            f"`{event.wire_type}` · record key: `{event.subject_field}` · [{file.name}](../examples/{file.name})",
            "",
        ]
        schema = published(event)
        values |= schema.get("$defs", {})
        lines += ["```json", data, "```", "", *_fields(schema, values)]
    lines += ["", "## Values", "", "What stands in a field of several parts."]
    for name in sorted(name for name, value in values.items() if "properties" in value):
        told = " ".join(values[name]["description"].split())
        lines += ["", f"### {name}", "", told, "", *_fields(values[name], values)]
    return "\n".join([*lines, ""])


def _fields(schema: dict[str, Any], values: dict[str, Any]) -> list[str]:
    """A table of the fields of an event or of a value in it."""
    required = schema.get("required", [])
    lines = ["| field | type | default | what it says |", "|---|---|---|---|"]
    for name, field in schema["properties"].items():
        default = (
            "required" if name in required else f"`{json.dumps(field.get('default'), ensure_ascii=False)}`"
        )
        lines.append(f"| `{name}` | {_kind(field, values)} | {default} | {field.get('description', '')} |")
    return lines


def _kind(field: dict[str, Any], values: dict[str, Any]) -> str:
    """The type of a field in words; allowed values where they are few by nature."""
    if reference := field.get("$ref"):
        name = reference.rsplit("/", 1)[1]
        return _one_of(values[name]["enum"]) if "enum" in values[name] else name
    if "anyOf" in field:
        return " or ".join(_kind(one, values) for one in field["anyOf"])
    if "enum" in field:
        return _one_of(field["enum"])
    if field.get("type") == "array":
        return f"list of {_kind(field['items'], values)}"
    return "time" if field.get("format") == "date-time" else str(field.get("type", "any"))


def _one_of(allowed: list[str]) -> str:
    return " / ".join(f"`{value}`" for value in allowed)
