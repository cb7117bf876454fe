"""What the RNS kernels are compared with: polynomials over Python's integers."""

from functools import cache, lru_cache

import numpy as np

from native import rns

TOP_BITS = (21, 30, 46, 47, 48, 49, 50)  # sizes of primes: on both sides of the bounds between the forms of the transforms


@cache
def primes_below(bound: int, degree: int, count: int = 1) -> tuple[int, ...]:
    """The `count` largest primes p = 1 mod 2 degree below bound."""
    found: list[int] = []
    candidate = (bound - 2) // (2 * degree) * (2 * degree) + 1
    while len(found) < count:
        if rns.is_prime(candidate):
            found.append(candidate)
        candidate -= 2 * degree
    return tuple(found)


@lru_cache(maxsize=64)
def basis_of(bits: tuple[int, ...], degree: int, isa: str) -> rns.Basis:
    """One prime of each size; the instruction set in use is `isa`."""
    return rns.Basis(degree, [primes_below(1 << size, degree)[0] for size in bits])


def words(seed: int, shape: tuple[int, ...], limit: int, edges: tuple[int, ...] = ()) -> np.ndarray:
    """Random words below limit, a third of them from `edges`, 0, 1 and limit - 1."""
    rng = np.random.default_rng(seed)
    out = rng.integers(0, limit, shape, dtype=np.uint64)
    at = rng.integers(0, 3, shape) == 0
    out[at] = rng.choice(np.array([0, 1, limit - 1, *edges], np.uint64), int(at.sum()))
    return out


def residues(seed: int, basis: rns.Basis, leading: tuple[int, ...] = ()) -> np.ndarray:
    """(*leading, limbs, N) canonical residues with edges among them."""
    rows = [words(seed + i, (*leading, basis.degree), p, (p // 2, p // 2 + 1)) for i, p in enumerate(basis.primes)]
    return np.stack(rows, axis=-2)


def column(basis: rns.Basis) -> np.ndarray:
    """The primes as Python integers, to broadcast against (..., limbs, N)."""
    return np.array(basis.primes, dtype=object)[:, None]


def negacyclic_product(a: list[int], b: list[int], p: int) -> list[int]:
    """a b mod X^n + 1 and p, from the definition."""
    n = len(a)
    out = [0] * n
    for i, x in enumerate(a):
        for j, y in enumerate(b):
            out[(i + j) % n] += x * y if i + j < n else -x * y
    return [value % p for value in out]


def values_at_odd_powers(a: np.ndarray, psi: int, p: int) -> np.ndarray:
    """(2n,) object: entry e, odd, is a(psi^e) mod p; psi^n = -1.

    A remainder of a modulo X^m - psi^e is split into those modulo X^(m/2) - psi^(e/2) and X^(m/2) + psi^(e/2); the latter is
    X^(m/2) - psi^(e/2 + n).
    """
    n = len(a)
    rest, exponents = a.astype(object).reshape(1, n) % p, [n]
    while rest.shape[1] > 1:
        half = rest.shape[1] // 2
        roots = np.array([pow(psi, e // 2, p) for e in exponents], dtype=object)[:, None]
        low, turned = rest[:, :half], rest[:, half:] * roots % p
        rest = np.stack([(low + turned) % p, (low - turned) % p], axis=1).reshape(-1, half)
        exponents = [f for e in exponents for f in (e // 2, e // 2 + n)]
    out = np.zeros(2 * n, dtype=object)
    out[exponents] = rest[:, 0]
    return out
