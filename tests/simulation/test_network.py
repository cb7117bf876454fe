"""Misbehaving, silent and failing members: every session ends, with the right error, and in time."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable

import numpy as np
import pytest

from protocols.engine import Declared
from protocols.errors import PeerLost, PeerMisbehaved, UnseenError
from protocols.replicated.engine import Replicated
from protocols.session import Expect, Session
from protocols.simulation import Frame, Simulation, simulate

DEADLINE = 0.3


def multiply(session: Session) -> None:
    mpc = Replicated(session)
    x = mpc.constant(np.ones(4))
    mpc.is_negative(x * x)


TAMPERED: dict[str, Callable[[Frame], Frame]] = {
    "kind": lambda frame: dataclasses.replace(frame, kind="another"),
    "shape": lambda frame: dataclasses.replace(frame, payload=frame.payload[:-1]),
    "more": lambda frame: dataclasses.replace(frame, payload=np.concatenate([frame.payload, frame.payload])),
    "dtype": lambda frame: dataclasses.replace(frame, payload=frame.payload.astype(np.float64)),
    "sequence": lambda frame: dataclasses.replace(frame, sequence=frame.sequence + 1),
    "rank": lambda frame: dataclasses.replace(frame, payload=frame.payload.reshape(-1)),
}


@pytest.mark.parametrize("what", TAMPERED)
@pytest.mark.parametrize("sender", range(3))
def test_a_frame_out_of_plan_aborts(what: str, sender: int) -> None:
    def tamper(frame: Frame, receiver: int) -> Frame:
        return TAMPERED[what](frame) if frame.sender == sender and frame.step == 0 else frame

    with pytest.raises(PeerMisbehaved):
        Simulation(3, (), deadline=DEADLINE, tamper=tamper).run(multiply)


def test_a_contribution_of_the_wrong_size_aborts() -> None:
    declared = [Declared("a", (3,), 10.0)]

    def program(session: Session) -> None:
        mpc = Replicated(session)
        mine = [Declared("a", (4,), 10.0)] if session.me == 1 else declared
        mpc.contribute({"a": np.ones(mine[0].shape)})
        mpc.totals(mine)

    with pytest.raises(PeerMisbehaved):
        Simulation(3, (0, 1, 2), deadline=DEADLINE).run(program)


def test_a_lost_frame_ends_the_session_within_the_deadline() -> None:
    started = time.monotonic()
    with pytest.raises(PeerLost):
        Simulation(3, (), deadline=DEADLINE, tamper=lambda frame, _: None if frame.step == 3 else frame).run(multiply)
    assert time.monotonic() - started < 2 * DEADLINE + 1


def test_a_failing_member_aborts_all_and_its_error_is_the_one_raised() -> None:
    class OutOfMemory(Exception):
        pass

    def program(session: Session) -> None:
        if session.me == 2:
            raise OutOfMemory
        multiply(session)

    started = time.monotonic()
    with pytest.raises(OutOfMemory):
        Simulation(3, (), deadline=60).run(program)
    assert time.monotonic() - started < 5


def test_a_frame_that_nobody_expects_is_noticed() -> None:
    def program(session: Session) -> None:
        if session.me == 0:
            session.exchange("surplus", {1: np.zeros(3, dtype=np.uint64)}, {})

    with pytest.raises(PeerMisbehaved):
        Simulation(3, ()).run(program)


def test_a_received_array_is_the_receivers_own() -> None:
    def program(session: Session) -> np.ndarray | None:
        array = np.zeros(3, dtype=np.uint64)
        if session.me == 0:
            session.exchange("number", {1: array}, {})
            array += np.uint64(1)
            return None
        if session.me == 1:
            return session.exchange("number", {}, {0: Expect(array.dtype, array.shape)})[0]
        return None

    np.testing.assert_array_equal(simulate(3, (), program)[1], np.zeros(3))


def test_a_lie_about_public_randomness_is_caught() -> None:
    def tamper(frame: Frame, receiver: int) -> Frame:
        lies = frame.kind == "reveal" and frame.sender == 1
        return dataclasses.replace(frame, payload=frame.payload ^ np.uint8(1)) if lies else frame

    with pytest.raises(PeerMisbehaved):
        Simulation(3, (), deadline=DEADLINE, tamper=tamper).run(lambda session: Replicated(session).public_random_bytes(8))


def test_a_seed_decides_everything() -> None:
    def program(session: Session) -> np.ndarray:
        mpc = Replicated(session)
        return mpc.release_share(mpc.constant(1.5) * mpc.constant(2.5))

    first, again, other = (np.stack(simulate(3, (), program, seed=seed)) for seed in ("a", "a", "b"))
    np.testing.assert_array_equal(first, again)
    assert not np.any(first == other)


def test_refusals_are_the_projects_own_errors() -> None:
    assert issubclass(PeerLost, UnseenError)
    assert issubclass(PeerMisbehaved, UnseenError)
