"""A party behind a relay: keeps lines open there, and leads each call to its own daemon on loopback.

The daemon's server sees a connection as any other: TLS, with a certificate that the charter pins. Lines are made again for ever,
after a pause that grows to LONGEST_PAUSE while the relay does not answer.
"""

from __future__ import annotations

import asyncio
import logging

from engine.address import host_and_port
from engine.relay.caller import Caller, RelayError
from engine.relay.line import CHUNK, Crew, Line, join
from engine.relay.words import Word, unreachable

_log = logging.getLogger(__name__)

SPARE = 3  # lines that wait; each call takes one, and another takes its place
MAX_CALLS = 48  # at a time; a relay has room for 64 lines of a member
SILENCE = 60.0  # seconds without a sign of the relay, which gives one every twenty
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0  # seconds between two attempts
LOCAL_SECONDS = 2.0


class Reception:
    """`start`, then `stop`, once. `daemon` is where the party's own server listens."""

    def __init__(self, caller: Caller, daemon: str) -> None:
        self._caller, self._daemon = caller, _on_this_machine(daemon)
        self._crew = Crew()
        self._room = asyncio.Semaphore(MAX_CALLS)
        self._failed = False

    def start(self) -> None:
        """Returns at once; the lines come and go."""
        for _ in range(SPARE):
            self._crew.begin(self._keep_waiting())

    async def stop(self) -> None:
        """Cut every line."""
        await self._crew.stop()

    async def _keep_waiting(self) -> None:
        pause = FIRST_PAUSE
        while True:
            try:
                line = await self._called()
                pause = FIRST_PAUSE
                self._crew.begin(self._lead_in(line))
            except RelayError as error:
                self._note(error)
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)

    async def _called(self) -> Line:
        """A line on which the relay has called. Raises RelayError."""
        await self._room.acquire()
        try:
            line = await self._caller.wait()
            self._note(None)
            try:
                while (word := await line.hear(SILENCE)) == Word.STILL.encode():
                    pass
                if word != Word.CALL.encode():
                    raise ValueError
            except BaseException as error:
                line.cut()
                if isinstance(error, OSError | EOFError | ValueError):
                    raise unreachable(self._caller.where, "it closed the line, or fell silent") from None
                raise
        except BaseException:
            self._room.release()
            raise
        return line

    async def _lead_in(self, far: Line) -> None:
        try:
            async with asyncio.timeout(LOCAL_SECONDS):
                near = Line(*await asyncio.open_connection(*self._daemon, limit=CHUNK))
            try:
                async with asyncio.timeout(LOCAL_SECONDS):
                    await far.say(Word.HERE.encode())
                await join(near, far)
            finally:
                near.cut()
        except OSError as error:  # the relay finds the line closed
            _log.info("a call was lost: %s", type(error).__name__)
        finally:
            far.cut()
            self._room.release()

    def _note(self, error: RelayError | None) -> None:
        """Log changes only."""
        if error is not None and not self._failed:
            _log.warning("no line to the relay code=%s", error.code)
        elif error is None and self._failed:
            _log.info("lines to the relay are back")
        self._failed = error is not None


def _on_this_machine(listen: str) -> tuple[str, int]:
    """Where a server that listens there is reached from its own machine."""
    host, port = host_and_port(listen)
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host), port  # noqa: S104  compared, not bound
