"""Descriptions against pandas, scipy and numpy."""

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.stats as st

from engine.analyses import powers
from engine.analyses.base import MOST_GROUPS
from engine.data.frame_source import FrameSource
from engine.dictionary import Dictionary
from engine.dry_run import plan_ranges, run_in_clear
from engine.errors import RefusedByDisclosureRules, SpecError
from tests import datasets
from tests.conformance.cases import possible_values, shape_is_given
from tests.engine.analyses.studies import LOOSE, analysis_of, ask, ask_set, ask_under, split

SETS = [
    ("indo_rct", ("age", "risk", "female"), None),
    ("indo_rct", ("age", "risk"), "indo"),
    ("lung", ("age", "time", "wt.loss"), "sex"),
    ("azpro", ("los",), "procedure"),
    ("randhie", ("mdvis", "meddol", "disea"), "site"),
    ("colon", ("age", "nodes"), "status"),
    ("birthwt", ("bwt", "lwt"), None),
]


@pytest.mark.parametrize(("dataset", "columns", "by"), SETS)
def test_everything_equals_pandas_scipy_and_numpy(dataset: str, columns: tuple[str, ...], by: str | None) -> None:
    found, pooled = ask_set(dataset, "describe", columns=list(columns), by=by)
    frame = found.to_frame()
    for column in columns:
        for level, rows in pooled.groupby(by, observed=True) if by else [(None, pooled)]:
            values, row = rows[column].dropna().to_numpy(float), frame.loc[column if by is None else (column, level)]
            missing = int(rows[column].isna().sum())
            assert row["n"] == len(values)
            assert row["missing"] == (missing if missing == 0 or missing >= 10 else "<10")
            assert abs(row["mean"] - values.mean()) < 1e-12 * st.sem(values)
            assert row["sd"] == pytest.approx(values.std(ddof=1), rel=1e-13)
            assert row["se"] == pytest.approx(st.sem(values), rel=1e-13)
            if shape_is_given(len(values), possible_values(datasets.COLUMNS[dataset][column])):
                assert row["skewness"] == pytest.approx(st.skew(values), abs=1e-11)
                assert row["kurtosis"] == pytest.approx(st.kurtosis(values), abs=1e-10)
            low, high = st.t.interval(0.95, len(values) - 1, values.mean(), st.sem(values))
            assert (row["ci_lower"], row["ci_upper"]) == pytest.approx((low, high), rel=1e-12)
            if not np.isnan(row["q1"]):
                assert row[["q1", "median", "q3"]].tolist() == np.quantile(values, [0.25, 0.5, 0.75]).tolist()


def test_categories_are_counted_by_level() -> None:
    found, pooled = ask_set("colon", "describe", columns=["rx", "age"], by="status")
    counts = pooled.groupby(["status", "rx"], observed=True).size()
    for (column, status, level), row in found.frequencies.iterrows():
        assert column == "rx"
        assert row["n"] == counts[status, level]
        assert row["percent"] == pytest.approx(100 * counts[status, level] / (pooled.status == status).sum())


def frame(n: int = 200) -> pd.DataFrame:
    rng = np.random.default_rng(4)
    return pd.DataFrame(
        {"x": rng.integers(0, 50, n), "fine": rng.normal(5, 1, n), "group": rng.choice(["a", "b"], n), "b": rng.integers(0, 2, n)}
    )


COLUMNS: dict[str, Any] = {
    "x": {"type": "integer", "bounds": [0, 50]},
    "fine": {"type": "number", "bounds": [0, 10]},
    "group": {"type": "category", "levels": ["a", "b", "c"]},
    "b": {"type": "binary"},
}


def describe(data: pd.DataFrame, *columns: str, **fields: Any) -> Any:
    return ask(split(data), {"columns": COLUMNS}, "describe", columns=list(columns), **fields)


@pytest.mark.parametrize("n", range(40, 48))
def test_quartiles_interpolate_as_numpy_does_at_every_remainder(n: int) -> None:
    data = frame(n)
    row = describe(data, "x").to_frame().loc["x"]
    assert row[["q1", "median", "q3"]].tolist() == np.quantile(data.x, [0.25, 0.5, 0.75]).tolist()


def test_no_quartiles_below_forty_people() -> None:
    assert describe(frame(39), "x").to_frame().loc["x", ["q1", "median", "q3"]].isna().all()


def test_a_column_without_a_grid_has_no_quartiles_and_the_warning_says_what_to_declare() -> None:
    found = describe(frame(), "x", "fine")
    assert found.to_frame().loc["fine", ["q1", "median", "q3"]].isna().all()
    assert any("fine" in warning and "resolution" in warning for warning in found.warnings)


def test_a_person_column_leaves_no_quartiles_and_the_warning_says_why() -> None:
    """Forty people of one visit each, and one of five hundred: all three quartiles would be that person's value."""
    often = pd.DataFrame({"x": [7] * 500, "id": "often"})
    data = pd.concat([frame(60)[["x"]].assign(id=[f"p{i}" for i in range(60)]), often])
    columns = {"columns": {"x": COLUMNS["x"]}}
    assert ask(split(data), columns, "describe", columns=["x"]).table.loc["x", ["q1", "median", "q3"]].tolist() == [7, 7, 7]
    found = ask(split(data), {**columns, "person": {"column": "id"}}, "describe", columns=["x"])
    assert found.table.loc["x", ["q1", "median", "q3"]].isna().all()
    assert any("person column" in warning for warning in found.warnings)


def shape(dictionary: dict[str, Any], data: pd.DataFrame, **fields: Any) -> Any:
    return ask(split(data), dictionary, "describe", columns=["x"], **fields)


@pytest.mark.parametrize(("people", "given"), [(99, False), (100, True)])
@pytest.mark.parametrize("column", [COLUMNS["x"], {"type": "number", "bounds": [0, 50]}], ids=["grid", "no grid"])
def test_skewness_and_kurtosis_of_fewer_than_a_hundred_people_are_withheld(column: Any, people: int, given: bool) -> None:
    data = frame(people)
    found = shape({"columns": {"x": column}}, data)
    row = found.table.loc["x"]
    assert row["sd"] == pytest.approx(data.x.std())
    assert any("skewness" in warning for warning in found.warnings) is not given
    expected = (st.skew(data.x), st.kurtosis(data.x)) if given else (np.nan, np.nan)
    assert (row["skewness"], row["kurtosis"]) == pytest.approx(expected, nan_ok=True)


def test_the_third_and_fourth_sum_of_few_people_do_not_reach_the_researcher() -> None:
    """Ten people have ten values, which n and four sums of powers determine."""
    data = frame(200).assign(group="a")
    data.loc[:9, "group"] = "b"
    dictionary = Dictionary.parse({"columns": COLUMNS})
    question = analysis_of(dictionary, "describe", columns=["x", "b"], by="group")
    opened = run_in_clear(question, [FrameSource(part, dictionary) for part in split(data.assign(b=data.index % 2))], LOOSE)
    sums, withheld = opened.exact["powers"], opened.values["shape_withheld"]
    assert withheld.tolist() == [[0, 1, 1], [0, 0, 0]]
    assert all(sums[0, 1, :2])
    assert not any(sums[0, 1, 2:])
    assert all(sums[0, 0])
    assert all(sums[1, :2, 3])  # the zeros and ones of b obey the rule for cells


@pytest.mark.parametrize(("points", "people"), [(5, None), (6, None), (10, 20_696), (15, 735), (20, 244), (51, 100), (None, 100)])
def test_how_many_people_hide_their_values_behind_four_sums(points: int | None, people: int | None) -> None:
    assert powers.fewest(points) == people
    if people is not None and points is not None and people > 100:
        for n, enough in ((people - 1, False), (people, True)):  # in exact integers
            multisets = math.comb(n + points - 1, points - 1)
            assert (multisets >= 2**20 * math.prod(n * points**k for k in (1, 2, 3, 4))) is enough


@pytest.mark.parametrize(("missing", "told"), [(0, 0), (1, "<10"), (9, "<10"), (10, 10), (25, 25)])
def test_missing_counts_of_one_to_nine_are_not_told_apart(missing: int, told: int | str) -> None:
    data = frame().astype({"x": float})
    data.loc[: missing - 1, "x"] = np.nan
    found = describe(data, "x", "fine")
    assert found.to_frame().loc["x", ["n", "missing"]].tolist() == [200 - missing, told]
    assert found.to_frame().loc["fine", "missing"] == 0


@pytest.mark.parametrize(("cell", "missing", "told"), [(20, 19, "<20"), (20, 20, 20), (5, 4, "<5"), (5, 5, 5)])
def test_the_floor_for_cells_says_which_missing_counts_are_told(cell: int, missing: int, told: int | str) -> None:
    data = frame().astype({"x": float})
    data.loc[: missing - 1, "x"] = np.nan
    found = ask_under(cell, split(data), {"columns": COLUMNS}, "describe", columns=["x", "fine"])
    assert found.to_frame().loc["x", "missing"] == told


def test_an_absent_level_of_by_is_dropped_and_a_small_one_refuses() -> None:
    found = describe(frame(), "x", by="group")
    assert sorted(level for _, level in found.table.index) == ["a", "b"]
    assert any("dropped: c" in warning for warning in found.warnings)
    data = frame()
    data.loc[:8, "group"] = "c"
    with pytest.raises(RefusedByDisclosureRules):
        describe(data, "x", by="group")
    data.loc[:9, "group"] = "c"
    assert describe(data, "x", by="group").table.loc[("x", "c"), "n"] == 10


def test_a_column_known_for_nine_people_of_a_group_refuses() -> None:
    data = frame().astype({"x": float})
    of_a = data.index[data.group == "a"]
    data.loc[of_a[9:], "x"] = np.nan
    with pytest.raises(RefusedByDisclosureRules):
        describe(data, "x", by="group")


def test_a_binary_column_obeys_the_table_rule() -> None:
    data = frame().assign(b=0)
    data.loc[:8, "b"] = 1
    with pytest.raises(RefusedByDisclosureRules):
        describe(data, "b")
    data.loc[:9, "b"] = 1
    assert describe(data, "b").table.loc["b", "mean"] == pytest.approx(0.05)


def test_a_column_of_few_values_is_a_table_in_disguise() -> None:
    """lung has one patient with ph.ecog 3: n and four moments of five possible values are their frequencies."""
    with pytest.raises(RefusedByDisclosureRules):
        ask_set("lung", "describe", columns=["ph.ecog"])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "needs columns"),
        ({"columns": ["x"], "by": "fine"}, "no declared levels"),
        ({"columns": ["x", "group"], "by": "group"}, "leave it out"),
        ({"columns": ["x"], "formula": "x ~ b"}, "takes no formula="),
        ({"columns": ["z"]}, "no column"),
    ],
)
def test_questions_that_are_wrong_in_themselves(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        analysis_of(Dictionary.parse({"columns": COLUMNS}), "describe", **fields)


def test_every_published_group_leaves_its_own_row_set() -> None:
    plan = analysis_of(Dictionary.parse({"columns": COLUMNS}), "describe", columns=["x", "b"], by="group").plan
    named = [(row_set.columns, row_set.group) for row_set in plan.row_sets]
    assert named[:2] == [(("group", "x"), ""), (("b", "group"), "")]
    assert [group for columns, group in named[2:] if columns == ("group", "x")] == [f"group is {g}" for g in "abc"]
    of_b = [group for columns, group in named[2:] if columns == ("b", "group")]
    assert of_b[:5] == ["group is a", "group is b", "group is c", "b is 0", "b is 1"]
    assert len(of_b) == 3 + 2 + 6


def test_the_row_sets_of_a_question_are_bounded() -> None:
    levels = {"type": "category", "levels": [f"l{i}" for i in range(100)]}
    plan = analysis_of(Dictionary.parse({"columns": {**COLUMNS, "many": levels}}), "describe", columns=["x"], by="many").plan
    assert len(plan.row_sets) == 1 + MOST_GROUPS


def test_rounds_are_planned() -> None:
    price = plan_ranges(
        analysis_of(Dictionary.parse({"columns": COLUMNS}), "describe", 40, columns=["x", "fine", "b"], by="group")
    )
    assert price.rounds <= 32


def test_a_description_takes_no_reference() -> None:
    with pytest.raises(SpecError, match="takes no reference="):
        analysis_of(Dictionary.parse(datasets.load("lung").dictionary), "describe", columns=["age"], reference={"sex": 1})
