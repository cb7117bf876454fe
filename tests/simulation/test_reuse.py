"""No mask, no counter is ever used twice, in a session, between sessions, or after a crash."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from protocols import sums
from protocols.engine import Declared
from protocols.errors import PeerLost
from protocols.prf import PairwiseKeys, PrfStream
from protocols.replicated.engine import Replicated
from protocols.session import Session
from protocols.simulation import Frame, KeyStreamReused, ReuseRegistry, Simulation

DECLARED = [Declared("a", (3,), 10.0), Declared("n", (), 100, frac=0)]
HOSPITALS = (0, 3, 4)


def every_verb(session: Session) -> None:
    mine = {"a": np.full(3, 0.5), "n": 7}
    if not session.computes:
        sums.contribute(session, DECLARED, mine)
        return
    mpc = Replicated(session)
    if session.holds_data:
        mpc.contribute(mine)
    x = mpc.totals(DECLARED)["a"]
    mpc.is_negative(mpc.in_range(x, x.bound).sum() - 3)
    bit = mpc.less_than(x * x, 0.3)
    mpc.clamp(mpc.select(bit, x, -x), 0.25)
    mpc.lift(mpc.constant(0.5, limbs=2, frac=28) * 0.5)
    wide = replace(x, bound=1 << 180)  # too wide for masks
    mpc.truncate(mpc.mul_add(wide, x, mpc.rescale_up(x, 128), frac=64), 10)
    mpc.in_range(wide, 1 << 170)
    rows = mpc.constant(np.full((4, 2), 0.5), limbs=2, frac=28)
    mpc.row_products(rows, mpc.mul(rows, rows, frac=56))
    mpc.public_random_bytes(20)
    mpc.release_share(x)


def a_few_verbs(session: Session) -> None:
    mpc = Replicated(session)
    if session.holds_data:
        mpc.contribute({"a": np.full(3, 0.5), "n": 7})
    x = mpc.totals(DECLARED)["a"]
    mpc.release_share(mpc.mul(x, x))


def simulation(seed: str, registry: ReuseRegistry, **options: object) -> Simulation:
    return Simulation(5, HOSPITALS, seed=seed, registry=registry, **options)  # type: ignore[arg-type]


def test_no_stream_repeats_over_many_sessions() -> None:
    registry = ReuseRegistry()
    for seed in range(100):
        simulation(str(seed), registry).run(every_verb)
    assert registry.keys > 100 * 30


@pytest.mark.slow
def test_no_stream_repeats_over_ten_thousand_sessions() -> None:
    """Each with a contribution, a product, a truncation and a release; all verbs together are above."""
    registry = ReuseRegistry()
    for seed in range(10_000):
        Simulation(3, (0,), seed=str(seed), registry=registry).run(a_few_verbs)
    assert registry.keys > 10_000 * 12


@pytest.mark.parametrize("crash_at", range(0, 40, 3))
def test_a_retry_after_a_crash_is_a_new_session(crash_at: int) -> None:
    registry = ReuseRegistry()

    def lose(frame: Frame, receiver: int) -> Frame | None:
        return None if frame.step >= crash_at and frame.sender == 0 else frame

    with pytest.raises(PeerLost):
        simulation("first", registry, tamper=lose, deadline=0.2).run(every_verb)
    simulation("retry", registry).run(every_verb)
    with pytest.raises(KeyStreamReused):  # what must never be done: the same keys again
        simulation("first", registry).run(every_verb)


def test_a_second_stream_of_the_same_key_is_caught() -> None:
    def program(session: Session) -> None:
        session.stream((session.me + 1) % 3, "zero-share").ring((4,), 2)
        again = PairwiseKeys(session.id, session.me, {peer: session.keys._secrets[peer] for peer in session.keys._secrets})
        again.stream((session.me + 1) % 3, "zero-share").ring((4,), 2)

    with pytest.raises(KeyStreamReused):
        Simulation(3, (), registry=ReuseRegistry()).run(program)


def test_purposes_pairs_and_sessions_have_their_own_keys() -> None:
    secrets = {1: b"a" * 32, 2: b"b" * 32}
    streams = [
        PairwiseKeys(session_id, 0, secrets).stream(peer, purpose).bytes(64).tobytes()
        for session_id in (b"s" * 16, b"t" * 16)
        for peer in (1, 2)
        for purpose in ("zero-share", "zero-share of bits", "opening mask")
    ]
    assert len(set(streams)) == len(streams)


def test_both_ends_of_a_pair_draw_the_same() -> None:
    low = PairwiseKeys(b"s" * 16, 0, {2: b"x" * 32}).stream(2, "p")
    high = PairwiseKeys(b"s" * 16, 2, {0: b"x" * 32}).stream(0, "p")
    np.testing.assert_array_equal(low.ring((3,), 4), high.ring((3,), 4))


def test_a_stream_never_moves_back() -> None:
    """Draws of any size: what follows never repeats what went before."""
    stream = PrfStream(b"k" * 16)
    drawn = [stream.bytes(n).tobytes()[:8] for n in (16, 17, 1, 31, 64, 8) * 20 if n >= 8]
    assert len(set(drawn)) == len(drawn)


@pytest.mark.parametrize(
    ("ranges", "overlaps"),
    [
        ([(0, 4), (4, 4)], False),
        ([(8, 2), (0, 8), (10, 1)], False),
        ([(0, 4), (3, 1)], True),
        ([(5, 5), (0, 6)], True),
        ([(0, 10), (2, 3)], True),
        ([(2, 3), (0, 10)], True),
        ([(0, 1), (0, 0)], False),
        ([(3, 1), (3, 1)], True),
    ],
)
def test_registry_knows_overlaps(ranges: list[tuple[int, int]], overlaps: bool) -> None:
    register = ReuseRegistry().of("member")
    if overlaps:
        with pytest.raises(KeyStreamReused):
            [register(b"k", first, blocks) for first, blocks in ranges]
    else:
        [register(b"k", first, blocks) for first, blocks in ranges]
