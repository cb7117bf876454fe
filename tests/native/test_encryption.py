"""Encryption in one call against Python's integers, on every instruction set."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from native import encryption, rns
from native.errors import KernelInputError
from tests.native.polynomials import TOP_BITS, basis_of, negacyclic_product, residues
from tests.native.reference import seeds

degrees = st.sampled_from([8, 16, 64])
sizes = st.lists(st.sampled_from(TOP_BITS), min_size=2, max_size=4, unique=True).map(tuple)


def divided(k: np.ndarray, u: np.ndarray, e: np.ndarray, basis: rns.Basis) -> np.ndarray:
    """(k u + e - r) / p, coefficients (limbs, N), from those of k, (limbs + 1, N)."""
    products = [np.array(negacyclic_product(list(row), list(u), q), object) for row, q in zip(k, basis.primes, strict=True)]
    p = basis.primes[-1]
    rest = (products[-1] + e + p // 2) % p - p // 2
    limbs = zip(products[:-1], basis.primes[:-1], strict=True)
    return np.array([(row + e - rest) * pow(p, -1, q) % q for row, q in limbs])


def coefficients(polynomials: np.ndarray, basis: rns.Basis) -> np.ndarray:
    return rns.inverse(polynomials.copy(), basis).astype(object)


@settings(max_examples=25)
@given(seed=seeds, degree=degrees, bits=sizes, between=st.integers(0, 2))
def test_it_is_the_definition(isa: str, seed: int, degree: int, bits: tuple[int, ...], between: int) -> None:
    basis, rng = basis_of(bits, degree, isa), np.random.default_rng(seed)
    limbs, short = len(basis) - 1, basis.part(slice(0, -1))
    key = residues(seed, basis, (2,))
    given_key = np.insert(key, [limbs] * between, 2**64 - 1, axis=1)  # rows that are not read
    u, e = (rng.integers(-128, 128, shape, np.int8) for shape in (degree, (2, degree)))
    plain = residues(seed + 9, short)
    found = encryption.encrypt(given_key, u, e, basis, plain)
    for half, added in enumerate((coefficients(plain, short), 0)):
        expected = divided(coefficients(key[half], basis), u.astype(object), e[half].astype(object), basis)
        assert np.array_equal(coefficients(found[half], short), (expected + added) % np.array(short.primes, object)[:, None])
    without = encryption.encrypt(given_key, u, e, basis)
    assert np.array_equal(without[1], found[1])
    assert np.array_equal(rns.add(without[0], plain, short), found[0])


@pytest.mark.parametrize("bits", TOP_BITS)
def test_remainders_at_the_edges(isa: str, bits: int) -> None:
    """k u + e modulo p next to 0, p / 2 and p, with u = 1 and the largest e."""
    basis = basis_of((bits, 50 if bits < 50 else 30), 8, isa)
    p = basis.primes[-1]
    edges = np.array([0, 1, p // 2 - 127, p // 2, p // 2 + 1, p // 2 + 128, p - 1, p - 128], np.uint64)
    key = np.zeros((2, 2, 8), np.uint64)
    for half in range(2):
        key[half, 1] = rns.forward(edges[None].copy(), basis.part([1]))[0]
    u, e = np.zeros(8, np.int8), np.array([[127] * 8, [-128] * 8], np.int8)
    u[0] = 1
    found = encryption.encrypt(key, u, e, basis)
    for half in range(2):
        expected = divided(coefficients(key[half], basis), u.astype(object), e[half].astype(object), basis)
        assert np.array_equal(coefficients(found[half], basis.part([0])), expected)


def test_what_does_not_fit_is_refused(isa: str) -> None:
    basis = basis_of((50, 47), 8, isa)
    key, u, e = np.zeros((2, 2, 8), np.uint64), np.zeros(8, np.int8), np.zeros((2, 8), np.int8)
    for bad in (key[:1], key[:, :1], key[..., :4], key[0], key.astype(np.int64)):
        with pytest.raises(KernelInputError):
            encryption.encrypt(bad, u, e, basis)
    for bad_u, bad_e in ((u[:4], e), (u, e[0]), (u, e[:, :4]), (u.astype(np.int64), e), (u, e.astype(np.int64))):
        with pytest.raises(KernelInputError):
            encryption.encrypt(key, bad_u, bad_e, basis)
    for bad_plain in (np.zeros((2, 8), np.uint64), np.zeros((1, 8), np.int64), np.zeros(8, np.uint64)):
        with pytest.raises(KernelInputError):
            encryption.encrypt(key, u, e, basis, bad_plain)
    with pytest.raises(KernelInputError):
        encryption.encrypt(key, u, e, basis.part([0]))
