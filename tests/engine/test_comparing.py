"""Joint tests of coefficients against statsmodels, and fits that cannot be compared."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf

from engine.cohort import Condition
from engine.dictionary import Dictionary
from engine.errors import SpecError
from engine.results import RegressionResult
from tests import datasets
from tests.engine.analyses.studies import ask, ask_set

RANDHIE = "hlthg ~ female + disea + C(site)"
FITS = {"ols": smf.ols, "logit": smf.logit, "poisson": smf.poisson}
TERMS = [
    ("randhie", "ols", "mdvis ~ C(site) * female + disea", "model"),
    ("randhie", "ols", "mdvis ~ C(site) + disea", "HC1"),
    ("randhie", "logit", RANDHIE, "model"),
    ("birthwt", "ols", "bwt ~ C(race) + lwt", "model"),
]


def asked(dataset: str, analysis: str, formula: str, vcov: str = "model", cov_params: bool = False, **fields: Any) -> Any:
    steps = {} if analysis == "ols" else {"disclosure": "steps"}
    return ask_set(dataset, analysis, formula=formula, options={"vcov": vcov, "cov_params": cov_params}, **steps, **fields)


@pytest.mark.parametrize(("dataset", "analysis", "formula", "vcov"), TERMS)
def test_the_terms_of_a_fit_are_tested_as_in_statsmodels(dataset: str, analysis: str, formula: str, vcov: str) -> None:
    found, pooled = asked(dataset, analysis, formula, vcov, cov_params=True)
    fit = FITS[analysis](formula, pooled)
    truth = fit.fit(disp=0, tol=1e-12) if analysis == "logit" else fit.fit(cov_type="nonrobust" if vcov == "model" else vcov)
    tests = found.wald_tests()
    expected = truth.wald_test_terms(scalar=True).table.drop("Intercept")
    assert set(tests.index) == set(expected.index)
    expected = expected.loc[list(tests.index)]
    assert tests.columns[0] == ("F" if vcov == "model" and analysis == "ols" else "chi2")
    np.testing.assert_allclose(tests.iloc[:, 0], expected.iloc[:, 0].astype(float), rtol=1e-6)
    np.testing.assert_allclose(tests["pvalue"], expected["pvalue"].astype(float), rtol=1e-4, atol=1e-12)
    assert tests["df"].tolist() == expected["df_constraint"].tolist()


def test_any_coefficients_are_tested_together() -> None:
    found, pooled = asked("randhie", "ols", "mdvis ~ female + disea + linc", cov_params=True)
    truth = smf.ols("mdvis ~ female + disea + linc", pooled).fit().f_test("female = 0, linc = 0")
    test = found.wald_test("female", "linc")
    assert (test.statistic, test.pvalue) == pytest.approx((float(truth.fvalue), float(truth.pvalue)), rel=1e-6)
    assert (test.df, test.df_denominator) == (2, truth.df_denom)


def test_one_coefficient_needs_no_covariance_and_a_factor_does() -> None:
    found, _ = asked("randhie", "ols", "mdvis ~ disea + C(site)")
    test = found.wald_test("disea")
    assert (test.statistic, test.pvalue) == pytest.approx((found.tvalues["disea"] ** 2, found.pvalues["disea"]))
    with pytest.raises(SpecError, match="cov_params=True"):
        found.wald_test("C(site)")
    with pytest.raises(SpecError, match="no term or coefficient 'nobody'"):
        found.wald_test("nobody")
    with pytest.raises(SpecError, match="at least one"):
        found.wald_test()


@pytest.mark.parametrize(
    ("dataset", "analysis", "full", "reduced"),
    [
        ("randhie", "logit", RANDHIE, "hlthg ~ female + disea"),
        ("randhie", "poisson", "mdvis ~ female + disea + C(site)", "mdvis ~ disea"),
        ("randhie", "ols", "mdvis ~ female * disea + C(site)", "mdvis ~ female + disea"),
    ],
)
def test_nested_fits_are_compared_as_in_statsmodels(dataset: str, analysis: str, full: str, reduced: str) -> None:
    (larger, pooled), (smaller, _) = (
        asked(dataset, analysis, formula, complete=["site", "female"]) for formula in (full, reduced)
    )
    test = larger.lr_test(smaller)
    options = {} if analysis == "ols" else {"disp": 0, "method": "newton", "tol": 1e-12}
    truth = [FITS[analysis](formula, pooled).fit(**options) for formula in (full, reduced)]
    statistic, df = 2 * (truth[0].llf - truth[1].llf), truth[0].df_model - truth[1].df_model
    assert test.statistic == pytest.approx(statistic, rel=1e-5)
    assert (test.df, test.df_denominator) == (df, None)


FRAMES = list(datasets.load("indo_rct").frames().values())
DICTIONARY = Dictionary.parse(datasets.load("indo_rct").dictionary)


def fit(formula: str, where: str | None = None, analysis: str = "ols", vcov: str = "model", **fields: Any) -> Any:
    condition = Condition.parse(where, DICTIONARY) if where else None
    return ask(FRAMES, DICTIONARY, analysis, formula=formula, where=condition, options={"vcov": vcov}, **fields)


def test_the_same_condition_in_other_words_is_about_the_same_people() -> None:
    full, reduced = fit("age ~ risk + female", "risk>=1"), fit("age ~ risk", "(risk >= 1)", complete=["female"])
    assert full.lr_test(reduced).df == 1


@pytest.mark.parametrize(
    ("full", "reduced", "says"),
    [
        ({"formula": "age ~ risk + female"}, {"formula": "age ~ risk"}, "different people"),
        (
            {"formula": "age ~ risk + female"},
            {"formula": "age ~ risk", "complete": ["female"], "where": "risk >= 1"},
            "different people",
        ),
        ({"formula": "age ~ risk", "complete": ["female"]}, {"formula": "age ~ risk + female"}, "not nested"),
        ({"formula": "age ~ risk", "complete": ["female"]}, {"formula": "age ~ female", "complete": ["risk"]}, "not nested"),
        ({"formula": "age ~ risk"}, {"formula": "age ~ risk"}, "not nested"),
        (
            {"formula": "age ~ C(sod1) + female", "reference": {"sod1": 1}},
            {"formula": "age ~ C(sod1)", "complete": ["female"]},
            "same reference levels",
        ),
        ({"formula": "age ~ risk + female"}, {"formula": "pep_out ~ risk", "complete": ["age", "female"]}, "same response"),
        (
            {"formula": "pep_out ~ risk + female"},
            {"formula": "pep_out ~ risk", "analysis": "logit", "complete": ["female"]},
            "same kind",
        ),
        ({"formula": "age ~ risk + female", "vcov": "HC0"}, {"formula": "age ~ risk", "complete": ["female"]}, "independent"),
    ],
    ids=lambda value: str(value)[:50],
)
def test_fits_that_cannot_be_compared(full: dict[str, Any], reduced: dict[str, Any], says: str) -> None:
    with pytest.raises(SpecError, match=says):
        fit(**full).lr_test(fit(**reduced))


def receipt(study: str, **snapshots: str) -> Any:
    return SimpleNamespace(study=study, snapshots=snapshots)


def test_data_that_changed_in_between_and_other_numbers_of_rows_are_noticed() -> None:
    full, reduced = fit("age ~ risk + female"), fit("age ~ risk", complete=["female"])
    mine: list[RegressionResult] = [replace(each, receipt=receipt("s", um="1", iu="2")) for each in (full, reduced)]
    assert mine[0].lr_test(mine[1]) == full.lr_test(reduced)
    for other in (receipt("s", um="1", iu="3"), receipt("t", um="1", iu="2"), receipt("s", um="1")):
        with pytest.raises(SpecError, match="have changed"):
            mine[0].lr_test(replace(reduced, receipt=other))
    with pytest.raises(SpecError, match="numbers of rows"):
        full.lr_test(replace(reduced, nobs=reduced.nobs - 1))


@pytest.mark.parametrize(("events", "warned"), [(29, True), (30, False)])
def test_fewer_than_ten_events_for_each_parameter_are_warned_of(events: int, warned: bool) -> None:
    rng = np.random.default_rng(3)
    frame = pd.DataFrame({name: rng.uniform(0, 1, 300) for name in "abc"}).assign(y=(np.arange(300) < events).astype(int))
    frame = frame.sample(frac=1, random_state=1, ignore_index=True)
    columns: dict[str, Any] = {name: {"type": "number", "bounds": [0, 1]} for name in "abc"}
    parts = [frame.iloc[i::3].reset_index(drop=True) for i in range(3)]
    for y in ("y", "I(1 - y)"):  # the rarer of the two counts
        found = ask(
            parts, {"columns": {**columns, "y": {"type": "binary"}}}, "logit", formula=f"{y} ~ a + b + c", disclosure="steps"
        )
        assert any(f"{events} events for 3 parameters" in warning for warning in found.warnings) == warned


@pytest.mark.parametrize(
    "formula", ["mdvis ~ C(site) * female + disea", "mdvis ~ 0 + C(site)", "mdvis ~ C(site) + C(site):disea"]
)
def test_a_terms_test_opens_by_itself(formula: str) -> None:
    """One number for each term of several columns, computed on shares: no covariance opens."""
    found, pooled = ask_set("randhie", "ols", formula=formula, options={"wald": True})
    truth = smf.ols(formula, pooled).fit().wald_test_terms(scalar=True).table
    assert found.cov_params is None
    assert found.squares
    for term in found.squares:
        test = found.wald_test(term)
        assert test.statistic == pytest.approx(float(truth.loc[term, "statistic"]), rel=1e-6)
        assert test.df == truth.loc[term, "df_constraint"]
    assert set(found.wald_tests().index) == set(truth.index) - {"Intercept"}


def test_a_robust_covariance_needs_the_whole_matrix_for_joint_tests() -> None:
    with pytest.raises(SpecError, match="cov_params=True"):
        ask_set("randhie", "ols", formula="mdvis ~ C(site)", options={"wald": True, "vcov": "HC1"})
    with pytest.raises(SpecError, match="no option 'wald'"):
        ask_set("randhie", "logit", formula="hlthg ~ C(site)", options={"wald": True})


def test_a_level_that_nobody_has_leaves_the_term_its_others() -> None:
    frames = [frame.assign(arm=np.where(np.arange(len(frame)) % 3 == 0, "a", "b")) for frame in FRAMES]
    dictionary = datasets.load("indo_rct").dictionary
    columns = {**dictionary["columns"], "arm": {"type": "category", "levels": ["a", "nobody", "b"]}}
    found = ask(frames, {"columns": columns}, "ols", formula="age ~ arm + risk", options={"wald": True})
    assert found.wald_test("arm").statistic == pytest.approx(found.tvalues["arm[T.b]"] ** 2, rel=1e-9)
    assert found.squares["arm"] == pytest.approx(found.tvalues["arm[T.b]"] ** 2, rel=1e-9)
