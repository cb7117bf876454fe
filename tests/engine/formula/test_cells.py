"""Which groups of people a formula counts: levels, zeros and ones, few values, and their combinations."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from engine.data.rows import Batch
from engine.dictionary import Dictionary
from engine.formula import Design
from tests.engine.formula.formulas import BATCH, DICTIONARY, FRAME


@pytest.mark.parametrize(
    ("formula", "binary", "ones"),
    [
        ("dead ~ age", True, FRAME["dead"] == 1),
        ("arm ~ age", True, FRAME["arm"] == "treated"),
        ("I(1 * dead) ~ age", True, FRAME["dead"] == 1),
        ("{dead} ~ age", True, FRAME["dead"] == 1),
        ("y ~ age", False, None),
    ],
)
def test_a_response_of_two_levels_is_zero_and_one(formula: str, binary: bool, ones: pd.Series | None) -> None:
    design = Design.compile(formula, DICTIONARY)
    assert design.response_binary is binary
    assert len(design.response_cells) == (2 if binary else 0)
    if ones is not None:
        np.testing.assert_array_equal(design.response(BATCH), ones.astype(float))
        assert [int(cell.members(BATCH).sum()) for cell in design.response_cells] == [int((~ones).sum()), int(ones.sum())]
        assert all(cell.absent_if == () for cell in design.response_cells)


@pytest.mark.parametrize("response", ["I(2 * dead - 1)", "log1p(dead)", "log(dead + 1)", "sqrt(dead)", "I(1 - dead)"])
def test_a_function_of_a_two_valued_column_has_its_cells(response: str) -> None:
    design = Design.compile(f"{response} ~ age", DICTIONARY)
    assert [cell.label for cell in design.response_cells] == ["dead = 0", "dead = 1"]
    assert [int(cell.members(BATCH).sum()) for cell in design.response_cells] == [(FRAME["dead"] == v).sum() for v in (0, 1)]
    assert design.response_binary is (response in ("sqrt(dead)", "I(1 - dead)"))


COUNTS = Dictionary.parse(
    {
        "columns": {
            "few": {"type": "integer", "bounds": [0, 4]},
            "listed": {"type": "integer", "bounds": [1, 7], "levels": [1, 3, 7]},
            "many": {"type": "integer", "bounds": [0, 5]},
            "from_one": {"type": "integer", "bounds": [1, 90]},
            "measured": {"type": "number", "bounds": [0, 5]},
            "female": {"type": "binary"},
        }
    }
)


@pytest.mark.parametrize(
    ("response", "values", "zero"),
    [
        ("few", [f"few = {value}" for value in range(5)], []),
        ("log1p(few)", [f"few = {value}" for value in range(5)], []),
        ("listed", [f"listed = {value}" for value in (1, 3, 7)], []),
        ("many", [], ["many = 0", "many > 0"]),
        ("sqrt(many)", [], ["many = 0", "many > 0"]),
        ("from_one", [], []),
        ("measured", [], []),
    ],
)
def test_a_response_of_few_values_has_a_cell_for_each_and_any_other_count_two(
    response: str, values: list[str], zero: list[str]
) -> None:
    design = Design.compile(f"{response} ~ female", COUNTS)
    assert [cell.label for cell in design.response_cells] == values
    assert [cell.label for cell in design.zero_cells] == zero
    for place, cell in enumerate((*design.response_cells, *design.zero_cells), len(design.cells)):
        assert cell.absent_if == (place,)  # excused where nobody has it
    batch = Batch(pd.DataFrame({"many": [0.0, 3.0]}), None, np.arange(2, dtype=np.uint64))
    for cell in design.zero_cells:
        assert cell.members(batch).tolist() == [cell.label == "many = 0", cell.label == "many > 0"]


def test_cells_are_levels_zeros_and_ones_and_their_combinations() -> None:
    design = Design.compile("dead ~ age + race*female + old:age + centre", DICTIONARY)
    labels = {cell.label: cell for cell in design.cells}
    assert {
        "race is white",
        "race is black",
        "race is other",
        "centre is 3",
        "female = 0",
        "female = 1",
        "old = 1",
    } <= labels.keys()
    combination = labels["race is black, female = 1"]
    expected = (FRAME["race"] == "black") & (FRAME["female"] == 1)
    assert combination.members(BATCH).sum() == expected.sum()
    level = labels["race is black"]
    assert level.absent_if == (design.cells.index(level),)
    assert combination.absent_if == level.absent_if
    assert labels["female = 1"].absent_if == ()
    assert len(design.cells) == 3 + 2 + 2 + 3 + 6


def test_an_interaction_of_two_factors_is_excused_by_either_empty_level() -> None:
    design = Design.compile("y ~ race:arm", DICTIONARY)
    index = {cell.label: position for position, cell in enumerate(design.cells)}
    assert design.cells[index["race is other, arm is control"]].absent_if == (index["race is other"], index["arm is control"])


def test_a_power_of_a_zero_one_column_counts_as_that_column() -> None:
    assert [cell.label for cell in Design.compile("y ~ I(female**2) + exp(female)", DICTIONARY).cells] == [
        "female = 0",
        "female = 1",
    ]


def test_a_column_of_two_whole_numbers_counts_as_two_groups() -> None:
    dictionary = Dictionary.parse(
        {"columns": {"t": {"type": "number", "bounds": [0, 9]}, "sex": {"type": "integer", "bounds": [1, 2]}}}
    )
    assert [cell.label for cell in Design.compile("t ~ sex", dictionary).cells] == ["sex = 1", "sex = 2"]


FEW = Dictionary.parse(
    {
        "columns": {
            "y": {"type": "number", "bounds": [0, 100]},
            "grade": {"type": "integer", "bounds": [0, 2]},
            "tenth": {"type": "number", "bounds": [0, 1], "resolution": 0.5},
            "age": {"type": "integer", "bounds": [18, 100]},
        }
    }
)


@pytest.mark.parametrize(
    ("formula", "cells"),
    [
        ("y ~ grade", 0),
        ("y ~ grade + age + I(age**2)", 0),
        ("y ~ I((grade - 0.5)**2)", 3),
        ("y ~ grade + I(grade**2)", 3),
        ("y ~ I((tenth - 0.25)**2)", 3),
        ("y ~ age + log(grade + 1)", 3),
    ],
)
def test_a_bent_column_of_few_values_counts_as_groups(formula, cells):
    """On 0, 1, 2 the square of x - 1/2 is 0.25, 0.25, 2.25: an indicator of 2."""
    design = Design.compile(formula, FEW)
    assert len(design.cells) == cells
    frame = pd.DataFrame({"y": 1.0, "grade": [0.0, 1, 1, 2], "tenth": [0.0, 0.5, 0.4999, 1], "age": 40.0})
    batch = Batch(frame, None, np.arange(4, dtype=np.uint64))
    assert [int(cell.members(batch).sum()) for cell in design.cells] == [1, 2, 1][:cells]
    assert all(cell.absent_if == (i,) for i, cell in enumerate(design.cells))
