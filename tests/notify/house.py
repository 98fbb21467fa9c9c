"""Notify on a real database, with the real turn and the real HTTP app, without Kafka; and outsiders that it sends to."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import httpx

from services.notify import api
from services.notify.channels import Channel, Letter
from services.notify.handlers import service
from services.notify.routing import Routing
from services.notify.sender import Sender
from services.notify.tables import MESSAGES, Message, messages, metadata
from services.notify.texts import Texts
from shared.events.base import Event
from shared.runtime.auth import Tokens, create_token
from shared.runtime.clock import DrivenClock
from shared.runtime.commands import Commands
from shared.runtime.http import create_app
from shared.runtime.postgres import PostgresStore, make_pool
from shared.runtime.reading import reader
from shared.runtime.running import Runtime
from shared.runtime.tasks import Signal
from shared.runtime.telemetry import Metrics
from shared.runtime.turn import Turns
from shared.values import Actor, Locale
from tests.harness import START, Bench
from tests.served import PRIVATE, PUBLIC, emptied


class House:
    """What `Runtime` is to notify's sender and API."""

    def __init__(self, pool: Any, routing: Routing) -> None:
        self.service = service(routing)
        self.clock = DrivenClock(START)
        self.pool = pool
        self.turns = Turns(self.service, PostgresStore(pool), self.clock)
        self.commands = Commands(self.turns)
        self.read = reader(pool)
        self.tokens = Tokens(PUBLIC)
        self.stopping = Signal()
        self.metrics = Metrics("notify")
        self._bench = Bench(self.service)

    @property
    def runtime(self) -> Runtime:
        """Itself, to whoever asks for a runtime."""
        return cast(Runtime, self)

    def under(self, routing: Routing) -> "House":
        """The same house under other settings."""
        return House(self.pool, routing)

    async def hear(self, *events: Event) -> None:
        """Events of the other services, in one batch."""
        outcomes = await self.turns.run([self._bench.incoming(event) for event in events])
        assert [o.error for o in outcomes if o.error] == []

    def sender(self, **channels: Channel) -> Sender:
        """A sender over these channels."""
        texts = Texts("Tea House", "Asia/Shanghai")
        return Sender(self.runtime, channels, texts, "duty@shop.example", Locale.EN)

    async def messages(self) -> list[Message]:
        """All messages, by template."""
        return sorted(
            (MESSAGES.load(r) for r in await self.read(messages.select())),
            key=lambda m: (m.template, m.audience),
        )

    def client(self, actor: Actor) -> httpx.AsyncClient:
        """Somebody at the HTTP door."""
        from datetime import timedelta

        token = create_token(PRIVATE, actor, timedelta(hours=1))
        app = create_app(self.runtime, [api.router(self.runtime)], title="notify")
        transport = httpx.ASGITransport(app)
        return httpx.AsyncClient(
            transport=transport, base_url="http://notify", headers={"authorization": f"Bearer {token}"}
        )


@asynccontextmanager
async def house(url: str, routing: Routing | None = None) -> AsyncIterator[House]:
    """A house with empty tables."""
    await emptied(url, metadata)
    async with make_pool(url) as pool:
        one = House(pool, routing or Routing())
        one.commands.start()
        try:
            yield one
        finally:
            await one.commands.stop()


@dataclass
class Box:
    """A channel that keeps what it is given, or fails as it is told to."""

    letters: list[Letter] = field(default_factory=list)
    failures: list[Exception] = field(default_factory=list)

    async def send(self, letter: Letter) -> None:
        """Keep it, unless a failure is due."""
        await asyncio.sleep(0)
        if self.failures:
            raise self.failures.pop(0)
        self.letters.append(letter)


@dataclass
class MailServer:
    """As much SMTP as a client needs. `refuse` is answered to RCPT instead of 250; one that is `mute` answers no goodbye, one
    that is `slow` does not say that it took a letter."""

    refuse: str = ""
    mute: bool = False
    slow: bool = False
    mails: list[tuple[str, str]] = field(default_factory=list)
    heard: list[bytes] = field(default_factory=list)
    port: int = 0

    @asynccontextmanager
    async def running(self) -> AsyncIterator["MailServer"]:
        """Listen on loopback."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        async with server:
            yield self

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        recipient = ""
        writer.write(b"220 stub\r\n")
        while line := await reader.readline():
            verb = line[:4].upper()
            self.heard.append(line)
            if verb == b"EHLO":
                writer.write(b"250-stub\r\n250 AUTH PLAIN LOGIN\r\n")
            elif verb == b"AUTH":
                writer.write(b"235 welcome\r\n")
            elif verb == b"RCPT":
                recipient = line.decode().split("<", 1)[1].split(">", 1)[0]
                writer.write(f"{self.refuse or '250 ok'}\r\n".encode())
            elif verb == b"DATA":
                writer.write(b"354 go on\r\n")
                text = (await reader.readuntil(b"\r\n.\r\n")).decode()
                self.mails.append((recipient, text))
                if self.slow:
                    await reader.read()
                    break
                writer.write(b"250 taken\r\n")
            elif verb == b"QUIT" and self.mute:
                await reader.read()
            elif verb == b"QUIT":
                writer.write(b"221 bye\r\n")
                break
            else:
                writer.write(b"250 ok\r\n")
        await writer.drain()
        writer.close()


@dataclass
class HookServer:
    """An endpoint outside that takes webhooks and answers `status`; the body of one that is `endless` never ends. `location` is
    where it sends its callers on to."""

    status: int = 204
    location: str = ""
    endless: bool = False
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    url: str = ""

    @asynccontextmanager
    async def running(self) -> AsyncIterator["HookServer"]:
        """Listen on loopback."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook"
        async with server:
            yield self

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {k.lower(): v for k, _, v in (line.partition(": ") for line in head[1:] if line)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        self.got.append((headers, body))
        length = 10**9 if self.endless else 0
        head_of = f"HTTP/1.1 {self.status} x\r\ncontent-length: {length}\r\nconnection: close\r\n"
        head_of += f"location: {self.location}\r\n\r\n" if self.location else "\r\n"
        writer.write(head_of.encode())
        await writer.drain()
        if self.endless:
            await reader.read()
        writer.close()
