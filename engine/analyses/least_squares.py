"""M gamma = b on shares, and what a fit says of itself.

X = M^-1 comes from protocols/numeric/solve.py; one step of iterative refinement, gamma += X (b - M gamma), removes what
truncation left; X_FRAC bits of X are enough for that step. Whatever does not need another's result shares its round:

    X [b, I, t, S]             gamma, X at X_FRAC bits, X t, and X S
    [M; t'] [gamma, M, X t]    M gamma, |M|^2 as the trace of M M, and t'X t
    powers of X S              for the leverage rule: leverage.py
    [X; gamma'] [r, X, b + r]  with r = b - M gamma: the refinement, |X|^2 as the trace of X X, and gamma'(2b - M gamma)
    signs                      of the edges less gamma, of the inverse's margin, and what the caller asks of the residuals
    products                   for the clamp of gamma, |M|^2 |X|^2, t'X at X_FRAC bits, and the caller's own

gamma'(2b - M gamma), what the fit explains, errs by the square of gamma's error: that of gamma before the refinement is enough.

Ranges: M = Z'Z P / N is positive semidefinite and b = Z'y P / N with |y| <= 1, so with the damped inverse X = f(M), 0 <= l f(l)
<= 1, f(l) <= 2 G / d, G = 2^45.8:  |gamma| <= max_l sqrt(l) f(l) <= sqrt(2 G / d) <= 2^23.4, |b - M gamma| <= |b|, and 0 <=
gamma'(2b - M gamma) <= y'y; truncations in X add less than an eighth. The coefficients then are clamped on shares to GAMMA_LIMIT:
whatever is computed from them is bounded without any theorem.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from engine.analyses import leverage
from engine.analyses.bits import flat
from engine.analyses.regression import GAMMA_LIMIT, X_FRAC, tight_inverse
from protocols.engine import LARGE_FRAC, Engine, Secret
from protocols.fixed_point import scaled_limit
from protocols.numeric.solve import inverse, inverse_and_margin

DAMPED_LIMIT = 2.0**24
DAMPED = "sqrt(l) f(l) <= sqrt(2^46.8) for the damped inverse f (module docstring)"
SMALLER = "|b - M gamma| <= |b| (module docstring)"
EXPLAINED = "0 <= gamma'(2b - M gamma) <= y'y (module docstring)"
NORM_FRAC = 32  # of |X|^2


@dataclass(frozen=True)
class Fit:
    """gamma (d, 1) within GAMMA_LIMIT, and X. `failures`: 0/1 values, one of which is 1 where gamma is not to be trusted."""

    X: Secret
    gamma: Secret
    failures: Secret
    rss: Secret  # y'y - gamma'(2b - M gamma), ()
    below: Secret  # [rss < threshold] for each of the caller's
    influential: Secret  # (2,) 0/1 values, one of which is 1 where somebody's leverage may be too large
    condition: Secret  # (|M|_F |X|_F)^2 at X_FRAC bits, ()
    narrow: Secret  # X at X_FRAC bits
    row: Secret  # t'X at X_FRAC bits, (1, d)
    quadratic: Secret  # t'X t, (1,)
    products: Secret  # of the caller's factors


@dataclass(frozen=True)
class Beside:
    """What the caller wants computed in the same rounds."""

    t: np.ndarray  # public, |t| <= 1 in the Euclidean norm
    factors: tuple[Secret, Secret]  # (k,) at 64 bits, within 1: their products
    thresholds: np.ndarray  # public: which of them rss is below
    influential: Secret  # S of leverage.py (d, d), in the unit of M


def fit(mpc: Engine, M: Secret, b: Secret, yy: Secret, beside: Beside) -> Fit:
    """M gamma = b for b (d, 1). Rounds: those of an inverse without its comparison, 4, and a comparison."""
    d = M.shape[0]
    X, margin = inverse_and_margin(mpc, M, trace_bound=d)
    X = tight_inverse(mpc, X)
    gamma, narrow, Xt, XS = _first(mpc, X, b, beside.t, beside.influential)
    excess = leverage.excess(mpc, XS)
    residual, norm_of_M, quadratic = _second(mpc, M, b, beside.t, gamma, Xt)
    correction, norm_of_X, explained = _third(mpc, X, narrow, gamma, b, residual)
    rss = yy - explained
    refined = mpc.reshape(gamma + correction, (d,))
    edge = scaled_limit(GAMMA_LIMIT, LARGE_FRAC)
    units = replace(refined, frac=0)
    to_edges = mpc.stack([edge - units, -edge - units])
    over_thresholds = replace(_repeated(mpc, rss, len(beside.thresholds)) - beside.thresholds, frac=0)
    signs = mpc.is_negative(mpc.concat([to_edges[0], -to_edges[1], mpc.reshape(margin, (1,)), excess, over_thresholds]))
    # every pair in one product: bits at 64 fractional bits, |X|^2 relabelled, and X t times 2^(X_FRAC - 64)
    shrink = replace(mpc.constant(np.full(d, 1 << X_FRAC), frac=0), frac=LARGE_FRAC)
    pairs = [
        (replace(flat(mpc, to_edges), frac=LARGE_FRAC), mpc.rescale_up(signs[: 2 * d], LARGE_FRAC)),
        (flat(mpc, Xt), shrink),
        (replace(norm_of_X, frac=LARGE_FRAC), norm_of_M),
        beside.factors,
    ]
    products = mpc.mul(*(mpc.concat(side) for side in zip(*pairs, strict=True)), frac=LARGE_FRAC)
    clamped = refined + mpc.sum(mpc.reshape(products[: 2 * d], (2, d)), 0)
    clamped = mpc.bounded(clamped, edge + 4, "it is gamma inside the limit, else the limit, and a truncation of each selection")
    row = mpc.bounded(replace(products[2 * d : 3 * d], frac=X_FRAC), narrow.bound, "|t| <= 1 in the Euclidean norm")
    return Fit(
        X=X,
        gamma=mpc.reshape(clamped, (d, 1)),
        failures=signs[: 2 * d + 1],
        rss=rss,
        influential=signs[2 * d + 1 : 2 * d + 3],
        below=signs[2 * d + 3 :],
        condition=mpc.rescale_up(replace(products[3 * d], frac=NORM_FRAC), X_FRAC),
        narrow=narrow,
        row=mpc.reshape(row, (1, d)),
        quadratic=quadratic,
        products=products[3 * d + 1 :],
    )


def explained(mpc: Engine, M: Secret, b: Secret) -> Secret:
    """b'M^-1 b, (): what a fit explains, for the fit of some of the columns of another one that is determined."""
    d = M.shape[0]
    X, _ = inverse(mpc, M, trace_bound=d)
    gamma = _damped(mpc, tight_inverse(mpc, X) @ b)
    residual = mpc.bounded(b - M @ gamma, int(np.ceil(2.0 * np.sqrt(d))) << LARGE_FRAC, SMALLER)
    found = mpc.bounded(gamma.T @ (b + residual), 2 << LARGE_FRAC, EXPLAINED)
    return mpc.reshape(found, ())


def _repeated(mpc: Engine, x: Secret, times: int) -> Secret:
    return mpc.reshape(x, (1,))[np.zeros(times, dtype=np.int64)]


def _first(mpc: Engine, X: Secret, b: Secret, t: np.ndarray, S: Secret) -> tuple[Secret, Secret, Secret, Secret]:
    """(X b, X at X_FRAC bits, X t, X S)."""
    d, dropped = X.shape[0], LARGE_FRAC - X_FRAC
    scaled_identity = replace(mpc.constant(np.eye(d, dtype=np.int64) << X_FRAC, frac=0), frac=LARGE_FRAC)
    found = X @ mpc.concat([b, scaled_identity, mpc.constant(t[:, None]), S], axis=1)
    narrow = mpc.bounded(replace(found[:, 1 : d + 1], frac=X_FRAC), (X.bound >> dropped) + 4, "X, truncated")
    Xt = mpc.bounded(found[:, d + 1 : d + 2], X.bound + 4, "|t| <= 1 in the Euclidean norm")
    return _damped(mpc, found[:, :1]), narrow, Xt, found[:, d + 2 :]


def _second(mpc: Engine, M: Secret, b: Secret, t: np.ndarray, gamma: Secret, Xt: Secret) -> tuple[Secret, Secret, Secret]:
    """(b - M gamma, |M|^2 (1,), t'X t (1,))."""
    d = M.shape[0]
    found = mpc.concat([M, mpc.constant(t[None, :])]) @ mpc.concat([gamma, M, Xt], axis=1)
    residual = mpc.bounded(b - found[:d, :1], int(np.ceil(2.0 * np.sqrt(d))) << LARGE_FRAC, SMALLER)
    index = np.arange(d)
    norm = mpc.bounded(mpc.sum(found[index, index + 1]), (d * d + 1) << LARGE_FRAC, "|entries of M| <= 1")
    return residual, mpc.reshape(norm, (1,)), mpc.bounded(found[d, -1:], Xt.bound + 4, "|t| <= 1 in the Euclidean norm")


def _third(mpc: Engine, X: Secret, narrow: Secret, gamma: Secret, b: Secret, residual: Secret) -> tuple[Secret, Secret, Secret]:
    """(X residual, |X|^2 (1,) at NORM_FRAC bits, gamma'(b + residual) ())."""
    d, dropped = X.shape[0], LARGE_FRAC - X_FRAC
    left = mpc.concat([replace(narrow, frac=LARGE_FRAC), gamma.T])
    # so that with X 2^X_FRAC on the left and 64 bits dropped, all come out at their scales
    X_on_the_right = replace(mpc.shift_left(narrow, LARGE_FRAC + NORM_FRAC - 2 * X_FRAC), frac=LARGE_FRAC)
    found = left @ mpc.concat([mpc.shift_left(residual, dropped), X_on_the_right, b + residual], axis=1)
    index = np.arange(d)
    peak = d * ((X.bound >> LARGE_FRAC) + 2) ** 2 << NORM_FRAC
    norm = mpc.bounded(mpc.sum(replace(found, frac=NORM_FRAC)[index, index + 1]), peak, "|X|_F^2 <= d ||X||^2")
    explained = mpc.bounded(found[d, d + 1], 2 << LARGE_FRAC, EXPLAINED)
    return _damped(mpc, found[:d, :1]), mpc.reshape(norm, (1,)), explained


def _damped(mpc: Engine, gamma: Secret) -> Secret:
    return mpc.bounded(gamma, int(DAMPED_LIMIT) << LARGE_FRAC, DAMPED)
