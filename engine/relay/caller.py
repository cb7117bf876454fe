"""A member's way to a relay: says who it is, and waits there for calls or asks for another member."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Literal

from engine.identity import Identity
from engine.relay.line import CHUNK, Line
from engine.relay.words import MAGIC, NONCE_SIZE, RelayError, Request, Word, no_relay, refusal, sign, unreachable

SECONDS = 6.0  # to connect, and for each word; longer than a relay's patience


@dataclass(frozen=True)
class Caller:
    """One member of one study, at one relay."""

    identity: Identity
    study: str
    relay: tuple[str, int]

    @property
    def where(self) -> str:
        host, port = self.relay
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    async def dial(self, to: str) -> Line:
        """A line that is joined with `to`. Raises RelayError."""
        return await self._open("dial", to, Word.PAIRED)

    async def wait(self) -> Line:
        """A line on which the relay will call. Raises RelayError."""
        return await self._open("wait", "", Word.WAITING)

    async def _open(self, verb: Literal["wait", "dial"], to: str, expected: Word) -> Line:
        line = await self._connect()
        try:
            greeting = await line.hear(SECONDS)
            if not greeting.startswith(MAGIC) or len(greeting) != len(MAGIC) + NONCE_SIZE:
                raise refusal(greeting, to, self.where)
            request = Request(study=self.study, member=self.identity.name, verb=verb, to=to)
            await line.say(sign(request, greeting[len(MAGIC) :], self.identity.signing_key))
            word = await line.hear(SECONDS)
            if word != expected.encode():
                raise refusal(word, to, self.where)
        except BaseException as error:
            line.cut()
            if isinstance(error, ValueError):
                raise no_relay(self.where) from None
            if isinstance(error, OSError | EOFError):
                raise unreachable(self.where, "it closed the line, or fell silent") from None
            raise
        return line

    async def _connect(self) -> Line:
        try:
            async with asyncio.timeout(SECONDS):
                return Line(*await asyncio.open_connection(*self.relay, limit=CHUNK))
        except TimeoutError:
            raise unreachable(self.where, "silence") from None
        except OSError as error:
            raise unreachable(self.where, error.strerror or "no such name") from None


__all__ = ["Caller", "RelayError"]
