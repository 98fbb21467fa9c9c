"""Events drawn from the JSON schemas of their classes: what any outsider who reads our description may send."""

from typing import Any

from hypothesis import strategies as st
from pydantic import ValidationError

from shared.events.base import EVENT_TYPES, Event
from shared.events.inbox import OrderSubmitted
from shared.values import MAX_MINOR
from tests.builders import oid

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
MOMENTS = st.sampled_from(
    [f"2026-0{month}-0{day}T01:00:00Z" for month in (2, 3, 4) for day in (1, 2, 3)]
    + ["2000-01-01T00:00:00Z", "2200-12-31T23:59:59.999999+14:00"]
)


def events(known: dict[str, tuple[Any, ...]] | None = None) -> st.SearchStrategy[Event]:
    """Any inbox event; `known` are further values that mean something now."""
    named = KNOWN | (known or {})
    return st.one_of([_event(kind, named) for kind in INBOX_EVENTS])


def _event(kind: type[Event], named: dict[str, tuple[Any, ...]]) -> st.SearchStrategy[Event]:
    schema = kind.model_json_schema()
    return _value(schema, schema.get("$defs", {}), named).map(lambda body: _made(kind, body)).filter(bool)  # type: ignore[return-value]


def _made(kind: type[Event], body: dict[str, Any]) -> Event | None:
    if kind is OrderSubmitted:
        _add_up(body)
    try:
        return kind.model_validate(body)
    except ValidationError:  # what no schema says: lines numbered twice, a promise before another
        return None


def _add_up(body: dict[str, Any]) -> None:
    """Make the parts small enough, and the total theirs."""
    for number, line in enumerate(body["lines"], 1):
        line |= {"line": number, "unit_price": line["unit_price"] % 10**7}
    goods = sum(line["quantity"] * line["unit_price"] for line in body["lines"])
    fees: dict[str, Any] = {
        name: body[name] % 10**6 for name in ("delivery_fee", "cod_fee", "discount") if name in body
    }
    body |= fees
    total = goods + fees.get("delivery_fee", 0) + fees.get("cod_fee", 0) - fees.get("discount", 0)
    body["total"] = min(max(total, 0), MAX_MINOR)


def _value(
    schema: dict[str, Any], defs: dict[str, Any], named: dict[str, tuple[Any, ...]]
) -> st.SearchStrategy[Any]:
    if ref := schema.get("$ref"):
        return _value(defs[ref.rsplit("/", 1)[1]], defs, named)
    if options := schema.get("anyOf"):
        return st.one_of([_value(o, defs, named) for o in options])
    if options := schema.get("enum"):
        return st.sampled_from(options)
    match schema["type"]:
        case "object":
            required = set(schema.get("required", ()))
            fields = {name: _field(name, part, defs, named) for name, part in schema["properties"].items()}
            return st.fixed_dictionaries(
                {n: s for n, s in fields.items() if n in required},
                optional={n: s for n, s in fields.items() if n not in required},
            )
        case "array":
            most = min(schema.get("maxItems", 3), 3)
            return st.lists(
                _value(schema["items"], defs, named), min_size=schema.get("minItems", 0), max_size=most
            )
        case "string":
            return _text(schema)
        case "integer":
            low, high = schema["minimum"], schema["maximum"]
            return st.integers(low, high) | st.integers(low, min(low + 3, high))
        case "boolean":
            return st.booleans()
        case "null":
            return st.none()
    raise AssertionError(schema)


def _field(
    name: str, schema: dict[str, Any], defs: dict[str, Any], named: dict[str, tuple[Any, ...]]
) -> st.SearchStrategy[Any]:
    drawn = _value(schema, defs, named)
    return st.sampled_from(named[name]) | drawn if name in named else drawn


def _text(schema: dict[str, Any]) -> st.SearchStrategy[str]:
    if schema.get("format") == "date-time":
        return MOMENTS
    low, high = schema.get("minLength", 0), schema.get("maxLength", 30)
    if pattern := schema.get("pattern"):
        drawn = st.from_regex(pattern.replace("$", r"\Z"), fullmatch=True)
        return drawn.filter(lambda text: low <= len(text) <= high)
    letters = st.characters(exclude_categories=("Cs", "Cc"))
    return st.text(letters, min_size=low, max_size=min(high, 30))
