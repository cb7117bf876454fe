"""Sums over rows that keep the digits of the rows: what LOCAL adds up.

A sum of products about zero, such as sum z_j z_k, loses the spread of a column that is narrow beside its distance from zero. So
each hospital adds up about a point c near its own data, w = z - c, in float64 (blocks of rows, one GEMM each) with the blocks
added in double-double; only then are the sums moved back to zero, in double-double, where nothing is lost:

    sum z_a z_b ... = the multilinear expansion of sum (w_a + c_a)(w_b + c_b) ...

With w extended by a constant 1 (index 0) the move is one step an index: T[a, ...] += c_a T[0, ...].
A double-double is an unevaluated sum high + low of two float64, about 106 bits (Dekker 1971; Knuth, TAOCP 2, 4.2.2).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

BLOCK_NUMBERS = 1 << 20  # numbers in a block's widest intermediate array: 8 MiB
_SPLIT = 134217729.0  # 2^27 + 1


class DoubleDouble(NamedTuple):
    """high + low, |low| <= half a unit in the last place of high. Arrays of one shape."""

    high: np.ndarray
    low: np.ndarray

    def at(self, index: Any) -> DoubleDouble:
        return DoubleDouble(self.high[index], self.low[index])


def zeros(shape: tuple[int, ...]) -> DoubleDouble:
    return DoubleDouble(np.zeros(shape), np.zeros(shape))


def two_sum(a: np.ndarray, b: np.ndarray) -> DoubleDouble:
    """a + b exactly."""
    total = a + b
    b_seen = total - a
    return DoubleDouble(total, (a - (total - b_seen)) + (b - b_seen))


def two_product(a: np.ndarray, b: np.ndarray) -> DoubleDouble:
    """a * b exactly (no overflow: |a|, |b| < 2^990)."""
    product = a * b
    a_high, b_high = (_SPLIT * v - (_SPLIT * v - v) for v in (a, b))
    a_low, b_low = a - a_high, b - b_high
    return DoubleDouble(product, ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low)


def add(x: DoubleDouble, y: DoubleDouble) -> DoubleDouble:
    high, low = two_sum(x.high, y.high)
    tail, rest = two_sum(x.low, y.low)
    high, low = two_sum(high, low + tail)
    return two_sum(high, low + rest)


def times(x: DoubleDouble, factor: np.ndarray) -> DoubleDouble:
    high, low = two_product(x.high, factor)
    return two_sum(high, low + x.low * factor)


GRID_LOG2 = 28  # fractional bits of the rows that `exact_gram` takes
EXACT_ROWS = 1 << 22  # whose halves' products float64 adds up without rounding


def on_grid(z: np.ndarray) -> np.ndarray:
    """Rows in [-1, 1] rounded to GRID_LOG2 fractional bits."""
    return np.asarray(np.ldexp(np.rint(np.ldexp(z, GRID_LOG2)), -GRID_LOG2))


def exact_gram(z: np.ndarray) -> DoubleDouble:
    """z'z of rows (rows, d) on that grid, in [-1, 1], without any rounding: so it is exactly positive semidefinite.

    z = h + l with h of 14 fractional bits and |l| <= 2^-15: a product of two halves is a whole number of at most 28 bits in its
    unit, and 2^22 of them stay below 2^53. Rounded sums of few distinct values err alike in every term, and what is singular
    gets a negative eigenvalue.
    """
    total = zeros((z.shape[1],) * 2)
    for start in range(0, len(z), EXACT_ROWS):
        block = z[start : start + EXACT_ROWS]
        high = np.ldexp(np.rint(np.ldexp(block, GRID_LOG2 // 2)), -(GRID_LOG2 // 2))
        low = block - high
        cross = high.T @ low
        sums = two_sum(high.T @ high, cross + cross.T)
        small = low.T @ low
        total = add(total, add(sums, DoubleDouble(small, np.zeros_like(small))))
    return total


class ShiftedMoments:
    """Sums over rows of products of `order` entries of v = (1, z), added up about a point c near the first rows.

    The caller gives rows through `centred`, which returns w = (1, z - c), multiplies them as it needs, and hands each block's
    float64 sum of shape (width,) * order to `add`. `total` is about zero again.
    """

    def __init__(self, width: int, order: int) -> None:
        self._order = order
        self._shift: np.ndarray | None = None
        self._width = width
        self._total = zeros((width,) * order)

    def centred(self, v: np.ndarray) -> np.ndarray:
        """w for rows v of shape (rows, width), v[:, 0] == 1."""
        if self._shift is None:
            self._shift = near(v)
        return np.asarray(v - self._shift)

    def add(self, block: np.ndarray) -> None:
        self._total = add(self._total, DoubleDouble(block, np.zeros_like(block)))

    def total(self) -> DoubleDouble:
        return self._total if self._shift is None else moved(self._total, self._shift, self._order)


def near(v: np.ndarray) -> np.ndarray:
    """A point near the rows' mean, 0 in the constant column, of few binary digits: coarse data (0/1, integers) stay exact."""
    mean, spread = v.mean(axis=0), np.ptp(v, axis=0)
    step = 2.0 ** (np.floor(np.log2(np.where(spread > 0, spread, 1.0))) - 2)
    shift: np.ndarray = np.where(spread > 0, np.round(mean / step) * step, v[0])
    shift[0] = 0.0
    return shift


def moved(about_c: DoubleDouble, c: np.ndarray, order: int) -> DoubleDouble:
    """Moments about c as moments about 0, over the last `order` axes, whose index 0 is the constant (c[0] = 0)."""
    moments = about_c
    for axis in range(-order, 0):
        constant = DoubleDouble(*(np.take(part, [0], axis=axis) for part in moments))
        by_axis = c.reshape(-1, *(1,) * (-axis - 1))
        moments = add(moments, times(DoubleDouble(*(np.broadcast_to(p, moments.high.shape) for p in constant)), by_axis))
    return moments


def blocks(rows: int, numbers_a_row: int) -> list[slice]:
    """Slices of rows whose widest intermediate stays within BLOCK_NUMBERS."""
    size = max(1, BLOCK_NUMBERS // max(1, numbers_a_row))
    return [slice(start, start + size) for start in range(0, rows, size)]
