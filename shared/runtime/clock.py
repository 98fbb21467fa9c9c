"""The clock is injected: the wall, or one that a driver moves by events on the `clock` topic, so that weeks run in seconds."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """What time it is."""

    driven: bool
    """True when it stands still between the ticks of a driver."""

    def now(self) -> datetime:
        """The present instant, UTC."""
        ...


def ahead(asked: datetime, said: datetime, answered: datetime) -> float:
    """Seconds that our clock is ahead of another, which said its time between two looks at ours. No more than is certain: an
    answer that took long makes no clock wrong."""
    return max((asked - said).total_seconds(), min((answered - said).total_seconds(), 0.0))


class WallClock:
    """The time that the service's database has, which all its replicas share; until it was asked, the computer's.

    Between two answers it runs by the computer's monotonic clock: a host whose clock is wrong or jumps does not find timers due
    that are not, nor promise messages for an hour that the other replicas wait for.
    """

    driven = False

    def __init__(self) -> None:
        self._base = datetime.now(UTC)
        self._at = time.monotonic()

    def now(self) -> datetime:
        """The present instant, UTC."""
        return self._base + timedelta(seconds=time.monotonic() - self._at)

    def set(self, now: datetime) -> None:
        """What the database just said."""
        self._base, self._at = now.astimezone(UTC), time.monotonic()


class DrivenClock:
    """Stands still until a driver moves it; never goes back."""

    driven = True

    def __init__(self, start: datetime) -> None:
        self._now = start.astimezone(UTC)
        self.moved: Callable[[], None] = lambda: None
        """Called when a driver moved it."""

    def now(self) -> datetime:
        """The time that the driver set last."""
        return self._now

    def move_to(self, now: datetime) -> None:
        """Set the time; an earlier one is ignored, so that a clock event read twice does no harm."""
        if now > self._now:
            self._now = now.astimezone(UTC)
            self.moved()
