"""The JSON schema of an event as other systems are told it: with what each field says, and open where we may add to it (X3)."""

import ast
import inspect
from functools import cache
from itertools import pairwise
from typing import Any

from pydantic import BaseModel

from deploy.docs.words import WORDS
from shared.events.base import Event, is_inbox
from shared.values import Value


def published(event: type[Event], ref_template: str = "#/$defs/{model}") -> dict[str, Any]:
    """The schema of an event's data. What others write may hold nothing else; what we write may hold more within its version.

    Raises KeyError for a field of which nothing is said, neither under it nor in `words.py`.
    """
    schema = event.model_json_schema(ref_template=ref_template)
    models: dict[str, type[BaseModel]] = {event.__name__: event, **_values()}
    for name, part in ({event.__name__: schema} | schema.get("$defs", {})).items():
        if name not in models:
            continue
        if not is_inbox(event.wire_type):
            del part["additionalProperties"]
        meanings = WORDS | _meanings(models[name])
        for field, said in part["properties"].items():
            said["description"] = meanings[field]
    return schema


@cache
def _values() -> dict[str, type[Value]]:
    """All values that events hold, by name."""
    found, todo = dict[str, type[Value]](), list(Value.__subclasses__())
    while todo:
        value = todo.pop()
        found[value.__name__] = value
        todo += value.__subclasses__()
    return found


@cache
def _meanings(model: type[BaseModel]) -> dict[str, str]:
    """What stands under each field of a class and of those it is made from. Read here, and not by pydantic when a service starts:
    that costs each of them the source of all events."""
    meanings: dict[str, str] = {}
    for base in reversed(model.__mro__):
        if base is not BaseModel and issubclass(base, BaseModel):
            (of_class,) = ast.parse(inspect.getsource(base)).body
            assert isinstance(of_class, ast.ClassDef)
            meanings |= {
                field.target.id: " ".join(below.value.value.split())
                for field, below in pairwise(of_class.body)
                if isinstance(field, ast.AnnAssign)
                and isinstance(field.target, ast.Name)
                and isinstance(below, ast.Expr)
                and isinstance(below.value, ast.Constant)
                and isinstance(below.value.value, str)
            }
    return meanings
