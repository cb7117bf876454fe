"""Tests of several coefficients at once.

    Wald               b' V^-1 b of the coefficients b with covariance V: chi-square with as many degrees of freedom as there are
                       coefficients; divided by them, F where the result's own tests are by Student's t
    likelihood ratio   2 (l_full - l_reduced) of two fits of the same rows, one of whose columns are among the other's: chi-square

As statsmodels' wald_test_terms and compare_lr_test. A column's name says what it is (engine/formula), so names tell whether one
fit is nested in the other; whether both stand on the same rows is told by what chose them, and by the hospitals' own digests of
their data.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

from engine.errors import SpecError

if TYPE_CHECKING:
    from engine.results.regression import RegressionResult

LEAST_EIGENVALUE = 1e-12  # of the correlations of estimates: below, the covariance has no inverse to speak of


@dataclass(frozen=True)
class JointTest:
    """`df_denominator` is None for a chi-square."""

    statistic: float
    df: int
    df_denominator: int | None
    pvalue: float

    def to_dict(self) -> dict[str, float | int | None]:
        return asdict(self)


def coefficients(result: RegressionResult, names: Sequence[str]) -> list[str]:
    """The names of coefficients, from names of terms or of coefficients. Raises SpecError."""
    found = [own for name in names for own in result.terms.get(name, (name,))]
    for name in found:
        if name not in result.params.index:
            raise SpecError(f"the fit has no term or coefficient {name!r}; its terms are {', '.join(result.terms)}")
    if not found:
        raise SpecError("name at least one term or coefficient to test")
    return list(dict.fromkeys(found))


def wald(result: RegressionResult, names: list[str]) -> JointTest:
    """Whether these coefficients are all zero. Raises SpecError where the answer does not hold their covariance."""
    return tested(_square(result, names), len(names), result.df_t)


def _square(result: RegressionResult, names: list[str]) -> float:
    """b' V^-1 b."""
    if len(names) == 1:
        return float(result.params[names[0]] / result.bse[names[0]]) ** 2
    opened = _opened(result, names)
    if opened is not None:
        return opened
    if result.cov_params is None:
        raise SpecError(
            "a joint test needs the covariance of its coefficients, which the question did not ask for: ask with "
            "cov_params=True, for a term of OLS with wald=True, or compare with a fit without the term: full.lr_test(reduced)"
        )
    errors = result.bse[names].to_numpy()
    correlations = result.cov_params.loc[names, names].to_numpy() / np.outer(errors, errors)
    if np.linalg.eigvalsh(correlations)[0] < LEAST_EIGENVALUE:
        raise SpecError("these coefficients depend on each other, so they cannot be tested together; test fewer of them")
    z = result.params[names].to_numpy() / errors
    return float(z @ np.linalg.solve(correlations, z))


def _opened(result: RegressionResult, names: list[str]) -> float | None:
    """b' V^-1 b where these are the coefficients of a term for which it was opened."""
    return next((square for term, square in result.squares.items() if set(result.terms.get(term, ())) == set(names)), None)


def tested(square: float, df: int, df_denominator: int | None) -> JointTest:
    """Of b' V^-1 b."""
    if df_denominator is None:
        return JointTest(square, df, None, float(stats.chi2.sf(square, df)))
    return JointTest(square / df, df, df_denominator, float(stats.f.sf(square / df, df, df_denominator)))


def likelihood_ratio(full: RegressionResult, reduced: RegressionResult) -> JointTest:
    """Whether the coefficients that only `full` has are all zero. Raises SpecError for fits that cannot be compared."""
    _require_same_question(full, reduced)
    _require_same_rows(full, reduced)
    more = set(full.params.index) - set(reduced.params.index)
    if not set(reduced.params.index) <= set(full.params.index) or not more:
        raise SpecError(
            "the fits are not nested: every coefficient of the smaller one must be one of the larger one's, by name. Give both "
            "the same reference levels, and call it on the larger one: full.lr_test(reduced)"
        )
    return tested(max(0.0, full.log_ratio - reduced.log_ratio), len(more), None)


def _require_same_question(full: RegressionResult, reduced: RegressionResult) -> None:
    if type(full) is not type(reduced) or full.response != reduced.response:
        raise SpecError("a likelihood-ratio test compares two fits of the same kind with the same response")
    if full.vcov != "model" or reduced.vcov != "model":
        raise SpecError(
            'a likelihood-ratio test holds where rows are independent and the model is right, which vcov="model" assumes: ask '
            "both fits with it, or use a Wald test"
        )


def _require_same_rows(full: RegressionResult, reduced: RegressionResult) -> None:
    advice = "Ask both with the same where=, and with complete=[every column of the larger fit]."
    if (full.where, full.analysis_set) != (reduced.where, reduced.analysis_set):
        raise SpecError(f"the two fits are about different people. {advice}")
    data = [(each.receipt.study, each.receipt.snapshots) for each in (full, reduced) if each.receipt is not None]
    if len(data) == 2 and data[0] != data[1]:
        raise SpecError("a hospital's data have changed between the two fits; ask both again")
    if (full.nobs, full.people) != (reduced.nobs, reduced.people):
        raise SpecError(f"the two fits have different numbers of rows. {advice}")
