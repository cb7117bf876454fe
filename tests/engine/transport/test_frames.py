"""Requirements 11 and 17: a frame fits one place only, and nothing is allocated or kept because a peer says so."""

from __future__ import annotations

import itertools
import tracemalloc

import numpy as np
import pytest

from engine.transport import messages
from engine.transport.codes import CHUNK, FRAME_OVERHEAD, WINDOW, LinkCode
from engine.transport.frames import LARGE, fingerprint, layout, varint
from engine.transport.inbox import Inbox
from engine.transport.outbox import Outbox
from engine.wire.v1.party_link_pb2 import Credit, Frame, LinkMessage
from protocols.errors import PeerLost, PeerMisbehaved
from protocols.session import Expect
from tests.engine.transport.test_exchange import array_of

ROUNDS = 3
BYTES = Expect(np.dtype("u1"), (16,))
ROUTE = bytes(range(32))


def payload(sender, receiver, step):
    return np.full(16, 100 * sender + 10 * receiver + step, "u1")


def record(running, attempt):
    """One honest session of ROUNDS rounds; every frame as (sender, receiver, raw bytes)."""
    frames = []
    for receiver, name in enumerate(running.names):
        mesh = running.meshes[name]
        original = mesh._sessions.on_due

        def tap(peer, raw, receiver=receiver, original=original):
            if LinkMessage.FromString(raw).WhichOneof("body") == "frame":
                frames.append((running.names.index(peer), receiver, raw))
            return original(peer, raw)

        mesh._sessions.on_due = tap

    def work(link):
        session = link.session()
        others = [i for i in range(3) if i != session.me]
        for step in range(ROUNDS):
            sent = {i: payload(session.me, i, step) for i in others}
            session.exchange("kind", sent, dict.fromkeys(others, BYTES))

    links = running.open(attempt=attempt)
    running.everybody(work, links)
    for name in running.names:
        del running.meshes[name]._sessions.on_due
    return frames, links


def inject(running, sender, receiver, raw):
    """`sender`'s authenticated link to `receiver` carries these bytes."""
    link = running.meshes[running.names[sender]]._links[running.names[receiver]]
    running.loop.call(lambda: link.send(LinkMessage.FromString(raw)))


def test_a_recorded_frame_fits_no_other_session_sender_or_receiver(study):
    """Each of the 18 frames of one session, sent over each of the six directions while another session runs: dropped, counted."""
    running = study().start_all()
    frames, old = record(running, 1)
    assert len(frames) == 6 * ROUNDS
    for link in old:
        link.close()
    live = running.open(attempt=2)
    before = {name: sum(running.meshes[name].dropped.values()) for name in running.names}
    for (_, _, raw), (sender, receiver) in itertools.product(frames, itertools.permutations(range(3), 2)):
        inject(running, sender, receiver, raw)
    expected = 2 * len(frames)
    for name in running.names:
        running.loop.wait_until(lambda name=name: sum(running.meshes[name].dropped.values()) == before[name] + expected)
    own = running.everybody(
        lambda link: link.session().exchange(
            "kind",
            {i: payload(link.agreement.me, i, 0) for i in link.peers},
            dict.fromkeys(link.peers, BYTES),
        ),
        live,
    )
    for me, received in enumerate(own):
        for sender, array in received.items():
            np.testing.assert_array_equal(array, payload(sender, me, 0))


def test_a_frame_of_a_running_session_fits_no_other_direction_of_it(study):
    running = study().start_all()
    frames, links = record(running, 1)
    wrong = 0
    for (sender, receiver, raw), (via, to) in itertools.product(frames, itertools.permutations(range(3), 2)):
        if (via, to) != (sender, receiver):
            inject(running, via, to, raw)
            wrong += 1
    running.loop.wait_until(lambda: sum(mesh.dropped.total() for mesh in running.meshes.values()) == wrong)
    assert not any(link.ended for link in links)


def test_an_identical_duplicate_changes_nothing(study):
    running = study().start_all()
    frames, links = record(running, 1)
    for sender, receiver, raw in frames:
        inject(running, sender, receiver, raw)
    ring = running.everybody(
        lambda link: link.exchange(
            "after", {(link.agreement.me + 1) % 3: payload(2, 3, 9)}, {(link.agreement.me - 1) % 3: BYTES}
        ),
        links,
    )
    assert all((array == payload(2, 3, 9)).all() for received in ring for array in received.values())


@pytest.mark.parametrize(("recorded", "place"), [(old, new) for old in range(ROUNDS) for new in range(ROUNDS + 3) if new != old])
def test_a_frame_moved_to_another_step_is_never_accepted(study, recorded, place):
    """With the header altered to the other step, or left as it was and awaited there."""
    running = study().start_all()
    frames, links = record(running, 1)
    sender, receiver, raw = next(each for each in frames if LinkMessage.FromString(each[2]).frame.step == recorded)
    moved = LinkMessage.FromString(raw)
    moved.frame.step = place
    if place == ROUNDS:
        moved.frame.kind = "replayed"  # the next step: only what the plan holds there would pass
    inject(running, sender, receiver, moved.SerializeToString())
    if place == ROUNDS:
        target = [link for link in links if link.agreement.me == receiver]
        outcome = running.everybody(lambda link: link.exchange("kind", {}, {sender: BYTES}), target)
        assert isinstance(outcome[0], PeerMisbehaved)
    for link in links:
        running.loop.wait_until(lambda link=link: link.ended)


def test_a_differing_duplicate_ends_the_session_everywhere(study):
    running = study().start_all()
    frames, links = record(running, 1)
    sender, receiver, raw = frames[0]
    altered = LinkMessage.FromString(raw)
    altered.frame.payload = bytes(16)
    inject(running, sender, receiver, altered.SerializeToString())
    outcome = running.everybody(lambda link: link.exchange("x", {}, {(link.agreement.me + 1) % 3: BYTES}), links)
    kinds = {link.agreement.me: type(error) for link, error in zip(links, outcome, strict=True)}
    assert kinds.pop(receiver) is PeerMisbehaved
    assert set(kinds.values()) == {PeerLost}


def frame(**changes):
    fields = {"route": bytes(32), "step": 0, "kind": "kind", "dtype": "|u1", "shape": [16], "chunk": 0, "chunks": 1}
    return Frame(**{**fields, "payload": bytes(16), **changes})


@pytest.mark.parametrize(
    "claim",
    [
        {"shape": [2 << 30]},
        {"shape": [2 << 30], "chunks": 2048},
        {"dtype": "<u8", "shape": [2]},
        {"dtype": "<f8", "shape": [2]},
        {"shape": [4, 4]},
        {"shape": []},
        {"shape": [16, 0]},
        {"kind": "another"},
        {"chunks": 2},
        {"payload": bytes(15)},
        {"payload": bytes(17)},
        {"payload": b""},
    ],
)
@pytest.mark.parametrize("early", [False, True])
def test_a_header_that_the_plan_does_not_hold_is_refused_before_allocation(claim, early):
    inbox, plan = Inbox(bytes(32)), layout("kind", BYTES.dtype, BYTES.shape)
    wrong = frame(**claim)
    tracemalloc.start()
    try:
        (inbox.accept(wrong, 1) if early else inbox.expect(plan))
        with pytest.raises(PeerMisbehaved):
            (inbox.expect(plan) if early else inbox.accept(wrong, 1))
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "claim",
    [
        {"route": b""},
        {"route": bytes(33)},
        {"kind": ""},
        {"kind": "k" * 129},
        {"dtype": "|O"},
        {"dtype": ">u8"},
        {"dtype": "|V16"},
        {"dtype": ""},
        {"shape": [1] * 9},
        {"chunks": 0},
        {"chunk": 1},
        {"chunk": 7, "chunks": 7},
        {"payload": bytes(CHUNK + 1)},
    ],
)
def test_a_malformed_frame_is_no_message(claim):
    with pytest.raises(PeerMisbehaved):
        messages.decode(LinkMessage(frame=frame(**claim)).SerializeToString())


@pytest.mark.parametrize("place", [(0, 1), (1, 0), (2**63, 0), (0, 2**31)])
def test_a_gap_is_refused(place):
    step, chunk = place
    with pytest.raises(PeerMisbehaved):
        Inbox(bytes(32)).accept(frame(step=step, chunk=chunk, chunks=chunk + 1), 1)


def test_frames_ahead_of_the_plan_are_held_within_the_window_only():
    inbox = Inbox(bytes(32))
    for step in range(WINDOW // (CHUNK + FRAME_OVERHEAD)):
        inbox.accept(frame(step=step, shape=[CHUNK], payload=bytes(CHUNK)), step)
    with pytest.raises(PeerMisbehaved, match="window"):
        inbox.accept(frame(step=step + 1, shape=[CHUNK], payload=bytes(CHUNK)), step + 1)


def test_empty_frames_ahead_of_the_plan_count_too():
    inbox = Inbox(bytes(32))
    room = WINDOW // FRAME_OVERHEAD
    for step in range(room):
        inbox.accept(frame(step=step, shape=[0], payload=b""), step)
    with pytest.raises(PeerMisbehaved, match="window"):
        inbox.accept(frame(step=room, shape=[0], payload=b""), room)


def test_a_sender_stops_at_its_window_and_goes_on_with_credit():
    outbox, handed_over = Outbox(bytes(32)), []
    array = np.zeros(3 * WINDOW, "u1")
    outbox.put(outbox.parcel(layout("kind", array.dtype, array.shape), array), lambda: handed_over.append(True))
    taken = 0
    while not handed_over:
        sent = 0
        while outbox.sendable:
            sent += len(LinkMessage.FromString(outbox.next_message()).frame.payload) + FRAME_OVERHEAD
        assert 0 < sent <= WINDOW
        taken += sent
        outbox.credit(taken)


@pytest.mark.parametrize("taken", [1, CHUNK, 2**63])
def test_credit_for_what_was_not_sent_ends_the_session(study, taken):
    running = study().start_all()
    links = running.open()
    credit = LinkMessage(credit=Credit(session=links[0].agreement.session, taken=taken))
    inject(running, 2, 0, credit.SerializeToString())
    for link in links:
        running.loop.wait_until(lambda link=link: link.ended)


def test_a_frame_above_the_chunk_size_costs_the_link(study):
    """A frame of three chunks' size is within what gRPC takes, and refused; the sessions on that link are lost, others stay."""
    running = study().start_all()
    links = running.open()
    link = running.meshes["cedar"]._links["alder"]
    oversized = LinkMessage(frame=frame(payload=bytes(3 << 20))).SerializeToString()
    running.loop.call(lambda: (link._control.append(oversized), link._wake()))
    running.loop.wait_until(lambda: running.meshes["alder"].last_error("cedar") is LinkCode.MALFORMED or links[0].ended)
    outcome = running.everybody(lambda each: each.session().exchange("x", {}, {(each.agreement.me + 1) % 3: BYTES}), links)
    assert [type(error) for error in outcome] == [PeerLost] * 3
    assert "birch" in running.meshes["alder"].connected()


# -- what both ends write down beforehand is what protobuf writes ----------------------------------------------------------------


@pytest.mark.parametrize("step", [0, 1, 127, 128, 70_000])
@pytest.mark.parametrize("shape", [(), (0,), (1,), (3, 0, 7), (2, 200), (CHUNK // 8,), (CHUNK // 8 + 1,), (5, CHUNK // 8)])
def test_a_frame_is_written_as_protobuf_writes_it(step, shape):
    array = np.arange(np.prod(shape, dtype=int), dtype="<u8").reshape(shape)
    outbox, plan, sent = Outbox(ROUTE), layout("kind", array.dtype, shape), []
    outbox._step = step
    outbox.put(outbox.parcel(plan, array), lambda: None)
    while outbox.sendable:
        sent.append(outbox.next_message())
    payloads = [array.tobytes()[at : at + CHUNK] for at in range(0, array.nbytes, CHUNK)] or [b""]
    fields = {"route": ROUTE, "step": step, "dtype": "<u8", "shape": shape, "chunks": len(payloads)}
    frames = [frame(**fields, chunk=chunk, payload=payload) for chunk, payload in enumerate(payloads)]
    assert sent == [LinkMessage(frame=each).SerializeToString() for each in frames]


def reordered(raw):
    """The same frame with its payload before its other fields."""
    fields = LinkMessage.FromString(raw).frame
    payload = Frame(payload=fields.payload).SerializeToString()
    fields.ClearField("payload")
    inner = payload + fields.SerializeToString()
    return b"\x22" + varint(len(inner)) + inner


@pytest.mark.parametrize("size", [1, 3 * CHUNK - 5])
@pytest.mark.parametrize("rewritten", [False, True])
@pytest.mark.parametrize("early", [False, True])
def test_an_inbox_takes_the_due_frame_in_whatever_order_its_fields_are(size, rewritten, early):
    array = array_of(0, 1, 2, size, "u1")
    plan = layout("kind", array.dtype, array.shape)
    outbox, inbox = Outbox(ROUTE), Inbox(ROUTE)
    outbox.put(outbox.parcel(plan, array), lambda: None)
    messages_sent = []
    while outbox.sendable:
        raw = outbox.next_message()
        messages_sent.append(reordered(raw) if rewritten else raw)
    complete = False if early else inbox.expect(plan)
    for raw in messages_sent:
        taken = inbox.take_due(raw)
        assert (taken is None) == (early or rewritten)
        complete = inbox.accept(messages.decode(raw)[1], fingerprint(raw)) if taken is None else taken
    assert inbox.expect(plan) if early else complete
    np.testing.assert_array_equal(inbox.take(), array)
    assert inbox.taken == size + len(messages_sent) * FRAME_OVERHEAD


@pytest.mark.parametrize("place", ["route", "step", "kind", "dtype", "shape", "chunk", "chunks", "payload"])
def test_only_the_very_next_message_is_due(place):
    plan = layout("kind", np.dtype("u1"), (16,))
    inbox = Inbox(ROUTE)
    inbox.expect(plan)
    other = {"route": bytes(32), "step": 1, "kind": "kine", "dtype": "<u8", "shape": [2, 8], "chunk": 1, "chunks": 2}
    wrong = frame(**{"route": ROUTE, place: {**other, "payload": bytes(17)}[place]})
    assert inbox.take_due(LinkMessage(frame=wrong).SerializeToString()) is None
    right = LinkMessage(frame=frame(route=ROUTE)).SerializeToString()
    for cut in (right[:-1], right + b"\0", right + right, b""):
        assert inbox.take_due(cut) is None
    assert inbox.take_due(right) is True


def test_what_precedes_a_large_payload_is_not_kept_beside_it():
    """A header blown up with fields that nobody knows would be held uncounted while the frame waits."""
    padding = b"\x7a" + varint(3 << 20) + bytes(3 << 20)  # field 15
    head = frame(payload=b"").SerializeToString() + padding
    payload = Frame(payload=bytes(CHUNK)).SerializeToString()
    raw = b"\x22" + varint(len(head) + len(payload)) + head + payload
    _, part = messages.decode(raw)
    assert bytes(part.payload) == bytes(CHUNK)
    assert not isinstance(part.payload, memoryview)


@pytest.mark.parametrize("size", [100, LARGE, CHUNK])
def test_a_fingerprint_tells_messages_apart(size):
    raw = bytes(size)
    assert fingerprint(raw) == fingerprint(bytes(size))
    assert len({fingerprint(raw[:at] + b"\1" + raw[at + 1 :]) for at in (0, 1, 8, size - 1)} | {fingerprint(raw)}) == 5
