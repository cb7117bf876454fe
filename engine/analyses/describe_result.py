"""The tables of a description from the opened numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from engine.analyses import inference, powers
from engine.analyses.base import Opened
from engine.results import DescribeResult

if TYPE_CHECKING:
    from engine.analyses.describe import Describe

NOT_A_NUMBER = float("nan")


def make(analysis: Describe, opened: Opened) -> DescribeResult:
    groups = list(analysis.by.values) if analysis.by else [None]
    sizes = np.asarray(opened.values["column_n"]).reshape(len(analysis.columns), len(groups))
    present = [g for g in range(len(groups)) if sizes[:, g].any()]
    rows = [_row(analysis, opened, i, g, groups[g]) for i in range(len(analysis.columns)) for g in present]
    table = pd.DataFrame(rows).set_index(["column"] if analysis.by is None else ["column", analysis.by.name])
    return DescribeResult(
        **inference.common(opened, _warnings(analysis, opened, groups, present), error_bound=_error_bound(table)),
        by=analysis.by.name if analysis.by else None,
        table=table,
        frequencies=_frequencies(analysis, opened, groups, present),
    )


def _row(analysis: Describe, opened: Opened, i: int, g: int, group: Any) -> dict[str, Any]:
    from engine.analyses.describe import center_scale

    column, values = analysis.columns[i], opened.values
    n = int(values["column_n"][i, g])
    missing = f"<{inference.cell(opened)}" if values["column_missing_small"][i, g] else int(values["column_missing"][i, g])
    row: dict[str, Any] = {"column": column.name} | ({} if analysis.by is None else {analysis.by.name: group})
    row |= {"n": n, "missing": missing}
    numbers = powers.Moments(*[NOT_A_NUMBER] * 4)
    if column.numeric and n:
        # opened in units of N / 2^(128 + rows_log2), that is of 2^-128
        place = analysis.numeric.index(column), g
        sums = [int(total) for total in opened.exact["powers"][place]]
        numbers = powers.moments(n, sums, *center_scale(column), shape=not values["shape_withheld"][place])
    se = numbers.sd / n**0.5 if n else NOT_A_NUMBER
    row |= {"mean": numbers.mean, "sd": numbers.sd, "se": se, "skewness": numbers.skewness, "kurtosis": numbers.kurtosis}
    return row | dict(zip(("q1", "median", "q3"), _quartiles(analysis, opened, column.name, g), strict=True))


def _quartiles(analysis: Describe, opened: Opened, name: str, g: int) -> list[float]:
    if name not in analysis.grids or opened.values[f"few {name}"][g]:
        return [NOT_A_NUMBER] * 3
    return [analysis.grids[name].value(int(index)) for index in opened.values[f"quartiles {name}"][g]]


def _frequencies(analysis: Describe, opened: Opened, groups: list[Any], present: list[int]) -> pd.DataFrame | None:
    """Counts and percentages of the levels of categories that anybody has."""
    rows = []
    for name, of in analysis.leveled.items():
        counts = np.asarray(opened.values[f"levels {name}"])
        for g in present:
            for level, count in zip(of.values, counts[g], strict=True):
                if counts[:, of.values.index(level)].any():
                    own = {} if analysis.by is None else {analysis.by.name: groups[g]}
                    rows.append(
                        {"column": name, **own, "level": level, "n": int(count), "percent": 100 * count / counts[g].sum()}
                    )
    if not rows:
        return None
    return pd.DataFrame(rows).set_index(["column", *([] if analysis.by is None else [analysis.by.name]), "level"])


def _warnings(analysis: Describe, opened: Opened, groups: list[Any], present: list[int]) -> tuple[str, ...]:
    found = []
    gone = [str(group) for g, group in enumerate(groups) if g not in present]
    if gone and analysis.by:
        found.append(f"no rows have these declared levels of {analysis.by.name}, which were dropped: {', '.join(gone)}")
    withheld = [c.name for i, c in enumerate(analysis.numeric) if opened.values["shape_withheld"][i, present].any()]
    if withheld:
        found.append(
            f"no skewness and kurtosis of {', '.join(withheld)}{' in some groups' if analysis.by else ''}: with so few people or "
            "so few possible values they would tell single values"
        )
    without = [column.name for column in analysis.numeric if column.name not in analysis.grids]
    if without and analysis.by_person:
        found.append(
            "no quartiles: the dictionary names a person column, and somebody with most of the rows would be the quartiles"
        )
    elif without:
        found.append(
            f"no quartiles of {', '.join(without)}: they need a column whose dictionary entry has a resolution (the step between "
            "recorded values) with at most 8192 steps between its bounds"
        )
    return tuple(found)


def _error_bound(table: pd.DataFrame) -> float:
    """Sums err by 2^-127 of the column's half range for each hospital and row at most: far below the 2^-53 of a float64."""
    with np.errstate(divide="ignore", invalid="ignore"):
        relative = 2.0**-53 * (table["mean"].abs() / table["se"]).replace(np.inf, np.nan)
    return float(np.nanmax(relative)) if relative.notna().any() else 0.0
