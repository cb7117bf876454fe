"""How a hospital's raw value becomes a dictionary value: the one definition, in pandas. engine/data/sql.py says the same in SQL.

In this order, for each value of each column:

1. null, NaN, or one of the hospital's own `missing` codes: missing
2. one of the hospital's own `codes`: replaced by what the code stands for
3. a level of a category (texts as they are without spaces around them, numeric levels as numbers): that level
4. an empty text, or a usual word for nothing (NA, null, ...): missing
5. a number (true and false are 1 and 0) that the dictionary allows: that number
6. anything else: out of bounds

A value out of bounds has no value: `where` and columns that are not deleted listwise see it as missing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

import native
from engine.dictionary import Column, Level

START = 0x9E3779B97F4A7C15
NOTHING = ("", "na", "n/a", "nan", "<na>", "null", "none", ".")


@dataclass(frozen=True)
class Reading:
    """One column of a table, read. Numbers, or positions of levels for a category; NaN where there is no value."""

    values: np.ndarray  # float64 (rows,)
    missing: np.ndarray  # bool (rows,)

    @property
    def out_of_bounds(self) -> np.ndarray:
        return np.asarray(np.isnan(self.values) & ~self.missing)


def read_column(raw: pd.Series, column: Column, codes: Mapping[str, Level] | None = None, missing: Sequence[str] = ()) -> Reading:
    """Steps 1 to 6 over a pandas column of any type."""
    text = to_text(raw)
    number = pd.to_numeric(pd.Series(text, dtype=object), errors="coerce").to_numpy(dtype=np.float64, copy=True)
    nothing = _matches(text, number, tuple(missing)) | np.array([value is None for value in text], dtype=bool)
    coded = np.zeros(len(text), dtype=bool)
    for key, level in (codes or {}).items():
        hit = _matches(text, number, (key,)) & ~nothing & ~coded
        text[hit] = str(level)
        number[hit] = np.nan if isinstance(level, str) else float(level)
        coded |= hit
    values = _levels(text, number, column) if not column.numeric else _numbers(text, number, column)
    lowered = np.array([str(value).casefold() in NOTHING for value in text], dtype=bool)
    nothing |= lowered & ~coded & np.isnan(values)
    values[nothing] = np.nan
    return Reading(values, nothing)


def to_text(raw: pd.Series) -> np.ndarray:
    """Each value as text without spaces around it; None for null. A whole number has no decimals, whatever its type."""
    if raw.dtype == np.float32:
        raw = raw.astype(np.float64)
    return np.array([_text(value) for value in raw.astype(object)], dtype=object)


def person_identity(text: str) -> int:
    """A stable 64-bit name of a person id: the low half of its MD5 (DuckDB's md5_number_lower)."""
    return int.from_bytes(hashlib.md5(text.encode(), usedforsecurity=False).digest()[8:], "little")


def name_people(identities: np.ndarray) -> np.ndarray:
    """Identities of people are odd, those of rows even: a digest of many can tell what it counts."""
    return identities | np.uint64(1)


def row_identities(columns: Mapping[str, np.ndarray]) -> np.ndarray:
    """uint64 (rows,): a stable name of each row, from the values of all its columns (float64, NaN for none).

    The finalizer of splitmix64 (Steele, Lea and Flood 2014), chained over the columns in the order of their names. It need not
    resist attack: identities stay at the hospital, which enciphers them before anything is kept.
    """
    return native.row_names([values for _, values in sorted(columns.items())], START) & ~np.uint64(1)


def _text(value: Any) -> str | None:
    if value is None or value is pd.NA or value is pd.NaT or (isinstance(value, float) and np.isnan(value)):
        return None
    if isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    if isinstance(value, float | np.floating) and float(value).is_integer() and abs(float(value)) < 2**63:
        return str(int(value))
    return str(value).strip(" \t\r\n")


def _matches(text: np.ndarray, number: np.ndarray, wanted: tuple[str, ...]) -> np.ndarray:
    """bool (rows,): equal as text, or equal as numbers."""
    numbers = pd.to_numeric(pd.Series(wanted, dtype=object), errors="coerce").dropna().to_numpy(dtype=np.float64)
    texts: np.ndarray = np.isin(text.astype(str), wanted) & np.array([value is not None for value in text], dtype=bool)
    return texts | np.isin(number, numbers)


def _levels(text: np.ndarray, number: np.ndarray, column: Column) -> np.ndarray:
    values = np.full(len(text), np.nan)
    for index, level in enumerate(column.levels or ()):
        values[(text == level if isinstance(level, str) else number == float(level)) & np.isnan(values)] = index
    return values


def _numbers(text: np.ndarray, number: np.ndarray, column: Column) -> np.ndarray:
    values = number.copy()
    lowered = np.array([str(value).casefold() for value in text], dtype=object)
    values[lowered == "true"], values[lowered == "false"] = 1.0, 0.0
    low, high = column.limits
    allowed = (values >= low) & (values <= high)
    if column.type != "number":
        allowed &= np.floor(np.where(allowed, values, 0.0)) == values
    if column.levels is not None:
        allowed &= np.isin(values, [float(level) for level in column.levels])
    return np.where(allowed, values, np.nan)
