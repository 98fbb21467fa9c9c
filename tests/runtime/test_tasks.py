"""Loops go on, whatever happens in them, and end when they are told to."""

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


async def test_a_loop_that_ends_by_an_error_is_said_and_begun_again(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tasks, "PAUSE", 0.01)
    begun: list[int] = []

    async def brittle() -> None:
        begun.append(len(begun))
        if len(begun) < 3:
            raise OSError(28, "No space left on device")
        await asyncio.sleep(60)

    loops = tasks.Loops()
    loops.begin(brittle)
    assert loops.trouble is None
    async with asyncio.timeout(5):
        while len(begun) < 3:
            await asyncio.sleep(0.01)
    assert loops.trouble is not None
    assert "brittle (OSError)" in loops.trouble
    monkeypatch.setattr(tasks, "REMEMBERED", 0)
    assert loops.trouble is None, "that was long ago"
    await loops.end()


async def test_a_loop_that_is_done_is_not_begun_again():
    begun: list[int] = []

    async def short() -> None:
        begun.append(1)

    loops = tasks.Loops()
    loops.begin(short)
    await asyncio.sleep(0.01)
    await loops.end()
    assert begun == [1]
    assert loops.trouble is None


async def test_a_loop_that_ends_by_itself_is_given_time_for_it_and_another_is_not_waited_for_longer():
    stop, ended = tasks.Signal(), []

    async def tidy() -> None:
        await stop.within(60)
        await asyncio.sleep(0.01)
        ended.append("tidy")

    loops = tasks.Loops()
    loops.begin(tidy)
    loops.begin(lambda: asyncio.sleep(60))
    await stop.within(0.01)
    stop.set()
    async with asyncio.timeout(5):
        await loops.end(0.1)
    assert ended == ["tidy"]
