"""The relay's joins, and how they end and come back, with a stand-in for the daemons behind it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from engine.relay import caller as callers
from engine.relay import reception as receptions
from engine.relay.caller import Caller
from engine.relay.line import Line, join
from engine.relay.reception import Reception
from engine.relay.server import Relay
from engine.relay.words import MAGIC, NONCE_SIZE, RelayError, Word
from engine.transport.codes import LinkCode
from tests.engine.relay.relay_place import SHORT, is_closed, place, run, says


def test_bytes_come_through_in_both_directions_and_the_end_of_one_leaves_the_other_open(keys, charter):
    async def body() -> None:
        async with place(keys, charter) as p, p.waiting():
            line = await p.caller("ana").dial("um")
            assert await says(line, b"a" * 3_000_000) == b"a" * 3_000_000
            line.writer.write(b"last")
            line.writer.write_eof()
            assert await line.reader.read() == b"last"
            assert await p.served.get() == b"a" * 3_000_000 + b"last"

    run(body())


def test_each_call_takes_a_line_of_its_own_and_more_calls_than_lines_are_served(keys, charter):
    async def body() -> None:
        async with place(keys, charter, replace(SHORT, patience=5.0, idle=20.0)) as p, p.waiting():
            lines = await asyncio.gather(*(p.caller(name).dial("um") for name in ("ana", "ben", "iu", "uk") * 3))
            texts = [b"call %03d" % number for number in range(len(lines))]
            assert await asyncio.gather(*(says(line, text) for line, text in zip(lines, texts, strict=True))) == texts

    run(body())


def test_a_joined_line_on_which_nothing_moves_is_cut(keys, charter):
    async def body() -> None:
        async with place(keys, charter) as p, p.waiting():
            line = await p.caller("ana").dial("um")
            assert await says(line, b"x") == b"x"
            assert await is_closed(line)

    run(body())


def test_a_side_that_does_not_read_holds_the_other_up_instead_of_filling_memory():
    async def body() -> None:
        far: asyncio.Queue[tuple[Any, Any]] = asyncio.Queue()
        server = await asyncio.start_server(lambda *both: far.put_nowait(both), "127.0.0.1", 0, limit=1 << 12)
        ends = []
        for _ in range(2):
            ends.append((Line(*await asyncio.open_connection(*server.sockets[0].getsockname())), Line(*await far.get())))
        (sender, one), (silent, other) = ends
        silent.reader._transport.pause_reading()  # type: ignore[attr-defined]
        joined = asyncio.create_task(join(one, other, idle=0.5))
        sender.writer.write(bytes(64 << 20))
        await joined
        assert one.writer.transport.is_closing()
        assert sender.writer.transport.get_write_buffer_size() > 32 << 20
        server.close()

    run(body())


def test_a_waiting_line_hears_that_the_relay_is_alive_and_may_say_nothing_unasked(keys, charter):
    async def body() -> None:
        async with place(keys, charter) as p:
            line = await p.caller("um").wait()
            assert [await p.said(line) for _ in range(3)] == [b"still"] * 3
            await line.say(Word.HERE.encode())
            assert await is_closed(line)

    run(body())


def test_a_party_that_does_not_wait_or_does_not_answer_is_away(keys, charter):
    async def body() -> None:
        async with place(keys, charter) as p:
            mute = await p.caller("um").wait()
            for _ in range(2):
                with pytest.raises(RelayError, match="um does not wait at the relay") as away:
                    await p.caller("ana").dial("um")
                assert away.value.code is LinkCode.NOT_AT_RELAY
            assert await is_closed(mute)

    run(body())


def test_a_dead_waiting_line_does_not_stand_before_a_living_one(keys, charter):
    async def body() -> None:
        async with place(keys, charter, replace(SHORT, patience=5.0)) as p, p.waiting():
            assert await says(await p.caller("ana").dial("um"), b"1") == b"1"
            await p.caller("um").wait()  # the newest; answers nothing
            assert await says(await p.caller("ana").dial("um"), b"2") == b"2"

    run(body())


def test_a_call_whose_daemon_is_down_is_away_not_a_hang(keys, charter):
    async def body() -> None:
        async with place(keys, charter) as p:
            p.echo = "127.0.0.1:1"
            async with p.waiting():
                with pytest.raises(RelayError, match="does not wait at the relay"):
                    await p.caller("ana").dial("um")

    run(body())


def test_lines_come_back_after_the_relay_was_restarted(keys, charter):
    async def body() -> None:
        async with place(keys, charter) as p, p.waiting():
            line = await p.caller("ana").dial("um")
            assert await says(line, b"before") == b"before"
            await p.relay.stop()
            assert await is_closed(line)
            with pytest.raises(RelayError, match="does not answer") as gone:
                await p.caller("ana").dial("um")
            assert gone.value.code is LinkCode.RELAY
            p.relay = Relay([charter], replace(SHORT, patience=10.0))
            await p.relay.start(*p.at)
            caller = p.caller("ana")
            assert await says(await caller.dial("um"), b"after") == b"after"
            await p.relay.stop()

    run(body())


@pytest.mark.parametrize(
    ("greeting", "text"),
    [
        (b"SSH-2.0-OpenSSH_9.6\r\n", "is no relay"),
        (b"\0\2hi", "is no relay"),
        (b"\0\0", "is no relay"),
        (b"\0\17" + MAGIC, "is no relay"),
        (b"\0\57" + MAGIC, "fell silent"),
        (b"", "fell silent"),
    ],
)
def test_what_is_no_relay_is_told_from_one_that_is_silent(keys, charter, monkeypatch, greeting, text):
    monkeypatch.setattr(callers, "SECONDS", 0.3)

    async def body() -> None:
        async def other(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(greeting)
            await is_closed(Line(reader, writer))
            writer.close()

        server = await asyncio.start_server(other, "127.0.0.1", 0)
        with pytest.raises(RelayError, match=text) as found:
            await Caller(keys["um"], charter.id, server.sockets[0].getsockname()).wait()
        assert found.value.code is LinkCode.RELAY
        server.close()

    run(body())


def test_a_party_notices_a_relay_that_went_without_a_word(keys, charter, monkeypatch):
    monkeypatch.setattr(receptions, "SILENCE", 0.3)
    monkeypatch.setattr(receptions, "SPARE", 1)

    async def body() -> None:
        asked = asyncio.Event()
        arrivals = 0

        async def frozen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal arrivals
            line = Line(reader, writer)
            await line.say(MAGIC + bytes(NONCE_SIZE))
            await line.hear(None)
            await line.say(Word.WAITING.encode())
            arrivals += 1
            if arrivals == 2:
                asked.set()

        server = await asyncio.start_server(frozen, "127.0.0.1", 0)
        reception = Reception(Caller(keys["um"], charter.id, server.sockets[0].getsockname()), "127.0.0.1:1")
        reception.start()
        await asked.wait()
        await reception.stop()
        server.close()

    run(body())
