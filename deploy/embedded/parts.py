"""What a stack needs of its two servers, wherever they come from: wheels here, containers in some tests."""

from pathlib import Path
from typing import Protocol


class Server(Protocol):
    """Something to start and stop."""

    @property
    def log(self) -> Path | str:
        """Where its log is, for a person."""

    @property
    def running(self) -> bool:
        """False before start, after stop, and when it ended by itself."""

    @property
    def pid(self) -> int | None:
        """Its process, while it runs, where it is one of ours."""

    def start(self) -> None:
        """Start it; whoever connects may have to wait a moment."""

    def stop(self) -> None:
        """Stop it."""


class Database(Server, Protocol):
    """A PostgreSQL server."""

    @property
    def admin_url(self) -> str:
        """URL of a superuser."""


class Broker(Server, Protocol):
    """What speaks Kafka's protocol."""

    @property
    def bootstrap(self) -> str:
        """What clients connect to."""

    @property
    def idempotent(self) -> bool:
        """Whether it takes idempotent producers."""

    @property
    def session_ms(self) -> int:
        """How long a consumer may give no sign of life."""

    @property
    def fetch_wait_ms(self) -> int:
        """How long it may hold a fetch while nothing comes."""
