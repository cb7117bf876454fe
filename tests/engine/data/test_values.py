"""Raw values to dictionary values, case by case, and what names a row."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pandas as pd
import pytest

from engine.data.values import person_identity, read_column, row_identities, to_text
from engine.dictionary import parse_column

MISSING, OUT = "missing", "out of bounds"
INTEGER = {"type": "integer", "bounds": [0, 100]}
LEVELS = {"type": "category", "levels": ["male", "1", "None"]}


@pytest.mark.parametrize(
    ("column", "raw", "value"),
    [
        (INTEGER, "7", 7),
        (INTEGER, " 7.0 ", 7),
        (INTEGER, 7.0, 7),
        (INTEGER, "7.5", OUT),
        (INTEGER, "101", OUT),
        (INTEGER, "-1", OUT),
        (INTEGER, "seven", OUT),
        (INTEGER, "inf", OUT),
        (INTEGER, "", MISSING),
        (INTEGER, "n/a", MISSING),
        (INTEGER, None, MISSING),
        (INTEGER, np.nan, MISSING),
        (INTEGER, pd.NA, MISSING),
        (INTEGER, "-9", MISSING),
        (INTEGER, "-9.00", MISSING),
        (INTEGER, "lost", MISSING),
        (INTEGER, "many", 99),
        (INTEGER, "8", 80),
        (INTEGER, 8.0, 80),
        ({**INTEGER, "levels": [1, 2]}, "3", OUT),
        ({"type": "number", "bounds": [0, 1]}, "0.25", 0.25),
        ({"type": "binary"}, "TRUE", 1),
        ({"type": "binary"}, False, 0),
        ({"type": "binary"}, "2", OUT),
        (LEVELS, "male", 0),
        (LEVELS, " male", 0),
        (LEVELS, "Male", OUT),
        (LEVELS, "1", 1),
        (LEVELS, 1.0, 1),
        (LEVELS, "1.0", OUT),
        (LEVELS, "None", 2),
        (LEVELS, "NONE", MISSING),
        ({"type": "category", "levels": [1, 2]}, "1.0", 0),
        ({"type": "category", "levels": [1, 2]}, 2, 1),
        ({"type": "category", "levels": [1, 2]}, "3", OUT),
    ],
)
def test_a_value_is_read_as_the_rules_say(column: dict[str, Any], raw: object, value: float | str) -> None:
    codes: dict[str, Any] = {"many": 99, "8": 80} if column is INTEGER else {}
    reading = read_column(pd.Series([raw], dtype=object), parse_column("x", column), codes, ["-9", "lost"])
    found = MISSING if reading.missing[0] else OUT if reading.out_of_bounds[0] else reading.values[0]
    assert found == value


def test_texts_have_no_spaces_around_them_and_whole_numbers_no_decimals() -> None:
    raw = pd.Series([" a\t", 1.0, 2.5, True, None, np.float32(0.5), 10**15], dtype=object)
    assert to_text(raw).tolist() == ["a", "1", "2.5", "true", None, "0.5", "1000000000000000"]


def test_a_person_is_named_by_the_low_half_of_md5() -> None:
    assert person_identity("7") == int.from_bytes(hashlib.md5(b"7").digest()[8:], "little")


def test_row_identities_tell_rows_apart_and_not_the_order_of_columns() -> None:
    generator = np.random.default_rng(1)
    columns = {"a": generator.integers(0, 50, 20_000).astype(float), "b": generator.uniform(size=20_000)}
    names = row_identities(columns)
    assert len(set(names.tolist())) == 20_000
    np.testing.assert_array_equal(names, row_identities(dict(reversed(columns.items()))))
    assert row_identities({"a": np.array([0.0])}) == row_identities({"a": np.array([-0.0])})
    assert row_identities({"a": np.array([1.0]), "b": np.array([2.0])}) != row_identities(
        {"a": np.array([2.0]), "b": np.array([1.0])}
    )
    # Every bit but the lowest, which is kept at 0, is set about half of the time.
    bits = np.unpackbits(names.view(np.uint8)).reshape(-1, 64).mean(axis=0)
    assert np.sum(np.abs(bits - 0.5) < 0.03) == 63


def test_row_identities_are_the_same_for_ever() -> None:
    """Digests on disk rely on these numbers. They are worked out again here in Python's integers."""
    names = row_identities({"b": np.array([0.0, 2.5]), "a": np.array([1.0, np.nan])})
    assert names.tolist() == [chained([0x3FF0000000000000, 0]), chained([0x7FF8000000000000, 0x4004000000000000])]
    assert names.tolist() == PINNED


def chained(words: list[int]) -> int:
    state, mask = 0x9E3779B97F4A7C15, 2**64 - 1
    for word in words:
        state ^= word
        state = (state ^ state >> 30) * 0xBF58476D1CE4E5B9 & mask
        state = (state ^ state >> 27) * 0x94D049BB133111EB & mask
        state = ((state ^ state >> 31) + 0x9E3779B97F4A7C15) & mask
    return state & ~1


PINNED = [576658918718166288, 18280640442539453286]
