"""Sigmoid, slope and log(1 + exp) on shares against SciPy over the whole domain, at its edges and far outside."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from scipy.special import expit

from protocols.engine import LARGE, SMALL, SMALL_FRAC, Engine, Secret
from protocols.errors import MisuseError
from protocols.numeric.logistic import LIMIT, logistic, sigmoid
from protocols.plaintext import Plaintext
from protocols.session import Meter
from tests.protocols.three_parties import Opened, in_the_clear, on_shares
from tests.protocols.worst import Worst

L = float(LIMIT)
UNIT = 2.0**-SMALL_FRAC
EDGES = [0, UNIT, -UNIT, 16, -16, L, -L, L + 1e-6, -L - 1e-6, L - 1e-6, 20, -20, 1000, -1000]
ETA = np.concatenate([np.round(np.linspace(-21, 21, 20_001) / UNIT) * UNIT, EDGES])
EXPECTED = {"p": expit(ETA), "slope": expit(ETA) * expit(-ETA), "softplus": np.logaddexp(0, ETA)}
SERIES = {"p": 3.0e-8, "slope": 3.0e-8, "softplus": 2.2e-8}  # what the docstring grants the series and the clamp


def program(mpc: Engine) -> dict[str, Secret]:
    eta = mpc.mul(mpc.constant(ETA, limbs=SMALL, frac=SMALL_FRAC), mpc.constant(1, limbs=SMALL, frac=0))  # fresh components
    values = logistic(mpc, eta, softplus=True)
    assert values.softplus is not None
    return {"p": values.p, "slope": values.slope, "softplus": values.softplus, "clamped": values.clamped}


@cache
def shared() -> tuple[dict[str, Opened], list[Meter]]:
    released, outcome = on_shares(program)
    return released, outcome.meters


def real(x: Opened) -> np.ndarray:
    return (x.ints / 2**x.frac).astype(float)


@pytest.mark.parametrize("name", EXPECTED)
def test_shares_agree_with_scipy(name: str) -> None:
    assert np.abs(real(shared()[0][name]) - EXPECTED[name]).max() < SERIES[name] + 3e-8


@pytest.mark.parametrize("name", EXPECTED)
def test_the_clear_agrees_with_scipy(name: str) -> None:
    assert np.abs(real(in_the_clear(program)[0][name]) - EXPECTED[name]).max() < SERIES[name] + 1e-8


@pytest.mark.parametrize("seed", range(5))
def test_the_worst_truncations_stay_in_range_and_below_the_stated_error(seed: int) -> None:
    mpc = Worst(2, seed)
    for name, x in program(mpc).items():
        if name in EXPECTED:
            got = np.array([int.from_bytes(v.tobytes(), "little", signed=True) for v in x.data.value]) * UNIT
            assert np.abs(got.astype(float) - EXPECTED[name]).max() < SERIES[name] + 1.3e-7


def test_the_clamp_acts_beyond_the_limit_and_says_so() -> None:
    for released in (shared()[0], in_the_clear(program)[0]):
        np.testing.assert_array_equal(released["clamped"].ints.astype(bool), np.abs(ETA) > L)
        assert released["clamped"].bound == 1


def test_sigmoid_alone() -> None:
    eta = ETA[::50]

    def alone(mpc: Engine) -> dict[str, Secret]:
        p, clamped = sigmoid(mpc, mpc.constant(eta, limbs=SMALL, frac=SMALL_FRAC))
        return {"p": p, "clamped": clamped}

    for released in (in_the_clear(alone)[0], on_shares(alone)[0]):
        assert np.abs(real(released["p"]) - expit(eta)).max() < 6e-8
        np.testing.assert_array_equal(released["clamped"].ints.astype(bool), np.abs(eta) > L)


def test_any_shape() -> None:
    p, _ = in_the_clear(lambda mpc: dict(zip("pc", sigmoid(mpc, mpc.constant(np.zeros((2, 3)), limbs=2, frac=28)), strict=True)))
    np.testing.assert_allclose(real(p["p"]), np.full((2, 3), 0.5), atol=1e-7)


def test_rounds_bytes_and_leak_are_the_plan() -> None:
    _, plan = in_the_clear(program)
    meters = shared()[1]
    assert plan.cost.rounds == 1 + 8 + 1 + 7 + 1 + 1  # 1 to share eta anew
    assert [m.rounds for m in meters] == [plan.cost.rounds] * 3
    assert tuple(m.bytes_sent for m in meters) == plan.cost.sent
    assert all(m.leakage == plan.meter.leakage for m in meters)


def test_leak_of_a_hundred_thousand() -> None:
    mpc = Plaintext()
    logistic(mpc, mpc.constant(np.full(100_000, 50.0), limbs=SMALL, frac=SMALL_FRAC))
    assert mpc.meter.leakage_log2 < -48


def test_misuse() -> None:
    mpc = Plaintext()
    for limbs, frac in ((LARGE, 64), (SMALL, 20)):
        with pytest.raises(MisuseError):
            sigmoid(mpc, mpc.constant(0.5, limbs=limbs, frac=frac))
