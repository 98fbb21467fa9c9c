"""Requests that must be refused: paths, queries and commands of the four services."""

import gzip
import json
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import quote

from deploy.embedded.stack import Stack
from deploy.provision import SERVICES
from shared.values import Actor
from tests.harness import SHOP
from tests.poison.bodies import CANARY, DEEP, NAME
from tests.poison.inboxes import INBOXES
from tests.poison.keyed import under_one_key
from tests.poison.requests import AGENT, BECAUSE, JSON, LIST, NOBODY, Ask, events, tokens
from tests.poison.scene import OPS

NO_CODE = (
    "%00",
    "%20",
    "a%20b",
    "%E2%80%AEa",
    "%F0%9F%98%80",
    "x" * 101,
    "%3Cscript%3E",
    "%27%3B--",
    "%ff",
    "..%5C",
)
"""No identifier of anything, as it stands in a path."""
WORD = CANARY.encode()
TEXTS = (
    f'"{CANARY}\\ud800"',
    f'"{CANARY}\\u0000"',
    f'"\\u001b[2J{CANARY}"',
    "1",
    f'["{CANARY}"]',
    "null",
    json.dumps(CANARY * 200),
)
"""No text of a person, as it stands in JSON."""
CODES = (f'"{CANARY}\\ud800"', f'"{CANARY}\\u0000"', '""', f'"{CANARY} b"', "1", "null", f'["{CANARY}"]', json.dumps(CANARY * 20),
         f'"<{CANARY}>"', f'"{CANARY}😀"')  # fmt: skip
NOWHERE = (
    "/index.html", "/admin", "/.env", "/v1", "/v1/", "/docs", "/v2/events", "/%00", "/%ff%fe", "/..%2f..%2fetc%2fpasswd", "//", "/metrics/x",
    "/" + "a" * 5000, "/v1/nothing?x='; DROP TABLE inbox; --", "/<script>alert(1)</script>", f"/{quote(NAME)}", f"/{CANARY}?{CANARY}={CANARY}",
)  # fmt: skip


def everything(stack: Stack) -> Iterator[Ask]:
    """All that is asked of the four services."""
    for inbox in INBOXES:
        yield from events(inbox)
    for service in SERVICES:
        yield from tokens(service, stack)
        yield from anywhere(service)
        yield from ops(service)
    yield from orders()
    yield from warehouse()
    yield from aftersales()
    yield from notify()
    yield from (second for _, second in under_one_key())


def anywhere(service: str) -> Iterator[Ask]:
    """Paths and methods that there are none of, and limits beyond all limits."""
    for path in NOWHERE:
        yield Ask(service, "GET", path, None, status=404, code="not_found")
    for method, path in (("DELETE", LIST[service]), ("PATCH", LIST[service]), ("PUT", "/ops/parked"), ("POST", "/health/ready"),
                         ("OPTIONS", LIST[service]), ("TRACE", "/ops/progress"), ("PURGE", "/health/live")):  # fmt: skip
        yield Ask(service, method, path, None, status=405, code="method_not_allowed")
    # no method of any HTTP: the server itself refuses it as it does what is no HTTP at all
    yield Ask(service, "BREW", "/health/live", None, status=400, code="Invalid HTTP request received.")
    yield from query(
        service,
        LIST[service],
        "limit",
        ("0", "-1", "501000", "1e3", "NaN", "9" * 30, "9" * 5000, "%00", "", "x"),
    )


def query(service: str, path: str, field: str, wrong: Iterable[str], actor: Actor = AGENT) -> Iterator[Ask]:
    """A query with values that the field cannot have."""
    for value in wrong:
        yield Ask(service, "GET", f"{path}?{field}={value}", field, actor=actor)


def fields(
    service: str,
    method: str,
    path: str,
    good: dict[str, Any],
    field: str,
    wrong: Iterable[str],
    *,
    actor: Actor = AGENT,
) -> Iterator[Ask]:
    """A good body with one field replaced by JSON that it cannot have, written as it stands."""
    for value in wrong:
        body = json.dumps(good | {field: "@"}).replace('"@"', value).encode()
        yield Ask(service, method, path, field, body, actor)


def bodies(service: str, method: str, path: str, actor: Actor = AGENT) -> Iterator[Ask]:
    """Bodies that are no command, whatever it is."""
    for body in (
        b"{" + WORD,
        b"{'a': '%b'}" % WORD,
        WORD + b"\xff\xfe",
        gzip.compress(b"{}"),
        b"[" * DEEP + WORD,
        b'{"a":' * DEEP + WORD,
        b"9" * 5000,
        b'{}{"reason": "%b"}' % WORD,
    ):
        yield Ask(service, method, path, "body", body, actor, 400, "not_json")
    for body in (b'["%b"]' % WORD, b'"%b"' % WORD, b"1", b"null", b"", b"NaN"):
        yield Ask(service, method, path, "body", body, actor)
    for kind in (
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/xml",
        "",
    ):
        yield Ask(service, method, path, "body", b"reason=" + WORD, actor, headers={"content-type": kind})
    yield Ask(service, method, path, "body", WORD + b" " * 10_000_000, actor, 413, "too_large")
    for key in ("", "a b", "x" * 201, "é"):
        body, headers = BECAUSE, {**JSON, "idempotency-key": key}
        yield Ask(service, method, path, "idempotency-key", body, actor, headers=headers)


def ops(service: str) -> Iterator[Ask]:
    """What administrators may do about parked messages."""
    parked = f"/ops/parked/{_key(b'no such message')}"
    yield from query(service, "/ops/parked", "state", ("%00", "nonsense", "", "FAILED", "'"), OPS)
    yield from query(service, "/ops/parked", "limit", ("0", "1001", "x", "9" * 30), OPS)
    for key in (
        "AA",
        "____",
        "%C3%A9",
        "%00",
        "x" * 5000,
        _key(b"nothing"),
        _key(b"a\0b"),
        _key(b"\xed\xa0\x80"),
    ):
        yield Ask(service, "GET", f"/ops/parked/{key}", None, None, OPS, 404, "not_parked")
        yield Ask(service, "POST", f"/ops/parked/{key}/retry", None, None, OPS, 404, "not_parked")
    unwritable = ('{"a": "\\ud800"}', '{"\\ud800": 1}', '{"a": NaN}', '{"a": 1e400}', '{"a": 1' + "0" * 400 + "}",
                  '{"a": ' + "[" * 300 + "]" * 300 + "}", "[]", '"x"', "null", "1")  # fmt: skip
    reasons = (
        '""',
        '"   "',
        "null",
        "1",
        f'"{CANARY}\\u0000"',
        f'"{CANARY}\\ud800"',
        json.dumps(CANARY * 200),
        f'["{CANARY}"]',
    )
    yield from fields(service, "POST", f"{parked}/mend", {"reason": CANARY}, "body", unwritable, actor=OPS)
    yield from fields(service, "POST", f"{parked}/skip", {}, "reason", reasons, actor=OPS)
    yield from bodies(service, "POST", f"{parked}/skip", OPS)


def _key(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def orders() -> Iterator[Ask]:
    """Reads and commands of orders."""
    for code in NO_CODE:
        yield Ask("orders", "GET", f"/v1/orders/{code}", "order_id")
        yield Ask("orders", "GET", f"/v1/orders?source=shop&number={code}", "number")
        yield Ask("orders", "POST", f"/v1/orders/{code}/cancel", "order_id", BECAUSE)
    yield from query("orders", "/v1/orders", "buyer_id", NO_CODE)
    for field in ("status", "hold", "held"):
        yield from query("orders", "/v1/orders", field, ("x", "%00", ""))
    yield Ask("orders", "GET", "/v1/orders?number=1", "source")
    yield Ask("orders", "GET", "/v1/orders?after=nobody", "after")
    yield Ask("orders", "GET", "/v1/orders/nobody", "order_id", status=404, code="unknown_order")
    yield Ask("orders", "POST", "/v1/orders/nobody/cancel", "authorization", BECAUSE, SHOP, 403, "wrong_kind")
    order = "/v1/orders/nobody"
    for path in ("cancel", "confirm-receipt"):
        yield from fields("orders", "POST", f"{order}/{path}", {}, "reason", (*TEXTS, '""', '"  "'))
    yield from fields(
        "orders", "POST", f"{order}/holds", {"reason": "x"}, "hold", ('"x"', "1", "null", '"\\ud800"')
    )
    answer = f"{order}/confirm-address"
    yield from fields("orders", "POST", answer, {}, "cod_accepted", ('"yes"', "1", '"no"', "[]"))
    yield from fields("orders", "POST", answer, {}, "delivery_method", ('"drone"', "1", '"\\ud800"'))
    yield from fields("orders", "POST", answer, {}, "personal", ("[]", "1", '"x"'))
    yield from bodies("orders", "POST", f"{order}/cancel")


def warehouse() -> Iterator[Ask]:
    """Reads and commands of the warehouse."""
    good: dict[str, Any] = {"name": CANARY, "weight_grams": 250, "barcodes": ["6901234567892"]}
    body, sku = json.dumps(good).encode(), "/v1/skus/venom"
    for code in NO_CODE:
        yield Ask("warehouse", "GET", f"/v1/fulfillments/{code}", "order_id")
        yield Ask("warehouse", "GET", f"/v1/stock/{code}", "sku")
        for path in ("", "/label.pdf", "/note.pdf"):
            yield Ask("warehouse", "GET", f"/v1/shipments/{code}{path}", "shipment_id")
        yield Ask("warehouse", "PUT", f"/v1/skus/{code}", "sku", body)
    yield from query("warehouse", "/v1/fulfillments", "state", ("x", "%00", ""))
    weights = ("-1", "1000001", "1.5", '"1"', "true", "NaN", "1e400", "9" * 400, "null")
    yield from fields("warehouse", "PUT", sku, good, "name", TEXTS)
    yield from fields("warehouse", "PUT", sku, good, "weight_grams", weights)
    yield from fields(
        "warehouse",
        "PUT",
        sku,
        good,
        "barcodes",
        ('"x"', "1", "null", json.dumps([str(n) for n in range(51)])),
    )
    for value in ('"\\ud800"', '"\\u0000"', '""', "1", "null", json.dumps("x" * 201)):
        yield Ask(
            "warehouse", "PUT", sku, "barcodes.0", f'{{"name": "{CANARY}", "barcodes": [{value}]}}'.encode()
        )
    yield Ask("warehouse", "PUT", sku, "authorization", body, NOBODY, 403, "role_too_low")
    yield from bodies("warehouse", "PUT", sku)


def aftersales() -> Iterator[Ask]:
    """Reads and commands of after-sales."""
    line = {"sku": "TEA", "quantity": 1}
    back: dict[str, Any] = {
        "kind": "return",
        "order_id": "nobody",
        "lines": [line],
        "reason": "damaged",
        "comment": CANARY,
    }
    money: dict[str, Any] = {"kind": "refund_only", "order_id": "nobody", "amount": 1, "reason": CANARY}
    cases = "/v1/cases"
    for code in NO_CODE:
        yield Ask("aftersales", "GET", f"{cases}/{code}", "case_id")
        yield Ask("aftersales", "POST", f"{cases}/{code}/approve", "case_id")
        yield Ask("aftersales", "POST", f"{cases}/{code}/reject", "case_id", BECAUSE)
    yield from query("aftersales", cases, "order_id", NO_CODE)
    yield from query("aftersales", cases, "state", ("x", "%00", ""))
    yield from query("aftersales", cases, "kind", ("x", "%00", ""))
    odd = ("[]", "{}", "1", json.dumps([line] * 1001))
    amounts = ("-1", "1e400", "NaN", '"1"', "true", "9" * 30, "1.5", "null")
    for good, field, wrong in (
        (back, "order_id", CODES), (money, "order_id", CODES), (money, "amount", amounts), (money, "reason", TEXTS),
        (back, "comment", TEXTS), (back, "lines", odd), (back, "reason", ('"x"', "1", "null", '"\\ud800"')),
    ):  # fmt: skip
        yield from fields("aftersales", "POST", cases, good, field, wrong)
    for kind in ('"x"', "1", "null", '"\\ud800"', json.dumps("x" * 5000), json.dumps(NAME), "[]"):
        yield Ask("aftersales", "POST", cases, "kind", f'{{"kind": {kind}}}'.encode())
    yield from bodies("aftersales", "POST", cases)


def notify() -> Iterator[Ask]:
    """Reads and commands of notify."""
    good: dict[str, Any] = {"buyer_id": "nobody", "opted_out": True}
    for code in NO_CODE:
        yield Ask("notify", "POST", f"/v1/messages/{code}/retry", "message_id")
    yield from query("notify", "/v1/messages", "order_id", NO_CODE)
    yield from query("notify", "/v1/messages", "state", ("x", "%00", ""))
    yield from query("notify", "/v1/opt-outs", "buyer_id", NO_CODE)
    yield Ask(
        "notify", "POST", "/v1/messages/nobody/retry", "authorization", None, NOBODY, 403, "role_too_low"
    )
    yield from fields("notify", "POST", "/v1/opt-outs", good, "buyer_id", CODES)
    yield from fields(
        "notify", "POST", "/v1/opt-outs", good, "opted_out", ('"yes"', "1", "null", "[]", "0.0")
    )
    yield from bodies("notify", "POST", "/v1/opt-outs")
