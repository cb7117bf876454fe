"""Links: who is greeted, what `last_error` says, notices that wait for a peer, and bytes that are no message."""

from __future__ import annotations

import asyncio
import os
from contextlib import asynccontextmanager
from functools import partial

import grpc
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.errors import Unreachable
from engine.transport import credentials, link, messages
from engine.transport.codes import CONTROL_LIMIT, MESSAGE_LIMIT, PROTOCOL_VERSION, LinkCode
from engine.wire.v1.party_link_pb2 import JobNotice, LinkMessage
from protocols.errors import PeerMisbehaved
from tests.engine.transport.studies import make_charter

CONNECT = "/engine.wire.v1.PartyLink/Connect"


def notice(job, verdict="approved"):
    return JobNotice(job=job * 32, verdict=verdict, signature=bytes(64))


@asynccontextmanager
async def raw_stream(running, caller="alder", callee="birch"):
    """A stream that a member opens with its own certificate, and on which it may say anything."""
    options = tuple(
        option for option in credentials.channel_options(running.charter.member(callee)) if "message_length" not in option[0]
    )
    keys = credentials.channel_credentials(running.identities[caller], running.charter.member(callee))
    async with grpc.aio.secure_channel(running.addresses[callee], keys, options=options) as channel:
        yield channel.stream_stream(CONNECT)()


def greeting(running, version=PROTOCOL_VERSION):
    return messages.link_hello(version, running.charter.id, os.urandom(32)).SerializeToString()


def test_parties_of_different_charters_have_no_link_and_say_why(study):
    running = study()
    running.start("alder")
    running.start("birch")
    running.start("cedar", make_charter(running.identities, running.addresses, running.deadline, title="another"))
    alder, birch, cedar = (running.meshes[name] for name in running.names)
    running.loop.wait_until(lambda: alder.last_error("cedar") is birch.last_error("cedar") is LinkCode.OTHER_CHARTER)
    running.loop.wait_until(lambda: cedar.last_error("alder") is cedar.last_error("birch") is LinkCode.OTHER_CHARTER)
    assert alder.connected() == {"birch"}
    with pytest.raises(Unreachable, match=r"cedar \(other-charter\)"):
        running.loop.run(alder.wait_connected(0.05))


@pytest.mark.parametrize(
    ("first_words", "code"),
    [
        (lambda running: greeting(running, version=2), LinkCode.OTHER_VERSION),
        (lambda running: b"\xff" * 40, LinkCode.NO_GREETING),
        (lambda running: LinkMessage(job_notice=notice(b"n")).SerializeToString(), LinkCode.NO_GREETING),
        (lambda running: LinkMessage().SerializeToString(), LinkCode.NO_GREETING),
        (lambda running: None, LinkCode.NO_GREETING),
    ],
)
def test_a_stream_that_begins_otherwise_is_closed(study, monkeypatch, first_words, code):
    monkeypatch.setattr(link, "GREETING_DEADLINE", 0.5)
    running = study()
    running.start("birch")

    async def connect():
        async with raw_stream(running) as call:
            words = first_words(running)
            if words is not None:
                await call.write(words)
            await call.read()  # the daemon's own greeting comes first, whatever was said
            with pytest.raises(grpc.aio.AioRpcError) as refusal:
                await call.read()
            return refusal.value

    refusal = running.loop.run(connect())
    assert (refusal.code(), refusal.details()) == (grpc.StatusCode.FAILED_PRECONDITION, code)
    assert running.meshes["birch"].last_error("alder") is code


def test_a_peer_that_reflects_the_greeting_is_not_greeted(study):
    running = study()
    running.start("birch")

    async def connect():
        async with raw_stream(running) as call:
            await call.write(await call.read())
            with pytest.raises(grpc.aio.AioRpcError) as refusal:
                await call.read()
            return refusal.value.details()

    assert running.loop.run(connect()) == LinkCode.NO_GREETING


@pytest.mark.parametrize(
    "garbage",
    [
        b"\xff" * 100,
        b"",
        LinkMessage(hello={"protocol_version": 1, "charter": bytes(32), "nonce": bytes(32)}).SerializeToString(),
    ],
)
def test_garbage_closes_the_link_and_a_new_one_is_taken(study, garbage):
    running = study()
    birch = running.start("birch")

    async def connect(words):
        async with raw_stream(running) as call:
            await call.write(greeting(running))
            await call.read()
            await call.write(words)
            return await call.read()

    assert running.loop.run(connect(garbage)) is grpc.aio.EOF
    running.loop.wait_until(lambda: birch.last_error("alder") is LinkCode.MALFORMED)
    running.start("alder")
    running.loop.wait_until(lambda: birch.connected() == {"alder"})


def test_a_message_above_the_limit_ends_the_stream(study):
    """gRPC refuses it by its length prefix; the daemon goes on."""
    running = study()
    birch = running.start("birch")

    async def connect():
        async with raw_stream(running) as call:
            await call.write(greeting(running))
            await call.read()
            await call.write(bytes(MESSAGE_LIMIT + 1))
            try:
                return await call.read()
            except grpc.aio.AioRpcError as error:
                return error.code()

    assert running.loop.run(connect()) in (grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.aio.EOF)
    running.loop.wait_until(lambda: birch.connected() == set())
    running.start("alder")
    running.loop.wait_until(lambda: birch.connected() == {"alder"})


@pytest.mark.parametrize("half_way", [False, True])
def test_a_stream_that_breaks_is_forgotten_without_a_fuss(study, caplog, half_way):
    running = study()
    birch = running.start("birch")

    async def connect():
        async with raw_stream(running) as call:
            if half_way:
                await call.write(greeting(running))
            await call.read()
            call.cancel()

    running.loop.run(connect())
    running.start("alder")
    running.loop.wait_until(lambda: birch.connected() == {"alder"})
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


def test_a_link_that_is_cancelled_twice_is_over():
    """gRPC cancels a call whose connection broke, and may do so again; a daemon that stops waits for every link's end."""

    class Stubborn:
        """A stream whose read does not end at once when it is cancelled."""

        def __init__(self):
            self.asked, self.let_go = asyncio.Event(), asyncio.Event()

        async def read(self):
            try:
                await asyncio.Future()
            except asyncio.CancelledError:
                self.asked.set()
                await self.let_go.wait()
                raise

        async def write(self, message):
            return None

    async def scenario():
        stream = Stubborn()
        broken = link.Link("cedar", stream, lambda *_: None)
        running = asyncio.create_task(broken.run())
        await asyncio.sleep(0)
        await asyncio.sleep(0)  # the reader waits
        running.cancel()
        await stream.asked.wait()
        running.cancel()
        stream.let_go.set()
        async with asyncio.timeout(5):
            await asyncio.gather(broken.over(), running, return_exceptions=True)
            await broken.over()

    asyncio.run(scenario())


def test_a_newer_stream_of_a_peer_replaces_the_older(study):
    running = study()
    birch = running.start("birch")

    async def connect_twice():
        async with raw_stream(running) as older, raw_stream(running) as newer:
            for call in (older, newer):
                await call.write(greeting(running))
                await call.read()
            ended = await older.read()
            return ended, birch.connected()

    assert running.loop.run(connect_twice()) == (grpc.aio.EOF, {"alder"})


def test_notices_reach_everybody_and_those_who_come_later(study):
    running = study()
    running.start("alder")
    running.start("birch")
    running.loop.wait_until(lambda: running.meshes["alder"].connected() == {"birch"})
    for word in (notice(b"a"), notice(b"b"), notice(b"b", "refused"), notice(b"c")):
        running.loop.call(partial(running.meshes["alder"].notify, word))
    running.loop.wait_until(lambda: len(running.notices) == 4)
    running.start("cedar")
    running.loop.wait_until(lambda: sum(at == "cedar" for at, _, _ in running.notices) == 3)
    told = [(by, word) for at, by, word in running.notices if at == "cedar"]
    assert told == [("alder", notice(b"a")), ("alder", notice(b"b", "refused")), ("alder", notice(b"c"))]


def test_a_party_that_drains_is_not_ready_before_it_has_a_new_link(study):
    running = study().start_all()
    alder, birch, _ = (running.meshes[name] for name in running.names)
    assert birch.ready() == {"alder", "cedar"}
    running.loop.call(alder.drain)
    running.loop.run(alder.drain_heard("birch"))
    assert (birch.ready(), birch.connected()) == ({"cedar"}, {"alder", "cedar"})
    port = int(running.addresses["alder"].rsplit(":", 1)[1])
    running.stop("alder")
    running.bind("alder", port)
    running.start("alder")
    running.loop.wait_until(lambda: birch.ready() == {"alder", "cedar"})


def test_who_comes_later_hears_of_a_drain_too(study):
    running = study()
    alder = running.start("alder")
    running.loop.call(alder.drain)
    birch = running.start("birch")
    running.loop.wait_until(lambda: alder.connected() == {"birch"})
    running.loop.run(alder.drain_heard("birch"))
    assert (birch.ready(), birch.connected()) == (set(), {"alder"})


def test_nobody_waits_for_a_peer_that_goes_without_having_heard_of_a_drain(study):
    running = study()
    birch = running.start("birch")

    async def connect():
        async with raw_stream(running) as call:
            await call.write(greeting(running))
            await call.read()
            birch.drain()
            assert messages.decode(await call.read())[0] == "drain"
            waiting = asyncio.create_task(birch.drain_heard("alder"))
            await asyncio.sleep(0)  # it has begun
            assert not waiting.done()
            call.cancel()
            async with asyncio.timeout(20):
                await waiting

    running.loop.run(connect())


def test_a_peer_that_takes_nothing_loses_the_link(study):
    """What waits for it is bounded."""
    running = study()
    birch = running.start("birch")

    async def connect():
        async with raw_stream(running) as call:
            await call.write(greeting(running))
            await call.read()
            while birch.connected() != {"alder"}:
                await call.write(LinkMessage(job_notice=notice(b"x")).SerializeToString())
            own = birch._links["alder"]
            for _ in range(CONTROL_LIMIT + 1):
                own.send(LinkMessage(job_notice=notice(b"y")))
            assert len(own._control) <= CONTROL_LIMIT
            await own.over()

    running.loop.run(connect())
    running.loop.wait_until(lambda: birch.last_error("alder") is LinkCode.SLOW)


# -- decoders: any bytes, any fields ------------------------------------------------------------------------------------------


@given(st.binary(max_size=400))
def test_any_bytes_are_a_message_or_refused(raw):
    try:
        name, _ = messages.decode(raw)
    except PeerMisbehaved:
        return
    assert name


ROUTES = [f"<route {i}>".encode() for i in range(3)]
IDS = st.one_of(st.sampled_from([b"<job>", bytes(32), b"<session>", *ROUTES]), st.binary(max_size=40))
COUNTS = st.one_of(st.integers(0, 3), st.integers(0, 2**32 - 1))
LARGE = st.one_of(st.integers(0, 3), st.integers(0, 2**64 - 1))
DTYPE = st.one_of(st.sampled_from([*messages.DTYPES, "|O", ">f8"]), st.text(max_size=5))
FRAME = st.fixed_dictionaries(
    {
        "route": IDS,
        "step": LARGE,
        "kind": st.sampled_from(["x", "", "y" * 200]),
        "dtype": DTYPE,
        "shape": st.lists(LARGE, max_size=10),
        "chunk": COUNTS,
        "chunks": COUNTS,
        "payload": st.binary(max_size=64),
    }
)
NONCE = st.one_of(st.just(bytes(32)), st.binary(max_size=40))
SIGNATURE = st.one_of(st.just(bytes(64)), st.binary(max_size=70))
BODIES = st.one_of(
    st.tuples(st.just("frame"), FRAME),
    st.tuples(st.just("hello"), st.fixed_dictionaries({"protocol_version": COUNTS, "charter": IDS, "nonce": NONCE})),
    st.tuples(
        st.just("session_hello"),
        st.fixed_dictionaries({"job": IDS, "attempt": COUNTS, "public_key": NONCE, "nonce": NONCE, "signature": SIGNATURE}),
    ),
    st.tuples(st.just("session_ready"), st.fixed_dictionaries({"job": IDS, "attempt": COUNTS, "session": IDS})),
    st.tuples(st.just("heartbeat"), st.fixed_dictionaries({"session": IDS, "working": st.booleans()})),
    st.tuples(st.just("credit"), st.fixed_dictionaries({"session": IDS, "taken": LARGE})),
    st.tuples(st.just("drain"), st.fixed_dictionaries({"heard": st.booleans()})),
    st.tuples(st.just("leave"), st.fixed_dictionaries({"session": IDS})),
    st.tuples(st.just("abort"), st.fixed_dictionaries({"job": IDS, "code": st.text(max_size=40)}, optional={"attempt": COUNTS})),
    st.tuples(
        st.just("job_notice"), st.fixed_dictionaries({"job": IDS, "verdict": st.text(max_size=20), "signature": SIGNATURE})
    ),
)


@pytest.fixture
def hostile(study):
    """A study in which cedar's messages to alder are made up; each example gets a fresh session."""
    return study().start_all(), iter(range(1, 2**31))


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(bodies=st.lists(BODIES, min_size=1, max_size=6))
def test_no_message_raises_anything_but_misbehaviour(hostile, bodies):
    """With identifiers of a session that runs, of a job that it belongs to, or of nothing."""
    running, numbers = hostile
    job = next(numbers).to_bytes(32, "big")  # a fresh one, lest what one example announced spoils the next
    links = running.open(job)
    alder, known = running.meshes["alder"], {b"<job>": job, b"<session>": links[0].agreement.session}
    known |= dict(zip(ROUTES, (peer.route for each in links[:2] for peer in each.peers.values()), strict=False))

    def deliver():
        for name, fields in bodies:
            filled = {key: known.get(bytes(v), v) if isinstance(v, bytes) else v for key, v in fields.items()}
            raw = LinkMessage(**{name: filled}).SerializeToString()
            try:
                alder._handle(alder._links["cedar"], raw)
            except PeerMisbehaved:
                return

    running.loop.call(deliver)
    for each in links:
        each.abort()
    running.loop.wait_until(lambda: not alder._sessions._running)
    assert alder._sessions._by_route == {}
    assert alder._sessions._by_id == {}
