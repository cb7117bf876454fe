"""Every operation decrypts to what NumPy computes in the clear, within the error that it states, and not far below."""

from __future__ import annotations

import numpy as np
import pytest

from protocols import ckks
from protocols.ckks.encryption import inner_product
from tests.protocols.ckks.setting import STEPS, Setting, at_slots, integers, setting

SLACK = 16  # stated error / largest measured one, after one operation


@pytest.fixture(params=ckks.PRESETS.values(), ids=lambda p: f"N{p.degree}")
def s(request: pytest.FixtureRequest) -> Setting:
    return setting(request.param)


def assert_decrypts(s: Setting, ciphertext: ckks.Ciphertext, expected: np.ndarray) -> None:
    error, stated = s.error(ciphertext, expected)
    assert error <= stated <= SLACK * error
    assert np.max(np.abs(expected)) <= ciphertext.estimate.bound


def test_an_encoded_vector_is_the_polynomial_with_these_values_at_the_powers_of_five(s):
    values = s.vector(1) + 1j * s.vector(2)
    plain = ckks.encode(s.context, values, bound=1.5, scale=2.0**40)
    coefficients = np.array(integers(plain.polynomial, s.context.levels[-1]), float) / plain.scale
    places = [0, 1, 2, 77, s.context.slots - 1]
    assert np.max(np.abs(at_slots(coefficients, places) - values[places])) <= plain.estimate.error
    assert (
        np.max(np.abs(ckks.decode(plain) - values)) <= plain.estimate.error <= SLACK * np.max(np.abs(ckks.decode(plain) - values))
    )


def test_a_short_vector_is_followed_by_zeros(s):
    found = ckks.decode(ckks.encode(s.context, [0.5, -0.25]))
    assert np.max(np.abs(found[:3] - [0.5, -0.25, 0])) < 1e-8


def test_decrypt_under_a_public_key(s):
    x = s.vector(1)
    assert_decrypts(s, s.encrypt(x), x)


@pytest.mark.parametrize("level", [0, 1])
def test_decrypt_at_a_lower_level(s, level):
    x = s.vector(1)
    encrypted = s.encrypt(x, level=level)
    assert encrypted.polynomials.shape == (2, level + 1, s.context.degree)
    assert_decrypts(s, encrypted, x)


def test_decrypt_under_the_secret_key(s):
    x = s.vector(1)
    encrypted = ckks.encrypt_with_secret(ckks.encode(s.context, x), s.secret, s.randomness)
    assert_decrypts(s, encrypted, x)


def test_decrypt_is_what_python_integers_say(s):
    x = s.vector(3)
    encrypted = s.encrypt(x, level=1)
    whole = inner_product(s.context, encrypted.polynomials, s.secret, 1)
    coefficients = np.array(integers(whole, s.context.levels[1]), float) / encrypted.scale
    places = [0, 5, s.context.slots - 1]
    assert np.max(np.abs(at_slots(coefficients, places) - x[places])) <= encrypted.estimate.error


def test_sums(s):
    x, y = s.vector(1), s.vector(2)
    a, b, plain = s.encrypt(x), s.encrypt(y), ckks.encode(s.context, y)
    assert_decrypts(s, ckks.add(a, b), x + y)
    assert_decrypts(s, ckks.subtract(a, b), x - y)
    assert_decrypts(s, ckks.negate(a), -x)
    assert_decrypts(s, ckks.add_plain(a, plain), x + y)
    assert_decrypts(s, ckks.add_constant(a, -0.3), x - 0.3)


def test_sums_of_different_levels_are_at_the_lower_one(s):
    x, y = s.vector(1), s.vector(2)
    total = ckks.add(s.encrypt(x), ckks.drop_to(s.encrypt(y), 1))
    assert total.level == 1
    assert_decrypts(s, total, x + y)


def test_product_with_a_plaintext_lands_on_the_scale_asked_for(s):
    x, y = s.vector(1), s.vector(2)
    a = s.encrypt(x)
    plain = ckks.encode(s.context, y, scale=ckks.scale_for(a, s.context.preset.scale))
    product = ckks.rescale(ckks.multiply_plain(a, plain))
    assert (product.level, product.scale) == (a.level - 1, s.context.preset.scale)
    assert_decrypts(s, product, x * y)


def test_inner_product_of_ciphertexts_and_plaintexts(s):
    xs, ys = [s.vector(i) for i in range(3)], [s.vector(i) for i in range(3, 6)]
    a = [s.encrypt(x) for x in xs]
    plain = [ckks.encode(s.context, y, scale=ckks.scale_for(a[0], s.context.preset.scale)) for y in ys]
    assert_decrypts(s, ckks.inner_product(a, plain), sum(x * y for x, y in zip(xs, ys, strict=True)))


def test_weighted_sum_of_different_scales_and_levels(s):
    x, y = s.vector(1), s.vector(2)
    b = ckks.stretched(ckks.drop_to(s.encrypt(y), 1), 0.7)
    total = ckks.weighted_sum([s.encrypt(x), b], [0.4, -0.5], shift=0.1)
    assert (total.level, total.scale) == (0, s.context.preset.scale)
    assert_decrypts(s, total, 0.4 * x - 0.5 * 0.7 * y + 0.1)


def test_products(s):
    x, y = s.vector(1), s.vector(2)
    a, b = s.encrypt(x), ckks.drop_to(s.encrypt(y), 1)
    assert_decrypts(s, ckks.multiply(a, a, s.relin), x * x)
    assert_decrypts(s, ckks.multiply(a, a, s.relin), x * x)
    product = ckks.multiply(a, b, s.relin)
    assert product.level == 0
    assert_decrypts(s, product, x * y)


def test_products_of_complex_vectors(s):
    x = s.vector(1) + 1j * s.vector(2)
    a = s.encrypt(x, bound=1.5)
    assert_decrypts(s, ckks.multiply(a, a, s.relin), x * x)


def test_products_are_added_before_they_are_relinearised(s):
    x, y = s.vector(1), s.vector(2)
    a, b = s.encrypt(x), s.encrypt(y)
    both = ckks.add(ckks.tensor(a, b), ckks.tensor(a, a))
    assert both.degree == 2
    assert_decrypts(s, both, x * y + x * x)
    assert_decrypts(s, ckks.relinearise(both, s.relin), x * y + x * x)


def test_relinearising_a_product_is_the_product(s):
    a, b = s.encrypt(s.vector(1)), s.encrypt(s.vector(2))
    steps, once = ckks.relinearise(ckks.tensor(a, b), s.relin), ckks.multiply(a, b, s.relin)
    assert np.array_equal(steps.polynomials, once.polynomials)
    assert (steps.scale, steps.estimate) == (once.scale, once.estimate)


def test_products_down_to_the_last_level(s):
    x = 1 - s.vector(1) ** 2 / 8
    a, expected = s.encrypt(x), x
    while a.level:
        a, expected = ckks.multiply(a, a, s.relin), expected**2
    error, stated = s.error(a, expected)
    assert error <= stated <= 2 ** (2 * s.context.top) * error


@pytest.mark.parametrize("step", [0, *STEPS])
def test_rotation(s, step):
    x = s.vector(1)
    assert_decrypts(s, ckks.rotate(s.encrypt(x), step, s.galois), np.roll(x, -step))


def test_rotation_at_a_lower_level(s):
    x = s.vector(1)
    assert_decrypts(s, ckks.rotate(ckks.drop_to(s.encrypt(x), 0), 1, s.galois), np.roll(x, -1))


def test_many_rotations_of_one_ciphertext_are_the_rotations(s):
    a, steps = s.encrypt(s.vector(1)), [0, *STEPS]
    for step, hoisted in zip(steps, ckks.rotate_many(a, steps, s.galois), strict=True):
        assert np.array_equal(hoisted.polynomials, ckks.rotate(a, step, s.galois).polynomials)


def test_conjugate(s):
    x = s.vector(1) + 1j * s.vector(2)
    assert_decrypts(s, ckks.conjugate(s.encrypt(x, bound=1.5), s.galois), x.conj())


def test_inner_sum_of_all_slots():
    s = setting(ckks.N8192)
    keys = ckks.galois_keys(s.secret, ckks.inner_sum_steps(s.context.slots), s.randomness)
    x = s.vector(1) / s.context.slots
    total = ckks.inner_sum(s.encrypt(x, bound=1 / s.context.slots), s.context.slots, keys)
    error, stated = s.error(total, np.full(s.context.slots, x.sum()))
    assert error <= stated


def test_inner_sum_with_a_stride(s):
    x = s.vector(1)
    total = ckks.inner_sum(s.encrypt(x), 4, s.galois, stride=2)
    error, stated = s.error(total, sum(np.roll(x, -2 * i) for i in range(4)))
    assert error <= stated <= 4 * SLACK * error


def test_an_encryption_of_zero_changes_the_ciphertext_and_not_its_value(s):
    x = s.vector(1)
    a = s.encrypt(x, level=1)
    hidden = ckks.add(a, ckks.encrypt_zero(s.public, 1, a.scale, s.randomness))
    assert not np.array_equal(hidden.polynomials[1], a.polynomials[1])
    assert_decrypts(s, hidden, x)


def test_a_ciphertext_does_not_change(s):
    a = s.encrypt(s.vector(1))
    with pytest.raises(ValueError, match="read-only"):
        a.polynomials[0, 0, 0] = 1
