"""The embedding against its definition in extended precision and Python's integers, on every instruction set."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from native import KernelInputError, embedding, rns
from tests.native.test_sampling import primes

pytestmark = pytest.mark.usefixtures("isa")

UNIT = 2.0**-53
DEGREES = [2**k for k in range(3, 12)]
seeds = st.integers(0, 2**32 - 1)


def basis(degree: int, bits: int = 47, limbs: int = 5) -> rns.Basis:
    return rns.Basis(degree, primes(degree, bits, limbs))


def slots(seed: int, *shape: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.normal(size=shape) + 1j * rng.normal(size=shape)


def residues(coefficients: np.ndarray, which: rns.Basis) -> np.ndarray:
    """Python integers (..., N) -> (..., limbs, N)."""
    rows = [(coefficients % p).astype(np.uint64) for p in which.primes]
    return np.stack(rows, axis=-2)


def integers(x: np.ndarray, which: rns.Basis) -> np.ndarray:
    """The integers of smallest magnitude: (..., limbs, N) -> object array (..., N)."""
    modulus = math.prod(which.primes)
    total = sum(x[..., i, :].astype(object) * (modulus // p * pow(modulus // p, -1, p)) for i, p in enumerate(which.primes))
    return (total + modulus // 2) % modulus - modulus // 2


def root_order(n: int) -> np.ndarray:
    """t with 5^j = 4 t + 1 modulo 4 n, for each slot j."""
    return np.array([(pow(5, j, 4 * n) - 1) // 4 % n for j in range(n)])


def twist(n: int) -> np.ndarray:
    """zeta^k, k < n, zeta = exp(2 pi i / 4n), in extended precision."""
    angle = np.arange(n, dtype=np.longdouble) * (2 * np.arctan(np.longdouble(1)) / n)
    return np.cos(angle) + 1j * np.sin(angle)


def slots_reference(coefficients: np.ndarray) -> np.ndarray:
    """Slot j = sum over k of (c[k] + i c[k + n]) zeta^(5^j k): longdouble (2 n,) -> (n,)."""
    n = coefficients.shape[-1] // 2
    w = coefficients[..., :n].astype(np.clongdouble) + 1j * coefficients[..., n:].astype(np.clongdouble)
    return (np.fft.ifft(w * twist(n)) * n)[..., root_order(n)]


def coefficients_reference(values: np.ndarray) -> np.ndarray:
    """The inverse: (n,) -> longdouble (2 n,)."""
    n = values.shape[-1]
    ordered = np.empty(n, np.clongdouble)
    ordered[root_order(n)] = values
    w = np.fft.fft(ordered) / n * np.conj(twist(n))
    return np.concatenate([w.real, w.imag])


def norm(x: np.ndarray) -> float:
    return float(np.sqrt((np.abs(x) ** 2).sum()))


def test_reference_is_the_definition() -> None:
    """c at the roots zeta^(5^j), by Horner's rule."""
    n = 8
    c = np.random.default_rng(1).normal(size=2 * n).astype(np.longdouble)
    powers = np.array([pow(5, j, 4 * n) for j in range(n)])
    at = np.exp(1j * (np.pi / (2 * n)) * powers)
    values = np.zeros(n, np.complex128)
    for coefficient in c[::-1]:
        values = values * at + float(coefficient)
    np.testing.assert_allclose(slots_reference(c).astype(np.complex128), values, atol=1e-13)
    np.testing.assert_allclose(coefficients_reference(slots_reference(c)).astype(float), c.astype(float), atol=1e-15)


# ---- the transform --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("log_n", range(16))
def test_decode_is_within_its_bound(log_n: int) -> None:
    n = 1 << log_n
    which = basis(max(2 * n, 8), limbs=3)
    rng = np.random.default_rng(log_n)
    c = rng.integers(-(2**50), 2**50, 2 * n)
    spread = np.zeros(which.degree, object)
    spread[:: which.degree // (2 * n)] = c
    expected = slots_reference(c.astype(np.longdouble))
    actual = embedding.decode(residues(spread, which), 1.0, which, n)
    assert norm(actual - expected) <= (7 * log_n + 1) * UNIT * norm(expected)


@pytest.mark.parametrize("real", [False, True])
@pytest.mark.parametrize("log_n", range(16))
def test_encode_is_within_its_bound(log_n: int, real: bool) -> None:
    n = 1 << log_n
    which = basis(max(2 * n, 8), limbs=2)
    values = slots(log_n, n).real.copy() if real else slots(log_n, n)
    actual = integers(embedding.encode(values, 2.0**70, which), which)
    gap = which.degree // (2 * n)
    assert all((actual[k::gap] == 0).all() for k in range(1, gap))
    expected = coefficients_reference(values)
    found = actual[::gap].astype(np.longdouble) / np.longdouble(2) ** 70
    assert norm(found - expected) <= (7 * log_n + 1) * UNIT * norm(expected)


@given(seed=seeds, degree=st.sampled_from(DEGREES), data=st.data())
def test_fewer_slots_are_a_vector_that_repeats(seed: int, degree: int, data: st.DataObject) -> None:
    n = 1 << data.draw(st.integers(0, degree.bit_length() - 2))
    which, values = basis(degree), slots(seed, n)
    x = embedding.encode(values, 2.0**40, which)
    every = np.tile(values, degree // 2 // n)
    np.testing.assert_allclose(embedding.decode(x, 2.0**40, which), every, atol=1e-9)
    np.testing.assert_allclose(embedding.decode(x, 2.0**40, which, n), values, atol=1e-9)


@given(seed=seeds, degree=st.sampled_from(DEGREES), k=st.integers(0, 2000))
def test_galois_elements_turn_and_conjugate_the_slots(seed: int, degree: int, k: int) -> None:
    which, values = basis(degree), slots(seed, degree // 2)
    x = rns.forward(embedding.encode(values, 2.0**40, which), which)
    for element, expected in ((pow(5, k, 2 * degree), np.roll(values, -k)), (2 * degree - 1, values.conj())):
        moved = rns.inverse(rns.automorphism(x, rns.permutation(degree, element)), which)
        np.testing.assert_allclose(embedding.decode(moved, 2.0**40, which), expected, atol=1e-9)


@given(seed=seeds, degree=st.sampled_from(DEGREES))
def test_products_of_polynomials_are_products_of_slots(seed: int, degree: int) -> None:
    which = basis(degree)
    a, b = slots(seed, 2, degree // 2)
    x = rns.forward(embedding.encode(np.stack([a, b]), 2.0**40, which), which)
    product = rns.inverse(rns.mul(x[0], x[1], which), which)
    np.testing.assert_allclose(embedding.decode(product, 2.0**80, which), a * b, atol=1e-8)


def test_leading_axes_and_strides() -> None:
    which, values = basis(128), slots(5, 2, 3, 64)
    x = embedding.encode(values, 2.0**40, which)
    assert x.shape == (2, 3, 5, 128)
    np.testing.assert_array_equal(embedding.encode(values[1, 2], 2.0**40, which), x[1, 2])
    np.testing.assert_array_equal(embedding.encode(np.repeat(values, 2, axis=-1)[..., ::2], 2.0**40, which), x)
    back = embedding.decode(x, 2.0**40, which)
    np.testing.assert_array_equal(embedding.decode(x[::-1], 2.0**40, which), back[::-1])
    np.testing.assert_array_equal(embedding.encode(values.real.copy(), 2.0**40, which).shape, x.shape)
    assert embedding.encode(np.zeros((0, 64)), 1.0, which).shape == (0, 5, 128)
    assert embedding.decode(np.zeros((0, 5, 128), np.uint64), 1.0, which).shape == (0, 64)


# ---- rounding -------------------------------------------------------------------------------------------------------------

# a vector of equal numbers is a constant polynomial, without any rounding: all sums are of equal numbers, all differences zero
WHICH = {bits: rns.Basis(256, (*primes(256, bits, 2), *primes(256, 47, 1))) for bits in (21, 32, 40, 50)}
numbers = st.floats(-(2.0**62), 2.0**62) | st.integers(-(2**20), 2**20).map(lambda k: k + 0.5)


@given(bits=st.sampled_from(sorted(WHICH)), power=st.integers(-70, 30), number=numbers, n=st.sampled_from([1, 2, 32, 64, 128]))
def test_coefficients_are_rounded_half_to_even(bits: int, power: int, number: float, n: int) -> None:
    which = WHICH[bits]
    exact = Fraction(number) * Fraction(2) ** power
    if abs(exact) >= min(2 ** (49 + min(which.primes).bit_length()), math.prod(which.primes) // 2) - 1:
        return
    x = embedding.encode(np.full(n, number), 2.0**power, which)
    assert x[:, 0].tolist() == [round(exact) % p for p in which.primes]
    assert not x[:, 1:].any()


def near(value: int) -> st.SearchStrategy[int]:
    return st.integers(value - 3, value + 3)


@given(limbs=st.integers(1, 5), bits=st.sampled_from([21, 40, 47, 50]), data=st.data())
def test_coefficients_are_lifted_to_the_smallest_and_rounded_once(limbs: int, bits: int, data: st.DataObject) -> None:
    which = basis(8, bits, limbs)
    p, used = which.primes, math.prod(which.primes[:3])
    edges = [0, used // 2 - 3, p[0], p[0] // 2, *(p[0] * p[1] * k // 2 for k in (1, 2, 3, 7) if limbs > 2)]
    some = [st.sampled_from([1, -1]).flatmap(lambda s, v=v: near(v).map(lambda c: s * c)) for v in edges if v <= used // 2 - 3]
    c = data.draw(st.one_of(st.integers(-(used // 2), used // 2), *some))
    constant = np.array([c, *[0] * 7], object)
    found = embedding.decode(residues(constant, which), 1.0, which)
    assert not found.imag.any()
    for value in found.real.tolist():
        assert abs(Fraction(value) - c) <= Fraction(51, 100) * Fraction(math.ulp(float(c)))


def test_mixed_sizes_of_primes() -> None:
    rng = np.random.default_rng(7)
    for order in ((21, 50, 30), (50, 21, 47), (50, 50, 21), (22, 22, 50)):
        p = [primes(8, bits, 4)[i] for i, bits in enumerate(order)]
        which = rns.Basis(8, (*p, primes(8, 46, 1)[0]))
        half = math.prod(p) // 2
        for _ in range(200):
            c = int.from_bytes(rng.bytes(19), "little") % (2 * half + 1) - half
            found = embedding.decode(residues(np.array([c, *[0] * 7], object), which), 1.0, which).real[0]
            assert abs(Fraction(float(found)) - c) <= Fraction(51, 100) * Fraction(math.ulp(float(c)))


# ---- refusals -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("degree", [16, 256])
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, 1e308, 2.0**58, -(2.0**58)])
def test_a_value_out_of_range_is_refused_wherever_it_stands(degree: int, bad: float) -> None:
    which = basis(degree)
    for j in range(degree // 2):
        values = slots(1, degree // 2)
        values[j] = complex(0, bad) if j % 2 else bad
        with pytest.raises(KernelInputError):
            embedding.encode(values, 2.0**45, which)
    assert embedding.encode(slots(1, degree // 2), 2.0**45, which).shape == (5, degree)


@pytest.mark.parametrize(("bits", "limbs"), [(21, 5), (40, 2), (47, 5), (50, 1)])
def test_limits_are_what_they_are_said_to_be(bits: int, limbs: int) -> None:
    which = basis(16, bits, limbs)
    limit = float(min(2 ** (49 + min(which.primes).bit_length()), math.prod(which.primes) // 2))
    largest = math.nextafter(limit, 0)
    for sign in (1, -1):
        if round(largest) < limit:
            x = embedding.encode(np.full(8, sign * largest), 1.0, which)
            assert x[:, 0].tolist() == [sign * round(largest) % p for p in which.primes]
        with pytest.raises(KernelInputError):
            embedding.encode(np.full(8, sign * limit), 1.0, which)


def test_the_fourth_limb_must_agree() -> None:
    which = basis(128)
    x = embedding.encode(slots(3, 64), 2.0**40, which)
    embedding.decode(x, 2.0**40, which)
    for k in range(128):
        altered = x.copy()
        altered[3, k] = (altered[3, k] + np.uint64(1)) % np.uint64(which.primes[3])
        with pytest.raises(KernelInputError):
            embedding.decode(altered, 2.0**40, which)
    beyond = np.zeros(128, object)
    beyond[5] = math.prod(which.primes[:3]) // 2 + 1
    with pytest.raises(KernelInputError):
        embedding.decode(residues(beyond, which), 2.0**40, which)
    beyond[5] -= 1
    embedding.decode(residues(beyond, which), 2.0**40, which)
    altered = x.copy()
    altered[4] = 0  # not read
    np.testing.assert_array_equal(embedding.decode(altered, 2.0**40, which), embedding.decode(x, 2.0**40, which))


def test_wrong_inputs_are_refused() -> None:
    which, values = basis(16), slots(1, 8)
    x = embedding.encode(values, 1.0, which)
    calls = [
        lambda: embedding.encode(values.astype(np.complex64), 1.0, which),
        lambda: embedding.encode(list(values), 1.0, which),  # type: ignore[arg-type]
        lambda: embedding.encode(values[:3], 1.0, which),
        lambda: embedding.encode(np.zeros(16), 1.0, which),
        lambda: embedding.encode(np.float64(3.0) * np.ones(()), 1.0, which),
        lambda: embedding.encode(np.zeros(0), 1.0, which),
        *(lambda scale=scale: embedding.encode(values, scale, which) for scale in (0.0, -1.0, math.nan, math.inf, 1e308, "1")),
        lambda: embedding.decode(x, 0.0, which),
        lambda: embedding.decode(x[:4], 1.0, which),
        lambda: embedding.decode(x.astype(np.int64), 1.0, which),
        lambda: embedding.decode(x[0], 1.0, which),
        lambda: embedding.decode(x, 1.0, which, 3),
        lambda: embedding.decode(x, 1.0, which, 16),
        lambda: embedding.decode(x, 1.0, which, 0),
    ]
    for call in calls:
        with pytest.raises(KernelInputError):
            call()


def test_numbers_too_small_to_be_normal_are_zero_and_only_inside() -> None:
    """Elsewhere in the same thread they are what they were."""
    which = basis(256)
    assert not embedding.encode(np.full(128, 5e-324), 1.0, which).any()
    embedding.decode(np.zeros((5, 256), np.uint64), 1.0, which)
    tiny = np.full(3, 4e-320)
    assert (tiny / 2 > 0).all()
