"""Contingency tables: rows x columns of two columns with declared levels, and the tests made of the counts.

LOCAL    the table of counts
JOINT    nothing: every cell passed the gate, so the sums are the outputs
RESULT   chi-square, Cramer's V; for 2 x 2 also Fisher's exact test, risk difference, risk ratio, odds ratio

Leaks: the outputs. A cell below the floor refuses the whole table, 0 as well unless its whole row or column is empty. Rounds: the
gate's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
from scipy import stats

from engine.analyses import inference, levels
from engine.analyses.base import Opened, Output, Plan, RowSet, Stage, State, Statistics, Step, row_sets
from engine.analyses.levels import Levels
from engine.analyses.normalise import declare_count
from engine.analyses.question import Limits, Question, listwise, read_options, require_fields
from engine.data.rows import Rows
from engine.dictionary import Dictionary, Level
from engine.errors import NotEstimable, SpecError
from engine.results import CrosstabResult
from engine.results.crosstab import TwoByTwo
from protocols.engine import Engine, Secret

MOST_CELLS = 2000


@dataclass(frozen=True)
class Crosstab:
    """a ~ b: the levels of a down, those of b across, a reference level first; option correction (Yates, for 2 x 2)."""

    name: ClassVar[str] = "crosstab"
    modes: ClassVar[tuple[str, ...]] = ("result",)
    rows: Levels
    columns: Levels
    correction: bool
    first: tuple[int, int]  # the level to put first, down and across: what the others are compared with
    plan: Plan

    @classmethod
    def build(cls, question: Question, dictionary: Dictionary, limits: Limits) -> Crosstab:
        require_fields(question, ("formula", "complete", "reference"))
        down, across = (Levels.of(dictionary, name) for name in _sides(question.formula))
        if down.name == across.name:
            raise SpecError("a table needs two different columns, for example 'treatment ~ outcome'")
        first = _first_levels(down, across, question.reference)
        if len(down) * len(across) > MOST_CELLS:
            raise SpecError(f"a table may have at most {MOST_CELLS} cells; choose columns with fewer levels")
        options = read_options(question, {"correction": False})
        used = listwise((down.name, across.name), question, dictionary)
        cells = down.margins(0) + across.margins(len(down)) + levels.table_cells(down, across, 0, len(down))
        plan = Plan(
            columns=used,
            listwise=used,
            cells=cells,
            parameters=0,
            row_sets=row_sets([used], [RowSet(used, cell.label, cell.members) for cell in cells]),
            outputs=(Output("table", (len(down), len(across)), "count", frac=0),),
            rows_log2=limits.rows_log2,
        )
        return cls(down, across, options["correction"], first, plan)

    def start(self) -> State:
        return State("counts")

    def stage(self, state: State) -> Stage:
        table = declare_count("table", (len(self.rows), len(self.columns)), self.plan.rows_log2)
        return Stage("counts", (table,), outputs=self.plan.outputs)

    def local(self, rows: Rows, state: State) -> Statistics:
        table = np.zeros((len(self.rows), len(self.columns)), dtype=np.int64)
        for batch in rows:
            table += levels.count_table(self.rows, self.columns, batch.frame)
        return {"table": table}

    def joint(self, mpc: Engine, totals: Mapping[str, Secret], state: State) -> Step:
        return Step(outputs={"table": totals["table"]})

    def advance(self, state: State, opened: Mapping[str, np.ndarray], hidden: object) -> State:
        raise AssertionError("a table has one stage")

    def result(self, opened: Opened) -> CrosstabResult:
        """Raises NotEstimable when fewer than two levels on a side have any people."""
        full = pd.DataFrame(
            np.asarray(opened.values["table"]),
            index=pd.Index(self.rows.values, name=self.rows.name),
            columns=pd.Index(self.columns.values, name=self.columns.name),
        )
        full = full.iloc[_moved(len(self.rows), self.first[0]), _moved(len(self.columns), self.first[1])]
        observed = full.loc[full.sum(axis=1) > 0, full.sum(axis=0) > 0]
        if min(observed.shape) < 2:
            raise NotEstimable("The table has only one row or column with people in it, so there is nothing to compare.")
        chi2, p, dof, expected = stats.chi2_contingency(observed.to_numpy(), correction=self.correction)
        uncorrected = stats.chi2_contingency(observed.to_numpy(), correction=False)[0] if self.correction else chi2
        total = int(observed.to_numpy().sum())
        return CrosstabResult(
            **inference.common(opened, _dropped(full, observed), error_bound=0.0),
            observed=observed,
            expected=pd.DataFrame(expected, index=observed.index, columns=observed.columns),
            statistic=float(chi2),
            pvalue=float(p),
            dof=int(dof),
            correction=self.correction,
            cramers_v=float(np.sqrt(uncorrected / total / (min(observed.shape) - 1))),
            two_by_two=TwoByTwo.of(observed.to_numpy()) if observed.shape == (2, 2) else None,
        )


def _sides(formula: str | None) -> tuple[str, str]:
    sides = [side.strip().removeprefix("`").removesuffix("`").strip() for side in (formula or "").split("~")]
    if len(sides) != 2 or not all(sides):
        raise SpecError("crosstab needs a formula of two columns, rows ~ columns, for example 'treatment ~ outcome'")
    return sides[0], sides[1]


def _first_levels(down: Levels, across: Levels, reference: Mapping[str, Level]) -> tuple[int, int]:
    """Positions of the reference levels. Raises SpecError, UnknownLevel."""
    for name in reference:
        if name not in (down.name, across.name):
            raise SpecError(f"reference= names '{name}', which is no side of this table; leave it out")
    down_first, across_first = (side.position(reference[side.name]) if side.name in reference else 0 for side in (down, across))
    return down_first, across_first


def _moved(levels: int, first: int) -> list[int]:
    return [first, *(level for level in range(levels) if level != first)]


def _dropped(full: pd.DataFrame, observed: pd.DataFrame) -> tuple[str, ...]:
    gone = [f"{full.index.name} {level}" for level in full.index.difference(observed.index, sort=False)]
    gone += [f"{full.columns.name} {level}" for level in full.columns.difference(observed.columns, sort=False)]
    return (f"no rows have these declared levels, which were dropped: {', '.join(gone)}",) if gone else ()
