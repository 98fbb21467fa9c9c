"""Bodies that no edge may take: made of a good one, whatever event it belongs to."""

import gzip
import json
import random
import zlib
from collections.abc import Iterator
from typing import Any

DEEP = 100_000
"""Levels of nesting: far beyond every parser's stack."""
HUGE = 10_000_000
"""Bytes: ten times what Kafka lets through unless it is told otherwise."""
NAME = "王芳 13800138000"
"""What must never be found in a log: it stands in bodies, field names, ids and headers."""
CANARY = "kolibri"
"""Neither must this: a word that stands in every body that has room for one."""

Body = tuple[str, bytes | None, str]
"""Name of the case, the body, the field that its refusal names."""


def carries(body: bytes) -> bool:
    """True when the canary stands in it, in UTF-16 too."""
    return CANARY.encode() in body.replace(b"\0", b"")


def numbered(body: bytes | None, number: int) -> bytes | None:
    """The body with a number to its canary, so that what is found in a log says whose it is."""
    return body and body.replace(CANARY.encode(), f"{CANARY}{number}".encode())


def with_field(good: dict[str, Any], name: str, value: str) -> bytes:
    """The good body with one more field, whose value is written as it stands."""
    return json.dumps(good, ensure_ascii=False).encode()[:-1] + f", {json.dumps(name)}: {value}}}".encode()


def not_json(good: dict[str, Any]) -> Iterator[Body]:
    """What is no JSON, or no JSON object."""
    text = json.dumps(good, ensure_ascii=False)
    raw = text.encode()
    noise, word = random.Random(7).randbytes(2000), CANARY.encode()
    for name, body in {
        "nothing": b"", "a tombstone": None, "null": b"null", "a list": b"[]", "a list of one": b'["%b"]' % word, "a number": b"1",
        "true": b"true", "a text": b'"%b"' % word, "JSON in a text": json.dumps(text).encode(), "a list of it": b"[" + raw + b"]",
        "cut off": raw[:-2], "cut off in a text": raw[: raw.rindex(b'"')], "two of it": raw + raw, "a bit more": raw + b"x",
        "JSON lines": raw + b"\n" + raw, "UTF-16": text.encode("utf-16"), "UTF-16 without mark": text.encode("utf-16-le"),
        "UTF-32": text.encode("utf-32"), "UTF-8 with mark": b"\xef\xbb\xbf" + raw,
        "gzip": gzip.compress(raw), "zlib": zlib.compress(raw), "noise": noise + word, "zeros": bytes(2000), "a word among zeros": bytes(9) + word + bytes(9), "a zero at its end": raw + b"\0",
        "single quotes": raw.replace(b'"', b"'"), "a comment": b"/* order */" + raw, "a comma too many": raw[:-1] + b",}",
        "no quotes": raw.replace(b'"', b""), "XML": b"<order><number>%b</number></order>" % word,
        "a form": b"source=shop&number=%b" % word, "YAML": b"source: shop\nnumber: %b\n" % word, "Avro": b"\x00\x00\x00\x00\x01" + raw, "a deep list": b"[" * DEEP + b'"%b"' % word,
        "deep objects": b'{"a":' * DEEP + b'"%b"' % word, "HTML": b"<html><body>502 Bad Gateway %b</body></html>" % word,
        "blanks": b" " * 5000,
    }.items():  # fmt: skip
        yield name, body, "data"


def bad_inside(good: dict[str, Any]) -> Iterator[Body]:
    """Objects that cannot be of the type that they say they are, whichever type it is."""
    raw = json.dumps(good, ensure_ascii=False).encode()
    latin = raw[:-1] + b', "town": "M\xfcnchen"}'
    chinese = raw[:-1] + b', "town": "' + "杭州".encode("gbk") + b'"}'
    many = json.dumps({f"f{n}": CANARY if n == 0 else n for n in range(10_000)}).encode()
    yield "latin-1", latin, "data"
    yield "GBK", chinese, "data"
    yield "overlong UTF-8", raw[:-1] + b', "town": "\xc0\xaf"}', "data"
    yield "half a surrogate", with_field(good, "town", '"\\ud800"'), "data"
    yield "a newline in a text", with_field(good, "town", '"a\nb"'), "data"
    yield "a bad escape", with_field(good, "town", '"\\x41"'), "data"
    yield "an unknown field", with_field(good, "amuont", "1"), "amuont"
    yield "an unknown field named like a buyer", with_field(good, NAME, f'"{NAME}"'), NAME
    yield "an unknown field with a zero in its name", with_field(good, "a\0b", "1"), "a?b"
    yield "an unknown field with a line in its name", with_field(good, "a\nb", "1"), "a?b"
    yield "an unknown field of right-to-left letters", with_field(good, "שלום\u202e", "1"), "שלום?"
    yield "an unknown field without a name", with_field(good, "", "1"), "data"
    yield "a very long name of a field", with_field(good, "n" * 300_000, "1"), "n" * 59 + "…"
    yield "a prototype", with_field(good, "__proto__", '{"role": "administrator"}'), "__proto__"
    yield "NaN", with_field(good, "weight", "NaN"), "weight"
    yield "Infinity", with_field(good, "weight", "-Infinity"), "weight"
    yield "a huge number", with_field(good, "weight", "9" * 100_000), "data"
    yield "a number of many noughts", with_field(good, "weight", "1e400"), "weight"
    yield "a deep list in a field", with_field(good, "lines2", "[" * DEEP + "]" * DEEP), "data"
    yield "300 levels in a field", with_field(good, "lines2", "[" * 300 + "]" * 300), "data"
    yield "150 levels in a field", with_field(good, "lines2", "[" * 150 + "]" * 150), "lines2"
    yield "an empty object", b"{}", next(iter(good))
    yield "10,000 unknown fields", many, next(iter(good))
    yield (
        "an event in a structured envelope",
        json.dumps({"specversion": "1.0", "data": good}).encode(),
        next(iter(good)),
    )
    yield (
        "its fields in capitals",
        json.dumps({k.upper(): v for k, v in good.items()}).encode(),
        next(iter(good)),
    )
    yield "ten megabytes", with_field(good, "photo", json.dumps("x" * HUGE)), "data"
    yield "ten megabytes of blanks", raw + b" " * HUGE, "data"


def nulled(good: dict[str, Any], required: set[str]) -> Iterator[Body]:
    """Each field null; each field that must be there missing."""
    for name in good:
        yield f"{name} is null", json.dumps(good | {name: None}).encode(), name
        if name in required:
            yield (
                f"{name} is missing",
                json.dumps({k: v for k, v in good.items() if k != name}).encode(),
                name,
            )
