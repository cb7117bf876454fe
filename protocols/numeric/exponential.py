"""exp and log of few secret numbers, in Z_2^256 at 64 fractional bits.

exp: with t = x / 16 in [-1, 1], a relabelling, exp(x) = exp(t / 2)^32: a Chebyshev series of degree 15 (its remainder is below
2^-74) at 68 fractional bits and five squarings. Domain [-16, 16]; beyond, the clamp answers with exp(+-16) and says so.
Error: relative 2^-58, and 3 units. Rounds: a clamp (10 or 11), 6 and 5. Bytes: a clamp and 12 truncations an element.

log: with x = v 2^e (normalise.py), log x = log v + e log 2; log v is a Chebyshev series of degree 27 in 4v - 3 in [-1, 1), whose
remainder falls by 3 + sqrt(8) a degree, to 2^-74; e log 2 is a public function of e. Domain: smallest <= x <= its stated bound;
smaller numbers, also negative ones, count as `smallest`, and say so. Error: 2^-58. Rounds: a comparison (9 or 10), 1 and 7.
Bytes: the comparisons of normalise.py and 11 truncations an element.

Adversary: one semi-honest compute party. Leaks nothing but the masked openings.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal, localcontext
from fractions import Fraction
from functools import cache

from protocols.engine import LARGE, LARGE_FRAC, Engine, Secret
from protocols.errors import MisuseError
from protocols.numeric import chebyshev
from protocols.numeric.chebyshev import Series
from protocols.numeric.normalise import ONE, normalised

LIMIT_BITS = 4
LIMIT = 2.0**LIMIT_BITS
FINE = LARGE_FRAC + LIMIT_BITS  # x / 16 is x at this scale
SQUARINGS = LIMIT_BITS + 1
E_LIMIT = 8886111  # exp(16), rounded up


def exp(mpc: Engine, x: Secret) -> tuple[Secret, Secret]:
    """(exp(x), 1 where |x| > LIMIT was clamped)."""
    if (x.limbs, x.frac) != (LARGE, LARGE_FRAC):
        raise MisuseError("exp takes numbers of Z_2^256 at 64 fractional bits")
    x, clamped = mpc.clamp(x, LIMIT)
    power = chebyshev.evaluate(mpc, replace(x, frac=FINE), [_exp_series()])[0]
    for k in range(SQUARINGS):
        power = mpc.bounded(power, _root_of_largest(SQUARINGS - k), "|x| <= 16")
        power = mpc.mul(power, power, frac=FINE if k < SQUARINGS - 1 else LARGE_FRAC)
    return mpc.bounded(power, E_LIMIT * ONE, "|x| <= 16"), clamped


def log(mpc: Engine, x: Secret, smallest: float) -> tuple[Secret, Secret]:
    """(log x, 1 where x < smallest); `smallest` is a power of two, and log(smallest) the answer below it."""
    n = normalised(mpc, x, smallest)
    t = mpc.bounded(4 * n.v - 3, ONE + 16, "1/2 <= v < 1, and a truncation")
    log_v = chebyshev.evaluate(mpc, t, [_log_series()])[0]
    answer = mpc.bounded(log_v, ONE, "log 1/2 <= log v <= 0") + n.of_exponent(_times_log_2, LARGE_FRAC)
    return answer, n.below


@cache
def _root_of_largest(k: int) -> int:
    """exp(16 / 2^k), the 2^k-th root of exp(16), at FINE fractional bits; 2^-40 of it more holds all truncations."""
    with localcontext() as context:
        context.prec = chebyshev.DIGITS
        return int((Decimal(2**LIMIT_BITS) / 2**k).exp() * (1 << FINE) * (1 + Decimal(2) ** -40))


@cache
def _times_log_2(e: int) -> int:
    with localcontext() as context:
        context.prec = chebyshev.DIGITS
        return int((e * Decimal(2).ln() * ONE).to_integral_value())


@cache
def _exp_series() -> Series:
    return chebyshev.series(lambda t: (t / 2).exp(), Fraction(-1), Fraction(1), blocks=4, block=4, frac=FINE)


@cache
def _log_series() -> Series:
    return chebyshev.series(lambda v: v.ln(), Fraction(1, 2), Fraction(1), blocks=4, block=7, frac=LARGE_FRAC)
