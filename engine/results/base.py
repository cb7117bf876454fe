"""What every result carries: whom it is about, how it was computed, and how far to trust its digits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pandas as pd

from engine.results import text
from native.errors import UnseenError

WIDTH = 78


class PlotUnavailable(UnseenError):
    """matplotlib is not installed."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Result:
    """Common fields. A count of people above 0 and below the floor for table cells, ten or what the receipt says, is told as the
    text "<10".

    `nobs` (also `n`) rows of `people` people stand behind the answer; `missing` and `out_of_bounds` people were left out. Of an
    iterative fit `iterations` counts the steps. `job` and `receipt` say what was asked, agreed, checked and opened. `error_bound`
    is the largest error that the protocol's arithmetic can have caused, in standard errors of the estimate
    concerned (0 where the answer is exact); how it is derived is said in each result's docstring.
    """

    nobs: int
    people: int
    missing: int | str
    out_of_bounds: int | str
    parties: tuple[str, ...] = ()
    engine: str = ""
    disclosure: str = "result"
    converged: bool = True
    iterations: int = 0
    warnings: tuple[str, ...] = ()
    error_bound: float | None = None
    job: str = ""
    receipt: Any = None

    @property
    def n(self) -> int:
        """Rows used."""
        return self.nobs

    def summary(self) -> str:
        """The result as text."""
        return "\n".join([*self._body(), *self._footer()])

    def to_frame(self) -> pd.DataFrame:
        """The main table."""
        raise NotImplementedError

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values: None where a number does not exist."""
        return {each.name: plain(getattr(self, each.name)) for each in fields(self)} | self._also()

    def _also(self) -> dict[str, Any]:
        return {}

    def _body(self) -> list[str]:
        return text.frame_grid(self.to_frame())

    def _footer(self) -> list[str]:
        """Where the numbers come from."""
        lines = ["-" * WIDTH]
        left_out = f"missing {self.missing}, out of bounds {self.out_of_bounds}"
        lines.append(f"Rows used: {self.nobs}   people: {self.people}   left out: {left_out}")
        if self.parties or self.engine:
            lines.append(f"Parties: {', '.join(self.parties) or '-'}   engine: {self.engine}   disclosure: {self.disclosure}")
        if self.error_bound is not None:
            lines.append(
                f"Secure arithmetic adds an error of at most {self.error_bound:.1e} standard errors"
                if self.error_bound
                else "Secure arithmetic adds no error"
            )
        if self.job:
            lines.append(f"Job: {self.job}")
        return lines + [f"Warning: {warning}" for warning in self.warnings]

    def _repr_html_(self) -> str:
        return text.page(self.summary())

    def __str__(self) -> str:
        return self.summary()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.nobs} rows>"


def axes(ax: Any = None) -> Any:
    """The axes to draw on. Raises PlotUnavailable without matplotlib."""
    if ax is not None:
        return ax
    try:
        import matplotlib.pyplot as plt
    except ImportError:
        raise PlotUnavailable("plot() needs matplotlib: pip install 'unseen[plot]'") from None
    return plt.subplots()[1]


def plain(value: Any) -> Any:
    """Any field of a result as JSON values."""
    if isinstance(value, pd.DataFrame):
        flat = value.reset_index() if isinstance(value.index, pd.MultiIndex) else value
        return {
            "index": [str(i) for i in flat.index],
            "columns": [str(c) for c in flat.columns],
            "data": plain(flat.to_numpy(object).tolist()),
        }
    if isinstance(value, pd.Series):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    if value is None or isinstance(value, bool | int | str):
        return value
    return plain(value.to_dict()) if hasattr(value, "to_dict") else str(value)
