"""Where a fit begins: every hospital fits its own rows, and JOINT adds up what they found.

LOCAL    gamma_h maximises the hospital's own log-likelihood less a small penalty (lest it run away where its few rows are
         separated), and the hospital contributes the quadratic that its log-likelihood is near gamma_h:
             I_h = Z'WZ,    t_h = I_h gamma_h + Z'(y - mean)     at gamma_h
JOINT    gamma_0 = (sum_h I_h)^-1 sum_h t_h, the maximum of the sum of these quadratics: one Newton step in which every hospital
         stands where it likes. Usually within a fraction of a standard error of the pooled fit, so that two Newton steps end it
Nothing depends on gamma_0 but the number of steps. A hospital whose own fit says nothing has I_h near 0. Where the sum of all
I_h is singular, gamma_0 = 0.
Source: Huang and Huo, "A distributed one-step estimator", Mathematical Programming 2019; Zhang, Duchi and Wainwright, JMLR 2013.
Leaks: nothing beyond the engine. Rounds (replicated): those of an inverse and a clamp, and 4.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from engine.analyses.families import Family
from engine.analyses.moments import Symmetric
from engine.analyses.normalise import declare_count, declare_sum, scaled, secret_factor_and_empty
from engine.analyses.regression import Model
from protocols.engine import Declared, Engine, Secret
from protocols.numeric.solve import inverse

PENALTY = 0.25  # of half the mean square of the linear predictor
MOST_STEPS = 25
SMALL_STEP = 1e-6
ETA_LIMIT = 16.0  # of a hospital's own linear predictors, so that its contribution is bounded
TARGET_ROOM_LOG2 = 5  # |W eta + (y - mean)| <= 2^residual_log2 (ETA_LIMIT + 1)
GAMMA_LIMIT = 2.0**16  # of coefficients of the scaled columns; beyond it the fit is separated
GRAM_NORM_LOG2 = 30  # (Z'Z P / N)^-1 beyond it: collinear


@dataclass(frozen=True)
class Start:
    """What JOINT knows after the first contribution; M counts in P / N, as everything that `scaled` returns."""

    power: Secret  # P
    absent: Secret | None
    gram: Secret  # M = Z'Z P / N, with 1 on the diagonal of columns of absent levels
    gram_inverse: Secret
    gamma: Secret  # (d,), within GAMMA_LIMIT
    singular: Secret  # 1 where M is


def declared(model: Model) -> tuple[Declared, ...]:
    """What every hospital contributes to the start."""
    r, d = model.rows_log2, model.size
    entries = Symmetric(d).entries
    sums = (declare_sum("gram", (entries,), r), declare_sum("information", (entries,), r), declare_sum("target", (d,), r))
    counts = (declare_count("n", (), r),)
    return (*sums, *counts, *((declare_count("present", (len(model.droppable),), r),) if len(model.droppable) else ()))


class Quadratic:
    """LOCAL: a hospital's own fit, in units of the family's bounds. z (rows, d) in [-1, 1]."""

    def __init__(self, family: Family, z: np.ndarray, y: np.ndarray) -> None:
        gamma = own_fit(family, z, y)
        eta = z @ gamma
        weight, residual = family.weight(eta), family.residual(eta, y)
        self.information = np.ldexp((z * weight[:, None]).T @ z, -family.weight_log2)
        self.target = np.ldexp(z.T @ (weight * eta + residual), -family.residual_log2 - TARGET_ROOM_LOG2)


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
    joined = mpc.concat([totals["gram"], totals["information"], totals["target"]])
    sums = scaled(mpc, joined, power, model.rows_log2)
    cut = triangle.entries
    gram, information = (model.with_absent(mpc, triangle.full(mpc, part), absent) for part in (sums[:cut], sums[cut : 2 * cut]))
    X, singular = inverse(mpc, mpc.stack([gram, information]), trace_bound=d)
    target = mpc.reshape(sums[2 * cut :], (d, 1))
    gamma = mpc.shift_left(mpc.matmul(X[1], target), family.residual_log2 + TARGET_ROOM_LOG2 - family.weight_log2)
    gamma, _ = mpc.clamp(mpc.reshape(gamma, (d,)), GAMMA_LIMIT)
    usable = mpc.bounded(1 - singular[1], 1, "one less a bit")
    gamma = mpc.bounded(mpc.mul(gamma, usable, frac=gamma.frac), gamma.bound, "it is gamma or 0")
    return Start(power, absent, gram, X[0], gamma, singular[0])
