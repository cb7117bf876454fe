"""Columns that the dictionary makes from others: a measurement cut at declared points, or levels merged.

    [columns.age_group]                                     [columns.late]
    type = "category"                                       type = "category"
    from = "age"                                            from = "stage"
    cuts = [40, 65]                                         merge = [["I", "II"], ["III", "IV"]]
    levels = ["under 40", "40 to 64", "65 and over"]        levels = ["early", "late"]

Level i of a cut column has cuts[i - 1] <= x < cuts[i]. Every value that the source may take belongs to exactly one level, so a
derived value is missing (or out of bounds) where the source's is, and nowhere else. All members sign the declaration with the
dictionary; every hospital works the column out itself, from its own reading of the source, and no hospital maps it. The
declaration is data: numbers to compare with, never an expression. A derived column has its source's grade.
"""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.errors import DictionaryError, UnknownLevel

if TYPE_CHECKING:
    from engine.dictionary import Column, Level

KEYS = frozenset({"type", "from", "cuts", "merge", "levels", "label"})


@dataclass(frozen=True)
class Derivation:
    """How a column follows from `source`: by `cuts`, or by the levels merged into each of its own."""

    source: str
    cuts: tuple[float, ...] = ()
    merge: tuple[tuple[Level, ...], ...] = ()
    merged: tuple[tuple[float, ...], ...] = ()  # `merge` as a table is read: a category's positions, a number's values

    def positions(self, values: np.ndarray) -> np.ndarray:
        """float64 (rows,): the position of each row's level, NaN for none, from the source as a table is read."""
        out = np.full(len(values), np.nan)
        if self.cuts:
            known = ~np.isnan(values)
            out[known] = np.searchsorted(self.cuts, values[known], side="right")
        for position, own in enumerate(self.merged):
            out[np.isin(values, own)] = position
        return out

    def to_dict(self) -> dict[str, Any]:
        how = {"cuts": list(self.cuts)} if self.cuts else {"merge": [list(levels) for levels in self.merge]}
        return {"from": self.source, **how}


def parse(name: str, entry: Mapping[str, Any], levels: tuple[Level, ...], columns: Mapping[str, Column]) -> Derivation:
    """`columns`: those that hospitals read. Raises DictionaryError where the source's values are not divided among the levels."""
    where, given = f"Column '{name}'", entry["from"]
    source = columns.get(given) if isinstance(given, str) else None
    if source is None:
        raise DictionaryError(
            f"{where}: from = names no column that hospitals read. It takes another column, not itself made of one."
        )
    if ("cuts" in entry) == ("merge" in entry):
        raise DictionaryError(f"{where} needs either cuts = [numbers] or merge = [[levels], [levels]] beside from =.")
    if len(levels) < 2:
        raise DictionaryError(f"{where}: a column made from another one needs two levels or more.")
    return _cut(where, entry["cuts"], levels, source) if "cuts" in entry else _merge(where, entry["merge"], levels, source)


def _cut(where: str, cuts: Any, levels: tuple[Level, ...], source: Column) -> Derivation:
    if source.type not in ("number", "integer"):
        raise DictionaryError(f"{where}: cuts = divides a number, and '{source.name}' is none. Use merge = for levels.")
    if not isinstance(cuts, list | tuple) or not all(map(_is_number, cuts)) or len(cuts) != len(levels) - 1:
        raise DictionaryError(f"{where}: cuts = lists the numbers between its levels, one fewer than there are levels.")
    points, (low, high) = tuple(float(cut) for cut in cuts), source.limits
    if any(a >= b for a, b in itertools.pairwise(points)) or points[0] <= low or points[-1] > high:
        raise DictionaryError(f"{where}: its cuts must increase, and lie within the bounds of '{source.name}', above the lowest.")
    reached = {_first_within(source, edge, points) for edge in (low, *points)}
    if source.type == "integer" and reached != set(range(len(levels))):
        raise DictionaryError(f"{where}: no value of '{source.name}' lies between two of its cuts. Leave one of them out.")
    return Derivation(source.name, cuts=points)


def _first_within(source: Column, edge: float, cuts: tuple[float, ...]) -> int:
    """The level of the least whole number from `edge` on that the source may take; one too many where there is none."""
    listed = [float(value) for value in source.values or () if float(value) >= edge]
    least = float(math.ceil(edge)) if source.values is None else min(listed, default=math.inf)
    return bisect.bisect_right(cuts, least) if least <= source.limits[1] else len(cuts) + 1


def _merge(where: str, merge: Any, levels: tuple[Level, ...], source: Column) -> Derivation:
    values = source.values
    if values is None:
        raise DictionaryError(f"{where}: merge = puts levels together, and '{source.name}' has none. Use cuts = for a number.")
    grouped = isinstance(merge, list | tuple) and all(isinstance(own, list | tuple) and own for own in merge)
    if not grouped or any(isinstance(level, bool) for own in merge for level in own):
        raise DictionaryError(f"{where}: merge = lists, for each of its levels, the levels of '{source.name}' that belong to it.")
    if len(merge) != len(levels):
        raise DictionaryError(f"{where}: merge = has another number of groups than there are levels.")
    try:
        positions = [[source.level_index(level) for level in own] for own in merge]
    except UnknownLevel as error:
        raise DictionaryError(f"{where}: {error}") from None
    if sorted(position for own in positions for position in own) != list(range(len(values))):
        raise DictionaryError(f"{where}: every level of '{source.name}' must be in exactly one group of merge =.")
    as_read = tuple(tuple(float(values[p]) if source.numeric else float(p) for p in own) for own in positions)
    return Derivation(source.name, merge=tuple(tuple(own) for own in merge), merged=as_read)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
