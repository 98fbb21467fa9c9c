"""Events are promises to other systems (X3): within v1 only optional fields may be added."""

import json
import re
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from deploy.docs.contracts import schema
from deploy.docs.examples import examples
from deploy.docs.system import EVENTS
from shared.events.base import Event
from tests.contracts.compare import incompatible

GOLDEN = Path(__file__).parent / "golden"
EACH = [pytest.param(event, id=name) for name, event in EVENTS.items()]


@pytest.mark.requirement("X3")
@pytest.mark.parametrize("event", EACH)
def test_an_event_keeps_what_it_promised(event: type[Event]) -> None:
    name = event.wire_type
    file = GOLDEN / f"{name}.json"
    assert file.exists(), f"{name} is new: run `handover docs --accept-schemas` and commit its golden schema"
    old, new = json.loads(file.read_text(encoding="utf-8")), json.loads(json.dumps(schema(event)))
    assert incompatible(old, new, inbox=".inbox." in name) == [], f"{name}: make a v2 beside it instead"
    assert old == new, f"{name} changed compatibly: run `handover docs --accept-schemas` and commit"


@pytest.mark.requirement("X3")
def test_no_event_that_was_promised_is_gone() -> None:
    assert {f.stem for f in GOLDEN.glob("*.json")} <= EVENTS.keys()


OLD: dict[str, Any] = {
    "type": "object",
    "required": ["id", "color"],
    "properties": {
        "id": {"type": "string", "maxLength": 100},
        "color": {"$ref": "#/$defs/Color"},
        "price": {"anyOf": [{"type": "integer"}, {"type": "null"}], "default": None},
        "lines": {"type": "array", "items": {"$ref": "#/$defs/Line"}},
    },
    "$defs": {
        "Color": {"type": "string", "enum": ["red", "green"]},
        "Line": {"type": "object", "required": ["sku"], "properties": {"sku": {"type": "string"}, "note": {"type": "string"}}},
    },
}  # fmt: skip


def changed(path: str, value: Any = None) -> dict[str, Any]:
    """OLD with one place set to a value, or removed when the value is None."""
    new = deepcopy(OLD)
    *way, last = path.split("/")
    place = new
    for step in way:
        place = place[step]
    if value is None:
        del place[last]
    else:
        place[last] = value
    return new


@pytest.mark.requirement("X3")
@pytest.mark.parametrize("inbox", [True, False])
@pytest.mark.parametrize(
    ("new", "found"),
    [
        (changed("properties/price"), "price was removed"),
        (changed("properties/id", {"type": "integer"}), "id changed from string to integer"),
        (changed("properties/id", {"type": "string", "format": "uuid"}), "id changed from string to string (uuid)"),
        (changed("properties/price", {"type": "integer"}), "price changed from one of several to integer"),
        (changed("required", ["id", "color", "price"]), "price became required"),
        (changed("$defs/Color/enum", ["red"]), "color lost the value green"),
        (changed("properties/color", {"type": "string", "enum": ["green"]}), "color lost the value red"),
        (changed("$defs/Line/properties/note"), "lines[].note was removed"),
        (changed("$defs/Line/required", ["sku", "note"]), "lines[].note became required"),
        (changed("$defs/Line/properties/sku", {"type": "integer"}), "lines[].sku changed from string to integer"),
    ],
)  # fmt: skip
def test_an_incompatible_change_is_found(new: dict[str, Any], found: str, inbox: bool) -> None:
    assert found in incompatible(OLD, new, inbox=inbox)


@pytest.mark.requirement("X3")
def test_a_new_required_field_is_found() -> None:
    new = changed("properties/extra", {"type": "string"}) | {"required": ["id", "color", "extra"]}
    assert incompatible(OLD, new, inbox=True) == ["extra is new and required"]


@pytest.mark.requirement("X3")
def test_an_inbox_never_takes_less_than_it_took() -> None:
    shorter = changed("properties/id/maxLength", 50)
    assert incompatible(OLD, shorter, inbox=True) == ["id has a lower maxLength: 50"]
    assert incompatible(OLD, shorter, inbox=False) == []
    patterned = changed("properties/id/pattern", "^x")
    assert incompatible(OLD, patterned, inbox=True) == ["id must match another pattern"]
    never_null = changed("properties/price/anyOf", [{"type": "integer"}])
    assert incompatible(OLD, never_null, inbox=True) == ["price may no longer be null"]
    assert incompatible(OLD, changed("properties/price/default", 7), inbox=True) == [
        "price means something else when it is left out"
    ]


@pytest.mark.requirement("X3")
def test_what_we_say_never_holds_less_than_it_held() -> None:
    optional = changed("required", ["id"])
    assert incompatible(OLD, optional, inbox=False) == ["color is no longer always there"]
    assert incompatible(OLD, optional, inbox=True) == []
    text_too = changed("properties/price/anyOf", [{"type": "integer"}, {"type": "null"}, {"type": "string"}])
    assert incompatible(OLD, text_too, inbox=False) == ["price may now be string"]
    assert incompatible(OLD, text_too, inbox=True) == []


@pytest.mark.requirement("X3")
@pytest.mark.parametrize("inbox", [True, False])
def test_what_is_added_and_may_be_left_out_is_compatible(inbox: bool) -> None:
    assert (
        incompatible(OLD, changed("properties/extra", {"type": "string", "default": ""}), inbox=inbox) == []
    )
    assert incompatible(OLD, changed("$defs/Color/enum", ["red", "green", "blue"]), inbox=inbox) == []
    assert incompatible(OLD, changed("properties/id/maxLength", 200), inbox=inbox) == []


@pytest.mark.parametrize("event", EACH)
def test_every_event_says_when_it_is_sent(event: type[Event]) -> None:
    assert event.__doc__


@pytest.mark.requirement("X3")
@pytest.mark.parametrize("name", EVENTS)
def test_a_wire_name_carries_its_version(name: str) -> None:
    assert re.search(r"\.v[1-9]\d*$", name)


@pytest.mark.requirement("X3")
@pytest.mark.parametrize("name", examples())
def test_an_event_is_written_as_pydantic_says(name: str) -> None:
    event = EVENTS[name].model_validate_json(json.dumps(examples()[name]["data"]))
    assert event.dumped() == event.model_dump_json()
    assert event.dumped({"personal"}) == event.model_dump_json(exclude={"personal"})
