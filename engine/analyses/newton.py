"""What Newton's fits of hidden coefficients share, whether they compute on shared rows or on ciphertexts: the rows they read, the
sums they begin with, and steps in the units of sums over rows.

Units: M P / N for sums over rows (normalise.py), weights in 2^weight_log2 and residuals in 2^residual_log2 of the family. A step
s is (d, 1), at 64 fractional bits of Z_2^256.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from engine.analyses.base import Statistic
from engine.analyses.families import Family
from engine.analyses.leverage import Influential
from engine.analyses.moments import Symmetric
from engine.analyses.one_shot import own_polynomial
from engine.analyses.regression import Model
from engine.analyses.sums import exact_gram, on_grid
from engine.data.rows import Rows
from protocols.engine import LARGE_FRAC, Engine, Secret

MOST_STEPS = 25
CONTROLS = ("converged",)  # opened to the parties after each step
RUNS_AWAY_LOG2 = -5  # of sum (z's)^2 at the end
SIZE_FRAC = 44  # of Bs in s'Bs: s is near 2^-22 where it matters, and the product of hundreds of columns fits the ring
PEAK = "weights and means are at most 1 in their units, up to 2^-10, and n P <= N"


def read(model: Model, family: Family, rows: Rows, influential: Influential | None = None) -> tuple[np.ndarray, np.ndarray]:
    """The scaled design rows (n, d), on a grid of 28 bits, and the response (n,); `influential` sees every batch."""
    gram = np.zeros((model.size, model.size))
    parts: list[tuple[np.ndarray, np.ndarray]] = [(np.empty((0, model.size)), np.empty(0))]
    for batch in rows:
        parts.append((on_grid(model.design.matrix(batch)), family.response(model.design, batch)))
        if influential is not None:
            gram += parts[-1][0].T @ parts[-1][0]
            influential.add(parts[-1][0], batch.persons, gram)
    z, y = (np.concatenate(part) for part in zip(*parts, strict=True))
    return z, y


def local_sums(model: Model, family: Family, z: np.ndarray, y: np.ndarray) -> dict[str, Statistic]:
    """What a hospital contributes to the start of a fit."""
    constants = {name: np.asarray(values.sum()) for name, values in family.constants(y).items()}
    whole = {each.name for each in family.declared(0) if each.frac == 0}
    statistics: dict[str, Statistic] = {
        "gram": exact_gram(z).at(Symmetric(model.size).rows_columns),
        **own_polynomial(model, family, z, y),
        "n": np.asarray(len(y)),
        "zy": np.ldexp(z.T @ y, -family.residual_log2),
        **{name: value.round().astype(np.int64) if name in whole else value for name, value in constants.items()},
    }
    return statistics | ({"present": model.present(z)} if len(model.droppable) else {})


def in_units_of_gamma(mpc: Engine, family: Family, solved: Secret) -> Secret:
    """H^-1 g, (d, 1), where the Hessian counts in 2^weight_log2 and the gradient in 2^residual_log2; at 64 bits."""
    return mpc.shift_left(mpc.rescale_up(solved, LARGE_FRAC), family.residual_log2 - family.weight_log2)


def size(mpc: Engine, gram: Secret, step: Secret) -> Secret:
    """s'Bs = sum (z's)^2 P / N, (1,). Two rounds."""
    moved = mpc.matmul(gram, step, frac=SIZE_FRAC)
    return mpc.reshape(mpc.matmul(step.T, moved, frac=LARGE_FRAC), (1,))


def budget(mpc: Engine, power: Secret, rows_log2: int, log2: int) -> Secret:
    """2^log2 P / N at 64 bits, (1,): what `size` is compared with, to hold sum (z's)^2 against 2^log2."""
    shifted = mpc.shift_left(power, LARGE_FRAC + log2 - rows_log2)
    return replace(mpc.reshape(shifted, (1,)), frac=LARGE_FRAC)


def linear_part(mpc: Engine, model: Model, family: Family, zy: Secret, z_mean: Secret, gamma: Secret, step: Secret) -> Secret:
    """(sum y eta at gamma + half the score times the step) / N, (): what a log-likelihood has beside b(eta), to second order.

    `zy` and `z_mean`: Z'y and Z'mean / 2^residual_log2 / N, raw, (d, 1); `gamma` and `step` (d,).
    """
    frac, d = max(zy.frac, z_mean.frac), model.size
    wider = mpc.rescale_up(zy, frac)
    half_gradient = replace(wider - mpc.rescale_up(z_mean, frac), frac=frac + 1)
    left = mpc.concat([mpc.rescale_up(gamma, LARGE_FRAC), mpc.reshape(step, gamma.shape)])
    right = mpc.concat([mpc.rescale_up(wider, frac + 1), half_gradient])
    linear = mpc.matmul(mpc.reshape(left, (1, 2 * d)), right, frac=LARGE_FRAC + model.rows_log2)[0, 0]
    return mpc.shift_left(linear, family.residual_log2)
