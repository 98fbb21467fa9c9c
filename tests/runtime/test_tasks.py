"""Loops end when they are told to."""

import asyncio

import pytest

from shared.runtime import tasks


async def test_a_loop_whose_cancellation_is_lost_in_an_error_ends_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(tasks, "AGAIN", 0.01)
    lost: list[str] = []

    async def stubborn() -> None:
        while True:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                if len(lost) == 2:
                    raise
                lost.append("as a driver does whose connection is cut")

    loop = asyncio.create_task(stubborn())
    done = asyncio.create_task(asyncio.sleep(0))
    await asyncio.sleep(0)
    await tasks.end([loop, done])
    assert loop.cancelled()
    assert len(lost) == 2
