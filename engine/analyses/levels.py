"""Columns that divide people into declared groups, and the cells of a table made of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from engine.analyses.base import Cell
from engine.data.rows import Batch
from engine.dictionary import Column, Dictionary, Level
from engine.errors import SpecError


@dataclass(frozen=True)
class Levels:
    """A column with its levels in declared order."""

    column: Column
    values: tuple[str | int | float, ...]

    @classmethod
    def of(cls, dictionary: Dictionary, name: str) -> Levels:
        """Raises UnknownColumn, or SpecError for a column whose values the dictionary does not list."""
        column = dictionary[name]
        values = column.values or column.pair
        if values is None:
            raise SpecError(
                f"'{name}' has no declared levels; declare it as a category or binary, or an integer with levels = [...]"
            )
        return cls(column, tuple(int(v) if isinstance(v, float) and v.is_integer() else v for v in values))

    @property
    def name(self) -> str:
        return self.column.name

    def __len__(self) -> int:
        return len(self.values)

    def position(self, level: Level) -> int:
        """Of a level as a person writes it. Raises UnknownLevel."""
        same = [i for i, value in enumerate(self.values) if value == level and isinstance(value, str) == isinstance(level, str)]
        return same[0] if same else self.column.level_index(level)

    def codes(self, frame: pd.DataFrame) -> np.ndarray:
        """int64 (rows,): the position of each row's level, -1 where it is missing."""
        series = frame[self.name]
        if isinstance(series.dtype, pd.CategoricalDtype):
            return series.cat.codes.to_numpy().astype(np.int64)
        values = series.to_numpy(dtype=np.float64)
        codes = np.full(len(values), -1, dtype=np.int64)
        for position, level in enumerate(self.values):
            codes[values == float(level)] = position
        return codes

    def of_batch(self, batch: Batch) -> np.ndarray:
        """The codes of a batch, worked out once for all cells."""
        return batch.once((Levels, self.name, self.values), lambda: self.codes(batch.frame))

    def margins(self, first: int) -> tuple[Cell, ...]:
        """One cell a level, numbered from `first` in the plan; a level that nobody has is excused."""
        return tuple(Cell(f"{self.name} is {value}", _has(self, i), (first + i,)) for i, value in enumerate(self.values))


def table_cells(rows: Levels, columns: Levels, first_row: int, first_column: int) -> tuple[Cell, ...]:
    """The cells of rows x columns, row by row; 0 is excused only where a whole row or column is empty everywhere."""
    return tuple(
        Cell(f"{rows.name} is {a}, {columns.name} is {b}", _has_both(rows, i, columns, j), (first_row + i, first_column + j))
        for i, a in enumerate(rows.values)
        for j, b in enumerate(columns.values)
    )


def count_table(rows: Levels, columns: Levels, frame: pd.DataFrame) -> np.ndarray:
    """int64 (rows, columns); rows with a missing value are in no cell."""
    a, b = rows.codes(frame), columns.codes(frame)
    known = (a >= 0) & (b >= 0)
    flat = np.bincount(a[known] * len(columns) + b[known], minlength=len(rows) * len(columns))
    return flat.reshape(len(rows), len(columns)).astype(np.int64)


def _has(levels: Levels, i: int) -> Callable[[Batch], np.ndarray]:
    def members(batch: Batch) -> np.ndarray:
        return batch.once(members, lambda: np.asarray(levels.of_batch(batch) == i))

    return members


def _has_both(rows: Levels, i: int, columns: Levels, j: int) -> Callable[[Batch], np.ndarray]:
    def members(batch: Batch) -> np.ndarray:
        return batch.once(members, lambda: (rows.of_batch(batch) == i) & (columns.of_batch(batch) == j))

    return members
