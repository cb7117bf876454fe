"""The negacyclic transforms against Python's integers, on every instruction set."""

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import native
from native import _load, rns
from tests.native.polynomials import (
    TOP_BITS,
    basis_of,
    negacyclic_product,
    primes_below,
    residues,
    values_at_odd_powers,
    words,
)
from tests.native.reference import seeds

LAZY = 1 << 50  # what forward takes
SMALL = [8, 16, 32, 64, 128]
LARGE = [256, 512, 1024, 2048, 4096, 8192, 16384, 32768, 65536]


def root_of(basis: rns.Basis) -> int:
    """psi of a basis of one prime, as the transform of X shows it: its value at psi^exponents[k] is that power."""
    x = np.zeros((1, basis.degree), np.uint64)
    x[0, 1] = 1
    first = np.flatnonzero(rns.exponents(basis.degree) == 1)[0]
    return int(rns.forward(x, basis)[0, first])


def extremes(degree: int, top: int) -> np.ndarray:
    """(7, degree) rows below top that push sums and differences as far as they go."""
    half = np.arange(degree) < degree // 2
    rows = [np.zeros(degree), np.ones(degree), half, ~half, np.arange(degree) % 2, 1 - np.arange(degree) % 2]
    steep = np.arange(degree, dtype=np.uint64) * np.uint64(top // degree)
    return np.stack([*(np.asarray(row, np.uint64) * np.uint64(top - 1) for row in rows), steep])


@pytest.mark.parametrize("degree", SMALL + LARGE)
def test_root_has_order_two_n(isa: str, degree: int) -> None:
    basis = basis_of((46,), degree, isa)
    assert pow(root_of(basis), degree, basis.primes[0]) == basis.primes[0] - 1


def test_order_of_values() -> None:
    assert rns.exponents(8).tolist() == [1, 9, 5, 13, 3, 11, 7, 15]
    bit_reversed = [2 * int(f"{k:07b}"[::-1], 2) + 1 for k in range(128)]
    transposed = [bit_reversed[64 * block + 8 * column + row] for block in range(2) for row in range(8) for column in range(8)]
    assert rns.exponents(128).tolist() == transposed
    for degree in SMALL + LARGE:
        assert np.array_equal(np.sort(rns.exponents(degree)), np.arange(1, 2 * degree, 2))


@settings(max_examples=20)
@given(seed=seeds, degree=st.sampled_from(SMALL), size=st.sampled_from(TOP_BITS))
def test_product_is_the_negacyclic_one(isa: str, seed: int, degree: int, size: int) -> None:
    basis = basis_of((size,), degree, isa)
    (p,) = basis.primes
    a, b = words(seed, (1, degree), LAZY), residues(seed + 1, basis)
    product = rns.mul(rns.forward(a.copy(), basis), rns.forward(b.copy(), basis), basis)
    assert rns.inverse(product, basis)[0].tolist() == negacyclic_product(a[0].tolist(), b[0].tolist(), p)


@pytest.mark.parametrize("degree", SMALL + LARGE[:3])
@pytest.mark.parametrize("size", TOP_BITS)
def test_values_and_back_at_the_extremes(isa: str, degree: int, size: int) -> None:
    basis = basis_of((size,), degree, isa)
    (p,) = basis.primes
    psi = root_of(basis)
    for top in (p, LAZY):
        rows = extremes(degree, top)[:, None]
        values = rns.forward(rows.copy(), basis)
        for row, value in zip(rows, values, strict=True):
            assert np.array_equal(value[0], values_at_odd_powers(row[0], psi, p)[rns.exponents(degree)])
        assert np.array_equal(rns.inverse(values, basis), rows % np.uint64(p))


@pytest.mark.parametrize("degree", SMALL + LARGE[:3])
@pytest.mark.parametrize("size", TOP_BITS)
def test_inverse_takes_values_below_two_p(isa: str, degree: int, size: int) -> None:
    basis = basis_of((size,), degree, isa)
    (p,) = basis.primes
    rows = np.concatenate([extremes(degree, 2 * p), words(3, (4, degree), 2 * p, (p, p - 1))])[:, None]
    back = rns.inverse(rows.copy(), basis)
    assert int(back.max()) < p
    assert np.array_equal(rns.forward(back, basis), rows % np.uint64(p))


@cache
def large_case(degree: int, size: int) -> tuple[np.ndarray, int, np.ndarray]:
    """(coefficients below 2^50, prime, values in the kernel's order), by object arithmetic; psi as found by the portable form."""
    before = native.isa()
    _load.select("portable")
    basis = rns.Basis(degree, primes_below(1 << size, degree))
    psi = root_of(basis)
    _load.select(before)
    a = words(degree + size, (degree,), LAZY)
    (p,) = basis.primes
    return a, p, values_at_odd_powers(a, psi, p)[rns.exponents(degree)].astype(np.uint64)


@pytest.mark.parametrize("degree", LARGE)
@pytest.mark.parametrize("size", [46, 50])
def test_large_degrees(isa: str, degree: int, size: int) -> None:
    a, p, expected = large_case(degree, size)
    basis = basis_of((size,), degree, isa)
    values = rns.forward(a.reshape(1, -1).copy(), basis)
    assert np.array_equal(values[0], expected)
    assert np.array_equal(rns.inverse(values, basis)[0], a % np.uint64(p))


@pytest.mark.parametrize("degree", [4096, 8192, 16384, 32768, 65536, 131072])
@pytest.mark.parametrize("size", TOP_BITS)
def test_there_and_back_at_every_size_of_prime(isa: str, degree: int, size: int) -> None:
    top = max(1 << size, 128 * degree)  # primes that are 1 modulo twice the degree are rare below
    basis = rns.Basis(degree, primes_below(top, degree))
    (p,) = basis.primes
    rows = np.concatenate([extremes(degree, LAZY), words(size, (1, degree), LAZY)])[:, None]
    assert np.array_equal(rns.inverse(rns.forward(rows.copy(), basis), basis), rows % np.uint64(p))


def test_limbs_and_leading_axes_are_transformed_each_for_itself(isa: str) -> None:
    basis = basis_of(TOP_BITS, 256, isa)
    a = residues(5, basis, (2, 3))
    values = a.copy()
    assert rns.forward(values, basis) is values
    for i in range(len(basis)):
        alone = np.ascontiguousarray(a[..., i : i + 1, :])
        assert np.array_equal(rns.forward(alone, basis.part([i])), values[..., i : i + 1, :])
    assert rns.inverse(values, basis) is values
    assert np.array_equal(values, a)


def test_a_table_keeps_the_form_it_was_made_for(isa: str) -> None:
    basis = basis_of((46, 50), 1024, isa)
    a = residues(6, basis)
    expected = rns.forward(a.copy(), basis)
    for name in native.isas():
        _load.select(name)
        assert np.array_equal(rns.forward(a.copy(), basis), expected)
        assert np.array_equal(rns.inverse(expected.copy(), basis), a)
    _load.select(isa)
