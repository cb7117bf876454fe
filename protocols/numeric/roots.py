"""sqrt(x) and 1 / sqrt(x) of positive secret numbers by Goldschmidt's iteration, in Z_2^256 at 64 fractional bits.

With x = v 2^e, v in [1/2, 1) (normalise.py), and s_0 = (458 - 207 v) / 256 near 1 / sqrt(v):
    g_0 = v s_0,    h_0 = s_0 / 2,    d = 1/2 - g_k h_k,    g_(k+1) = g_k (1 + d),    h_(k+1) = h_k (1 + d),
g going to sqrt(v) and 2h to 1 / sqrt(v) with the square of the error, times 3/2: from 0.023 to less than 2^-78 in 4 steps. Then
sqrt(x) = g 2^(e/2) and 1 / sqrt(x) = 2h 2^(-e/2), the powers being public functions of e.
Source: Goldschmidt 1964; Markstein, "Software division and square root using Goldschmidt's algorithms", 2004.

Domain: smallest <= x <= its stated bound; smaller numbers, also negative ones, count as `smallest`, and say so.
Range: |g_k|, |2 h_k| <= 1.5 and |d| <= 1/16, from the start on.
Error: relative 2^-58, and 3 units.
Adversary: one semi-honest compute party. Leaks nothing but the masked openings.
Rounds: a comparison and 11. Bytes: the comparisons of normalise.py and 17 truncations an element.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import isqrt

from protocols.engine import LARGE_FRAC, Engine, Secret
from protocols.numeric.normalise import ONE, SLACK, normalised

STEPS = 4
RANGE = "|g_k|, |2 h_k| <= 1.5 and |d| <= 1/16 (see Range above)"


@dataclass(frozen=True)
class Roots:
    """`root` = sqrt(x), `inverse` = 1 / sqrt(x); `below` is 1 where x < smallest, for which smallest was taken."""

    root: Secret
    inverse: Secret
    below: Secret


def roots(mpc: Engine, x: Secret, smallest: float) -> Roots:
    """sqrt(x) and 1 / sqrt(x); `smallest` is a power of two."""
    n = normalised(mpc, x, smallest)
    g_2h = _iterated(mpc, n.v)
    # |e / 2| < 2^7, so that 2^(+-e/2) has 64 bits or more at this scale
    point = LARGE_FRAC + max(n.hi, -n.lo, 0) // 2 + 1
    powers = mpc.stack([n.of_exponent(lambda e: _power(e, point), point), n.of_exponent(lambda e: _power(-e, point), point)])
    both = mpc.mul(g_2h, powers, frac=LARGE_FRAC)
    root = mpc.bounded(both[0], isqrt(x.bound << LARGE_FRAC) * (ONE + SLACK) // ONE + 4, "sqrt(x) <= sqrt(bound)")
    inverse = mpc.bounded(both[1], _power(-n.lo, LARGE_FRAC) * (ONE + SLACK) // ONE + 4, "1 / sqrt(x) <= 1 / sqrt(smallest)")
    return Roots(root, inverse, n.below)


def _iterated(mpc: Engine, v: Secret) -> Secret:
    """(g, 2h) stacked."""
    start = replace(458 - 207 * v, frac=LARGE_FRAC + 8)
    g_2h = mpc.mul(mpc.stack([v, v * 0 + 1]), start, frac=LARGE_FRAC)
    for _ in range(STEPS):
        g_2h = mpc.bounded(g_2h, 3 * ONE // 2 + SLACK, RANGE)
        # 2h carries one bit more than h: g (2h) / 2 = g h
        product = replace(mpc.mul(g_2h[0], g_2h[1], frac=LARGE_FRAC - 1), frac=LARGE_FRAC)
        d = mpc.bounded(0.5 - product, ONE // 16 + SLACK, RANGE)
        g_2h = g_2h * (1 + d)
    return mpc.bounded(g_2h, 3 * ONE // 2 + SLACK, RANGE)


def _power(e: int, point: int) -> int:
    """2^(e/2) at `point` fractional bits, rounded down."""
    return isqrt(1 << (2 * point + e))
