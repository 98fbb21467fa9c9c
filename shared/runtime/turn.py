"""The turn: the one place where anything a service does happens.

Four doors lead here (Kafka, HTTP, timers, retry of parked messages). A turn is pure but for its one transaction, so it simply
runs again when the database says so; what one attempt does is in `attempt.py`.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Generic, TypeVar

import structlog

from shared.runtime.attempt import Attempt
from shared.runtime.bookkeeper import storable
from shared.runtime.clock import Clock
from shared.runtime.desk import Desk
from shared.runtime.messages import Envelope, Incoming, Outcome
from shared.runtime.service import Service
from shared.runtime.store import Changes, Store, TryAgain, Unfit

D = TypeVar("D", bound=Desk)
log = structlog.get_logger(__name__)

TRIES = 20
"""How often a turn runs again for a race before it gives up; each try waits a little longer."""


class Turns(Generic[D]):
    """Runs turns of one service on one store. `after_commit` is called with the outcomes of each turn."""

    def __init__(self, service: Service[D], store: Store, clock: Clock) -> None:
        self.service = service
        self.store = store
        self.clock = clock
        self.after_commit: list[Callable[[Sequence[Incoming], Sequence[Outcome], Changes], None]] = []
        self.took: list[Callable[[float, Sequence[Incoming], Sequence[Outcome]], None]] = []
        """Called after each turn that did something, with its seconds from its first try to its commit."""
        self.onward: Callable[[Envelope], str | None] = lambda cause: cause.trace
        """The traceparent of what a message causes."""
        self.back_off = back_off
        self.first: Callable[[], Awaitable[None]] | None = None
        """Done before the first turn. Raises Unavailable where it cannot be done yet: then the turn is not run either."""

    async def run(self, messages: Sequence[Incoming]) -> list[Outcome]:
        """Handle messages in order and commit; outcomes are in the same order.

        Raises Unavailable when the database is away: nothing was changed, run it again later.
        """
        try:
            return (await self._again(lambda: Attempt(self, list(messages))))[1]
        except Unfit as unfit:
            if len(messages) == 1:
                message = _nameable(messages[0], unfit)
                return (await self._again(lambda: Attempt(self, [message])))[1]
            half = len(messages) // 2
            return await self.run(messages[:half]) + await self.run(messages[half:])

    async def run_timers(
        self, limit: int = 200, until: datetime | None = None, names: Sequence[str] | None = None
    ) -> int:
        """Handle timers, of these names or of all, that are due now or were at another time; returns how many were claimed."""
        unfit: set[str] = set()
        while True:
            try:
                claiming = partial(Attempt, self, [], claim=limit, until=until, names=names, unfit=unfit)
                return len((await self._again(claiming))[0])
            except Unfit as error:
                if limit > 1:
                    limit //= 2
                elif unfit.issuperset(error.claimed):
                    raise
                else:  # by its name: the next look may find another, if somebody else has this one by then
                    unfit.update(error.claimed)

    async def _again(self, make: Callable[[], Attempt[D]]) -> tuple[list[Incoming], list[Outcome]]:
        if self.first is not None:
            await self.first()
            self.first = None
        began = time.perf_counter()
        for tries in range(TRIES):
            attempt = make()
            try:
                done = await attempt.run()
            except Unfit as unfit:
                unfit.claimed = attempt.claimed
                raise
            except TryAgain as reason:
                if tries == TRIES - 1:  # never a race: two rows of this very turn exclude each other
                    exclusion = Unfit(str(reason))
                    exclusion.claimed = attempt.claimed
                    raise exclusion from reason
                log.debug("turn runs again", service=self.service.name, reason=str(reason))
                await self.back_off(tries)
            else:
                if done[0]:
                    seconds = time.perf_counter() - began
                    for hook in self.took:
                        hook(seconds, *done)
                return done
        raise AssertionError("unreachable")


async def back_off(tries: int) -> None:
    """Wait before a turn runs again for a race, each time a little longer, and never in step with whoever it raced."""
    await asyncio.sleep(random.uniform(0, 0.002 * 2 ** min(tries, 7)))  # noqa: S311  spreads retries, no secret


def _nameable(incoming: Incoming, error: Unfit) -> Incoming:
    """The message as it can always be parked: whatever the database refused in its names is replaced."""
    said = incoming.envelope
    envelope = replace(
        said,
        id=storable(said.id),
        source=storable(said.source),
        type=storable(said.type),
        stream=storable(said.stream),
    )
    return replace(incoming, envelope=envelope, lane=storable(incoming.lane), error=error)
