"""From the opened numbers of a fit to the tables of its result: what OLS and the GLMs have in common."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from engine.analyses.base import Opened
from engine.analyses.regression import Model
from engine.errors import NotEstimable
from engine.results.regression import two_sided

UNIT = 2.0**-62  # of one entry of the equations that are solved: results/regression.py
WARNED = 100  # times less than the tolerance
MOST_CONDITION = 1000.0
CELL = 10  # people: the floor of a table cell where a charter states no other
ROBUST_TOLERANCE = 1e-5
NARROW = "The columns are nearly collinear, or one is far narrower than its bounds in the data dictionary"
NOISY = (
    "The outcome is rarer, the cohort a smaller part of the hospitals' tables, or a column narrower beside its declared bounds,"
)
QUIETER = "Ask for tighter bounds, or with engine='replicated'."
MOST_NOISE = 1e-2
ADVICE = "Leave a column out, or ask for tighter bounds."


def cell(opened: Opened) -> int:
    """Below how many people a count is masked: what the receipt lists among its checks."""
    receipt = opened.context.get("receipt")
    limits = {check.rule: check.limit for check in receipt.checks} if receipt else {}
    return int(limits.get("cell", CELL))


def common(opened: Opened, warnings: tuple[str, ...], **more: Any) -> dict[str, Any]:
    """The fields of every result."""
    context, few = opened.context, f"<{cell(opened)}"
    return {
        "nobs": opened.n,
        "people": opened.people,
        "missing": few if opened.missing is None else opened.missing,
        "out_of_bounds": few if opened.out_of_bounds is None else opened.out_of_bounds,
        "parties": tuple(context.get("parties", ())),
        "engine": context.get("engine", ""),
        "disclosure": context.get("disclosure", "result"),
        "job": context.get("job", ""),
        "receipt": context.get("receipt"),
        "iterations": opened.stages,
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
        "terms": _terms(model, kept),
        "where": opened.context.get("where"),
        "analysis_set": model.analysis_set,
    }


def _terms(model: Model, kept: np.ndarray) -> dict[str, tuple[str, ...]]:
    """The names of each term's coefficients, without those of absent levels."""
    names = np.array(model.design.names, dtype=object)
    found = {term.name: tuple(names[term.columns][kept[term.columns]]) for term in model.design.terms}
    return {name: own for name, own in found.items() if own}


def warnings(model: Model, opened: Opened, dropped: tuple[str, ...]) -> tuple[str, ...]:
    found = []
    if dropped:
        found.append(f"no rows have these declared levels, which were dropped: {', '.join(dropped)}")
    if model.by_person and opened.people < opened.n and model.vcov != "cluster":
        people = f"{opened.n} rows are of {opened.people} people"
        found.append(f'{people} and treated as independent; vcov="cluster" does not assume this')
    return tuple(found)


@dataclass(frozen=True)
class Trust:
    """How far fixed-point arithmetic can have moved the results: coefficients in standard errors, robust errors relatively.

    `worth_refusing`: the same where next to nothing is left to explain, so that standard errors measure nothing: in those that a
    billionth of the response's variance would make. `condition`: of the scaled columns, where it was opened.
    """

    coefficients: float
    robust_errors: float
    worth_refusing: float
    tolerance: float
    condition: float | None = None

    def warnings(self) -> tuple[str, ...]:
        """Raises NotEstimable where coefficients or robust standard errors could be wrong in a digit that matters."""
        known = "" if self.condition is None else f" (condition number {self.condition:.1e})"
        if self.robust_errors > ROBUST_TOLERANCE:
            raise NotEstimable(f"{NARROW}{known}, so that robust standard errors would lack digits. {ADVICE}")
        if self.worth_refusing > self.tolerance:
            raise NotEstimable(f"{NARROW}{known}, so that coefficients would lack digits. {ADVICE}")
        if self.coefficients > self.tolerance / WARNED:
            return (f"{NARROW}{known}: coefficients may be off by up to {self.coefficients:.0e} standard errors. {ADVICE}",)
        if self.condition is not None and self.condition > MOST_CONDITION:
            return (f"{NARROW}{known}: coefficients depend much on a few people's values. {ADVICE}",)
        return ()


@dataclass(frozen=True)
class Noise:
    """How far noise in the sums that were solved with can have moved the results: coefficients in standard errors, and standard
    errors relatively. `approximation`: of both, by how much more they may be off at worst."""

    coefficients: float
    standard_errors: float
    approximation: tuple[float, float] = (0.0, 0.0)

    def warnings(self) -> tuple[str, ...]:
        """Raises NotEstimable where the digits that a report shows would be noise."""
        if max(self.coefficients, self.standard_errors) > MOST_NOISE:
            raise NotEstimable(f"{NOISY} than this engine holds apart from its noise. {QUIETER}")
        coefficients, errors = self.coefficients + self.approximation[0], self.standard_errors + self.approximation[1]
        if max(coefficients, errors) > MOST_NOISE / 10:
            moved = f"coefficients may be off by up to {coefficients:.0e} standard errors, standard errors by {errors:.0e}"
            return (f"{NOISY} than usual: {moved}. {QUIETER}",)
        return ()


def noise(
    model: Model, opened: Opened, unit: float, sums: float, entries: float, approximation: tuple[float, float] = (0.0, 0.0)
) -> Noise:
    """From bounds of the noise in the entries of the score, in the response's unit, and in those of the information matrix I.

    A score that is off by e moves coefficients by sqrt(e' I^-1 e) standard errors at most; independent errors within s, by about
    s sqrt(trace I^-1). A symmetric D in I moves a variance by v'Dv / |v|^2 |v|^2 with |v|^2 <= trace I^-1, sqrt(2) of an entry's
    deviation for each; a standard error by half of that. `unit`: X = I^-1 counts in it.
    """
    trace = _inverse(model, opened.values)[1] * unit
    return Noise(sums * float(np.sqrt(trace)), entries * trace / float(np.sqrt(2)), approximation)


def trust(
    model: Model,
    opened: Opened,
    gamma: np.ndarray,
    unit: float,
    middle_error: float = 0.0,
    *,
    tolerance: float,
    least_unit: float = 0.0,
    condition: float | None = None,
) -> Trust:
    """The bounds of results/regression.py. `middle_error`: of an entry of the opened sandwich's middle, in its unit; `tolerance`:
    of coefficients, in standard errors; `least_unit`: the least unit of variances that measures anything."""
    kept = ~model.absent_columns(opened.values)
    inverse, trace = _inverse(model, opened.values)
    variances = np.maximum(model.reported_diagonal(opened.values), 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = (inverse / variances)[kept]  # 1 where vcov is "model"
    delta = np.sqrt(model.size) * UNIT * (2.0 + np.sum(np.abs(gamma)))

    def in_errors(unit: float) -> float:
        return float(delta * np.sqrt(trace) * np.sqrt(np.max(ratio) / unit)) if unit > 0 else float("inf")

    robust = float(np.max(ratio) * trace * model.size * middle_error / 2)
    return Trust(in_errors(unit), robust, in_errors(max(unit, least_unit)), tolerance, condition)


def _inverse(model: Model, values: Mapping[str, np.ndarray]) -> tuple[np.ndarray, float]:
    """(diag X, with t'Xt for the intercept; a bound on trace X) from what was opened of X."""
    if model.vcov == "model" and model.cov_params:
        return model.reported_diagonal(values), float(np.trace(values["covariance"]))
    diagonal = np.maximum(values["variance" if model.vcov == "model" else "model_variance"], 0.0)
    roots, i = np.sqrt(diagonal), model.design.intercept
    if i is not None:  # e_0 = t - sum t_j e_j, so sqrt(X_00) <= sqrt(t'Xt) + sum |t_j| sqrt(X_jj)
        t, scale = model.intercept_row
        roots[i] = scale * (roots[i] + np.sum(np.abs(np.delete(t, i)) * np.delete(roots, i)))
    return diagonal, float(np.sum(roots**2))
