"""From settings to a running process: the HTTP root whose lifespan opens and closes the doors of a service."""

import asyncio
import gc
import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import structlog
import uvicorn
from fastapi import APIRouter, FastAPI

from shared.runtime.http import create_app
from shared.runtime.running import Runtime
from shared.runtime.service import Service
from shared.runtime.settings import Settings, load
from shared.runtime.telemetry import setup_logging

log = structlog.get_logger(__name__)

S = TypeVar("S", bound=Settings)
Background = Callable[[Runtime], Any]
"""Makes an object with an `async run()` that lasts as long as the service."""


def serve(
    make_service: Callable[[S], Service[Any]],
    settings_class: type[S],
    routers: Sequence[Callable[[Runtime], APIRouter]] = (),
    background: Sequence[Background] = (),
) -> None:
    """Run one service until it is told to stop. Exits with a sentence when a setting is wrong or missing."""
    settings = load(settings_class)
    service = make_service(settings)
    setup_logging(settings.log_level, service.name)
    _collect_seldom()
    # a name that nobody answers for takes its thread for as long as the resolver tries, and there are four of them by default
    os.environ.setdefault("UV_THREADPOOL_SIZE", "64")
    config = {"host": settings.http_host, "port": settings.http_port}
    try:
        import uvloop
    except ImportError:  # not on every platform
        asyncio.run(_run(service, settings, routers, background, config))
    else:
        uvloop.run(_run(service, settings, routers, background, config))


def _collect_seldom() -> None:
    """A turn makes tens of thousands of objects that end with it, by reference count: Python's collector would go through
    them, and through all modules, dozens of times a turn to find next to nothing. What is loaded by now stays anyway."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


async def _run(
    service: Service[Any],
    settings: Settings,
    routers: Sequence[Callable[[Runtime], APIRouter]],
    background: Sequence[Background],
    config: dict[str, Any],
) -> None:
    runtime = Runtime(service, settings)
    runtime.background += [make(runtime).run for make in background]

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await runtime.start()
        log.info("service started", service=service.name, port=settings.http_port)
        yield
        log.info("service stops", service=service.name)
        await runtime.stop()

    app = create_app(
        runtime, [make(runtime) for make in routers], title=f"Handover {service.name}", lifespan=lifespan
    )
    server = uvicorn.Server(
        uvicorn.Config(app, **config, log_config=None, access_log=False, timeout_graceful_shutdown=10)
    )
    await server.serve()
