"""Families of generalised linear models on ciphertexts: what families.py computes in the clear, as Chebyshev series.

A series is in x = eta / limit on [-1, 1], of degree below 64, and its values lie in [-1, 1]: means in units of 2^residual_log2,
weights in units of their bound, b(eta) in units of 2^cumulant_log2. `guard` is T_62: at most 1 inside, and enormous outside.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from engine.analyses.families import Binomial, Family, Poisson
from protocols.ckks.polynomial import interpolate, sigmoid
from protocols.numeric.solve import FAR, FAST
from protocols.rowwise import Series

DEGREE = 63
GUARD: Series = (0.0,) * 62 + (1.0,)


@dataclass(frozen=True)
class EncryptedFamily:
    limit: float  # of |eta|
    series: Mapping[str, Series]  # mean, cumulant, guard
    variance: bool  # the weight is mean (1 - mean), else the mean itself
    weight_unit_log2: int  # a weight as summed counts in 2^(weight_log2 - weight_unit_log2)
    cumulant_log2: int
    error: float  # of a mean, in units of the standard deviation of one response: the series
    converged_log2: int
    runs_away_log2: int
    steps: tuple[float, ...]


def encrypted(family: Family) -> EncryptedFamily:
    """The same family on ciphertexts."""
    if isinstance(family, Poisson):
        return _poisson(family.residual_log2)
    assert isinstance(family, Binomial)
    return _binomial()


@lru_cache
def _binomial() -> EncryptedFamily:
    limit = 16.0
    series = {
        "mean": _series(sigmoid, limit),
        "cumulant": _series(lambda eta: np.logaddexp(0.0, eta) / 32, limit),
        "guard": GUARD,
    }
    return EncryptedFamily(limit, series, True, -2, 5, 5e-6, -32, -5, FAST)


@lru_cache
def _poisson(m: int) -> EncryptedFamily:
    """Means up to 2^m, and down to 2^-m: 2^-m exp(eta) on [-m log 2, m log 2]."""
    limit = m * math.log(2)
    mean = _series(lambda eta: np.exp(eta - limit), limit)
    return EncryptedFamily(
        limit, {"mean": mean, "cumulant": mean, "guard": GUARD}, False, 0, m, 2.0**-20 * 2**m, -32 + m, -5, FAR
    )


def _series(function: Callable[[np.ndarray], np.ndarray], limit: float) -> Series:
    return interpolate(lambda x: function(limit * x), DEGREE, -1.0, 1.0)
