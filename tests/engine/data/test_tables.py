"""Tables as DuckDB opens them: wide ones get the memory that they need."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from engine.data.config import DataSection
from engine.data.duckdb_source import DuckDBSource
from engine.data.rows import Query
from engine.dictionary import Dictionary
from engine.errors import DataError

COLUMNS, ROWS = 60, 30_000


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CSV file of 60 columns, 10 of them texts, long enough for two threads."""
    generator = np.random.default_rng(1)
    table = pd.DataFrame({f"c{i}": np.round(generator.normal(i, 1, ROWS), 3) for i in range(COLUMNS)})
    for i in range(10):
        table[f"c{i}"] = generator.choice(["alpha", "beta", "gamma delta"], ROWS)
    path = tmp_path_factory.mktemp("wide") / "wide.csv"
    table.to_csv(path, index=False)
    return path


def count(section: DataSection, folder: Path) -> int:
    levels = {"type": "category", "levels": ["alpha", "beta", "gamma delta"]}
    columns = {f"c{i}": levels if i < 10 else {"type": "number", "bounds": [-1000, 1000]} for i in range(COLUMNS)}
    with DuckDBSource(section, Dictionary.parse({"columns": columns}), b"k" * 32, folder) as source:
        return sum(len(batch) for batch in source.rows(Query(("c20",), ("c20",), None)))


def test_a_wide_table_can_be_read_without_setting_memory(wide: Path) -> None:
    assert count(DataSection(source=wide.name), wide.parent) == ROWS


def test_memory_that_a_hospital_sets_is_kept_and_too_little_is_said(wide: Path) -> None:
    with pytest.raises(DataError, match="Raise memory"):
        count(DataSection(source=wide.name, memory="20MB"), wide.parent)


def test_nothing_can_be_set_once_the_tables_are_open(wide: Path) -> None:
    levels = {"columns": {"c20": {"type": "number", "bounds": [-1000, 1000]}}}
    with DuckDBSource(DataSection(source=wide.name), Dictionary.parse(levels), b"k" * 32, wide.parent) as source:
        for statement in ("SET memory_limit = '9GB'", "SET enable_external_access = true"):
            with pytest.raises(DataError):
                source._tables.fetch(statement)
