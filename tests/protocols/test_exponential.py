"""exp of many linear predictors against NumPy, over the whole span, at its edges and far outside."""

from __future__ import annotations

from fractions import Fraction
from functools import cache

import numpy as np
import pytest

import native
from protocols.engine import LARGE, SMALL, SMALL_FRAC, Engine, Secret
from protocols.errors import MisuseError
from protocols.numeric.exponential import BLUR, SPAN, exponential, inverse_half
from protocols.plaintext import Plaintext
from protocols.replicated import cost
from protocols.session import Meter
from tests.protocols.three_parties import Opened, in_the_clear, on_shares
from tests.protocols.worst import Worst

UPPER = Fraction(37, 4)
UNIT = 2.0**-SMALL_FRAC
FUZZ = 2.0**-20  # how near to an edge the clamp may act or not
TOP, BOTTOM = float(UPPER), float(UPPER - SPAN)
EDGES = [TOP, TOP + 2 * FUZZ, TOP - 2 * FUZZ, BOTTOM + 2 * FUZZ, BOTTOM - 2 * FUZZ, 0, UNIT, 1000, -1000]
ETA = np.round(np.concatenate([np.linspace(BOTTOM - 2, TOP + 2, 20_001), EDGES]) / UNIT) * UNIT
DISTANCE = np.clip(ETA - TOP, -float(SPAN), 0)
EXPECTED = {"half": np.exp(DISTANCE / 2), "value": np.exp(DISTANCE), "inverse half": np.exp(-DISTANCE / 2)}
# (absolute error, relative error) of the docstring, as a rule and if all truncations err together
AS_A_RULE = {"half": (5e-8, 0.0), "value": (1e-7, 0.0), "inverse half": (2.0**-7, 2.0**-17)}
AT_WORST = {"half": (1.3e-7, 0.0), "value": (2.6e-7, 0.0), "inverse half": (2.0**-7, 2.0**-15)}


def program(mpc: Engine) -> dict[str, Secret]:
    eta = mpc.mul(mpc.constant(ETA, limbs=SMALL, frac=SMALL_FRAC), mpc.constant(1, limbs=SMALL, frac=0))  # fresh components
    e = exponential(mpc, eta, UPPER)
    return {"half": e.half, "value": e.value, "inverse half": inverse_half(mpc, e), "over": e.over, "under": e.under, "x": e.x}


@cache
def shared() -> tuple[dict[str, Opened], list[Meter]]:
    released, outcome = on_shares(program)
    return released, outcome.meters


def excess(name: str, ints: np.ndarray, frac: int, allowed: tuple[float, float]) -> float:
    """The largest error, of what is allowed."""
    error = np.abs((ints / 2**frac).astype(float) - EXPECTED[name])
    return float((error / (allowed[0] + allowed[1] * EXPECTED[name])).max())


@pytest.mark.parametrize("name", EXPECTED)
def test_both_engines_agree_with_numpy(name: str) -> None:
    for released in (shared()[0], in_the_clear(program)[0]):
        assert excess(name, released[name].ints, released[name].frac, AS_A_RULE[name]) < 1


@pytest.mark.parametrize("seed", range(3))
def test_the_worst_truncations_stay_in_range_and_below_the_stated_error(seed: int) -> None:
    for name, x in program(Worst(2, seed)).items():
        if name in EXPECTED:
            assert excess(name, native.to_ints(x.data.value), x.frac, AT_WORST[name]) < 1


def test_the_clamp_acts_outside_and_says_so() -> None:
    for released in (shared()[0], in_the_clear(program)[0]):
        for name, beyond in (("over", ETA - TOP), ("under", BOTTOM - ETA)):
            certain = np.abs(beyond) > FUZZ
            np.testing.assert_array_equal(released[name].ints.astype(bool)[certain], (beyond > 0)[certain])
            assert (released[name].frac, released[name].bound) == (0, 1)


def test_what_is_stored_stays_below_28_bits() -> None:
    released = shared()[0]
    assert max(released[name].bound.bit_length() for name in ("half", "value", "x")) <= SMALL_FRAC + 1
    assert released["inverse half"].bound.bit_length() == SMALL_FRAC


def test_rounds_bytes_and_leak_are_the_plan() -> None:
    _, plan = in_the_clear(program)
    meters = shared()[1]
    comparison = cost.negative((2, len(ETA), SMALL), 39 - BLUR).rounds  # |eta - U| + 25.6 < 2^11, at 28 fractional bits
    assert plan.cost.rounds == 1 + comparison + 8 + 7  # 1 to share eta anew
    assert [m.rounds for m in meters] == [plan.cost.rounds] * 3
    assert tuple(m.bytes_sent for m in meters) == plan.cost.sent
    assert all(m.leakage == plan.meter.leakage for m in meters)


def test_misuse() -> None:
    mpc = Plaintext()
    for eta, upper in (
        (mpc.constant(0.5, limbs=LARGE), UPPER),
        (mpc.constant(0.5, limbs=SMALL, frac=20), UPPER),
        (mpc.constant(0.5, limbs=SMALL, frac=SMALL_FRAC), Fraction(1, 3)),
    ):
        with pytest.raises(MisuseError):
            exponential(mpc, eta, upper)
