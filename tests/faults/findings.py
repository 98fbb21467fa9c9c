"""What the checker is told and what it finds, as plain data: nothing of the services' code or their runtime."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta


@dataclass
class Findings:
    """What the checker found against the system; all empty is what is promised."""

    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    out_of_order: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    """Invariants that do not hold: stock, chains, people."""

    def __bool__(self) -> bool:
        return bool(self.lost or self.doubled or self.out_of_order or self.broken)

    def without(self, before: "Findings") -> "Findings":
        """What was not found before."""
        return Findings(
            *(
                [one for one in getattr(self, f.name) if one not in getattr(before, f.name)]
                for f in fields(self)
            )
        )


@dataclass(frozen=True)
class Ended:
    """An order whose whole story was answered by events, as those outside know it."""

    number: str
    canceled: bool
    payments: int
    """How many were made for it."""
    pieces: Counter[str]
    """By SKU, what its buyer ordered."""
    reached_at: str
    """The address to which letters to its buyer go."""


@dataclass
class Accepted:
    """What the system took upon itself, and what was done to it meanwhile."""

    messages: Mapping[str, set[str]] = field(default_factory=dict)
    """Per service, (source, id) of what was answered with 2xx or acknowledged."""
    commands: Mapping[str, set[str]] = field(default_factory=dict)
    """Per service, the idempotency keys of those of them that were commands."""
    orders: Mapping[str, Ended] = field(default_factory=dict)
    """By their ids."""
    stocked: Counter[str] = field(default_factory=Counter)
    """Pieces by SKU."""
    completes_after: timedelta = timedelta()
    """When a delivered order completes by itself."""
    deaths: Sequence[tuple[str, datetime]] = ()
    """Which replica was found dead, and when."""
