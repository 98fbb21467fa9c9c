"""Who reaches the system in a simulated town, and how."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Protocol

from shared.events.base import Event
from shared.runtime.messages import Command
from shared.values import Actor, ActorKind, Role

SHOP = Actor(kind=ActorKind.SYSTEM, name="shop")
PAYMENTS = Actor(kind=ActorKind.SYSTEM, name="payments")
COURIER = Actor(kind=ActorKind.SYSTEM, name="courier")
AGENT = Actor(kind=ActorKind.OPERATOR, name="agent.mei")
BACK_OFFICE = Actor(kind=ActorKind.OPERATOR, name="office.chen", role=Role.BACK_OFFICE)
ADMINISTRATOR = Actor(kind=ActorKind.OPERATOR, name="admin.wu", role=Role.ADMINISTRATOR)
PICKER = Actor(kind=ActorKind.OPERATOR, name="li.wei", device="scanner-1")
CHECKER = Actor(kind=ActorKind.OPERATOR, name="zhao.min", device="scanner-2")
SECOND_PICKER = Actor(kind=ActorKind.OPERATOR, name="sun.li", device="scanner-3")
ACTORS = {a.name: a for a in (SHOP, PAYMENTS, COURIER, AGENT, BACK_OFFICE, PICKER, CHECKER, SECOND_PICKER)}


class Edges(Protocol):
    """How people reach the system."""

    def now(self) -> datetime:
        """What time it is."""
        ...

    def later(self, delay: timedelta, act: Callable[[], None]) -> None:
        """Do something after a while."""
        ...

    def send(self, event: Event, actor: Actor, message_id: str) -> None:
        """Hand in an event, by Kafka or HTTP, until it is acknowledged."""
        ...

    def reuse(self, event: Event, actor: Actor, message_id: str) -> None:
        """Hand in another event under an id that was used, by Kafka or HTTP."""
        ...

    def ask(self, service: str, command: Command, actor: Actor, key: str) -> None:
        """Ask a service over HTTP, until it answers."""
        ...

    def row(self, service: str, table: str, key: str) -> Any:
        """What a screen shows: a row, or None."""
        ...


def on_the_wire(event: Event, actor: Actor, message_id: str) -> tuple[dict[str, str], bytes]:
    """Headers and body of an event from outside; who sent it stands in a header of its own, where a token would."""
    headers = {
        "ce_specversion": "1.0",
        "ce_id": message_id,
        "ce_source": actor.name,
        "ce_type": event.wire_type,
        "actor": actor.name,
    }
    return headers, event.model_dump_json().encode()
