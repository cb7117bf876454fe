"""The data dictionary: what it accepts, what it refuses, and that nothing is lost on the way through JSON."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.dictionary import Dictionary
from engine.errors import DictionaryError, UnknownColumn, UnknownLevel

TOML = """
[columns.age]
type = "integer"
bounds = [0, 120]
unit = "years"

[columns."ph.ecog"]
type = "integer"
bounds = [0, 5]
levels = [0, 1, 2, 3]
grade = "low"

[columns.weight]
type = "number"
bounds = [1.5, 300.0]
resolution = 0.1
label = "body weight"

[columns.dead]
type = "binary"

[columns.race]
type = "category"
levels = ["white", "black", 3]

[person]
column = "id"
"""

NAMES = st.from_regex(r"[a-z_][a-z0-9_]{0,6}(\.[a-z0-9_]{1,4})?", fullmatch=True).filter(lambda name: name != "hospital")
FINITE = st.floats(-1e12, 1e12).map(lambda x: round(x, 6))
BOUNDS = st.tuples(FINITE, FINITE).filter(lambda pair: pair[0] < pair[1]).map(list)
WHOLE_BOUNDS = st.tuples(st.integers(-(10**9), 10**9), st.integers(1, 10**6)).map(lambda pair: [pair[0], pair[0] + pair[1]])
TEXTS = st.text("abcXYZ äß+-'\"0", min_size=1, max_size=8).filter(lambda text: text == text.strip())
COLUMNS = st.one_of(
    st.fixed_dictionaries({"type": st.just("number"), "bounds": BOUNDS}, optional={"unit": TEXTS, "resolution": st.just(0.5)}),
    st.fixed_dictionaries({"type": st.just("integer"), "bounds": WHOLE_BOUNDS}, optional={"grade": st.just("high")}),
    st.fixed_dictionaries({"type": st.just("binary")}, optional={"label": TEXTS}),
    st.fixed_dictionaries({"type": st.just("category"), "levels": st.lists(TEXTS, min_size=1, max_size=5, unique=True)}),
)


def test_toml_is_read_as_declared() -> None:
    dictionary = Dictionary.from_toml(TOML)
    assert list(dictionary.columns) == ["age", "ph.ecog", "weight", "dead", "race"]
    assert dictionary["age"].limits == (0.0, 120.0)
    assert (dictionary["age"].resolution, dictionary["weight"].resolution, dictionary["dead"].resolution) == (1, 0.1, 1)
    assert dictionary["ph.ecog"].grade == "low"
    assert dictionary["race"].grade == "moderate"
    assert dictionary["dead"].values == (0, 1)
    assert dictionary.person == "id"


@given(st.dictionaries(NAMES, COLUMNS, min_size=1, max_size=6))
def test_a_dictionary_survives_canonical_json(columns: dict) -> None:
    dictionary = Dictionary.parse({"columns": columns})
    assert dictionary.to_dict() == {"columns": columns}
    again = Dictionary.parse(json.loads(json.dumps(dictionary.to_dict(), sort_keys=True)))
    assert again == dictionary
    assert hash(again) == hash(dictionary)
    assert again.to_dict() == dictionary.to_dict()


def number(**changes: object) -> dict:
    return {"columns": {"x": {"type": "number", "bounds": [0, 1], **changes}}}


@pytest.mark.parametrize(
    ("mapping", "says"),
    [
        ({}, "declares no columns"),
        ({"columns": {}}, "declares no columns"),
        ({"columns": {"x": {"type": "binary"}}, "colums": {}}, "Did you mean 'columns'"),
        (number(bound=[0, 1]), "Did you mean 'bounds'"),
        (number(type="float"), "needs type"),
        (number(bounds=[1, 0]), "below the second"),
        (number(bounds=[0]), "needs bounds"),
        (number(bounds=[0, float("inf")]), "needs bounds"),
        (number(bounds=[False, True]), "needs bounds"),
        (number(bounds=[0, 1e200]), "another unit"),
        (number(type="integer", bounds=[0, 2**60]), "another unit"),
        (number(levels=[0, 1]), "unknown key 'levels'"),
        (number(resolution=0), "resolution"),
        (number(grade="secret"), "grade"),
        (number(unit=3), "unit"),
        ({"columns": {"x": {"type": "integer", "bounds": [0, 1.5]}}}, "whole numbers"),
        ({"columns": {"x": {"type": "integer", "bounds": [0, 3], "levels": [0, 4]}}}, "within its bounds"),
        ({"columns": {"x": {"type": "binary", "bounds": [0, 1]}}}, "unknown key 'bounds'"),
        ({"columns": {"x": {"type": "category"}}}, "needs levels"),
        ({"columns": {"x": {"type": "category", "levels": []}}}, "needs levels"),
        ({"columns": {"x": {"type": "category", "levels": ["a", "a"]}}}, "twice"),
        ({"columns": {"x": {"type": "category", "levels": ["1", 1]}}}, "both as a number"),
        ({"columns": {"x": {"type": "category", "levels": [" a"]}}}, "without spaces"),
        ({"columns": {"x": {"type": "category", "levels": [True]}}}, "a level is"),
        ({"columns": {"hospital": {"type": "binary"}}}, "built-in factor"),
        ({"columns": {"a b": {"type": "binary"}}}, "column name"),
        ({"columns": {'a"; DROP': {"type": "binary"}}}, "column name"),
        ({"columns": {"1a": {"type": "binary"}}}, "column name"),
        ({"columns": {"µg": {"type": "binary"}}}, "plainer form"),
        ({"columns": {"x": {"type": "binary"}}, "person": {}}, "person"),
        ({"columns": {"x": {"type": "binary"}}, "person": {"column": "x"}}, "identifies people"),
        ({"columns": {"x": {"type": "binary"}}, "person": {"column": "id", "key": 1}}, "unknown key"),
        ({"columns": {"x": 3}}, "must be a table"),
    ],
)
def test_a_wrong_dictionary_is_refused_and_told_why(mapping: dict, says: str) -> None:
    with pytest.raises(DictionaryError, match=says):
        Dictionary.parse(mapping)


def test_broken_toml_is_a_dictionary_error() -> None:
    with pytest.raises(DictionaryError, match="not valid TOML"):
        Dictionary.from_toml("[columns")


def test_unknown_names_come_with_close_matches() -> None:
    dictionary = Dictionary.from_toml(TOML)
    with pytest.raises(UnknownColumn, match=r"Did you mean 'ph\.ecog'"):
        dictionary["ph_ecog"]
    with pytest.raises(UnknownLevel, match="Did you mean 'black'"):
        dictionary["race"].level_index("blak")
    with pytest.raises(UnknownLevel, match="no level '3'"):
        dictionary["race"].level_index("3")
    assert dictionary["race"].level_index(3.0) == 2


@pytest.mark.parametrize(
    ("column", "pair"),
    [
        ({"type": "binary"}, (0.0, 1.0)),
        ({"type": "integer", "bounds": [1, 2]}, (1.0, 2.0)),
        ({"type": "integer", "bounds": [0, 9], "levels": [2, 5]}, (2.0, 5.0)),
        ({"type": "integer", "bounds": [0, 9]}, None),
        ({"type": "number", "bounds": [0, 1]}, None),
        ({"type": "category", "levels": ["a", "b"]}, None),
    ],
)
def test_a_numeric_column_of_two_values_is_known_as_a_pair(column: dict, pair: tuple[float, float] | None) -> None:
    assert Dictionary.parse({"columns": {"x": column}})["x"].pair == pair
