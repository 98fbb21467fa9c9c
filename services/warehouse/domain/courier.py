"""Couriers, as a file describes them: whom they reach, what they carry, how their numbers run (W6)."""

from dataclasses import dataclass
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

from shared.values import Address, Code, DeliveryMethod, Name

SENDER_LENGTH = 120
"""Characters that the foot of a label has room for, whatever they are."""


class Area(BaseModel):
    """Addresses that a courier reaches; a part left out means all of it. Postcodes go by prefix."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    country: Annotated[str, Field(pattern=r"^[A-Z]{2}$")]
    region: str | None = None
    city: str | None = None
    postcodes: tuple[str, ...] = ()
    except_postcodes: tuple[str, ...] = ()
    transit_days: int | None = Field(None, ge=0, le=90)

    def holds(self, address: Address) -> bool:
        """True when the address lies in the area."""
        return (
            self.country == address.country
            and self.region in (None, address.region)
            and self.city in (None, address.city)
            and (not self.postcodes or address.postcode.startswith(self.postcodes))
            and not (self.except_postcodes and address.postcode.startswith(self.except_postcodes))
        )


class Courier(BaseModel):
    """One courier. Self-pickup and own delivery are couriers too (W7)."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    code: Code
    name: Name
    delivery_methods: tuple[DeliveryMethod, ...] = Field(min_length=1)
    cod: bool = False
    max_weight_grams: int = Field(gt=0)
    priority: int = 100
    """The lowest that fits is chosen."""
    transit_days: int = Field(3, ge=0, le=90)
    number_prefix: Annotated[str, Field(pattern=r"^[A-Z0-9]{1,10}$")]
    number_digits: int = Field(12, ge=4, le=18)
    """With prefix and check digit no more than labels have room for in bars that scanners read (W5)."""
    number_first: int = Field(1, ge=0)
    number_last: int = Field(gt=0)
    areas: tuple[Area, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _range_fits(self) -> "Courier":
        if self.number_last < self.number_first or len(str(self.number_last)) > self.number_digits:
            raise ValueError("number_first to number_last must be a range that fits number_digits")
        return self

    def area(self, address: Address) -> Area | None:
        """The first of its areas that holds the address."""
        return next((area for area in self.areas if area.holds(address)), None)

    def has(self, n: int) -> bool:
        """True while the n-th tracking number lies in the range."""
        return n <= self.number_last

    def number(self, n: int) -> str:
        """The n-th tracking number: prefix, digits, check digit (Luhn). Raises ValueError when the range is used up."""
        if not self.has(n):
            raise ValueError(f"{self.code} has no tracking numbers left")
        digits = str(n).zfill(self.number_digits)
        return f"{self.number_prefix}{digits}{luhn(digits)}"


def luhn(digits: str) -> int:
    """The check digit of a string of digits (ISO/IEC 7812-1)."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (2 if place % 2 == 0 else 1)
        total += value - 9 if value > 9 else value
    return -total % 10


@dataclass(frozen=True, slots=True)
class Couriers:
    """All couriers of the shop."""

    all: tuple[Courier, ...]
    sender: str = ""
    """Who sends the parcels and gets back what cannot be delivered, as labels say it; empty where the file does not (W5)."""

    def choose(
        self, address: Address, method: DeliveryMethod, *, cod: bool, weight_grams: int = 0
    ) -> Courier | None:
        """The courier for a parcel, or None when nobody reaches the address so (O6, W6)."""
        fit = [
            c
            for c in self.all
            if method in c.delivery_methods
            and (c.cod or not cod)
            and weight_grams <= c.max_weight_grams
            and c.area(address) is not None
        ]
        return min(fit, key=lambda c: (c.priority, c.code), default=None)

    def by_code(self, code: str) -> Courier | None:
        """The courier of this code."""
        return next((c for c in self.all if c.code == code), None)

    def name(self, code: str) -> str:
        """What people are told; the code itself when the file does not hold it any more."""
        courier = self.by_code(code)
        return courier.name if courier else code
