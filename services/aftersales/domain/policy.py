"""What a shop decides for itself about after-sales."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class Policy:
    """The knobs; every one is a setting (see docs/generated/settings.md)."""

    return_window: timedelta = timedelta(days=15)
    """So long after delivery a return can be asked for (A2)."""
    authorized_up_to: Mapping[str, int] = field(default_factory=lambda: {"CNY": 50_000})
    """While an order's refunds and open cases are at most so much, by currency in minor units, its returns are authorized by
    rule (A2); in a currency that is not named none is."""
    agent_limit: Mapping[str, int] = field(default_factory=lambda: {"CNY": 100_000})
    """Above this amount of an order's refunds and open cases, by currency in minor units, the back office approves (A3); in a
    currency that is not named it approves all."""
    return_within: timedelta = timedelta(days=14)
    """So long the buyer has to send authorized goods back (A2)."""
    case_overdue_after: timedelta = timedelta(days=2)
    """So long a case may wait for an approval, or its goods for their inspection, before staff hear of it (A7)."""
