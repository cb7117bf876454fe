"""Families of generalised linear models on ciphertexts: what families.py computes in the clear, as Chebyshev series.

A series is in x = eta / limit on [-1, 1], of degree below 64 (below 128 where it is added up as it is), and its values lie in
[-1, 1]: means in units of 2^residual_log2, weights in units of their bound, b(eta) in units of 2^cumulant_log2. `guard` is T_62:
at most 1 inside, and enormous outside.
Pearson's chi-square comes from squares of exp(eta / 2) and exp(-eta / 2), which are not small:
    binomial   sum (1 - y) exp(eta) + y exp(-eta)            Poisson   sum y^2 exp(-eta) - 2 y + exp(eta)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.polynomial.chebyshev import chebinterpolate
from scipy.special import expit

from engine.analyses.families import MEAN_ROOM_LOG2, Binomial, Family, Poisson
from protocols.numeric.solve import FAR, FAR_NEGATIVE_LOG2, FAST, NEGATIVE_LOG2
from protocols.rowwise import Series

DEGREE = 63
GUARD: Series = (0.0,) * 62 + (1.0,)


@dataclass(frozen=True)
class EncryptedFamily:
    limit: float  # of |eta|
    series: Mapping[str, Series]  # mean, cumulant, guard, and for squaring rise and fall
    variance: bool  # the weight is mean (1 - mean), else the mean itself
    weight_unit_log2: int  # a weight as summed counts in 2^(weight_log2 - weight_unit_log2)
    cumulant_log2: int
    error: float  # of a mean, in the response's unit: the series
    noise: float  # of a mean, random: the ciphertexts
    converged_log2: int
    steps: tuple[float, ...]
    negative_log2: int  # of `steps`: how far below 0 a Hessian may be (protocols/numeric/solve.py)
    epsilon_log2: int  # of B, added to H: above what weights and sums are off by
    squares: tuple[str, ...] = ("rise", "fall")  # what is squared for Pearson's chi-square
    room_log2: int = 10  # the mean of such a square times its column stays below 2^room_log2, as a rule
    wide_log2: int = 24  # and below 2^wide_log2 always
    square_log2: int = 0  # its column counts in 2^square_log2
    counts: bool = False  # the response is a count, whose chi-square has two terms more


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
        "mean": _series(expit, limit),
        "cumulant": _series(lambda eta: np.logaddexp(0.0, eta) / 32, limit, 2 * DEGREE + 1),
        "guard": GUARD,
        "rise": _series(lambda eta: np.exp(eta / 2), limit),
        "fall": _series(lambda eta: np.exp(-eta / 2), limit),
    }
    return EncryptedFamily(
        limit=limit,
        series=series,
        variance=True,
        weight_unit_log2=-2,
        cumulant_log2=5,
        error=2.5e-6,
        noise=2.0**-20,
        converged_log2=-32,
        steps=FAST,
        negative_log2=NEGATIVE_LOG2,
        epsilon_log2=-12,
    )


@lru_cache
def _poisson(m: int) -> EncryptedFamily:
    """Means up to 2^m, and down to 2^-m: 2^-m exp(eta) on [-m log 2, m log 2]. Responses are below 2^k."""
    k = m - MEAN_ROOM_LOG2
    limit = m * math.log(2)
    series = {
        "mean": _series(lambda eta: np.exp(eta - limit), limit),
        "guard": GUARD,
        "fall": _series(lambda eta: np.exp(-eta / 2), limit),
    }
    return EncryptedFamily(
        limit=limit,
        series=series,
        variance=False,
        weight_unit_log2=0,
        cumulant_log2=m,
        error=1e-11 * 2**m,
        noise=2.0 ** (m - 20),
        converged_log2=-38,
        steps=FAR,
        negative_log2=FAR_NEGATIVE_LOG2,
        epsilon_log2=-21,
        squares=("fall",),
        room_log2=2 - k,
        wide_log2=m,
        square_log2=2 * k,
        counts=True,
    )


def _series(function: Callable[[np.ndarray], np.ndarray], limit: float, degree: int = DEGREE) -> Series:
    found: np.ndarray = chebinterpolate(lambda x: function(limit * x), degree)
    return tuple(float(c) for c in found)
