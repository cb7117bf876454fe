"""Results of generalised linear models from the opened numbers, with the definitions of statsmodels' Logit, Poisson and GLM."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import special, stats

from engine.analyses import inference, sandwich
from engine.analyses.base import Opened, Output
from engine.analyses.families import Family, Poisson
from engine.analyses.normalise import factor
from engine.analyses.regression import Model
from engine.results import GLMResult, LogitResult, PoissonResult


def outputs(model: Model, family: Family, *more: Output) -> tuple[Output, ...]:
    """What a fit opens to the researcher; sums as S / N (see normalise.py)."""
    frac = 64 + model.rows_log2
    return (
        Output("gamma", (model.size,), "estimate"),
        Output("n", (), "count", frac=0),
        *family.outputs(model.rows_log2),
        Output("fit", (), "aggregate", frac=frac),
        Output("pearson", (), "aggregate", frac=frac),
        *model.spread_outputs(),
        *model.absent_outputs(),
        *more,
    )


def make(
    model: Model, family: Family, opened: Opened, error_bound: float | None = None, warnings: tuple[str, ...] = ()
) -> GLMResult:
    """`error_bound`: of the coefficients, in standard errors, where something else than the solve's arithmetic rules it."""
    values, n = opened.values, int(opened.values["n"])
    total = 2.0**model.rows_log2
    rows = total / factor(n, model.rows_log2)  # N / P
    columns = model.size - int(model.absent_columns(values).sum())
    # X = (2^-weight_log2 Z'WZ P / N)^-1, and the middle counts in 2^(2 residual_log2) N / P
    unit = 2.0**-family.weight_log2 / rows
    if model.vcov != "model":
        small_sample = sandwich.correction(model.vcov, n, opened.people, columns)
        unit = 4.0 ** (family.residual_log2 - family.weight_log2) / rows * small_sample
    table = inference.table(model, opened, values["gamma"], unit, None)
    trust = inference.trust(model, opened, values["gamma"], unit, 0.0 if model.vcov == "model" else inference.UNIT)
    warned = (*inference.warnings(model, opened, table["dropped"]), *trust.warnings(), *warnings)
    bound = trust.coefficients if error_bound is None else error_bound + trust.coefficients
    common = {
        **inference.common(opened, warned, error_bound=bound),
        **table,
        "iterations": opened.stages - 2,  # beside the start and the last one
        "df_model": columns - 1,  # as statsmodels' Logit and Poisson, also without a constant
        "df_resid": n - columns,
        "pearson_chi2": float(values["pearson"]) * total,
    }
    if isinstance(family, Poisson):
        return PoissonResult(**common, **_counts(values, n, columns, total))
    events = int(values["events"])
    return LogitResult(**common, **_binary(events, n, columns, float(values["fit"]) * total), events=events)


def _binary(events: int, n: int, columns: int, llf: float) -> dict[str, Any]:
    llnull = float(special.xlogy(events, events / n) + special.xlogy(n - events, (n - events) / n))
    return {**_likelihood(llf, llnull, n, columns), "deviance": -2 * llf, "null_deviance": -2 * llnull}


def _counts(values: Any, n: int, columns: int, total: float) -> dict[str, Any]:
    """With A = sum (y eta - mean), K = sum y log y, S = sum y, L = sum log y!."""
    A, K, L = (float(values[name]) * total for name in ("fit", "ylogy", "log_factorials"))
    S = float(values["total"])
    null = float(special.xlogy(S, S / n)) - S  # A of the mean alone
    return {
        **_likelihood(A - L, null - L, n, columns),
        "deviance": 2 * (K - S - A),
        "null_deviance": 2 * (K - S - null),
        "total": int(S),
    }


def _likelihood(llf: float, llnull: float, n: int, columns: int) -> dict[str, Any]:
    llr, df_model = 2 * (llf - llnull), columns - 1
    return {
        "llf": llf,
        "aic": -2 * llf + 2 * columns,
        "bic": -2 * llf + float(np.log(n)) * columns,
        "llnull": llnull,
        "llr": llr,
        "llr_pvalue": float(stats.chi2.sf(llr, df_model)) if df_model else float("nan"),
        "prsquared": 1 - llf / llnull,
        "cox_snell": 1 - float(np.exp(-llr / n)),
    }
