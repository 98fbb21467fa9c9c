"""Runs a service on a host that can be broken at a named point: `python -m tests.faults.host services.orders.app`.

The product has no hooks for faults. Here its steps are wrapped from outside: when the file of a point appears in the folder
that FAULTS_FOLDER names, the next step that comes to this point takes the file away and sends its own process the signal that
the file names: SIGKILL, as `kill -9` would, or SIGSTOP, once it has written down in the file `in_hand` what another would have
to take over. The file `clock` holds seconds by which this host's clock is wrong. SIGUSR1 writes to the log what every task
waits for.
"""

import asyncio
import importlib
import inspect
import json
import os
import signal
import sys
import time
from contextvars import ContextVar
from datetime import datetime
from pathlib import Path
from typing import Any

from shared.runtime.commands import Commands
from shared.runtime.intake import Intake
from shared.runtime.outbox import Outbox
from shared.runtime.postgres import PostgresTransaction
from shared.runtime.relay import Relay
from shared.values import ActorKind

POINTS = (
    "before_commit", "before_offsets", "before_sending", "before_deleting", "before_answering", "before_booking",
)  # fmt: skip
"""Where a process can be made to die or to stand still; see `wrap`."""

IN_TURN: ContextVar[list[Any] | None] = ContextVar("in turn", default=None)
"""Topic, partition and offset of the first record of the turn in progress; None in a turn of another door."""


class Host:
    """The files by which this process is told to break."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def come_to(self, point: str, in_hand: list[Any] | None = None) -> None:
        """Break here and now if that was asked for; it stands still only with something in hand that another can take over."""
        file = self.folder / point
        try:
            how = file.read_text()
            if not how or (how == "SIGSTOP" and in_hand is None):
                return
            file.unlink()
        except FileNotFoundError:
            return
        (self.folder / "in_hand").write_text(json.dumps(in_hand))
        os.kill(os.getpid(), signal.Signals[how])

    def wrong_by(self) -> float:
        """How many seconds the clock of this host is off."""
        try:
            return float((self.folder / "clock").read_text())
        except (OSError, ValueError):
            return 0.0


def tell_tasks() -> None:
    """Write to the log where every task of this process stands: what a replica that does nothing waits for."""
    for task in asyncio.all_tasks():
        places: list[str] = []
        awaited: Any = task.get_coro()
        while awaited is not None:
            frame = getattr(awaited, "cr_frame", None) or getattr(awaited, "gi_frame", None)
            if frame is None:
                places.append(repr(awaited))
                break
            places.append(f"{frame.f_code.co_filename}:{frame.f_lineno} {frame.f_code.co_qualname}")
            awaited = getattr(awaited, "cr_await", None) or getattr(awaited, "gi_yieldfrom", None)
        print(f"task {task.get_name()}", *places, sep="\n    ", file=sys.stderr, flush=True)


def wrap(host: Host) -> None:
    """Put the points into the runtime's steps."""
    save, apply, put, start = PostgresTransaction.save, Intake._apply, Commands.put, Intake.start
    send, sent = Relay._send, Outbox.sent

    async def telling_start(self: Any) -> None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, tell_tasks)
        await start(self)

    async def breaking_save(self: Any, changes: Any) -> None:
        await save(self, changes)
        host.come_to("before_commit", IN_TURN.get())

    async def breaking_apply(self: Any, messages: Any) -> None:
        first = messages[0].raw
        IN_TURN.set([first.topic, first.partition, first.offset])  # the task of this turn ends with it
        await apply(self, messages)
        host.come_to("before_offsets", IN_TURN.get())

    async def breaking_send(self: Any, outbox: Any, producer: Any, unsent: Any) -> int:
        host.come_to("before_sending", list(unsent))
        return await send(self, outbox, producer, unsent)

    async def breaking_sent(self: Any, done: Any) -> None:  # Kafka has acknowledged them
        host.come_to("before_deleting", list(done))
        await sent(self, done)

    async def breaking_put(self: Any, incoming: Any) -> Any:
        outcome = await put(self, incoming)
        if (
            incoming.envelope.actor.kind is not ActorKind.SERVICE
        ):  # what a sender says to its own service is no request
            host.come_to("before_answering")
        return outcome

    PostgresTransaction.save = breaking_save  # type: ignore[method-assign]
    Intake.start = telling_start  # type: ignore[method-assign]
    Intake._apply = breaking_apply  # type: ignore[method-assign]
    Relay._send = breaking_send  # type: ignore[method-assign]
    Outbox.sent = breaking_sent  # type: ignore[method-assign]
    Commands.put = breaking_put  # type: ignore[method-assign]
    if letters := sys.modules.get("services.notify.sender"):
        wrap_sender(host, letters.Sender)


def wrap_sender(host: Host, sender: Any) -> None:
    """The point between handing letters over and booking them, where notify runs."""
    book = sender._book

    async def breaking_book(self: Any, name: str, results: Any, lease: Any) -> None:
        if not all(result.error for result in results):
            host.come_to("before_booking")
        await book(self, name, results, lease)

    sender._book = breaking_book


def shift_clock(host: Host) -> None:
    """Let all that is loaded ask a computer whose clock is as wrong as the file says, whenever that appears.

    Only the dates of log lines, and those that the Kafka client writes into records, stay right: nothing acts on them.
    """
    right, right_ns = time.time, time.time_ns
    time.time = lambda: right() + host.wrong_by()
    time.time_ns = lambda: right_ns() + int(host.wrong_by() * 1e9)

    class WrongTime(datetime):
        """What a computer says whose clock is wrong."""

        @classmethod
        def now(cls, tz: Any = None) -> datetime:  # type: ignore[override]
            return datetime.fromtimestamp(
                time.time(), tz
            )  # a plain one, for it is written out like any other

    for name, module in list(sys.modules.items()):
        ours = name.startswith(("shared.", "services.")) and getattr(module, "datetime", None) is datetime
        if ours and "datetime.now(" in inspect.getsource(module):
            module.datetime = WrongTime  # type: ignore[attr-defined]


if __name__ == "__main__":
    app = importlib.import_module(sys.argv[1])
    this_host = Host(Path(os.environ["FAULTS_FOLDER"]))
    shift_clock(this_host)
    wrap(this_host)
    app.main()
