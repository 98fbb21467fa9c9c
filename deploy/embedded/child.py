"""Child processes that never outlive us."""

import ctypes
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

_PR_SET_PDEATHSIG = 1


def spawn(
    command: Sequence[str], log: Path, *, env: Mapping[str, str] | None = None, user: int | None = None
) -> subprocess.Popen[bytes]:
    """Start a child whose output goes to `log`; it is killed by the kernel when we die (Linux).

    Must be called from the main thread: the death signal follows the thread that forked.
    """
    assert threading.current_thread() is threading.main_thread()
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        return subprocess.Popen(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=dict(env) if env is not None else None,
            preexec_fn=_before_exec(user),
            start_new_session=True,  # Ctrl-C reaches us alone; we stop the children in order
        )


def _before_exec(user: int | None) -> Callable[[], None]:
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None
    parent = os.getpid()

    def before_exec() -> None:
        if user is not None:
            os.setgroups([])
            os.setgid(user)
            os.setuid(user)
        if libc is not None:
            libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != parent:  # the parent died between fork and prctl
                os._exit(1)

    return before_exec


def stop(process: subprocess.Popen[bytes], number: int = signal.SIGTERM, patience: float = 15) -> None:
    """Ask a child to end; kill it when it does not within `patience` seconds."""
    if process.poll() is not None:
        return
    process.send_signal(number)
    try:
        process.wait(patience)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def free_port() -> int:
    """A TCP port on loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def taken(port: int) -> bool:
    """True when somebody listens on this loopback port."""
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0
