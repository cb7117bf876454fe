"""The logistic function of many linear predictors and what a regression needs beside it, in Z_2^128 at 28 fractional bits.

`fold` maps a predictor onto a = |eta|, where the functions decay, and every function starts from what it returns:
    sigmoid(eta) = s + (1 - 2s) q,    q = 1 / (1 + exp(-a)),    s = 1 where eta < 0,
    log(1 + exp(eta)) = max(eta, 0) + log(1 + exp(-a)),
    exp((1 - 2y) eta / 2) = exp((1 - 2d) a / 2),    d = s xor y.
The three comparisons eta < 0, eta > L, eta < -L, L = 128 / 7 = 18.3, are made at once, each without the lowest 8 bits; with
their bits s, o, u the clamp and the map to [-1, 1] are one product,
    x = 2 min(a, L) / L - 1 = (7 / 64) (1 - 2s - o + u) eta + 2 (o + u) - 1.

q and log(1 + exp(-a)) change where a is small and hardly at all near L. In w = (1 - x)^2 / 2 - 1 = 2 (1 - a / L)^2 - 1 they
are Chebyshev series of degree 23 on [-1, 1] (chebyshev.py): the singularities +-i pi allow a factor 2.3 a degree, where they
allow 1.8 in x, and the kink at a = L is worth no more than exp(-L). exp(+-a / 2) is the square of a series of degree 15 in
t = +-min(a, L) / L on [-1, 1], which keeps the digits where it is small.

Domain: any eta within its stated bound. Below 2^-20, and within 2^-20 of L, a comparison may say either: a may be -2^-20, where
the series hold as well, and the clamp may act or not. Beyond L the clamp answers with the value at L (for log(1 + exp) the exact
asymptote and the value at L), and says so.
Error: q and the slope 1.5e-8 (1.1e-8 the clamp, 3.5e-9 the series), log(1 + exp) 1.5e-8; truncations add 2e-8 as a rule, less
than 1.3e-7 if all of them erred together. A value may leave [0, 1] or [0, 1/4] by as much, never its stated bound. The square
root of a squared Pearson residual errs by 2^-13 and 2^-17 of itself, without a bias.
Adversary: one semi-honest compute party. Leaks nothing but the masked openings: 2^-64 an eta, 2^-47 for 10^5 of them.
Rounds: `fold` a comparison (6 for 10^5 of |eta| < 4000) and 1, `mean_and_slope` 8, `softplus` 8, `pearson_roots` 9;
for up to 2 * 10^5 etas at once. Beyond, some truncations leak nothing and take a round more (replicated/cost.py).
Bytes: for each eta, `fold` three comparisons and a truncation, `mean_and_slope` 11 truncations and an exact product, or 13
truncations with the slope, `softplus` 11 and an exact product, `pearson_roots` 8 and two exact products.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal, localcontext
from fractions import Fraction
from functools import cache

from protocols.engine import SMALL, SMALL_FRAC, Engine, Secret
from protocols.errors import MisuseError
from protocols.numeric import chebyshev
from protocols.numeric.chebyshev import Series, decimal

LIMIT = Fraction(128, 7)
BLOCKS, BLOCK = 3, 8  # degree 23 in 6 rounds and 10 truncations
BLUR = 8  # bits; 7 / 64 of 2^8 units is how far x may leave [-1, 1]
FINER = 2  # bits, in coefficients
ONE = 1 << SMALL_FRAC
SLACK = 1 << 8  # units: the error above is within 2^-20
ROOT_FRAC = SMALL_FRAC - 14  # exp(L / 2) < 2^14
QUARTER_BITS = 7  # exp(L / 4) < 2^7


@dataclass(frozen=True)
class Folded:
    """A linear predictor `eta` as x = 2 min(|eta|, L) / L - 1 in [-1, 1]; bits where it is `negative` and where `clamped`."""

    eta: Secret
    x: Secret
    negative: Secret
    clamped: Secret


@dataclass(frozen=True)
class Logistic:
    """`p` = sigmoid(eta), its `slope` p (1 - p), `softplus` = log(1 + exp(eta)) where asked for; 1 where |eta| was `clamped`."""

    p: Secret
    slope: Secret
    softplus: Secret | None
    clamped: Secret


def fold(mpc: Engine, eta: Secret) -> Folded:
    """eta of any shape, in Z_2^128 at 28 fractional bits, ready for the functions below. Raises MisuseError."""
    if (eta.limbs, eta.frac) != (SMALL, SMALL_FRAC):
        raise MisuseError(f"linear predictors live in Z_2^128 at {SMALL_FRAC} fractional bits")
    limit = float(LIMIT)
    bits = mpc.is_negative(mpc.stack([eta, limit - eta, eta + limit]), blur=BLUR)
    negative, over, under = bits[0], bits[1], bits[2]
    clamped = mpc.bounded(over + under, 1, "a number is not above and below at once")
    direction = mpc.bounded(1 - 2 * negative - over + under, 1, "1 above 0, -1 below, 0 where clamped")
    # 2 / L = 7 / 2^6; the addend 2 (o + u) - 1 at the scale of the product
    slope = replace(direction * 7, frac=6)
    x = mpc.mul_add(slope, eta, mpc.rescale_up(2 * clamped - 1, eta.frac + 6), frac=eta.frac)
    return Folded(eta, mpc.bounded(x, ONE + SLACK, "|eta| <= L where it is not clamped"), negative, clamped)


def mean_and_slope(mpc: Engine, folded: Folded, *, slope: bool = True) -> tuple[Secret, Secret | None]:
    """(p = 1 / (1 + exp(-eta)), p (1 - p) if `slope`), both at 28 fractional bits: what a Newton step needs."""
    q = _unit(mpc, _decaying(mpc, folded.x, _sigmoid_series()))
    negative = folded.negative
    if not slope:
        return _mean(mpc, mpc.mul(1 - 2 * negative, q, frac=q.frac), negative), None
    # (1 - 2s) q and (1 - q) q are one product: the sign at q's scale, truncated with the rest
    sign = mpc.bounded(mpc.rescale_up(1 - 2 * negative, q.frac), ONE, "it is -1 or 1")
    both = mpc.mul(mpc.stack([sign, 1 - q]), q, frac=q.frac)
    return _mean(mpc, both[0], negative), mpc.bounded(both[1], ONE // 4 + SLACK, "q (1 - q) <= 1/4")


def softplus(mpc: Engine, folded: Folded) -> Secret:
    """log(1 + exp(eta)) = max(eta, 0) + log(1 + exp(-|eta|)) at 28 fractional bits: what a log-likelihood needs."""
    eta = folded.eta
    positive = mpc.bounded(mpc.mul(1 - folded.negative, eta, frac=eta.frac), eta.bound, "it is eta or 0")
    return positive + mpc.bounded(_decaying(mpc, folded.x, _softplus_series()), ONE, "log 2 < 1")


def pearson_roots(mpc: Engine, folded: Folded, y: Secret) -> Secret:
    """exp((1 - 2y) eta / 2), eta clamped to [-L, L], of bits y of eta's shape: at 14 fractional bits, so that it fits 28.

    It is the square root of (y - p)^2 / (p (1 - p)). Raises MisuseError where y is not a bit of Z_2^128.
    """
    if (y.limbs, y.frac, y.bound) != (SMALL, 0, 1) or y.shape != folded.eta.shape:
        raise MisuseError("responses are bits of Z_2^128, one for each linear predictor")
    s = folded.negative
    opposed = mpc.bounded(s + y - 2 * mpc.mul(s, y, frac=0), 1, "s xor y")
    t = mpc.mul(1 - 2 * opposed, replace(folded.x + 1, frac=SMALL_FRAC + 1), frac=SMALL_FRAC + 1)
    quarter = chebyshev.evaluate(mpc, t, [_quarter_series()])[0]
    quarter = replace(quarter, frac=quarter.frac - QUARTER_BITS)
    quarter = mpc.bounded(quarter, _exp_limit(4, quarter.frac), "|eta| <= L")
    return mpc.bounded(mpc.mul(quarter, quarter, frac=ROOT_FRAC), _exp_limit(2, ROOT_FRAC), "|eta| <= L")


def sigmoid(mpc: Engine, eta: Secret) -> tuple[Secret, Secret]:
    """(1 / (1 + exp(-eta)), 1 where |eta| > LIMIT was clamped)."""
    folded = fold(mpc, eta)
    return mean_and_slope(mpc, folded, slope=False)[0], folded.clamped


def logistic(mpc: Engine, eta: Secret, *, with_softplus: bool = False) -> Logistic:
    """The sigmoid and its slope, and log(1 + exp(eta)) on request."""
    folded = fold(mpc, eta)
    p, slope = mean_and_slope(mpc, folded)
    assert slope is not None
    return Logistic(p, slope, softplus(mpc, folded) if with_softplus else None, folded.clamped)


def _decaying(mpc: Engine, x: Secret, f: Series) -> Secret:
    """A function of a as a series in w = (1 - x)^2 / 2 - 1."""
    rest = mpc.bounded(1 - x, 2 * ONE + SLACK, "-1 <= x")
    w = mpc.mul(rest, replace(rest, frac=SMALL_FRAC + 1), frac=SMALL_FRAC) - 1
    return chebyshev.evaluate(mpc, w, [f])[0]


def _mean(mpc: Engine, signed: Secret, negative: Secret) -> Secret:
    """s + (1 - 2s) q."""
    return _unit(mpc, signed + mpc.rescale_up(negative, signed.frac))


def _unit(mpc: Engine, p: Secret) -> Secret:
    return mpc.bounded(p, ONE + SLACK, "a probability, and the error above")


def _exp_limit(divisor: int, frac: int) -> int:
    """exp(L / divisor) at `frac` fractional bits, and what truncations add."""
    with localcontext() as context:
        context.prec = chebyshev.DIGITS
        return int((decimal(LIMIT) / divisor).exp() * (1 << frac)) + SLACK


def _series(f: Callable[[Decimal], Decimal]) -> Series:
    """f(a) as a series in w: (1 + w) / 2 = (1 - a / L)^2."""
    return chebyshev.series(
        lambda u: f(decimal(LIMIT) * (1 - u.sqrt())), Fraction(0), Fraction(1), BLOCKS, BLOCK, SMALL_FRAC, FINER
    )


@cache
def _sigmoid_series() -> Series:
    return _series(lambda a: 1 / (1 + (-a).exp()))


@cache
def _softplus_series() -> Series:
    return _series(lambda a: (1 + (-a).exp()).ln())


@cache
def _quarter_series() -> Series:
    """exp(L t / 4) / 2^7."""
    frac = SMALL_FRAC + 1
    scale = Decimal(1 << QUARTER_BITS)
    return chebyshev.series(lambda t: (decimal(LIMIT) / 4 * t).exp() / scale, Fraction(-1), Fraction(1), 4, 4, frac)
