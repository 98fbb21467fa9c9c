"""`handover up`: the whole system on this machine, kept running until Ctrl-C."""

import contextlib
import signal
from types import FrameType

from rich.console import Console
from rich.table import Table

from deploy.commands.starting import told
from deploy.embedded.lock import only_one
from deploy.embedded.stack import Stack
from deploy.embedded.watch import Watch
from deploy.provision import SERVICES
from deploy.settings import UpSettings
from shared.runtime.settings import load

_console = Console()
READ_SECONDS = 60
"""How long a stop waits for what lies unread."""


def up() -> None:
    """Run the whole system on this machine: PostgreSQL, a Kafka broker and the four services. Ctrl-C stops it, data stay.

    HANDOVER_DATA_DIR says where data are kept (.handover); HANDOVER_ORDERS_PORT, …_KAFKA_PORT and so on where it listens.
    """
    settings = load(UpSettings)
    # a closed terminal and a service manager stop it like Ctrl-C, which background jobs of a shell would not notice at all
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    try:
        with told(_console), only_one(settings.data_dir):
            stack = Stack(settings.data_dir, ports=settings.ports())
            with _console.status("Starting the database, the broker and four services"):
                stack.start()
            _stay(stack)
    except KeyboardInterrupt:  # while starting: everything was stopped on the way here
        _console.print("Stopped.")


def _stay(stack: Stack) -> None:
    try:
        _console.print(_addresses(stack))
        _console.print("Ready. Ctrl-C stops it; orders stay.")
        Watch(stack, _say).run()
    except KeyboardInterrupt:
        _console.print("Stopping …")
        _read_the_rest(stack)
    finally:
        stack.stop()
    _console.print(f"Stopped. Data are kept in {stack.folder}.")


def _read_the_rest(stack: Stack) -> None:
    try:
        left, silent = stack.finish_reading(READ_SECONDS)
    except KeyboardInterrupt:  # again: at once, then
        left, silent = stack.finish_reading(0)
    if silent:
        _say(
            f"{' and '.join(silent)} did not say whether all was read, and the broker keeps nothing: "
            "send again what was not answered."
        )
    if left:
        _say(
            f"{left} records of the inboxes were not read, and the broker does not keep them: send them again."
        )


def _say(sentence: str) -> None:
    with contextlib.suppress(OSError):  # our output goes to a disk that is full: all the more reason to go on
        _console.print(sentence, style="yellow", markup=False)


def _addresses(stack: Stack) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False)
    for service in SERVICES:
        table.add_row(service, stack.url(service))
    table.add_row("Kafka", stack.broker.bootstrap)
    table.add_row(
        "PostgreSQL", f"127.0.0.1:{stack.ports['postgres']}, passwords in {stack.folder / 'keys.json'}"
    )
    table.add_row("logs", str(stack.folder / "logs"))
    return table


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
