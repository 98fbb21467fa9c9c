"""Small values that every service means the same by: money, people, addresses, order lines."""

import re
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    WithJsonSchema,
)

MAX_MINOR = 10**13
"""Largest amount in minor units (cents, fen): far above any order, far below 64 bits."""


FAR = "a time must lie between the years 2000 and 2200"
"""What is said of any other. What we reckon from a time may lie a little later; so ours end at 2300."""


def _written(value: object) -> object:
    # a bare number says neither its offset nor whether it counts seconds or milliseconds
    if isinstance(value, datetime) or (isinstance(value, str) and value[4:5] == "-"):
        return value
    raise ValueError("a time is written out, for example 2026-03-01T09:30:00+08:00")


def _in_utc(value: datetime) -> datetime:
    if value.tzinfo is None:
        raise ValueError("a time needs its offset from UTC, for example 2026-03-01T09:30:00+08:00")
    if not 1990 <= value.year <= 2300:
        raise ValueError(FAR)
    value = value.astimezone(UTC) if value.utcoffset() else value.replace(tzinfo=UTC)
    if value.year < 2000:
        raise ValueError(FAR)
    return value


def _printable(value: str) -> str:
    # nearly always: the rest is only for those that hold a line break, or something bad
    if value.isprintable():
        return value
    if any(ord(c) < 32 and c not in "\n\t" for c in value) or "\x7f" in value:
        raise ValueError("control characters are not allowed")
    if any(0xD800 <= ord(c) <= 0xDFFF for c in value):
        raise ValueError("lone surrogates are not allowed")
    return value


_BREAKS = re.compile(r"[\t\n\r]+")


def _on_one_line(value: str) -> str:
    # made a blank and not refused: shops send streets of two lines, and rows that hold one must still be read
    return value if value.isprintable() else _printable(_BREAKS.sub(" ", value))


Time = Annotated[datetime, BeforeValidator(_written), AfterValidator(_in_utc)]
"""An instant, UTC on the wire; a time without an offset is refused, and so is a number."""

Flag = Annotated[bool, Field(strict=True)]
"""True or false and nothing that could be taken for them: a consent is not guessed from a 1 or a "no"."""

CODE, CURRENCY, COUNTRY = r"^[\w][\w.:@/+\-]*$", r"^[A-Z]{3}$", r"^[A-Z]{2}$"
PHONE, EMAIL = r"^\+?[0-9][0-9 \-]{4,24}$", r"^[^@\s]+@[^@\s]+$"

TOLD_CODE = r"^[^\s!-/:-@\[-\^`{-~][^\s!-*,;-?\[-\^`{-~]*$"
"""The pattern of a code as schemas tell it: what letters of all languages are, each kind of validator takes otherwise, so it
names the signs that are none."""

Code = Annotated[
    str,
    StringConstraints(min_length=1, max_length=100, pattern=CODE),
    WithJsonSchema({"type": "string", "minLength": 1, "maxLength": 100, "pattern": TOLD_CODE}),
]
"""An identifier that people and machines read: letters, digits and . : @ / + - _ (no spaces)."""

Text = Annotated[str, StringConstraints(max_length=1000, strip_whitespace=True), AfterValidator(_printable)]
"""Free text of a person: trimmed, without control characters."""

Name = Annotated[
    str, StringConstraints(min_length=1, max_length=200, strip_whitespace=True), AfterValidator(_on_one_line)
]
"""What stands on one line of a label or a letter: a line break or tab in it is taken for a blank."""

Reason = Annotated[
    str, StringConstraints(min_length=1, max_length=1000, strip_whitespace=True), AfterValidator(_printable)
]
"""Why a person does what is kept for the record (O12): never empty, and short where two characters say it, as 丢件 does."""

Currency = Annotated[str, StringConstraints(pattern=CURRENCY)]
"""ISO 4217 code, upper case."""

Minor = Annotated[int, Field(ge=0, le=MAX_MINOR, strict=True)]
"""An amount in minor units of the order's currency."""

Quantity = Annotated[int, Field(ge=1, le=100_000, strict=True)]
"""Pieces of one line or one scan."""

MAX_PIECES = 1_000_000_000
Pieces = Annotated[int, Field(ge=1, le=MAX_PIECES, strict=True)]
"""Pieces of one SKU added up: an order may have many full lines of it."""


class Value(BaseModel):
    """An immutable value; unknown fields are refused when we write and skipped when we read events."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Money(Value):
    """An amount in minor units (fen, cents) of one currency."""

    amount: Minor
    currency: Currency


class Address(Value):
    """Where a parcel goes. `region` is the province or state, `district` the part of a city."""

    country: Annotated[str, StringConstraints(pattern=COUNTRY)]
    region: Name
    city: Name
    district: Annotated[
        str, StringConstraints(max_length=1000, strip_whitespace=True), AfterValidator(_on_one_line)
    ] = ""
    street: Name
    postcode: Annotated[
        str,
        StringConstraints(max_length=20, pattern=r"^[\w\- ]*$"),
        WithJsonSchema({"type": "string", "maxLength": 20}),
    ] = ""
    """Letters, digits, spaces and -."""


class Contact(Value):
    """Who is reached, and how. Personal data: never logged, can be erased (X4)."""

    name: Name
    phone: Annotated[str, StringConstraints(pattern=PHONE)]
    email: (
        Annotated[str, StringConstraints(max_length=254, pattern=EMAIL), AfterValidator(_printable)] | None
    ) = None


class Personal(Value):
    """The one part of an event that erasure must reach (X4): contact and address of the buyer."""

    contact: Contact
    address: Address


class OrderLine(Value):
    """One line of an order: a SKU, how many, the price of one piece in minor units."""

    line: Annotated[int, Field(ge=1, le=10_000, strict=True)]
    sku: Code
    name: Text = ""
    quantity: Quantity
    unit_price: Minor


class SkuQuantity(Value):
    """Pieces of one SKU."""

    sku: Code
    quantity: Pieces


class PaymentMethod(StrEnum):
    """How an order is paid (O1)."""

    PREPAID = "prepaid"
    COD = "cod"


class DeliveryMethod(StrEnum):
    """How the goods reach the buyer (O1)."""

    COURIER = "courier"
    SELF_PICKUP = "self_pickup"
    TO_DOOR = "to_door"
    WITH_INSTALLATION = "with_installation"


class Locale(StrEnum):
    """The languages that messages and pages exist in (N4, X7)."""

    ZH_CN = "zh-CN"
    EN = "en"


class ActorKind(StrEnum):
    """Who can cause an event: a person, a scanner, a system outside, a timer of ours, or one of our services."""

    OPERATOR = "operator"
    DEVICE = "device"
    SYSTEM = "system"
    TIMER = "timer"
    SERVICE = "service"


class Role(StrEnum):
    """What an actor may do (X4); each includes the ones before it."""

    ORDINARY = "ordinary"
    BACK_OFFICE = "back-office"
    ADMINISTRATOR = "administrator"

    def includes(self, other: Self) -> bool:
        """True when whoever holds this role may do what `other` may."""
        order = list(Role)
        return order.index(self) >= order.index(other)


class Actor(Value):
    """Who caused an event (X4). `device` is the scanner that an operator was signed in at (W12)."""

    kind: ActorKind
    name: Code
    role: Role = Role.ORDINARY
    device: Code | None = None

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}"
