"""Events drawn from the JSON schemas of their classes: what any outsider who reads our description may send."""

import re
from typing import Any

from hypothesis import strategies as st
from pydantic import ValidationError

from shared.events.base import EVENT_TYPES, Event
from shared.events.inbox import OrderSubmitted
from shared.runtime.inbox import LARGEST
from shared.values import CODE, MAX_MINOR, TOLD_CODE
from tests.builders import oid
from tests.poison.people import NAMES

INBOX_EVENTS = tuple(
    sorted((e for name, e in EVENT_TYPES.items() if ".inbox." in name), key=lambda e: e.wire_type)
)
NUMBERS = ("T-1", "T-2", "T-3")
"""Orders that there are, and one that there is not: what is drawn from so few meets what was sent before."""
KNOWN: dict[str, tuple[Any, ...]] = {
    "source": ("shop",), "external_number": NUMBERS, "order_id": tuple(map(oid, NUMBERS)), "sku": ("TEA", "CUP"),
    "barcode": ("TEA", "CUP"), "currency": ("CNY",), "courier": ("sf",), "payment_id": ("p-1", "p-2"),
}  # fmt: skip
"""Values that mean something, by field; drawn as often as any other that fits."""
LONG: dict[str, tuple[str, ...]] = {
    "email": ("x" * 241 + "@shop.example", "王" * 64 + "@" + "例" * 180 + ".example"), "phone": ("1" * 25,)
}  # fmt: skip
"""The longest that a field takes, where it is not a text of any letters."""
REPEATED = ("x", "王", "😀", "ﷺ", "𠮷", "e\u0301", "👩‍👩‍👧", "\u202eא", "a b", "ß")
"""What texts of the greatest length are made of: letters of one to four bytes."""
LETTERS = st.characters(
    exclude_categories=["Cs"], exclude_characters=[*({*map(chr, range(32))} - {*"\n\t"}), "\x7f"]
)
"""What may stand in a text that a person writes: line breaks too, and the control characters of ISO 8859."""
READ = st.characters(exclude_categories=["Cs", "Cc"], include_characters="\x1d")
"""What a scanner may read."""
SCANNED = ("barcode", "sku")
POSTCODE = r"^[\w\- ]*$"
"""What schemas do not tell."""
MOMENTS = st.sampled_from(
    [f"2026-0{month}-0{day}T01:00:00Z" for month in (2, 3, 4) for day in (1, 2, 3)]
    + ["2000-01-01T00:00:00Z", "2200-12-31T23:59:59.999999+14:00"]
)
SHORT, MANY = 30, 1000
"""Characters of most texts; items of the longest lists, where their schema does not say."""


def events(known: dict[str, tuple[Any, ...]] | None = None) -> st.SearchStrategy[Event]:
    """Any inbox event; `known` are further values that mean something now."""
    named = KNOWN | (known or {})
    return st.one_of([_event(kind, named) for kind in INBOX_EVENTS])


def _event(kind: type[Event], named: dict[str, tuple[Any, ...]]) -> st.SearchStrategy[Event]:
    schema = kind.model_json_schema()
    return (
        _value("", schema, schema.get("$defs", {}), named).map(lambda body: _made(kind, body)).filter(bool)  # type: ignore[return-value]
    )


def _made(kind: type[Event], body: dict[str, Any]) -> Event | None:
    if kind is OrderSubmitted:
        _add_up(body)
    try:
        event = kind.model_validate(body)
    except ValidationError:  # what no schema says: a name of blanks alone, a promise before another
        return None
    return event if len(event.model_dump_json().encode()) <= LARGEST else None


def _add_up(body: dict[str, Any]) -> None:
    """Number the lines, make the parts small enough, and the total theirs."""
    body["lines"] = [dict(line) for line in body["lines"]]  # of a long list many are one and the same
    dearest = MAX_MINOR // 200_000 // len(body["lines"])
    for number, line in enumerate(body["lines"], 1):
        line |= {"line": number, "unit_price": line["unit_price"] % dearest}
    total = sum(line["quantity"] * line["unit_price"] for line in body["lines"])
    for name in body.keys() & {"delivery_fee", "cod_fee"}:
        body[name] %= 10**6
        total += body[name]
    if "discount" in body:
        body["discount"] %= total + 1
        total -= body["discount"]
    body["total"] = total


def _value(
    name: str, schema: dict[str, Any], defs: dict[str, Any], named: dict[str, tuple[Any, ...]]
) -> st.SearchStrategy[Any]:
    """What fits a schema, of the field of this name."""
    if ref := schema.get("$ref"):
        return _value(name, defs[ref.rsplit("/", 1)[1]], defs, named)
    if options := schema.get("anyOf"):
        return st.one_of([_value(name, o, defs, named) for o in options])
    if options := schema.get("enum"):
        return st.sampled_from(options)
    match schema["type"]:
        case "object":
            required = set(schema.get("required", ()))
            fields = {field: _field(field, part, defs, named) for field, part in schema["properties"].items()}
            return st.fixed_dictionaries(
                {n: s for n, s in fields.items() if n in required},
                optional={n: s for n, s in fields.items() if n not in required},
            )
        case "array":
            few, most = schema.get("minItems", 0), schema.get("maxItems", MANY)
            some = st.lists(_value(name, schema["items"], defs, named), min_size=few, max_size=min(most, 3))
            return _seldom(some.map(lambda items: (items * most)[:most]), some)
        case "string":
            return _text(name, schema)
        case "integer":
            low, high = schema["minimum"], schema["maximum"]
            return st.integers(low, high) | st.integers(low, min(low + 3, high))
        case "boolean":
            return st.booleans()
        case "null":
            return st.none()
    raise AssertionError(schema)


def _seldom(rare: st.SearchStrategy[Any], usual: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """The rare one in one of twelve; the usual where it is made simpler."""
    return st.integers(0, 11).flatmap(lambda n: rare if n == 11 else usual)


def _field(
    name: str, schema: dict[str, Any], defs: dict[str, Any], named: dict[str, tuple[Any, ...]]
) -> st.SearchStrategy[Any]:
    drawn = _value(name, schema, defs, named)
    return st.sampled_from(named[name]) | drawn if name in named else drawn


def _text(name: str, schema: dict[str, Any]) -> st.SearchStrategy[str]:
    if schema.get("format") == "date-time":
        return MOMENTS
    low, high = schema.get("minLength", 0), schema.get("maxLength", SHORT)
    # schemas tell the pattern of codes in words that all validators know; Python's own draws letters alone
    pattern = POSTCODE if name == "postcode" else schema.get("pattern", "").replace(TOLD_CODE, CODE)
    if pattern:
        drawn = st.from_regex(pattern.replace("$", r"\Z"), fullmatch=True)
        usual = drawn.filter(lambda text: low <= len(text) <= high)
    else:
        scanned = name in SCANNED
        people = [n for n in NAMES if len(n) <= high and (n.isprintable() or not scanned)]
        drawn = st.text(READ if scanned else LETTERS, min_size=low, max_size=min(high, SHORT))
        usual = drawn | st.sampled_from(people)
    longest = (*LONG.get(name, ()), *((letters * high)[:high] for letters in REPEATED))
    fitting = [text for text in longest if re.search(pattern, text)]
    return _seldom(st.sampled_from(fitting), usual) if fitting else usual
