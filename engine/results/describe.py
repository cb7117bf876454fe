"""Columns described. Definitions: SD with ddof 1, skewness and excess kurtosis biased (scipy), quartiles linear (numpy)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from engine.results import text
from engine.results.base import WIDTH, Result, axes


@dataclass(frozen=True, kw_only=True, eq=False)
class DescribeResult(Result):
    """`table`: one row a column (and group) with n, missing, mean, sd, se, skewness, kurtosis, q1, median, q3.

    Skewness and kurtosis are NaN where they would tell single values (engine/analyses/powers.py says when); a warning says so.
    Quartiles are NaN below 40 people, without a grid, and where the dictionary names a person column.

    `frequencies`: n and percent of each level of the categories, None where no category was asked for. error_bound is that
    of the means.
    """

    by: str | None
    table: pd.DataFrame
    frequencies: pd.DataFrame | None

    def conf_int(self, conf_level: float = 0.95) -> pd.DataFrame:
        """Confidence intervals of the means, by Student's t."""
        from engine.results.regression import quantile

        quantile(conf_level, None)  # checks the level
        half = self.table["se"] * stats.t.ppf((1 + conf_level) / 2, np.maximum(self.table["n"] - 1, 1))
        return pd.DataFrame({"lower": self.table["mean"] - half, "upper": self.table["mean"] + half})

    def to_frame(self, conf_level: float = 0.95) -> pd.DataFrame:
        """The table with intervals of the means and the interquartile range."""
        interval = self.conf_int(conf_level)
        frame = self.table.copy()
        frame.insert(5, "ci_lower", interval["lower"])
        frame.insert(6, "ci_upper", interval["upper"])
        frame["iqr"] = frame["q3"] - frame["q1"]
        return frame

    def plot(self, ax: Any = None, conf_level: float = 0.95) -> Any:
        """Means with their confidence intervals."""
        ax = axes(ax)
        interval, mean = self.conf_int(conf_level), self.table["mean"]
        labels = [" / ".join(map(str, index)) if isinstance(index, tuple) else str(index) for index in self.table.index]
        ax.errorbar(mean, range(len(mean)), xerr=[mean - interval["lower"], interval["upper"] - mean], fmt="o", capsize=3)
        ax.set_yticks(range(len(mean)), labels)
        ax.invert_yaxis()
        ax.set_xlabel(f"mean ({conf_level:.0%} CI)")
        return ax

    def _also(self) -> dict[str, Any]:
        return {"conf_int": [[float(low), float(high)] if np.isfinite(low) else None for low, high in self.conf_int().to_numpy()]}

    def _body(self) -> list[str]:
        frame = self.to_frame()
        lines = ["Description" + (f" by {self.by}" if self.by else ""), "=" * WIDTH]
        lines += text.frame_grid(frame[["n", "missing", "mean", "sd", "se", "ci_lower", "ci_upper"]])
        lines += ["", *text.frame_grid(frame[["q1", "median", "q3", "iqr", "skewness", "kurtosis"]])]
        if self.frequencies is not None:
            lines += ["", *text.frame_grid(self.frequencies, digits=2)]
        return lines
