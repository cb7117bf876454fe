"""Columns that the dictionary makes from others: what may be declared, and that a question takes them as any other column."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from hypothesis import given
from hypothesis import strategies as st

from engine import canonical
from engine.analyses.base import RowSet
from engine.cohort import Condition
from engine.data.config import DataSection, parse
from engine.data.duckdb_source import DuckDBSource
from engine.data.frame_source import FrameSource
from engine.data.rows import Query
from engine.dictionary import Dictionary
from engine.errors import ConfigError, DictionaryError, FormulaError, RefusedByDisclosureRules
from engine.formula import Design
from engine.party import ledger
from engine.party.ledger import EarlierRowSet
from tests.engine.analyses.studies import LOOSE, analysis_of, ask, split

COLUMNS: dict[str, Any] = {
    "age": {"type": "integer", "bounds": [18, 100], "grade": "high"},
    "weight": {"type": "number", "bounds": [30, 200]},
    "stage": {"type": "category", "levels": ["I", "II", "III", "IV"]},
    "ecog": {"type": "integer", "bounds": [0, 3], "levels": [0, 1, 2, 3]},
    "ill": {"type": "binary"},
    "age_group": {"type": "category", "from": "age", "cuts": [40, 65], "levels": ["under 40", "40 to 64", "65 and over"]},
    "elderly": {"type": "category", "from": "age", "cuts": [66], "levels": [0, 1], "label": "66 or older"},
    "heavy": {"type": "category", "from": "weight", "cuts": [99.5], "levels": ["no", "yes"]},
    "late": {"type": "category", "from": "stage", "merge": [["III", "IV"], ["I", "II"]], "levels": ["late", "early"]},
    "poor": {"type": "category", "from": "ecog", "merge": [[0, 1], [2, 3]], "levels": ["no", "yes"]},
}
DICTIONARY = Dictionary.parse({"columns": COLUMNS})


def frame(rows: int = 600) -> pd.DataFrame:
    rng = np.random.default_rng(5)
    found = pd.DataFrame(
        {
            "age": rng.integers(18, 101, rows).astype(object),
            "weight": np.round(rng.uniform(30, 200, rows), 1),
            "stage": rng.choice(["I", "II", "III", "IV"], rows),
            "ecog": rng.integers(0, 4, rows),
            "ill": rng.integers(0, 2, rows),
        }
    )
    found.loc[:4, "age"] = [40, 39, 65, 64, 66]
    found.loc[0, "weight"] = 99.5
    found.loc[rows - 40 : rows - 21, "age"] = None
    found.loc[rows - 20 : rows - 15, "age"] = 140  # out of bounds
    return found


FRAME = frame()


def reference(found: pd.DataFrame = FRAME) -> pd.DataFrame:
    """What pandas makes of the declarations."""
    age = pd.to_numeric(found["age"]).where(lambda a: a.between(18, 100))
    made = found.assign(age=age)
    made["age_group"] = pd.cut(age, [-np.inf, 40, 65, np.inf], right=False, labels=COLUMNS["age_group"]["levels"]).astype(object)
    made["elderly"] = (age >= 66).astype(float).where(age.notna())
    made["heavy"] = np.where(found["weight"] >= 99.5, "yes", "no")
    made["late"] = found["stage"].map({"I": "early", "II": "early", "III": "late", "IV": "late"})
    made["poor"] = np.where(found["ecog"] >= 2, "yes", "no")
    return made


DERIVED = ("age_group", "elderly", "heavy", "late", "poor")


def test_a_declaration_is_read_as_written_and_survives_canonical_json() -> None:
    assert DICTIONARY["age_group"].derivation.cuts == (40.0, 65.0)
    assert DICTIONARY["poor"].derivation.merged == ((0.0, 1.0), (2.0, 3.0))
    again = Dictionary.parse(json.loads(canonical.to_bytes(DICTIONARY.to_dict())))  # in another order: age_group before its age
    assert again == DICTIONARY
    assert list(DICTIONARY.own) == ["age", "weight", "stage", "ecog", "ill"]
    assert (DICTIONARY.source("elderly"), DICTIONARY.source("age")) == ("age", "age")


def test_a_derived_column_has_its_sources_grade() -> None:
    assert (DICTIONARY["age_group"].grade, DICTIONARY["late"].grade) == ("high", "moderate")


GROUP = COLUMNS["age_group"]


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ({**GROUP, "type": "integer"}, "is a category"),
        ({**GROUP, "grade": "low"}, "grade of the column it is made from"),
        ({**GROUP, "cut": [3]}, "unknown key 'cut'. Did you mean 'cuts'"),
        ({**GROUP, "bounds": [0, 1]}, "unknown key 'bounds'"),
        ({**GROUP, "sql": "age > 40"}, "unknown key 'sql'"),
        ({**GROUP, "from": "agee"}, "no column that hospitals read"),
        ({**GROUP, "from": "other"}, "no column that hospitals read"),  # itself made from one
        ({**GROUP, "from": "made"}, "no column that hospitals read"),  # itself
        ({**GROUP, "from": "hospital"}, "no column that hospitals read"),
        ({**GROUP, "from": ["age"]}, "no column that hospitals read"),
        ({**GROUP, "merge": [["a"]]}, "either cuts"),
        ({key: value for key, value in GROUP.items() if key != "cuts"}, "either cuts"),
        ({**GROUP, "levels": ["all"], "cuts": []}, "two levels or more"),
        ({**GROUP, "levels": ["a", "a", "b"]}, "twice"),
        ({**GROUP, "cuts": [40]}, "one fewer"),
        ({**GROUP, "cuts": ["40", 65]}, "one fewer"),
        ({**GROUP, "cuts": [40, float("nan")]}, "one fewer"),
        ({**GROUP, "cuts": [40, True]}, "one fewer"),
        ({**GROUP, "cuts": "age > 40"}, "one fewer"),
        ({**GROUP, "cuts": [65, 40]}, "must increase"),
        ({**GROUP, "cuts": [40, 40]}, "must increase"),
        ({**GROUP, "cuts": [18, 65]}, "within the bounds"),
        ({**GROUP, "cuts": [40, 101]}, "within the bounds"),
        ({**GROUP, "cuts": [40.2, 40.8]}, "no value of 'age' lies between"),
        ({"type": "category", "from": "ecog", "cuts": [0.5, 0.9], "levels": [1, 2, 3]}, "no value of 'ecog'"),
        ({"type": "category", "from": "ill", "cuts": [1], "levels": [1, 2]}, "divides a number"),
        ({"type": "category", "from": "stage", "cuts": [1], "levels": [1, 2]}, "divides a number"),
        ({"type": "category", "from": "age", "merge": [[18], [19]], "levels": [1, 2]}, "has none"),
        ({"type": "category", "from": "stage", "merge": [["I", "II"], ["III"]], "levels": [1, 2]}, "exactly one group"),
        (
            {"type": "category", "from": "stage", "merge": [["I", "II"], ["II", "III", "IV"]], "levels": [1, 2]},
            "exactly one group",
        ),
        ({"type": "category", "from": "stage", "merge": [["I", "II", "III", "IV"], []], "levels": [1, 2]}, "lists, for each"),
        (
            {"type": "category", "from": "stage", "merge": [["I", "II", "III", "IV"]], "levels": [1, 2]},
            "another number of groups",
        ),
        ({"type": "category", "from": "stage", "merge": ["I", "II"], "levels": [1, 2]}, "lists, for each"),
        ({"type": "category", "from": "stage", "merge": [["I", "II"], ["III", "V"]], "levels": [1, 2]}, "no level 'V'"),
        ({"type": "category", "from": "ecog", "merge": [[0, True], [2, 3]], "levels": [1, 2]}, "lists, for each"),
        ({"type": "category", "from": "ecog", "merge": [["0", "1"], ["2", "3"]], "levels": [1, 2]}, "no level '0'"),
    ],
    ids=str,
)
def test_a_wrong_declaration_is_refused_and_told_why(entry: dict[str, Any], says: str) -> None:
    with pytest.raises(DictionaryError, match=says.replace("(", "\\(")):
        Dictionary.parse({"columns": {**COLUMNS, "other": COLUMNS["elderly"], "made": entry}})


def test_a_person_column_makes_none() -> None:
    with pytest.raises(DictionaryError, match="no column that hospitals read"):
        Dictionary.parse({"columns": {**COLUMNS, "made": {**GROUP, "from": "id"}}, "person": {"column": "id"}})


@given(st.lists(st.one_of(st.none(), st.floats(0, 130)), min_size=1, max_size=30))
def test_every_value_has_exactly_the_level_that_pandas_gives_it(values: list[float | None]) -> None:
    numbers = np.array([np.nan if value is None else value for value in values])
    found = DICTIONARY["age_group"].derivation.positions(numbers)
    codes = pd.cut(pd.Series(numbers), [-np.inf, 40, 65, np.inf], right=False).cat.codes.to_numpy().astype(float)
    assert np.array_equal(np.where(np.isnan(found), -1, found), codes)


@pytest.fixture(params=["frame", "duckdb"])
def source(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    if request.param == "frame":
        yield FrameSource(FRAME, DICTIONARY)
        return
    FRAME.to_csv(tmp_path / "own.csv", index=False)
    with DuckDBSource(DataSection(source="own.csv"), DICTIONARY, bytes(16), tmp_path) as opened:
        yield opened


def read(source: Any, query: Query) -> tuple[pd.DataFrame, Any]:
    rows = source.rows(query)
    return pd.concat([batch.frame for batch in rows], ignore_index=True), rows.counts


def test_hospitals_work_it_out_from_their_own_reading(source: Any) -> None:
    found, counts = read(source, Query(("age", *DERIVED), DERIVED))
    truth = reference()
    used = truth[truth["age"].notna()]
    for name in DERIVED:
        assert found[name].cat.categories.tolist() == COLUMNS[name]["levels"]
        assert found[name].astype(object).tolist() == used[name].tolist(), name
    assert (counts.used, counts.missing, counts.out_of_bounds) == (len(used), 20, 6)


def test_without_listwise_deletion_it_is_missing_where_its_source_is(source: Any) -> None:
    found, _ = read(source, Query(("age_group", "late"), ()))
    assert found["age_group"].isna().tolist() == reference()["age"].isna().tolist()
    assert found["late"].notna().all()


@pytest.mark.parametrize(
    ("where", "same"),
    [
        ("age_group == 'under 40'", "age < 40"),
        ("age_group != 'under 40'", "age >= 40"),
        ("age_group in ['40 to 64', '65 and over'] and late == 'late'", "age >= 40 and stage in ['III', 'IV']"),
        ("elderly >= 1", "age >= 66"),
        ("not (elderly == 1)", "age < 66"),
        ("age_group is missing", "age is missing"),
        ("heavy == 'yes' or poor is not missing and poor == 'yes'", "weight >= 99.5 or ecog >= 2"),
    ],
)
def test_where_takes_it_as_any_column(source: Any, where: str, same: str) -> None:
    found, expected = (read(source, Query(("age", "weight"), (), Condition.parse(text, DICTIONARY))) for text in (where, same))
    pd.testing.assert_frame_equal(found[0], expected[0])
    assert found[1] == expected[1]
    assert 0 < found[1].complement < len(FRAME)


def test_a_row_keeps_its_name_when_columns_are_derived() -> None:
    plain = Dictionary.parse({"columns": {name: COLUMNS[name] for name in DICTIONARY.own}})
    names = [
        np.concatenate([batch.identities for batch in FrameSource(FRAME, dictionary).rows(Query(("age",), ()))])
        for dictionary in (plain, DICTIONARY)
    ]
    assert np.array_equal(*names)


@pytest.mark.parametrize("section", [{"columns": {"age_group": "AGE"}}, {"codes": {"late": {"1": "late"}}}])
def test_no_hospital_maps_it(section: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="by the study's dictionary"):
        parse({"source": "own.csv", **section}, DICTIONARY)


def test_a_table_and_a_regression_and_a_description_of_it() -> None:
    hospitals, truth = split(FRAME), reference()
    table = ask(hospitals, DICTIONARY, "crosstab", formula="age_group ~ late")
    counted = pd.crosstab(truth["age_group"], truth["late"])
    assert np.array_equal(table.observed, counted.loc[COLUMNS["age_group"]["levels"], ["late", "early"]])
    fit = ask(hospitals, DICTIONARY, "ols", formula="weight ~ age_group * late + age", reference={"late": "early"})
    groups = "C(age_group, Treatment('under 40')) * C(late, Treatment('early')) + age"
    expected = smf.ols(f"weight ~ {groups}", truth.astype({"age": float})).fit()
    assert fit.nobs == expected.nobs
    assert sorted(fit.params) == pytest.approx(sorted(expected.params), rel=1e-7)
    logit = ask(hospitals, DICTIONARY, "logit", formula="elderly ~ weight + late")
    truth["y"] = truth["elderly"]
    assert logit.params["weight"] == pytest.approx(
        smf.logit("y ~ weight + C(late)", truth).fit(disp=0).params["weight"], rel=1e-4
    )
    described = ask(hospitals, DICTIONARY, "describe", columns=["weight", "age_group"], by="poor")
    assert described.frequencies["n"].sum() == truth["age_group"].notna().sum()


def test_a_level_of_nine_people_refuses_and_of_ten_does_not() -> None:
    for people, refused in ((9, True), (10, False)):
        rows = FRAME[FRAME["age"].notna() & (pd.to_numeric(FRAME["age"]) < 66)]
        rows = pd.concat([rows, rows.head(people).assign(age=70)], ignore_index=True)
        if refused:
            with pytest.raises(RefusedByDisclosureRules):
                ask(split(rows), DICTIONARY, "ols", formula="weight ~ elderly")
        else:
            assert "elderly[T.1]" in ask(split(rows), DICTIONARY, "ols", formula="weight ~ elderly").params


def test_groupings_of_one_column_do_not_meet_in_a_formula() -> None:
    """The indicators of 65-and-over and of 66-and-over differ by those aged 65."""
    for formula in ("weight ~ age_group + elderly", "weight ~ age_group:elderly", "elderly ~ age_group + weight"):
        with pytest.raises(FormulaError, match="both made from 'age'"):
            Design.compile(formula, DICTIONARY)


def test_beside_its_grouping_a_column_stays_unbent() -> None:
    for formula in ("weight ~ age_group + I(age**2)", "weight ~ elderly + log(age)", "weight ~ late + heavy + exp(weight / 100)"):
        with pytest.raises(FormulaError, match="but not bent"):
            Design.compile(formula, DICTIONARY)
    assert Design.compile("ill ~ age_group + age", DICTIONARY).names[-1] == "age"


def test_beside_its_grouping_a_column_of_few_values_counts_each() -> None:
    """On the values 0, 2 and 3 a line and an indicator of 2 and more make an indicator of 3."""
    labels = {cell.label for cell in Design.compile("weight ~ poor + ecog", DICTIONARY).cells}
    assert {f"ecog = {value}" for value in range(4)} <= labels
    rows = FRAME[(FRAME["ecog"] != 1) & (FRAME["ecog"] != 3)]
    rows = pd.concat([rows, rows.head(3).assign(ecog=3)], ignore_index=True)
    with pytest.raises(RefusedByDisclosureRules):
        ask(split(rows), DICTIONARY, "ols", LOOSE, formula="weight ~ poor + ecog")


def test_the_ledger_knows_what_a_column_is_made_from() -> None:
    group, cut, other, raw = (
        analysis_of(DICTIONARY, "describe", columns=[name]).plan.row_sets for name in ("age_group", "elderly", "late", "age")
    )
    assert {row_set.about for row_set in group} == {("age_group", "age")}
    mine = [EarlierRowSet("job", row_set.name, b"") for row_set in group]
    assert ledger.concerning(cut, mine)
    assert ledger.concerning(raw, mine)
    assert not ledger.concerning(other, mine)
    assert ledger.concerning([RowSet(("age_group",))], mine), "a column by its own name still meets itself"
