"""Results of OLS and of generalised linear models, with the names and definitions of statsmodels.

error_bound of a regression: with fixed-point numbers of unit 2^-64 the equations M gamma = b that are solved differ from the true
ones by a vector delta, each entry at most 2^-62 (2 + |gamma|_1) (truncated M and b, products of the refinement), and by Cauchy
and Schwarz |e_j' X delta| <= sqrt(X_jj) |delta| sqrt(trace X), which is compared with the standard error. What float64 itself
loses in adding up a hospital's rows (about 1e-15 relative to each column's spread) is not counted: pooled analyses lose it too.
Where a fit's iterates stay hidden, the means are computed on shares and their error is added (engine/analyses/glm_hidden.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from engine.errors import SpecError
from engine.results import comparing, text
from engine.results.base import WIDTH, Result, axes
from engine.results.comparing import JointTest


@dataclass(frozen=True, kw_only=True, eq=False)
class RegressionResult(Result):
    """Coefficients with their uncertainty, in the units of response and column, by the names of the design's columns.

    `params`, `bse` (standard errors), `tvalues` (z for the normal) and `pvalues` (two-sided). `df_t` is the t distribution's
    degrees of freedom, None for the normal. `cov_params` is None unless the question asked for it. `dropped`: columns of declared
    levels that nobody has. Every `conf_level` lies between 0 and 1; another one raises SpecError.
    """

    formula: str
    params: pd.Series
    bse: pd.Series
    tvalues: pd.Series
    pvalues: pd.Series
    vcov: str
    df_t: int | None
    df_model: int
    df_resid: int
    llf: float
    aic: float
    bic: float
    cov_params: pd.DataFrame | None
    dropped: tuple[str, ...] = ()
    terms: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # the names of each term's coefficients
    where: str | None = None  # whom it is about, in one spelling
    squares: Mapping[str, float] = field(default_factory=dict)  # b' V^-1 b of terms, where the question asked for it
    analysis_set: tuple[str, ...] = ()  # the columns whose missing values leave a person out, sorted

    @property
    def response(self) -> str:
        """The left side of the formula."""
        return self.formula.split("~")[0].strip()

    @property
    def log_ratio(self) -> float:
        """Twice the log-likelihood, up to a constant of the response: what fits of the same rows differ by."""
        return 2 * self.llf

    def wald_test(self, *names: str) -> JointTest:
        """Whether all coefficients of these terms (or these coefficients) are zero. More than one needs cov_params=True, or, for
        a term of OLS, wald=True. Raises SpecError where the answer does not hold what it takes."""
        return comparing.wald(self, comparing.coefficients(self, names))

    def wald_tests(self) -> pd.DataFrame:
        """A joint Wald test of each term but the intercept: F or chi2, df, pvalue. Factors need cov_params=True or wald=True."""
        tests = {name: self.wald_test(name) for name in self.terms if name != "Intercept"}
        statistic = "chi2" if self.df_t is None else "F"
        columns = {statistic: [t.statistic for t in tests.values()], "df": [t.df for t in tests.values()]}
        return pd.DataFrame({**columns, "pvalue": [t.pvalue for t in tests.values()]}, index=pd.Index(tests, name="term"))

    def lr_test(self, reduced: RegressionResult) -> JointTest:
        """Whether the coefficients that `reduced` lacks are all zero. Both fits stand on the same rows, with vcov="model". Raises
        SpecError where they do not, or `reduced` is not nested in this fit."""
        return comparing.likelihood_ratio(self, reduced)

    @property
    def zvalues(self) -> pd.Series:
        """`tvalues` by the name that they have where the normal distribution is used."""
        return self.tvalues

    def conf_int(self, conf_level: float = 0.95) -> pd.DataFrame:
        """Columns lower, upper: params -+ bse times the quantile of t or normal."""
        half = self.bse * quantile(conf_level, self.df_t)
        return pd.DataFrame({"lower": self.params - half, "upper": self.params + half})

    def to_frame(self, conf_level: float = 0.95) -> pd.DataFrame:
        """One row a coefficient: coef, std err, t or z, P>|t| or P>|z|, lower, upper."""
        letter = "z" if self.df_t is None else "t"
        columns = {"coef": self.params, "std err": self.bse, letter: self.tvalues, f"P>|{letter}|": self.pvalues}
        return pd.DataFrame(columns).join(self.conf_int(conf_level))

    def plot(self, ax: Any = None, conf_level: float = 0.95) -> Any:
        """A forest plot of the coefficients, the intercept left out."""
        ax = axes(ax)
        shown = self.params.drop("Intercept", errors="ignore")
        interval = self.conf_int(conf_level).loc[shown.index]
        ax.errorbar(shown, range(len(shown)), xerr=[shown - interval["lower"], interval["upper"] - shown], fmt="o", capsize=3)
        ax.axvline(0, color="grey", linewidth=1)
        ax.set_yticks(range(len(shown)), list(shown.index))
        ax.invert_yaxis()
        ax.set_xlabel(f"coefficient ({conf_level:.0%} CI)")
        return ax

    def _also(self) -> dict[str, Any]:
        return {"conf_int": rows_of(self.conf_int())}

    def _title(self) -> str:
        raise NotImplementedError

    def _facts(self) -> tuple[text.Pairs, text.Pairs]:
        raise NotImplementedError

    def _body(self) -> list[str]:
        frame = self.to_frame()
        heads = ["", *frame.columns[:4], "[0.025", "0.975]"]
        rows = [
            [
                str(name),
                text.number(row.iloc[0]),
                text.number(row.iloc[1]),
                f"{row.iloc[2]:.3f}",
                text.p_value(row.iloc[3]),
                *map(text.number, row.iloc[4:]),
            ]
            for name, row in frame.iterrows()
        ]
        return [*text.header(self._title(), self.formula, *self._facts(), WIDTH), "=" * WIDTH, *text.grid([heads, *rows])]


@dataclass(frozen=True, kw_only=True, eq=False)
class OLSResult(RegressionResult):
    """Least squares. `fvalue` is None for robust covariances unless the question asked for the whole matrix (cov_params=True)."""

    rsquared: float
    rsquared_adj: float
    fvalue: float | None
    f_pvalue: float | None
    scale: float
    ssr: float
    centered_tss: float
    condition_number: float

    def _title(self) -> str:
        return "OLS regression"

    def _facts(self) -> tuple[text.Pairs, text.Pairs]:
        left = [("Rows", self.nobs), ("Df residuals", self.df_resid), ("Df model", self.df_model), ("Covariance", self.vcov)]
        right = [
            ("R-squared", self.rsquared),
            ("Adj. R-squared", self.rsquared_adj),
            ("F-statistic", self.fvalue),
            ("Log-likelihood", self.llf),
            ("AIC", self.aic),
        ]
        return left, right


@dataclass(frozen=True, kw_only=True, eq=False)
class GLMResult(RegressionResult):
    """A generalised linear model with canonical link, fitted by maximum likelihood; `scale` is 1.

    `llr`, `llr_pvalue`: the likelihood-ratio test against the intercept alone; `prsquared`: McFadden's. A number that is withheld
    (`llf` and what follows from it, `pearson_chi2`) is NaN, and a warning says why.
    """

    deviance: float
    null_deviance: float
    pearson_chi2: float
    llnull: float
    llr: float
    llr_pvalue: float
    prsquared: float
    cox_snell: float
    family: str
    link: str
    scale: float = 1.0

    @property
    def log_ratio(self) -> float:
        """Twice the log-likelihood less that of the intercept alone: known also where `llf` is withheld."""
        return self.llr

    def _ratios(self, name: str, conf_level: float) -> pd.DataFrame:
        interval = self.conf_int(conf_level)
        logs = {name: self.params, "lower": interval["lower"], "upper": interval["upper"]}
        return pd.DataFrame({key: np.exp(values) for key, values in logs.items()})

    def _fit_facts(self) -> text.Pairs:
        return [
            ("Pseudo R-squared", self.prsquared),
            ("Log-likelihood", self.llf),
            ("LL-Null", self.llnull),
            ("LLR p-value", self.llr_pvalue),
            ("Iterations", self.iterations),
        ]


@dataclass(frozen=True, kw_only=True, eq=False)
class LogitResult(GLMResult):
    """Logistic regression: binomial family, logit link. `events` is the number of ones."""

    events: int
    family: str = "binomial"
    link: str = "logit"

    def odds_ratios(self, conf_level: float = 0.95) -> pd.DataFrame:
        """exp(coef) with its confidence interval; the intercept's is the odds at the reference."""
        return self._ratios("odds_ratio", conf_level)

    def _also(self) -> dict[str, Any]:
        return super()._also() | {"odds_ratios": rows_of(self.odds_ratios())}

    def _title(self) -> str:
        return "Logistic regression"

    def _facts(self) -> tuple[text.Pairs, text.Pairs]:
        left = [("Rows", self.nobs), ("Events", self.events), ("Df residuals", self.df_resid), ("Covariance", self.vcov)]
        return left, self._fit_facts()


@dataclass(frozen=True, kw_only=True, eq=False)
class PoissonResult(GLMResult):
    """Poisson regression: log link. `total` is the sum of the counts."""

    total: int
    family: str = "poisson"
    link: str = "log"

    @property
    def dispersion(self) -> float:
        """Pearson's chi-square over the residual degrees of freedom: far above 1, the model's standard errors are too small."""
        return self.pearson_chi2 / self.df_resid

    def rate_ratios(self, conf_level: float = 0.95) -> pd.DataFrame:
        """exp(coef) with its confidence interval; the intercept's is the mean at the reference."""
        return self._ratios("rate_ratio", conf_level)

    def _also(self) -> dict[str, Any]:
        return super()._also() | {"rate_ratios": rows_of(self.rate_ratios()), "dispersion": self.dispersion}

    def _title(self) -> str:
        return "Poisson regression"

    def _facts(self) -> tuple[text.Pairs, text.Pairs]:
        left = [("Rows", self.nobs), ("Total count", self.total), ("Df residuals", self.df_resid), ("Covariance", self.vcov)]
        return [*left, ("Dispersion", self.dispersion)], self._fit_facts()


def quantile(conf_level: float, df: float | None) -> float:
    if not 0 < conf_level < 1:
        raise SpecError("conf_level lies between 0 and 1, for example 0.95")
    upper = (1 + conf_level) / 2
    return float(stats.norm.ppf(upper) if df is None else stats.t.ppf(upper, df))


def two_sided(statistic: np.ndarray, df: float | None) -> np.ndarray:
    return np.asarray(2 * (stats.norm.sf(np.abs(statistic)) if df is None else stats.t.sf(np.abs(statistic), df)))


def rows_of(table: pd.DataFrame) -> dict[str, list[float]]:
    """A table of numbers as JSON values, by row. (`itertuples` would build a class by running code.)"""
    return {str(name): [float(v) for v in row] for name, row in zip(table.index, table.to_numpy(), strict=True)}
