"""Child processes that never outlive us, the ports they listen on and the folders they live in."""

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

_TETHER = Path(__file__).with_name("tether.py")
_PORTS = range(15_000, 25_000)
"""Free ports are looked for here: below the ports that systems give to outgoing connections, which would take one from us
between looking and listening."""


class EmbeddedError(Exception):
    """An embedded part cannot run here; says why and what to do."""


def spawn(
    command: Sequence[str],
    log: Path,
    *,
    env: Mapping[str, str] | None = None,
    user: int | None = None,
    far: bool = False,
    on_our_death: signal.Signals = signal.SIGKILL,
) -> subprocess.Popen[bytes]:
    """Start a child whose output goes to `log`; when we die, however, the kernel sends it `on_our_death` (Linux).

    `user` is the uid it runs under; `far` lets that user look into folders closed to it. The child has a session of its own:
    Ctrl-C reaches us alone and we stop the children in order. Raises RuntimeError outside the main thread: the kernel ties a
    child to the thread that forked it.
    """
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError(
            "start child processes from the main thread: they end with the thread that started them"
        )
    log.parent.mkdir(parents=True, exist_ok=True)
    tether = [sys.executable, "-IS", str(_TETHER), str(os.getpid()), str(int(on_our_death)),
              str(-1 if user is None else user), str(int(far))]  # fmt: skip
    with log.open("ab") as output:
        return subprocess.Popen(
            [*tether, *command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=env,
            start_new_session=True,
        )


def stop(
    process: subprocess.Popen[bytes], number: signal.Signals = signal.SIGTERM, patience: float = 15
) -> None:
    """Ask a child to end; kill it when it does not within `patience` seconds."""
    if process.poll() is not None:
        return
    process.send_signal(number)
    try:
        process.wait(patience)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def size_of(log: Path) -> int:
    """How many bytes a log has; a child adds to what earlier ones wrote."""
    return log.stat().st_size if log.exists() else 0


def last_lines(log: Path, begin: int, count: int = 5) -> str:
    """The end of a log, for a person who must see why something did not start: of what was written after its first `begin`
    bytes."""
    if not log.exists():
        return ""
    with log.open("rb") as file:
        file.seek(begin)
        return "\n".join(file.read().decode(errors="replace").splitlines()[-count:])


def free_port() -> int:
    """A TCP port on loopback that nobody listens on; never one that was given before, here or to a process that still runs."""
    # not the common generator: test tools seed it, and then processes side by side draw the same ports
    for port in random.SystemRandom().sample(_PORTS, len(_PORTS)):
        holder = socket.socket(type=socket.SOCK_DGRAM)  # UDP, so as not to be in the way
        try:
            holder.bind(("127.0.0.1", port))
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", port))
        except OSError:
            holder.close()
        else:
            # open until we end: nobody is given it before the one it is meant for listens there, which takes a while
            holder.detach()
            return port
    raise EmbeddedError("No free port is left on this machine.")


def taken(port: int) -> bool:
    """True when somebody listens on this loopback port."""
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def refuse_taken(port: int, what: str) -> None:
    """Raises EmbeddedError when `port`, wanted by `what`, is taken."""
    if taken(port):
        raise EmbeddedError(
            f"Port {port}, wanted by {what}, is taken: stop what listens there, or choose another with "
            f"HANDOVER_{what.upper()}_PORT."
        )


@contextlib.contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder that is removed at the end; others may pass through it, so that PostgreSQL need not run as root."""
    folder = Path(tempfile.mkdtemp(prefix="handover-"))
    folder.chmod(0o711)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
