"""How many people lack a value, column by column and in any of them: what to know before a model leaves them out.

LOCAL    counts: m_i people with a row that has no value in column i, u people who lack any
JOINT    counts above 0 and below the floor for cells masked; u withheld where one of these is such a count, told or not:
             u - m_i               people who lack something, but not i
             m_1 + m_2 + ... - u   people who lack several, each counted once for every column beyond the first
RESULT   percentages

Of two columns the last number is how many lack both; so it is with a third column that everybody has, wherefore it counts for
any number of columns. Of three or more, how many lack columns 1 and 2 lies between m_1 + m_2 - u (or 0) and the least of m_1,
m_2 and the last number, and any number between is possible. One answer narrows it to one number only where u = m_1 (it is m_2) or
where the other columns lack nothing (it is the last number), and to a few people only where a column's count prints as few.

Nothing is left out for these columns themselves, so the people counted are all whom `where` selects (and who have what
`complete=` names). A value out of bounds is no value. The people who do have a value are a cell. Its row set meets those of other
questions of its kind, and of any with another `where`: a count of missing values is no sum over the people who have one.
Leaks: the outputs.
Rounds (replicated): 12 at most, and the gate's 13.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd

from engine.analyses import inference
from engine.analyses.base import Cell, Opened, Output, Plan, RowSet, Stage, State, Statistics, Step
from engine.analyses.bits import any_of, negation
from engine.analyses.normalise import declare_count
from engine.analyses.people import count
from engine.analyses.question import Limits, Question, listwise, read_options, require_fields
from engine.data.rows import Batch, Rows
from engine.dictionary import Dictionary
from engine.errors import SpecError
from engine.results import MissingResult
from protocols.engine import Engine, Secret

WITHHELD = (
    "not told how many lack a value in any of the columns: fewer than {} of them lack none in one of these, or lack several, "
    "and would show"
)


@dataclass(frozen=True)
class Missing:
    """columns=[...]."""

    name: ClassVar[str] = "missing"
    modes: ClassVar[tuple[str, ...]] = ("result",)
    columns: tuple[str, ...]
    plan: Plan
    cell: int = inference.CELL  # counts below this are masked

    @classmethod
    def build(cls, question: Question, dictionary: Dictionary, limits: Limits) -> Missing:
        require_fields(question, ("columns", "complete"))
        read_options(question, {})
        names = tuple(dict.fromkeys(question.columns))
        if not names:
            raise SpecError("missing needs columns=[...]")
        fixed = listwise((), question, dictionary)
        told = tuple(dict.fromkeys(f"{dictionary.source(name)} is missing" for name in names))  # no column has such a name
        plan = Plan(
            columns=tuple(dict.fromkeys([*names, *fixed])),
            listwise=fixed,
            cells=_cells(names),
            parameters=0,
            row_sets=(RowSet(fixed, sources=told),),
            outputs=(
                Output("column_missing", (len(names) + 1,), "count", frac=0),
                Output("column_missing_small", (len(names) + 1,), "flag", frac=0),
                Output("incomplete_withheld", (1,), "flag", frac=0),
            ),
            rows_log2=limits.rows_log2,
        )
        return cls(names, plan)

    def start(self) -> State:
        return State("counts")

    def stage(self, state: State) -> Stage:
        counted = declare_count("missing", (len(self.columns) + 1,), self.plan.rows_log2)
        return Stage("counts", (counted,), outputs=self.plan.outputs)

    def local(self, rows: Rows, state: State) -> Statistics:
        found = np.zeros(len(self.columns) + 1, dtype=np.int64)
        groups = _groups(self.columns)
        for batch in rows:
            found += [count(~batch.known(columns), batch.persons) for columns in groups]
        return {"missing": found}

    def joint(self, mpc: Engine, totals: Mapping[str, Secret], state: State) -> Step:
        missing, columns = totals["missing"], len(self.columns)
        incomplete = missing[columns:]
        others = missing[np.full(columns, columns)] - missing[:columns]  # who lack something, but not this
        several = missing[:columns].sum().reshape(1) - incomplete  # of two columns: who lack both
        counts = mpc.concat([missing, others, several])
        signs = mpc.is_negative(mpc.concat([counts - self.cell, counts - 1]))
        below, none = signs[: counts.shape[0]], signs[counts.shape[0] :]
        small = mpc.bounded(below - none, 1, "[m < 1] implies [m < cell]")
        withheld = mpc.reshape(any_of(mpc, [small[columns + 1 :]]), (1,))
        allowed = mpc.concat([negation(mpc, below[:columns]), self._told(mpc, below[columns : columns + 1], withheld)])
        return Step(
            outputs={
                "column_missing": mpc.mul(missing, allowed),
                "column_missing_small": small[: columns + 1],
                "incomplete_withheld": withheld,
            }
        )

    def _told(self, mpc: Engine, below: Secret, withheld: Secret) -> Secret:
        return mpc.bounded(mpc.mul(negation(mpc, below), negation(mpc, withheld)), 1, "a product of bits")

    def advance(self, state: State, opened: Mapping[str, np.ndarray], hidden: object) -> State:
        raise AssertionError("counts have one stage")

    def result(self, opened: Opened) -> MissingResult:
        small, counts = opened.values["column_missing_small"], opened.values["column_missing"]
        cell = inference.cell(opened)
        told = [f"<{cell}" if few else int(number) for few, number in zip(small, counts, strict=True)]
        percent = [float("nan") if few else 100 * number / opened.people for few, number in zip(small, counts, strict=True)]
        table = pd.DataFrame({"missing": told[:-1], "percent": percent[:-1]}, index=pd.Index(self.columns, name="column"))
        withheld = bool(opened.values["incomplete_withheld"][0]) and not small[-1]
        return MissingResult(
            **inference.common(opened, (WITHHELD.format(cell),) if withheld else (), error_bound=0.0),
            table=table,
            incomplete=None if withheld else told[-1],
        )


def _groups(names: tuple[str, ...]) -> list[tuple[str, ...]]:
    """Each column by itself, and all together."""
    return [*((name,) for name in names), names]


def _cells(names: tuple[str, ...]) -> tuple[Cell, ...]:
    """Those who have a value: what is told of the others tells how many these are. A column that nobody has is excused."""

    def known(columns: tuple[str, ...]) -> Callable[[Batch], np.ndarray]:
        return lambda batch: batch.known(columns)

    groups = _groups(names)
    return tuple(Cell(f"{', '.join(columns)} known", known(columns), (place,)) for place, columns in enumerate(groups))
