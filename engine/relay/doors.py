"""Where gRPC dials a party that is behind a relay: a local socket, each connection to which becomes a line through the relay.

gRPC dials host names and Unix sockets only. A door is a Unix socket in Linux's abstract namespace: no file, no port, gone with
the process; its name is random, and only processes of the own user get through, as no stranger shall use this member's lines.
What goes through is TLS that ends at the dialled party.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
import struct
import threading
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from engine.address import relay_of
from engine.identity import Identity
from engine.relay.caller import Caller, RelayError
from engine.relay.line import CHUNK, Crew, Line, join

MAX_LINES = 64  # at a time through one door
_CREDENTIALS = struct.Struct("3i")  # ucred: process, user, group
Done = TypeVar("Done")


class Door:
    """To one party at one relay."""

    def __init__(self, caller: Caller, to: str) -> None:
        self._caller, self._to = caller, to
        self._name = f"unseen-{secrets.token_hex(16)}"
        self._crew = Crew()
        self.failure: RelayError | None = None  # of the last connection

    async def open(self) -> str:
        """What gRPC dials."""
        self._server = await asyncio.start_unix_server(self._accept, path=f"\0{self._name}", limit=CHUNK)
        return f"unix-abstract:{self._name}"

    async def close(self) -> None:
        self._server.close()
        await self._crew.stop()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._crew.begin(self._lead_out(Line(reader, writer)))

    async def _lead_out(self, near: Line) -> None:
        try:
            if _is_own_user(near.writer) and len(self._crew) <= MAX_LINES:
                far = await self._caller.dial(self._to)
                self.failure = None
                await join(near, far)
        except RelayError as error:
            self.failure = error
        finally:
            near.cut()


class Doors:
    """One member's doors, opened when first needed. Used by the event loop alone."""

    def __init__(self, identity: Identity, study: str) -> None:
        self._identity, self._study = identity, study
        self._doors: dict[str, tuple[Door, str]] = {}

    async def target(self, member: str, address: str) -> str:
        """What gRPC dials to reach `member`: its address, or a door. Raises ConfigError for an address that is none."""
        relay = relay_of(address)
        if relay is None:
            return address
        if member not in self._doors:
            door = Door(Caller(self._identity, self._study, relay), member)
            self._doors[member] = door, await door.open()
        return self._doors[member][1]

    def failure(self, member: str) -> RelayError | None:
        """Why the last connection did not reach `member`, if it was the relay's doing."""
        return self._doors[member][0].failure if member in self._doors else None

    async def close(self) -> None:
        await asyncio.gather(*(door.close() for door, _ in self._doors.values()))
        self._doors.clear()


class ThreadedDoors:
    """The same for callers without an event loop: one runs in a thread, from the first door on. Any thread may call."""

    def __init__(self, identity: Identity, study: str) -> None:
        self._doors = Doors(identity, study)
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def target(self, member: str, address: str) -> str:
        """As Doors.target."""
        return address if relay_of(address) is None else self._run(self._doors.target(member, address))

    def failure(self, member: str) -> RelayError | None:
        """As Doors.failure."""
        return self._doors.failure(member)

    def close(self) -> None:
        if self._loop is None or self._thread is None:
            return
        self._run(self._doors.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._loop = self._thread = None

    def _run(self, work: Coroutine[Any, Any, Done]) -> Done:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=self._loop.run_forever, name="unseen-relay", daemon=True)
                self._thread.start()
            return asyncio.run_coroutine_threadsafe(work, self._loop).result()


def _is_own_user(writer: asyncio.StreamWriter) -> bool:
    plug = writer.get_extra_info("socket")
    with suppress(OSError):
        _, user, _ = _CREDENTIALS.unpack(plug.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
        return bool(user == os.geteuid())
    return False
