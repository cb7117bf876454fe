"""exp of many secret numbers, in Z_2^128 at 28 fractional bits; exp and log of few, in Z_2^256 at 64.

exponential: with eta clamped to [U - 25.6, U], U a public bound, x = (5 / 64) (eta - U) + 1 in [-1, 1] is one product of the two
comparisons' bits o (above) and u (below),
    x = (1 - o - u) (5 (eta - U) + 64) / 64 + o - u,
and half = exp((eta - U) / 2) = exp(32/5 (x - 1)) a Chebyshev series of degree 20, whose square is exp(eta - U). inverse_half =
exp((U - eta) / 2) is the square of a series of degree 14, from the same x. Domain: any eta within its stated bound; beyond, the
clamp answers with the value at the edge and says so; within 2^-20 of an edge it may act or not. Error: half 5e-8 as a rule
(6e-10 of it the series), less than 1.3e-7 if all truncations erred together, value twice as much; inverse_half 2^-7 and 2^-17 of
itself. Rounds: a comparison at 8 bits less than its width and 8; inverse_half 7. Bytes: for each eta two comparisons and 11
truncations; inverse_half 8 truncations. Leaks 2^-64 an eta; beyond 1.3 * 10^5 of them some
truncations leak nothing and take a round more.

exp: with t = x / 16 in [-1, 1], a relabelling, exp(x) = exp(t / 2)^32: a Chebyshev series of degree 15 (its remainder is below
2^-74) at 68 fractional bits and five squarings. Domain [-16, 16]; beyond, the clamp answers with exp(+-16) and says so.
Error: relative 2^-58, and 3 units. Rounds: a clamp, 6 and 5. Bytes: a clamp and 12 truncations an element.

log: with x = v 2^e (normalise.py), log x = log v + e log 2; log v is a Chebyshev series of degree 27 in 4v - 3 in [-1, 1), whose
remainder falls by 3 + sqrt(8) a degree, to 2^-74; e log 2 is a public function of e. Domain: smallest <= x <= its stated bound;
smaller numbers, also negative ones, count as `smallest`, and say so. Error: 2^-58. Rounds: a comparison, 1 and 7.
Bytes: the comparisons of normalise.py and 11 truncations an element.

Adversary: one semi-honest compute party. Leaks nothing but the masked openings.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from decimal import Decimal, localcontext
from fractions import Fraction
from functools import cache

from protocols.engine import LARGE, LARGE_FRAC, SMALL, SMALL_FRAC, Engine, Secret
from protocols.errors import MisuseError
from protocols.numeric import chebyshev
from protocols.numeric.chebyshev import Series, decimal
from protocols.numeric.normalise import ONE, normalised

SPAN = Fraction(128, 5)  # what exponential takes below its upper bound
SMALL_ONE = 1 << SMALL_FRAC
SMALL_SLACK = 1 << 8  # units, for truncations
BLUR = 8  # bits: 2^-20
FINER = 3  # bits, in coefficients
QUARTER_BITS = 10  # exp(SPAN / 4) < 2^10
INVERSE_FRAC = SMALL_FRAC - 19  # exp(SPAN / 2) < 2^19

LIMIT_BITS = 4
LIMIT = 2.0**LIMIT_BITS
FINE = LARGE_FRAC + LIMIT_BITS  # x / 16 is x at this scale
SQUARINGS = LIMIT_BITS + 1
E_LIMIT = 8886111  # exp(16), rounded up


@dataclass(frozen=True)
class Exponential:
    """`half` = exp((eta - U) / 2) and `value` = half^2 = exp(eta - U) in [0, 1]; bits where eta was clamped, `over` or `under`.

    `x` = (5 / 64) (eta - U) + 1 in [-1, 1], eta clamped, is for `inverse_half`.
    """

    half: Secret
    value: Secret
    over: Secret
    under: Secret
    x: Secret


def exponential(mpc: Engine, eta: Secret, upper: Fraction) -> Exponential:
    """exp(eta - upper) for eta of any shape, in Z_2^128 at 28 fractional bits, clamped to [upper - 25.6, upper].

    `upper` is public, a multiple of 2^-28. Raises MisuseError.
    """
    units = upper * SMALL_ONE
    if (eta.limbs, eta.frac) != (SMALL, SMALL_FRAC) or units.denominator != 1:
        raise MisuseError(f"linear predictors, and their upper bound, live in Z_2^128 at {SMALL_FRAC} fractional bits")
    distance = replace(eta, frac=0) - int(units)  # in units
    lowest = math.floor(SPAN * SMALL_ONE)
    bits = mpc.is_negative(mpc.stack([-distance, distance + lowest]), blur=BLUR)
    over, under = bits[0], bits[1]
    inside = mpc.bounded(1 - over - under, 1, "a number is not above and below at once")
    edge = mpc.bounded(over - under, 1, "1 above, -1 below")
    # 2 / 25.6 = 5 / 2^6, and 64 / 2^6 for the 1; the addend at the scale of the product
    line = replace(5 * distance + 64 * SMALL_ONE, frac=SMALL_FRAC + 6)
    x = mpc.mul_add(inside, line, mpc.rescale_up(edge, line.frac), frac=SMALL_FRAC)
    x = mpc.bounded(x, SMALL_ONE + 16, "-25.6 <= eta - U <= 0 where it is not clamped")
    half = _unit(mpc, chebyshev.evaluate(mpc, x, [_half_series()])[0])
    return Exponential(half, _unit(mpc, half * half), over, under, x)


def inverse_half(mpc: Engine, e: Exponential) -> Secret:
    """exp((U - eta) / 2), eta clamped as in `e`: at 9 fractional bits, so that exp(12.8) stays below 2^28."""
    quarter = chebyshev.evaluate(mpc, e.x, [_inverse_quarter_series()])[0]
    quarter = replace(quarter, frac=SMALL_FRAC - QUARTER_BITS)
    quarter = mpc.bounded(quarter, _exp_limit(SPAN / 4, quarter.frac), "eta >= U - 25.6")
    return mpc.bounded(mpc.mul(quarter, quarter, frac=INVERSE_FRAC), _exp_limit(SPAN / 2, INVERSE_FRAC), "eta >= U - 25.6")


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


def _unit(mpc: Engine, x: Secret) -> Secret:
    return mpc.bounded(x, SMALL_ONE + SMALL_SLACK, "eta <= U, and truncations")


def _exp_limit(power: Fraction, frac: int) -> int:
    """exp(power) at `frac` fractional bits, and what truncations add."""
    with localcontext() as context:
        context.prec = chebyshev.DIGITS
        return int(decimal(power).exp() * (1 << frac)) + SMALL_SLACK


@cache
def _half_series() -> Series:
    return chebyshev.series(lambda x: (decimal(SPAN / 4) * (x - 1)).exp(), Fraction(-1), Fraction(1), 3, 7, SMALL_FRAC, FINER)


@cache
def _inverse_quarter_series() -> Series:
    """exp(SPAN / 8 (1 - x)) / 2^10."""
    scale = Decimal(1 << QUARTER_BITS)
    return chebyshev.series(lambda x: (decimal(SPAN / 8) * (1 - x)).exp() / scale, Fraction(-1), Fraction(1), 3, 5, SMALL_FRAC)
