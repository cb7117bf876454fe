"""Models that return a table: a two-valued response fitted by as many coefficients as there are groups of people.

Their coefficients are the (log odds of the) proportions of every group, so each group's ones and zeros obey the rule for table
cells.
"""

from __future__ import annotations

import itertools

import numpy as np

from engine.analyses.base import Cell
from engine.errors import SpecError
from engine.formula import Design
from engine.formula.cells import MAX_CELLS, Grouping, Members, groupings


def table_cells(design: Design, first: int) -> tuple[Cell, ...]:
    """The groups by response of a saturated model, numbered from `first` in the plan; nothing for any other model.

    A level that nobody has excuses its groups, as in a table.
    """
    divided = _divisions(design)
    if not design.response_cells or not divided or len(design.names) < np.prod([len(g.labels) for g in divided]):
        return ()
    if len(design.names) * 2 > MAX_CELLS:
        raise SpecError("The model divides people into too many groups. Use fewer factors or merge levels.")
    margins: list[Cell] = []
    index: dict[tuple[tuple[str, bool], int], int] = {}
    for grouping in divided:
        for group, label in enumerate(grouping.labels):
            own = first + len(margins)
            index[grouping.key, group] = own
            margins.append(Cell(label, grouping.members(group), (own,) if grouping.factor is not None else ()))
    crossed = []
    for groups in itertools.product(*(range(len(grouping.labels)) for grouping in divided)):
        picked = list(zip(divided, groups, strict=True))
        excuse = tuple(index[g.key, group] for g, group in picked if g.factor is not None)
        for outcome in design.response_cells:
            members = [g.members(group) for g, group in picked] + [outcome.members]
            crossed.append(Cell("; ".join([*(g.labels[k] for g, k in picked), outcome.label]), _all(members), excuse))
    return (*margins, *crossed)


def _divisions(design: Design) -> tuple[Grouping, ...]:
    """How the predictors divide people, each column once; nothing if one of them is a measurement."""
    meanings = tuple(design._meanings.values())
    by_column = {grouping.column.name: grouping for grouping in groupings(meanings)}
    if any(column.name not in by_column for meaning in meanings for column in meaning.columns):
        return ()
    return tuple(by_column.values())


def _all(members: list[Members]) -> Members:
    return lambda batch: np.logical_and.reduce([member(batch) for member in members])
