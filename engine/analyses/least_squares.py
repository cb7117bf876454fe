"""M gamma = b on shares, and what a fit says of itself.

X = M^-1 comes from protocols/numeric/solve.py; one step of iterative refinement, gamma += X (b - M gamma), removes what
truncation left. Ranges: M = Z'Z P / N is positive semidefinite and b = Z'y P / N with |y| <= 1, so with the damped inverse X =
f(M), 0 <= l f(l) <= 1, f(l) <= 2 G / t, G = 2^45.8, t the trace bound:  |gamma| <= max_l sqrt(l) f(l) <= sqrt(2 G / t) <=
2^23.4, and |b - M gamma| <= |b|. The coefficients then are clamped on shares to GAMMA_LIMIT: whatever is computed from them is
bounded without any theorem.
"""

from __future__ import annotations

import numpy as np

from engine.analyses.regression import GAMMA_LIMIT, X_FRAC, tight_inverse
from protocols.engine import LARGE_FRAC, Engine, Secret

DAMPED_LIMIT = 2.0**24
DAMPED = "sqrt(l) f(l) <= sqrt(2^46.8) for the damped inverse f (module docstring)"


def refined(mpc: Engine, M: Secret, X: Secret, b: Secret) -> tuple[Secret, Secret]:
    """(gamma (d, 1) within GAMMA_LIMIT, 1 where the clamp acted). Three rounds and a clamp."""
    gamma = damped(mpc, X, b)
    residual = mpc.bounded(b - M @ gamma, _units(2.0 * np.sqrt(b.shape[0])), "|b - M gamma| <= |b| (module docstring)")
    return mpc.clamp(gamma + damped(mpc, X, residual), GAMMA_LIMIT)


def damped(mpc: Engine, X: Secret, b: Secret) -> Secret:
    """X b, (d, 1), for b = Z'e P / N with |e| <= 1. One round."""
    return mpc.bounded(tight_inverse(mpc, X) @ b, _units(DAMPED_LIMIT), DAMPED)


def squared_condition(mpc: Engine, M: Secret, X: Secret) -> Secret:
    """(|M|_F |M^-1|_F)^2 at X_FRAC bits. Three rounds."""
    d = M.shape[0]
    both = mpc.truncate(mpc.stack([M, tight_inverse(mpc, X)]), LARGE_FRAC - X_FRAC)
    rows = mpc.reshape(both, (2, 1, d * d))
    norms = mpc.matmul(rows, mpc.reshape(both, (2, d * d, 1)), frac=X_FRAC)[:, 0, 0]
    norm_of_M = mpc.bounded(norms[0], (d * d + 1) << X_FRAC, "|entries of M| <= 1")
    return mpc.mul(norm_of_M, norms[1], frac=X_FRAC)


def _units(value: float) -> int:
    return int(np.ceil(value)) << LARGE_FRAC
