"""A relay in this process, with an echo server that stands for the daemon of whoever waits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from engine.charter import Charter
from engine.identity import Identity
from engine.relay.caller import Caller
from engine.relay.line import Line
from engine.relay.reception import Reception
from engine.relay.server import Limits, Relay

SHORT = Limits(greeting=0.3, answer=0.2, patience=0.3, still=0.1, idle=0.5)
SECONDS = 20.0


@dataclass
class Place:
    """A relay, and an echo server that stands for the daemon of whoever waits."""

    relay: Relay
    at: tuple[str, int]
    keys: dict[str, Identity]
    charter: Charter
    echo: str
    served: asyncio.Queue[bytes] = field(default_factory=asyncio.Queue)

    def caller(self, name: str) -> Caller:
        return Caller(self.keys[name], self.charter.id, self.at)

    async def plain(self) -> Line:
        """A connection that has said nothing yet."""
        return Line(*await asyncio.open_connection(*self.at))

    async def said(self, line: Line) -> bytes:
        return await line.hear(SECONDS)

    @asynccontextmanager
    async def waiting(self, name: str = "um") -> AsyncIterator[Reception]:
        reception = Reception(self.caller(name), self.echo)
        reception.start()
        try:
            yield reception
        finally:
            await reception.stop()


@asynccontextmanager
async def place(keys: dict[str, Identity], charter: Charter, limits: Limits = SHORT) -> AsyncIterator[Place]:
    served: asyncio.Queue[bytes] = asyncio.Queue()

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        whole = b""
        while data := await reader.read(1 << 16):
            whole += data
            writer.write(data)
            await writer.drain()
        served.put_nowait(whole)
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    relay = Relay([charter], limits)
    at = await relay.start("127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    try:
        yield Place(relay, at, keys, charter, f"{host}:{port}", served)
    finally:
        await relay.stop()
        server.close()


def run(work: Coroutine[Any, Any, None]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(SECONDS):
            await work

    asyncio.run(bounded())


async def says(line: Line, text: bytes) -> bytes:
    """What comes back."""
    line.writer.write(text)
    return await line.reader.readexactly(len(text))


async def is_closed(line: Line) -> bool:
    """Waits for the end of the line."""
    try:
        while await line.reader.read(1 << 16):
            pass
    except OSError:
        pass
    return True
