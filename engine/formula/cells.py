"""Whom a model stands on: the groups of people that the gate counts behind a design.

A coefficient of a group of three says what those three have in common. So the floor is asked of every level of every
factor (the reference too), of both values of every two-valued column used as a number, of every value of a column of few
values that an expression bends (on 0, 1, 2 the square of x - 1/2 is an indicator of 2), and of every combination that an
interaction forms out of these. Powers and functions of a two-valued column count as that column.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from engine.data.rows import Batch
from engine.dictionary import Column
from engine.errors import FormulaError
from engine.formula.expression import Factor, Numeric
from engine.formula.shape import shape_of

if TYPE_CHECKING:
    from engine.analyses.base import Cell

MAX_CELLS = 5000
Members = Callable[[Batch], np.ndarray]


@dataclass(frozen=True)
class Grouping:
    """One way in which a term divides people: by the levels of a factor, or by the few values of a numeric column."""

    factor: Factor | None
    column: Column

    @property
    def labels(self) -> tuple[str, ...]:
        if self.factor is not None:
            return tuple(f"{self.column.name} is {level}" for level in self.factor.levels)
        return tuple(f"{self.column.name} = {value:g}" for value in self.column.few)

    @property
    def excused(self) -> bool:
        """Whether a group that nobody is in may be: a level or one of several values, not one of two."""
        return self.factor is not None or len(self.column.few) > 2

    def members(self, group: int) -> Members:
        key = (self.column.name, None if self.factor is None else self.factor.levels, group)
        return lambda batch: batch.once(key, lambda: self._members(group, batch))

    def _members(self, group: int, batch: Batch) -> np.ndarray:
        if self.factor is not None:
            return self.factor.indicator(batch.frame, group)
        values = batch.frame[self.column.name].to_numpy(dtype=np.float64)
        return np.asarray(np.abs(values - self.column.few[group]) <= (self.column.resolution or 0.0) / 2)

    @property
    def key(self) -> tuple[str, bool]:
        return self.column.name, self.factor is not None


def bent_by_factors(meanings: Iterable[Numeric | Factor]) -> frozenset[str]:
    """Columns that a factor is made from: beside it, the column itself is as good as bent."""
    derived = [meaning.column.derivation for meaning in meanings if isinstance(meaning, Factor)]
    return frozenset(made.source for made in derived if made is not None)


def groupings(meanings: Sequence[Numeric | Factor], bent: frozenset[str] = frozenset()) -> tuple[Grouping, ...]:
    """How the factors of one term divide people, each way once. `bent`: columns that count as bent whatever the term does."""
    found: dict[tuple[str, bool], Grouping] = {}
    for meaning in meanings:
        for column in meaning.columns:
            if (
                isinstance(meaning, Factor)
                or column.pair is not None
                or (column.few and (column.name in bent or shape_of(meaning).bend))
            ):
                grouping = Grouping(meaning if isinstance(meaning, Factor) else None, column)
                found.setdefault(grouping.key, grouping)
    return tuple(found.values())


def count_cells(terms: Sequence[Sequence[Numeric | Factor]]) -> tuple[Cell, ...]:
    """The cells of a design, given the factors of each of its terms: first the margins, then the interactions' combinations.

    An empty level is excused by its own emptiness and excuses the combinations it is part of; the two values of a two-valued
    column are never excused, because a column that takes one value only is a constant and not a level nobody has.
    """
    from engine.analyses.base import Cell  # here, because the analyses import this package

    bent = bent_by_factors(meaning for term in terms for meaning in term)
    divided = [groupings(term, bent) for term in terms]
    margins = {grouping.key: grouping for term in divided for grouping in term}
    cells: list[Cell] = []
    index: dict[tuple[tuple[str, bool], int], int] = {}
    for grouping in margins.values():
        for group, label in enumerate(grouping.labels):
            index[grouping.key, group] = len(cells)
            cells.append(Cell(label, grouping.members(group), (len(cells),) if grouping.excused else ()))
    seen: set[frozenset] = set()
    for term in divided:
        keys = frozenset(grouping.key for grouping in term)
        if len(term) > 1 and keys not in seen:
            seen.add(keys)
            if len(cells) + int(np.prod([float(len(grouping.labels)) for grouping in term])) > MAX_CELLS:
                raise FormulaError("The interactions divide people into too many groups. Use fewer of them or merge levels.")
            cells.extend(_combinations(term, index))
    return tuple(cells)


def _combinations(term: Sequence[Grouping], index: dict[tuple[tuple[str, bool], int], int]) -> list[Cell]:
    from engine.analyses.base import Cell

    cells = []
    for groups in itertools.product(*(range(len(grouping.labels)) for grouping in term)):
        picked = list(zip(term, groups, strict=True))
        excuse = tuple(index[grouping.key, group] for grouping, group in picked if grouping.excused)
        label = ", ".join(grouping.labels[group] for grouping, group in picked)
        cells.append(Cell(label, _together([grouping.members(group) for grouping, group in picked]), excuse))
    return cells


def _together(members: list[Members]) -> Members:
    def together(batch: Batch) -> np.ndarray:
        return batch.once(together, lambda: np.logical_and.reduce([member(batch) for member in members]))

    return together
