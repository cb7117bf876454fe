"""A guessed dictionary: types, levels, bounds that betray nothing, and everything assumed said in words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.data.infer import generous_bounds, infer
from engine.dictionary import Dictionary
from engine.errors import DataError, DictionaryError


def files(folder: Path, *tables: pd.DataFrame) -> dict[str, Path]:
    paths = {}
    for name, table in zip("abc", tables, strict=False):
        paths[name] = folder / f"{name}.{'parquet' if name == 'b' else 'csv'}"
        table.to_parquet(paths[name]) if name == "b" else table.to_csv(paths[name], index=False)
    return paths


def table(seed: int, rows: int = 80) -> pd.DataFrame:
    generator = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "patient_id": np.arange(rows) + 1000,
            "age": generator.integers(21, 88, rows),
            "weight": generator.uniform(43.7, 118.9, rows),
            "wt.loss": generator.integers(-24, 68, rows),
            "ph.ecog": generator.choice([0.0, 1.0, 2.0, np.nan], rows),
            "dead": generator.choice([0, 1], rows),
            "flag": generator.choice([True, False], rows),
            "sex": generator.choice(["male", "female", None], rows),
            "note": [f"text {seed} {row}" for row in range(rows)],
            "constant": 5,
            "one": 1,
            "empty": [None] * rows,
            "huge": 10.0 ** generator.integers(90, 200, rows),
            **{f"lab.{index}": generator.uniform(0, 10**index, rows) for index in range(50)},
        }
    )


def test_a_guess_from_csv_and_parquet(tmp_path: Path) -> None:
    dictionary, assumptions, own_names = infer(files(tmp_path, table(1), table(2).assign(only_b=1)))
    declared = dictionary.to_dict()["columns"]
    assert declared["age"] == {"type": "integer", "bounds": [0, 200]}
    assert declared["weight"] == {"type": "number", "bounds": [0.0, 200.0]}
    assert declared["wt.loss"]["bounds"][0] < -24
    assert declared["ph.ecog"] == {"type": "integer", "bounds": [0, 4], "levels": [0, 1, 2]}
    assert declared["dead"] == declared["flag"] == declared["one"] == {"type": "binary"}
    assert declared["sex"] == {"type": "category", "levels": ["female", "male"]}
    assert declared["constant"]["levels"] == [5]
    assert len([name for name in declared if name.startswith("lab.")]) == 50
    left_out = {text.split(":")[0] for text in assumptions if "left out" in text}
    assert left_out == {"patient_id", "huge", "note", "empty", "only_b"}
    assert any(text.startswith("only_b") and "a has no such column" in text for text in assumptions)
    assert Dictionary.parse(dictionary.to_dict()) == dictionary


def test_an_id_that_repeats_is_the_person(tmp_path: Path) -> None:
    dictionary, assumptions, _ = infer(files(tmp_path, pd.DataFrame({"id": [1, 1, 2], "x": [0, 1, 1]})))
    assert dictionary.person == "id"
    assert list(dictionary.columns) == ["x"]
    assert any("person column" in text for text in assumptions)


def test_names_no_dictionary_can_hold_are_left_out(tmp_path: Path) -> None:
    _, assumptions = infer(files(tmp_path, pd.DataFrame({"a b": [1, 2], "hospital": [1, 2], "x": [1, 0]})))
    assert [text.split(":")[0] for text in assumptions] == ["a b", "hospital"]


def test_nothing_in_common_and_nothing_to_read(tmp_path: Path) -> None:
    with pytest.raises(DictionaryError, match="no column in common"):
        infer(files(tmp_path, pd.DataFrame({"x": [1]}), pd.DataFrame({"y": [1]})))
    with pytest.raises(DataError, match="no file"):
        infer({"a": tmp_path / "none.csv"})


@given(st.floats(-1e9, 1e9), st.floats(1e-6, 1e9))
def test_bounds_are_wide_and_round(low: float, span: float) -> None:
    high = low + span
    below, above = generous_bounds(low, high)
    span = high - low
    assert above >= high + 0.99 * span
    assert below <= low - 0.99 * span if low < 0 else 0 <= below <= low
    assert above - below <= 30 * max(span, 1e-300)


def test_bounds_hide_small_changes_of_the_extremes() -> None:
    assert generous_bounds(21, 87) == generous_bounds(18, 95) == (0, 200)
