"""The maximum along every axis, in both rings, against NumPy."""

from __future__ import annotations

import numpy as np
import pytest

from protocols.engine import LARGE, SMALL
from protocols.errors import MisuseError, RangeError
from protocols.numeric.maximum import maximum
from protocols.plaintext import Plaintext
from protocols.replicated import cost
from tests.protocols.three_parties import in_the_clear, on_shares

RUNS = (in_the_clear, on_shares)


@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize(("limbs", "frac"), [(SMALL, 0), (SMALL, 28), (LARGE, 64), (LARGE, 100)])
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_maximum_of_any_axis(run, limbs: int, frac: int, axis: int) -> None:  # type: ignore[no-untyped-def]
    x = np.random.default_rng(axis + 1).integers(-1000, 1000, size=(2, 7, 3))
    released, _ = run(lambda mpc: {"m": maximum(mpc, mpc.constant(x, limbs=limbs, frac=frac), axis)})
    np.testing.assert_array_equal(released["m"].ints, x.max(axis).astype(object) << frac)
    assert released["m"].labels == (limbs, frac, int(abs(x).max()) << frac)


@pytest.mark.parametrize("n", range(1, 10))
def test_any_number_of_values(n: int) -> None:
    x = np.stack([np.roll(np.arange(n) - 5, k) for k in range(n)])
    for run in RUNS:
        released, _ = run(lambda mpc: {"m": maximum(mpc, mpc.constant(x, frac=0))})
        np.testing.assert_array_equal(released["m"].ints, np.full(n, n - 6).astype(object))


def test_equal_values_and_edges_of_the_stated_bound() -> None:
    top = 2**61
    x = np.array([[5, 5, 5], [-top, top, 0], [-top, -top, -top], [top, top, -top]], dtype=object)
    for run in RUNS:
        released, _ = run(lambda mpc: {"m": maximum(mpc, mpc.constant(x, limbs=SMALL, frac=0))})
        np.testing.assert_array_equal(released["m"].ints, x.max(1))


def test_rounds_and_bytes_are_those_of_the_tournament() -> None:
    x = np.zeros((5, 3))
    _, plan = in_the_clear(lambda mpc: {"m": maximum(mpc, mpc.constant(x, frac=10), axis=0)})
    _, outcome = on_shares(lambda mpc: {"m": maximum(mpc, mpc.constant(x, frac=10), axis=0)})
    expected = cost.NOTHING
    for pairs in (2, 1, 1):
        expected += cost.negative((pairs, 3, LARGE), 2) + cost.reshare((pairs, 3, LARGE))
    assert plan.cost == expected
    assert [m.rounds for m in outcome.meters] == [expected.rounds] * 3
    assert tuple(m.bytes_sent for m in outcome.meters) == expected.sent
    assert plan.meter.leakage == 0


def test_misuse() -> None:
    mpc = Plaintext()
    for x in (mpc.constant(1.0), mpc.constant(np.zeros((2, 0)))):
        with pytest.raises(MisuseError):
            maximum(mpc, x)
    wide = mpc._secret(mpc.constant(np.zeros(2), limbs=SMALL, frac=0).data, 0, 2**126)
    with pytest.raises(RangeError):
        maximum(mpc, wide)
