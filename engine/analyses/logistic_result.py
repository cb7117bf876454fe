"""The logistic result from the opened numbers, with the definitions of statsmodels' Logit (and GLM for Pearson's chi-square)."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import special, stats

from engine.analyses import inference, sandwich
from engine.analyses.base import Opened
from engine.analyses.normalise import factor
from engine.analyses.regression import Model
from engine.results import LogitResult


def make(model: Model, opened: Opened) -> LogitResult:
    values, n, events = opened.values, int(opened.values["n"]), int(opened.values["events"])
    total = 2.0**model.rows_log2
    rows = total / factor(n, model.rows_log2)  # N / P
    columns = model.size - int(model.absent_columns(values).sum())
    # X = (4 Z'WZ P / N)^-1, and the middle counts in N / P
    unit = 4 / rows if model.vcov == "model" else 16 / rows * sandwich.correction(model.vcov, n, opened.people, columns)
    table = inference.table(model, opened, values["gamma"], unit, None)
    trust = inference.trust(model, opened, values["gamma"], unit, 0.0 if model.vcov == "model" else inference.UNIT)
    warnings = inference.warnings(model, opened, table["dropped"]) + trust.warnings()
    return LogitResult(
        **inference.common(opened, warnings, error_bound=trust.coefficients),
        **table,
        **_fit(n, events, columns, float(values["llf"]) * total),
        pearson_chi2=float(values["pearson"]) * total,
        events=events,
    )


def _fit(n: int, events: int, columns: int, llf: float) -> dict[str, Any]:
    llnull = float(special.xlogy(events, events / n) + special.xlogy(n - events, (n - events) / n))
    llr, df_model = 2 * (llf - llnull), columns - 1  # as statsmodels' Logit, also without a constant
    return {
        "df_model": df_model,
        "df_resid": n - columns,
        "llf": llf,
        "aic": -2 * llf + 2 * columns,
        "bic": -2 * llf + float(np.log(n)) * columns,
        "deviance": -2 * llf,
        "null_deviance": -2 * llnull,
        "llnull": llnull,
        "llr": llr,
        "llr_pvalue": float(stats.chi2.sf(llr, df_model)) if df_model else float("nan"),
        "prsquared": 1 - llf / llnull,
        "cox_snell": 1 - float(np.exp(-llr / n)),
    }
