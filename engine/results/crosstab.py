"""A contingency table with its tests. Definitions: chi-square without Yates' correction unless asked for; Wald intervals.

For 2 x 2 the outcome is the second column and the comparison is second row against first:
    risk difference  p2 - p1, interval p2 - p1 +- z sqrt(p1 q1 / n1 + p2 q2 / n2)
    risk ratio       p2 / p1, log-normal interval with variance q1 / (n1 p1) + q2 / (n2 p2)   (Katz)
    odds ratio       the sample odds ratio a d / (b c), log-normal interval with variance 1/a + 1/b + 1/c + 1/d   (Woolf)
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from engine.errors import SpecError
from engine.results import text
from engine.results.base import WIDTH, Result, axes, plain
from engine.results.regression import quantile


@dataclass(frozen=True)
class TwoByTwo:
    """What only a 2 x 2 table has: Fisher's exact test (two-sided) and the effect sizes."""

    fisher_pvalue: float
    odds_ratio: float
    risk_ratio: float
    risk_difference: float

    @classmethod
    def of(cls, table: np.ndarray) -> TwoByTwo:
        (a, b), (c, d) = table.astype(float).tolist()
        p1, p2 = b / (a + b), d / (c + d)
        return cls(float(stats.fisher_exact(table).pvalue), a * d / (b * c), p2 / p1, p2 - p1)

    def to_dict(self) -> dict[str, float]:
        return asdict(self)


@dataclass(frozen=True, kw_only=True, eq=False)
class CrosstabResult(Result):
    """Counts of rows, exact: `observed` and, under independence, `expected`. `statistic`, `dof` and `pvalue` are of chi-square's
    test, Yates-corrected for `correction=True`. `two_by_two` (Fisher's exact test, effect sizes) is None for larger tables."""

    observed: pd.DataFrame
    expected: pd.DataFrame
    statistic: float
    pvalue: float
    dof: int
    correction: bool
    cramers_v: float
    two_by_two: TwoByTwo | None = None

    def percentages(self, of: str = "row") -> pd.DataFrame:
        """Percent of the row, of the column, or of the total: of="row", "column" or "total", else SpecError."""
        if of not in ("row", "column", "total"):
            raise SpecError("percentages are of='row', 'column' or 'total'")
        counts = self.observed.to_numpy().astype(float)
        whole = counts.sum() if of == "total" else counts.sum(axis=1 if of == "row" else 0, keepdims=True)
        return pd.DataFrame(100 * counts / whole, index=self.observed.index, columns=self.observed.columns)

    def effects(self, conf_level: float = 0.95) -> pd.DataFrame:
        """Risk difference, risk ratio and odds ratio of a 2 x 2 table with Wald intervals: estimate, lower, upper. SpecError for
        another table."""
        if self.observed.shape != (2, 2):
            raise SpecError("risk differences and ratios are of 2 x 2 tables only")
        (a, b), (c, d) = self.observed.to_numpy().astype(float)
        p1, p2 = b / (a + b), d / (c + d)
        difference = np.sqrt(p1 * (1 - p1) / (a + b) + p2 * (1 - p2) / (c + d))
        ratio, odds = np.sqrt((1 - p1) / b + (1 - p2) / d), np.sqrt(1 / a + 1 / b + 1 / c + 1 / d)
        z = quantile(conf_level, None)
        rows = {
            "risk difference": (p2 - p1, p2 - p1 - z * difference, p2 - p1 + z * difference),
            "risk ratio": (p2 / p1, *np.exp(np.log(p2 / p1) + np.array([-z, z]) * ratio)),
            "odds ratio": (a * d / (b * c), *np.exp(np.log(a * d / (b * c)) + np.array([-z, z]) * odds)),
        }
        return pd.DataFrame.from_dict(rows, orient="index", columns=["estimate", "lower", "upper"])

    def to_frame(self) -> pd.DataFrame:
        """The counts with their margins."""
        frame = self.observed.copy()
        frame.columns = [str(level) for level in frame.columns]
        frame.index = pd.Index(
            [str(level) for level in frame.index], name=f"{self.observed.index.name} \\ {self.observed.columns.name}"
        )
        frame["All"] = frame.sum(axis=1)
        frame.loc["All"] = frame.sum(axis=0)
        return frame

    def plot(self, ax: Any = None, of: str = "row") -> Any:
        """Stacked bars of the percentages."""
        ax = axes(ax)
        self.percentages(of).plot.bar(stacked=True, ax=ax)
        ax.set_ylabel(f"percent of {of}")
        return ax

    def _also(self) -> dict[str, Any]:
        return {"effects": plain(self.effects().to_dict("index")) if self.observed.shape == (2, 2) else None}

    def _body(self) -> list[str]:
        lines = [f"Table: {self.observed.index.name} ~ {self.observed.columns.name}".center(WIDTH).rstrip(), "=" * WIDTH]
        lines += text.frame_grid(self.to_frame())
        corrected = ", Yates' correction" if self.correction else ""
        chi_square = f"Chi-square {self.statistic:.4f}, df {self.dof}, p {text.p_value(self.pvalue)}{corrected}"
        lines += ["", f"{chi_square}; Cramer's V {self.cramers_v:.4f}"]
        if self.two_by_two is not None:
            lines += [f"Fisher's exact test: p {text.p_value(self.two_by_two.fisher_pvalue)}", *text.frame_grid(self.effects())]
        return lines
