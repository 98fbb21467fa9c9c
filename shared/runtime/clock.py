"""The clock is injected: the wall, or one that a driver moves by events on the `clock` topic, so that weeks run in seconds."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """What time it is, and a way to wait for another time."""

    driven: bool
    """True when it stands still between the ticks of a driver."""

    def now(self) -> datetime:
        """The present instant, UTC."""
        ...

    async def moved(self, seconds: float) -> None:
        """Return after so many real seconds, or at once when a driver moved the clock."""
        ...


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

    async def moved(self, seconds: float) -> None:
        """Wait so many real seconds."""
        await asyncio.sleep(seconds)


class DrivenClock:
    """Stands still until a driver moves it; never goes back."""

    driven = True

    def __init__(self, start: datetime) -> None:
        self._now = start.astimezone(UTC)
        self._moved = asyncio.Event()

    def now(self) -> datetime:
        """The time that the driver set last."""
        return self._now

    def move_to(self, now: datetime) -> None:
        """Set the time; an earlier one is ignored, so that a clock event read twice does no harm."""
        if now > self._now:
            self._now = now.astimezone(UTC)
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()

    async def moved(self, seconds: float) -> None:
        """Return when the driver moves the clock, or after so many real seconds."""
        try:
            await asyncio.wait_for(self._moved.wait(), seconds)
        except TimeoutError:
            return
