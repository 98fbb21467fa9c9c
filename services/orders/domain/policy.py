"""What a shop decides for itself about orders."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class Policy:
    """The knobs; every one is a setting (see docs/generated/settings.md)."""

    unpaid_expires_after: timedelta = timedelta(days=3)
    """An unpaid order is closed so long after it was placed (O4)."""
    confirm_within: timedelta = timedelta(minutes=10)
    """An address that nobody confirmed so long after the order was accepted is told to a supervisor (O6)."""
    duplicate_window: timedelta = timedelta(minutes=30)
    """Same buyer, same goods within this time: held until the buyer is asked (O5)."""
    ship_within: timedelta = timedelta(hours=48)
    """Promised dispatch where the shop gave none (O1)."""
    deliver_within: timedelta = timedelta(days=7)
    """Promised delivery where the shop gave none (O1)."""
    completes_after: timedelta = timedelta(days=7)
    """A delivered order completes by itself after so long (O16)."""
    cash_within: timedelta = timedelta(days=3)
    """Cash on delivery that no courier told of so long after the delivery is looked into (O3)."""
    audit_above: Mapping[str, int] = field(default_factory=dict)
    """Orders whose total, by currency in minor units, lies above it wait for a person's audit (O7); in a currency that is not
    named none do."""
