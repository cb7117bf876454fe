"""Results of generalised linear models from the opened numbers, with the definitions of statsmodels' Logit, Poisson and GLM."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import special, stats

from engine.analyses import inference, sandwich
from engine.analyses.base import Opened, Output
from engine.analyses.families import Family, Poisson
from engine.analyses.normalise import factor
from engine.analyses.regression import Model
from engine.results import GLMResult, LogitResult, PoissonResult

EVENTS_PER_PARAMETER = 10
TOLERANCE = 1e-4  # of coefficients, in standard errors


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
    model: Model,
    family: Family,
    opened: Opened,
    error_bound: float = 0.0,
    warnings: tuple[str, ...] = (),
    noise: Callable[[float], inference.Noise] | None = None,
) -> GLMResult:
    """`error_bound`: of the coefficients, in standard errors, beside what the solve's arithmetic makes; `noise`: what it makes,
    from the unit in which the inverse counts. Raises NotEstimable where that is too much."""
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
    middle_error = 0.0 if model.vcov == "model" else inference.UNIT
    trust = inference.trust(model, opened, values["gamma"], unit, middle_error, tolerance=TOLERANCE)
    noisy = inference.Noise(0.0, 0.0) if noise is None else noise(unit)
    withheld = (SUMS_WITHHELD,) if values.get("sums_withheld") else ()
    warned = (*inference.warnings(model, opened, table["dropped"]), *trust.warnings(), *noisy.warnings(), *withheld, *warnings)
    bound = trust.coefficients + noisy.coefficients + error_bound
    common = {
        **inference.common(opened, warned, error_bound=bound),
        **table,
        "iterations": opened.stages - 2,  # beside the start and the last one
        "df_model": columns - 1,  # as statsmodels' Logit and Poisson, also without a constant
        "df_resid": n - columns,
        "pearson_chi2": float(values["pearson"]) * total,
    }
    if isinstance(family, Poisson):
        common["warnings"] += few_events(int(values["total"]), columns - bool(len(model.constant_columns)))
        return PoissonResult(**common, **_counts(values, n, columns, float(values["fit"]) * total))
    events = int(values["events"])
    common["warnings"] += few_events(min(events, n - events), columns - bool(len(model.constant_columns)))
    return LogitResult(**common, **_binary(events, n, columns, float(values["fit"]) * total), events=events)


def few_events(events: int, parameters: int) -> tuple[str, ...]:
    """A warning below ten events for each parameter but the constant (Peduzzi et al., J Clin Epidemiol 1996)."""
    if events >= EVENTS_PER_PARAMETER * parameters:
        return ()
    told = f"{events} events for {parameters} parameters beside the constant: with fewer than {EVENTS_PER_PARAMETER} for each"
    return (f"{told}, coefficients lean away from zero and their intervals are too narrow",)


SUMS_WITHHELD = (
    "no llf, llnull, aic, bic, prsquared, deviance and null_deviance: of so few people, or with so few possible values, they "
    "would tell how often the response takes each value"
)


def _binary(events: int, n: int, columns: int, llf: float) -> dict[str, Any]:
    llnull = float(special.xlogy(events, events / n) + special.xlogy(n - events, (n - events) / n))
    return {**_likelihood(llf, llnull, 0.0, n, columns), "deviance": -2 * llf, "null_deviance": -2 * llnull}


def _counts(values: Any, n: int, columns: int, A: float) -> dict[str, Any]:
    """With A = sum (y eta - mean), K = sum y log y, S = sum y, L = sum log y!; K and L are NaN where they were withheld."""
    withheld = bool(values["sums_withheld"])
    K, L = (float("nan") if withheld else float(values[name]) for name in ("ylogy", "log_factorials"))
    S = float(values["total"])
    null = float(special.xlogy(S, S / n)) - S  # A of the mean alone
    return {
        **_likelihood(A, null, L, n, columns),
        "deviance": 2 * (K - S - A),
        "null_deviance": 2 * (K - S - null),
        "total": int(S),
    }


def _likelihood(fit: float, null: float, constant: float, n: int, columns: int) -> dict[str, Any]:
    """Of log-likelihoods fit - constant and null - constant, whose difference does not need the constant."""
    llf, llnull, llr, df_model = fit - constant, null - constant, 2 * (fit - null), columns - 1
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
