"""A hand held into each transaction of a store, to make turns meet or to break them at a chosen step."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

from tests.runtime.probe import NOTES
from tests.runtime.waiting import PATIENCE

Step = Callable[[Any], Awaitable[None]]


async def _nothing(connection: Any) -> None:
    pass


class Meddled:
    """A store with a hand in it: calls back at steps of each transaction, with its connection. Put it into `turns.store`."""

    def __init__(
        self, store: Any, *, opened: Step = _nothing, saving: Step = _nothing, committed: Step = _nothing
    ) -> None:
        self.store = store
        self.opened, self.saving, self.committed = opened, saving, committed
        self.loaded: Step = _nothing
        self.attempts = 0

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Any]:
        self.attempts += 1
        async with self.store.transaction() as transaction:
            await self.opened(transaction.connection)
            yield _Meddled(self, transaction)
        await self.committed(None)

    async def any_due(self, now: datetime) -> bool:
        return bool(await self.store.any_due(now))


class _Meddled:
    def __init__(self, store: Meddled, transaction: Any) -> None:
        self.store = store
        self.transaction = transaction

    def __getattr__(self, name: str) -> Any:
        return getattr(self.transaction, name)

    async def load(self, asks: Sequence[Any]) -> Any:
        found = await self.transaction.load(asks)
        if any(ask.rows is NOTES for ask in asks):
            await self.store.loaded(self.transaction.connection)
        return found

    async def save(self, changes: Any) -> None:
        await self.store.saving(self.transaction.connection)
        await self.transaction.save(changes)


class Meeting:
    """Lets the first `count` that come wait for one another, and all later ones pass."""

    def __init__(self, count: int = 2) -> None:
        self._left = count
        self._all = asyncio.Barrier(count)

    async def __call__(self, connection: Any) -> None:
        if self._left:
            self._left -= 1
            await asyncio.wait_for(self._all.wait(), PATIENCE)


class Gate:
    """Holds whoever comes until it is opened."""

    def __init__(self) -> None:
        self.reached, self.opened = asyncio.Event(), asyncio.Event()

    async def hold(self, connection: Any) -> None:
        self.reached.set()
        await asyncio.wait_for(self.opened.wait(), PATIENCE)


def once(step: Step) -> Step:
    """Only the first time."""
    done = False

    async def first(connection: Any) -> None:
        nonlocal done
        if not done:
            done = True
            await step(connection)

    return first
