"""Logistic regression, in both modes, against statsmodels, reconverged; and the ways in which a fit can fail."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
import statsmodels.formula.api as smf

from engine.analyses import glm_hidden
from engine.analyses.base import Step
from engine.analyses.glm_hidden import HiddenFit
from engine.charter import BAND
from engine.data.frame_source import FrameSource
from engine.dictionary import Dictionary
from engine.dry_run import plan_ranges, run_in_clear
from engine.errors import DataError, NotEstimable, RefusedByDisclosureRules, SpecError
from protocols.engine import Secret
from protocols.plaintext import Plaintext
from tests.engine.analyses.studies import TWO_HOSPITALS, analysis_of, ask, ask_set, largest, split

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


MODES = ("result", "steps")
EXACT = {"result": 1e-6, "steps": 1e-9}  # of a standard error
ERRORS = {"result": 2e-7, "steps": 1e-9}  # relative, of standard errors


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("dataset", "formula"), QUESTIONS)
def test_everything_equals_statsmodels(dataset: str, formula: str, mode: str) -> None:
    found, pooled = ask_set(dataset, "logit", formula=formula, disclosure=mode)
    truth = reference(formula, pooled)
    names = list(truth.params.index)
    assert largest((found.params[names] - truth.params) / truth.bse) < EXACT[mode]
    assert found.error_bound < 1e-4
    assert largest(found.bse[names] / truth.bse - 1) < ERRORS[mode]
    assert largest(found.pvalues[names] - truth.pvalues) < EXACT[mode]
    assert largest(found.odds_ratios(0.9).loc[names, "upper"] / np.exp(truth.conf_int(0.1)[1]) - 1) < 1e-6
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
            getattr(truth, theirs), rel=1e-7 if mode == "result" or ours in ("llnull", "llr", "prsquared") else 1e-10, abs=1e-7
        )
    generalized = sm.GLM(truth.model.endog, truth.model.exog, family=sm.families.Binomial()).fit(tol=1e-14)
    assert found.pearson_chi2 == pytest.approx(generalized.pearson_chi2, rel=2e-5 if mode == "result" else 1e-7)
    assert found.deviance == pytest.approx(generalized.deviance, rel=1e-7 if mode == "result" else 1e-9)
    assert (found.nobs, found.df_model, found.df_resid) == (truth.nobs, truth.df_model, truth.df_resid)
    assert found.events == truth.model.endog.sum()
    assert 2 <= found.iterations <= 6


@pytest.mark.parametrize("cov_params", [False, True])
@pytest.mark.parametrize(("vcov", "mode"), [("HC0", "steps"), ("cluster", "steps"), ("HC0", "result")])
def test_robust_covariances(vcov: str, mode: str, cov_params: bool) -> None:
    formula = "outcome ~ active + age + baseline + C(center)"
    options = {"vcov": vcov, "cov_params": cov_params}
    found, pooled = ask_set("respiratory", "logit", formula=formula, options=options, disclosure=mode)
    extra = {"cov_kwds": {"groups": pd.factorize(pooled["person"])[0]}} if vcov == "cluster" else {}
    truth = reference(formula, pooled, cov_type=vcov, **extra)
    names = list(truth.params.index)
    assert largest(found.bse[names] / truth.bse - 1) < (1e-8 if mode == "steps" else ERRORS[mode])
    if cov_params:
        assert largest(found.cov_params.loc[names, names] - truth.cov_params()) < (1e-9 if mode == "steps" else 1e-7)


def test_people_are_not_clustered_on_shared_rows() -> None:
    with pytest.raises(SpecError, match="vcov"):
        ask_set("respiratory", "logit", formula="outcome ~ age", options={"vcov": "cluster"})


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


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("formula", "message"),
    [
        ("y ~ x + twice", "collinear"),
        ("above ~ x", "does not converge"),
        ("above ~ x + b + group", "does not converge"),
        ("almost ~ b + x", "does not converge"),
    ],
)
def test_collinear_and_separated_fits_end_with_a_reason(formula: str, message: str, mode: str) -> None:
    with pytest.raises(NotEstimable, match=message):
        ask(split(synthetic()), {"columns": COLUMNS}, "logit", formula=formula, disclosure=mode)


@pytest.mark.parametrize("mode", MODES)
def test_a_declared_level_without_rows_is_dropped(mode: str) -> None:
    frame = synthetic()
    found = ask(split(frame), {"columns": COLUMNS}, "logit", formula="y ~ x + group", disclosure=mode)
    truth = reference("y ~ x + group", frame)
    assert found.dropped == ("group[T.none]",)
    assert largest((found.params - truth.params) / truth.bse) < EXACT[mode]
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


@pytest.mark.parametrize(("mode", "most_rounds"), [("steps", 220), ("result", 280)])
@pytest.mark.parametrize("vcov", ["model", "HC0"])
def test_ranges_are_planned(vcov: str, mode: str, most_rounds: int) -> None:
    """The start, one newton stage and the final one."""
    dictionary = Dictionary.parse({"columns": COLUMNS})
    options = {"vcov": vcov}
    price = plan_ranges(analysis_of(dictionary, "logit", 40, formula="y ~ x + b", options=options, disclosure=mode))
    assert price.leakage_log2 <= -40
    assert price.rounds <= most_rounds


def test_no_mask_relies_on_rows_before_they_are_compared_with_sums(monkeypatch: pytest.MonkeyPatch) -> None:
    """Up to the comparison nothing opens under a mask whose leak grows with the rows that are shared."""
    dictionary = Dictionary.parse({"columns": COLUMNS})
    leaks: list[float] = []
    begin = HiddenFit._begin

    def watched(self: HiddenFit, mpc: Plaintext, totals: Mapping[str, Secret]) -> Step:
        step = begin(self, mpc, totals)
        leaks.append(mpc.meter.leakage)
        assert step.hidden[0].z.proven
        assert not step.hidden[0].y.proven
        assert not step.hidden[0].w.proven
        return step

    monkeypatch.setattr(HiddenFit, "_begin", watched)
    for band in (BAND, 8 * BAND):
        plan_ranges(analysis_of(dictionary, "logit", 20, (band,) * 3, formula="y ~ x + b"))
    assert leaks[0] == leaks[1]


@pytest.mark.parametrize("mode", MODES)
def test_ranges_of_many_columns_are_planned(mode: str) -> None:
    columns = {f"x{i}": {"type": "number", "bounds": [0, 10]} for i in range(119)}
    dictionary = Dictionary.parse({"columns": {**columns, "y": {"type": "binary"}}})
    question = analysis_of(dictionary, "logit", 40, formula="y ~ " + " + ".join(columns), disclosure=mode)
    assert plan_ranges(question).leakage_log2 <= -40


def narrow_rare(n: int) -> pd.DataFrame:
    """Rare events, and a column that spans a thousandth of its bounds."""
    rng = np.random.default_rng(5)
    x = 50 + 0.02 * rng.standard_normal(n)
    b = rng.integers(0, 2, n)
    y = (rng.random(n) < 1 / (1 + np.exp(4.6 - 30 * (x - 50) - b))).astype(int)
    return pd.DataFrame({"x": x, "b": b, "y": y, "twice": 2 * x, "group": "a", "above": 0, "almost": 0})


@pytest.mark.parametrize("mode", MODES)
def test_rare_events_and_a_narrow_column(mode: str) -> None:
    frame = narrow_rare(6000)
    found = ask(split(frame), {"columns": COLUMNS}, "logit", formula="y ~ x + b", disclosure=mode)
    truth = reference("y ~ x + b", frame)
    assert largest((found.params - truth.params) / truth.bse) < 1e-4
    assert largest(found.bse / truth.bse - 1) < 1e-5


def test_a_hospital_whose_rows_are_not_its_sums_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = glm_hidden.HiddenFit.local

    def faulty(fit: Any, rows: Any, state: Any) -> Any:
        values = dict(honest(fit, rows, state))
        values["z"] = values["z"].copy()
        values["z"][3, 1] += 0.5
        return values

    monkeypatch.setattr(glm_hidden.HiddenFit, "local", faulty)
    with pytest.raises(NotEstimable, match="do not agree"):
        ask(split(synthetic()), {"columns": COLUMNS}, "logit", formula="y ~ x")


def test_a_table_that_outgrew_its_band_is_refused() -> None:
    dictionary = Dictionary.parse({"columns": COLUMNS})
    question = analysis_of(dictionary, "logit", formula="y ~ x", bands=(1024,) * 3)
    sources = [FrameSource(synthetic(1500), dictionary) for _ in range(3)]
    with pytest.raises(DataError, match="charter"):
        run_in_clear(question, sources, TWO_HOSPITALS)


def test_hospitals_that_differ_are_one_fit() -> None:
    """Each hospital's own fit is far from the pooled one; where they begin does not matter."""
    rng = np.random.default_rng(3)
    frames = []
    for shift, slope in ((-25, 0.3), (0, -0.05), (25, 0.1)):
        frame = synthetic(400, int(rng.integers(1000)))
        frame["x"] = (frame["x"] + shift).clip(0, 100)
        frame["y"] = (rng.random(400) < 1 / (1 + np.exp(-slope * (frame["x"] - 50)))).astype(int)
        frames.append(frame)
    for mode in MODES:
        found = ask(frames, {"columns": COLUMNS}, "logit", formula="y ~ x + b", disclosure=mode)
        truth = reference("y ~ x + b", pd.concat(frames))
        assert largest((found.params - truth.params) / truth.bse) < EXACT[mode]
