"""Records that stand in an inbox and must be refused there: bad headers, bad tokens, bad bodies, bad values."""

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import count, cycle
from typing import Any

from deploy.embedded.keys import Keys
from shared.events.base import EVENT_TYPES
from tests.builders import paid
from tests.poison.bodies import NAME, bad_inside, not_json, nulled
from tests.poison.forged import forged
from tests.poison.inboxes import ORDERS, TRACKING, Inbox
from tests.poison.reused import taken, twins

Headers = list[tuple[str, Any]]
NOISE = "".join(random.Random(3).choices("abcdefghijklmnopqrstuvwxyz0123456789", k=20_000))
"""Too long for an index of PostgreSQL, however well it is packed."""
KEYS = (b"venom", None, b"", b"order/shop good-1", b"\xff\xfe\0", "😀".encode(), b"k" * 20_000)
"""A record's key: none, an empty one, that of another stream, one that is no text, a very long one."""


@dataclass(frozen=True)
class Bad:
    """A record and its stated answer: the refusal's code, and the field that it names."""

    name: str
    topic: str
    headers: Headers
    body: bytes | None
    code: str
    field: str | None
    key: bytes | None = b"venom"

    def __str__(self) -> str:
        return f"{self.topic}: {self.name}"


def headers(inbox: Inbox, token: str, id: str, **changes: Any) -> Headers:
    """What a good record has, with changes; None leaves one out."""
    usual: dict[str, Any] = {
        "content-type": b"application/json", "ce_specversion": b"1.0", "ce_id": id.encode(), "ce_source": b"shop",
        "ce_type": inbox.event.wire_type.encode(), "authorization": f"Bearer {token}".encode(),
    }  # fmt: skip
    return [(name, value) for name, value in (usual | changes).items() if value is not None]


def bad_headers(inbox: Inbox, token: str) -> Iterator[tuple[str, Headers, str, str | None]]:
    """(name, headers, code, field) of envelopes that cannot be read."""

    ids = count()

    def made(**changes: Any) -> Headers:
        return headers(inbox, token, f"{inbox.topic} header {next(ids)}", **changes)

    for name in ("ce_id", "ce_source", "ce_type"):
        field = name[3:]
        yield f"no {name}", made(**{name: None}), "malformed", field
        for value in (
            b"",
            b" " * 3 + b"\t",
            b"x" * 201,
            b"a\nb",
            b"a\x7fb",
            "a\u202eb".encode(),
            "a\u2028b".encode(),
        ):
            yield f"{name} {value[:8]!r}", made(**{name: value}), "malformed", field
        for value in (b"\xff\xfe", "é".encode("utf-16"), b"a\x00b", b"\xc0\xaf", b"\xed\xa0\x80"):
            yield f"{name} {value!r}", made(**{name: value}), "malformed", "headers"
        yield f"{name} null", [h for h in made() if h[0] != name] + [(name, None)], "malformed", "headers"
        yield f"{name} twice", [*made(), (name, b"other")], "malformed", "headers"
    yield "a source with a blank", made(ce_source=b"my shop"), "malformed", "source"
    for version in (b"0.3", b"2.0", b"", b"1", b"one"):
        yield f"version {version!r} of CloudEvents", made(ce_specversion=version), "malformed", "specversion"
    for value in (b"", b"x" * 201, b"a\nb"):
        yield f"correlation {value[:8]!r}", made(ce_correlationid=value), "malformed", "correlationid"
    yield "no headers at all", [], "token_missing", "authorization"
    yield "no token", made(authorization=None), "token_missing", "authorization"
    yield "an empty token", made(authorization=b""), "token_missing", "authorization"
    yield "a binary token", made(authorization=b"Bearer \xff\xfe"), "malformed", "headers"
    yield "two tokens", [*made(), ("authorization", b"Bearer x")], "malformed", "headers"
    yield (
        "no token, and an id beyond every index",
        made(authorization=None, ce_id=NOISE.encode()),
        "token_missing",
        "authorization",
    )
    yield (
        "no token, and an id of blanks",
        made(authorization=None, ce_id=b" \n "),
        "token_missing",
        "authorization",
    )
    yield "a null header of somebody else", [*made(), ("x-trace", None)], "malformed", "headers"
    yield "a binary header of somebody else", [*made(), ("x-trace", b"\x80\x81")], "malformed", "headers"
    yield "a zero in the name of a header", [*made(), ("x\0y", b"1")], "malformed", "headers"
    others = [t for t in EVENT_TYPES if not t.startswith(inbox.topic)]
    for name in (
        "orders.inbox.wish.v1", inbox.event.wire_type.upper(), inbox.event.wire_type[:-1] + "2", inbox.event.wire_type + ".v1",
        inbox.event.wire_type.removesuffix(".v1"), "order", "<script>", "'; DROP TABLE inbox; --", "__class__", "x" * 200,
        next(t for t in others if ".inbox." in t), next(t for t in others if ".inbox." not in t),
    ):  # fmt: skip
        yield f"type {name[:40]}", made(ce_type=name.encode()), "unknown_type", "type"


def poison(inbox: Inbox, keys: Keys, token: str) -> Iterator[Bad]:
    """All that is sent to one inbox, under any key: the answer has nothing to do with that."""
    for bad, key in zip(_poison(inbox, keys, token), cycle(KEYS)):
        yield replace(bad, key=key)


def _poison(inbox: Inbox, keys: Keys, token: str) -> Iterator[Bad]:
    good = json.dumps(inbox.good, ensure_ascii=False).encode()
    for name, made, code, field in bad_headers(inbox, token):
        yield Bad(name, inbox.topic, made, good, code, field)
    for name, value, code in forged(keys, inbox.sender):
        made = headers(inbox, token, f"{inbox.topic} token {name}", authorization=value.encode())
        yield Bad(
            f"token: {name}",
            inbox.topic,
            made,
            good,
            code,
            "authorization",
        )
    bodies = [*not_json(inbox.good), *bad_inside(inbox.good), *nulled(inbox.good, inbox.required)]
    for n, (name, body, field) in enumerate([*bodies, *values(inbox)]):
        large = body is not None and len(body) > 512 * 1024
        code, field = ("too_large", "data") if large else ("invalid", field)
        yield Bad(name, inbox.topic, headers(inbox, token, f"{inbox.topic} {n}"), body, code, field)
    named = headers(inbox, token, f"{inbox.topic} {NAME}")
    yield Bad("a buyer for an id", inbox.topic, named, b"{}", "invalid", next(iter(inbox.good)))
    for twin in twins(inbox):
        made = headers(inbox, token, twin.id, ce_type=twin.type.encode())
        yield Bad(f"the id of another, {twin.name}", inbox.topic, made, twin.body, "id_reused", "id")


def in_order(inbox: Inbox) -> Iterator[tuple[str, bytes, bytes | None]]:
    """Types, bodies and keys of good records about one thing: what each leads to is told at once."""
    number = "good-row"
    # of an early report nothing is told yet; one that is still to come is refused at once
    changes = {"occurred_at": "2199-12-31T00:00:00Z"} if inbox is TRACKING else {}
    for n, key in enumerate(KEYS):
        if n and inbox is ORDERS:
            payment = paid(number, amount=1, payment_id=f"{n}")
            yield payment.wire_type, payment.model_dump_json().encode(), key
        else:
            yield *taken(inbox, number, **changes), key


def values(inbox: Inbox) -> Iterator[tuple[str, bytes, str]]:
    for field, values in inbox.wrong:
        for value in values:
            change = value if field == "data" else {field.split(".")[0]: value}
            body = json.dumps(inbox.good | change, ensure_ascii=False).encode("utf-8", "surrogatepass")
            yield f"{field} {str(value)[:60]!r}", body, field
