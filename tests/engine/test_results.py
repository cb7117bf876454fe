"""Result objects: JSON without NaN, text that lines up, words at the surface."""

import dataclasses
import json
from typing import Any

import numpy as np
import pytest

from engine.errors import SpecError
from engine.results import text
from tests.engine.analyses.studies import ask_set

QUESTIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "ols": ("ols", {"formula": "age ~ indo + female + risk"}),
    "ols HC1": ("ols", {"formula": "age ~ indo + female + risk", "options": {"vcov": "HC1", "cov_params": True}}),
    "logit": ("logit", {"formula": "pep_out ~ indo + age + risk"}),
    "describe": ("describe", {"columns": ["age", "risk", "female"]}),
    "describe by": ("describe", {"columns": ["age"], "by": "indo"}),
    "missing": ("missing", {"columns": ["age", "risk"]}),
    "crosstab": ("crosstab", {"formula": "indo ~ pep_out"}),
}


@pytest.fixture(scope="module", params=list(QUESTIONS))
def result(request: pytest.FixtureRequest) -> Any:
    analysis, fields = QUESTIONS[request.param]
    return ask_set("indo_rct", analysis, **fields)[0]


def test_json_round_trip_without_nan(result: Any) -> None:
    document = result.to_dict()
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    assert document["nobs"] == result.nobs == result.n == 602


def test_every_field_is_in_the_dictionary(result: Any) -> None:
    assert {field.name for field in dataclasses.fields(result)} <= set(result.to_dict())


def test_results_are_frozen(result: Any) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        result.nobs = 0


def test_the_summary_lines_up_and_says_where_it_comes_from(result: Any) -> None:
    lines = result.summary().split("\n")
    assert all(line == line.rstrip() and len(line) <= 130 for line in lines)
    assert any(line.startswith("Rows used: 602   people: 602") for line in lines)
    assert "engine: plaintext" in result.summary()
    assert result._repr_html_().startswith("<pre")
    assert str(result) == result.summary()


def test_plot_returns_axes(result: Any) -> None:
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    assert result.plot().has_data()


def test_the_table_is_a_frame(result: Any) -> None:
    assert len(result.to_frame()) > 0


def test_regression_summary() -> None:
    found, _ = ask_set("indo_rct", "logit", formula="pep_out ~ indo + age + risk")
    lines = found.summary().split("\n")
    assert lines[0].strip() == "Logistic regression"
    assert lines[1].strip() == "pep_out ~ 1 + indo + age + risk"
    table = next(i for i, line in enumerate(lines) if line.split()[:2] == ["coef", "std"])
    assert lines[table].split() == ["coef", "std", "err", "z", "P>|z|", "[0.025", "0.975]"]
    assert [line.split()[0] for line in lines[table + 2 : table + 6]] == ["Intercept", "indo", "age", "risk"]
    assert len({len(line) for line in lines[table : table + 6]}) == 1
    assert found.zvalues is found.tvalues


def test_confidence_levels_are_checked() -> None:
    found, _ = ask_set("indo_rct", "ols", formula="age ~ indo")
    narrow, wide = found.conf_int(0.5), found.conf_int(0.99)
    assert (wide.lower < narrow.lower).all()
    with pytest.raises(SpecError):
        found.conf_int(95)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (3, "3"),
        (0.5, "0.5000"),
        (1e-6, "1.000e-06"),
        (0.0, "0.0000"),
        (12345678.0, "1.235e+07"),
        (float("nan"), "-"),
        (None, "-"),
        ("<10", "<10"),
    ],
)
def test_numbers_as_text(value: Any, shown: str) -> None:
    assert text.number(value) == shown
    assert text.number(np.float64(value) if isinstance(value, float) else value) == shown
