"""Families of generalised linear models on shared rows: what families.py computes in the clear, by protocols/numeric.

Linear predictors live in Z_2^128 at 28 fractional bits. Means and weights come in units of the family's bounds, so that both lie
in [0, 1]; what is added up only once, at the end, comes from the same folded predictors without a new comparison.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal, localcontext
from fractions import Fraction
from typing import Any, Protocol

from engine.analyses.families import Binomial, Family, Poisson
from protocols.engine import SMALL_FRAC, Engine, Secret
from protocols.numeric import exponential, logistic
from protocols.numeric.solve import FAR, FAR_NEGATIVE_LOG2, FAST, NEGATIVE_LOG2

DIGITS = 60
CONVERGED_LOG2 = -44


class SharedFamily(Protocol):
    """`eta` (rows,); `folded` is the family's own."""

    @property
    def cumulant_log2(self) -> int:
        """`cumulant` counts in 2^cumulant_log2."""
        ...

    @property
    def pearson_log2(self) -> int:
        """Squares of `pearson_root` count in 2^pearson_log2."""
        ...

    @property
    def mean_error(self) -> float:
        """Of a mean, in the response's unit: series and clamps; truncations come on top, without bias."""
        ...

    @property
    def converged_log2(self) -> int:
        """The mean square of a step's changes of the linear predictors with which a fit ends: above the noise of the means."""
        ...

    @property
    def steps(self) -> tuple[float, ...]:
        """Of `improve`, towards the inverse Hessian."""
        ...

    @property
    def negative_log2(self) -> int:
        """W / 2^weight_log2 >= -2^(negative_log2 - 1), whatever truncations do."""
        ...

    @property
    def shift(self) -> float:
        """What belongs to eta and is not in it, public: constants of the functions that are rounded."""
        ...

    def fold(self, mpc: Engine, eta: Secret) -> Any: ...

    def mean(self, mpc: Engine, folded: Any) -> Secret:
        """mean / 2^residual_log2, in [0, 1] up to 2^-20."""
        ...

    def mean_and_weight(self, mpc: Engine, folded: Any) -> tuple[Secret, Secret]:
        """(mean / 2^residual_log2, W / 2^weight_log2), each in [0, 1] up to 2^-20."""
        ...

    def cumulant(self, mpc: Engine, folded: Any) -> Secret:
        """b(eta)."""
        ...

    def pearson_root(self, mpc: Engine, folded: Any, y: Secret) -> Secret:
        """Something whose square is (y - mean)^2 / W. `y`: whole numbers."""
        ...

    def beyond(self, folded: Any) -> Secret:
        """1 where eta was clamped on the side where means grow without bound, or on either side of the logistic function."""
        ...


@dataclass(frozen=True)
class SharedBinomial:
    cumulant_log2: int = 0
    pearson_log2: int = 0
    mean_error: float = 1.5e-8
    shift: float = 0.0
    converged_log2: int = CONVERGED_LOG2
    steps: tuple[float, ...] = FAST
    negative_log2: int = NEGATIVE_LOG2

    def fold(self, mpc: Engine, eta: Secret) -> Any:
        return logistic.fold(mpc, eta)

    def mean(self, mpc: Engine, folded: Any) -> Secret:
        return logistic.mean_and_slope(mpc, folded, slope=False)[0]

    def mean_and_weight(self, mpc: Engine, folded: Any) -> tuple[Secret, Secret]:
        p, slope = logistic.mean_and_slope(mpc, folded)
        assert slope is not None
        return p, replace(slope, frac=slope.frac - 2)  # 4 p (1 - p)

    def cumulant(self, mpc: Engine, folded: Any) -> Secret:
        return logistic.softplus(mpc, folded)

    def pearson_root(self, mpc: Engine, folded: Any, y: Secret) -> Secret:
        return logistic.pearson_roots(mpc, folded, y)

    def beyond(self, folded: Any) -> Secret:
        clamped: Secret = folded.clamped
        return clamped


@dataclass(frozen=True)
class SharedPoisson:
    """Means up to 2^m, m = residual_log2: 2^m exp(eta - U) with U = m log 2, rounded to 28 bits."""

    m: int
    steps: tuple[float, ...] = FAR  # weights are far below their bound where counts are
    negative_log2: int = FAR_NEGATIVE_LOG2  # of a square: two units of a truncation

    @property
    def converged_log2(self) -> int:
        """Means come with a noise of 2^(m - 28), and weights may be as small as 1."""
        return CONVERGED_LOG2 + max(0, self.m - 3)

    @property
    def cumulant_log2(self) -> int:
        return self.m

    @property
    def pearson_log2(self) -> int:
        return -self.m

    @property
    def mean_error(self) -> float:
        return 2.0 ** (self.m - 30)

    @property
    def shift(self) -> float:
        with localcontext() as context:
            context.prec = DIGITS
            return float(self.m * Decimal(2).ln() - Decimal(self._upper.numerator) / Decimal(self._upper.denominator))

    @property
    def _upper(self) -> Fraction:
        with localcontext() as context:
            context.prec = DIGITS
            return Fraction(round(self.m * Decimal(2).ln() * (1 << SMALL_FRAC)), 1 << SMALL_FRAC)

    def fold(self, mpc: Engine, eta: Secret) -> Any:
        return exponential.exponential(mpc, eta, self._upper)

    def mean(self, mpc: Engine, folded: Any) -> Secret:
        value: Secret = folded.value
        return value

    def mean_and_weight(self, mpc: Engine, folded: Any) -> tuple[Secret, Secret]:
        return folded.value, folded.value

    def cumulant(self, mpc: Engine, folded: Any) -> Secret:
        value: Secret = folded.value
        return value

    def pearson_root(self, mpc: Engine, folded: Any, y: Secret) -> Secret:
        """y exp((U - eta) / 2) - 2^m exp((eta - U) / 2): (y - mean)^2 / mean = its square / 2^m."""
        inverse = exponential.inverse_half(mpc, folded)
        scaled = mpc.mul(y, inverse, frac=inverse.frac)
        half = replace(folded.half, frac=folded.half.frac - self.m)
        frac = max(scaled.frac, half.frac)
        return mpc.rescale_up(scaled, frac) - mpc.rescale_up(half, frac)

    def beyond(self, folded: Any) -> Secret:
        over: Secret = folded.over
        return over


def shared(family: Family) -> SharedFamily:
    """The same family on shares."""
    if isinstance(family, Poisson):
        return SharedPoisson(family.residual_log2)
    assert isinstance(family, Binomial)
    return SharedBinomial()
