"""The four services as the generators see them: what each says, hears, and is asked."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from fastapi import FastAPI

from deploy.provision import SERVICES
from services.warehouse.app import DEFAULT_COURIERS
from services.warehouse.domain.courier import load_couriers
from shared.events.base import EVENT_TYPES, Event
from shared.lifecycle import Lifecycle
from shared.runtime.http import create_app
from shared.runtime.service import Service
from shared.runtime.settings import Settings

ROOT = Path(__file__).resolve().parent.parent.parent
OUTSIDE = {
    "orders.inbox": "shops, payment providers",
    "aftersales.inbox": "buyers through their shops",
    "scans.inbox": "scanners",
    "tracking.inbox": "couriers",
}


@dataclass(frozen=True)
class Described:
    """One service: what it is, and what names its sources use."""

    name: str
    service: Service[Any]
    uses: frozenset[str]
    """Every name that its source files mention: what it publishes is among them."""

    def says(self) -> list[type[Event]]:
        """The events of its topic that it publishes."""
        own = [e for name, e in sorted(EVENT_TYPES.items()) if name.startswith(f"{self.name}.") and ".inbox." not in name]
        return [e for e in own if e.__name__ in self.uses]


@cache
def services() -> tuple[Described, ...]:
    """All four."""
    return tuple(Described(name, _service(name), frozenset(_names(ROOT / "services" / name))) for name in SERVICES)


def _service(name: str) -> Service[Any]:
    handlers = import_module(f"services.{name}.handlers")
    made: Service[Any] = handlers.service(load_couriers(DEFAULT_COURIERS)) if name == "warehouse" else handlers.service()
    return made


def _names(folder: Path) -> Iterator[str]:
    for file in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Name):
                yield node.id
            elif isinstance(node, ast.Attribute):
                yield node.attr


def app_of(described: Described) -> FastAPI:
    """The HTTP root of a service, without a database behind it."""
    runtime: Any = SimpleNamespace(service=described.service, read=None)
    router = import_module(f"services.{described.name}.api").router
    return create_app(runtime, [router(runtime)], title=f"Handover {described.name}")


def settings_of() -> list[tuple[str, type[Settings]]]:
    """The settings class of each service."""
    found = []
    for name in SERVICES:
        module = import_module(f"services.{name}.app")
        found += [(name, c) for c in vars(module).values() if isinstance(c, type) and issubclass(c, Settings) and c is not Settings]
    return found


def lifecycles() -> list[tuple[str, Lifecycle[Any]]]:
    """Every lifecycle in the domains, with the service that it belongs to."""
    found = []
    for name in SERVICES:
        for file in sorted((ROOT / "services" / name).glob("domain/*.py")):
            module = import_module(f"services.{name}.domain.{file.stem}") if file.stem != "__init__" else None
            found += [(name, value) for value in vars(module or SimpleNamespace()).values() if isinstance(value, Lifecycle)]
    return list({id(lifecycle): (name, lifecycle) for name, lifecycle in found}.values())
