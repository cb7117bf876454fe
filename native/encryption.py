"""Encryption under a public key, the whole of it in one call that goes through memory once.

The key (b, a) is modulo the limbs and one prime p more. What comes out is (b u + e_0, a u + e_1) / p, rounded, so that its
error is that of the rounding and not that of u, e and the key. Source: the division is that of modulus switching, Brakerski,
Gentry, Vaikuntanathan, eprint 2011/277.
"""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt

from native._arrays import Words, checked, contiguous, pointer
from native._load import ffi, lib
from native.errors import KernelInputError
from native.rns import Basis

__all__ = ["encrypt"]

Small = npt.NDArray[np.int8]


def encrypt(key: Words, u: Small, e: Small, basis: Basis, plain: Words | None = None) -> Words:
    """(k u + e - r) / p for both halves k of the key, r = k u + e modulo p, centred; plus (plain, 0): (2, limbs, N), NTT domain.

    basis: the limbs, and p last. key: (2, rows, N), NTT domain, rows those of the limbs first and that of p last; rows between
    are not read. u: int8 (N,), e: int8 (2, N), coefficients. plain: (limbs, N). Residues are not looked at.
    """
    limbs, n = len(basis) - 1, basis.degree
    words = contiguous(checked(key, np.uint64, "key"))
    if limbs < 1 or words.ndim != 3 or words.shape[0] != 2 or words.shape[1] <= limbs or words.shape[2] != n:
        raise KernelInputError(f"a key has shape (2, at least {limbs + 1}, {n}), and a limb besides p, not {words.shape}")
    small = [contiguous(checked(x, np.int8, name)) for x, name in ((u, "u"), (e, "e"))]
    if small[0].shape != (n,) or small[1].shape != (2, n):
        raise KernelInputError(f"u and e have the shapes ({n},) and (2, {n}), not {small[0].shape} and {small[1].shape}")
    added = None if plain is None else contiguous(checked(plain, np.uint64, "plain"))
    if added is not None and added.shape != (limbs, n):
        raise KernelInputError(f"plain must have shape ({limbs}, {n}), not {added.shape}")
    at, rows = pointer(words), words.shape[1]
    places = [half * rows + row for half in range(2) for row in (*range(limbs), rows - 1)]
    out, scratch = np.empty((2, limbs, n), np.uint64), np.empty(3 * n, np.uint64)
    halves = ffi.new("uint64_t *[]", [at + place * n for place in places])
    addend = ffi.NULL if added is None else pointer(added)
    coefficients = [pointer(x, "int8_t[]") for x in small]
    inverses = _inverses(basis.primes)
    lib.encrypt_public(pointer(out), halves, *coefficients, addend, inverses, basis.handle, limbs, pointer(scratch))
    return out


@functools.lru_cache(maxsize=256)
def _inverses(primes: tuple[int, ...]) -> object:
    """p^-1 modulo each of the others, p the last."""
    return ffi.new("uint64_t[]", [pow(primes[-1], -1, q) for q in primes[:-1]])
