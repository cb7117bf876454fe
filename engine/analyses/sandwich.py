"""Robust covariances X B X of a fit, X = (Z'WZ)^-1 and B the sum over rows (HC) or people (cluster) of score score'.

Source: White 1980; Liang and Zeger 1986; small-sample factors as in statsmodels (HC1: n / (n - p); cluster: G / (G - 1) * (n - 1)
/ (n - p)).

For OLS in `result` mode nobody knows gamma, so hospitals cannot compute B. They contribute the fourth-order sums of
moments.PairSums instead, and JOINT forms B = sum_ab T[j, a; k, b] u_a u_b with u = (-gamma, 1): two rounds, no second pass over
the rows. Ranges: B counts in units of the residual mean square, brought near 1 by a secret power of two, and is clamped there.
"""

from __future__ import annotations

import numpy as np

from engine.analyses.moments import Symmetric
from engine.analyses.regression import MOST_ROWS_OF_A_PERSON, X_FRAC, Model, tight_inverse
from protocols.engine import LARGE_FRAC, Engine, Secret

PAIR_FRAC = {
    "HC0": 88,
    "HC1": 88,
    "cluster": 78,
}  # as many as the masked openings' budget allows (GAMMA_LIMIT squared beside them)
LEAST_LOG2 = 40  # a residual mean square below 2^-40 of the response's range counts as 2^-40
THRESHOLDS = 2.0 ** -np.arange(1, LEAST_LOG2 + 1)  # of rss: how many it is below gives the unit
MIDDLE_LIMIT = 2.0 * MOST_ROWS_OF_A_PERSON


def largest_pair(vcov: str) -> float:
    """Of the terms of PairSums, per row: |P_g| <= rows of g, so sum_g P_g P_g <= most rows of a person times n."""
    return float(MOST_ROWS_OF_A_PERSON) if vcov == "cluster" else 1.0


def middle(mpc: Engine, pairs: Secret, gamma: Secret) -> Secret:
    """B P / N (d, d) at 64 bits from the scaled pair sums of v = (z, y). Two rounds."""
    d = gamma.shape[0]
    one = mpc.constant(np.ones((1, 1), dtype=np.int64))
    u = mpc.concat([-gamma, one])
    uu = mpc.reshape(mpc.mul(u, u.T), ((d + 1) ** 2, 1))
    j, k = Symmetric(d).rows_columns
    pair = Symmetric(d + 1).position
    place = Symmetric(Symmetric(d + 1).entries).position[pair[j][:, :, None], pair[k][:, None, :]]
    B = mpc.matmul(pairs[place.reshape(len(j), -1)], uu, frac=LARGE_FRAC)
    return Symmetric(d).full(mpc, mpc.reshape(B, (len(j),)))


def public_unit(rss_units: int) -> int:
    """The power of two Q with rss < 1 / Q, at most 2^40, from the opened rss in units of 2^-64."""
    return 1 << sum(rss_units < 1 << (LARGE_FRAC - k) for k in range(1, LEAST_LOG2 + 1))


def clamped_middle(mpc: Engine, B: Secret, unit: Secret | None = None) -> tuple[Secret, Secret]:
    """(B times unit, 1 where it left its range and was clamped)."""
    return mpc.clamp(B if unit is None else mpc.mul(B, unit), MIDDLE_LIMIT)


def spread(mpc: Engine, model: Model, X: Secret, B: Secret, rows: Secret | None = None) -> dict[str, Secret]:
    """X B X, or its diagonal in the formula's own coordinates, as the output that the model declares.

    `rows`: `Model.reported_rows`, where the caller has them.
    """
    X = tight_inverse(mpc, X)
    if model.cov_params:
        X = mpc.truncate(X, LARGE_FRAC - X_FRAC)
        return {"covariance": mpc.matmul(mpc.matmul(X, B, frac=X_FRAC), X, frac=LARGE_FRAC)}
    rows = model.reported_rows(mpc, X) if rows is None else rows
    products = mpc.mul(mpc.matmul(rows, B, frac=X_FRAC), rows, frac=LARGE_FRAC)
    return {"variance": mpc.sum(products, 1)}


def pair_error(model: Model, gamma: np.ndarray) -> float:
    """What an entry of `middle` may be off by: truncated T (times |u_a u_b|), truncated u u' (times |T|), truncated product."""
    width = len(gamma) + 1
    length = 1.0 + float(np.sum(np.abs(gamma)))
    return 2.0 ** (1 - PAIR_FRAC[model.vcov]) * length**2 + 2.0 ** (1 - LARGE_FRAC) * (width**2 * largest_pair(model.vcov) + 1)


def correction(vcov: str, n: int, people: int, parameters: int) -> float:
    """The small-sample factor."""
    if vcov == "HC1":
        return n / (n - parameters)
    if vcov == "cluster":
        return people / (people - 1) * (n - 1) / (n - parameters)
    return 1.0
