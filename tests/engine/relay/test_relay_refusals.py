"""What a relay refuses: other keys, forged or malformed words, and more than its bounds allow. It ends soon and typed."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import canonical, identity
from engine.errors import NotAuthorised, SignatureInvalid
from engine.relay.server import Limits
from engine.relay.words import DOMAIN, FRAME_LIMIT, MAGIC, NONCE_SIZE, RelayError, Request, sign, verify
from engine.transport.codes import LinkCode
from tests.engine.relay.relay_place import SHORT, is_closed, place, run, says

FIELDS = st.sampled_from(["study", "member", "verb", "to", "more"])
TREES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.dictionaries(FIELDS, inner, max_size=5) | st.lists(inner, max_size=3),
    max_leaves=6,
)
GARBAGE = (b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01" + bytes(300), b"\0\0", b"\0\5abcde", b"\2\0" + bytes(512))


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
