"""Counting people, not rows, where the dictionary names a person column. No person is split over two batches."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from protocols.engine import Secret


def starts(persons: np.ndarray) -> np.ndarray:
    """The index of each person's first row; rows of one person are adjacent."""
    return np.flatnonzero(np.concatenate([[True], persons[1:] != persons[:-1]])) if len(persons) else np.empty(0, np.int64)


def count(members: np.ndarray, persons: np.ndarray | None) -> int:
    """How many people have at least one row in `members` (bool); how many rows where no person column is named."""
    if persons is None or not len(members):
        return int(np.count_nonzero(members))
    return int(np.count_nonzero(np.logical_or.reduceat(members, starts(persons))))


def sum_by_person(rows: np.ndarray, persons: np.ndarray | None) -> np.ndarray:
    """Rows of each person added up, shape (people, ...); the rows themselves without a person column."""
    if persons is None or not len(rows):
        return rows
    return np.add.reduceat(rows, starts(persons), axis=0)


def used(totals: Mapping[str, Secret]) -> Secret:
    """How many people the cohort has, (): the first of the counts that the gate adds to every first contribution."""
    return totals["gate.counts"][0]
