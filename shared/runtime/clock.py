"""The clock is injected: the wall, or one that a driver moves by events on the `clock` topic, so that weeks run in seconds."""

import asyncio
from datetime import UTC, datetime
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
    """The computer's clock."""

    driven = False

    def now(self) -> datetime:
        """The present instant, UTC."""
        return datetime.now(UTC)

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
