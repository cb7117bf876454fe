"""The formulas of noise.py against measured errors and against an independent tail."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.special import k1

from native import rns, sampling
from protocols import ckks
from protocols.ckks import noise
from tests.protocols.ckks.setting import Setting, setting

PRESETS = ckks.PRESETS.values()
CLOSE = 1.6  # deviation stated / measured; it holds for the worst message, so the measured one is smaller


@pytest.fixture(params=PRESETS, ids=lambda p: f"N{p.degree}")
def s(request: pytest.FixtureRequest) -> Setting:
    return setting(request.param)


def measured(s: Setting, ciphertext: ckks.Ciphertext, expected: np.ndarray) -> float:
    """Root mean square over the slots."""
    found = ckks.decode(ckks.decrypt(ciphertext, s.secret))
    return float(np.sqrt(np.mean(np.abs(found - expected) ** 2)))


def assert_close(stated: float, found: float) -> None:
    assert found / 1.05 <= stated <= CLOSE * found


def test_fresh_ciphertexts(s):
    x = s.vector(1)
    public = s.encrypt(x)
    assert_close(public.estimate.deviation, measured(s, public, x))
    secret = ckks.encrypt_with_secret(ckks.encode(s.context, x), s.secret, s.randomness)
    assert_close(secret.estimate.deviation, measured(s, secret, x))


def noiseless(s: Setting, plain: ckks.Plaintext) -> ckks.Ciphertext:
    """(m - a s, a): what remains is the error of what is done to it."""
    basis, a = s.context.levels[-1], s.public.polynomials[1, :-1]
    masked = rns.sub(plain.polynomial, rns.mul(a, s.secret.polynomial[: len(basis)], basis), basis)
    return ckks.Ciphertext(s.context, np.stack([masked, a]), plain.scale, s.secret.id, plain.estimate)


def test_rescale(s):
    x = s.vector(1)
    exact = noiseless(s, ckks.encode(s.context, x, scale=2.0**60))
    rescaled = ckks.rescale(exact)
    assert_close(rescaled.estimate.deviation, measured(s, rescaled, x))


def test_key_switch(s):
    x = s.vector(1)
    exact = noiseless(s, ckks.encode(s.context, x, scale=2.0**20))
    rotated = ckks.rotate(exact, 1, s.galois)
    assert_close(rotated.estimate.deviation, measured(s, rotated, np.roll(x, -1)))


def test_errors_grow_as_stated(s):
    x, y = s.vector(1), s.vector(2)
    a, b = s.encrypt(x), s.encrypt(y)
    total = ckks.add(a, b)
    found = measured(s, total, x + y)
    assert found <= total.estimate.deviation <= 2 * found  # the bound asks for no independence
    product = ckks.multiply(a, b, s.relin)
    found = measured(s, product, x * y)
    assert found <= product.estimate.deviation <= 4 * found  # it holds for |x| = |y| = 1 in every slot


def test_estimates_hold_for_dependent_ciphertexts(s):
    ones = np.ones(s.context.slots)
    a = s.encrypt(ones)
    total = ckks.add(a, a)
    assert_close(total.estimate.deviation, measured(s, total, 2 * ones))
    square = ckks.multiply(a, a, s.relin)
    assert_close(square.estimate.deviation, measured(s, square, ones))


@pytest.mark.parametrize("preset", PRESETS, ids=lambda p: f"N{p.degree}")
def test_a_key_switch_adds_less_than_a_thousandth_of_the_rescale_after_it(preset):
    for level in range(1, preset.top + 1):
        added = noise.switching(preset, level, preset.scale * preset.primes[level], noise.NOISE_VARIANCE)
        assert added < noise.rounding(preset.degree, preset.scale) / 1000


@pytest.mark.parametrize("preset", PRESETS, ids=lambda p: f"N{p.degree}")
def test_the_worst_cases_are_worse(preset):
    n, scale = preset.degree, preset.scale
    for holders in (1, 10):
        assert noise.worst_fresh_public(n, scale, holders) > noise.TAIL * noise.fresh_public(n, scale, holders)
        assert noise.worst_rounding(n, scale, holders) > noise.TAIL * noise.rounding(n, scale, holders)
        variance = holders * noise.NOISE_VARIANCE
        worst = noise.worst_switching(preset, preset.top, scale, holders)
        assert worst > noise.TAIL * noise.switching(preset, preset.top, scale, variance)
    assert noise.worst_fresh_secret(n, scale) > noise.TAIL * noise.fresh_secret(n, scale)


def test_a_product_of_two_gaussians_stays_below_the_tail():
    t = noise.TAIL
    assert 2 * t * k1(2 * t) < 2.0**-54
    assert math.exp(-(t**2)) < 2.0**-54
    assert 2 * 6 * k1(12) > 1e-5  # six deviations would be broken in every vector


def test_the_variance_is_the_samplers():
    drawn = sampling.binomial42(bytes(16), 0, 1 << 20).astype(float)
    assert abs(drawn.var() / noise.NOISE_VARIANCE - 1) < 0.01
    assert np.max(np.abs(drawn)) <= noise.NOISE_LARGEST
    assert abs(sampling.ternary(bytes(16), 0, 1 << 20).astype(float).var() / noise.TERNARY_VARIANCE - 1) < 0.01
