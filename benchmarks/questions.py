"""The questions that analyses are measured at: how a researcher asks them, and the pooled fit that the answer is compared with.

Errors are in standard errors of the pooled fit: of a mean, of a coefficient, of a count (its square root).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.data import predictors

RESULT, STEPS = "result", "steps"
MODES = (RESULT, STEPS)
Pooled = tuple[np.ndarray, np.ndarray]  # estimates and their standard errors


@dataclass(frozen=True)
class Question:
    """`ask(study, columns, disclosure, engine)`; `pooled(frame, columns)`; `estimates` in the order of the pooled ones."""

    ask: Callable[[Any, int, str, str], Any]
    estimates: Callable[[Any], np.ndarray]
    pooled: Callable[[pd.DataFrame, int], Pooled]
    iterative: bool = False  # asked for in both modes


def error(question: Question, result: Any, pooled: Pooled) -> float:
    """The largest difference from the pooled fit, in standard errors."""
    values, se = pooled
    return float(np.max(np.abs(question.estimates(result).astype(float) - values) / se))


def _formula(outcome: str, columns: int) -> str:
    return f"{outcome} ~ " + " + ".join(predictors(columns))


def _means(frame: pd.DataFrame, columns: int) -> Pooled:
    chosen = frame[predictors(columns)]
    return chosen.mean().to_numpy(), chosen.sem().to_numpy()


def _counts(frame: pd.DataFrame, columns: int) -> Pooled:
    counts = pd.crosstab(frame["arm"], frame["event"]).to_numpy(float)
    return counts, np.sqrt(np.maximum(counts, 1))


def _fitted(model: Callable[[Any], Any], outcome: str) -> Callable[[pd.DataFrame, int], Pooled]:
    """A statsmodels fit; imported when it is needed, because it takes seconds."""

    def fit(frame: pd.DataFrame, columns: int) -> Pooled:
        import statsmodels.api as sm

        exogenous = sm.add_constant(frame[predictors(columns)])
        found = model(sm)(frame[outcome], exogenous)
        found = found.fit() if outcome == "y" else found.fit(disp=0, method="newton", tol=1e-12)
        return found.params.to_numpy(), found.bse.to_numpy()

    return fit


def _coefficients(result: Any) -> np.ndarray:
    params: np.ndarray = result.params.to_numpy()
    return params


QUESTIONS: dict[str, Question] = {
    "describe": Question(
        lambda study, d, mode, engine: study.describe(predictors(d), engine=engine),
        lambda result: result.to_frame()["mean"].to_numpy(),
        _means,
    ),
    "crosstab": Question(
        lambda study, d, mode, engine: study.crosstab("arm ~ event", engine=engine),
        lambda result: result.observed.to_numpy(),
        _counts,
    ),
    "ols": Question(
        lambda study, d, mode, engine: study.ols(_formula("y", d), engine=engine), _coefficients, _fitted(lambda sm: sm.OLS, "y")
    ),
    "logit": Question(
        lambda study, d, mode, engine: study.logit(_formula("event", d), disclosure=mode, engine=engine),
        _coefficients,
        _fitted(lambda sm: sm.Logit, "event"),
        iterative=True,
    ),
    "poisson": Question(
        lambda study, d, mode, engine: study.poisson(_formula("visits", d), disclosure=mode, engine=engine),
        _coefficients,
        _fitted(lambda sm: sm.Poisson, "visits"),
        iterative=True,
    ),
}
