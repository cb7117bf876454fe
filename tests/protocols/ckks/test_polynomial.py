"""Chebyshev polynomials: the plan in the clear, its depth and cost, and ciphertexts against NumPy's chebval."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.polynomial.chebyshev import chebval
from scipy.special import expit

from protocols import ckks
from protocols.ckks.polynomial import Node, plan
from protocols.errors import LevelExhausted, MisuseError, PlaintextOutOfRange
from tests.protocols.ckks.setting import setting

POINTS = np.linspace(-1, 1, 4001)
SIGMOID = ckks.interpolate(ckks.sigmoid, 63, -16, 16)
SLACK = 128  # stated error / largest measured one, after six levels


def chebyshev(n: int, x: np.ndarray) -> np.ndarray:
    return np.cos(n * np.arccos(x))


def clear(node: Node, x: np.ndarray) -> np.ndarray:
    total = node.constant + sum(c * chebyshev(i, x) for i, c in node.weights)
    for k, quotient in node.quotients:
        total = total + clear(quotient, x) * chebyshev(k, x)
    return total


def depth_of(node: Node) -> int:
    """Products on the longest way from x to the node, one for a constant's and one for a quotient's."""
    power = [0 if n == 1 else (n - 1).bit_length() for n, _ in node.weights]
    pairs = [max(depth_of(quotient), (k - 1).bit_length()) for k, quotient in node.quotients]
    return 1 + max(power + pairs)


coefficients = st.lists(st.floats(-1, 1), min_size=2, max_size=130).filter(lambda c: max(map(abs, c[1:])) > 1e-3)


@given(coefficients)
def test_a_plan_is_the_polynomial_in_the_least_depth(c):
    steps = plan(tuple(c))
    degree = max(i for i, each in enumerate(c) if abs(each) > 2.0**-50 * max(map(abs, c)))
    assert depth_of(steps.root) <= steps.depth == max(1, int(np.ceil(np.log2(degree + 1))))
    assert np.max(np.abs(clear(steps.root, POINTS) - chebval(POINTS, c))) < 1e-9
    assert np.max(np.abs(chebval(POINTS, c))) <= steps.root.bound


@given(coefficients)
def test_a_plan_makes_every_power_from_earlier_ones_in_time(c):
    steps = plan(tuple(c))
    made = {0, 1}
    for n in steps.powers:
        assert {(n + 1) // 2, n // 2, n % 2} <= made
        made.add(n)
    assert set(steps.root.powers()) <= made


def test_the_sigmoid_of_degree_63_takes_six_levels_and_fourteen_key_switches():
    steps = plan(SIGMOID)
    assert (steps.depth, steps.switches, steps.tensors) == (6, 14, 17)


def test_the_sigmoid_is_off_by_no_more_than_stated():
    assert np.max(np.abs(chebval(POINTS, SIGMOID) - expit(16 * POINTS))) < 2.41e-6


def test_interpolation_is_exact_for_polynomials():
    c = ckks.interpolate(lambda x: 3 * x**3 - x + 2, 5, -2.0, 3.0)
    x = np.linspace(-2, 3, 101)
    assert np.max(np.abs(chebval((2 * x - 1) / 5, c) - (3 * x**3 - x + 2))) < 1e-12


@pytest.mark.parametrize("degree", [1, 2, 3, 4, 7, 11, 31, 32, 63])
def test_a_polynomial_of_a_ciphertext(degree):
    s = setting(ckks.N32768)
    c = np.random.default_rng(degree).uniform(-1, 1, degree + 1) / (degree + 1)
    x = s.vector(1)
    a = s.encrypt(x)
    found = ckks.evaluate(a, c, s.relin)
    assert a.level - found.level == degree.bit_length()
    assert found.scale == pytest.approx(s.context.preset.scale, rel=2.0**-50)
    error, stated = s.error(found, chebval(x, c))
    assert error <= stated <= SLACK * error


def test_polynomials_of_one_argument_share_its_powers():
    s = setting(ckks.N32768)
    a, many = s.encrypt(s.vector(1)), [SIGMOID[:8], [0.0, 0.0, 0.25], SIGMOID[:20]]
    for c, found in zip(many, ckks.evaluate_many(a, many, s.relin), strict=True):
        alone = ckks.evaluate(a, c, s.relin)
        assert np.array_equal(found.polynomials, alone.polynomials)
        assert (found.scale, found.estimate) == (alone.scale, alone.estimate)


def test_the_sigmoid_of_a_ciphertext():
    s = setting(ckks.N32768)
    x = s.vector(1)
    error, _ = s.error(ckks.evaluate(s.encrypt(x), SIGMOID, s.relin), expit(16 * x))
    assert error < 3e-6


def test_a_linear_predictor_on_its_own_interval_and_a_scale_asked_for():
    s = setting(ckks.N16384)
    eta = 8 * s.vector(1)
    encoded = ckks.encode(s.context, eta, bound=8.0, scale=s.context.preset.scale / 8)
    a = ckks.stretched(ckks.encrypt(encoded, s.public, s.randomness), 1 / 8)
    c = ckks.interpolate(ckks.sigmoid, 15, -8, 8)
    found = ckks.evaluate(a, c, s.relin, scale=2.0**38)
    assert found.scale == pytest.approx(2.0**38, rel=2.0**-50)
    error, stated = s.error(found, chebval(eta / 8, c))
    assert error <= stated <= SLACK * error


def test_what_cannot_be_evaluated_is_refused():
    s = setting(ckks.N8192)
    a = s.encrypt(s.vector(1))
    with pytest.raises(LevelExhausted, match="takes 3 levels"):
        ckks.evaluate(a, [0, 0, 0, 0, 1], s.relin)
    with pytest.raises(PlaintextOutOfRange, match=r"\[-1, 1\]"):
        ckks.evaluate(ckks.add(a, a), [0, 1], s.relin)
    for c in ([], [1.0], [1.0, 0.0], [1.0, 1e-30], [0.0, np.nan], [0.0, np.inf]):
        with pytest.raises(MisuseError, match="finite"):
            ckks.evaluate(a, c, s.relin)
