"""A guessed dictionary: types, levels, bounds that betray nothing, and everything assumed said in words."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.data.infer import MOST_STEPS, STEPS, _bounds_and_resolution, generous_bounds, infer
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
    dictionary, assumptions, _ = infer(files(tmp_path, table(1), table(2).assign(only_b=1)))
    declared = dictionary.to_dict()["columns"]
    assert declared["age"] == {"type": "integer", "bounds": [1, 200]}
    assert declared["weight"] == {"type": "number", "bounds": [1.0, 200.0]}
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


def test_an_id_is_a_code_when_few_values_come_often(tmp_path: Path) -> None:
    """PID of the American National Election Studies is a party identification from 0 to 6."""
    dictionary, _, _ = infer(files(tmp_path, pd.DataFrame({"PID": [0, 1, 2, 3] * 30, "x": [0, 1] * 60})))
    assert dictionary.person is None
    assert dictionary["PID"].levels == (0, 1, 2, 3)


def test_names_no_dictionary_can_hold_are_changed_and_said(tmp_path: Path) -> None:
    own = ["Age (years)", "Age_years", "hospital", "2nd visit", "Größe [cm]", "m²", "*", "x"]
    dictionary, assumptions, own_names = infer(files(tmp_path, pd.DataFrame({name: [1, 2] for name in own})))
    assert own_names == {
        "Age_years_": "Age (years)",
        "hospital_": "hospital",
        "x2nd_visit": "2nd visit",
        "Größe_cm": "Größe [cm]",
        "m2": "m²",
    }
    assert set(dictionary.columns) == {*own_names, "Age_years", "x"}
    assert "Age (years): called Age_years_ here; [data.columns] of every hospital says so." in assumptions
    assert any(text.startswith("*: left out") for text in assumptions)


def declared(folder: Path, *columns: list[float]) -> Mapping[str, Any]:
    """What is declared of a column x that holds these values at the hospitals."""
    tables = [pd.DataFrame({"x": values}) for values in columns]
    declared: Mapping[str, Any] = infer(files(folder, *tables)).dictionary.to_dict()["columns"]["x"]
    return declared


def test_positive_numbers_have_a_positive_lower_bound(tmp_path: Path) -> None:
    """So log(x) exists; with a zero or a negative number it does not."""
    assert declared(tmp_path, [0.0371234567, 0.2])["bounds"][0] == 0.001
    assert declared(tmp_path, list(range(21, 88)))["bounds"] == [1, 200]
    assert declared(tmp_path, [0.0, 0.2371234567])["bounds"][0] == 0.0
    assert declared(tmp_path, [1.5, 2.0, 3.5]) == {"type": "number", "bounds": [0.5, 6.0], "resolution": 0.5}


def test_decimals_on_a_grid_have_a_resolution(tmp_path: Path) -> None:
    generator = np.random.default_rng(1)
    hundredths = np.round(generator.uniform(15, 45, 200), 2)
    assert declared(tmp_path, list(hundredths))["resolution"] == 0.01
    assert declared(tmp_path, [0.1, 0.2, 0.7], [0.05])["resolution"] == 0.05  # as fine as the finest hospital's
    assert "resolution" not in declared(tmp_path, list(generator.uniform(15, 45, 200)))
    assert "resolution" not in declared(tmp_path, [0.001, 900.0])  # too many steps


def test_whole_numbers_far_apart_keep_a_grid_of_their_own(tmp_path: Path) -> None:
    income = declared(tmp_path, [100 * value for value in range(5, 900)])
    assert income["resolution"] == 100
    weights = declared(tmp_path, list(range(709, 4991)))  # in grams: bounds a little closer, for the grid to fit
    assert "resolution" not in weights
    assert weights["bounds"][1] - weights["bounds"][0] <= MOST_STEPS


@given(st.integers(1, 10**6), st.integers(1, 10**6), st.sampled_from(STEPS))
def test_both_bounds_of_a_grid_lie_on_it(first: int, more: int, step: float) -> None:
    """Or the quartiles would be those of other numbers."""
    low, high = first * step, (first + more) * step
    (below, above), resolution = _bounds_and_resolution(low, high, step, step >= 1)
    grid = resolution or (1.0 if step >= 1 else None)
    assert 0 < below <= low < high < above
    if grid is not None:
        assert (above - below) / grid <= MOST_STEPS or resolution is None
        assert all(abs(value / grid - round(value / grid)) < 1e-6 for value in (below, above))


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
    beyond = 0.99 * span - 4 * math.ulp(max(abs(low), abs(high)))
    assert above >= high + beyond
    assert below <= low - beyond if low < 0 else 0 <= below <= low
    assert above - below <= 30 * max(span, 1e-300)


def test_bounds_hide_small_changes_of_the_extremes() -> None:
    assert generous_bounds(21, 87) == generous_bounds(18, 95) == (0, 200)
