"""Common randomness and joint keys: everybody holds the same, or nobody goes on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from protocols.ckks.multiparty.agreement import COMMIT, COMPARE, REVEAL, CommonRandomness, common_randomness, require_same
from protocols.errors import PeerMisbehaved
from protocols.session import Session
from protocols.simulation import Frame, Simulation

MEMBERS, HOSPITALS = 5, (0, 2, 3, 4)


def draw(session: Session) -> bytes:
    return common_randomness(session).stream("public key").bytes(64).tobytes()


def flipped(kind: str, sender: int, receiver: int) -> object:
    """Changes one bit of one frame."""

    def tamper(frame: Frame, to: int) -> Frame:
        if (frame.kind, frame.sender, to) != (kind, sender, receiver):
            return frame
        payload = frame.payload.copy()
        payload[3] ^= 1
        return replace(frame, payload=payload)

    return tamper


def test_all_members_expand_the_same_streams_and_sessions_differ() -> None:
    first = Simulation(MEMBERS, HOSPITALS, seed="one").run(draw).results
    second = Simulation(MEMBERS, HOSPITALS, seed="two").run(draw).results
    assert len(set(first)) == len(set(second)) == 1
    assert first[0] != second[0]


def test_one_members_nonce_changes_everything() -> None:
    first = Simulation(MEMBERS, HOSPITALS).run(draw).results
    second = Simulation(MEMBERS, HOSPITALS, entropy_seeds={3: "other"}).run(draw).results
    different = np.frombuffer(first[0], np.uint8) != np.frombuffer(second[0], np.uint8)
    assert np.count_nonzero(different) > 48


@pytest.mark.parametrize("kind", [COMMIT, REVEAL])
def test_a_nonce_that_was_not_committed_to_ends_the_session(kind: str) -> None:
    with pytest.raises(PeerMisbehaved, match="committed"):
        Simulation(MEMBERS, HOSPITALS, tamper=flipped(kind, 4, 1)).run(draw)


def test_labels_name_streams_and_are_used_once() -> None:
    common = CommonRandomness(bytes(32))
    assert common.stream("a").bytes(16).tobytes() != common.stream("b").bytes(16).tobytes()
    with pytest.raises(ValueError, match="twice"):
        common.stream("a")


def test_members_with_different_keys_stop() -> None:
    def program(session: Session) -> None:
        require_same(session, b"key", np.arange(4) + (session.me == 2))

    with pytest.raises(PeerMisbehaved, match="joint keys"):
        Simulation(MEMBERS, HOSPITALS).run(program)


def test_a_digest_altered_on_its_way_stops() -> None:
    def program(session: Session) -> None:
        require_same(session, b"key", np.arange(4))

    Simulation(MEMBERS, HOSPITALS).run(program)
    with pytest.raises(PeerMisbehaved, match="joint keys"):
        Simulation(MEMBERS, HOSPITALS, tamper=flipped(COMPARE, 0, 3)).run(program)


def test_parts_are_told_apart() -> None:
    def program(session: Session) -> None:
        require_same(session, *((b"ab", b"c") if session.me else (b"a", b"bc")))

    with pytest.raises(PeerMisbehaved):
        Simulation(3, (0, 1, 2)).run(program)
