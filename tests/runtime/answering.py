"""A probe that answers over HTTP, where the commands of ops look for its service."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import uvicorn

from deploy.embedded.child import free_port
from shared.runtime.http import create_app
from shared.runtime.running import Runtime
from shared.values import ActorKind, Role
from tests.runtime.stand import token
from tests.runtime.waiting import until


@asynccontextmanager
async def answering(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    """Serve its HTTP while this is open; commands have the token of an administrator."""
    port = free_port()
    config = uvicorn.Config(create_app(runtime, [], title="Probe"), port=port, log_config=None, ws="none")
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    await until(lambda: server.started)
    monkeypatch.setenv(f"HANDOVER_{runtime.service.name.upper()}_URL", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("HANDOVER_TOKEN", token(ActorKind.OPERATOR, "ops.lin", Role.ADMINISTRATOR))
    yield
    server.should_exit = True
    await serving
