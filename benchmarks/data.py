"""Made-up hospital data with a fixed seed: correlated columns; a linear, a binary and a count outcome; two arms."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

SEED = 20260101
CORRELATION = 0.3  # between any two columns
MOST_VISITS = 60


def make(rows: int, columns: int, prevalence: float = 0.3) -> pd.DataFrame:
    """`columns` standard normal predictors x1.., a continuous y, a 0/1 event of about the given prevalence, counted visits."""
    rng = np.random.default_rng([SEED, rows, columns])
    shared = rng.standard_normal((rows, 1))
    x = np.sqrt(1 - CORRELATION) * rng.standard_normal((rows, columns)) + np.sqrt(CORRELATION) * shared
    beta = rng.uniform(-0.5, 0.5, columns)
    eta = x @ beta
    frame = pd.DataFrame(np.round(np.clip(x, -7.5, 7.5), 6), columns=predictors(columns))
    frame["y"] = np.clip(1.0 + eta + rng.standard_normal(rows), -50, 50)
    offset = np.quantile(eta + rng.logistic(size=rows), 1 - prevalence)
    frame["event"] = (eta + rng.logistic(size=rows) > offset).astype(np.int64)
    frame["arm"] = rng.integers(0, 2, rows)
    frame["visits"] = np.minimum(rng.poisson(np.exp(0.2 + 0.3 * eta / eta.std())), MOST_VISITS)
    return frame


def predictors(columns: int) -> list[str]:
    return [f"x{j + 1}" for j in range(columns)]


def dictionary(columns: int) -> dict[str, Any]:
    number = {"type": "number", "bounds": [-8, 8]}
    binary = {"type": "binary"}
    outcomes = {"y": {"type": "number", "bounds": [-50, 50]}, "event": binary, "arm": binary}
    visits = {"type": "integer", "bounds": [0, MOST_VISITS]}
    return {"columns": {**dict.fromkeys(predictors(columns), number), **outcomes, "visits": visits}}


def split(frame: pd.DataFrame, hospitals: int, folder: Path) -> dict[str, Path]:
    """One Parquet file for each hospital, of unequal sizes."""
    shares = np.cumsum(np.arange(1, hospitals + 1))
    ends = (shares / shares[-1] * len(frame)).astype(int)
    files = {}
    for i, (start, end) in enumerate(zip([0, *ends[:-1]], ends, strict=True)):
        files[f"h{i + 1}"] = folder / f"h{i + 1}.parquet"
        frame.iloc[start:end].to_parquet(files[f"h{i + 1}"], index=False)
    return files
