"""The whole system on one machine with nothing installed: PostgreSQL, broker, topics, migrations, four real processes."""

import asyncio
import os
import shutil
import ssl
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

from deploy.embedded.broker import EmbeddedBroker
from deploy.embedded.child import (
    EmbeddedError,
    free_port,
    last_lines,
    refuse_taken,
    size_of,
    spawn,
    stop,
    temporary_folder,
)
from deploy.embedded.keys import Keys
from deploy.embedded.parts import Broker, Database
from deploy.embedded.postgres import EmbeddedPostgres
from deploy.migrate import migrate
from deploy.provision import SERVICES, database_of, owner_of, provision, user_of
from deploy.topics import create_topics
from shared.events.inbox import INBOX_TOPICS
from shared.runtime.auth import create_token
from shared.runtime.outbox import republish
from shared.runtime.postgres import make_pool
from shared.values import Actor, ActorKind

PARTS = (*SERVICES, "postgres", "kafka")
"""All that listens on a port."""

_PARTITIONS = 4
"""Enough to show that streams are spread and stay in order; the embedded broker slows down with more."""

FINISH_SECONDS = 60
"""What a service has to finish what is in hand, as in compose: letters that have left are to be booked."""

_TLS = ssl.create_default_context()
"""Made once: left to itself httpx makes one for every question, which costs more than all the rest of it."""


class Stack:
    """All parts of one system; use it as a context manager, from the main thread and outside an event loop.

    `folder` keeps data, keys and logs; without one the stack lives in a temporary folder that goes when it stops.
    `ports` has one for each of PARTS; without it free ones are taken. `clock_start` makes the clock a driven one that stands
    there. `settings` are further environment variables for every service. `services` may be fewer than all four.
    """

    def __init__(
        self,
        folder: Path | None = None,
        *,
        ports: Mapping[str, int] | None = None,
        clock_start: datetime | None = None,
        settings: Mapping[str, str] | None = None,
        services: Sequence[str] = SERVICES,
        partitions: int = _PARTITIONS,
    ) -> None:
        self._cleanup = ExitStack()
        self.folder = (folder or self._cleanup.enter_context(temporary_folder())).resolve()
        self.folder.mkdir(parents=True, exist_ok=True)
        self.ports = dict(ports or {name: free_port() for name in PARTS})
        self.clock_start = clock_start
        self.settings = dict(settings or {})
        self.services = tuple(services)
        self.partitions = partitions
        self.keys = Keys.of(self.folder)
        self.postgres: Database = EmbeddedPostgres(self.folder, self.ports["postgres"])
        self.broker: Broker = EmbeddedBroker(self.folder, self.ports["kafka"])
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self._log_begins: dict[str, int] = {}  # where in its log a service's latest process began

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    # -- the whole

    def start(self) -> None:
        """Start everything, wait until all services are ready. Raises EmbeddedError with what is wrong; then nothing runs."""
        for service in self.services:
            refuse_taken(self.ports[service], service)
        try:
            self.postgres.start()
            asyncio.run(self._prepare_databases())
            self.start_messaging()
            self.wait_ready()
        except BaseException as error:
            self._save_logs(error)
            self.stop()
            raise

    def start_messaging(self) -> None:
        """Start broker and services on databases that are there. The broker keeps nothing: its topics are filled again."""
        self.broker.start()
        asyncio.run(create_topics(self.broker.bootstrap, partitions=self.partitions))
        self.republish()
        for service in self.services:
            self.run(service)

    def stop_messaging(self) -> None:
        """Stop services and broker; what was not sent yet stays in the databases."""
        self.stop_services()
        self.broker.stop()

    def stop_services(self) -> None:
        """Stop all services at once, and wait until the last has ended."""
        for process in self.processes.values():
            with suppress(ProcessLookupError):
                process.terminate()
        for process in self.processes.values():
            stop(process, patience=FINISH_SECONDS)
        self.processes.clear()

    def stop(self) -> None:
        """Stop everything in order. Data stay, unless the folder was a temporary one."""
        self.stop_messaging()
        self.postgres.stop()
        self._cleanup.close()

    def republish(self) -> int:
        """Give every event of the logs to the relays again, to fill empty topics; consumers skip what they know.

        Returns how many events. Call it while services do not run, or they send while you count.
        """

        async def refill() -> int:
            sent = 0
            for service in self.services:
                async with make_pool(self.database_url(service)) as pool:
                    sent += await republish(pool)
            return sent

        return asyncio.run(refill())

    # -- one service

    def run(self, service: str) -> None:
        """Start one service's process, without waiting for it."""
        self._log_begins[service] = size_of(self.log_of(service))
        self.processes[service] = spawn(
            self.command(service), self.log_of(service), env=self.environment(service)
        )

    def kill(self, service: str) -> None:
        """kill -9."""
        self.processes[service].kill()
        self.processes[service].wait()

    def restart(self, service: str) -> None:
        """Stop one service if it runs, and start it again, without waiting until it is ready."""
        stop(self.processes[service], patience=FINISH_SECONDS)
        self.run(service)

    def died(self) -> list[str]:
        """Services whose process ended without being asked to."""
        return [name for name, process in self.processes.items() if process.poll() is not None]

    def last_words(self, service: str, lines: int) -> str:
        """The last that a service's present or latest process wrote."""
        return last_lines(self.log_of(service), self._log_begins[service], lines)

    def wait_ready(self, services: Sequence[str] | None = None, patience: float = 60) -> None:
        """Wait until services (all) say that they are ready. Raises EmbeddedError with the reason that one gave last."""
        deadline = time.monotonic() + patience
        waiting = dict.fromkeys(services or self.services, "it has not answered yet")
        while waiting:
            for service in list(waiting):
                if self.processes[service].poll() is not None:
                    words = self.last_words(service, 12)
                    raise EmbeddedError(
                        f"{service} ended while starting; see {self.log_of(service)}:\n{words}"
                    )
                reason = self.not_ready(service)
                if reason is None:
                    del waiting[service]
                else:
                    waiting[service] = reason
            if waiting and time.monotonic() > deadline:
                reasons = "; ".join(f"{service}: {why}" for service, why in waiting.items())
                raise EmbeddedError(
                    f"Not ready after {patience:.0f} s. {reasons}. Logs are in {self.folder / 'logs'}."
                )
            if waiting:
                time.sleep(0.1)

    def not_ready(self, service: str) -> str | None:
        """None when a service says that it is ready, else its own reason."""
        try:
            answer = httpx.get(f"{self.url(service)}/health/ready", timeout=3, verify=_TLS)
        except httpx.HTTPError as error:
            return f"it does not answer ({type(error).__name__})"
        if answer.status_code == 200:
            return None
        try:
            checks: dict[str, object] = answer.json()["checks"]
            return "; ".join(
                f"{part}: {state}" for part, state in checks.items() if state not in ("ok", None)
            )
        except (ValueError, KeyError, AttributeError):
            return f"it answers {answer.status_code}"

    def finish_reading(self, patience: float) -> tuple[int, list[str]]:
        """Let the services read what lies in their inboxes, for the broker does not keep it; at most `patience` seconds.
        Returns how many records are left unread, and the services that do not say."""
        deadline = time.monotonic() + patience
        while True:
            unread = {service: self._unread(service) for service in self.services}
            left = sum(n or 0 for n in unread.values())
            silent = [service for service, n in unread.items() if n is None]
            awaited = left or any(self.processes[service].poll() is None for service in silent)
            if not awaited or time.monotonic() >= deadline:
                return left, silent
            time.sleep(0.2)

    def _unread(self, service: str) -> int | None:
        token = self.token(Actor(kind=ActorKind.OPERATOR, name="up"), timedelta(minutes=1))
        headers = {"authorization": f"Bearer {token}"}
        try:
            answer = httpx.get(f"{self.url(service)}/ops/lag", headers=headers, timeout=3, verify=_TLS)
            lag: dict[str, int] = answer.raise_for_status().json()
        except httpx.HTTPError:
            return None
        return sum(n for topic, n in lag.items() if topic in INBOX_TOPICS)

    # -- where things are

    def command(self, service: str) -> list[str]:
        """What runs a service."""
        return [sys.executable, "-m", f"services.{service}.app"]

    def environment(self, service: str) -> dict[str, str]:
        """The environment that a service of this stack runs in: ours, with its own settings over it."""
        own = {
            "HANDOVER_DATABASE_URL": self.database_url(service),
            "HANDOVER_KAFKA": self.broker.bootstrap,
            "HANDOVER_KAFKA_IDEMPOTENT": str(self.broker.idempotent).lower(),
            "HANDOVER_KAFKA_FETCH_WAIT_MS": str(self.broker.fetch_wait_ms),
            "HANDOVER_KAFKA_SESSION_MS": str(self.broker.session_ms),
            "HANDOVER_HTTP_HOST": "127.0.0.1",
            "HANDOVER_HTTP_PORT": str(self.ports[service]),
            "HANDOVER_TOKEN_PUBLIC_KEY": self.keys.token_public_key,
            "HANDOVER_MESSAGES_DIR": str(self.folder / "messages"),
            "HANDOVER_CLOCK": "wall",
        }
        if self.clock_start is not None:
            own |= {"HANDOVER_CLOCK": "driven", "HANDOVER_CLOCK_START": self.clock_start.isoformat()}
        return os.environ | own | self.settings

    def database_url(self, service: str, *, owner: bool = False) -> str:
        """URL of a service's database, as its user or as its owner."""
        role = owner_of(service) if owner else user_of(service)
        address = f"127.0.0.1:{self.ports['postgres']}/{database_of(service)}"
        return f"postgresql://{role}:{self.keys.passwords[role]}@{address}"

    def url(self, service: str) -> str:
        """Where a service answers over HTTP."""
        return f"http://127.0.0.1:{self.ports[service]}"

    def log_of(self, service: str) -> Path:
        """The log file of a service."""
        return self.folder / "logs" / f"{service}.log"

    def token(self, actor: Actor, lifetime: timedelta = timedelta(days=1)) -> str:
        """A token for somebody in this stack."""
        return create_token(self.keys.token_private_key, actor, lifetime)

    # -- inside

    async def _prepare_databases(self) -> None:
        await provision(self.postgres.admin_url, self.keys.passwords)
        for service in self.services:
            await migrate(service, self.database_url(service, owner=True))

    def _save_logs(self, error: BaseException) -> None:
        """What did not start in a temporary folder must be readable after the folder is gone."""
        logs = self.folder / "logs"
        if isinstance(error, EmbeddedError) and self.folder.name.startswith("handover-") and logs.exists():
            kept = self.folder.with_name(f"{self.folder.name}-logs")
            shutil.copytree(logs, kept, dirs_exist_ok=True)
            error.add_note(f"The logs were kept in {kept}.")
