"""A host's clock may be wrong: the replicas of a service share the time of their database (X2)."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.runtime import clock, running
from shared.runtime.running import Runtime
from tests.runtime.probe import Probe
from tests.runtime.waiting import until

pytestmark = pytest.mark.requirement("X2")


class WrongComputer(datetime):
    """Says the time that a computer has whose clock is off."""

    off = 3600.0

    @classmethod
    def now(cls, tz: Any = None) -> "WrongComputer":
        return cls.fromtimestamp(time.time() + cls.off, tz)


async def off(runtime: Runtime) -> timedelta:
    """How far the clock of a service is from its database's."""
    right: datetime = await runtime.pool.fetchval("SELECT clock_timestamp()")
    return abs(runtime.clock.now() - right)


async def test_a_service_goes_by_the_clock_of_its_database(probe: Probe, monkeypatch: pytest.MonkeyPatch):
    await probe.topics()
    monkeypatch.setattr(clock, "datetime", WrongComputer)
    writer = await probe.writer()
    assert await off(writer) > timedelta(minutes=59)
    await writer.start()
    await until(lambda: writer.intake.trouble is None)
    assert await off(writer) < timedelta(seconds=2)
    monkeypatch.setattr(WrongComputer, "off", -3600.0)
    assert await off(writer) < timedelta(seconds=2)


@pytest.mark.parametrize("seconds", [3600.0, -3600.0])
async def test_a_host_whose_clock_is_wrong_says_how_far(
    probe: Probe, monkeypatch: pytest.MonkeyPatch, seconds: float
):
    """Tokens end by that clock, and an alert goes by this."""
    monkeypatch.setattr(running, "datetime", WrongComputer)
    monkeypatch.setattr(WrongComputer, "off", seconds)
    writer = await probe.writer()
    await writer.start()

    def told() -> float:
        return writer.metrics.registry.get_sample_value("handover_host_clock_ahead_seconds") or 0.0

    await until(lambda: abs(told() - seconds) < 2)


@pytest.mark.parametrize(
    ("said", "certain"), [(-3600, 3600), (-1, 1), (0, 0), (8, 0), (9, 0), (12, -3), (3609, -3600)]
)
def test_an_answer_that_took_long_makes_no_clock_wrong(said: float, certain: float):
    """It was asked for, and came nine seconds later."""
    asked = datetime(2026, 3, 2, tzinfo=UTC)
    there, answered = asked + timedelta(seconds=said), asked + timedelta(seconds=9)
    assert clock.ahead(asked, there, answered) == certain


async def test_a_clock_that_drifts_is_set_again(probe: Probe, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(running, "SYNC_SECONDS", 0.05)
    writer = await probe.writer()
    await writer.start()
    await until(lambda: writer.relay.trouble != "starting")
    assert isinstance(writer.clock, clock.WallClock)
    writer.clock.set(writer.clock.now() + timedelta(hours=1))

    async def right() -> bool:
        return await off(writer) < timedelta(seconds=2)

    await until(right)
