"""Public numbers as ring elements: a real v at scale f is the integer round(v * 2^f), half to even.

Integers (and integer arrays, or object arrays of Python ints) are exact at any scale. Every function returns an exact bound
on the integers that it encodes, for the range plan.
"""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np

import native
from protocols import ring
from protocols.engine import LARGE, LARGE_FRAC, SMALL_FRAC, Public
from protocols.errors import MisuseError


def default_frac(limbs: int) -> int:
    """The ring's scale: f = 64 in Z_2^256, f = 28 in Z_2^128."""
    return LARGE_FRAC if limbs == LARGE else SMALL_FRAC


def is_integer(value: Public) -> bool:
    """Whether a public operand is exact (Python ints, integer or boolean arrays): a product with it needs no truncation."""
    return bool(np.asarray(value).dtype.kind in "iubO")


def largest(values: np.ndarray) -> int:
    """max |v| of an integer array, exactly."""
    if values.size == 0:
        return 0
    low, high = int(values.min()), int(values.max())
    return max(abs(low), abs(high))


def scaled_limit(limit: float, frac: int) -> int:
    """The largest integer at scale frac within a real limit: floor(limit * 2^frac), exactly."""
    return math.floor(Fraction(limit) * (1 << frac))


def encode_integers(values: np.ndarray, limbs: int) -> np.ndarray:
    """Integers of any dtype as ring elements, shape (*shape, limbs)."""
    if values.dtype.kind == "O" or (values.dtype.itemsize == 8 and values.dtype.kind == "u"):
        return native.from_ints(values.astype(object), limbs)
    signed = values.astype(np.int64)
    words = np.empty((*values.shape, limbs), dtype=np.uint64)
    words[..., 0] = signed.view(np.uint64)
    words[..., 1:] = (signed >> 63).view(np.uint64)[..., None]
    return words


def encode(value: Public, frac: int, limbs: int) -> tuple[np.ndarray, int]:
    """A public operand at scale frac: (ring elements of shape (*shape, limbs), bound). Raises RangeError when it does not fit."""
    array = np.asarray(value)
    if is_integer(array):
        bound = largest(array) << frac
        ring.require_fit(bound, limbs)
        return native.shift_left(encode_integers(array, limbs), frac), bound
    if array.dtype.kind != "f" or not np.isfinite(array).all():
        raise MisuseError("a public operand must be an int, a finite float, or an array of these")
    peak = Fraction(float(np.max(np.abs(array), initial=0.0)))
    bound = math.ceil(peak * (1 << frac))
    ring.require_fit(bound, limbs)
    return native.encode(np.asarray(array, dtype=np.float64), frac, limbs), bound
