"""What LOCAL sees of a hospital's table: a stream of batches, and the counts of what was left out.

A batch holds rows that passed the cohort filter and the listwise deletion of its query, as a pandas frame of dictionary
columns: numbers, integers and binaries as float64 (NaN = missing, which occurs only in columns not deleted listwise),
categories as pandas Categoricals whose categories are the dictionary's levels in declared order.
"""

from __future__ import annotations

from collections.abc import Iterator
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

    def __len__(self) -> int:
        return len(self.identities)


@dataclass
class RowCounts:
    """Counts of one pass: people where the dictionary names a person column, else rows. Complete when the stream has ended."""

    table: int = 0  # all rows of the table
    complement: int = 0  # not selected by `where` (0 without one)
    missing: int = 0  # selected, left out for a missing value in a listwise column
    out_of_bounds: int = 0  # selected, left out for a value outside the dictionary's bounds or levels
    used: int = 0  # delivered


@dataclass
class Rows:
    """A stream of batches with its counts. Iterate once."""

    batches: Iterator[Batch]
    counts: RowCounts = field(default_factory=RowCounts)

    def __iter__(self) -> Iterator[Batch]:
        return self.batches


class DataSource(Protocol):
    """One hospital's data, seen through its mapping to the dictionary. Read-only."""

    def rows(self, query: Query) -> Rows:
        """Stream the query in constant memory. Raises DataError (told to this hospital only)."""
        ...

    def snapshot(self) -> bytes:
        """32 bytes that change when the data or the mapping change (keyed by the hospital, so that nobody can test a guess)."""
        ...
