"""The OLS result from the opened numbers, with the definitions of statsmodels' OLS (R counts one parameter more in AIC and BIC).

Robust covariances: normal distribution for tests and intervals, as statsmodels' fit(cov_type=...) does by default.
Opened sums count in n / m with m = n P / N in (1/2, 1]: RSS / s_y^2 = rss * N / P.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import stats

from engine.analyses import inference, sandwich
from engine.analyses.base import Opened
from engine.analyses.normalise import factor
from engine.analyses.regression import Model
from engine.errors import NotEstimable
from engine.results import OLSResult

TOLERANCE = 1e-6  # of coefficients, in standard errors
LEAST_UNEXPLAINED = 1e-9  # of the response's variance: less than that is a perfect fit, whose standard errors measure nothing
NO_SPREAD = 2.0**-58  # a total sum of squares per row that is rounding only


def make(model: Model, opened: Opened) -> OLSResult:
    """Raises NotEstimable for a response that is the same for everybody."""
    values, n = opened.values, int(opened.values["n"])
    rows = 2.0**model.rows_log2 / factor(n, model.rows_log2)  # N / P: what "divided by n" was really divided by
    columns = model.size - int(model.absent_columns(values).sum())
    constant = bool(len(model.constant_columns))
    if values["tss"] <= NO_SPREAD:
        raise NotEstimable("The response is the same for everybody, so there is nothing to explain.")
    ssr = max(0.0, float(values["rss"])) * rows * model.design.response_scale**2
    tss = float(values["tss"]) * rows * model.design.response_scale**2 / (n / rows if constant else 1.0)
    unit, df, middle_error = _unit(model, opened, rows, n - columns)
    table = inference.table(model, opened, values["gamma"], unit, df)
    condition = float(values["condition"]) ** 0.25
    spread = float(values["tss"]) / (n / rows if constant else 1.0)  # in units of values["rss"]
    least = LEAST_UNEXPLAINED * spread / (n - columns) if model.vcov == "model" else 0.0
    trust = inference.trust(
        model, opened, values["gamma"], unit, middle_error, tolerance=TOLERANCE, least_unit=least, condition=condition
    )
    warnings = inference.warnings(model, opened, table["dropped"]) + trust.warnings()
    fvalue, f_pvalue = _f_test(model, table, opened, constant, ssr, tss, columns - constant, n - columns)
    return OLSResult(
        **inference.common(opened, warnings, error_bound=trust.coefficients),
        **table,
        **_fit(n, columns, constant, ssr, tss),
        fvalue=fvalue,
        f_pvalue=f_pvalue,
        condition_number=condition,
        squares=_squares(model, values, n - columns),
    )


def _squares(model: Model, values: Any, df_resid: int) -> dict[str, float]:
    """b' V^-1 b of the tested terms: what the residual sum of squares grows by without them, over the residual variance."""
    scale = max(0.0, float(values["rss"])) / df_resid
    without = values["rss_without"] if model.tested else ()
    return {
        term.name: max(0.0, float(left - values["rss"])) / scale if scale else float("inf")
        for term, left in zip(model.tested, without, strict=True)
    }


def _unit(model: Model, opened: Opened, rows: float, df_resid: int) -> tuple[float, int | None, float]:
    """(what the opened variances of gamma count in, degrees of freedom of t, error of the sandwich's middle)."""
    if model.vcov == "model":
        return max(0.0, float(opened.values["rss"])) / df_resid, df_resid, 0.0
    residuals = sandwich.public_unit(int(opened.exact["rss"]))
    small_sample = sandwich.correction(model.vcov, opened.n, opened.people, opened.n - df_resid)
    return small_sample / rows / residuals, None, residuals * sandwich.pair_error(model, opened.values["gamma"])


def _fit(n: int, columns: int, constant: bool, ssr: float, tss: float) -> dict[str, Any]:
    df_resid = n - columns
    llf = float(-n / 2 * (np.log(2 * np.pi * ssr / n) + 1)) if ssr > 0 else float("inf")
    return {
        "df_model": columns - constant,
        "df_resid": df_resid,
        "llf": llf,
        "aic": -2 * llf + 2 * columns,
        "bic": -2 * llf + float(np.log(n)) * columns,
        "rsquared": 1 - ssr / tss,
        "rsquared_adj": 1 - (n - constant) / df_resid * ssr / tss,
        "scale": ssr / df_resid,
        "ssr": ssr,
        "centered_tss": tss,
    }


def _f_test(
    model: Model, table: dict[str, Any], opened: Opened, constant: bool, ssr: float, tss: float, df_model: int, df_resid: int
) -> tuple[float | None, float | None]:
    """All slopes zero: by sums of squares, or, with a robust covariance, Wald's F, which needs the whole matrix."""
    if df_model == 0:
        return None, None
    if model.vcov == "model":
        fvalue = (tss - ssr) / df_model / (ssr / df_resid) if ssr > 0 else float("inf")
        return float(fvalue), float(stats.f.sf(fvalue, df_model, df_resid))
    if table["cov_params"] is None or (constant and model.design.intercept is None):
        return None, None
    slopes = [name for name in table["params"].index if not constant or name != "Intercept"]
    beta = table["params"][slopes].to_numpy()
    fvalue = beta @ np.linalg.solve(table["cov_params"].loc[slopes, slopes].to_numpy(), beta) / len(slopes)
    df_denominator = opened.people - 1 if model.vcov == "cluster" else df_resid
    return float(fvalue), float(stats.f.sf(fvalue, len(slopes), df_denominator))
