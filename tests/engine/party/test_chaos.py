"""Whatever the network does between daemons: the answer, or an end that everybody sees; and the next is answered."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest

from engine.party.runner import Outcome, Work
from protocols.session import Session
from tests.engine.party.party_study import DEADLINE, RELEASED, Study, free_port, study
from tests.engine.party.stand_ins import answer, meet

pytestmark = pytest.mark.usefixtures("fake_analysis")

ROUNDS = 20
LATE = "uk"  # the others dial it
OTHERS = ("um", "iu")
Mischief = Callable[[bytes], bytes]


class Wire:
    """TCP between one daemon and whoever dials it, and what goes wrong on the way."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._ends: set[asyncio.StreamWriter] = set()
        self._clear = asyncio.Event()
        self._clear.set()
        self.delay = 0.0  # seconds for each piece of at most `piece` bytes
        self.piece = 1 << 16
        self.mischief: Mischief | None = None  # what happens to the next bytes, once

    async def start(self, port: int) -> None:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", port)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ends = {writer}
        try:
            onward, back = await asyncio.open_connection("127.0.0.1", self._target)
            ends.add(back)
            self._ends |= ends
            await asyncio.gather(self._pass_on(reader, back), self._pass_on(onward, writer))
        except OSError:
            pass
        finally:
            self._ends -= ends
            for end in ends:
                end.close()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(self.piece):
                if self.delay:
                    await asyncio.sleep(self.delay)
                await self._clear.wait()
                if self.mischief is not None:
                    data, self.mischief = self.mischief(data), None
                writer.write(data)
                await writer.drain()
        writer.close()

    def cut(self) -> None:
        for end in list(self._ends):
            end.transport.abort()

    def silence(self) -> None:
        """Nothing arrives any more, and nobody is told."""
        self._clear.clear()

    def heal(self) -> None:
        self._clear.set()
        self.cut()  # what lay on the wire is lost

    async def stop(self) -> None:
        self._clear.set()
        self._server.close()
        self.cut()


def rounds(session: Session, work: Work) -> Outcome:
    for number in range(ROUNDS):
        meet(session, f"round {number}")
    return answer(session, work)


def scenario(body: Callable[[Study, Wire], Awaitable[None]]) -> None:
    """A study in which everybody reaches one party through a wire of ours."""

    async def run() -> None:
        async with study() as s:
            inner = free_port()
            plain = s.config

            def config(name: str, *policy: Any, **named: Any) -> Any:
                found = plain(name, *policy, **named)
                return replace(found, listen=f"127.0.0.1:{inner}") if name == LATE else found

            s.config = config  # type: ignore[method-assign]
            wire = Wire(inner)
            await wire.start(int((s.charter.member(LATE).address or "").rsplit(":", 1)[1]))
            try:
                await body(s, wire)
            finally:
                await wire.stop()

    asyncio.run(run())


async def answered_again(s: Study) -> None:
    """Links come back by themselves, and nothing of what happened stands in the way."""
    await s.linked()
    again = await s.asked()
    assert await s.ends(again.job_id) == RELEASED


def test_a_slow_link_takes_its_time() -> None:
    async def body(s: Study, wire: Wire) -> None:
        await s.begin(run=rounds)
        wire.delay, wire.piece = 0.02, 1000
        begun = time.monotonic()
        signed = await s.asked()
        assert await s.ends(signed.job_id) == RELEASED
        assert time.monotonic() - begun > ROUNDS * wire.delay

    scenario(body)


FAULTS: dict[str, Callable[[Wire], None]] = {
    "cut": Wire.cut,
    "bit flipped": lambda wire: setattr(wire, "mischief", lambda data: data[:-1] + bytes([data[-1] ^ 1])),
    "lost": lambda wire: setattr(wire, "mischief", lambda data: b""),
    "repeated": lambda wire: setattr(wire, "mischief", lambda data: data + data),
    "turned round": lambda wire: setattr(wire, "mischief", lambda data: data[len(data) // 2 :] + data[: len(data) // 2]),
    "silent": Wire.silence,
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_on_the_wire_ends_the_job_everywhere_and_the_next_is_answered(fault: str) -> None:
    """Bytes that were tampered with never reach a message: TLS ends the connection first."""

    async def body(s: Study, wire: Wire) -> None:
        hold, signed = await s.held(rounds)
        begun = time.monotonic()
        FAULTS[fault](wire)
        hold.release.set()
        assert {end[:2] for end in await s.ends(signed.job_id, OTHERS)} == {("aborted", "peer-lost")}
        assert time.monotonic() - begun < 2 * DEADLINE + 1  # and the second between two ticks
        wire.heal()
        assert (await s.ends(signed.job_id, (LATE,)))[0][0] == "aborted"
        assert wire.mischief is None
        assert not list(s.folder.rglob("release.bin"))
        await answered_again(s)

    scenario(body)
