"""Logistic regression against statsmodels, reconverged; and the ways in which a fit can fail."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
import statsmodels.formula.api as smf

from engine.dictionary import Dictionary
from engine.dry_run import plan_ranges
from engine.errors import NotEstimable, RefusedByDisclosureRules, SpecError
from tests.engine.analyses.studies import analysis_of, ask, ask_set, largest, split

QUESTIONS = [
    ("indo_rct", "pep_out ~ indo + age + female + risk + sod1"),
    ("birthwt", "low ~ age + lwt + black + other + smoke + ht + ui"),
    ("respiratory", "outcome ~ active + male + age + baseline + C(center)"),
    ("randhie", "hlthg ~ coins + female + black + xage + linc + disea + physlm"),
    ("lung", "event ~ age + sex"),
    ("azpro", "procedure ~ 0 + los + age75"),
]


def reference(formula: str, pooled: pd.DataFrame, **fit: Any) -> Any:
    return smf.logit(formula, pooled).fit(method="newton", tol=1e-14, maxiter=100, disp=0, **fit)


@pytest.mark.parametrize(("dataset", "formula"), QUESTIONS)
def test_everything_equals_statsmodels(dataset: str, formula: str) -> None:
    found, pooled = ask_set(dataset, "logit", formula=formula)
    truth = reference(formula, pooled)
    names = list(truth.params.index)
    assert largest((found.params[names] - truth.params) / truth.bse) < 1e-9
    assert largest(found.bse[names] / truth.bse - 1) < 1e-9
    assert largest(found.pvalues[names] - truth.pvalues) < 1e-9
    assert largest(found.odds_ratios(0.9).loc[names, "upper"] / np.exp(truth.conf_int(0.1)[1]) - 1) < 1e-7
    for ours, theirs in {
        "llf": "llf",
        "llnull": "llnull",
        "llr": "llr",
        "prsquared": "prsquared",
        "aic": "aic",
        "bic": "bic",
    }.items():
        # statsmodels fits the null model by an optimiser that stops at about 1e-9; ours is exact
        assert getattr(found, ours) == pytest.approx(
            getattr(truth, theirs), rel=1e-7 if ours in ("llnull", "llr", "prsquared") else 1e-10
        )
    generalized = sm.GLM(truth.model.endog, truth.model.exog, family=sm.families.Binomial()).fit(tol=1e-14)
    assert found.pearson_chi2 == pytest.approx(generalized.pearson_chi2, rel=1e-7)
    assert found.deviance == pytest.approx(generalized.deviance, rel=1e-9)
    assert (found.nobs, found.df_model, found.df_resid) == (truth.nobs, truth.df_model, truth.df_resid)
    assert found.events == truth.model.endog.sum()
    assert 3 <= found.iterations <= 10


@pytest.mark.parametrize("cov_params", [False, True])
@pytest.mark.parametrize("vcov", ["HC0", "cluster"])
def test_robust_covariances(vcov: str, cov_params: bool) -> None:
    formula = "outcome ~ active + age + baseline + C(center)"
    found, pooled = ask_set("respiratory", "logit", formula=formula, options={"vcov": vcov, "cov_params": cov_params})
    extra = {"cov_kwds": {"groups": pd.factorize(pooled["person"])[0]}} if vcov == "cluster" else {}
    truth = reference(formula, pooled, cov_type=vcov, **extra)
    names = list(truth.params.index)
    assert largest(found.bse[names] / truth.bse - 1) < 1e-8
    if cov_params:
        assert largest(found.cov_params.loc[names, names] - truth.cov_params()) < 1e-9


COLUMNS: dict[str, Any] = {
    "x": {"type": "number", "bounds": [0, 100]},
    "twice": {"type": "number", "bounds": [0, 200]},
    "b": {"type": "binary"},
    "group": {"type": "category", "levels": ["a", "b", "c", "none"]},
    **{name: {"type": "binary"} for name in ("y", "above", "almost")},
}


def synthetic(n: int = 600, seed: int = 1) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    x, b = rng.normal(50, 10, n).clip(0, 100), rng.integers(0, 2, n)
    y = (rng.random(n) < 1 / (1 + np.exp(-(x - 50) / 10))).astype(int)
    almost = ((b == 1) | (rng.random(n) < 0.5)).astype(int)
    groups = rng.choice(["a", "b", "c"], n)
    return pd.DataFrame(
        {"x": x, "twice": 2 * x, "b": b, "y": y, "above": (x > 50).astype(int), "almost": almost, "group": groups}
    )


@pytest.mark.parametrize(
    ("formula", "message"),
    [
        ("y ~ x + twice", "collinear"),
        ("above ~ x", "does not converge"),
        ("above ~ x + b + group", "does not converge"),
        ("almost ~ b + x", "does not converge"),
    ],
)
def test_collinear_and_separated_fits_end_with_a_reason(formula: str, message: str) -> None:
    with pytest.raises(NotEstimable, match=message):
        ask(split(synthetic()), {"columns": COLUMNS}, "logit", formula=formula)


def test_a_declared_level_without_rows_is_dropped() -> None:
    frame = synthetic()
    found = ask(split(frame), {"columns": COLUMNS}, "logit", formula="y ~ x + group")
    truth = reference("y ~ x + group", frame)
    assert found.dropped == ("group[T.none]",)
    assert largest((found.params - truth.params) / truth.bse) < 1e-9
    assert found.df_resid == truth.df_resid


def test_a_saturated_model_obeys_the_table_rule() -> None:
    """y ~ b gives the 2 x 2 table away, so each of its cells counts; with a measurement beside b it does not."""
    frame = synthetic()
    ones = frame.index[(frame.b == 1) & (frame.y == 1)]
    few = frame.drop(ones[9:])
    with pytest.raises(RefusedByDisclosureRules):
        ask(split(few), {"columns": COLUMNS}, "logit", formula="y ~ b")
    assert ask(split(frame.drop(ones[10:])), {"columns": COLUMNS}, "logit", formula="y ~ b").events > 10
    assert ask(split(few), {"columns": COLUMNS}, "logit", formula="y ~ b + x").events > 10


def test_a_response_written_as_an_expression_is_the_same_question() -> None:
    frame = synthetic()
    plain, written = (ask(split(frame), {"columns": COLUMNS}, "logit", formula=f"{y} ~ x") for y in ("y", "I(1 * y)"))
    assert written.params.tolist() == plain.params.tolist()
    turned = ask(split(frame), {"columns": COLUMNS}, "logit", formula="I(1 - y) ~ x")
    assert largest(turned.params + plain.params) < 1e-9 * largest(plain.params)
    few = frame.drop(frame.index[(frame.b == 1) & (frame.y == 1)][9:])
    with pytest.raises(RefusedByDisclosureRules):
        ask(split(few), {"columns": COLUMNS}, "logit", formula="I(1 * y) ~ b")
    with pytest.raises(SpecError, match="0 and 1"):
        analysis_of(Dictionary.parse({"columns": COLUMNS}), "logit", formula="I(2 * y) ~ x")


@pytest.mark.parametrize(("formula", "cov_params"), [("y ~ b + x", True), ("y ~ b + group", False)])
def test_groups_by_response_obey_the_table_rule_where_the_fit_returns_them(formula: str, cov_params: bool) -> None:
    frame = synthetic()
    ones = frame.index[(frame.b == 1) & (frame.y == 1)]
    options = {"cov_params": cov_params}
    with pytest.raises(RefusedByDisclosureRules):
        ask(split(frame.drop(ones[9:])), {"columns": COLUMNS}, "logit", formula=formula, options=options)
    assert ask(split(frame.drop(ones[10:])), {"columns": COLUMNS}, "logit", formula=formula, options=options).events > 10


def test_nine_events_refuse() -> None:
    frame = synthetic()
    events = frame.index[frame.y == 1]
    with pytest.raises(RefusedByDisclosureRules):
        ask(split(frame.drop(events[9:])), {"columns": COLUMNS}, "logit", formula="y ~ x")


def test_a_response_with_more_than_two_values_is_refused() -> None:
    with pytest.raises(SpecError, match="two values"):
        analysis_of(Dictionary.parse({"columns": COLUMNS}), "logit", formula="x ~ b")


def test_steps_must_be_asked_for() -> None:
    from engine.analyses import Ask, Limits, build

    with pytest.raises(SpecError, match="steps"):
        build(Ask("logit", formula="y ~ x"), Dictionary.parse({"columns": COLUMNS}), Limits(12))


@pytest.mark.parametrize("vcov", ["model", "HC0"])
def test_ranges_are_planned(vcov: str) -> None:
    price = plan_ranges(
        analysis_of(Dictionary.parse({"columns": COLUMNS}), "logit", 40, formula="y ~ x + b", options={"vcov": vcov})
    )
    assert price.leakage_log2 <= -40
    assert price.rounds <= 200  # one newton stage and the final one
