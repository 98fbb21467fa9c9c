"""Requests at a steady pace over connections that stay open, as scanners hold them.

A request is due at its time whether or not those before it were answered: the wait for a slow one counts. But who scans for an
order waits for the answer before the next scan for it.
"""

import asyncio
import time
from collections.abc import Callable, Hashable, Sequence
from itertools import zip_longest
from urllib.parse import urlsplit

CONNECTIONS = 24


async def paced(
    url: str, requests: Sequence[bytes], a_second: float, about: Sequence[Hashable] = ()
) -> list[float]:
    """Send requests at their times; the seconds from each one's time to its answer, in order. Raises on any but 2xx.

    With `about`, one that is about the same as an earlier one is due once that is answered, if its time has come by then.
    """
    host, port = urlsplit(url).hostname, urlsplit(url).port
    free: asyncio.Queue[_Connection] = asyncio.Queue()
    connections = [_Connection(*await asyncio.open_connection(host, port)) for _ in range(CONNECTIONS)]
    for connection in connections:
        free.put_nowait(connection)
    began = time.perf_counter() + 0.05
    took = [0.0] * len(requests)
    last: dict[Hashable, asyncio.Task[None]] = {}

    async def one(number: int, request: bytes, earlier: asyncio.Task[None] | None) -> None:
        due = began + number / a_second
        await asyncio.sleep(max(due - time.perf_counter(), 0))
        if earlier is not None and not earlier.done():
            await asyncio.wait([earlier])
            due = time.perf_counter()
        connection = await free.get()
        await connection.ask(request)
        took[number] = time.perf_counter() - due
        free.put_nowait(connection)

    async with asyncio.TaskGroup() as sending:
        for number, (request, what) in enumerate(zip_longest(requests, about)):
            earlier = last.get(what) if about else None
            last[what] = sending.create_task(one(number, request, earlier))
    for connection in connections:
        connection.writer.close()
    return took


def request(path: str, headers: dict[str, str], body: bytes) -> bytes:
    """The bytes of a POST."""
    lines = [f"POST {path} HTTP/1.1", "host: bench", f"content-length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


class _Connection:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def ask(self, request: bytes) -> None:
        """One request and its answer."""
        self.writer.write(request)
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = next(line for line in head.split("\r\n") if line.startswith("content-length:"))
        body = await self.reader.readexactly(int(length.split(":")[1]))
        if not head.startswith("http/1.1 2"):
            raise RuntimeError(f"{head.splitlines()[0]}: {body[:300]!r}")


async def until_open(port: int, alive: Callable[[], bool], patience: float = 20) -> None:
    """Wait until somebody listens on a local port."""
    deadline = time.monotonic() + patience
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            if not alive() or time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.05)
        else:
            writer.close()
            return
