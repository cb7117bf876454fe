"""Missing values by column."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from engine.results import text
from engine.results.base import WIDTH, Result, axes


@dataclass(frozen=True, kw_only=True, eq=False)
class MissingResult(Result):
    """`table`: one row a column with `missing`, the people with a row that has no value there ("<10" where there are some,
    but fewer than the floor for table cells, here 10), and `percent` of all people asked about. `incomplete`: the people who lack
    a value in at least one of the columns; None where, beside the columns' own counts, it would tell of fewer than that floor
    who lack something but not one of the columns, or who lack several.
    """

    table: pd.DataFrame
    incomplete: int | str | None

    def to_frame(self) -> pd.DataFrame:
        """`table`."""
        return self.table

    def plot(self, ax: Any = None) -> Any:
        """Bars of the percentages; none for counts that are not told."""
        ax = axes(ax)
        self.table["percent"].fillna(0.0).plot.barh(ax=ax)
        ax.invert_yaxis()
        ax.set_xlabel("percent missing")
        return ax

    def _body(self) -> list[str]:
        shown = [f"{percent:.1f}" if np.isfinite(percent) else "" for percent in self.table["percent"]]
        told = zip(self.table.index, self.table["missing"], shown, strict=True)
        lines = [[str(name), str(missing), percent] for name, missing, percent in told]
        head = ["Missing values", "=" * WIDTH, *text.grid([["", "missing", "percent"], *lines])]
        if self.incomplete is None:
            return head
        return [*head, "", f"Without a value in at least one of these columns: {self.incomplete} people"]
