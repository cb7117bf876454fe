"""The `where` language: its meaning in pandas and in DuckDB's SQL, its spelling, and what it refuses."""

from __future__ import annotations

import contextlib

import duckdb
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.cohort import Condition
from engine.dictionary import Dictionary
from engine.errors import CohortError, SpecError, UnknownColumn, UnknownLevel

DICTIONARY = Dictionary.parse(
    {
        "columns": {
            "age": {"type": "integer", "bounds": [0, 120]},
            "ph.ecog": {"type": "integer", "bounds": [0, 5]},
            "treated": {"type": "binary"},
            "sex": {"type": "category", "levels": ["male", "female"]},
            "stage": {"type": "category", "levels": [1, 2, 3, 4]},
            "site": {"type": "category", "levels": ['it\'s "x"', "b"]},
        }
    }
)
NAN = np.nan
NUMBERS = pd.DataFrame({"age": [10, 20, NAN, 70], "ph.ecog": [0, 1, 2, NAN], "treated": [0, 1, NAN, 1]}, dtype=np.float64)
FRAME = NUMBERS.assign(
    sex=pd.Categorical.from_codes([0, 1, -1, 1], categories=["male", "female"]),
    stage=pd.Categorical.from_codes([0, 1, 3, -1], categories=[1, 2, 3, 4]),
    site=pd.Categorical.from_codes([0, 0, 1, 1], categories=DICTIONARY["site"].levels),
)


def by_pandas(text: str) -> list[int]:
    return np.flatnonzero(Condition.parse(text, DICTIONARY).select(FRAME)).tolist()


def by_duckdb(text: str) -> list[int]:
    coded = FRAME.assign(**{name: FRAME[name].cat.codes.replace(-1, pd.NA).astype("Int64") for name in ("sex", "stage", "site")})
    table = coded.assign(row=range(len(coded)))
    table[NUMBERS.columns] = table[NUMBERS.columns].astype("Float64")
    connection = duckdb.connect()
    connection.register("patients", table)
    where = Condition.parse(text, DICTIONARY).sql(lambda name: f'"{name}"', repr)
    return [row for (row,) in connection.sql(f"SELECT row FROM patients WHERE {where} ORDER BY row").fetchall()]


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("age > 15", [1, 3]),
        ("not (age > 15)", [0]),
        ("18 <= age < 65", [1]),
        ("65 > age >= 18", [1]),
        ("not 18 <= age < 65", [0, 3]),
        ("age is missing", [2]),
        ("age is not missing", [0, 1, 3]),
        ("age is null or `ph.ecog` is missing", [2, 3]),
        ("age > 15 or treated == 1", [1, 3]),
        ("age > 15 or treated == 0", [0, 1, 3]),
        ("treated == true", [1, 3]),
        ("treated != TRUE", [0]),
        ("ph.ecog in [0, 2]", [0, 2]),
        ("ph.ecog not in (0, 2)", [1]),
        ("age > -5 and age < +1e3", [0, 1, 3]),
        ("age > 500", []),
        ("sex == 'female'", [1, 3]),
        ('sex != "female"', [0]),
        ("'male' == sex", [0]),
        ("sex in ['male', 'female']", [0, 1, 3]),
        ("sex not in ['male']", [1, 3]),
        ("stage >= 2", [1, 2]),
        ("stage == 1.0", [0]),
        ("stage > 9", []),
        ("not stage > 9", [0, 1, 2]),
        ("age > ph.ecog", [0, 1]),
        ("site == 'b'", [2, 3]),
        ("(age > 15) AND (sex == 'female') Or stage == 4", [1, 2, 3]),
        ("age > 15 or age <= 15 or age is missing", [0, 1, 2, 3]),
    ],
)
def test_pandas_and_sql_select_the_same_people(text: str, rows: list[int]) -> None:
    assert by_pandas(text) == rows
    assert by_duckdb(text) == rows
    assert by_pandas(Condition.parse(text, DICTIONARY).canonical()) == rows


ATOMS = st.sampled_from(
    ["age > 15", "age == 70", "sex == 'male'", "stage < 3", "treated == 1", "age is missing", "stage in [2, 4]", "age > ph.ecog"]
)
CONDITIONS = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        inner.map(lambda part: f"not ({part})"),
        st.tuples(inner, st.sampled_from(["and", "or"]), inner).map(lambda parts: f"({parts[0]}) {parts[1]} ({parts[2]})"),
    ),
    max_leaves=8,
)


@settings(max_examples=60, deadline=None)
@given(CONDITIONS)
def test_any_condition_means_the_same_in_pandas_in_sql_and_in_its_canonical_spelling(text: str) -> None:
    condition = Condition.parse(text, DICTIONARY)
    assert by_pandas(text) == by_duckdb(text)
    again = Condition.parse(condition.canonical(), DICTIONARY)
    assert again == condition
    assert again.canonical() == condition.canonical()


def test_columns_are_listed_once_in_order() -> None:
    assert Condition.parse("sex == 'male' and age > 1 and age < ph.ecog", DICTIONARY).columns == ("sex", "age", "ph.ecog")


@pytest.mark.parametrize(
    ("text", "error", "says"),
    [
        ("", CohortError, "empty"),
        ("age", CohortError, "age == 1"),
        ("age =", CohortError, "Compare with =="),
        ("age = 3", CohortError, "Compare with =="),
        ("age > 3 & sex == 'male'", CohortError, "and, or, not"),
        ("age > 3 and", CohortError, "too early"),
        ("(age > 3", CohortError, r"'\)' is missing"),
        ("age > 3)", CohortError, "does not parse at"),
        ("age in 3", CohortError, r"'\(' is missing"),
        ("age in [sex]", CohortError, "list of values"),
        ("age is 3", CohortError, "missing"),
        ("age > 'x'", CohortError, "is a number"),
        ("sex == 1", CohortError, "texts"),
        ("sex == true", CohortError, "texts"),
        ("stage == '1'", CohortError, "numbers"),
        ("sex < 'male'", CohortError, "no order"),
        ("sex == stage", CohortError, "cannot be compared"),
        ("1 < 2", CohortError, "at least one side"),
        ("- age > 3", CohortError, "sign"),
        ("age > - - - 3", CohortError, "sign"),
        ("age + 1 > 3", CohortError, "lacks a comparison|does not parse"),
        ("ages > 3", UnknownColumn, "Did you mean 'age'"),
        ("sex == 'femal'", UnknownLevel, "Did you mean 'female'"),
        ("stage == 5", UnknownLevel, "no level"),
        ("hospital == 'um'", CohortError, "all hospitals"),
        ("age > 1; DROP TABLE x", CohortError, "unknown at position"),
        ("__import__('os')", UnknownColumn, "no column"),
        ("age > 1 -- x", CohortError, "."),
        ("(" * 50 + "age > 1" + ")" * 50, CohortError, "nests deeper"),
        ("not " * 50 + "age > 1", CohortError, "nests deeper"),
        ("age > 1 or " * 2000 + "age > 1", CohortError, "longer|too many"),
        ("age in [" + "1," * 3000 + "1]", CohortError, "too many"),
        ("age >" + " " * 10_001, CohortError, "longer"),
    ],
)
def test_a_wrong_condition_is_refused_and_told_why(text: str, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        Condition.parse(text, DICTIONARY)


@settings(max_examples=300)
@given(st.text(max_size=60) | st.text("age sx=<>!()[],'\"`.1e-+notadri", max_size=60))
def test_any_text_is_a_condition_or_a_spec_error(text: str) -> None:
    with contextlib.suppress(SpecError):
        Condition.parse(text, DICTIONARY)
