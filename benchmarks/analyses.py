"""Whole questions across real daemons with mutual TLS: time, rounds, bytes, memory, and the error against the pooled fit.

`seconds` is what the researcher waits; `joint_seconds` the part after the contributions, which must not depend on the number of
rows; `rounds` and `bytes_sent` are a compute party's; `peak_rss` is the largest VmHWM of any daemon so far, in MiB.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import unseen
from benchmarks import data
from engine.dictionary import Dictionary

QUESTIONS = ("describe", "crosstab", "ols", "logit")


@dataclass(frozen=True)
class Row:
    """One measurement."""

    bench: str
    engine: str
    mode: str
    parties: int
    n: int
    d: int
    seconds: float
    joint_seconds: float
    rounds: int
    bytes_sent: int
    peak_rss: float
    error_se: float

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def measure(rows: int, columns: int, parties: int, questions: tuple[str, ...] = QUESTIONS, repeat: int = 3) -> Iterator[Row]:
    """One sandbox, each question `repeat` times; the median by seconds is reported."""
    frame = data.make(rows, columns)
    with tempfile.TemporaryDirectory() as folder:
        files = data.split(frame, parties, Path(folder))
        floors = None if parties >= 3 else {"hospitals": 2}
        sandbox = unseen.sandbox(files, Dictionary.parse(data.dictionary(columns)), floors=floors, round_deadline=120)
        with sandbox as study:
            for name in questions:
                runs = sorted((_timed(ASK[name], study, frame, columns) for _ in range(repeat)), key=lambda run: run[0])
                seconds, result, error = runs[len(runs) // 2]
                receipt = result.receipt
                yield Row(
                    bench=name,
                    engine=receipt.engine,
                    mode=receipt.disclosure,
                    parties=parties,
                    n=rows,
                    d=columns,
                    seconds=seconds,
                    joint_seconds=receipt.joint_seconds,
                    rounds=receipt.rounds,
                    bytes_sent=receipt.bytes_sent,
                    peak_rss=max(_peak_mib(pid) for pid in sandbox.processes.values()),
                    error_se=error,
                )


Asker = Callable[[Any, pd.DataFrame, int], tuple[Any, Callable[[], float]]]


def _timed(ask: Asker, study: Any, frame: pd.DataFrame, columns: int) -> tuple[float, Any, float]:
    began = time.perf_counter()
    result, error = ask(study, frame, columns)
    return time.perf_counter() - began, result, error()


def _predictors(columns: int) -> list[str]:
    return [f"x{j + 1}" for j in range(columns)]


def _describe(study: Any, frame: pd.DataFrame, columns: int) -> tuple[Any, Callable[[], float]]:
    names = _predictors(columns)
    result = study.describe(names)

    def error() -> float:
        mean = result.to_frame()["mean"].to_numpy(float)
        return float(np.max(np.abs(mean - frame[names].mean()) / frame[names].sem()))

    return result, error


def _crosstab(study: Any, frame: pd.DataFrame, columns: int) -> tuple[Any, Callable[[], float]]:
    result = study.crosstab("arm ~ event")

    def error() -> float:
        reference = pd.crosstab(frame["arm"], frame["event"])
        return float(np.max(np.abs(result.observed.to_numpy() - reference.to_numpy())))

    return result, error


def _ols(study: Any, frame: pd.DataFrame, columns: int) -> tuple[Any, Callable[[], float]]:
    import statsmodels.api as sm

    fit = study.ols("y ~ " + " + ".join(_predictors(columns)))

    def error() -> float:
        reference = sm.OLS(frame["y"], sm.add_constant(frame[_predictors(columns)])).fit()
        return float(np.max(np.abs(fit.params.to_numpy() - reference.params.to_numpy()) / reference.bse.to_numpy()))

    return fit, error


def _logit(study: Any, frame: pd.DataFrame, columns: int) -> tuple[Any, Callable[[], float]]:
    import statsmodels.api as sm

    fit = study.logit("event ~ " + " + ".join(_predictors(columns)), disclosure="steps")

    def error() -> float:
        model = sm.Logit(frame["event"], sm.add_constant(frame[_predictors(columns)]))
        reference = model.fit(disp=0, method="newton", tol=1e-12)
        return float(np.max(np.abs(fit.params.to_numpy() - reference.params.to_numpy()) / reference.bse.to_numpy()))

    return fit, error


ASK: dict[str, Asker] = {"describe": _describe, "crosstab": _crosstab, "ols": _ols, "logit": _logit}


def _peak_mib(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024
