"""The canonical embedding of CKKS: vectors of numbers <-> integer polynomials in residue number form, coefficient domain.

Slot j of a polynomial c is c(zeta^(5^j)), zeta = exp(iπ/N), so that X -> X^(5^k) turns the slots left by k and X -> X^(−1)
conjugates them. A vector of n < N/2 numbers, n a power of two, is a polynomial in X^(N/2n), and repeats in the N/2 slots.
Source: Cheon, Kim, Kim, Song, eprint 2016/421; the transform is one of n complex numbers, in log2 n levels.

Values, coefficients and residues are secret: kernels do not branch on them, but a vector out of range is refused, which shows.
Each transform errs by at most 7·log2(n)·2^-53 times its result, both in the Euclidean norm; multiplications by the scale and its
inverse by 2^-53 each. Results may differ between instruction sets within these bounds.
"""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from native._arrays import Words, checked, checked_int, contiguous, pointer
from native._load import ffi, lib
from native.errors import KernelInputError

if TYPE_CHECKING:
    from native.rns import Basis

__all__ = [
    "DECODED_LIMBS",
    "decode",
    "encode",
]

Slots: TypeAlias = npt.NDArray[np.complex128]

DECODED_LIMBS = 4  # as many limbs as decode reads: three that determine a coefficient, and one that checks it


def encode(values: npt.NDArray[np.float64] | Slots, scale: float, basis: Basis) -> Words:
    """round(scale·c), half to even, of the polynomials c whose slots are values: (..., n) -> (..., limbs, N).

    values: float64 or complex128; n a power of two, at most N/2. Raises KernelInputError when a coefficient is not finite, or not
    below half the product of the primes and 2^50 times the power of two below the smallest prime, in magnitude.
    """
    if not isinstance(values, np.ndarray) or values.dtype not in (np.float64, np.complex128):
        raise KernelInputError("values must be a NumPy array of float64 or complex128")
    if values.ndim < 1:
        raise KernelInputError("values must have shape (..., n)")
    source, n = contiguous(values), _slots(values.shape[-1], basis)
    out = np.empty((*source.shape[:-1], len(basis), basis.degree), np.uint64)
    count = math.prod(source.shape[:-1])
    limit = min(1 << 49 + min(basis.primes).bit_length(), math.prod(basis.primes) // 2)
    code = lib.embed_encode(
        pointer(out),
        pointer(source.view(np.float64), "double[]"),
        int(source.dtype == np.complex128),
        count,
        _scale(scale),
        float(limit),
        basis.degree // (2 * n),
        pointer(basis.values),
        len(basis),
        _table(n),
    )
    _checked_code(code, "a value is NaN, infinite, or too large for this scale and basis")
    return out


def decode(x: Words, scale: float, basis: Basis, slots: int | None = None) -> Slots:
    """The slots of polynomials over the scale: (..., limbs, N), coefficient domain, residues below their primes -> (..., slots).

    slots: a power of two, at most N/2 and by default that; fewer leave out the coefficients between multiples of N / (2·slots). A
    coefficient is the integer of smallest magnitude modulo the first three primes (or fewer, when there are fewer), rounded to
    float64. Limbs after the fourth are not read. Raises KernelInputError when the fourth does not agree: the value is beyond the
    range.
    """
    source = contiguous(checked(x, np.uint64, "residues"))
    if source.ndim < 2 or source.shape[-2:] != (len(basis), basis.degree):
        raise KernelInputError(f"residues must have shape (..., {len(basis)}, {basis.degree}), not {source.shape}")
    n = _slots(basis.degree // 2 if slots is None else slots, basis)
    out = np.empty((*source.shape[:-2], n), np.complex128)
    code = lib.embed_decode(
        pointer(out.view(np.float64), "double[]"),
        pointer(source),
        math.prod(source.shape[:-2]),
        len(basis),
        1.0 / _scale(scale),
        basis.degree // (2 * n),
        _radix(basis.primes[:DECODED_LIMBS]),
        min(len(basis), DECODED_LIMBS - 1),
        int(len(basis) >= DECODED_LIMBS),
        _table(n),
    )
    _checked_code(
        code, "a coefficient is beyond the range of three limbs: the ciphertext holds values larger than its scale allows"
    )
    return out


def _slots(n: int, basis: Basis) -> int:
    if checked_int(n, 1, basis.degree // 2, "the number of slots") & (n - 1):
        raise KernelInputError("the number of slots must be a power of two")
    return n


def _scale(scale: float) -> float:
    """A scale whose inverse is a normal number too."""
    if not isinstance(scale, int | float) or not 2.0**-1000 < scale < 2.0**1000:
        raise KernelInputError("scale must be a number between 2^-1000 and 2^1000")
    return float(scale)


def _checked_code(code: int, refused: str) -> None:
    if code == 1:
        raise KernelInputError(refused)
    if code:
        raise MemoryError


@functools.lru_cache(maxsize=32)
def _table(n: int) -> Any:
    table = lib.embed_table_new(n.bit_length() - 1)
    if table == ffi.NULL:
        raise MemoryError
    return ffi.gc(table, lib.embed_table_free)


@functools.lru_cache(maxsize=256)
def _radix(primes: tuple[int, ...]) -> Any:
    """embed_radix of one to four primes."""
    p = [*primes, *(0,) * (DECODED_LIMBS - len(primes))]
    product = p[0] * p[1]
    high = float(product)
    return ffi.new(
        "embed_radix *",
        {
            "p": p,
            "reciprocal": [1.0 / q if q else 0.0 for q in p],
            "inverse01": _balanced_inverse(p[0], p[1]),
            "inverse02": _balanced_inverse(p[0], p[2]),
            "inverse12": _balanced_inverse(p[1], p[2]),
            "rest0": _balanced(p[0], p[3]),
            "rest1": _balanced(p[1], p[3]),
            "product_high": high,
            "product_low": float(product - int(high)),
        },
    )


def _balanced(a: int, p: int) -> float:
    """a modulo p, of smallest magnitude; 0 when there is no p."""
    return float((a + p // 2) % p - p // 2) if p else 0.0


def _balanced_inverse(a: int, p: int) -> float:
    return _balanced(pow(a, -1, p), p) if p else 0.0
