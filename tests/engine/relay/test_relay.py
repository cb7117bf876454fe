"""The relay's words, bounds and joins, with a stand-in for the daemons behind it: whatever comes, it ends soon and typed."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import canonical, identity
from engine.address import relay_of
from engine.charter import Charter
from engine.errors import ConfigError, NotAuthorised, SignatureInvalid
from engine.identity import Identity
from engine.relay import caller as callers
from engine.relay import reception as receptions
from engine.relay.caller import Caller
from engine.relay.doors import Doors, ThreadedDoors
from engine.relay.line import Line, join
from engine.relay.reception import Reception
from engine.relay.server import Limits, Relay
from engine.relay.words import DOMAIN, FRAME_LIMIT, MAGIC, NONCE_SIZE, RelayError, Request, Word, sign, verify
from engine.transport.codes import LinkCode
from tests.engine.party.party_study import make_charter, make_keys

SHORT = Limits(greeting=0.3, answer=0.2, patience=0.3, still=0.1, idle=0.5)
SECONDS = 20.0
FIELDS = st.sampled_from(["study", "member", "verb", "to", "more"])
TREES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.dictionaries(FIELDS, inner, max_size=5) | st.lists(inner, max_size=3),
    max_leaves=6,
)
GARBAGE = (b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01" + bytes(300), b"\0\0", b"\0\5abcde", b"\2\0" + bytes(512))


@pytest.fixture(scope="module")
def keys() -> dict[str, Identity]:
    with tempfile.TemporaryDirectory() as name:
        return make_keys(Path(name))


@pytest.fixture(scope="module")
def charter(keys: dict[str, Identity]) -> Charter:
    return make_charter(keys)


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


# -- joined lines --------------------------------------------------------------------------------------------------------------


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


# -- who may -------------------------------------------------------------------------------------------------------------------


def test_nobody_waits_or_dials_with_another_key_than_the_charters(keys, charter, tmp_path):
    async def body() -> None:
        async with place(keys, charter) as p:
            thief = replace(p.caller("um"), identity=identity.create("um", tmp_path / "um"))
            stranger = replace(p.caller("um"), identity=identity.create("eve", tmp_path / "eve"))
            for who in (thief, stranger, replace(p.caller("um"), study="0" * 64)):
                for verb in (who.wait(), who.dial("um")):
                    with pytest.raises(RelayError, match="does not take this member's key") as refused:
                        await verb
                    assert refused.value.code is LinkCode.RELAY_REFUSES

    run(body())


def test_a_researcher_waits_for_no_calls_and_nobody_dials_one(keys, charter):
    async def body() -> None:
        async with place(keys, charter) as p:
            for verb in (p.caller("ana").wait(), p.caller("um").dial("ben")):
                with pytest.raises(RelayError, match="does not take this member's key"):
                    await verb

    run(body())


def test_a_signature_serves_once(keys, charter):
    async def body() -> None:
        async with place(keys, charter) as p:
            request = Request(study=charter.id, member="um", verb="wait")
            first, again = await p.plain(), await p.plain()
            frame = sign(request, (await p.said(first))[len(MAGIC) :], keys["um"].signing_key)
            await p.said(again)
            await first.say(frame)
            await again.say(frame)
            assert await p.said(first) == b"waiting"
            assert await p.said(again) == b"not-authorised"
            assert await is_closed(again)

    run(body())


def test_a_request_verifies_over_its_exact_bytes_and_fresh_bytes_only(keys, charter):
    nonce, request = bytes(NONCE_SIZE), Request(study=charter.id, member="um", verb="dial", to="iu")
    frame = sign(request, nonce, keys["um"].signing_key)
    assert len(frame) < FRAME_LIMIT
    assert verify(frame, nonce, {charter.id: charter}) == (request, charter.member("um"))
    other_domain = canonical.sign(keys["um"].signing_key, DOMAIN + "x", nonce + frame[64:]) + frame[64:]
    for forged, bytes_ in ((frame.replace(b'"iu"', b'"uk"'), nonce), (frame, b"\1" * NONCE_SIZE), (other_domain, nonce)):
        with pytest.raises(SignatureInvalid):
            verify(forged, bytes_, {charter.id: charter})


@given(st.binary(max_size=FRAME_LIMIT) | TREES.map(lambda tree: bytes(64) + json.dumps(tree).encode()))
def test_any_other_bytes_are_no_request(frame):
    with pytest.raises((ValueError, NotAuthorised, SignatureInvalid)):
        verify(frame, bytes(NONCE_SIZE), {})


# -- bounds --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", GARBAGE)
def test_garbage_is_told_so_or_cut_and_others_are_served_on(keys, charter, text):
    async def body() -> None:
        async with place(keys, charter) as p, p.waiting():
            line = await p.plain()
            await p.said(line)
            line.writer.write(text)
            assert await p.said(line) == b"malformed"
            assert await is_closed(line)
            assert await says(await p.caller("ana").dial("um"), b"on") == b"on"

    run(body())


def test_a_line_that_says_nothing_or_half_a_word_is_closed_in_time(keys, charter):
    async def body() -> None:
        async with place(keys, charter) as p:
            silent, half, gone = [await p.plain() for _ in range(3)]
            half.writer.write(b"\x00\x70abc")
            gone.writer.write_eof()
            for line in (silent, half, gone):
                assert await is_closed(line)

    run(body())


def test_strangers_and_all_lines_together_are_bounded(keys, charter):
    async def body(limits: Limits) -> None:
        async with place(keys, charter, limits) as p:
            held = [await p.plain() for _ in range(3)]
            for line in held:
                assert (await p.said(line)).startswith(MAGIC)
            one_more = await p.plain()
            assert await p.said(one_more) == b"too-many"
            assert await is_closed(one_more)
            with pytest.raises(RelayError, match="no room for another line"):
                await p.caller("um").wait()
            held[0].cut()

    run(body(Limits(strangers=3)))
    run(body(Limits(lines=3)))


def test_the_lines_of_one_member_are_bounded_and_do_not_take_the_others(keys, charter):
    async def body() -> None:
        async with place(keys, charter, replace(SHORT, of_member=2, waiting=2)) as p:
            lines = [await p.caller("um").wait() for _ in range(2)]
            with pytest.raises(RelayError, match="no room for another line"):
                await p.caller("um").wait()
            await p.caller("iu").wait()
            lines[0].cut()

    run(body())


def test_newer_waiting_lines_push_out_older_ones_of_the_same_member(keys, charter):
    async def body() -> None:
        async with place(keys, charter, replace(SHORT, waiting=2)) as p:
            lines = [await p.caller("um").wait() for _ in range(3)]
            assert await is_closed(lines[0])
            assert await p.said(lines[1]) == b"still"
            assert await p.said(lines[2]) == b"still"

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


# -- the relay comes and goes --------------------------------------------------------------------------------------------------


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


# -- doors ---------------------------------------------------------------------------------------------------------------------


def test_a_door_leads_through_the_relay_and_says_why_it_did_not(keys, charter):
    async def body() -> None:
        async with place(keys, charter) as p:
            doors = Doors(keys["ana"], charter.id)
            target = await doors.target("um", f"relay://127.0.0.1:{p.at[1]}")
            path = "\0" + target.removeprefix("unix-abstract:")
            away = Line(*await asyncio.open_unix_connection(path))
            assert await is_closed(away)
            failure = doors.failure("um")
            assert failure is not None
            assert failure.code is LinkCode.NOT_AT_RELAY
            async with p.waiting():
                line = Line(*await asyncio.open_unix_connection(path))
                assert await says(line, b"through") == b"through"
                assert doors.failure("um") is None
                await doors.close()
                assert await is_closed(line)
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_unix_connection(path)

    run(body())


def test_a_door_opens_to_the_own_user_only(keys, charter, monkeypatch):
    async def body() -> None:
        async with place(keys, charter) as p, p.waiting():
            doors = Doors(keys["ana"], charter.id)
            target = await doors.target("um", f"relay://127.0.0.1:{p.at[1]}")
            monkeypatch.setattr("os.geteuid", lambda: 12345)
            line = Line(*await asyncio.open_unix_connection("\0" + target.removeprefix("unix-abstract:")))
            with pytest.raises((EOFError, OSError)):
                await says(line, b"x")
            await doors.close()

    run(body())


def test_an_address_of_a_daemon_needs_no_door(keys, charter):
    with closing(ThreadedDoors(keys["ana"], charter.id)) as doors:
        assert doors.target("um", "um.example.org:7443") == "um.example.org:7443"
        assert doors._thread is None


@pytest.mark.parametrize(
    ("address", "relay"),
    [
        (None, None),
        ("um.example.org:7443", None),
        ("relay://relay.example.org:7444", ("relay.example.org", 7444)),
        ("relay://[::1]:7444", ("::1", 7444)),
    ],
)
def test_an_address_names_a_relay_or_none(address, relay):
    assert relay_of(address) == relay


@pytest.mark.parametrize(
    "address", ["relay://", "relay://host", "relay://host:0", "relay://host:65536", "relay://host:1/um", "relay://:1"]
)
def test_an_address_that_is_half_a_relays_is_wrong_in_a_charter_too(keys, address):
    with pytest.raises(ConfigError, match="relay://HOST:PORT"):
        relay_of(address)
    with pytest.raises(ConfigError, match="relay://HOST:PORT"):
        make_charter(keys, members=[m | {"address": address} for m in make_charter(keys).model_dump(mode="json")["members"]])
