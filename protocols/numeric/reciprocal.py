"""1 / x of positive secret numbers by coupled Newton iteration, in Z_2^256 at 64 fractional bits.

With x = v 2^e, v in [1/2, 1) (normalise.py):
    r_0 = (723 - 482 v) / 256,    y_0 = v r_0,    r_(k+1) = r_k (2 - y_k),    y_(k+1) = y_k (2 - y_k),
both products stacked; 1 - y_0 lies in +-0.0594, and four squarings leave less than 2^-65. Then 1 / x = r_4 2^-e.
Source: Goldschmidt 1964; the linear start is the minimax one, 48/17 - 32/17 v, in dyadic numbers.

Domain: smallest <= x <= its stated bound; smaller numbers, also negative ones, count as `smallest`, and say so.
Range: |r_k| <= 2, 0 <= y_k <= 1 after the first step, since 1 - y_(k+1) = (1 - y_k)^2; |y_0| <= 1.06.
Error: relative 2^-58, and 3 units.
Adversary: one semi-honest compute party. Leaks nothing but the masked openings.
Rounds: a comparison and 7. Bytes: the comparisons of normalise.py and 11 truncations an element.
"""

from __future__ import annotations

from dataclasses import replace

from protocols.engine import LARGE_FRAC, Engine, Secret
from protocols.numeric.normalise import ONE, SLACK, normalised

STEPS = 4
RANGE = "|r_k| <= 2 and |y_k| <= 1.06 (see Range above)"


def reciprocal(mpc: Engine, x: Secret, smallest: float) -> tuple[Secret, Secret]:
    """(1 / x, 1 where x < smallest); `smallest` is a power of two, and 1 / smallest the answer below it."""
    n = normalised(mpc, x, smallest)
    start = replace(723 - 482 * n.v, frac=LARGE_FRAC + 8)
    r_y = mpc.mul(mpc.stack([n.v * 0 + 1, n.v]), start, frac=LARGE_FRAC)
    for _ in range(STEPS - 1):
        r_y = mpc.bounded(r_y, 2 * ONE + SLACK, RANGE)
        r_y = r_y * (2 - r_y[1])
    r = mpc.bounded(r_y[0] * (2 - r_y[1]), 2 * ONE + SLACK, RANGE)
    point = max(n.hi, 0)
    answer = mpc.mul(r, n.of_exponent(lambda e: 1 << (point - e), point), frac=LARGE_FRAC)
    largest = (ONE << -n.lo if n.lo < 0 else ONE >> n.lo) * (ONE + SLACK) // ONE + 4
    return mpc.bounded(answer, largest, "1 / x <= 1 / smallest"), n.below
