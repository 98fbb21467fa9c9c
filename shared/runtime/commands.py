"""The HTTP door: many requests at once share a turn (group commit), each with its own answer."""

import asyncio
import hashlib
import time
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import uuid4

from shared.runtime.messages import Command, Door, Envelope, Incoming, Outcome, Refused, Status
from shared.runtime.store import Unavailable
from shared.runtime.tasks import end
from shared.runtime.turn import Turns
from shared.values import Actor

MOST_AT_ONCE = 200
MOST_WAITING = 5000
WORKERS = 2
"""Turns in flight: while one waits for the database, the next is filled."""
PATIENCE = 5.0
"""Seconds that a request waits for a database that is away."""
REMEMBERED = 5
"""Seconds that a service calls itself unwell after a request that the database failed, if no other went well since: nobody
may ask again, least of all while it is unwell."""


class Busy(Exception):
    """More requests wait than the service will hold; try again shortly."""


class CommandFailed(Exception):
    """A bug of ours met while handling the command; nothing was changed."""


class Commands:
    """Takes commands and inbox events that came over HTTP through turns."""

    def __init__(self, turns: Turns[Any]) -> None:
        self.turns = turns
        self._waiting: asyncio.Queue[tuple[Incoming, asyncio.Future[Outcome]]] = asyncio.Queue(MOST_WAITING)
        self._workers: list[asyncio.Task[None]] = []
        self._stopped = False
        self._failed: tuple[float, str] | None = None
        """When the database failed a request last, and how; None once one went well."""
        self._trying = 0
        """Turns under way: one that waits for a lock does so for as long as a statement may take."""

    @property
    def trouble(self) -> str | None:
        """A sentence when requests cannot be done; a database may answer and still take nothing, as when its disk is full."""
        if self._failed is None or (not self._trying and time.monotonic() - self._failed[0] > REMEMBERED):
            return None
        return f"the database cannot be reached: {self._failed[1]}"

    def start(self) -> None:
        """Begin to take requests."""
        self._workers = [asyncio.create_task(self._work()) for _ in range(WORKERS)]

    async def stop(self) -> None:
        """Stop; requests still waiting are told to try again."""
        self._stopped = True
        await end(self._workers)
        while not self._waiting.empty():
            _settle([self._waiting.get_nowait()], Busy("the service is stopping"))

    async def ask(
        self, command: Command, actor: Actor, *, key: str | None = None, trace: str | None = None
    ) -> Any:
        """The answer to a command. With an idempotency key a retry gets the first answer, also after a crash.

        Raises Refused, Busy, Unavailable or CommandFailed.
        """
        return answer_of(await self.tell(command, actor, key=key, trace=trace))

    async def tell(
        self, command: Command, actor: Actor, *, key: str | None = None, trace: str | None = None
    ) -> Outcome:
        """What became of a command. Raises Busy or Unavailable."""
        return await self.put(asked(command, actor, self.turns.clock.now(), key=key, trace=trace))

    async def put(self, incoming: Incoming) -> Outcome:
        """Take one message through the next turn. Raises Busy or Unavailable."""
        if self._stopped:
            raise Busy("the service is stopping")
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        try:
            self._waiting.put_nowait((incoming, future))
        except asyncio.QueueFull:
            raise Busy("too many requests are waiting") from None
        return await future

    async def _work(self) -> None:
        while True:
            batch = [await self._waiting.get()]
            while len(batch) < MOST_AT_ONCE and not self._waiting.empty():
                batch.append(self._waiting.get_nowait())
            batch = [(m, f) for m, f in batch if not f.done()]
            if not batch:  # whoever asked has gone
                continue
            try:
                outcomes = await self._patiently([m for m, _ in batch])
            except asyncio.CancelledError:
                _settle(batch, Busy("the service is stopping"))
                raise
            except Exception as error:
                _settle(batch, error)
            else:
                for (_, future), outcome in zip(batch, outcomes, strict=True):
                    if not future.done():
                        future.set_result(outcome)

    async def _patiently(self, messages: list[Incoming]) -> list[Outcome]:
        give_up = asyncio.get_running_loop().time() + PATIENCE
        while True:
            self._trying += 1
            try:
                outcomes = await self.turns.run(messages)
            except Unavailable as away:
                self._failed = time.monotonic(), str(away)
                if asyncio.get_running_loop().time() > give_up:
                    raise
                await asyncio.sleep(0.2)
            else:
                self._failed = None
                return outcomes
            finally:
                self._trying -= 1


def asked(
    command: Command, actor: Actor, now: datetime, *, key: str | None = None, trace: str | None = None
) -> Incoming:
    """A command as it comes through the HTTP door; `key` is its Idempotency-Key."""
    name = type(command).__name__
    # also without a key: a commit whose answer was lost is not done twice when the turn runs again
    # what says nothing is left out, so that a field that a newer version adds makes no other command of it
    said = command.model_dump_json(exclude_defaults=True)
    digest = hashlib.sha256(name.encode() + b"\0" + said.encode()).digest()
    envelope = Envelope(key or str(uuid4()), str(actor), name, "", now, actor, trace=trace)
    return Incoming(envelope, Door.HTTP, "", command, digest=digest)


def _settle(batch: Sequence[tuple[Incoming, asyncio.Future[Outcome]]], error: Exception) -> None:
    for _, future in batch:
        if not future.done():
            future.set_exception(error)


def answer_of(outcome: Outcome) -> Any:
    """What the sender is told. Raises Refused, or CommandFailed for a bug."""
    if (refusal := outcome.refusal) is not None:
        # a fresh one: it may be shared by many messages, and each raise would add to its traceback
        again = outcome.status is Status.DUPLICATE
        raise Refused(refusal.code, refusal.detail, field=refusal.field, status=refusal.status, again=again)
    if outcome.status is Status.FAILED:
        raise CommandFailed from outcome.error
    if outcome.status in (Status.PARKED, Status.QUEUED):
        raise Refused("parked", "the message was set aside and will be looked at", status=503)
    return outcome.answer
