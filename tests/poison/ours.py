"""Records that stand in a topic of our own services and that none of them wrote: parked on their own stream, or passed."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import cycle
from typing import Any

from shared.events.aftersales import CaseClosed
from shared.events.base import Event
from shared.events.notify import MessageSent
from shared.events.orders import OrderCanceled
from shared.events.warehouse import ShipmentDelivered
from tests.poison.bodies import CANARY, bad_inside, not_json, nulled
from tests.poison.inboxes import AT, TIMES
from tests.poison.raw import Bytes
from tests.poison.records import KEYS, NOISE, Headers

MONEY = {"amount": 100, "currency": "CNY"}
SAMPLES: dict[str, tuple[type[Event], dict[str, Any]]] = {
    "orders": (OrderCanceled, {"order_id": "venom", "reason": f"王芳 {CANARY}", "refund": MONEY}),
    "warehouse": (ShipmentDelivered, {"order_id": "venom", "shipment_id": f"S-{CANARY}", "delivered_at": AT, "cod_collected": 0, "last": True}),
    "aftersales": (CaseClosed, {"order_id": "venom", "case_id": f"C-{CANARY}", "kind": "return", "refunded": MONEY}),
    "notify": (MessageSent, {"order_id": "venom", "message_id": f"M-{CANARY}", "template": "t", "channel": "file", "audience": "buyer"}),
}  # fmt: skip
"""An event of each topic that its readers act on."""
ODD: tuple[Any, ...] = ([], {}, True, 1, "", "\0", "a b", "x" * 101, "<script>", "😀", None)


@dataclass(frozen=True)
class Stray:
    """A record and its stated end: `failed` (parked), `gap` (parked until what is missing comes) or `passed`. What a reader
    does not act on, it passes whatever its body is."""

    name: str
    topic: str
    headers: Headers
    body: bytes | None
    end: str
    key: bytes | None = b"venom"
    in_body: bool = False
    """True when nothing is wrong with its headers."""

    def __str__(self) -> str:
        return f"{self.topic}: {self.name}"


def ours(topic: str, subject: str, type_name: str, **changes: Any) -> Headers:
    """Headers as the service writes them, with changes; None leaves one out."""
    usual: dict[str, Any] = {
        "content-type": b"application/json", "ce_specversion": b"1.0", "ce_id": f"{subject}/1".encode(),
        "ce_source": f"/handover/{topic}".encode(), "ce_type": type_name.encode(), "ce_subject": subject.encode(),
        "ce_time": AT.encode(), "ce_sequence": b"1", "ce_authtype": b"service", "ce_authid": topic.encode(),
    }  # fmt: skip
    return [(name, value) for name, value in (usual | changes).items() if value is not None]


def passing(topic: str, number: str) -> tuple[Headers, bytes]:
    """An event of a newer version of a service: nobody's business yet, and its place in its stream is kept."""
    return ours(topic, f"order/{number}", f"{topic}.order_sung.v1"), b"{}"


def strays(topic: str) -> list[Stray]:
    """All that is sent to one topic, under any key: the subject and the sequence say where an event belongs."""
    return [replace(stray, key=key) for stray, key in zip(_strays(topic), cycle(KEYS))]


def _strays(topic: str) -> Iterator[Stray]:
    event, good = SAMPLES[topic]
    number = iter(range(10_000))

    def stray(name: str, end: str, **changes: Any) -> Stray:
        order = f"venom-{next(number)}"
        made = ours(topic, f"order/{order}", event.wire_type, **changes)
        return Stray(name, topic, made, json.dumps(good | {"order_id": order}).encode(), end)

    def spoiled(name: str, body: bytes) -> Stray:
        made = ours(topic, f"order/venom-{next(number)}", event.wire_type)
        return Stray(name, topic, made, body, "failed", in_body=True)

    def odd(name: str, *more: tuple[Any, Any], without: str = "") -> Stray:
        made = stray(name, "failed")
        kept = [h for h in made.headers if h[0] != without]
        return Stray(name, topic, [*kept, *more], made.body, "failed")

    yield Stray("no headers", topic, [], CANARY.encode(), "failed")
    for name in (
        "ce_id",
        "ce_source",
        "ce_type",
        "ce_subject",
        "ce_sequence",
        "ce_time",
        "ce_authtype",
        "ce_authid",
    ):
        yield stray(f"no {name}", "failed", **{name: None})
        yield stray(f"{name} empty", "failed", **{name: b""})
        yield stray(f"{name} binary", "failed", **{name: b"\xff\xfe"})
        yield stray(f"{name} with a zero", "failed", **{name: b"a\0b"})
        yield stray(f"{name} of 20,000 characters", "failed", **{name: NOISE.encode()})
        yield odd(f"{name} null", (name, None), without=name)
        yield odd(f"{name} twice", (name, b"1"))
    for value in (
        "0",
        "-1",
        "first",
        "1.5",
        "1e3",
        "0x1",
        " 1",
        "1_0",
        "٣",
        "9" * 30,
        "9" * 5000,
        str(2**63),
        "NaN",
    ):
        yield stray(f"sequence {value[:20]}", "failed", ce_sequence=value.encode())
    for time in [t for t in TIMES if isinstance(t, str) and "W" not in t and "2201" not in t] + [
        "2026-03-02T01:00:00",
        "1772413200",
    ]:
        yield stray(f"time {time}", "failed", ce_time=time.encode())
    yield odd("a binary name of a header", (Bytes("\xff\xfe"), b"1"))
    yield stray("an unknown kind of actor", "failed", ce_authtype=b"god")
    yield stray("an actor with blanks", "failed", ce_authid=b"a b")
    yield stray("a type of another service", "failed", ce_type=b"elsewhere.order_canceled.v1")
    yield stray("an event of an inbox", "failed", ce_type=b"scans.inbox.stock_scanned.v1")
    yield spoiled(
        "another subject than its event's", json.dumps(good | {"order_id": "somebody-else"}).encode()
    )
    for name, body, _ in [*not_json(good), *bad_inside(good), *nulled(good, set(good))]:
        if name.startswith(
            (
                "an unknown",
                "a prototype",
                "a very long",
                "NaN",
                "Infinity",
                "a number of many",
                "ten mega",
                "150",
            )
        ):
            continue  # what a newer version may have added is skipped, and our own topics are not for outsiders
        yield spoiled(name, b"" if body is None else body)
    for field in good:
        for value in ODD:
            if not (isinstance(value, bool) and field == "last") and not (
                field == "reason" and value in ("", "a b", "x" * 101, "<script>", "😀")
            ):
                yield spoiled(f"{field} {str(value)[:20]!r}", json.dumps(good | {field: value}).encode())
    yield stray("an unknown type", "passed", ce_type=f"{topic}.order_sung.v1".encode())
    yield stray("a type of version 2", "passed", ce_type=f"{event.wire_type[:-1]}2".encode())
    yield stray("a type in capitals", "failed", ce_type=event.wire_type.upper().encode())
    yield stray("a gap before it", "gap", ce_sequence=b"7")
    yield stray("a gap of ages", "gap", ce_sequence=b"9" * 18)


def sung(topic: str) -> Iterator[Stray]:
    """Odd keys, of no consequence: the subject and the sequence say where an event belongs."""
    for n, key in enumerate(KEYS):
        made, body = passing(topic, f"key-{n}")
        yield Stray(f"key {key!r:.20}", topic, made, body, "passed", key)
