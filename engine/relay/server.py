"""The relay: takes lines of members, lets parties wait, joins whoever dials with one that waits.

Promised to its operator: what anybody can make it hold is bounded by Limits; a line that says nothing in time, or what is no
word, is closed; a stranger gets no further than one signature's verification. Promised to members: only the holder of a member's
key waits under its name. Newer waiting lines push out older ones of the same member, because a party that lost its network leaves
some behind. The relay keeps nothing on disk and holds no key.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections import Counter, deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from engine.charter import Charter
from engine.errors import ConfigError, NotAuthorised, SignatureInvalid
from engine.relay.line import CHUNK, IDLE, Crew, Line, join
from engine.relay.words import MAGIC, NONCE_SIZE, Word, verify

_log = logging.getLogger(__name__)

Key = tuple[str, str]  # study, member


@dataclass(frozen=True)
class Limits:
    """What a relay holds at most, and for how long."""

    lines: int = 2048  # connections, all together; a joined pair has two, with a quarter of a megabyte for each at most
    strangers: int = 64  # of these, not yet known to be a member's
    of_member: int = 64  # lines of one member, waiting, dialling and joined ones
    waiting: int = 8  # lines on which one party waits
    greeting: float = 5.0  # seconds for a request
    answer: float = 1.5  # seconds for `here`; then the next one that waits is called
    patience: float = 4.0  # seconds until a dialled party that does not wait is away
    still: float = 20.0  # seconds between two signs of life on a waiting line
    idle: float = IDLE


class Waiter:
    """A line on which a party waits: `answer` ends when it says something or goes, `over` when it is needed no more."""

    def __init__(self, line: Line) -> None:
        self.line = line
        self.answer = asyncio.create_task(line.hear(None))
        self.called, self.over = asyncio.Event(), asyncio.Event()

    async def comes(self, seconds: float) -> bool:
        """Call it; whether it answers in time."""
        self.called.set()
        try:
            await self.line.say(Word.CALL.encode())
            async with asyncio.timeout(seconds):
                return await asyncio.shield(self.answer) == Word.HERE.encode()
        except (OSError, EOFError, ValueError):
            return False


class Lobby:
    """Those who wait under one name, and those who ask for one of them."""

    def __init__(self, room: int) -> None:
        self._room = room
        self._waiting: deque[Waiter] = deque()
        self._asking: deque[asyncio.Future[Waiter]] = deque()

    def enter(self, waiter: Waiter) -> None:
        while self._asking:
            asked = self._asking.popleft()
            if not asked.done():
                asked.set_result(waiter)
                return
        self._waiting.append(waiter)
        if len(self._waiting) > self._room:
            self._waiting.popleft().over.set()

    def leave(self, waiter: Waiter) -> None:
        with suppress(ValueError):
            self._waiting.remove(waiter)

    async def take(self) -> Waiter:
        """The one that came last, whose line is the least likely to be dead; waits for one while there is none."""
        if self._waiting:
            return self._waiting.pop()
        asked: asyncio.Future[Waiter] = asyncio.get_running_loop().create_future()
        self._asking.append(asked)
        try:
            return await asked
        except asyncio.CancelledError:
            if asked.done() and not asked.cancelled():
                self.enter(asked.result())
            raise
        finally:
            with suppress(ValueError):
                self._asking.remove(asked)


class Relay:
    """`start`, then `stop`, once. Serves the members of these charters."""

    def __init__(self, charters: Sequence[Charter], limits: Limits = Limits()) -> None:
        self._charters = {charter.id: charter for charter in charters}
        self._limits = limits
        self._lobbies: dict[Key, Lobby] = {}
        self._crew = Crew()
        self._strangers = 0
        self._lines: Counter[Key] = Counter()

    async def start(self, host: str, port: int) -> tuple[str, int]:
        """Where it listens. Raises ConfigError when it cannot."""
        try:
            self._server = await asyncio.start_server(self._accept, host, port, limit=CHUNK)
        except (OSError, OverflowError):
            raise ConfigError(
                f"cannot listen on {host}:{port}: another program uses it, or it is no address of this machine"
            ) from None
        bound: tuple[str, int] = self._server.sockets[0].getsockname()[:2]
        return bound

    async def stop(self) -> None:
        """Cut every line."""
        self._server.close()
        await self._crew.stop()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._crew.begin(self._tend(Line(reader, writer)))

    async def _tend(self, line: Line) -> None:
        try:
            await self._serve(line)
        except (OSError, EOFError, ValueError) as error:  # TimeoutError is an OSError; its text could quote what was sent
            _log.debug("a line broke: %s", type(error).__name__)
        finally:
            line.cut()

    async def _serve(self, line: Line) -> None:
        if len(self._crew) > self._limits.lines + self._limits.strangers:
            return  # not even a word
        if len(self._crew) > self._limits.lines or self._strangers >= self._limits.strangers:
            await self._refuse(line, Word.TOO_MANY)
            return
        self._strangers += 1
        try:
            nonce = os.urandom(NONCE_SIZE)
            await line.say(MAGIC + nonce)
            request, member = verify(await line.hear(self._limits.greeting), nonce, self._charters)
        except (NotAuthorised, SignatureInvalid):
            await self._refuse(line, Word.NOT_AUTHORISED)
            return
        except ValueError:
            await self._refuse(line, Word.MALFORMED)
            return
        finally:
            self._strangers -= 1
        key = request.study, member.name
        if self._lines[key] >= self._limits.of_member:
            await self._refuse(line, Word.TOO_MANY)
            return
        self._lines[key] += 1
        try:
            if request.verb == "wait":
                await self._wait(line, key)
            else:
                await self._dial(line, key, (request.study, request.to))
        finally:
            self._lines[key] -= 1

    async def _refuse(self, line: Line, word: Word) -> None:
        _log.info("refused: %s", word)
        async with asyncio.timeout(self._limits.greeting):
            await line.say(word.encode())
        await line.end()

    def _lobby(self, key: Key) -> Lobby:
        return self._lobbies.setdefault(key, Lobby(self._limits.waiting))

    async def _wait(self, line: Line, key: Key) -> None:
        """Until it is called and joined, goes, or a newer line takes its place."""
        lobby, waiter = self._lobby(key), Waiter(line)
        events = [asyncio.create_task(event.wait()) for event in (waiter.called, waiter.over)]
        try:
            await line.say(Word.WAITING.encode())
            lobby.enter(waiter)
            _log.info("waits: %s", key[1])
            while not (waiter.called.is_set() or waiter.over.is_set() or waiter.answer.done()):
                done, _ = await asyncio.wait(
                    [*events, waiter.answer], timeout=self._limits.still, return_when=asyncio.FIRST_COMPLETED
                )
                if not done:
                    async with asyncio.timeout(self._limits.greeting):
                        await line.say(Word.STILL.encode())
            if waiter.called.is_set():
                await waiter.over.wait()
        finally:
            lobby.leave(waiter)
            for task in (*events, waiter.answer):
                task.cancel()
            await asyncio.gather(*events, waiter.answer, return_exceptions=True)

    async def _dial(self, line: Line, key: Key, to: Key) -> None:
        try:
            async with asyncio.timeout(self._limits.patience):
                waiter = await self._call(self._lobby(to))
        except TimeoutError:
            await self._refuse(line, Word.AWAY)
            return
        try:
            await line.say(Word.PAIRED.encode())
            _log.info("joined: %s with %s", key[1], to[1])
            await join(line, waiter.line, self._limits.idle)
            _log.info("parted: %s from %s", key[1], to[1])
        finally:
            waiter.over.set()

    async def _call(self, lobby: Lobby) -> Waiter:
        """One that answers."""
        while True:
            waiter = await lobby.take()
            answered = False
            try:
                answered = await waiter.comes(self._limits.answer)
            finally:
                if not answered:
                    waiter.over.set()
            if answered:
                return waiter
