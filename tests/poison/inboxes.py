"""The four inboxes: a good event of each, and the values that do not fit into it, with the field that the refusal names."""

from dataclasses import dataclass
from typing import Any

from shared.events.base import Event
from shared.events.inbox import (
    OrderSubmitted,
    PickScanned,
    ReturnAsked,
    TrackingReported,
)
from shared.values import Actor, ActorKind
from tests.builders import submitted
from tests.harness import SHOP, START
from tests.poison.bodies import CANARY

SCANNER = Actor(kind=ActorKind.OPERATOR, name="li.wei", device="scanner-1")
COURIER = Actor(kind=ActorKind.SYSTEM, name="sf")

AT = START.isoformat()
ANYTHING: tuple[Any, ...] = ([], {}, True, 3.5, -1, "", "\0", "a b", "x" * 101, "<script>alert(1)</script>",
                             "'; DROP TABLE orders; --", "\u202etxt.exe", "😀", "../../etc/passwd", "%00", "{{7*7}}")  # fmt: skip
"""No code of anything: not a text, too short, too long, or with characters that have no business in an identifier."""
TIMES: tuple[Any, ...] = (
    "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "2026-03-02T09:30:00", "2026-03-02", "09:30", "yesterday", "", [], True,
    1772413200, 1772413200000, "1772413200", 1e30, "2026-02-30T00:00:00Z", "2026-03-02T25:00:00Z", "2026-03-02T09:30:00+99:00",
    "1999-12-31T23:59:59Z", "2201-01-01T00:00:00Z", "2026-W10-1T00:00:00Z", "٢٠٢٦-٠٣-٠٢T00:00:00Z",
)  # fmt: skip
COUNTS: tuple[Any, ...] = (0, -1, 100_001, 2**31, 2**63, 2**64, 10**30, 1.5, "1", True, "", [], {})
TEXTS = (CANARY * 200, f"{CANARY}\0b", f"\x1b[2J{CANARY}")
"""No text of a person: too long, or with control characters."""
AMOUNTS: tuple[Any, ...] = (-1, 10**13 + 1, 2**63, 2**64, 10**30, 0.5, "1", "1.00", True, [], {})


@dataclass(frozen=True)
class Inbox:
    """One inbox: who owns it, who may send, a good event, and (field, values that do not fit)."""

    topic: str
    owner: str
    sender: Actor
    event: type[Event]
    good: dict[str, Any]
    wrong: tuple[tuple[str, tuple[Any, ...]], ...]

    @property
    def required(self) -> set[str]:
        return {name for name, field in self.event.model_fields.items() if field.is_required()}

    def named(self, number: str) -> dict[str, Any]:
        """The good body, about something else."""
        return self.good | {self.event.subject_field: number}


_LINE = {"line": 1, "sku": "TEA", "name": CANARY, "quantity": 2, "unit_price": 5000}
_ORDER = submitted("poison", remark=CANARY).model_dump(mode="json") | {"lines": [_LINE]}
del _ORDER["ship_by"], _ORDER["deliver_by"], _ORDER["agent"]
_CONTACT, _ADDRESS = _ORDER["personal"]["contact"], _ORDER["personal"]["address"]


def _lines(*lines: dict[str, Any]) -> tuple[Any, ...]:
    return tuple([_LINE | line] for line in lines)


def _contacts(field: str, *values: Any) -> tuple[Any, ...]:
    return tuple({"contact": _CONTACT | {field: value}, "address": _ADDRESS} for value in values)


def _addresses(field: str, *values: Any) -> tuple[Any, ...]:
    return tuple({"contact": _CONTACT, "address": _ADDRESS | {field: value}} for value in values)


ORDERS = Inbox(
    "orders.inbox", "orders", SHOP, OrderSubmitted, _ORDER,
    (
        ("external_number", ANYTHING), ("source", ANYTHING), ("buyer_id", ANYTHING), ("placed_at", TIMES), ("ship_by", TIMES),
        ("total", AMOUNTS), ("discount", AMOUNTS), ("delivery_fee", AMOUNTS),
        ("currency", ("cny", "RMBX", "", "¥", "CNY ", 156, [])), ("payment_method", ("bitcoin", "", 1, [])),
        ("delivery_method", ("drone", "", 1)), ("locale", ("xx", "zh_CN", "", 1)), ("address_confirmed", ("yes", 1, "true", [])),
        ("remark", ("x" * 1001, "a\0b", "\x1b[2J", "\x7f", 1, [])),
        ("lines", ([], {}, "TEA", [_LINE | {"line": n} for n in range(1, 1002)], [_LINE | {"line": n} for n in range(1, 10_001)])),
        ("lines.0.quantity", _lines(*({"quantity": n} for n in COUNTS))),
        ("lines.0.unit_price", _lines(*({"unit_price": n} for n in AMOUNTS))),
        ("lines.0.line", _lines({"line": 0}, {"line": 10_001}, {"line": "1"}, {"line": 10**400})),
        ("lines.0.sku", _lines(*({"sku": s} for s in ANYTHING))),
        ("lines.0.name", _lines({"name": "x" * 1001}, {"name": "a\0b"}, {"name": "\x08"}, {"name": {"$ne": 1}})),
        ("lines.0.wrapped", _lines({"wrapped": True})),
        ("data", ({"total": 1}, {"lines": [_LINE, _LINE], "total": 20000}, {"currency": "CNY", "discount": 10001},
                  {"ship_by": "2026-03-04T00:00:00Z", "deliver_by": "2026-03-03T00:00:00Z"},
                  {"lines": [_LINE | {"quantity": 100_000, "unit_price": 10**13}], "total": 10**13})),
        ("personal.contact.name", _contacts("name", "", " ", "x" * 201, "a\0b", "\x1b[31m", 1, [])),
        ("personal.contact.phone", _contacts("phone", "", "call me", "1" * 30, "+86 138\n00", "＋８６１３８", 13800138000)),
        ("personal.contact.email", _contacts("email", "", "nobody", "a@b@c", "a b@c", "a@b\nBcc: all@c", "x" * 251 + "@a.b", 1)),
        ("personal.address.country", _addresses("country", "", "China", "cn", "🇨🇳", 86)),
        ("personal.address.postcode", _addresses("postcode", "<b>", "1" * 21, "'--", 310000)),
    ),
)  # fmt: skip

AFTERSALES = Inbox(
    "aftersales.inbox", "aftersales", SHOP, ReturnAsked,
    {"source": "shop", "external_number": "poison", "lines": [{"sku": "TEA", "quantity": 1}], "reason": "damaged", "comment": f"王芳 {CANARY}"},
    (
        ("external_number", ANYTHING), ("source", ANYTHING), ("reason", ("because", "", 1, [])),
        ("comment", (*TEXTS, 1)), ("lines", ([], {}, "TEA", [{"sku": "TEA", "quantity": 1}] * 1001)),
        ("lines.0.quantity", tuple([{"sku": "TEA", "quantity": n}] for n in (*COUNTS[:2], 10**9 + 1, *COUNTS[4:]))),
        ("lines.0.sku", tuple([{"sku": s, "quantity": 1}] for s in ANYTHING)),
    ),
)  # fmt: skip

SCANS = Inbox(
    "scans.inbox", "warehouse", SCANNER, PickScanned,
    {"order_id": "poison", "barcode": CANARY, "quantity": 1, "scanned_at": AT},
    (
        ("order_id", ANYTHING), ("quantity", COUNTS[1:]), ("data", ({"quantity": 0},)), ("damaged", (-1, 100_001, 2**63, 1.5, "1", True, [])), ("missing", (-1, 100_001, 1.5, "1", True)), ("scanned_at", TIMES),
        ("barcode", ("", CANARY * 30, f"{CANARY}\0b", f"\x1b{CANARY}", f"{CANARY}\nb", f"\x7f{CANARY}", 6901234567892, [CANARY], {})),
    ),
)  # fmt: skip

TRACKING = Inbox(
    "tracking.inbox", "warehouse", COURIER, TrackingReported,
    {"courier": "sf", "tracking_number": "poison", "status": "in_transit", "occurred_at": AT, "detail": CANARY},
    (
        ("courier", ANYTHING), ("tracking_number", ANYTHING), ("status", ("lost in space", "", "DELIVERED", 1)),
        ("occurred_at", TIMES), ("cod_collected", AMOUNTS), ("detail", (*TEXTS, 1)),
    ),
)  # fmt: skip

INBOXES = (ORDERS, AFTERSALES, SCANS, TRACKING)
