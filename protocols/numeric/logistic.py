"""The logistic function of many linear predictors, its slope p (1 - p), and log(1 + exp), in Z_2^128 at 28 fractional bits.

Both functions fold onto a = |eta|, where they decay:
    sigmoid(eta) = s + (1 - 2s) q,    q = 1 / (1 + exp(-a)),    s = 1 where eta < 0,
    log(1 + exp(eta)) = max(eta, 0) + log(1 + exp(-a)),
and q and log(1 + exp(-a)) are Chebyshev series of degree 27 on [0, L], L = 128 / 7 = 18.3 (chebyshev.py; the nearest
singularity, i pi, allows a factor 1.8 a degree). The three comparisons eta < 0, eta > L, eta < -L are made at once; with their
bits s, o, u the clamp and the map to [-1, 1] are one product,
    x = 2 min(a, L) / L - 1 = (7 / 64) (1 - 2s - o + u) eta + 2 (o + u) - 1.

Domain: any eta within its stated bound. Beyond L the clamp answers with the value at L (for log(1 + exp) the exact asymptote
and the value at L), and says so.
Error: sigmoid and slope 3e-8 (1.9e-8 the series, 1.1e-8 the clamp), log(1 + exp) 2.1e-8; truncations add 2e-8 as a rule, less
than 1.3e-7 if all of them erred together. A value may leave [0, 1] or [0, 1/4] by as much, never its stated bound.
Adversary: one semi-honest compute party. Leaks nothing but the masked openings: 2^-65 an eta, 2^-48 for 10^5 of them.
Rounds: a comparison (8 at 40 bits), 1, 7 for the series, 1 for the answers, 1 more for log(1 + exp). Bytes: for each eta three
comparisons, 11 truncations and an exact product for the sigmoid alone, 13 truncations with its slope, 4 more and an exact
product with log(1 + exp).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache

from protocols.engine import SMALL, SMALL_FRAC, Engine, Secret
from protocols.errors import MisuseError
from protocols.numeric import chebyshev
from protocols.numeric.chebyshev import Series

LIMIT = Fraction(128, 7)
BLOCKS, BLOCK = 4, 7  # degree 27 in 7 rounds and 10 truncations
ONE = 1 << SMALL_FRAC
SLACK = 1 << 8  # units: the error above is within 2^-20


@dataclass(frozen=True)
class Logistic:
    """`p` = sigmoid(eta), its `slope` p (1 - p), `softplus` = log(1 + exp(eta)) where asked for; 1 where |eta| was `clamped`."""

    p: Secret
    slope: Secret
    softplus: Secret | None
    clamped: Secret


def sigmoid(mpc: Engine, eta: Secret) -> tuple[Secret, Secret]:
    """(1 / (1 + exp(-eta)), 1 where |eta| > LIMIT was clamped)."""
    x, negative, clamped = _folded(mpc, eta)
    q = _unit(mpc, chebyshev.evaluate(mpc, x, [_sigmoid_series()])[0])
    p = mpc.mul(1 - 2 * negative, q, frac=q.frac) + mpc.rescale_up(negative, q.frac)
    return _unit(mpc, p), clamped


def logistic(mpc: Engine, eta: Secret, *, softplus: bool = False) -> Logistic:
    """The sigmoid and its slope, and log(1 + exp(eta)) on request: what a Newton step and a log-likelihood need."""
    x, negative, clamped = _folded(mpc, eta)
    functions = [_sigmoid_series(), _softplus_series()] if softplus else [_sigmoid_series()]
    values = chebyshev.evaluate(mpc, x, functions)
    q = _unit(mpc, values[0])
    # (1 - 2s) q and (1 - q) q are one product: the sign at q's scale, truncated with the rest
    sign = mpc.bounded(mpc.rescale_up(1 - 2 * negative, q.frac), ONE, "it is -1 or 1")
    both = mpc.mul(mpc.stack([sign, 1 - q]), mpc.stack([q, q]), frac=q.frac)
    p = _unit(mpc, both[0] + mpc.rescale_up(negative, q.frac))
    slope = mpc.bounded(both[1], ONE // 4 + SLACK, "q (1 - q) <= 1/4")
    return Logistic(p, slope, _softplus(mpc, eta, negative, values[1]) if softplus else None, clamped)


def _folded(mpc: Engine, eta: Secret) -> tuple[Secret, Secret, Secret]:
    """(x = 2 min(|eta|, L) / L - 1, 1 where eta < 0, 1 where |eta| > L)."""
    if (eta.limbs, eta.frac) != (SMALL, SMALL_FRAC):
        raise MisuseError(f"linear predictors live in Z_2^128 at {SMALL_FRAC} fractional bits")
    limit = float(LIMIT)
    bits = mpc.is_negative(mpc.stack([eta, limit - eta, eta + limit]))
    negative, over, under = bits[0], bits[1], bits[2]
    clamped = mpc.bounded(over + under, 1, "a number is not above and below at once")
    direction = mpc.bounded(1 - 2 * negative - over + under, 1, "1 above 0, -1 below, 0 where clamped")
    # 2 / L = 7 / 2^6; the addend 2 (o + u) - 1 at the scale of the product
    slope = replace(direction * 7, frac=6)
    x = mpc.mul_add(slope, eta, mpc.rescale_up(2 * clamped - 1, eta.frac + 6), frac=eta.frac)
    return mpc.bounded(x, ONE + 2 * 7, "|eta| <= L where it is not clamped"), negative, clamped


def _softplus(mpc: Engine, eta: Secret, negative: Secret, tail: Secret) -> Secret:
    """max(eta, 0) + log(1 + exp(-|eta|))."""
    positive = mpc.bounded(mpc.mul(1 - negative, eta, frac=eta.frac), eta.bound, "it is eta or 0")
    return positive + mpc.bounded(tail, ONE, "log 2 < 1")


def _unit(mpc: Engine, p: Secret) -> Secret:
    return mpc.bounded(p, ONE + SLACK, "a probability, and the error above")


@cache
def _sigmoid_series() -> Series:
    return chebyshev.series(lambda a: 1 / (1 + (-a).exp()), Fraction(0), LIMIT, BLOCKS, BLOCK, SMALL_FRAC)


@cache
def _softplus_series() -> Series:
    return chebyshev.series(lambda a: (1 + (-a).exp()).ln(), Fraction(0), LIMIT, BLOCKS, BLOCK, SMALL_FRAC)
