"""Where a fit begins: every hospital fits its own rows, and JOINT adds up what they found.

LOCAL    gamma_h maximises the hospital's own log-likelihood less a small penalty (lest it run away where its few rows are
         separated); near it the hospital's score is, with everything taken at gamma_h,
             Z'(y - mean) - Z'W (eta - eta_h) - Z'W' (eta - eta_h)^2 / 2,      eta = Z gamma,
         a polynomial in gamma whose coefficients it contributes:
             I = Z'WZ,  t = I gamma_h + Z'(y - mean)                           to first order
             c = Z'(y - mean + W eta_h - W' eta_h^2 / 2),  C = Z'(W - W' eta_h) Z,  T = Z'W' (Z x Z)      to second order
JOINT    gamma_0 = I^-1 t, totals understood: one Newton step in which every hospital stands where it likes; then
             gamma_0 += I^-1 (c - C gamma_0 - T[gamma_0, gamma_0] / 2)
         unless that moves the linear predictors by more than 1/8 in the mean square, where the polynomials say nothing. Within
         a hundredth of a standard error of the pooled fit as a rule. J = C + T[gamma_0] is nearly the pooled Hessian there, so
         that a step by it and the true gradient (`nearer`) leaves next to nothing, and one Newton step ends the fit
Nothing depends on gamma_0 but the number of steps. A hospital whose own fit says nothing has I near 0. Where the total of I is
singular, its inverse counts as 0, and so does gamma_0.
Source: Huang and Huo, "A distributed one-step estimator", Mathematical Programming 2019; Zhang, Duchi and Wainwright, JMLR 2013.
Leaks: nothing beyond the engine. Rounds (replicated): those of an inverse and of two clamps, and 14.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from engine.analyses.base import Statistic
from engine.analyses.bits import negation
from engine.analyses.clamping import clamped
from engine.analyses.families import Family
from engine.analyses.moments import Symmetric
from engine.analyses.normalise import declare_count, declare_sum, scaled, secret_factor_and_empty
from engine.analyses.regression import Model
from engine.analyses.sums import blocks, exact_gram, on_grid
from protocols.engine import LARGE_FRAC, Declared, Engine, Secret
from protocols.numeric.solve import inverse

PENALTY = 0.25  # of half the mean square of the linear predictor
MOST_STEPS = 25
SMALL_STEP = 1e-6
ETA_LIMIT = 16.0  # of a hospital's own linear predictors, so that what it contributes is bounded
FIRST_LOG2 = 5  # |W eta + y - mean| <= 2^residual_log2 (ETA_LIMIT + 1), and W + |W' eta| likewise
SECOND_LOG2 = 8  # |y - mean + W eta - W' eta^2 / 2| <= 2^residual_log2 (1 + ETA_LIMIT + ETA_LIMIT^2 / 2)
MOST_CUBED = 50  # columns for which T is contributed
COARSE_FRAC = 16  # of a step, where only its length matters
NORM_LOG2 = 30  # of the inverse Gram and information matrices; beyond it they count as singular
TRUSTED = 2.0**-6  # the mean square by which a step may move the linear predictors
GAMMA_LIMIT = 2.0**16  # of coefficients of the scaled columns; beyond it the fit is separated


@dataclass(frozen=True)
class Start:
    """What JOINT knows after the first contribution; M counts in P / N, as everything that `scaled` returns."""

    power: Secret  # P
    absent: Secret | None
    gram: Secret  # M = Z'Z P / N, with 1 on the diagonal of columns of absent levels
    gram_inverse: Secret
    gamma: Secret  # (d, 1), within 2 GAMMA_LIMIT
    singular: Secret  # 1 where M is
    information_inverse: Secret  # I^-1, 0 where I is singular
    hessian: Secret | None = None  # the polynomial's at gamma, in 2^weight_log2; for at most MOST_CUBED columns


def _shapes(model: Model) -> dict[str, tuple[int, ...]]:
    """The sums of a hospital's quadratic and cubic, in units of their bounds."""
    d, entries = model.size, Symmetric(model.size).entries
    first = {"information": (entries,), "target": (d,)}
    second = {"constant": (d,), "linear": (entries,), "square": (entries, d)}
    return first | (second if d <= MOST_CUBED else {})


def declared(model: Model) -> tuple[Declared, ...]:
    """What every hospital contributes to the start."""
    r, shapes = model.rows_log2, {"gram": (Symmetric(model.size).entries,), **_shapes(model)}
    sums = [declare_sum(name, shape, r) for name, shape in shapes.items()]
    droppable = (declare_count("present", (len(model.droppable),), r),) if len(model.droppable) else ()
    return (*sums, declare_count("n", (), r), *droppable)


def own_polynomial(model: Model, family: Family, z: np.ndarray, y: np.ndarray) -> dict[str, Statistic]:
    """LOCAL: the sums of a hospital's own fit, over rows z (rows, d) in [-1, 1]. `information` is exactly semidefinite."""
    eta = z @ own_fit(family, z, y)
    weight, slope, residual = family.weight(eta), family.slope(eta), family.residual(eta, y)
    upper, w, r = Symmetric(model.size).rows_columns, family.weight_log2, family.residual_log2
    found: dict[str, Statistic] = {
        "information": exact_gram(on_grid(z * np.sqrt(np.ldexp(weight, -w))[:, None])).at(upper),
        "target": np.ldexp(z.T @ (weight * eta + residual), -r - FIRST_LOG2),
    }
    if model.size <= MOST_CUBED:
        found["constant"] = np.ldexp(z.T @ (residual + weight * eta - slope * eta**2 / 2), -r - SECOND_LOG2)
        found["linear"] = np.ldexp(((z * (weight - slope * eta)[:, None]).T @ z)[upper], -w - FIRST_LOG2)
        square = np.zeros((len(upper[0]), model.size))
        for block in blocks(len(z), len(upper[0])):
            square += (z[block][:, upper[0]] * z[block][:, upper[1]]).T @ (z[block] * slope[block, None])
        found["square"] = np.ldexp(square, -w)
    return found


def own_fit(family: Family, z: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The penalised maximum, by Newton's method with halved steps; any answer serves."""
    gamma = np.zeros(z.shape[1])
    if not len(z):
        return gamma
    penalty = PENALTY / len(z) * (z.T @ z)

    def value(gamma: np.ndarray) -> float:
        return float(family.fit(z @ gamma, y).sum() - gamma @ penalty @ gamma / 2)

    best = value(gamma)
    for _ in range(MOST_STEPS):
        eta = z @ gamma
        hessian = (z * family.weight(eta)[:, None]).T @ z + penalty
        step = np.linalg.lstsq(hessian, z.T @ family.residual(eta, y) - penalty @ gamma, rcond=1e-10)[0]
        for _ in range(10):
            if (found := value(gamma + step)) >= best:
                break
            step = step / 2
        gamma, gained, best = gamma + step, found - best, found
        if gained < SMALL_STEP:
            break
    largest = np.max(np.abs(z @ gamma))
    return gamma if largest <= ETA_LIMIT else gamma * (ETA_LIMIT / largest)


def begin(mpc: Engine, model: Model, family: Family, totals: Mapping[str, Secret]) -> Start:
    """JOINT: P, the columns that are absent, the inverse Gram matrix, and gamma_0."""
    d, triangle = model.size, Symmetric(model.size)
    power, absent = secret_factor_and_empty(mpc, totals["n"], totals.get("present"), model.rows_log2)
    sums = _scaled_together(mpc, model, totals, power)
    gram, information = (model.with_absent(mpc, triangle.full(mpc, sums[name]), absent) for name in ("gram", "information"))
    X, singular = inverse(mpc, mpc.stack([gram, information]), trace_bound=d, norm_log2=NORM_LOG2)
    first = mpc.matmul(X[1], mpc.reshape(sums["target"], (d, 1)))
    gamma, _ = mpc.clamp(mpc.shift_left(first, family.residual_log2 + FIRST_LOG2 - family.weight_log2), GAMMA_LIMIT)
    start = Start(power, absent, gram, X[0], gamma, singular[0], X[1])
    return start if d > MOST_CUBED else _corrected(mpc, family, sums, start)


def _scaled_together(mpc: Engine, model: Model, totals: Mapping[str, Secret], power: Secret) -> dict[str, Secret]:
    """The sums by name, brought to the size of means in one product."""
    shapes = {"gram": (Symmetric(model.size).entries,), **_shapes(model)}
    joined = scaled(mpc, mpc.concat([mpc.reshape(totals[name], (-1,)) for name in shapes]), power, model.rows_log2)
    found, start = {}, 0
    for name, shape in shapes.items():
        end = start + int(np.prod(shape))
        found[name] = mpc.reshape(joined[start:end], shape)
        start = end
    return found


def _corrected(mpc: Engine, family: Family, sums: Mapping[str, Secret], start: Start) -> Start:
    """One step towards the zero of the polynomial, and the polynomial's slope there: the pooled Hessian to second order."""
    d = start.gamma.shape[0]
    triangle, w, r = Symmetric(d), family.weight_log2, family.residual_log2
    linear = mpc.shift_left(triangle.full(mpc, sums["linear"]), FIRST_LOG2)
    cubed = mpc.reshape(sums["square"][triangle.position], (d * d, d))
    half = replace(mpc.matmul(cubed, start.gamma, frac=LARGE_FRAC - 1), frac=LARGE_FRAC)  # T[gamma] / 2, in 2^w
    lost = mpc.matmul(linear + mpc.reshape(half, (d, d)), start.gamma)
    score = mpc.shift_left(mpc.reshape(sums["constant"], (d, 1)), SECOND_LOG2 + r - w) - lost
    gamma = start.gamma + _trusted(mpc, start.gram, mpc.matmul(start.information_inverse, score))
    hessian = linear + mpc.reshape(mpc.matmul(cubed, gamma), (d, d))
    return replace(start, gamma=gamma, hessian=hessian)


def nearer(mpc: Engine, family: Family, start: Start, gamma: Secret, gradient: Secret) -> Secret:
    """gamma (d, 1) and a step by its true gradient (d, 1), in 2^residual_log2, within 4 GAMMA_LIMIT.

    I^-1, one step of Schulz nearer to the inverse of the start's Hessian J, which is nearer to the true one: I^-1 (2 - J I^-1).
    """
    assert start.hessian is not None
    once = mpc.matmul(start.information_inverse, gradient)
    twice = mpc.matmul(start.information_inverse, mpc.matmul(start.hessian, once))
    step = mpc.shift_left(mpc.shift_left(once, 1) - twice, family.residual_log2 - family.weight_log2)
    return gamma + _trusted(mpc, start.gram, step)


def _trusted(mpc: Engine, gram: Secret, step: Secret) -> Secret:
    """The step (d, 1), or 0 where it is too long for what it was derived from; each entry within GAMMA_LIMIT."""
    coarse = mpc.truncate(step, LARGE_FRAC - COARSE_FRAC)
    moved = mpc.matmul(coarse.T, mpc.matmul(gram, coarse, frac=COARSE_FRAC), frac=2 * COARSE_FRAC)
    flat = mpc.reshape(step, (step.shape[0],))
    inside, _, far = clamped(mpc, flat, GAMMA_LIMIT, mpc.reshape(TRUSTED - moved, (1,)), frac=LARGE_FRAC)
    kept = mpc.mul(inside, negation(mpc, far), frac=LARGE_FRAC)
    return mpc.reshape(mpc.bounded(kept, inside.bound, "it is the step or 0"), step.shape)
