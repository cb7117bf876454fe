"""What LOCAL sees of a hospital's table: a stream of batches, and the counts of what was left out.

A batch holds rows that passed the cohort filter and the listwise deletion of its query, as a pandas frame of dictionary
columns: numbers, integers and binaries as float64 (NaN = missing, which occurs only in columns not deleted listwise),
categories as pandas Categoricals whose categories are the dictionary's levels in declared order.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import pandas as pd

from engine.cohort import Condition


@dataclass(frozen=True)
class Query:
    """What an analysis reads: `columns` are delivered; a row with a missing or out-of-bounds value in `listwise` is left out."""

    columns: tuple[str, ...]
    listwise: tuple[str, ...]
    where: Condition | None = None


@dataclass(frozen=True)
class Batch:
    """Some rows. No person is split over two batches, so sums by person need no memory of earlier batches."""

    frame: pd.DataFrame
    persons: np.ndarray | None  # int64 (rows,), equal for rows of one person, sorted; None without a person column
    identities: np.ndarray  # uint64 (rows,): what makes this row (even), or its person (odd), the same one in a later query
    row_identities: np.ndarray | None = None  # where identities are of people: uint64 (rows,), what makes this row of theirs
    _found: dict[Hashable, np.ndarray] = field(default_factory=dict, repr=False, compare=False)

    def __len__(self) -> int:
        return len(self.identities)

    def once(self, key: Hashable, find: Callable[[], np.ndarray]) -> np.ndarray:
        """find(), worked out the first time: the gate's counts, the row sets and the analysis ask the same of a batch.

        `key` says what it is; a function that stands for itself is its own key. Nobody changes the array.
        """
        found = self._found.get(key)
        if found is None:
            found = self._found[key] = find()
        return found

    def known(self, columns: Iterable[str]) -> np.ndarray:
        """bool (rows,): which rows have a value in every one of these columns."""
        known = np.ones(len(self), dtype=bool)
        for name in columns:
            known &= self._known(name)
        return known

    def _known(self, name: str) -> np.ndarray:
        def find() -> np.ndarray:
            values = self.frame[name]
            if values.dtype.kind == "f":  # numpy's own test: pandas' asks many questions first
                return np.asarray(~np.isnan(values.to_numpy()))
            return values.notna().to_numpy()

        return self.once(("known", name), find)


@dataclass
class RowCounts:
    """Counts of one pass: people where the dictionary names a person column, else rows. Complete when the stream has ended."""

    table: int = 0  # all rows of the table
    complement: int = 0  # not selected by `where` (0 without one)
    missing: int = 0  # selected, left out for a missing value in a listwise column
    out_of_bounds: int = 0  # selected, left out for a value outside the dictionary's bounds or levels
    used: int = 0  # delivered


def unknown() -> float | None:
    """The position of a stream that cannot tell."""
    return None


@dataclass
class Rows:
    """A stream of batches with its counts. Iterate once.

    `position`, from any thread: the share of the table that the stream has gone past, chosen rows or not; None while it does not
    read, or cannot tell.
    """

    batches: Iterator[Batch]
    counts: RowCounts = field(default_factory=RowCounts)
    position: Callable[[], float | None] = unknown

    def __iter__(self) -> Iterator[Batch]:
        return self.batches


class DataSource(Protocol):
    """One hospital's data, seen through its mapping to the dictionary. Read-only."""

    def rows(self, query: Query) -> Rows:
        """Stream the query in constant memory. Raises DataError (told to this hospital only)."""
        ...

    def size(self) -> int:
        """Rows of the whole table, whatever they hold; for its hospital's own eyes. Raises DataError."""
        ...

    def snapshot(self) -> bytes:
        """32 bytes that change when the data or the mapping change (keyed by the hospital, so that nobody can test a guess)."""
        ...
