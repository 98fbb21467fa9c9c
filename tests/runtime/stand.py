"""A stand for the runtime's own tests: a service of two messages, the real turn and the real HTTP app, no database."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Annotated, Any

import httpx
from fastapi import APIRouter, Depends
from sqlalchemy import BigInteger, Column, Integer, MetaData, Table, Text

from shared.events.inbox import PaymentCaptured, ReceiptConfirmed
from shared.events.orders import OrderEventParked, OrderMessageRefused
from shared.runtime.access import Anyone, Asked, allow
from shared.runtime.auth import Tokens, create_token, new_key_pair
from shared.runtime.bookkeeping import Parked
from shared.runtime.clock import DrivenClock
from shared.runtime.commands import Commands
from shared.runtime.desk import Desk, Want
from shared.runtime.http import create_app
from shared.runtime.memory import MemoryStore
from shared.runtime.messages import Command, Outcome, Refused, Status
from shared.runtime.parking import with_parking
from shared.runtime.rows import RowMap
from shared.runtime.service import Handling, Service, on
from shared.runtime.telemetry import Metrics
from shared.runtime.turn import Turns
from shared.values import Actor, ActorKind, Role
from tests.harness import START

PRIVATE, PUBLIC = new_key_pair()
SHOP = Actor(kind=ActorKind.SYSTEM, name="shop")


def token(
    kind: ActorKind = ActorKind.OPERATOR,
    name: str = "mei",
    role: Role = Role.ORDINARY,
    device: str | None = None,
) -> str:
    """A token that the stand takes."""
    return create_token(PRIVATE, Actor(kind=kind, name=name, role=role, device=device), timedelta(hours=1))


def bearer(role: Role = Role.ORDINARY, kind: ActorKind = ActorKind.OPERATOR) -> dict[str, str]:
    """The header that carries it."""
    return {"authorization": f"Bearer {token(kind=kind, role=role)}"}


@dataclass(frozen=True)
class Tally:
    """How often something was done."""

    tally_id: str
    count: int


tallies = Table(
    "tallies", MetaData(), Column("tally_id", Text, primary_key=True), Column("count", Integer), Column("version", BigInteger)
)  # fmt: skip
TALLIES = RowMap(Tally, tallies)


class StandDesk(Desk):
    """One shelf."""

    def __init__(self) -> None:
        super().__init__()
        self.tallies = self.shelf(TALLIES)


class Add(Command):
    """Count one more; a negative number is refused, 13 is a bug."""

    tally_id: str
    number: int = 1


def _tally(message: Add | PaymentCaptured | ReceiptConfirmed, desk: StandDesk) -> Iterator[Want]:
    yield desk.tallies.want(_key(message))


def _key(message: Add | PaymentCaptured | ReceiptConfirmed) -> str:
    return message.tally_id if isinstance(message, Add) else message.external_number


def add(message: Add | PaymentCaptured | ReceiptConfirmed, desk: StandDesk) -> dict[str, int]:
    """The handler."""
    number = message.number if isinstance(message, Add) else 1
    if number < 0:
        raise Refused("negative", "count upwards", field="number")
    if number == 13:
        raise ValueError("phone 13800138000 of 王芳")
    before = desk.tallies.get(_key(message)) or Tally(_key(message), 0)
    desk.tallies.put(replace(before, count=before.count + number))
    return {"count": before.count + number}


def service() -> Service[StandDesk]:
    """The service on the stand."""
    handlers: tuple[Handling[Any, StandDesk], ...] = (
        on(Add, add, _tally),
        on(PaymentCaptured, add, _tally),
        on(ReceiptConfirmed, add, _tally),
    )
    return with_parking(
        Service(
            "orders", StandDesk, handlers, OrderEventParked, OrderMessageRefused, inboxes=("orders.inbox",)
        )
    )


@dataclass
class StandParking:
    """Parked messages in memory."""

    rows: list[Parked] = field(default_factory=list)
    woken: int = 0

    async def list_(self, state: str | None, limit: int) -> list[Parked]:
        return [r for r in self.rows if state in (None, r.state)][:limit]

    async def show(self, key: str) -> Parked | None:
        return next((r for r in self.rows if r.parked_key == key), None)

    async def waiting(self, lane: str, limit: int) -> list[Parked]:
        return [r for r in self.rows if r.queue == lane][:limit]

    async def retry(self, lane: str) -> list[Outcome]:
        refused = Outcome(Status.REFUSED, refusal=Refused("paid", "it is paid"))
        return [Outcome(Status.DONE), refused, Outcome(Status.PARKED)]

    def wake(self) -> None:
        self.woken += 1


class Stand:
    """What `Runtime` is to the HTTP app, and a client to ask it."""

    def __init__(self) -> None:
        self.service = service()
        self.store = MemoryStore()
        self.clock = DrivenClock(START)
        self.turns = Turns(self.service, self.store, self.clock)
        self.commands = Commands(self.turns)
        self.tokens = Tokens(PUBLIC)
        self.metrics = Metrics("orders")
        self.turns.after_commit.append(self.metrics.turn_done)
        self.parking = StandParking()
        self.checks: dict[str, str | None] = {"database": None, "kafka": None}
        self.raises: Exception | None = None

    async def readiness(self) -> dict[str, str | None]:
        return self.checks

    async def progress(self) -> dict[str, Any]:
        return {"service": "orders"}

    def count(self, tally_id: str) -> int:
        """What is stored."""
        found = self.store.tables.get("tallies", {}).get(tally_id)
        return found[0].count if found else 0

    def router(self) -> APIRouter:
        router = APIRouter()

        @router.post("/v1/add")
        async def add_one(body: Add, asked: Anyone) -> Any:
            return await asked.do(body)

        @router.get("/v1/supervisors")
        async def supervisors(
            asked: Annotated[Asked, Depends(allow(Role.BACK_OFFICE))],
        ) -> dict[str, str | None]:
            return {"trace": asked.trace, "who": str(asked.actor)}

        @router.get("/v1/scanners")
        async def scanners(asked: Annotated[Asked, Depends(allow(kinds={ActorKind.DEVICE}))]) -> None:
            return None

        @router.get("/v1/raises/{of}")
        async def raises(of: str) -> None:
            if self.raises:
                raise self.raises

        return router

    def client(self, **headers: str) -> httpx.AsyncClient:
        """Asks the app without a network."""
        parts: Any = SimpleNamespace(**vars(self), readiness=self.readiness, progress=self.progress)
        app = create_app(parts, [self.router()], title="Stand")
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        return httpx.AsyncClient(transport=transport, base_url="http://stand", headers=bearer() | headers)
