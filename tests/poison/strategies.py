"""Events drawn from the JSON schemas of their classes: what any outsider who reads our description may send."""

import random
import re
from collections.abc import Sequence
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
Known = dict[str, tuple[Any, ...]]
KNOWN: Known = {
    "source": ("shop",), "external_number": NUMBERS, "order_id": tuple(map(oid, NUMBERS)), "sku": ("TEA", "CUP"),
    "barcode": ("TEA", "CUP"), "currency": ("CNY",), "courier": ("sf",), "payment_id": ("p-1", "p-2"),
}  # fmt: skip
"""Values that mean something, by field; drawn as often as any other that fits."""
LONG: dict[str, tuple[str, ...]] = {
    "email": ("x" * 241 + "@shop.example", "王" * 64 + "@" + "例" * 180 + ".example"), "phone": ("1" * 25,)
}  # fmt: skip
"""The longest that a field takes, where it is not a text of any letters."""
ALPHABETS: tuple[Sequence[str], ...] = (
    "abcdefghijklmnopqrstuvwxyz0123456789", "äöüßéñçžłø", [chr(n) for n in range(0x4E00, 0x9FA6)],
    [chr(n) for n in range(0x20000, 0x2A6D7)], [chr(n) for n in range(0x1F300, 0x1F5FF)],
    ("👩\u200d👩\u200d👧", "🏳\ufe0f\u200d🌈", "e\u0301", "ﷺ", "\u202eא", "a ", "ß", "ไ"),
)  # fmt: skip
"""What the longest texts are made of: letters of one to four bytes, and those of several signs."""


def longest(alphabet: Sequence[str], length: int) -> str:
    """A text of this length of which no letter follows from those before it: the database packs it no smaller."""
    return "".join(random.Random(f"{alphabet[0]}{length}").choices(alphabet, k=length))[:length]


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


def events(known: Known | None = None) -> st.SearchStrategy[Event]:
    """Any inbox event; `known` are further values that mean something now."""
    usual, rare = zip(*((events_of(kind, known), longest_of(kind)) for kind in INBOX_EVENTS), strict=True)
    return _seldom(st.one_of(rare), st.one_of(usual))


def events_of(kind: type[Event], known: Known | None = None) -> st.SearchStrategy[Event]:
    """Events of one class."""
    return _valid(kind, Drawing(KNOWN | (known or {})))


def longest_of(kind: type[Event]) -> st.SearchStrategy[Event]:
    """Events of one class of which each text is as long as it may be, in letters of one alphabet: what is made of several, as a
    key is, may be too long only then."""
    return st.one_of([_valid(kind, Drawing({}, letters)) for letters in ALPHABETS])


def _valid(kind: type[Event], drawing: "Drawing") -> st.SearchStrategy[Event]:
    return drawing.of(kind).map(lambda body: _made(kind, body)).filter(bool)  # type: ignore[return-value]


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


class Drawing:
    """Draws what fits schemas; `named` are values that mean something, by field, `letters` what all texts are full of."""

    def __init__(self, named: Known, letters: Sequence[str] = ()) -> None:
        self.named = named
        self.letters = letters
        self.defs: dict[str, Any] = {}

    def of(self, kind: type[Event]) -> st.SearchStrategy[dict[str, Any]]:
        """Bodies of a class of events."""
        schema = kind.model_json_schema()
        self.defs = schema.get("$defs", {})
        return self.value("", schema)

    def value(self, name: str, schema: dict[str, Any]) -> st.SearchStrategy[Any]:
        """What fits a schema, of the field of this name."""
        if ref := schema.get("$ref"):
            return self.value(name, self.defs[ref.rsplit("/", 1)[1]])
        if options := schema.get("anyOf"):
            return st.one_of([self.value(name, o) for o in options])
        if options := schema.get("enum"):
            return st.sampled_from(options)
        match schema["type"]:
            case "object":
                required = set(schema.get("required", ()))
                fields = {field: self._field(field, part) for field, part in schema["properties"].items()}
                return st.fixed_dictionaries(
                    {n: s for n, s in fields.items() if n in required},
                    optional={n: s for n, s in fields.items() if n not in required},
                )
            case "array":
                few, most = schema.get("minItems", 0), schema.get("maxItems", MANY)
                some = st.lists(self.value(name, schema["items"]), min_size=few, max_size=min(most, 3))
                return _seldom(some.map(lambda items: (items * most)[:most]), some)
            case "string":
                return self._text(name, schema)
            case "integer":
                low, high = schema["minimum"], schema["maximum"]
                return st.integers(low, high) | st.integers(low, min(low + 3, high))
            case "boolean":
                return st.booleans()
            case "null":
                return st.none()
        raise AssertionError(schema)

    def _field(self, name: str, schema: dict[str, Any]) -> st.SearchStrategy[Any]:
        drawn = self.value(name, schema)
        return st.sampled_from(self.named[name]) | drawn if name in self.named else drawn

    def _text(self, name: str, schema: dict[str, Any]) -> st.SearchStrategy[str]:
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
        texts = (*LONG.get(name, ()), *(longest(alphabet, high) for alphabet in ALPHABETS))
        fitting = [text for text in texts if re.search(pattern, text)]
        if self.letters:
            fitting = [text for text in (longest(self.letters, high),) if re.search(pattern, text)] or fitting
            return st.sampled_from(fitting) if fitting else usual
        return _seldom(st.sampled_from(fitting), usual) if fitting else usual


def _seldom(rare: st.SearchStrategy[Any], usual: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """The rare one in one of twelve; the usual where it is made simpler."""
    return st.integers(0, 11).flatmap(lambda n: rare if n == 11 else usual)
