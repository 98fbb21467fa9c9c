"""Requests that must be refused: each with the status, code and field of its answer. Here: events, and who asks."""

import gzip
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from urllib.parse import quote

from deploy.embedded.stack import Stack
from shared.values import Actor, ActorKind, Role
from tests.poison.bodies import CANARY, DEEP, NAME, Body, bad_inside, not_json, nulled
from tests.poison.forged import forged
from tests.poison.inboxes import Inbox
from tests.poison.records import values
from tests.poison.reused import twins

AGENT = Actor(kind=ActorKind.OPERATOR, name="agent.mei", role=Role.BACK_OFFICE)
NOBODY = Actor(kind=ActorKind.OPERATOR, name="li.wei")
LIST = {
    "orders": "/v1/orders",
    "warehouse": "/v1/fulfillments",
    "aftersales": "/v1/cases",
    "notify": "/v1/messages",
}
JSON = {"content-type": "application/json"}
STRUCTURED = {"content-type": "application/cloudevents+json"}
BECAUSE = json.dumps({"reason": CANARY}).encode()


@dataclass(frozen=True)
class Ask:
    """A request and its stated answer; most are unfit (422)."""

    service: str
    method: str
    path: str
    field: str | None
    body: bytes | None = None
    actor: Actor = AGENT
    status: int = 422
    code: str = "invalid"
    headers: Mapping[str, str] | None = None
    """Without, a body is called JSON."""

    def __str__(self) -> str:
        headers = {n: v[:40] for n, v in (self.headers or {}).items()}
        return f"{self.service} {self.method} {self.path[:80]} {headers} {(self.body or b'')[:60]!r}"


def binary(inbox: Inbox, id_: str, /, **changes: str | None) -> dict[str, str]:
    """Headers of an event in binary mode, with changes; None leaves one out."""
    usual = {
        **JSON,
        "ce-specversion": "1.0",
        "ce-id": id_,
        "ce-source": "shop",
        "ce-type": inbox.event.wire_type,
    }
    named = {f"ce-{name}": value for name, value in changes.items()}
    return {name: value for name, value in (usual | named).items() if value is not None}


def events(inbox: Inbox) -> Iterator[Ask]:
    """Whatever is refused when it lies in an inbox is refused here, by the same rule."""
    yield from _binary(inbox)
    yield from _structured(inbox)
    for twin in twins(inbox):
        yield _ask(inbox, binary(inbox, twin.id, type=twin.type), twin.body, "id_reused", "id", 409)


def firsts(inbox: Inbox) -> Iterator[Ask]:
    """What uses up the ids that others come under too."""
    for twin in twins(inbox):
        wire_type, body = twin.first
        yield _ask(inbox, binary(inbox, twin.id, type=wire_type), body, "", "", 200)


def _ask(
    inbox: Inbox, headers: Mapping[str, str], body: bytes, code: str, field: str, status: int = 422
) -> Ask:
    return Ask(inbox.owner, "POST", "/v1/events", field, body, inbox.sender, status, code, headers)


def _binary(inbox: Inbox) -> Iterator[Ask]:
    ids = (f"{inbox.topic} {n}" for n in count())
    good = json.dumps(inbox.good).encode()
    bodies: list[Body] = [*not_json(inbox.good), *bad_inside(inbox.good), *nulled(inbox.good, inbox.required)]
    some = [*values(inbox)][::4]  # the same function judges them as in Kafka
    for _, body, field in [*bodies, *some]:
        headers, body = binary(inbox, next(ids)), body or b""
        if len(body) > 1024 * 1024:
            yield _ask(inbox, headers, body, "too_large", "body", 413)
        elif len(body) > 512 * 1024:
            yield _ask(inbox, headers, body, "too_large", "data", 413)
        else:
            yield _ask(inbox, headers, body, "invalid", field)
    for field in ("id", "source", "type"):
        for value in (None, "", "%00", "%0A", "%7F", "x" * 201, quote("a\u202eb"), quote("a\u2028b")):
            yield _ask(inbox, binary(inbox, next(ids), **{field: value}), good, "malformed", field)
    yield _ask(inbox, binary(inbox, next(ids), source="my%20shop"), good, "malformed", "source")
    for version in ("0.3", "2.0", "", "one"):
        yield _ask(inbox, binary(inbox, next(ids), specversion=version), good, "malformed", "specversion")
    for name in (
        "orders.inbox.wish.v1",
        inbox.event.wire_type.upper(),
        "<script>",
        "%27;%20DROP%20TABLE%20inbox",
        "orders.x.v1",
    ):
        yield _ask(inbox, binary(inbox, next(ids), type=name), good, "unknown_type", "type")


def _structured(inbox: Inbox) -> Iterator[Ask]:
    ids = (f"{inbox.topic} structured {n}" for n in count())
    first = next(iter(inbox.good))
    usual = {"specversion": "1.0", "source": "shop", "type": inbox.event.wire_type, "data": inbox.good}
    for code, field, changes in (
        ("malformed", "id", {"id": 7}), ("malformed", "id", {"id": ""}), ("malformed", "id", {"id": "a\0b"}),
        ("malformed", "source", {"source": []}), ("malformed", "type", {"type": None}), ("malformed", "specversion", {"specversion": "9"}),
        ("malformed", "data", {"data": None}), ("malformed", "data", {"data": []}), ("malformed", "data", {"data": "{}"}),
        ("invalid", first, {"data": {}}), ("unknown_type", "type", {"type": "orders.inbox.wish.v1"}),
        ("invalid", "a?b", {"data": inbox.good | {"a\0b": 1}}), ("invalid", NAME, {"data": inbox.good | {NAME: 1}}),
    ):  # fmt: skip
        body = json.dumps(usual | {"id": next(ids)} | changes).encode()
        yield _ask(inbox, STRUCTURED, body, code, field)
    whole = json.dumps({"id": next(ids)} | usual).encode()
    deep = whole[:-2] + b', "a": ' + b"[" * 300 + b"]" * 300 + b"}}"
    yield _ask(inbox, STRUCTURED, deep, "invalid", "data")
    capitals = {"content-type": "Application/CloudEvents+JSON; charset=utf-8"}
    yield _ask(inbox, capitals, b"[" + whole + b"]", "malformed", "data")
    batch = {"content-type": "application/cloudevents-batch+json"}
    yield _ask(inbox, batch, b"[" + whole + b"]", "malformed", "id")
    for body in (
        b"",
        b"{",
        b"\xff\xfe",
        b"[" * DEEP,
        b'{"data": NaN, "more": "%b"}' % CANARY.encode(),
        b'{"id": "\\ud800", "more": "%b"}' % CANARY.encode(),
        gzip.compress(whole),
    ):
        yield _ask(inbox, STRUCTURED, body, "not_json", "body", 400)


def tokens(service: str, stack: Stack) -> Iterator[Ask]:
    """Nobody comes in with what is not a token of theirs, and nobody goes further than theirs allows."""
    for _, value, code in forged(stack.keys, AGENT):
        about = {"authorization": value}
        yield Ask(service, "GET", LIST[service], "authorization", status=401, code=code, headers=about)
    yield Ask(service, "GET", "/ops/parked", "authorization", status=403, code="role_too_low")
    yield Ask(service, "GET", "/ops/parked/AAAA", "authorization", status=403, code="role_too_low")
    for path in ("retry", "skip", "mend"):
        body = json.dumps({"reason": CANARY, "body": {}}).encode() if path == "mend" else BECAUSE
        yield Ask(
            service, "POST", f"/ops/parked/AAAA/{path}", "authorization", body, NOBODY, 403, "role_too_low"
        )
