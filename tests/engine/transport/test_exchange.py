"""What protocols are promised: the arrays that were sent, from whom they were sent, in order, or an exception."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from engine.transport.codes import CHUNK, WINDOW
from protocols.errors import MisuseError, PeerLost, PeerMisbehaved
from protocols.session import Expect


def array_of(sender: int, receiver: int, step: int, size: int, dtype: str) -> np.ndarray:
    """Different for every sender, receiver and step."""
    period = (np.arange(251) + 83 * sender + 11 * receiver + step) % 251  # no divisor of a chunk: a misplaced one shows
    return np.resize(period.astype(dtype), size)


def all_to_all(link, rounds, size, dtype):
    session = link.session()
    others = [i for i in range(len(session.members)) if i != session.me]
    for step in range(rounds):
        send = {i: array_of(session.me, i, step, size, dtype) for i in others}
        received = session.exchange(f"step {step}", send, {i: Expect(np.dtype(dtype), (size,)) for i in others})
        for i in others:
            np.testing.assert_array_equal(received[i], array_of(i, session.me, step, size, dtype))
    return "done"


@pytest.mark.parametrize("parties", [3, 5])
@pytest.mark.parametrize("dtype", ["u1", "<u8", "<i8", "<f8"])
def test_every_member_receives_what_each_other_sent(study, parties, dtype):
    links = study(parties).start_all()
    assert links.everybody(lambda link: all_to_all(link, 20, 129, dtype), links.open()) == ["done"] * parties


@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 24 << 20])
def test_arrays_of_any_size_arrive_whole(study, size):
    running = study().start_all()
    assert running.everybody(lambda link: all_to_all(link, 2, size, "u1"), running.open()) == ["done"] * 3


def test_shapes_and_zero_dimensions_survive(study):
    running = study().start_all()
    shapes = [(), (0, 3), (2, 3, 4), (7, 1)]

    def work(link):
        session = link.session()
        right, left = (session.me + 1) % 3, (session.me - 1) % 3
        for shape in shapes:
            value = np.full(shape, session.me, "<f8")
            received = session.exchange("ring", {right: value.T.copy().T}, {left: Expect(np.dtype("<f8"), shape)})[left]
            assert received.shape == shape
            assert (received == left).all()
        return "done"

    assert running.everybody(work, running.open()) == ["done"] * 3


def test_members_may_skip_exchanges_that_do_not_concern_them(study):
    """A hospital that does not compute takes part only where it sends or receives."""
    running = study(4).start_all()

    def work(link):
        session = link.session()
        if session.me == 3:
            session.exchange("input", {0: np.arange(5, dtype="<u8")}, {})
            return int(session.exchange("flag", {}, {0: Expect(np.dtype("u1"), (1,))})[0][0])
        if session.me == 0:
            session.exchange("input", {}, {3: Expect(np.dtype("<u8"), (5,))})
        for _ in range(10):
            right, left = (session.me + 1) % 3, (session.me - 1) % 3
            session.exchange("ring", {right: np.zeros(9, "u1")}, {left: Expect(np.dtype("u1"), (9,))})
        if session.me == 0:
            session.exchange("flag", {3: np.array([7], "u1")}, {})
        return 7

    assert running.everybody(work, running.open()) == [7] * 4


def test_two_sessions_at_once_share_the_streams(study):
    running = study().start_all()
    first, second = running.open(b"a" * 32), running.open(b"b" * 32)
    outcome = []

    def large():
        outcome.append(running.everybody(lambda link: all_to_all(link, 3, 9 << 20, "u1"), first))

    other = threading.Thread(target=large)
    other.start()
    small = running.everybody(lambda link: all_to_all(link, 200, 64, "<u8"), second)
    other.join()
    assert (small, outcome) == (["done"] * 3, [["done"] * 3])


def test_members_hold_the_same_pairwise_keys_and_session_id(study):
    running = study(5).start_all()
    sessions = [link.session() for link in running.open()]
    assert len({session.id for session in sessions}) == 1
    assert sessions[0].members == running.charter.parties
    assert sessions[0].hospitals == (0, 1, 2, 3, 4)
    for session in sessions:
        for peer in set(range(5)) - {session.me}:
            mine, theirs = session.stream(peer, "test").bytes(32), sessions[peer].stream(session.me, "test").bytes(32)
            if session.me < peer:
                np.testing.assert_array_equal(mine, theirs)


def test_a_new_attempt_has_a_new_id_and_an_old_one_never_opens_again(study):
    running = study().start_all()
    first = running.open(attempt=1)
    for link in first:
        link.close()
    second = running.open(attempt=2)
    assert first[0].agreement.session != second[0].agreement.session
    for attempt in (1, 2):
        with pytest.raises(MisuseError, match="next attempt"):
            running.opening("alder", b"j" * 32, attempt).result(5)


def test_a_member_that_ends_in_order_does_not_disturb_the_others(study):
    """The first to finish may close its links while the others still work among themselves."""
    running = study().start_all()
    links = running.open()
    gone = threading.Event()

    def work(link):
        session = link.session()
        left = {0: 1, 1: 0, 2: 0}[session.me]
        if session.me == 2:
            session.exchange("last", {0: np.zeros(3 * CHUNK, "u1")}, {})
            link.close()
            running.stop("cedar")
            gone.set()
            return "done"
        if session.me == 0:
            session.exchange("last", {}, {2: Expect(np.dtype("u1"), (3 * CHUNK,))})
        gone.wait(20)
        session.exchange("pair", {left: np.ones(4, "u1")}, {left: Expect(np.dtype("u1"), (4,))})
        return "done"

    assert running.everybody(work, links) == ["done"] * 3


def test_waiting_for_a_member_that_has_left_fails_at_once(study):
    running = study(deadline=30.0).start_all()
    links = running.open()
    links[2].close()
    outcome = running.everybody(lambda link: link.session().exchange("x", {}, {2: Expect(np.dtype("u1"), (1,))}), links[:2])
    assert [type(error) for error in outcome] == [PeerLost, PeerLost]


def test_a_fast_sender_waits_for_a_slow_receiver_within_its_window(study):
    """The sender's worker stops when the window is full; the receiver holds no more than the window; nothing is lost."""
    running = study().start_all()
    links = running.open()
    parts, size = 40, CHUNK  # five windows
    sent = []

    def send(link):
        session = link.session()
        for part in range(parts):
            session.exchange("part", {1: np.full(size, part, "u1")}, {})
            sent.append(part)

    def receive(link):
        session = link.session()
        with link.heartbeating():
            running.loop.wait_until(lambda: links[1].peers[0].inbox._early_bytes > WINDOW - 2 * CHUNK)
        assert len(sent) <= WINDOW // size
        for part in range(parts):
            array = session.exchange("part", {}, {0: Expect(np.dtype("u1"), (size,))})[0]
            assert (array == part).all()
            assert links[1].peers[0].inbox._early_bytes <= WINDOW
        return "done"

    outcome = running.everybody(lambda link: {0: send, 1: receive, 2: lambda _: None}[link.agreement.me](link), links)
    assert outcome == [None, "done", None]


@pytest.mark.parametrize(
    ("send", "expect"),
    [
        ({7: np.zeros(1, "u1")}, {}),
        ({0: np.zeros(1, "u1")}, {}),
        ({1: np.zeros(1, "<f4")}, {}),
        ({1: np.array([object()])}, {}),
        ({}, {1: Expect(np.dtype("c16"), (1,))}),
    ],
)
def test_local_misuse_ends_the_session_everywhere(study, send, expect):
    running = study().start_all()
    links = running.open()

    def work(link):
        if link.agreement.me == 0:
            return link.session().exchange("x", send, expect)
        return link.session().exchange("x", {}, {0: Expect(np.dtype("u1"), (1,))})

    assert [type(error) for error in running.everybody(work, links)] == [MisuseError, PeerLost, PeerLost]


@pytest.mark.parametrize(
    "wrong",
    [
        ("other", np.zeros(8, "u1")),
        ("kind", np.zeros(8, "<u8")),
        ("kind", np.zeros(7, "u1")),
        ("kind", np.zeros((2, 4), "u1")),
        ("kind", np.zeros(CHUNK + 8, "u1")),
    ],
)
@pytest.mark.parametrize("early", [False, True])
def test_an_array_that_the_plan_does_not_hold_ends_the_session_everywhere(study, wrong, early):
    running = study().start_all()
    links = running.open()
    kind, array = wrong

    def work(link):
        session = link.session()
        if session.me == 0:
            session.exchange(kind, {1: array}, {})
            return session.exchange("next", {}, {1: Expect(np.dtype("u1"), (1,))})
        if session.me == 1:
            if early:
                running.loop.wait_until(lambda: links[1].peers[0].inbox._early_bytes >= array.nbytes)
            return session.exchange("kind", {}, {0: Expect(np.dtype("u1"), (8,))})
        return session.exchange("next", {}, {1: Expect(np.dtype("u1"), (1,))})

    assert [type(error) for error in running.everybody(work, links)] == [PeerLost, PeerMisbehaved, PeerLost]


def test_an_aborted_session_never_exchanges_again(study):
    running = study().start_all()
    links = running.open()
    links[0].abort("refused")
    session = links[0].session()
    for _ in range(2):
        outcome = running.everybody(lambda link: session.exchange("x", {}, {}), links[:1])
        assert [type(error) for error in outcome] == [PeerLost]
    outcome = running.everybody(lambda link: link.session().exchange("x", {}, {0: Expect(np.dtype("u1"), (1,))}), links[1:])
    assert [str(error) for error in outcome] == ["alder aborted the session: refused"] * 2
    assert {(at, by) for at, by, _ in running.aborts} >= {("birch", "alder"), ("cedar", "alder")}


def test_a_sessions_randomness_is_taken_once(study):
    """Two views of one session would draw the same masks twice."""
    link, *_ = study().start_all().open()
    link.session()
    with pytest.raises(MisuseError):
        link.session()
