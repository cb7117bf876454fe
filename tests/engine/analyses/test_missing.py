"""Counts of missing values."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from engine.data.frame_source import FrameSource
from engine.dictionary import Dictionary
from engine.dry_run import plan_ranges, run_in_clear
from engine.errors import RefusedByDisclosureRules, SpecError
from engine.party.gate import GatePolicy
from tests.engine.analyses.studies import analysis_of, ask, ask_set, ask_under, split

COLUMNS: dict[str, Any] = {
    "a": {"type": "number", "bounds": [0, 1]},
    "b": {"type": "category", "levels": ["x", "y"]},
    "c": {"type": "category", "from": "a", "cuts": [0.5], "levels": ["low", "high"]},
    "d": {"type": "number", "bounds": [0, 1]},
}


def frame(a: int, b: int, rows: int = 90) -> pd.DataFrame:
    """The first `a` people lack a, the last `b` lack b; everybody has d."""
    number = np.arange(rows)
    return pd.DataFrame({"a": np.where(number < a, np.nan, 0.5), "b": np.where(number >= rows - b, None, "x"), "d": 0.5})


def missing(rows: pd.DataFrame, *columns: str, person: bool = False, **fields: Any) -> Any:
    dictionary = {"columns": COLUMNS, **({"person": {"column": "id"}} if person else {})}
    return ask(split(rows), dictionary, "missing", columns=columns or ("a", "b"), **fields)


@pytest.mark.parametrize(("number", "told"), [(0, 0), (1, "<10"), (9, "<10"), (10, 10), (40, 40)])
def test_counts_of_one_to_nine_are_not_told_apart(number: int, told: int | str) -> None:
    found = missing(frame(number, 12).assign(b=lambda rows: rows["b"].where(np.arange(90) >= number)))
    assert found.table["missing"].tolist() == [told, number + 12]
    assert found.incomplete == (None if told == "<10" else number + 12)  # as many lack both
    assert found.table.loc["b", "percent"] == pytest.approx(100 * (number + 12) / 90)
    assert np.isnan(found.table.loc["a", "percent"]) == (told == "<10")
    assert (found.nobs, found.missing, found.error_bound) == (90, 0, 0.0)


@pytest.mark.parametrize(("cell", "number", "told"), [(20, 1, "<20"), (20, 19, "<20"), (20, 20, 20), (5, 4, "<5"), (5, 5, 5)])
def test_the_floor_for_cells_says_which_counts_are_told(cell: int, number: int, told: int | str) -> None:
    rows = frame(number, 0, 150)
    found = ask_under(cell, split(rows), {"columns": COLUMNS}, "missing", columns=("a", "b"))
    assert (found.table.loc["a", "missing"], found.incomplete) == (told, told)
    left_out = ask_under(cell, split(rows), {"columns": COLUMNS}, "missing", columns=("b",), complete=["a"])
    assert (left_out.missing, left_out.out_of_bounds) == (told, 0)
    assert f"left out: missing {told}, out of bounds 0" in left_out.summary()


def test_a_count_of_those_who_lack_any_tells_no_few_by_its_difference_to_a_column() -> None:
    found = ask_under(20, split(frame(30, 25, 150)), {"columns": COLUMNS}, "missing", columns=("a", "b"))
    assert found.incomplete == 55
    found = ask_under(20, split(frame(30, 19, 150)), {"columns": COLUMNS}, "missing", columns=("a", "b"))
    assert (found.incomplete, found.table["missing"].tolist()) == (None, [30, "<20"])
    assert any("fewer than 20" in warning for warning in found.warnings)


def test_those_who_lack_something_are_counted_once() -> None:
    both = frame(5, 0).assign(b=lambda rows: rows["b"].where(np.arange(90) >= 7))
    assert missing(both).incomplete == "<10"
    assert missing(frame(10, 10)).incomplete == 20


def test_a_value_out_of_bounds_is_none_and_a_derived_column_lacks_what_its_source_lacks() -> None:
    rows = frame(15, 0)
    rows.loc[80:89, "a"] = 7.0
    assert missing(rows, "a", "c").table["missing"].tolist() == [25, 25]


def test_complete_leaves_people_out_and_says_how_many() -> None:
    found = missing(frame(15, 12), "a", complete=["b"])
    assert (found.nobs, found.missing, found.incomplete) == (78, 12, 15)


def test_people_are_counted_where_there_is_a_person_column() -> None:
    rows = pd.concat([frame(20, 0).assign(id=np.arange(90) // 2), frame(0, 0).assign(id=np.arange(90) // 2)], ignore_index=True)
    found = ask(
        [rows.assign(id=rows["id"] + 100 * h) for h in range(3)],
        {"columns": COLUMNS, "person": {"column": "id"}},
        "missing",
        columns=["a"],
    )
    assert (found.people, found.nobs, found.table.loc["a", "missing"]) == (135, 540, 30)


def test_a_value_that_only_a_few_people_have_refuses_and_one_that_nobody_has_does_not() -> None:
    with pytest.raises(RefusedByDisclosureRules):
        missing(frame(81, 0))
    with pytest.raises(RefusedByDisclosureRules):
        missing(frame(45, 40))  # five have both
    assert missing(frame(80, 0)).table.loc["a", "missing"] == 80
    assert missing(frame(90, 0)).table.loc["a", "missing"] == 90


@pytest.mark.parametrize(("also", "told"), [(0, 30), (1, None), (9, None), (10, 40)])
def test_who_lack_any_is_withheld_where_it_would_tell_of_a_few(also: int, told: int | None) -> None:
    """Thirty lack a, `also` others lack b, and twenty lack both."""
    rows = frame(30, also)
    rows.loc[:19, "b"] = None
    found = missing(rows)
    assert found.table["missing"].tolist() == [30, 20 + also]
    assert found.incomplete == told
    assert any("would show" in warning for warning in found.warnings) == (told is None)


@pytest.mark.parametrize(("both", "told"), [(0, 65), (1, None), (3, None), (9, None), (10, 55)])
@pytest.mark.parametrize("columns", ["ab", "abd"])
def test_how_many_lack_both_of_two_columns_does_not_follow_where_they_are_few(columns: str, both: int, told: int | None) -> None:
    rows = frame(30, 35)
    rows.loc[rows.index[:both], "b"] = None
    rows.loc[rows.index[90 - both :], "b"] = "x"
    found = missing(rows, *columns)
    assert found.table["missing"].tolist()[:2] == [30, 35]
    assert found.incomplete == told
    assert any("or lack several" in warning for warning in found.warnings) == (told is None)


def test_how_many_lack_both_is_held_against_the_charters_floor() -> None:
    rows = frame(30, 40, 150)
    rows.loc[:5, "b"] = None  # six lack both
    assert ask_under(5, split(rows), {"columns": COLUMNS}, "missing", columns=("a", "b")).incomplete == 70
    assert ask_under(7, split(rows), {"columns": COLUMNS}, "missing", columns=("a", "b")).incomplete is None


def test_three_columns_may_tell_of_more_who_lack_several() -> None:
    """Twelve lack a and b, eight of them d too: 12 + 8 are beyond the first, and no pair's number follows."""
    rows = frame(30, 0)
    rows.loc[:11, "b"] = None
    rows.loc[:7, "d"] = None
    rows.loc[40:59, "d"] = None
    found = missing(rows, "a", "b", "d")
    assert (found.table["missing"].tolist(), found.incomplete) == ([30, 12, 28], 50)


def test_what_is_withheld_does_not_open() -> None:
    dictionary = Dictionary.parse({"columns": COLUMNS})
    question = analysis_of(dictionary, "missing", columns=["a", "b"])
    rows = frame(30, 3)  # 33 lack any: 3 of them only b
    opened = run_in_clear(question, [FrameSource(part, dictionary) for part in split(rows)], GatePolicy())
    assert opened.values["column_missing"].tolist() == [30, 0, 0]
    assert opened.values["column_missing_small"].tolist() == [0, 1, 0]
    assert opened.values["incomplete_withheld"].tolist() == [1]


def test_the_summary_shows_every_column() -> None:
    found, _ = ask_set("lung", "missing", columns=["age", "wt.loss", "ph.ecog"])
    rows = [line.split() for line in found.summary().split("\n")]
    for row in (["missing", "percent"], ["age", "0", "0.0"], ["wt.loss", "14", "6.2"], ["ph.ecog", "<10"]):
        assert row in rows
    assert found.incomplete is None  # 15, one of whom lacks no weight loss
    assert "at least one" in missing(frame(30, 0)).summary()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "needs columns"),
        ({"columns": ["nobody"]}, "no column"),
        ({"columns": ["a"], "by": "b"}, "takes no by="),
        ({"columns": ["a"], "options": {"quantiles": True}}, "no option"),
        ({"columns": ["a"], "complete": ["e"]}, "no column"),
    ],
)
def test_questions_that_are_wrong_in_themselves(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        analysis_of(Dictionary.parse({"columns": COLUMNS}), "missing", **fields)


def test_ranges_and_rounds_are_planned() -> None:
    price = plan_ranges(analysis_of(Dictionary.parse({"columns": COLUMNS}), "missing", columns=["a", "b"]))
    assert price.rounds <= 25
