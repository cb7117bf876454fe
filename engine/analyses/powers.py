"""Sums of powers, and the moments made of them without cancellation.

What is released of a column are n and the sums of z, z^2, z^3, z^4, z = (x - c) / s in [-1, 1]: one to one with n, mean, SD,
skewness and kurtosis. They are added up about a point near the data and carried with 128 fractional bits; the researcher computes
central moments from the exact integers, so that even a column far narrower than its bounds keeps the digits of float64.

Four exact sums of ten values are ten values: few multisets of a grid share them. n values on a grid of v points form
C(n + v - 1, v - 1) multisets; the sum of z^k takes at most n v^k values. So the third and fourth sum are opened only from
`fewest` people on, where the multisets outnumber the values of all four sums by 2^20; below, they are multiplied by 0 on shares.
A column whose every value obeys the rule for table cells has no such bound: its frequencies are allowed to be known.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from engine.analyses.sums import DoubleDouble, add, moved, near, zeros

FRAC = 128
ORDER = 4
FEWEST_PEOPLE = 100
HIDDEN_LOG2 = 20.0
MOST_PEOPLE = 1 << 40
NOTHING = Fraction(1, 2**96)  # a variance of z below this is that of a constant column


def fewest(values: int | None) -> int | None:
    """From how many people on the third and fourth sum may open, for a column of so many possible values (None: any number).

    None for never. What the sums leave hidden grows with n from 100 on when there are six values and more, and never
    reaches 20 bits at n < 2^40 when there are fewer.
    """
    if values is None:
        return FEWEST_PEOPLE
    return first_hidden(lambda n: hidden_log2(n, values)) if values > ORDER + 1 else None


def first_hidden(hidden: Callable[[int], float]) -> int | None:
    """The least n from FEWEST_PEOPLE on with hidden(n) >= HIDDEN_LOG2, of a function that grows there; None for none < 2^40."""
    if hidden(FEWEST_PEOPLE) >= HIDDEN_LOG2:
        return FEWEST_PEOPLE
    if hidden(MOST_PEOPLE - 1) < HIDDEN_LOG2:
        return None
    low, high = FEWEST_PEOPLE, MOST_PEOPLE - 1  # not enough, enough
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if hidden(middle) >= HIDDEN_LOG2 else (middle, high)
    return high


def hidden_log2(n: int, values: int) -> float:
    """log2 C(n + v - 1, v - 1) - sum over k = 1..4 of log2(n v^k)."""
    return multisets_log2(n, values) - ORDER * math.log2(n) - ORDER * (ORDER + 1) / 2 * math.log2(values)


def multisets_log2(n: int, values: int) -> float:
    """log2 C(n + v - 1, v - 1): in how many ways n numbers can take v values, in any order."""
    k = min(n, values - 1)
    return sum(math.log2((n + values - 1 - i) / (k - i)) for i in range(k))


class PowerSums:
    """sum z^k, k = 1..4, of one column in several groups."""

    def __init__(self, groups: int) -> None:
        self._shift: np.ndarray | None = None
        self._sums = zeros((groups, ORDER + 1))

    def add(self, z: np.ndarray, groups: np.ndarray) -> None:
        """Values z without missing ones, and the group of each (-1: none)."""
        if not len(z):
            return
        if self._shift is None:
            self._shift = near(np.column_stack([np.ones(len(z)), z]))
        w = z - self._shift[1]
        block = np.zeros(self._sums.high.shape)
        for group in range(len(block)):
            chosen = groups == group
            mine = w if chosen.all() else w[chosen]
            square = mine * mine  # products: a power of each number takes 30 times as long
            block[group] = [len(mine), np.sum(mine), np.sum(square), np.sum(square * mine), np.sum(square * square)]
        self._sums = add(self._sums, DoubleDouble(block, np.zeros_like(block)))

    def total(self) -> DoubleDouble:
        """(groups, 4)."""
        if self._shift is None:
            return self._sums.at((slice(None), slice(1, None)))
        degree = np.indices((2,) * ORDER).sum(axis=0)  # of each entry of (1, w) x ... x (1, w)
        about_zero = moved(self._sums.at((slice(None), degree)), self._shift, ORDER)
        places = tuple(np.triu(np.ones((ORDER, ORDER), dtype=np.int64)))  # column k: k + 1 ones, an entry of that degree
        return about_zero.at((slice(None), *places))


@dataclass(frozen=True)
class Moments:
    """Of one column in one group; NaN where they do not exist or were withheld."""

    mean: float
    sd: float
    skewness: float
    kurtosis: float


def moments(n: int, sums: list[int], center: float, scale: float, *, shape: bool = True) -> Moments:
    """From n and the opened sums in units of 2^-128. SD with ddof 1; skewness and (excess) kurtosis as scipy's, biased.

    shape: whether the third and fourth sum were opened.
    """
    s1, s2, s3, s4 = (Fraction(total, n << FRAC) for total in sums)
    mean = Fraction(center) + Fraction(scale) * s1
    m2 = s2 - s1**2
    if m2 <= NOTHING:
        return Moments(float(mean), 0.0 if n > 1 else float("nan"), float("nan"), float("nan"))
    m3 = s3 - 3 * s1 * s2 + 2 * s1**3
    m4 = s4 - 4 * s1 * s3 + 6 * s1**2 * s2 - 3 * s1**4
    sd = scale * float(m2 * n / (n - 1)) ** 0.5 if n > 1 else float("nan")
    if not shape:
        return Moments(float(mean), sd, float("nan"), float("nan"))
    return Moments(float(mean), sd, float(m3 / m2) / float(m2) ** 0.5, float(m4 / m2**2) - 3.0)
