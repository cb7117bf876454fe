"""A positive secret number as v * 2^e with v in [1/2, 1): the exponent from comparisons, in Z_2^256 at 64 fractional bits.

With c_j = 1 where x >= 2^j, j = lo ... hi - 1, all compared at once, the number of ones places x: 2^(e-1) <= x < 2^e for
e = lo + sum c_j, and every function of e is a public combination of the bits,
    g(e) = g(lo + 1) + sum_(j > lo) c_j (g(j + 1) - g(j)),
so that 2^-e costs nothing and v = x 2^-e one product. The guard: below 2^lo all bits are 0, and so is c_lo 2^-e; then v = 1/2 and
e = lo + 1 stand for x = 2^lo, with `below` set, whatever x is. hi is where the stated bound of x ends.

Domain: 2^lo <= x <= its stated bound, -60 <= lo. Error: 2 units in v.
Adversary: one semi-honest compute party. Leaks nothing but one masked opening an element, of 64 + 2 (hi - lo) bits at most.
Rounds: a comparison and 1. Bytes: hi - lo comparisons and one truncation an element.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from protocols.engine import LARGE, LARGE_FRAC, Engine, Secret
from protocols.errors import MisuseError, RangeError

LOWEST = -60
ONE = 1 << LARGE_FRAC
SLACK = 1 << 10  # units, for what truncations leave in this and the modules that build on it


@dataclass(frozen=True)
class Normalised:
    """x = v * 2^e with lo < e <= hi; `below` is 1 where x was under the domain, and 2^lo was taken for it."""

    v: Secret
    below: Secret
    bits: Secret  # c_lo ... c_(hi-1) on the first axis
    lo: int
    hi: int

    def of_exponent(self, g: Callable[[int], int], frac: int) -> Secret:
        """g(e), an integer taken at `frac` fractional bits. Local."""
        steps = [g(j + 1) - g(j) for j in range(self.lo + 1, self.hi)]
        value = _combined(self.bits[1:], steps) + g(self.lo + 1)
        peak = max(abs(g(e)) for e in range(self.lo + 1, self.hi + 1))
        return replace(value.engine.bounded(value, peak, "it is g at one exponent"), frac=frac)


def normalised(mpc: Engine, x: Secret, smallest: float) -> Normalised:
    """x on its domain from `smallest`, a power of two."""
    lo, hi = _domain(x, smallest)
    thresholds = np.array([1 << (j + LARGE_FRAC) for j in range(lo, hi)], dtype=object)
    units = replace(x, frac=0)
    bits = 1 - mpc.is_negative(mpc.stack([units - int(each) for each in thresholds]))
    bits = mpc.bounded(bits, 1, "one less a bit")
    # c_lo 2^-e, at `point` fractional bits
    point = max(hi, 0)
    steps = [1 << (point - lo - 1), *(-1 << (point - j - 1) for j in range(lo + 1, hi))]
    power = mpc.bounded(_combined(bits, steps), steps[0], "it is 2^-e for one exponent, or 0")
    v = mpc.mul(x, replace(power, frac=point), frac=LARGE_FRAC)
    below = mpc.bounded(1 - bits[0], 1, "one less a bit")
    v = v + replace(below * (ONE // 2), frac=LARGE_FRAC)
    return Normalised(mpc.bounded(v, ONE + SLACK, "x < 2^e, or 1/2"), below, bits, lo, hi)


def _domain(x: Secret, smallest: float) -> tuple[int, int]:
    mantissa, exponent = math.frexp(smallest)
    lo, hi = exponent - 1, x.bound.bit_length() - LARGE_FRAC
    if (x.limbs, x.frac) != (LARGE, LARGE_FRAC) or mantissa != 0.5:
        raise MisuseError("this takes numbers of Z_2^256 at 64 fractional bits, on a domain that starts at a power of two")
    if not LOWEST <= lo < hi:
        raise RangeError(f"the domain must start between 2^{LOWEST} and the stated bound of the number")
    return lo, hi


def _combined(bits: Secret, steps: list[int]) -> Secret:
    """sum_j c_j steps_j over the first axis. Local."""
    weights = np.array(steps, dtype=object).reshape(-1, *[1] * (len(bits.shape) - 1))
    return (bits * weights).sum(0)
