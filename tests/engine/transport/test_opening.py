"""How sessions open: only with everybody's signed key, the same for everybody, and never twice."""

from __future__ import annotations

import time

import numpy as np
import pytest

from engine import canonical
from engine.transport.codes import HELD_HELLOS
from engine.transport.opening import DOMAIN, Opening, _signed_part
from engine.wire.v1.party_link_pb2 import LinkMessage, SessionHello, SessionReady
from protocols.errors import PeerLost, PeerMisbehaved
from protocols.session import Expect

JOB = b"j" * 32


def hello_of(running, name, key=(JOB, 1)):
    """A fresh, rightly signed hello of a member, as its own daemon would make it."""

    async def make():
        return Opening(running.identities[name], running.charter, key)

    return running.loop.run(make()).hello.session_hello


def say(running, sender, hello, to):
    """`sender`'s link carries a hello (or any body) to each member in `to`."""
    field = {SessionHello: "session_hello", SessionReady: "session_ready"}[type(hello)]
    for name in to:
        link = running.meshes[sender]._links[name]
        running.loop.call(lambda link=link: link.send(LinkMessage(**{field: hello})))


def outcomes(running, names, timeout=20.0):
    return [future.exception(25) for future in [running.opening(name, JOB, 1, timeout) for name in names]]


def flipped(data):
    return bytes([data[0] ^ 1]) + data[1:]


@pytest.mark.parametrize("field", ["public_key", "nonce", "signature"])
@pytest.mark.parametrize("held", [True, False])
def test_a_tampered_hello_opens_nothing(study, field, held):
    running = study().start_all()
    hello = hello_of(running, "cedar")
    setattr(hello, field, flipped(getattr(hello, field)))
    if held:
        say(running, "cedar", hello, ["alder", "birch"])
        for name in ("alder", "birch"):
            held_hellos = running.meshes[name]._sessions._held["cedar"]
            running.loop.wait_until(lambda held_hellos=held_hellos: len(held_hellos) == 1)
        errors = outcomes(running, ["alder", "birch"])
    else:
        futures = [running.opening(name, JOB) for name in ("alder", "birch")]
        say(running, "cedar", hello, ["alder", "birch"])
        errors = [future.exception(25) for future in futures]
    assert PeerMisbehaved in {type(error) for error in errors}
    assert {type(error) for error in errors} <= {PeerMisbehaved, PeerLost}  # the second may hear of the first one's abort


@pytest.mark.parametrize("stolen", ["another member's", "another job's", "another attempt's"])
def test_a_hello_signed_for_something_else_opens_nothing(study, stolen):
    running = study().start_all()
    hello = {
        "another member's": lambda: hello_of(running, "birch"),
        "another job's": lambda: hello_of(running, "cedar", (b"k" * 32, 1)),
        "another attempt's": lambda: hello_of(running, "cedar", (JOB, 2)),
    }[stolen]()
    hello.job, hello.attempt = JOB, 1
    future = running.opening("alder", JOB)
    say(running, "cedar", hello, ["alder"])
    with pytest.raises(PeerMisbehaved, match="not signed"):
        future.result(25)


def test_a_key_of_small_order_opens_nothing(study):
    running = study().start_all()
    rogue = hello_of(running, "cedar")
    rogue.public_key = bytes(32)
    signed = _signed_part((JOB, 1), "cedar", rogue.public_key, rogue.nonce)
    rogue.signature = canonical.sign(running.identities["cedar"].signing_key, DOMAIN, signed)
    futures = [running.opening(name, JOB) for name in ("alder", "birch")]
    say(running, "cedar", rogue, ["alder", "birch"])
    assert PeerMisbehaved in {type(future.exception(25)) for future in futures}


@pytest.mark.parametrize("when", ["held", "opening", "running"])
def test_two_differing_hellos_for_one_session_end_it(study, when):
    running = study().start_all()
    first, second = hello_of(running, "cedar"), hello_of(running, "cedar")
    if when == "held":
        say(running, "cedar", first, ["alder"])
        say(running, "cedar", second, ["alder"])
        held = running.meshes["alder"]._sessions._held["cedar"]
        running.loop.wait_until(lambda: list(held.values()) == [None])
        assert type(outcomes(running, ["alder"])[0]) is PeerMisbehaved
    elif when == "opening":
        future = running.opening("alder", JOB)
        say(running, "cedar", first, ["alder"])
        say(running, "cedar", second, ["alder"])
        assert type(future.exception(25)) is PeerMisbehaved
    else:
        links = running.open(JOB)
        say(running, "cedar", second, ["alder"])
        for link in links:
            running.loop.wait_until(lambda link=link: link.ended)


def test_the_same_hello_again_changes_nothing(study):
    running = study().start_all()
    links = running.open(JOB)
    own = running.meshes["cedar"]._sessions._openings[JOB, 1].hello.session_hello
    say(running, "cedar", own, ["alder", "birch"])

    def work(link):
        right, left = (link.agreement.me + 1) % 3, (link.agreement.me - 1) % 3
        return link.session().exchange("x", {right: np.ones(1, "u1")}, {left: Expect(np.dtype("u1"), (1,))})

    assert all(isinstance(received, dict) for received in running.everybody(work, links))


def test_a_member_that_tells_two_members_different_keys_is_found_out(study):
    """Both hellos are rightly signed; the session ids differ, so the readies do not agree and nobody starts."""
    running = study().start_all()
    futures = [running.opening(name, JOB) for name in ("alder", "birch")]
    for name in ("alder", "birch"):
        say(running, "cedar", hello_of(running, "cedar"), [name])
    for name in ("alder", "birch"):  # the liar is ready for whatever each believes
        openings = running.meshes[name]._sessions._openings
        running.loop.wait_until(lambda openings=openings: not openings or len(openings[JOB, 1]._hellos) == 3)
        if openings:
            ready = SessionReady(job=JOB, attempt=1, session=openings[JOB, 1].session_id)
            say(running, "cedar", ready, [name])
    errors = {type(future.exception(25)) for future in futures}
    assert PeerMisbehaved in errors
    assert errors <= {PeerMisbehaved, PeerLost}


def test_nobody_starts_before_everybody_is_ready(study):
    running = study().start_all()
    futures = [running.opening(name, JOB, 1, 1.0) for name in ("alder", "birch")]
    say(running, "cedar", hello_of(running, "cedar"), ["alder", "birch"])  # and never a ready
    assert [type(future.exception(25)) for future in futures] == [PeerLost, PeerLost]


def test_a_session_that_not_all_members_open_fails_at_those_who_did_and_is_told_to_who_comes_late(study):
    running = study().start_all()
    assert [type(error) for error in outcomes(running, ["alder", "birch"], timeout=0.5)] == [PeerLost, PeerLost]
    running.loop.wait_until(lambda: {(at, by) for at, by, _ in running.aborts} >= {("cedar", "alder"), ("cedar", "birch")})
    begun = time.monotonic()
    assert type(outcomes(running, ["cedar"])[0]) is PeerLost
    assert time.monotonic() - begun < 10  # its own timeout is 20 s


def test_a_session_that_two_members_open_before_they_are_linked_waits_for_the_link(study):
    running = study()
    for name in ("alder", "birch"):
        running.start(name)
    running.loop.wait_until(lambda: running.meshes["alder"].connected() == {"birch"})
    early = [running.opening(name, JOB) for name in ("alder", "birch")]
    running.loop.wait_until(lambda: all(running.meshes[name]._sessions._openings for name in ("alder", "birch")))
    running.start("cedar")
    links = [future.result(25) for future in (*early, running.opening("cedar", JOB))]
    assert len({link.agreement.session for link in links}) == 1


def test_a_link_lost_while_a_session_opens_fails_it_at_once(study):
    running = study().start_all()
    futures = [running.opening(name, JOB) for name in ("alder", "birch")]
    running.stop("cedar")
    assert [type(future.exception(10)) for future in futures] == [PeerLost, PeerLost]


def test_aborting_a_job_ends_its_opening_and_tells_the_daemons(study):
    running = study().start_all()
    future = running.opening("alder", JOB)
    held = running.meshes["birch"]._sessions._held["alder"]
    running.loop.wait_until(lambda: len(held) == 1)
    running.loop.call(lambda: running.meshes["alder"].abort(JOB, "refused"))
    assert type(future.exception(10)) is PeerLost
    running.loop.wait_until(lambda: {(at, by) for at, by, job in running.aborts if job == JOB} >= {("birch", "alder")})
    assert not held


def test_announced_sessions_are_held_within_a_limit(study):
    running = study().start_all()
    held = running.meshes["alder"]._sessions._held["cedar"]
    for number in range(5 * HELD_HELLOS):
        say(running, "cedar", hello_of(running, "cedar", (number.to_bytes(32, "big"), 1)), ["alder"])
    last = ((5 * HELD_HELLOS - 1).to_bytes(32, "big"), 1)
    running.loop.wait_until(lambda: last in held)
    assert len(held) == HELD_HELLOS


def test_hellos_from_before_the_session_is_opened_here_are_used(study):
    running = study().start_all()
    first = [running.opening(name, JOB) for name in ("alder", "birch")]
    held = running.meshes["cedar"]._sessions._held
    running.loop.wait_until(lambda: len(held["alder"]) == len(held["birch"]) == 1)
    last = running.opening("cedar", JOB)
    assert len({future.result(25).agreement.session for future in (*first, last)}) == 1
