"""A positive secret number as v * 2^e with v in [1/2, 1): the exponent from comparisons, in Z_2^256 at 64 fractional bits.

With c_j = 1 where x >= 2^j, j = lo ... hi - 1, all compared at once, the number of ones places x: 2^(e-1) <= x < 2^e for
e = lo + sum c_j, and every function of e is a public combination of the bits,
    g(e) = g(lo) + sum_j c_j (g(j + 1) - g(j)),
so that 2^-e costs nothing and v = x 2^-e one product. The guard: where x < 2^lo the product is left out and v = 1/2, e = lo + 1
stand for x = 2^lo, with `below` set; nothing is ever divided by zero. hi is where the stated bound of x ends.

Domain: 2^lo <= x <= its stated bound, lo >= -60. Error: 2 units in v, for v itself holds all bits of x.
Adversary: one semi-honest compute party. Leaks nothing but one masked opening an element.
Rounds: a comparison (9 or 10) and 1. Bytes: hi - lo comparisons and one truncation an element.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from protocols.engine import LARGE, LARGE_FRAC, Engine, Secret
from protocols.errors import MisuseError, RangeError

LOWEST = -60
ONE = 1 << LARGE_FRAC


@dataclass(frozen=True)
class Normalised:
    """x = v * 2^e; `below` is 1 where x was under the domain, and 2^lo taken for it."""

    mpc: Engine
    v: Secret
    below: Secret
    bits: Secret  # c_lo ... c_(hi-1) on the first axis, c_lo = 1
    lo: int

    def of_exponent(self, g: Callable[[int], int], frac: int) -> Secret:
        """g(e) for an integer function on lo + 1 ... hi, taken as a number at `frac` fractional bits. Local."""
        return _of_exponent(self.mpc, self.bits, self.lo, g, frac)


def normalised(mpc: Engine, x: Secret, smallest: float) -> Normalised:
    """x at 64 fractional bits, its domain from `smallest`, a power of two."""
    mantissa, exponent = math.frexp(smallest)
    lo = exponent - 1
    if (x.limbs, x.frac) != (LARGE, LARGE_FRAC) or mantissa != 0.5:
        raise MisuseError("a number to be normalised lives in Z_2^256 at 64 fractional bits, its domain starts at a power of two")
    hi = x.bound.bit_length() - LARGE_FRAC
    if lo < LOWEST or hi <= lo:
        raise RangeError(f"the domain of a reciprocal, root or logarithm must start between 2^{LOWEST} and the bound of its argument")
    thresholds = np.array([1 << (j + LARGE_FRAC) for j in range(lo, hi)], dtype=object).reshape(-1, *[1] * len(x.shape))
    below_each = mpc.is_negative(_minus(mpc, x, thresholds))
    below = below_each[0]
    bits = mpc.concat([mpc.constant(np.ones((1, *x.shape), dtype=np.int64), frac=0), 1 - below_each[1:]])
    bits = mpc.bounded(bits, 1, "one minus a bit")
    # 2^-e as the integer 2^(hi - e); v = 1/2 where x is below the domain
    power = _of_exponent(mpc, bits, lo, lambda e: 1 << (hi - e), 0)
    inside = mpc.mul(1 - below, x, frac=LARGE_FRAC)
    raise NotImplementedError
