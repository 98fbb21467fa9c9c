"""The whole system on one machine with nothing installed: PostgreSQL, broker, topics, migrations, four real processes."""

import asyncio
import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

from deploy.embedded.broker import EmbeddedBroker
from deploy.embedded.child import free_port, spawn, stop, taken
from deploy.embedded.postgres import EmbeddedError, EmbeddedPostgres
from deploy.migrate import migrate
from deploy.provision import SERVICES, provision
from deploy.topics import create_topics
from shared.runtime.auth import create_token, new_key_pair
from shared.runtime.postgres import make_pool
from shared.runtime.relay import republish
from shared.values import Actor

FIXED_PORTS = {
    "orders": 8101, "warehouse": 8102, "aftersales": 8103, "notify": 8104, "postgres": 25432, "kafka": 29092,
}  # fmt: skip


@dataclass
class Keys:
    """Secrets of one stack, made at its first start and kept in its folder."""

    passwords: dict[str, str]
    token_private_key: str
    token_public_key: str

    @classmethod
    def of(cls, folder: Path) -> "Keys":
        """The keys in a folder, made when there are none."""
        file = folder / "keys.json"
        if not file.exists():
            private, public = new_key_pair()
            roles = [f"handover_{s}{suffix}" for s in SERVICES for suffix in ("", "_owner")]
            keys = cls({role: secrets.token_urlsafe(18) for role in roles}, private, public)
            file.touch(mode=0o600)
            file.write_text(json.dumps(vars(keys)))
        return cls(**json.loads(file.read_text()))


class Stack:
    """Start and stop all parts; kill and restart single services. Use it as a context manager from the main thread."""

    def __init__(
        self,
        folder: Path,
        *,
        ports: Mapping[str, int] | None = None,
        clock_start: datetime | None = None,
        settings: Mapping[str, str] | None = None,
        partitions: int = 4,
    ) -> None:
        self.folder = folder.resolve()
        self.folder.mkdir(parents=True, exist_ok=True)
        self.ports = dict(ports or {name: free_port() for name in FIXED_PORTS})
        self.clock_start = clock_start
        self.settings = dict(settings or {})
        self.partitions = partitions
        self.keys = Keys.of(self.folder)
        self.postgres = EmbeddedPostgres(self.folder / "postgres", self.ports["postgres"])
        self.broker = EmbeddedBroker(self.folder, self.ports["kafka"])
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start everything and wait until all services are ready. Raises EmbeddedError with what is wrong."""
        for service in SERVICES:
            if taken(self.ports[service]):
                raise EmbeddedError(f"Port {self.ports[service]} ({service}) is taken; stop what listens there.")
        try:
            self.postgres.start()
            self.broker.start()
            asyncio.run(self._prepare())
            for service in SERVICES:
                self.run(service)
            self.wait_ready()
        except BaseException:
            self.stop()
            raise

    async def _prepare(self) -> None:
        await provision(self.postgres.admin_url, self.keys.passwords)
        for service in SERVICES:
            await migrate(service, self.database_url(service, owner=True))
        await create_topics(self.broker.bootstrap, partitions=self.partitions)
        for service in SERVICES:  # the broker keeps nothing: fill its topics again from the event logs
            async with make_pool(self.database_url(service)) as pool:
                await republish(pool)

    def stop(self) -> None:
        """Stop everything in order; data stays in the folder."""
        for process in self.processes.values():
            with suppress(ProcessLookupError):
                process.terminate()
        for process in self.processes.values():
            stop(process)
        self.processes.clear()
        self.broker.stop()
        self.postgres.stop()

    def run(self, service: str) -> None:
        """Start one service's process."""
        command = [sys.executable, "-m", f"services.{service}.app"]
        self.processes[service] = spawn(command, self.log_of(service), env=os.environ | self.environment(service))

    def kill(self, service: str) -> None:
        """kill -9."""
        self.processes[service].kill()
        self.processes[service].wait()

    def died(self) -> list[str]:
        """Services whose process ended without being asked to."""
        return [name for name, process in self.processes.items() if process.poll() is not None]

    def wait_ready(self, patience: float = 60) -> None:
        """Wait until every service says that it is ready. Raises EmbeddedError with the service's own reason."""
        deadline = time.monotonic() + patience
        waiting = {s: "it has not answered yet" for s in self.processes}
        while waiting:
            for service in list(waiting):
                if self.processes[service].poll() is not None:
                    tail = self.log_of(service).read_text()[-600:]
                    raise EmbeddedError(f"{service} ended while starting; see {self.log_of(service)}:\n{tail}")
                with suppress(httpx.HTTPError):
                    answer = httpx.get(f"{self.url(service)}/health/ready", timeout=3)
                    waiting[service] = "; ".join(f"{k}: {v}" for k, v in answer.json()["checks"].items() if v != "ok")
                    if answer.status_code == 200:
                        del waiting[service]
            if time.monotonic() > deadline:
                raise EmbeddedError("Not ready: " + "; ".join(f"{s} ({why})" for s, why in waiting.items()))
            time.sleep(0.1)

    def environment(self, service: str) -> dict[str, str]:
        """The settings of a service in this stack."""
        env = {
            "HANDOVER_DATABASE_URL": self.database_url(service),
            "HANDOVER_KAFKA": self.broker.bootstrap,
            "HANDOVER_KAFKA_IDEMPOTENT": "false",
            "HANDOVER_KAFKA_FETCH_WAIT_MS": "20",
            "HANDOVER_HTTP_PORT": str(self.ports[service]),
            "HANDOVER_TOKEN_PUBLIC_KEY": self.keys.token_public_key,
            "HANDOVER_MESSAGES_DIR": str(self.folder / "messages"),
        }
        if self.clock_start is not None:
            env |= {"HANDOVER_CLOCK": "driven", "HANDOVER_CLOCK_START": self.clock_start.isoformat()}
        return env | self.settings

    def database_url(self, service: str, *, owner: bool = False) -> str:
        """URL of a service's database, as its user or as its owner."""
        role = f"handover_{service}{'_owner' if owner else ''}"
        return f"postgresql://{role}:{self.keys.passwords[role]}@127.0.0.1:{self.ports['postgres']}/handover_{service}"

    def url(self, service: str) -> str:
        """Where a service answers over HTTP."""
        return f"http://127.0.0.1:{self.ports[service]}"

    def log_of(self, service: str) -> Path:
        """The log file of a service."""
        return self.folder / "logs" / f"{service}.log"

    def token(self, actor: Actor, lifetime: timedelta = timedelta(days=1)) -> str:
        """A token for somebody in this stack."""
        return create_token(self.keys.token_private_key, actor, lifetime)
