"""Runs a service on a host that can be broken at a named point: `python -m tests.faults.host services.orders.app`.

The product has no hooks for faults. Here its steps are wrapped from outside: when the file of a point appears in the folder
that FAULTS_FOLDER names, the next step that comes to this point takes the file away and kills the process, as `kill -9` would.
The file `clock` holds seconds by which this host's clock is wrong. SIGUSR1 writes to the log what every task waits for.
"""

import asyncio
import os
import runpy
import signal
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Any

from shared.runtime import clock, inbox
from shared.runtime.commands import Commands
from shared.runtime.intake import Intake
from shared.runtime.outbox import Outbox
from shared.runtime.postgres import PostgresTransaction
from shared.runtime.relay import Relay

POINTS = ("before_commit", "before_offsets", "before_sending", "before_deleting", "before_answering")
"""Where a process can be made to die; see `wrap`."""


class Host:
    """The files by which this process is told to break."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def die_at(self, point: str) -> None:
        """End here and now if that was asked for."""
        file = self.folder / point
        if file.exists():
            file.unlink(missing_ok=True)
            os.kill(os.getpid(), signal.SIGKILL)

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

    async def dying_save(self: Any, changes: Any) -> None:
        await save(self, changes)
        host.die_at("before_commit")

    async def dying_apply(self: Any, messages: Any) -> None:
        await apply(self, messages)
        host.die_at("before_offsets")

    async def dying_send(self: Any, outbox: Any, producer: Any, unsent: Any) -> int:
        host.die_at("before_sending")
        return await send(self, outbox, producer, unsent)

    async def dying_sent(self: Any, done: Any) -> None:  # Kafka has acknowledged them
        host.die_at("before_deleting")
        await sent(self, done)

    async def dying_put(self: Any, incoming: Any) -> Any:
        outcome = await put(self, incoming)
        host.die_at("before_answering")
        return outcome

    class WrongTime(datetime):
        """What a computer says whose clock is wrong."""

        @classmethod
        def now(cls, tz: Any = None) -> "WrongTime":
            return cls.fromtimestamp(time.time() + host.wrong_by(), tz)

    PostgresTransaction.save = dying_save  # type: ignore[method-assign]
    Intake.start = telling_start  # type: ignore[method-assign]
    Intake._apply = dying_apply  # type: ignore[method-assign]
    Relay._send = dying_send  # type: ignore[method-assign]
    Outbox.sent = dying_sent  # type: ignore[method-assign]
    Commands.put = dying_put  # type: ignore[method-assign]
    clock.datetime = inbox.datetime = WrongTime  # type: ignore[attr-defined]


if __name__ == "__main__":
    wrap(Host(Path(os.environ["FAULTS_FOLDER"])))
    sys.argv = sys.argv[1:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
