"""What people get wrong, across real daemons: a typed error that says what to do, and no data in it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import unseen
from engine.dictionary import Dictionary
from engine.errors import REFUSAL

CANARIES = ("CANARYTEXT", "98765.4321", "98765", "4321.9876")
HOSPITALS, ROWS = ("north", "south", "west"), 120
MANY = [f"x{i}" for i in range(36)]

DICTIONARY = {
    "columns": {
        "age": {"type": "integer", "bounds": [18, 100]},
        "dose": {"type": "number", "bounds": [0, 50]},
        "half": {"type": "number", "bounds": [0, 25]},  # always dose / 2
        "flat": {"type": "number", "bounds": [0, 2]},  # always 1
        "arm": {"type": "category", "levels": ["placebo", "drug", "never"]},  # nobody has "never"
        "rare": {"type": "category", "levels": ["common", "odd"]},  # four people have "odd"
        "event": {"type": "binary"},
        "shown": {"type": "binary"},  # 1 exactly where age >= 50: separates
        "weight": {"type": "number", "bounds": [30, 250]},  # some missing, some out of bounds
        "far": {"type": "number", "bounds": [0, 1000]},  # at most 1, but for one person
        "close": {"type": "number", "bounds": [-1, 51]},  # dose, but for a ten-millionth
        "near": {"type": "number", "bounds": [-1, 51]},  # dose, but for a thousandth
        "huge": {"type": "number", "bounds": [0, 5e14]},  # 1e13 times dose, and noise
        "tiny": {"type": "number", "bounds": [0, 1e-12]},
        "adult": {"type": "category", "from": "age", "cuts": [50], "levels": ["young", "old"]},
        "senior": {"type": "category", "from": "age", "cuts": [51], "levels": ["young", "old"]},
        **{name: {"type": "number", "bounds": [0, 1]} for name in MANY},
    }
}


def frame(seed: int) -> pd.DataFrame:
    rng, noise = np.random.default_rng(seed), np.random.default_rng([seed, 1])
    age = np.concatenate([[49, 50], rng.integers(18, 90, ROWS - 2)])
    dose = np.round(rng.uniform(0, 50, ROWS), 3)
    weight = np.round(rng.normal(75, 12, ROWS), 1).astype(object)
    weight[:12] = None
    weight[12:15] = ["98765.4321", "CANARYTEXT", "-4321.9876"]  # out of bounds, and no number: 2.5 % of the rows
    return pd.DataFrame(
        {
            "age": age,
            "dose": dose,
            "half": dose / 2,
            "flat": 1.0,
            "arm": np.where(rng.random(ROWS) < 0.5, "drug", "placebo"),
            "rare": ["odd"] * (2 if seed < 2 else 0) + ["common"] * (ROWS - (2 if seed < 2 else 0)),
            "event": (rng.random(ROWS) < 0.4).astype(int),
            "shown": (age >= 50).astype(int),
            "weight": weight,
            "far": np.where((np.arange(ROWS) == 60) & (seed == 1), 900.0, np.round(rng.uniform(0, 1, ROWS), 3)),
            "close": dose + 1e-7 * rng.uniform(-1, 1, ROWS),
            "near": dose + 1e-3 * noise.uniform(-1, 1, ROWS),
            "huge": 1e13 * np.clip(dose + noise.uniform(-5, 5, ROWS), 0, 50),
            "tiny": 1e-12 * noise.uniform(0, 1, ROWS),
            **{name: np.round(rng.uniform(0, 1, ROWS), 3) for name in MANY},
        }
    )


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    files = tmp_path_factory.mktemp("files")
    paths = {}
    for seed, name in enumerate(HOSPITALS):
        paths[name] = files / f"{name}.csv"
        frame(seed).to_csv(paths[name], index=False)
    opened = unseen.sandbox(paths, Dictionary.parse(DICTIONARY), tmp_path_factory.mktemp("bad") / "study")
    with opened:
        yield opened


@pytest.fixture(scope="module")
def study(box: Any) -> Any:
    return box.study


WRONG_IN_THEMSELVES = [
    ("ols", {"formula": "age ~ hight"}, unseen.UnknownColumn),
    ("ols", {"formula": "age ~ dose +"}, unseen.FormulaError),
    ("ols", {"formula": "age ~ system(dose)"}, unseen.FormulaError),
    ("ols", {"formula": "age ~ {print(1)}"}, unseen.FormulaError),
    ("ols", {"formula": "age ~ log(dose)"}, unseen.FormulaError),
    ("ols", {"formula": "age ~ C(dose)"}, unseen.SpecError),
    ("ols", {"formula": "age"}, unseen.SpecError),
    ("ols", {"formula": "age ~ dose", "where": "arm == 'drog'"}, unseen.UnknownLevel),
    ("ols", {"formula": "age ~ dose", "where": "arm > 3"}, unseen.CohortError),
    ("ols", {"formula": "age ~ dose", "where": "age >= 18; DROP TABLE patients"}, unseen.CohortError),
    ("ols", {"formula": "age ~ dose", "vcov": "HC9"}, unseen.SpecError),
    ("ols", {"formula": "age ~ dose", "vcov": "cluster"}, unseen.SpecError),
    ("ols", {"formula": "age ~ dose", "engine": "plaintext"}, unseen.UnseenError),
    ("ols", {"formula": "age ~ dose", "complete": ["hight"]}, unseen.UnknownColumn),
    ("ols", {"formula": "age ~ arm", "reference": {"arm": "drog"}}, unseen.UnknownLevel),
    ("ols", {"formula": "age ~ dose", "reference": {"arm": "drug"}}, unseen.FormulaError),
    ("ols", {"formula": "dose ~ adult + senior"}, unseen.FormulaError),  # together they show who is 50
    ("missing", {"columns": ["aeg"]}, unseen.UnknownColumn),
    ("logit", {"formula": "age ~ dose", "disclosure": "steps"}, unseen.SpecError),
    ("crosstab", {"formula": "arm ~ dose"}, unseen.SpecError),
    ("describe", {"columns": ["aeg"]}, unseen.UnknownColumn),
]

REFUSED = [
    ("describe", {"columns": ["age"], "where": "age > 200"}),  # nobody
    ("describe", {"columns": ["age"], "where": "rare == 'odd'"}),  # four people
    ("describe", {"columns": ["age"], "where": "rare == 'common'"}),  # the complement: four people
    ("crosstab", {"formula": "rare ~ event"}),
    ("ols", {"formula": "age ~ rare"}),
    ("ols", {"formula": "dose ~ arm * rare"}),
    (
        "ols",
        {"formula": "age ~ dose", "where": "age < 22 and arm == 'drug'"},
    ),  # too few for the residual degrees of freedom, or at all
    ("ols", {"formula": "dose ~ far"}),  # one person has a leverage near 1
    ("logit", {"formula": "event ~ far", "disclosure": "steps"}),
    ("ols", {"formula": f"dose ~ {' + '.join(MANY)}"}),  # 37 parameters of 360 people
    ("logit", {"formula": "event ~ arm * rare", "disclosure": "steps"}),  # saturated: it would return a table with small cells
]

NOT_ESTIMABLE = [
    ("ols", {"formula": "age ~ dose + half"}),
    ("ols", {"formula": "age ~ flat"}),
    ("ols", {"formula": "age ~ dose + close"}),
    ("logit", {"formula": "event ~ dose + half", "disclosure": "steps"}),
    ("logit", {"formula": "shown ~ age", "disclosure": "steps"}),
]


def ask(study: Any, analysis: str, fields: dict[str, Any]) -> Any:
    fields = dict(fields)
    first = fields.pop("columns" if "columns" in fields else "formula")
    return getattr(study, analysis)(first, **fields)


@pytest.mark.parametrize(("analysis", "fields", "error"), WRONG_IN_THEMSELVES, ids=lambda value: str(value)[:60])
def test_a_wrong_question_is_refused_before_anything_is_sent(study: Any, analysis: str, fields: Any, error: type) -> None:
    before = len(study.jobs())
    with pytest.raises(error) as caught:
        ask(study, analysis, fields)
    assert isinstance(caught.value, unseen.UnseenError)
    assert len(str(caught.value)) > 20
    assert len(study.jobs()) == before


@pytest.mark.parametrize(("analysis", "fields"), REFUSED, ids=lambda value: str(value)[:60])
def test_what_depends_on_few_people_is_refused_with_one_text(study: Any, analysis: str, fields: Any) -> None:
    with pytest.raises(unseen.RefusedByDisclosureRules) as caught:
        ask(study, analysis, fields)
    assert str(caught.value) == REFUSAL


@pytest.mark.parametrize(("analysis", "fields"), NOT_ESTIMABLE, ids=lambda value: str(value)[:60])
def test_what_the_pooled_data_do_not_determine_is_said(study: Any, analysis: str, fields: Any) -> None:
    with pytest.raises(unseen.NotEstimable):
        ask(study, analysis, fields)


def test_missing_and_out_of_bounds_are_counted_and_left_out(study: Any) -> None:
    result = study.describe(["weight"])
    pooled = pd.concat([frame(seed) for seed in range(3)])
    weight = pd.to_numeric(pooled["weight"], errors="coerce")
    used = weight[weight.between(30, 250)]
    assert result.to_frame().loc["weight", "n"] == len(used)
    assert abs(result.to_frame().loc["weight", "mean"] - used.mean()) < 1e-9


def test_a_level_that_nobody_has_is_dropped_with_a_warning(study: Any) -> None:
    fit = study.ols("age ~ arm")
    assert list(fit.params.index) == ["Intercept", "arm[T.drug]"]
    assert any("never" in warning for warning in fit.warnings)


def test_nearly_collinear_columns_are_answered_with_a_warning(study: Any) -> None:
    fit = study.ols("age ~ dose + near")
    assert any(f"condition number {fit.condition_number:.1e}" in warning for warning in fit.warnings)
    pooled = pd.concat([frame(seed) for seed in range(len(HOSPITALS))])
    apart = (pooled.near - pooled.dose) / 1e-3  # what near has and dose lacks: a slope on it is near's own
    design = np.column_stack([np.ones(len(pooled)), pooled.dose, apart])
    slope = np.linalg.lstsq(design, pooled.age.to_numpy(dtype=float), rcond=None)[0][2] / 1e-3
    assert abs(fit.params["near"] - slope) <= 1e-5 * fit.bse["near"]


def test_columns_on_wildly_different_scales(study: Any) -> None:
    fit = study.ols("age ~ huge + tiny")
    pooled = pd.concat([frame(seed) for seed in range(len(HOSPITALS))])
    design = np.column_stack([np.ones(len(pooled)), pooled.huge / 1e13, pooled.tiny / 1e-12])
    slopes = np.linalg.lstsq(design, pooled.age.to_numpy(dtype=float), rcond=None)[0] / [1, 1e13, 1e-12]
    assert (abs(fit.params.to_numpy() - slopes) <= 1e-6 * fit.bse.to_numpy()).all()
    assert fit.warnings == ()


def test_answers_that_differ_by_a_few_people_are_refused(study: Any) -> None:
    """Four people are odd: the answer with and the answer without them would give them away."""
    study.describe(["dose"])
    with pytest.raises(unseen.RefusedByDisclosureRules, match="complete="):
        study.ols("dose ~ age", where="rare == 'common' or (rare == 'odd' and age > 200)")
    assert study.describe(["dose"]).nobs == len(HOSPITALS) * ROWS  # the same people again: allowed


def test_no_patients_value_is_in_any_log_journal_or_error(box: Any, study: Any) -> None:
    study.describe(["weight"], complete=["weight"])
    looked_at = 0
    for party in HOSPITALS:
        for path in box.layout.root.joinpath(party).rglob("*"):
            if path.is_file() and path.suffix not in (".csv", ".parquet"):
                data = path.read_bytes()
                looked_at += 1
                assert not [canary for canary in CANARIES if canary.encode() in data], path.name
    assert looked_at > 10


def test_a_wrong_file_is_told_to_its_hospital(tmp_path: Path) -> None:
    good = frame(1)
    ragged = tmp_path / "ragged.csv"
    ragged.write_text("age,dose\n1,2,3,4\n5\n")
    with pytest.raises(unseen.UnseenError), unseen.sandbox({"a": good, "b": good, "c": ragged}, Dictionary.parse(DICTIONARY)):
        pass
