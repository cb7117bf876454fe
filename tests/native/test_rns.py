"""Residues of polynomials: elementwise kernels, automorphisms, bases and bad input, on every instruction set."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from native import rns
from native.errors import KernelInputError
from tests.native.polynomials import TOP_BITS, basis_of, column, primes_below, residues, words
from tests.native.reference import seeds

degrees = st.sampled_from([8, 16, 32, 64, 256])
sizes = st.lists(st.sampled_from(TOP_BITS), min_size=1, max_size=4, unique=True).map(tuple)
shapes = st.sampled_from([((), ()), ((2,), (2,)), ((2, 3), (3,)), ((), (4,)), ((1, 3), (2, 1)), ((0,), (0,))])


def assert_same(actual: np.ndarray, expected: np.ndarray) -> None:
    assert actual.dtype == np.uint64
    assert actual.shape == expected.shape
    assert np.array_equal(actual, expected)


# ---- elementwise ----------------------------------------------------------------------------------------------------------

BINARY: dict[str, tuple[Callable[..., np.ndarray], Callable[[np.ndarray, np.ndarray], np.ndarray]]] = {
    "add": (rns.add, lambda a, b: a + b),
    "sub": (rns.sub, lambda a, b: a - b),
    "mul": (rns.mul, lambda a, b: a * b),
}


@pytest.mark.parametrize("name", BINARY)
@settings(max_examples=25)
@given(seed=seeds, degree=degrees, bits=sizes, leading=shapes)
def test_binary(isa: str, name: str, seed: int, degree: int, bits: tuple[int, ...], leading: tuple[tuple[int, ...], ...]) -> None:
    basis = basis_of(bits, degree, isa)
    a, b = (residues(seed + 7 * i, basis, shape) for i, shape in enumerate(leading))
    kernel, exact = BINARY[name]
    assert_same(kernel(a, b, basis), exact(a.astype(object), b.astype(object)) % column(basis))


@settings(max_examples=25)
@given(seed=seeds, degree=degrees, bits=sizes)
def test_multiply_and_add(isa: str, seed: int, degree: int, bits: tuple[int, ...]) -> None:
    basis = basis_of(bits, degree, isa)
    acc, a, b = residues(seed, basis, (2,)), residues(seed + 1, basis, (2,)), residues(seed + 2, basis)
    expected = (acc.astype(object) + a.astype(object) * b.astype(object)) % column(basis)
    assert rns.mul_add(acc, a, b, basis) is acc
    assert_same(acc, expected)


@pytest.mark.parametrize("size", TOP_BITS)
def test_products_of_edges(isa: str, size: int) -> None:
    """Every pair of residues next to 0, p / 3, p / 2, 2 p / 3 and p: where a quotient is hardest to guess."""
    basis = basis_of((size,), 256, isa)
    (p,) = basis.primes
    edges = np.array(
        [0, 1, 2, 3, p // 3, p // 3 + 1, p // 2 - 1, p // 2, p // 2 + 1, p // 2 + 2, 2 * p // 3, p - 4, p - 3, p - 2, p - 1, 7]
    )
    a, b = (grid.reshape(1, 256).astype(np.uint64) for grid in np.meshgrid(edges, edges))
    exact = a.astype(object) * b.astype(object)
    assert_same(rns.mul(a, b, basis), exact % p)
    assert_same(rns.mul_add(np.full_like(a, p - 1), a, b, basis), (exact + p - 1) % p)


@settings(max_examples=25)
@given(seed=seeds, degree=degrees, bits=sizes, data=st.data())
def test_negation_and_scaling(isa: str, seed: int, degree: int, bits: tuple[int, ...], data: st.DataObject) -> None:
    basis = basis_of(bits, degree, isa)
    a = residues(seed, basis, (3,))
    assert_same(rns.neg(a, basis), -a.astype(object) % column(basis))
    number = st.integers(-(2**70), 2**70) | st.sampled_from([0, 1, -1, *basis.primes, *(p // 2 for p in basis.primes)])
    factors = data.draw(st.lists(number, min_size=len(basis), max_size=len(basis)))
    expected = a.astype(object) * np.array(factors, dtype=object)[:, None] % column(basis)
    assert_same(rns.scale(a, factors, basis), expected)


@settings(max_examples=25)
@given(seed=seeds, degree=degrees, bits=sizes)
def test_signed_coefficients(isa: str, seed: int, degree: int, bits: tuple[int, ...]) -> None:
    basis = basis_of(bits, degree, isa)
    rng = np.random.default_rng(seed)
    values = rng.integers(-(2**62) + 1, 2**62, (2, degree))
    values >>= rng.integers(0, 62, values.shape)
    p = basis.primes[0]
    edges = [2**62 - 1, 1 - 2**62, 0, -1, 1, p, -p, p * ((2**62 - 1) // p), -p * ((2**62 - 1) // p) + 1]
    at = rng.integers(0, 3, values.shape) == 0
    values[at] = rng.choice(edges, int(at.sum()))
    assert_same(rns.from_signed(values, basis), values.astype(object)[:, None] % column(basis))


def test_small_coefficients(isa: str) -> None:
    basis = basis_of(TOP_BITS, 256, isa)
    values = np.arange(-128, 128).astype(np.int8)
    assert_same(rns.from_small(values, basis), values.astype(object)[None] % column(basis))
    pairs = np.stack([values, values[::-1]])
    assert_same(rns.from_small(pairs, basis), pairs.astype(object)[:, None] % column(basis))


def test_output_arrays(isa: str) -> None:
    basis = basis_of((46, 50), 64, isa)
    a, b = residues(1, basis, (2,)), residues(2, basis, (2,))
    expected = rns.mul(a, b, basis)
    out = np.zeros_like(a)
    assert rns.mul(a, b, basis, out=out) is out
    assert_same(out, expected)
    assert rns.mul(a, b, basis, out=a) is a  # an operand, as a whole
    assert_same(a, expected)
    signed = np.arange(64) - 9
    rns.from_signed(signed, basis, out=out[1])
    assert_same(out[1], rns.from_signed(signed, basis))


def test_operands_need_not_be_contiguous(isa: str) -> None:
    basis = basis_of((46, 50), 64, isa)
    wide = residues(3, basis.part([0, 1]), (6,))
    assert_same(rns.add(wide[::-2], wide[::2], basis), rns.add(wide[::-2].copy(), wide[::2].copy(), basis))


# ---- automorphisms --------------------------------------------------------------------------------------------------------


def substituted(a: np.ndarray, g: int, basis: rns.Basis) -> np.ndarray:
    """a(X^g) mod X^n + 1, on coefficients."""
    n = basis.degree
    powers = np.arange(n) * g % (2 * n)
    out = np.zeros(a.shape, dtype=object)
    out[..., powers % n] = np.where(powers < n, a.astype(object), -a.astype(object))
    reduced: np.ndarray = out % column(basis)
    return reduced


@settings(max_examples=25)
@given(seed=seeds, degree=degrees, bits=sizes, data=st.data())
def test_automorphism_substitutes_a_power(isa: str, seed: int, degree: int, bits: tuple[int, ...], data: st.DataObject) -> None:
    basis = basis_of(bits, degree, isa)
    g = data.draw(st.integers(0, degree - 1).map(lambda k: 2 * k + 1))
    a = residues(seed, basis, (2,))
    moved = rns.automorphism(rns.forward(a.copy(), basis), rns.permutation(degree, g))
    assert_same(rns.inverse(moved, basis), substituted(a, g, basis))


def test_automorphisms_compose_and_invert(isa: str) -> None:
    degree = 4096
    first, second = rns.permutation(degree, 5), rns.permutation(degree, 2 * degree - 1)
    x = words(4, (3, degree), 2**50)
    both = rns.automorphism(rns.automorphism(x, first), second)
    assert_same(both, rns.automorphism(x, rns.permutation(degree, 5 * (2 * degree - 1) % (2 * degree))))
    out = np.empty_like(x)
    assert rns.automorphism(both, rns.permutation(degree, pow(-5, -1, 2 * degree)), out=out) is out
    assert_same(out, x)


# ---- data from outside ----------------------------------------------------------------------------------------------------


def test_check(isa: str) -> None:
    basis = basis_of((46, 30, 50), 64, isa)
    x = np.broadcast_to((basis.values - np.uint64(1))[:, None], (2, 3, 64)).copy()
    assert rns.check(x, basis) is x
    for place in [(0, 0, 0), (1, 1, 63), (1, 2, 31)]:
        for wrong in (basis.primes[place[1]], 2**64 - 1):
            spoiled = x.copy()
            spoiled[place] = wrong
            with pytest.raises(KernelInputError, match="not below its prime"):
                rns.check(spoiled, basis)


# ---- bases ----------------------------------------------------------------------------------------------------------------


def test_basis_and_its_parts(isa: str) -> None:
    primes = primes_below(1 << 46, 64, 4)
    basis = rns.Basis(64, primes)
    assert (basis.degree, basis.primes, len(basis), basis.values.tolist()) == (64, primes, 4, list(primes))
    assert basis.part(slice(1, 3)).primes == primes[1:3]
    assert basis.part([3, 0]).primes == (primes[3], primes[0])
    assert basis.part([-1]) == rns.Basis(64, primes[3:])
    assert basis.part(slice(None)) == basis != basis.part([1, 0, 2, 3])
    assert hash(basis.part(slice(None))) == hash(basis)
    with pytest.raises(AttributeError):
        basis.degree = 128
    with pytest.raises(ValueError, match="read-only"):
        basis.values[0] = 1


def test_is_prime() -> None:
    sieve = np.ones(5000, bool)
    sieve[:2] = False
    for k in range(2, 71):
        sieve[k * k :: k] = False
    assert [rns.is_prime(k) for k in range(5000)] == sieve.tolist()
    # composites that pass for the first 4, 5, 6 and 7 witnesses (Jaeschke 1993), a square and a Carmichael number
    for composite in (3215031751, 2152302898747, 3474749660383, 341550071728321, (2**25 - 39) ** 2, 9746347772161):
        assert not rns.is_prime(composite)
    assert rns.is_prime(2**61 - 1)
    assert rns.is_prime(1125899906842597)  # the largest below 2^50


P = primes_below(1 << 46, 64, 2)
B = rns.Basis(64, P)
X = np.zeros((2, 64), np.uint64)
V = np.zeros(64, np.int64)
PERMUTATION = rns.permutation(64, 5)
READ_ONLY = np.zeros((2, 64), np.uint64)
READ_ONLY.flags.writeable = False

MISUSE: dict[str, Callable[[], object]] = {
    "a degree that is no power of two": lambda: rns.Basis(96, P),
    "a degree too small": lambda: rns.Basis(4, P),
    "a degree too large": lambda: rns.Basis(1 << 18, P),
    "a degree that is no integer": lambda: rns.Basis(64.0, P),  # type: ignore[arg-type]
    "no primes": lambda: rns.Basis(64, []),
    "a prime twice": lambda: rns.Basis(64, [P[0], P[0]]),
    "a composite": lambda: rns.Basis(64, [P[0], (2**20 + 2**7 * 3 + 1) | 1]),
    "a prime of another degree": lambda: rns.Basis(1 << 15, [primes_below(1 << 46, 64, 1)[0]]),
    "a prime too small": lambda: rns.Basis(64, [641]),
    "a prime too large": lambda: rns.Basis(64, [(1 << 50) + 1]),
    "a negative prime": lambda: rns.Basis(64, [-P[0]]),
    "no part": lambda: B.part([]),
    "an empty slice": lambda: B.part(slice(2, 2)),
    "a part twice": lambda: B.part([0, 0]),
    "a part beyond": lambda: B.part([2]),
    "a list": lambda: rns.forward([[1, 2]], B),  # type: ignore[arg-type]
    "signed residues": lambda: rns.forward(X.astype(np.int64), B),
    "other byte order": lambda: rns.forward(X.astype(">u8"), B),
    "too few limbs": lambda: rns.forward(X[:1], B),
    "another degree": lambda: rns.add(np.zeros((2, 32), np.uint64), X, B),
    "a single axis": lambda: rns.neg(np.zeros(64, np.uint64), B),
    "in place on a view with gaps": lambda: rns.forward(np.zeros((2, 128), np.uint64)[:, ::2], B),
    "in place on a constant": lambda: rns.inverse(READ_ONLY, B),
    "an accumulator that is a constant": lambda: rns.mul_add(READ_ONLY, X, X, B),
    "an accumulator that is no array": lambda: rns.mul_add(None, X, X, B),  # type: ignore[arg-type]
    "an accumulator too small": lambda: rns.mul_add(X.copy(), np.stack([X, X]), X, B),
    "leading axes that do not broadcast": lambda: rns.mul(np.stack([X, X]), np.stack([X, X, X]), B),
    "an output of another shape": lambda: rns.mul(X, X, B, out=np.zeros((1, 2, 64), np.uint64)),
    "a factor too few": lambda: rns.scale(X, [1], B),
    "coefficients of another degree": lambda: rns.from_signed(V[:32], B),
    "unsigned coefficients": lambda: rns.from_signed(V.astype(np.uint64), B),
    "wide coefficients as small ones": lambda: rns.from_small(V, B),  # type: ignore[arg-type]
    "a single coefficient": lambda: rns.from_signed(np.array(3), B),
    "an even galois element": lambda: rns.permutation(64, 2),
    "a galois element beyond": lambda: rns.permutation(64, 129),
    "a permutation of another size": lambda: rns.automorphism(X, PERMUTATION[:32]),
    "a permutation of wide integers": lambda: rns.automorphism(X, PERMUTATION.astype(np.uint64)),
    "a permutation that points beyond": lambda: rns.automorphism(X, PERMUTATION + np.uint32(1)),
    "an automorphism onto itself": lambda: rns.automorphism(X, PERMUTATION, out=X),
    "an automorphism into another shape": lambda: rns.automorphism(X, PERMUTATION, out=np.zeros((1, 64), np.uint64)),
    "check of another shape": lambda: rns.check(X[:1], B),
}


@pytest.mark.parametrize("name", MISUSE)
def test_misuse_is_refused(name: str) -> None:
    with pytest.raises(KernelInputError):
        MISUSE[name]()


def test_an_output_that_overlaps_in_part_is_refused(isa: str) -> None:
    basis = basis_of((46, 50), 64, isa)
    both = np.zeros((3, 64), np.uint64)
    with pytest.raises(KernelInputError, match="overlaps"):
        rns.neg(both[:2], basis, out=both[1:])


def test_public_names() -> None:
    assert rns.__all__ == sorted(rns.__all__, key=lambda name: (name.islower(), name))
    assert all(hasattr(rns, name) for name in rns.__all__)
