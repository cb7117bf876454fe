"""Sigmoid, slope and log(1 + exp) on shares against SciPy over the whole domain, at its edges and far outside."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from scipy.special import expit

import native
from protocols.engine import LARGE, SMALL, SMALL_FRAC, Engine, Secret
from protocols.errors import MisuseError
from protocols.numeric.logistic import BLUR, LIMIT, fold, logistic, mean_and_slope, pearson_roots, sigmoid, softplus
from protocols.plaintext import Plaintext
from protocols.replicated import cost
from protocols.session import Meter
from tests.protocols.three_parties import Opened, in_the_clear, on_shares
from tests.protocols.worst import Worst

L = float(LIMIT)
UNIT = 2.0**-SMALL_FRAC
FUZZ = 2.0**-20  # how near to an edge a comparison may err
EDGES = [0, UNIT, -UNIT, 16, -16, L, -L, L + 1e-6, -L - 1e-6, L - 1e-6, 20, -20, 1000, -1000]
ETA = np.concatenate([np.round(np.linspace(-21, 21, 20_001) / UNIT) * UNIT, EDGES])
Y = np.arange(len(ETA)) % 2
ROOT = np.exp((1 - 2 * Y) * np.clip(ETA, -L, L) / 2)
EXPECTED = {"p": expit(ETA), "slope": expit(ETA) * expit(-ETA), "softplus": np.logaddexp(0, ETA)}
SERIES = {"p": 1.5e-8, "slope": 1.5e-8, "softplus": 1.5e-8}  # what the docstring grants the series and the clamp


def program(mpc: Engine) -> dict[str, Secret]:
    eta = _shared(mpc, ETA, SMALL_FRAC)
    y = mpc.bounded(_shared(mpc, Y, 0), 1, "a bit")
    folded = fold(mpc, eta)
    p, slope = mean_and_slope(mpc, folded)
    assert slope is not None
    roots = pearson_roots(mpc, folded, y)
    return {"p": p, "slope": slope, "softplus": softplus(mpc, folded), "roots": roots, "x": folded.x, "clamped": folded.clamped}


def _shared(mpc: Engine, x: np.ndarray, frac: int) -> Secret:
    """With fresh components, as results of products come."""
    return mpc.mul(mpc.constant(x, limbs=SMALL, frac=frac), mpc.constant(1, limbs=SMALL, frac=0))


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
    for name, x in program(Worst(2, seed)).items():
        got = (native.to_ints(x.data.value) / 2**x.frac).astype(float)
        if name in EXPECTED:
            assert np.abs(got - EXPECTED[name]).max() < SERIES[name] + 1.3e-7
        elif name == "roots":
            assert (np.abs(got - ROOT) / (2.0**-12 + 2.0**-16 * ROOT)).max() < 1


def test_roots_of_squared_pearson_residuals() -> None:
    for released in (shared()[0], in_the_clear(program)[0]):
        assert (np.abs(real(released["roots"]) - ROOT) / (2.0**-13 + 2.0**-17 * ROOT)).max() < 1
        assert (released["roots"].frac, released["roots"].bound.bit_length()) == (14, 28)


def test_pearson_residuals_are_those_of_the_definition() -> None:
    inside = np.abs(ETA) < 16
    y, p = Y[inside], expit(ETA[inside])
    np.testing.assert_allclose(real(shared()[0]["roots"])[inside] ** 2, (y - p) ** 2 / (p * (1 - p)), rtol=1e-4, atol=1e-3)


def test_the_clamp_acts_beyond_the_limit_and_says_so() -> None:
    for released in (shared()[0], in_the_clear(program)[0]):
        certain = np.abs(np.abs(ETA) - L) > FUZZ
        np.testing.assert_array_equal(released["clamped"].ints.astype(bool)[certain], (np.abs(ETA) > L)[certain])
        assert released["clamped"].bound == 1
        np.testing.assert_allclose(real(released["x"]), 2 * np.minimum(np.abs(ETA), L) / L - 1, atol=FUZZ)


def test_sigmoid_alone() -> None:
    eta = ETA[::50]

    def alone(mpc: Engine) -> dict[str, Secret]:
        p, clamped = sigmoid(mpc, mpc.constant(eta, limbs=SMALL, frac=SMALL_FRAC))
        return {"p": p, "clamped": clamped}

    for released in (in_the_clear(alone)[0], on_shares(alone)[0]):
        assert np.abs(real(released["p"]) - expit(eta)).max() < 6e-8
        np.testing.assert_array_equal(released["clamped"].ints.astype(bool), np.abs(eta) > L)


def test_the_wrapper_is_the_pieces() -> None:
    eta = ETA[::50]
    mpc = Plaintext()
    values = logistic(mpc, mpc.constant(eta, limbs=SMALL, frac=SMALL_FRAC), with_softplus=True)
    assert values.softplus is not None
    for name, x in (("p", values.p), ("slope", values.slope), ("softplus", values.softplus)):
        got = native.to_ints(x.data.value)
        np.testing.assert_array_equal(got, in_the_clear(program)[0][name].ints[::50])
    assert logistic(mpc, mpc.constant(0.0, limbs=SMALL, frac=SMALL_FRAC)).softplus is None


def test_any_shape() -> None:
    p, _ = in_the_clear(lambda mpc: dict(zip("pc", sigmoid(mpc, mpc.constant(np.zeros((2, 3)), limbs=2, frac=28)), strict=True)))
    np.testing.assert_allclose(real(p["p"]), np.full((2, 3), 0.5), atol=1e-7)


def test_rounds_bytes_and_leak_are_the_plan() -> None:
    _, plan = in_the_clear(program)
    meters = shared()[1]
    comparison = cost.negative((3, len(ETA), SMALL), 39 - BLUR).rounds  # |eta| + L < 2^10, at 28 fractional bits
    assert plan.cost.rounds == 2 + comparison + 1 + 8 + 9 + 8  # 2 to share eta and y anew
    assert [m.rounds for m in meters] == [plan.cost.rounds] * 3
    assert tuple(m.bytes_sent for m in meters) == plan.cost.sent
    assert all(m.leakage == plan.meter.leakage for m in meters)


def test_leak_of_a_hundred_thousand() -> None:
    mpc = Plaintext()
    logistic(mpc, mpc.constant(np.full(100_000, 50.0), limbs=SMALL, frac=SMALL_FRAC))
    assert mpc.meter.leakage_log2 < -47


def test_misuse() -> None:
    mpc = Plaintext()
    for limbs, frac in ((LARGE, 64), (SMALL, 20)):
        with pytest.raises(MisuseError):
            sigmoid(mpc, mpc.constant(0.5, limbs=limbs, frac=frac))
    folded = fold(mpc, mpc.constant(np.zeros(3), limbs=SMALL, frac=SMALL_FRAC))
    bit = mpc.constant(1, limbs=SMALL, frac=0)
    for y in (bit, mpc.stack([bit + bit] * 3), mpc.stack([mpc.constant(1, limbs=LARGE, frac=0)] * 3)):
        with pytest.raises(MisuseError):
            pearson_roots(mpc, folded, y)
