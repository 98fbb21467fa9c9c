"""Events are promises to other systems (X3): within v1 only optional fields may be added."""

import inspect
import json
from pathlib import Path
from typing import Any

import pytest

from deploy.docs.contracts import schema
from deploy.docs.system import lifecycles
from shared.events.base import EVENT_TYPES, Event

GOLDEN = Path(__file__).parent / "golden"


def incompatible(old: dict[str, Any], new: dict[str, Any], where: str = "") -> list[str]:
    """What a reader or writer of the old schema would stumble over in the new one."""
    found = []
    for name, was in old.get("properties", {}).items():
        now = new.get("properties", {}).get(name)
        if now is None:
            found.append(f"{where}{name} was removed")
        else:
            found += _changed(was, now, f"{where}{name}")
    found += [
        f"{where}{name} became required"
        for name in new.get("required", [])
        if name not in old.get("required", [])
    ]
    found += [
        f"{where}{name} is no longer always there"
        for name in old.get("required", [])
        if name not in new.get("required", [])
    ]
    for name, was in old.get("$defs", {}).items():
        if (now := new.get("$defs", {}).get(name)) is not None:
            if "enum" in was:
                found += [
                    f"{where}{name} lost {value}" for value in was["enum"] if value not in now.get("enum", [])
                ]
            found += incompatible(was, now, f"{where}{name}.")
    return found


def _changed(was: dict[str, Any], now: dict[str, Any], where: str) -> list[str]:
    kinds = ("type", "$ref", "anyOf", "items", "format", "prefixItems")
    return [f"{where} changed its {kind}" for kind in kinds if was.get(kind) != now.get(kind)]


@pytest.mark.requirement("X3")
@pytest.mark.parametrize("name", sorted(EVENT_TYPES))
def test_an_event_keeps_what_it_promised(name: str) -> None:
    file = GOLDEN / f"{name}.json"
    assert file.exists(), f"{name} is new: run `handover docs --accept-schemas` and commit its golden schema"
    old, new = json.loads(file.read_text()), json.loads(json.dumps(schema(EVENT_TYPES[name])))
    assert incompatible(old, new) == [], f"{name}: make a v2 beside it instead"
    assert old == new, f"{name} changed compatibly: run `handover docs --accept-schemas` and commit"


@pytest.mark.requirement("X3")
def test_no_event_that_was_promised_is_gone() -> None:
    assert {f.stem for f in GOLDEN.glob("*.json")} <= EVENT_TYPES.keys()


@pytest.mark.requirement("X3")
def test_an_incompatible_change_is_found() -> None:
    old = {"properties": {"a": {"type": "string"}, "b": {"type": "integer"}}, "required": ["a"]}
    assert incompatible(old, {"properties": {"a": {"type": "string"}}, "required": ["a"]}) == [
        "b was removed"
    ]
    changed = {"properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}, "required": ["a", "b"]}
    assert incompatible(old, changed) == ["a changed its type", "b became required"]
    properties = {"a": {"type": "string"}, "b": {"type": "integer"}, "c": {"type": "string"}}
    added = {"properties": properties, "required": ["a"]}
    assert incompatible(old, added) == []


@pytest.mark.parametrize("event", [event for _, event in sorted(EVENT_TYPES.items())])
def test_every_event_says_when_it_is_sent(event: type[Event]) -> None:
    assert inspect.getdoc(event) not in (None, inspect.getdoc(Event))
    assert event.wire_type.endswith(".v1")


def test_no_lifecycle_cell_both_moves_and_is_overtaken() -> None:
    assert len(lifecycles()) >= 5
    for _, lifecycle in lifecycles():
        states = lifecycle.states.__members__.values()
        assert not lifecycle.overtaken & lifecycle.moves.keys()
        assert all(before in states and after in states for (before, _), after in lifecycle.moves.items())
