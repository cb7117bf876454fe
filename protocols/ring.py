"""Z_2^128 and Z_2^256: an element is `limbs` little-endian uint64 words on the last axis of an array, read as a signed integer.

A value stays readable while |z| < 2^(K-1), K = 64 * limbs, and can be opened under a mask while |z| < 2^(K-3): there z +
2^(K-3) lies in [0, 2^(K-2)), each of the three masks r_i is uniform in [0, 2^(K-2)), and z + 2^(K-3) + r_0 + r_1 + r_2 <
2^K never wraps. Bounds are Python integers, so that the range plan is exact.
"""

from __future__ import annotations

import math

import numpy as np

from protocols.errors import RangeError


def bits(limbs: int) -> int:
    """K, the ring being Z_2^K."""
    return 64 * limbs


def opening_bits(limbs: int) -> int:
    """m with: |z| < 2^m can be opened under a mask, and an opening of |z| < 2^b hides all but 2^(b-m) of it."""
    return bits(limbs) - 3


def count(shape: tuple[int, ...]) -> int:
    """Number of elements in an array of this (value) shape."""
    return math.prod(shape)


def power_of_two(exponent: int, limbs: int) -> np.ndarray:
    """2^exponent as one ring element, shape (limbs,)."""
    element = np.zeros(limbs, dtype=np.uint64)
    element[exponent // 64] = np.uint64(1 << (exponent % 64))
    return element


def require_fit(bound: int, limbs: int) -> None:
    """Raises RangeError unless every |z| <= bound is readable in the ring."""
    if bound.bit_length() > bits(limbs) - 1:
        raise RangeError(
            f"a value of {bound.bit_length()} bits does not fit Z_2^{bits(limbs)} (at most {bits(limbs) - 1}); "
            "lift it, rescale it or clamp it first"
        )


def require_maskable(bound: int, limbs: int) -> None:
    """Raises RangeError unless every |z| <= bound can be opened under a mask without a wrap."""
    if bound.bit_length() > opening_bits(limbs):
        raise RangeError(
            f"a value of {bound.bit_length()} bits cannot be truncated in Z_2^{bits(limbs)} (at most {opening_bits(limbs)}); "
            "lift it, rescale it or clamp it first"
        )


def log2(bound: int) -> float:
    """b with |z| < 2^b for every |z| <= bound."""
    return math.log2(bound + 1)
