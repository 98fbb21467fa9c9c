"""What is wrong with a message from outside, in words for whoever sent it and without its values (X4)."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from shared.values import CODE, COUNTRY, CURRENCY, EMAIL, PHONE

_SPELLED = {
    CODE: "only letters, digits and . : @ / + - _ without spaces; the first is a letter, a digit or _",
    CURRENCY: "must be three capital letters (ISO 4217)",
    COUNTRY: "must be two capital letters (ISO 3166)",
    PHONE: "must be a phone number of 5 to 25 digits, blanks and -",
    EMAIL: "must be an e-mail address",
}
"""Patterns in words; one that is not here is told as it is."""

_RULES: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "missing": lambda limit: "is missing",
    "extra_forbidden": lambda limit: "is no field of this message; look at its spelling",
    "string_type": lambda limit: "must be text",
    "string_pattern_mismatch": lambda limit: _SPELLED.get(limit["pattern"], f"must fit {limit['pattern']}"),
    "string_too_short": lambda limit: _at_least(limit["min_length"], "character"),
    "string_too_long": lambda limit: f"must have at most {limit['max_length']} characters",
    "too_short": lambda limit: _at_least(limit["min_length"], "item"),
    "too_long": lambda limit: f"must have at most {limit['max_length']} items",
    "greater_than_equal": lambda limit: f"must be {limit['ge']} or more",
    "less_than_equal": lambda limit: f"must be {limit['le']} or less",
    "int_type": lambda limit: "must be a whole number",
    "int_parsing": lambda limit: "must be a whole number",
    "int_from_float": lambda limit: "must be a whole number",
    "time_delta_parsing": lambda limit: "must be an ISO 8601 duration, such as PT30M or P3D",
    "dict_type": lambda limit: "must be a JSON object",
    "model_attributes_type": lambda limit: "must be a JSON object",
    "model_type": lambda limit: "must be a JSON object",
    "union_tag_not_found": lambda limit: "is missing",
    "union_tag_invalid": lambda limit: f"must be {' or '.join(limit['expected_tags'].split(', '))}",
    "enum": lambda limit: f"must be {limit['expected']}",
    "literal_error": lambda limit: f"must be {limit['expected']}",
}
"""Pydantic's types of error that people meet, as people say them; `limit` is what the rule allows."""


def _at_least(n: int, what: str) -> str:
    return "must not be empty" if n == 1 else f"must have at least {n} {what}s"


def rule_of(error: Mapping[str, Any]) -> str:
    """The rule that one of pydantic's errors broke, never with the value."""
    rule = _RULES.get(error["type"])
    if rule is not None:
        return rule(error.get("ctx", {}))
    return plain(error["msg"].removeprefix("Value error, ").replace("Input should ", "must "), 200)


def fields_of(error: ValueError) -> str:
    """Where a validation failed and by which rule, without the values (X4)."""
    errors = getattr(error, "errors", None)
    if errors is None:
        return type(error).__name__
    found = told(errors(include_url=False, include_input=False))
    return "; ".join(f"{place_of(e['loc']) or 'body'}: {rule_of(e)}" for e in found[:5])


def told(found: Sequence[Any]) -> list[Any]:
    """The errors that people are told: a list whose items are wrong is called too short besides, for they were not counted."""
    places = [e["loc"] for e in found]
    return [e for e in found if e["type"] != "too_short" or not any(_inside(p, e["loc"]) for p in places)]


def _inside(place: tuple[Any, ...], outer: tuple[Any, ...]) -> bool:
    return len(place) > len(outer) and place[: len(outer)] == outer


def place_of(parts: Iterable[Any]) -> str:
    """The field where a validation failed. Its sender may have made up the name: what comes back, and is stored, is short and
    printable."""
    return ".".join(plain(str(part)) for part in parts)


def plain(text: str, longest: int = 60) -> str:
    """Text from outside as an answer may repeat it: cut, without line ends, control characters or halves of letters."""
    shown = text if len(text) <= longest else text[: longest - 1] + "…"
    return shown if shown.isprintable() else "".join(c if c.isprintable() else "?" for c in shown)
