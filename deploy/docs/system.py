"""The four services as the generators see them: what each says, hears, and is asked."""

import ast
from collections import defaultdict
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from types import SimpleNamespace
from typing import Any

from fastapi import FastAPI

import shared.events
from deploy import settings as commands
from deploy.provision import SERVICES
from services.notify.routing import Routing, Webhook
from services.warehouse.couriers_file import DEFAULT_COURIERS, load_couriers
from shared.events.base import EVENT_TYPES, Event, is_inbox
from shared.lifecycle import Lifecycle
from shared.runtime.http import create_app
from shared.runtime.service import Service
from shared.runtime.settings import Settings

for _file in iter_modules(shared.events.__path__):  # all events are known, whichever services are looked at
    import_module(f"shared.events.{_file.name}")

EVENTS = {
    name: event
    for name, event in sorted(EVENT_TYPES.items())
    if event.__module__.startswith(shared.events.__name__)
}
"""Those that other systems are promised, by their wire names: benchmarks and tests have some of their own."""

ROOT = Path(__file__).resolve().parent.parent.parent
OUTSIDE = {
    "orders.inbox": "shops, payment providers",
    "aftersales.inbox": "buyers through their shops",
    "scans.inbox": "scanners",
    "tracking.inbox": "couriers",
}


@dataclass(frozen=True)
class Described:
    """One service: what it is, and where its source files use which name."""

    name: str
    service: Service[Any]
    uses: dict[str, tuple[Path, ...]]
    """Name → the files that use it other than in an import; those that call it stand first, then those that give it to another."""

    def says(self) -> dict[type[Event], Path]:
        """The events of its topic that it publishes, each with the file to read."""
        prefix = f"{self.name}."
        own = [e for name, e in EVENTS.items() if name.startswith(prefix) and not is_inbox(name)]
        return {e: self.uses[e.__name__][0] for e in own if e.__name__ in self.uses}

    def hears(self) -> dict[type[Event], tuple[str, Path]]:
        """The events that it handles, each with its handler and the file to read."""
        found = {}
        for _, event in sorted(self.service.hears.items()):
            handler = self.service.by_type[event].handler
            name = handler.__qualname__.split(".", 1)[0]  # of one that a function made: that function
            found[event] = (name, Path(handler.__code__.co_filename).relative_to(ROOT))
        return found


@cache
def services() -> tuple[Described, ...]:
    """All four."""
    return tuple(Described(name, _service(name), _uses(ROOT / "services" / name)) for name in SERVICES)


def _service(name: str) -> Service[Any]:
    handlers = import_module(f"services.{name}.handlers")
    every = Webhook("every", "", "", ("*",))  # notify hears whatever some endpoint wants
    arguments: dict[str, list[Any]] = {"warehouse": [load_couriers(DEFAULT_COURIERS)], "notify": [Routing(webhooks=(every,))]}
    made: Service[Any] = handlers.service(*arguments.get(name, ()))
    return made


def _uses(folder: Path) -> dict[str, tuple[Path, ...]]:
    called, given, named = defaultdict(list), defaultdict(list), defaultdict(list)
    for file in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                called[_last(node.func)].append(file.relative_to(ROOT))
                for argument in node.args:
                    given[_last(argument)].append(file.relative_to(ROOT))
            elif isinstance(node, ast.Name | ast.Attribute):
                named[_last(node)].append(file.relative_to(ROOT))
    return {name: tuple(dict.fromkeys(called[name] + given[name] + files)) for name, files in named.items()}


def _last(node: ast.expr) -> str:
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


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
        found += [
            (name, c)
            for c in vars(module).values()
            if isinstance(c, type) and issubclass(c, Settings) and c is not Settings
        ]
    return found


def settings_of_commands() -> list[tuple[str, type[commands.CommandSettings]]]:
    """The settings class of each command that has one; its docstring is the command."""
    return [((c.__doc__ or "").strip("`."), c) for c in commands.CommandSettings.__subclasses__()]


def lifecycles() -> list[tuple[str, Lifecycle[Any]]]:
    """Every lifecycle in the domains, with the service that it belongs to."""
    found = []
    for name in SERVICES:
        for file in sorted((ROOT / "services" / name).glob("domain/*.py")):
            module = import_module(f"services.{name}.domain.{file.stem}") if file.stem != "__init__" else None
            found += [
                (name, value)
                for value in vars(module or SimpleNamespace()).values()
                if isinstance(value, Lifecycle)
            ]
    return list({id(lifecycle): (name, lifecycle) for name, lifecycle in found}.values())
