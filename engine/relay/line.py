"""One connection that carries words first and bytes afterwards, and how two of them are joined.

Joined lines hold at most a few CHUNKs for a side that does not read: the other side is then not read either. The end of one
direction is passed on; the other goes on. Joined lines on which nothing moves for `idle` seconds are cut (gRPC's own keep-alive
moves bytes every ten seconds).
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

from engine.relay.words import FRAME_LIMIT

CHUNK = 1 << 16  # bytes read at once; three times as many wait at most before the sender is held up
FAREWELL = 5.0  # seconds for the last bytes of a line that ended well
IDLE = 60.0  # seconds without a byte in either direction
KEEPALIVE = ((socket.TCP_KEEPIDLE, 20), (socket.TCP_KEEPINTVL, 10), (socket.TCP_KEEPCNT, 3))  # a lost line is noticed in a minute


class Line:
    """Used by the event loop alone."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        plug = writer.get_extra_info("socket")
        if plug is not None and plug.family != socket.AF_UNIX:
            plug.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for option, value in KEEPALIVE:
                plug.setsockopt(socket.IPPROTO_TCP, option, value)

    async def say(self, frame: bytes) -> None:
        """Raises OSError when the line is cut."""
        self.writer.write(len(frame).to_bytes(2) + frame)
        await self.writer.drain()

    async def hear(self, seconds: float | None) -> bytes:
        """The next frame; with None, whenever it comes. Raises TimeoutError, EOFError, OSError; ValueError for no frame."""
        async with asyncio.timeout(seconds):
            size = int.from_bytes(await self.reader.readexactly(2))
            if not 0 < size <= FRAME_LIMIT:
                raise ValueError("no frame")
            return await self.reader.readexactly(size)

    async def end(self) -> None:
        """Let the last bytes go, for a few seconds."""
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(FAREWELL):
                self.writer.close()
                await self.writer.wait_closed()
        self.cut()

    def cut(self) -> None:
        self.writer.transport.abort()


class Crew:
    """The tasks of one owner, ended together."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._tasks)

    def begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def stop(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def join(one: Line, other: Line, idle: float = IDLE) -> None:
    """Pass bytes both ways until both directions ended, a line broke, or nothing moved for `idle` seconds; then close both."""
    loop = asyncio.get_running_loop()
    moved = loop.time()

    async def pump(source: Line, sink: Line) -> None:
        nonlocal moved
        while data := await source.reader.read(CHUNK):
            moved = loop.time()
            sink.writer.write(data)
            await sink.writer.drain()
            moved = loop.time()
        sink.writer.write_eof()

    pumps = pending = {asyncio.create_task(pump(one, other)), asyncio.create_task(pump(other, one))}
    try:
        while pending and loop.time() < moved + idle:
            done, pending = await asyncio.wait(pending, timeout=moved + idle - loop.time(), return_when=asyncio.FIRST_COMPLETED)
            if any(task.exception() is not None for task in done):
                return
        if not pending:
            await asyncio.gather(one.end(), other.end())
    finally:
        for task in pumps:
            task.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)
        one.cut()
        other.cut()
