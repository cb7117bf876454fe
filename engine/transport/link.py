"""One peer's stream: a greeting, then one reader and one writer until it ends.

Promised to the mesh: `run` returns the reason why the link ended and never raises for anything that a peer sent; messages are
handled one at a time, in the order in which the peer sent them. Promised to sessions: small messages go before frames; sessions
take turns frame by frame, so that a large array of one does not hold up another; at most CONTROL_LIMIT small messages wait.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import grpc

from engine.transport import messages
from engine.transport.codes import CONTROL_LIMIT, FAREWELL_DEADLINE, GREETING_DEADLINE, PROTOCOL_VERSION, LinkCode
from engine.transport.outbox import Outbox
from engine.wire.v1.party_link_pb2 import LinkMessage
from protocols.errors import PeerMisbehaved

_log = logging.getLogger(__name__)

Loop = asyncio.Task[None]


class Stream(Protocol):
    """What the two ends of a gRPC stream (a call, a servicer context) have in common."""

    async def read(self) -> Any: ...
    async def write(self, message: bytes) -> None: ...


class LinkRefused(Exception):
    """The greeting failed; `code` says why."""

    def __init__(self, code: LinkCode) -> None:
        super().__init__(code.value)
        self.code = code


class Link:
    """The stream to one authenticated peer."""

    def __init__(self, peer: str, stream: Stream, handle: Callable[[Link, bytes], None]) -> None:
        self.peer = peer
        self._stream = stream
        self._handle = handle
        self._control: deque[bytes] = deque()
        self._outboxes: deque[Outbox] = deque()
        self._loop = asyncio.get_running_loop()
        self._idle: asyncio.Future[None] = self._loop.create_future()  # the writer's, until there is something to write
        self._ending: asyncio.Future[LinkCode] = self._loop.create_future()
        self._over = asyncio.Event()

    async def greet(self, charter_id: str) -> None:
        """Exchange LinkHello. Raises LinkRefused when the other end speaks another version or serves another charter."""
        own = messages.link_hello(PROTOCOL_VERSION, charter_id, os.urandom(32)).SerializeToString()
        try:
            async with asyncio.timeout(GREETING_DEADLINE):
                await self._stream.write(own)
                raw = await self._stream.read()
            name, theirs = messages.decode(raw if isinstance(raw, bytes) else b"")
        except (TimeoutError, PeerMisbehaved):
            raise LinkRefused(LinkCode.NO_GREETING) from None
        except asyncio.CancelledError:  # gRPC's way to say that the other end cancelled the call
            if (task := asyncio.current_task()) is not None and task.cancelling():
                raise
            raise LinkRefused(LinkCode.CLOSED) from None
        if name != "hello" or raw == own:
            raise LinkRefused(LinkCode.NO_GREETING)
        if theirs.protocol_version != PROTOCOL_VERSION:
            raise LinkRefused(LinkCode.OTHER_VERSION)
        if theirs.charter.hex() != charter_id:
            raise LinkRefused(LinkCode.OTHER_CHARTER)

    async def run(self, hang_up: Callable[[], Awaitable[None]] | None = None) -> LinkCode:
        """Read and write until one end closes. `hang_up` (a dialler's half-close) tells the other end that all is said."""
        reader = asyncio.create_task(self._read())
        writer = asyncio.create_task(self._write())
        try:
            await asyncio.wait((reader, writer, self._ending), return_when=asyncio.FIRST_COMPLETED)
            if self._ending.done():
                await self._say_farewell(reader, writer, hang_up)
                return self._ending.result()
            return _outcome(reader if reader.done() else writer)
        finally:
            self.close(LinkCode.CLOSED)
            for task in (reader, writer):
                task.cancel()
            try:
                await asyncio.gather(reader, writer, return_exceptions=True)
            finally:  # also when gRPC, which has cancelled this call, cancels it again
                self._over.set()

    async def over(self) -> None:
        """Returns when `run` has ended."""
        await self._over.wait()

    def send(self, message: LinkMessage) -> None:
        """Queue a small message. Never blocks; a peer that takes none any more loses the link."""
        if self._ending.done():
            return
        if len(self._control) >= CONTROL_LIMIT:
            self.close(LinkCode.SLOW)
            return
        self._control.append(message.SerializeToString())
        self._wake()

    def offer(self, outbox: Outbox) -> None:
        """Let `outbox` take its turn if it has something that may be sent now."""
        if outbox.sendable and not outbox.queued:
            outbox.queued = True
            self._outboxes.append(outbox)
            self._wake()

    @property
    def congested(self) -> bool:
        """Small messages wait already: one more sign of life would not come sooner."""
        return bool(self._control)

    def close(self, code: LinkCode) -> None:
        """End the link after what is queued in small messages."""
        if not self._ending.done():
            self._ending.set_result(code)
            self._wake()

    async def _read(self) -> None:
        while (raw := await self._stream.read()) is not grpc.aio.EOF:
            self._handle(self, raw)

    async def _write(self) -> None:
        while True:
            message = self._next_message()
            if message is not None:
                await self._stream.write(message)
            elif self._ending.done():
                return
            else:
                self._idle = self._loop.create_future()
                await self._idle

    def _wake(self) -> None:
        if not self._idle.done():
            self._idle.set_result(None)

    def _next_message(self) -> bytes | None:
        if self._control:
            return self._control.popleft()
        while self._outboxes and not self._ending.done():
            outbox = self._outboxes.popleft()
            outbox.queued = False
            if outbox.sendable:  # a session that ended meanwhile has nothing to send
                message = outbox.next_message()
                self.offer(outbox)
                return message
        return None

    async def _say_farewell(self, reader: Loop, writer: Loop, hang_up: Callable[[], Awaitable[None]] | None) -> None:
        """Let the last small messages (aborts) reach the peer, within FAREWELL_DEADLINE."""
        try:
            async with asyncio.timeout(FAREWELL_DEADLINE):
                await writer
                if hang_up is not None:
                    await hang_up()
                    await reader
        except Exception as error:  # the link is at its end whatever went wrong
            _log.debug("farewell to %s failed: %s", self.peer, type(error).__name__)


def _outcome(task: Loop) -> LinkCode:
    """Why a reader or writer stopped."""
    error = None if task.cancelled() else task.exception()
    if isinstance(error, PeerMisbehaved):
        return LinkCode.MALFORMED
    if error is not None:
        _log.info("a link ended with %s", type(error).__name__)  # the type alone: a text could quote what was sent
    return LinkCode.CLOSED
