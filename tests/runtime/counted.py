"""A service on empty tables, whose statements are counted: what tests of budgets ask."""

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from sqlalchemy import MetaData

from shared.runtime.messages import Incoming, Status
from shared.runtime.postgres import Pool
from tests.harness import Bench

SOME, MANY = 49, 151
"""Messages of two batches that cost the same. Fewer would be loaded together, whatever their tables (`postgres.FEW`)."""
ALL = 1 + SOME + MANY


class Counted:
    """A bench whose turns are on the database `pool`; `trips` are the statements that were sent since they were cleared."""

    def __init__(self, bench: Bench[Any], pool: Pool, trips: list[str]) -> None:
        self.bench = bench
        self.pool = pool
        self.trips = trips

    async def cost(self, messages: Iterable[Incoming], becomes: Status = Status.DONE) -> list[str]:
        """The statements of a turn on these messages."""
        messages = list(messages)
        self.trips.clear()
        outcomes = await self.bench.turns.run(messages)
        assert {o.status for o in outcomes} == {becomes}
        return list(self.trips)

    async def cost_of_timers(self, count: int) -> list[str]:
        """The statements of a turn on so many timers, all that are due."""
        self.trips.clear()
        assert await self.bench.turns.run_timers() == count
        return list(self.trips)

    async def holds(
        self, message: Callable[[int], Incoming], *, one: int, batch: int, becomes: Status = Status.DONE
    ) -> None:
        """So many statements at most for one message, and for a batch of any size. `message` makes them, of ALL orders."""
        single = await self.cost([message(0)], becomes)
        some = await self.cost(map(message, range(1, 1 + SOME)), becomes)
        many = await self.cost(map(message, range(1 + SOME, ALL)), becomes)
        assert many == some
        assert len(many) <= batch, many
        assert len(single) <= one, single

    async def count(self, table: str, where: str) -> int:
        """Rows of a table."""
        return int(await self.pool.fetchval(f"SELECT count(*) FROM {table} WHERE {where}"))


OnPostgres = Callable[[Bench[Any], MetaData], Awaitable[Counted]]
"""Takes a bench to empty tables of its service."""
