"""From the opened numbers of a fit to the tables of its result: what OLS and the GLMs have in common."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from engine.analyses.base import Opened
from engine.analyses.regression import Model
from engine.results.regression import two_sided

UNIT = 2.0**-62  # of one entry of the equations that are solved: results/regression.py


def common(opened: Opened, warnings: tuple[str, ...], **more: Any) -> dict[str, Any]:
    """The fields of every result."""
    context = opened.context
    return {
        "nobs": opened.n,
        "people": opened.people,
        "missing": "<10" if opened.missing is None else opened.missing,
        "out_of_bounds": "<10" if opened.out_of_bounds is None else opened.out_of_bounds,
        "parties": tuple(context.get("parties", ())),
        "engine": context.get("engine", ""),
        "disclosure": context.get("disclosure", "result"),
        "job": context.get("job", ""),
        "receipt": context.get("receipt"),
        "iterations": opened.iterations,
        "warnings": (*context.get("warnings", ()), *warnings),
        **more,
    }


def table(model: Model, opened: Opened, gamma: np.ndarray, unit: float, df: int | None) -> dict[str, Any]:
    """Coefficients and their tests, the columns of absent levels left out. cov(gamma) counts in `unit`."""
    kept = ~model.absent_columns(opened.values)
    names = [name for name, keep in zip(model.design.names, kept, strict=True) if keep]
    variances, full = model.covariance(opened.values, unit)
    params, bse = model.params(gamma)[kept], np.sqrt(np.maximum(variances[kept], 0.0))
    with np.errstate(divide="ignore", invalid="ignore"):
        tvalues = params / bse
    columns = {"params": params, "bse": bse, "tvalues": tvalues, "pvalues": two_sided(tvalues, df)}
    cov = None if full is None else pd.DataFrame(full[np.ix_(kept, kept)], index=names, columns=names)
    return {
        "formula": model.design.formula,
        **{key: pd.Series(value, index=names, name=key) for key, value in columns.items()},
        "cov_params": cov,
        "vcov": model.vcov,
        "df_t": df,
        "dropped": tuple(name for name, keep in zip(model.design.names, kept, strict=True) if not keep),
    }


def warnings(model: Model, opened: Opened, dropped: tuple[str, ...]) -> tuple[str, ...]:
    found = []
    if dropped:
        found.append(f"no rows have these declared levels, which were dropped: {', '.join(dropped)}")
    if model.by_person and opened.people < opened.n and model.vcov != "cluster":
        found.append(f'{opened.n} rows are of {opened.people} people and treated as independent; vcov="cluster" does not assume this')
    return tuple(found)


def error_in_standard_errors(model: Model, opened: Opened, gamma: np.ndarray, residual_variance: float) -> float:
    """The bound of results/regression.py: |delta| sqrt(trace X) in standard errors, cov(gamma) = residual_variance * X."""
    d = model.size
    transform, _ = model.design.coefficient_map()
    if model.cov_params:
        trace = float(np.trace(opened.values["covariance"]))
    else:
        # sqrt(X_00) <= sqrt(t'Xt) + sum |t_j| sqrt(X_jj), because e_0 = t - sum t_j e_j
        roots = np.sqrt(np.maximum(opened.values["variance"], 0.0))
        i = model.design.intercept
        if i is not None:
            t, scale = model.intercept_row
            roots[i] = scale * (roots[i] + np.sum(np.abs(np.delete(t, i)) * np.delete(roots, i)))
        trace = float(np.sum(roots**2))
    delta = np.sqrt(d) * UNIT * (2.0 + np.sum(np.abs(gamma)))
    return float(delta * np.sqrt(max(trace, 0.0)) / np.sqrt(residual_variance)) if residual_variance > 0 else float("inf")
