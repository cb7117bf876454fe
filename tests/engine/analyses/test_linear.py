"""Least squares against statsmodels and NIST's certified values."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
import statsmodels.formula.api as smf

from engine.analyses import leverage
from engine.analyses.linear import OLS
from engine.dictionary import Dictionary
from engine.dry_run import plan_ranges
from engine.errors import NotEstimable, RefusedByDisclosureRules, SpecError
from protocols.errors import RangeError, SecurityBudgetExceeded
from tests import datasets
from tests.engine.analyses.studies import LOOSE, analysis_of, ask, ask_set, largest, split

RANDHIE = "coins + female + black + xage + linc + disea + physlm"
BIRTHWT = "age + lwt + black + other + smoke + ht + ui"
QUESTIONS = [
    ("randhie", f"log1p(meddol) ~ {RANDHIE}"),
    ("randhie", "mdvis ~ C(site) * female + disea"),
    ("randhie", "mdvis ~ 0 + C(site) + disea"),
    ("birthwt", f"bwt ~ {BIRTHWT}"),
    ("lung", "time ~ age + sex"),
    ("azpro", "los ~ procedure + sex + admit + age75"),
    ("colon", "time ~ C(rx) + age + nodes"),
    ("indo_rct", "age ~ indo + female + risk"),
]


def reference(formula: str, pooled: pd.DataFrame, **fit: Any) -> Any:
    return smf.ols(formula.replace("log1p", "np.log1p"), pooled).fit(**fit)


@pytest.mark.parametrize(("dataset", "formula"), QUESTIONS)
def test_everything_equals_statsmodels(dataset: str, formula: str) -> None:
    found, pooled = ask_set(dataset, "ols", formula=formula)
    truth = reference(formula, pooled)
    names = list(truth.params.index)
    assert sorted(found.params.index) == sorted(names)
    assert largest((found.params[names] - truth.params) / truth.bse) < 1e-10
    assert largest(found.bse[names] / truth.bse - 1) < 1e-10
    assert largest(found.conf_int(0.9).loc[names].to_numpy() - truth.conf_int(0.1).to_numpy()) < 1e-8 * largest(truth.params)
    assert largest(found.pvalues[names] - truth.pvalues) < 1e-8
    for ours, theirs in {
        "rsquared": 1,
        "rsquared_adj": 1,
        "fvalue": 1,
        "f_pvalue": 1,
        "scale": 1,
        "llf": 1,
        "aic": 1,
        "bic": 1,
    }.items():
        assert getattr(found, ours) == pytest.approx(getattr(truth, ours), rel=1e-9 * theirs, abs=1e-250)
    assert (found.df_model, found.df_resid, found.nobs) == (truth.df_model, truth.df_resid, truth.nobs)
    assert 0 < found.error_bound < 1e-10


@pytest.mark.parametrize("cov_params", [False, True])
@pytest.mark.parametrize("vcov", ["HC0", "HC1"])
@pytest.mark.parametrize("formula", [QUESTIONS[0][1], QUESTIONS[2][1]])
def test_heteroscedasticity_robust_covariances(formula: str, vcov: str, cov_params: bool) -> None:
    found, pooled = ask_set("randhie", "ols", formula=formula, options={"vcov": vcov, "cov_params": cov_params})
    truth = reference(formula, pooled, cov_type=vcov)
    names = list(truth.params.index)
    assert largest(found.bse[names] / truth.bse - 1) < 1e-8
    assert largest(found.pvalues[names] - truth.pvalues) < 1e-8
    if cov_params:
        assert largest(found.cov_params.loc[names, names] - truth.cov_params()) < 1e-8 * largest(truth.cov_params())
        if "0 +" not in formula:
            assert found.fvalue == pytest.approx(float(truth.fvalue), rel=1e-8)
    else:
        assert found.fvalue is None


def test_clusters_are_people_of_a_hospital() -> None:
    formula = "age ~ active + baseline + C(center)"
    found, pooled = ask_set("respiratory", "ols", formula=formula, options={"vcov": "cluster", "cov_params": True})
    groups = pd.factorize(pooled["person"])[0]
    truth = reference(formula, pooled, cov_type="cluster", cov_kwds={"groups": groups})
    names = list(truth.params.index)
    assert largest(found.bse[names] / truth.bse - 1) < 1e-8
    assert found.fvalue == pytest.approx(float(truth.fvalue), rel=1e-8)
    assert found.f_pvalue == pytest.approx(float(truth.f_pvalue), rel=1e-6)
    assert found.people == pooled["person"].nunique() == 111
    assert not any("independent" in warning for warning in found.warnings)
    with_rows, _ = ask_set("respiratory", "ols", formula=formula)
    assert any("444 rows are of 111 people" in warning for warning in with_rows.warnings)


def test_the_whole_covariance_opens_only_when_asked_for() -> None:
    formula = "bwt ~ age + lwt + C(race) + smoke"
    found, pooled = ask_set("birthwt", "ols", formula=formula, options={"cov_params": True})
    truth = reference(formula, pooled).cov_params()
    assert largest(found.cov_params.loc[truth.index, truth.index] / truth - 1) < 1e-8
    plain, _ = ask_set("birthwt", "ols", formula=formula)
    assert plain.cov_params is None


# -- tables that follow from what a fit returns -----------------------------------------------------------------------------

GROUPED: dict[str, Any] = {
    "x": {"type": "number", "bounds": [0, 100]},
    "y": {"type": "number", "bounds": [-100, 100]},
    "group": {"type": "category", "levels": ["a", "b", "c", "none"]},
    **{name: {"type": "binary"} for name in ("sick", "treated", "old")},
    "grade": {"type": "integer", "bounds": [0, 2], "levels": [0, 1, 2]},
}


def grouped(both: int, first: str, second: str, n: int = 600) -> pd.DataFrame:
    """So many people have a 1 in both columns (and in `old` beside); every other combination is frequent."""
    rng = np.random.default_rng(2)
    frame = pd.DataFrame({"x": rng.uniform(0, 100, n), "y": rng.normal(size=n), "group": rng.choice(["a", "b", "c"], n)})
    for name in ("sick", "treated", "old"):
        frame[name] = rng.integers(0, 2, n)
    frame["grade"] = rng.integers(0, 3, n)
    clash = frame.index[(frame[first] == 1) & (frame[second] == 1) & (frame["old"] == 1)]
    for_others = frame.index[(frame[first] == 1) & (frame[second] == 1) & (frame["old"] == 0)]
    frame.loc[for_others, first] = 0
    frame.loc[clash[both:], first] = 0
    return frame


@pytest.mark.parametrize(
    ("formula", "cov_params"),
    [
        ("y ~ sick + treated + x", True),
        ("y ~ sick:x + treated", True),
        ("y ~ C(sick) + treated + x", True),
        ("y ~ sick + treated", False),
        ("y ~ C(sick) + C(treated) + group", False),
        ("y ~ sick + treated + grade", False),
        ("sick ~ treated + x", True),
        ("I(1 * sick) ~ treated + x", True),
        ("I(3 - 2 * sick) ~ treated", False),
        ("log(sick + 1) ~ treated + group", False),
    ],
)
def test_a_pair_of_groups_obeys_the_table_rule_where_the_answer_returns_its_table(formula: str, cov_params: bool) -> None:
    """X'X and X'y follow from coefficients and covariance; with groups only, their whole numbers from the variances."""
    options = {"cov_params": cov_params}
    with pytest.raises(RefusedByDisclosureRules):
        ask(split(grouped(9, "sick", "treated")), {"columns": GROUPED}, "ols", formula=formula, options=options)
    answered = ask(split(grouped(10, "sick", "treated")), {"columns": GROUPED}, "ols", formula=formula, options=options)
    assert (answered.cov_params is not None) is cov_params


@pytest.mark.parametrize("formula", ["y ~ sick + treated + x", "sick ~ treated + x"])
def test_beside_a_measurement_pairs_count_for_the_covariance_only(formula: str) -> None:
    assert ask(split(grouped(9, "sick", "treated")), {"columns": GROUPED}, "ols", formula=formula).nobs == 600


def test_terms_are_crossed_whole() -> None:
    """X'X of y ~ sick:old + treated holds the number who are sick, old and treated, though each two of these are frequent."""
    frame = grouped(9, "sick", "treated")
    frame = pd.concat([frame, frame[frame.old == 0].assign(sick=1, treated=1)], ignore_index=True)
    pairs = {"formula": "y ~ sick + old + treated + x", "options": {"cov_params": True}}
    assert ask(split(frame), {"columns": GROUPED}, "ols", **pairs).nobs == len(frame)
    with pytest.raises(RefusedByDisclosureRules):
        ask(split(frame), {"columns": GROUPED}, "ols", **pairs | {"formula": "y ~ sick*old + treated + x"})


def test_a_level_that_nobody_has_excuses_its_pairs() -> None:
    found = ask(split(grouped(10, "sick", "treated")), {"columns": GROUPED}, "ols", formula="sick ~ group + treated")
    assert found.dropped == ("group[T.none]",)


def test_every_pair_is_counted_once() -> None:
    question = analysis_of(
        Dictionary.parse({"columns": GROUPED}), "ols", formula="sick ~ group*treated + C(old) + x", options={"cov_params": True}
    )
    labels = [cell.label for cell in question.plan.cells]
    crossed = [label for label in labels if ";" in label]
    assert len(set(crossed)) == len(crossed) == 4 * 2 * 2 + 4 * 2 * 2 + 2 * 2  # group treated old; group treated sick; old sick
    assert "group is a; treated = 1; old is 0" in crossed
    assert "old is 1; sick = 0" in crossed


@pytest.mark.parametrize(("options", "advice"), [({"cov_params": True}, "Leave cov_params out"), ({}, "Use fewer factors")])
def test_too_many_pairs_are_refused_with_advice(options: dict[str, Any], advice: str) -> None:
    columns: dict[str, Any] = {f"b{i}": {"type": "binary"} for i in range(40)} | {"y": {"type": "number", "bounds": [0, 1]}}
    formula = "y ~ " + " + ".join(name for name in columns if name != "y")
    with pytest.raises(SpecError, match=advice):
        analysis_of(Dictionary.parse({"columns": columns}), "ols", formula=formula, options=options)


def test_the_classical_birth_weight_model_keeps_its_covariance_to_itself() -> None:
    """Five mothers both smoked and had hypertension: their table is refused, and so is what returns it."""
    with pytest.raises(RefusedByDisclosureRules):
        ask_set("birthwt", "ols", formula=f"bwt ~ {BIRTHWT}", options={"cov_params": True})


# -- NIST StRD (below the gate's default floors) -------------------------------------------------------------------------

NORRIS = """.2 .1 337.4 338.8 118.2 118.1 884.6 888.0 10.1 9.2 226.5 228.1 666.3 668.5 996.3 998.5 448.6 449.1 777.0 778.9 558.2
559.2 .4 .3 .6 .1 775.5 778.1 666.9 668.8 338.0 339.3 447.5 448.9 11.6 10.8 556.0 557.7 228.1 228.3 995.8 998.0 887.6 888.8 120.2
119.6 .3 .3 .3 .6 556.8 557.6 339.1 339.3 887.2 888.0 999.0 998.5 779.0 778.9 11.1 10.2 118.3 117.6 229.2 228.9 669.1 668.4 448.9
449.2 .5 .2"""


def test_norris_to_eight_digits() -> None:
    numbers = np.array(NORRIS.split(), dtype=float).reshape(-1, 2)
    frame = pd.DataFrame(numbers, columns=["x", "y"])
    dictionary = {"columns": {name: {"type": "number", "bounds": [-10, 1000]} for name in "xy"}}
    found = ask(split(frame), dictionary, "ols", policy=LOOSE, formula="y ~ x")
    assert len(frame) == 36
    assert found.params["Intercept"] == pytest.approx(-0.262323073774029, rel=1e-10)
    assert found.params["x"] == pytest.approx(1.00211681802045, rel=1e-12)
    assert found.bse["Intercept"] == pytest.approx(0.232818234301152, rel=1e-10)
    assert found.bse["x"] == pytest.approx(0.429796848199937e-03, rel=1e-10)
    assert found.scale**0.5 == pytest.approx(0.884796396144373, rel=1e-10)
    assert found.rsquared == pytest.approx(0.999993745883712, rel=1e-13)
    assert found.fvalue == pytest.approx(5436385.54079785, rel=1e-9)


LONGLEY = {
    "Intercept": (-3482258.63459582, 890420.383607373),
    "GNPDEFL": (15.0618722713733, 84.9149257747669),
    "GNP": (-0.358191792925910e-01, 0.334910077722432e-01),
    "UNEMP": (-2.02022980381683, 0.488399681651699),
    "ARMED": (-1.03322686717359, 0.214274163161675),
    "POP": (-0.511041056535807e-01, 0.226073200069370),
    "YEAR": (1829.15146461355, 455.478499142212),
}


def test_longley_to_eight_digits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leverage, "MOST", 10.0)  # of 16 years some decide much
    frame = sm.datasets.longley.load_pandas().data
    bounds = {"TOTEMP": 8e4, "GNPDEFL": 200, "GNP": 1e6, "UNEMP": 1e4, "ARMED": 1e4, "POP": 2e5, "YEAR": 2000}
    dictionary = {
        "columns": {name: {"type": "number", "bounds": [1900 if name == "YEAR" else 0, high]} for name, high in bounds.items()}
    }
    found = ask(split(frame, 2), dictionary, "ols", policy=LOOSE, formula="TOTEMP ~ GNPDEFL + GNP + UNEMP + ARMED + POP + YEAR")
    for name, (coefficient, error) in LONGLEY.items():
        assert found.params[name] == pytest.approx(coefficient, rel=1e-9), name
        assert found.bse[name] == pytest.approx(error, rel=1e-9), name
    assert found.rsquared == pytest.approx(0.995479004577296, rel=1e-12)
    assert found.fvalue == pytest.approx(330.285339234588, rel=1e-9)


# -- what cannot be answered ------------------------------------------------------------------------------------------------

COLUMNS: dict[str, Any] = {
    "x": {"type": "number", "bounds": [0, 100]},
    "twice": {"type": "number", "bounds": [0, 200]},
    "same": {"type": "number", "bounds": [0, 10]},
    "y": {"type": "number", "bounds": [-100, 100]},
    "group": {"type": "category", "levels": ["a", "b", "c", "none"]},
}


def synthetic(n: int = 300, seed: int = 1) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    x = rng.normal(50, 10, n).clip(0, 100)
    return pd.DataFrame(
        {"x": x, "twice": 2 * x, "same": 7.0, "y": 0.3 * x + rng.normal(size=n), "group": rng.choice(["a", "b", "c"], n)}
    )


@pytest.mark.parametrize("formula", ["y ~ x + twice", "y ~ x + same", "y ~ C(group, Treatment('none')) + x"])
def test_collinear_and_constant_columns_and_an_absent_reference_are_not_estimable(formula: str) -> None:
    with pytest.raises(NotEstimable, match="collinear"):
        ask(split(synthetic()), {"columns": COLUMNS}, "ols", formula=formula)


@pytest.mark.parametrize("formula", ["y ~ x + group", "y ~ x * group"])
def test_a_declared_level_without_rows_is_dropped_with_a_warning(formula: str) -> None:
    frame = synthetic()
    found = ask(split(frame), {"columns": COLUMNS}, "ols", formula=formula)
    truth = smf.ols(formula, frame).fit()
    names = list(found.params.index)
    assert "group[T.none]" in found.dropped
    assert "group[T.none]" not in names
    assert any("group[T.none]" in warning for warning in found.warnings)
    assert largest((found.params - truth.params[names]) / truth.bse[names]) < 1e-10
    assert largest(found.bse / truth.bse[names] - 1) < 1e-10
    assert (found.df_model, found.df_resid) == (truth.df_model, truth.df_resid)


def test_a_level_of_nine_people_refuses() -> None:
    frame = synthetic()
    frame.loc[:8, "group"] = "none"
    with pytest.raises(RefusedByDisclosureRules):
        ask(split(frame), {"columns": COLUMNS}, "ols", formula="y ~ x + group")
    frame.loc[:9, "group"] = "none"
    assert "group[T.none]" in ask(split(frame), {"columns": COLUMNS}, "ols", formula="y ~ x + group").params


def wide(factor: float) -> tuple[pd.DataFrame, dict[str, Any]]:
    """x lies within ten standard deviations of the middle of bounds that are `factor` times as wide."""
    frame = synthetic().assign(x=lambda f: f.x + 50 * factor)
    return frame, {**COLUMNS, "x": {"type": "number", "bounds": [0, 100 * factor + 100]}}


def test_bounds_far_wider_than_a_column_cost_digits_and_say_so() -> None:
    frame, columns = wide(3e3)
    found = ask(split(frame), {"columns": columns}, "ols", formula="y ~ x")
    truth = smf.ols("y ~ x", frame.assign(x=frame.x - frame.x.mean())).fit()
    assert abs(found.params["x"] - truth.params["x"]) / truth.bse["x"] < found.error_bound < 1e-6
    assert any("narrower than its bounds" in warning and "condition number" in warning for warning in found.warnings)


@pytest.mark.parametrize("vcov", ["model", "HC0"])
def test_bounds_too_wide_for_the_digits_we_promise_are_refused(vcov: str) -> None:
    frame, columns = wide(3e4)
    with pytest.raises(NotEstimable, match=r"narrower than its bounds in the data dictionary \(condition number .* lack digits"):
        ask(split(frame), {"columns": columns}, "ols", formula="y ~ x", options={"vcov": vcov})


def nearly(apart: float) -> pd.DataFrame:
    """z is x but for a part of that size."""
    frame = synthetic(n=600)
    return frame.assign(z=frame.x + apart * np.random.default_rng(2).uniform(-1, 1, 600))


TWINS: dict[str, Any] = {**COLUMNS, "z": {"type": "number", "bounds": [-1, 101]}}


@pytest.mark.parametrize(("apart", "warned"), [(10.0, False), (1e-1, True), (1e-3, True), (1e-5, True), (1e-7, True)])
def test_nearly_collinear_columns_are_exact_or_refused(apart: float, warned: bool) -> None:
    """Against a regression on x and on what z lacks of it, which float64 holds; there is an answer to all digits, or none."""
    frame = nearly(apart)
    rest = (frame.z - frame.x) / apart
    truth = sm.OLS(frame.y, np.column_stack([np.ones(600), frame.x, rest])).fit()
    if apart < 1e-4:
        with pytest.raises(NotEstimable, match="collinear"):
            ask(split(frame), {"columns": TWINS}, "ols", formula="y ~ x + z")
        return
    found = ask(split(frame), {"columns": TWINS}, "ols", formula="y ~ x + z")
    slope, error = truth.params.iloc[2] / apart, truth.bse.iloc[2] / apart
    assert abs(found.params["z"] - slope) / error <= 1e-6
    assert found.bse["z"] == pytest.approx(error, rel=1e-6)
    assert any(f"condition number {found.condition_number:.1e}" in warning for warning in found.warnings) == warned


def test_columns_on_wildly_different_scales() -> None:
    rng = np.random.default_rng(8)
    scales = {"tiny": 1e-12, "small": 1e-6, "one": 1.0, "large": 1e9, "huge": 1e15}
    plain = pd.DataFrame({name: rng.normal(0, 1, 500).clip(-5, 5) for name in scales})
    plain["y"] = plain.sum(axis=1) + rng.normal(0, 1, 500)
    frame = plain.assign(**{name: plain[name] * scale for name, scale in scales.items()}, y=plain.y * 1e-9)
    columns = {name: {"type": "number", "bounds": [-6 * scale, 6 * scale]} for name, scale in {**scales, "y": 1e-8}.items()}
    found = ask(split(frame), {"columns": columns}, "ols", formula="y ~ tiny + small + one + large + huge")
    truth = smf.ols("y ~ tiny + small + one + large + huge", plain).fit()
    for name, scale in scales.items():
        assert found.params[name] * scale / 1e-9 == pytest.approx(truth.params[name], rel=1e-9)
        assert found.bse[name] * scale / 1e-9 == pytest.approx(truth.bse[name], rel=1e-9)
    assert found.warnings == ()


def test_a_hundred_columns() -> None:
    rng = np.random.default_rng(9)
    names = [f"x{i}" for i in range(99)]
    frame = pd.DataFrame(rng.uniform(0, 1, (1200, 99)), columns=names)
    frame["y"] = 0.4 + frame[names].to_numpy() @ rng.normal(0, 0.01, 99) + rng.uniform(-0.1, 0.1, 1200)
    columns = {name: {"type": "number", "bounds": [0, 1]} for name in (*names, "y")}
    formula = "y ~ " + " + ".join(names)
    found = ask(split(frame), {"columns": columns}, "ols", formula=formula)
    truth = smf.ols(formula, frame).fit()
    assert largest((found.params - truth.params) / truth.bse) < 1e-9
    assert largest(found.bse / truth.bse - 1) < 1e-9
    with pytest.raises(RefusedByDisclosureRules):  # more parameters than a tenth of the people
        ask(split(frame.head(999)), {"columns": columns}, "ols", formula=formula)


def test_a_perfect_fit_has_no_residuals() -> None:
    frame = synthetic().assign(y=lambda f: 0.5 * f.x - 3)
    found = ask(split(frame), {"columns": COLUMNS}, "ols", formula="y ~ x")
    assert found.params.tolist() == pytest.approx([-3, 0.5], abs=1e-10)
    assert found.rsquared == pytest.approx(1, abs=1e-15)


def test_a_constant_response_is_not_estimable() -> None:
    with pytest.raises(NotEstimable, match="same for everybody"):
        ask(split(synthetic().assign(y=3.7)), {"columns": COLUMNS}, "ols", formula="y ~ x")


def test_a_small_cohort_of_a_large_study_loses_nothing() -> None:
    frame = synthetic()
    found = ask(split(frame), {"columns": COLUMNS}, "ols", rows_log2=40, formula="y ~ x")
    truth = smf.ols("y ~ x", frame).fit()
    assert largest((found.params - truth.params) / truth.bse) < 1e-12


# -- what it costs, and what is refused beforehand ---------------------------------------------------------------------------


def many(d: int) -> Dictionary:
    columns = {f"x{i}": {"type": "number", "bounds": [0, 1]} for i in range(d)}
    return Dictionary.parse({"columns": {**columns, "y": {"type": "number", "bounds": [0, 1]}}, "person": {"column": "id"}})


@pytest.mark.parametrize(
    ("columns", "vcov", "rounds"), [(7, "model", 58), (99, "model", 64), (7, "HC1", 73), (29, "cluster", 77)]
)
def test_ranges_and_rounds_are_planned(columns: int, vcov: str, rounds: int) -> None:
    formula = "y ~ " + " + ".join(f"x{i}" for i in range(columns))
    price = plan_ranges(analysis_of(many(columns), "ols", 40, formula=formula, options={"vcov": vcov}))
    assert price.rounds <= rounds
    assert price.leakage_log2 <= -40


def test_a_plan_one_bit_over_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Coefficients allowed to be larger, bit by bit, until the plan no longer fits: it says so, and does not compute."""
    from engine.analyses import least_squares

    question = analysis_of(many(3), "ols", formula="y ~ x0 + x1 + x2", options={"vcov": "HC0"})
    refused = []
    for bits in range(20, 64):
        monkeypatch.setattr(least_squares, "GAMMA_LIMIT", 2.0**bits)
        monkeypatch.setattr(least_squares, "DAMPED_LIMIT", 2.0**bits)
        try:
            plan_ranges(question)
            assert not refused
        except (RangeError, SecurityBudgetExceeded):
            refused.append(bits)
    assert refused


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "needs a formula"),
        ({"formula": "y ~ x0", "columns": ["x0"]}, "takes no columns="),
        ({"formula": "y ~ x0", "options": {"vcov": "HC4"}}, "vcov must be one of"),
        ({"formula": "y ~ x0", "options": {"robust": True}}, "no option 'robust'"),
        ({"formula": "y ~ x0", "options": {"cov_params": "yes"}}, "same type"),
        ({"formula": "y ~ " + " + ".join(f"x{i}" for i in range(40)), "options": {"vcov": "HC0"}}, "at most 30 columns"),
        ({"formula": "y ~ 0"}, "right side"),
    ],
)
def test_questions_that_are_wrong_in_themselves(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        analysis_of(many(40), "ols", **fields)


def test_cluster_needs_a_person_column() -> None:
    with pytest.raises(SpecError, match="person column"):
        analysis_of(Dictionary.parse({"columns": COLUMNS}), "ols", formula="y ~ x", options={"vcov": "cluster"})


def test_ols_is_registered() -> None:
    assert isinstance(analysis_of(many(1), "ols", formula="y ~ x0"), OLS)


def test_a_reference_level_of_the_question() -> None:
    found, pooled = ask_set("colon", "ols", formula="time ~ rx + age", reference={"rx": "Lev"}, complete=["nodes"])
    truth = smf.ols("time ~ C(rx, Treatment('Lev')) + age", pooled.dropna(subset=["nodes"])).fit()
    assert list(found.params.index) == ["Intercept", "rx[T.Obs]", "rx[T.Lev+5FU]", "age"]
    for level in ("Obs", "Lev+5FU"):
        name = f"C(rx, Treatment('Lev'))[T.{level}]"
        assert found.params[f"rx[T.{level}]"] == pytest.approx(truth.params[name], rel=1e-9)
        assert found.bse[f"rx[T.{level}]"] == pytest.approx(truth.bse[name], rel=1e-9)


def test_complete_leaves_out_rows_and_is_part_of_the_row_set() -> None:
    found, pooled = ask_set("lung", "ols", formula="time ~ age + sex", complete=["wt.loss"])
    kept = pooled.dropna(subset=["wt.loss"])
    assert (found.nobs, found.missing) == (len(kept), len(pooled) - len(kept))
    assert found.params["age"] == pytest.approx(smf.ols("time ~ age + sex", kept).fit().params["age"], rel=1e-9)
    dictionary = Dictionary.parse(datasets.load("lung").dictionary)
    plan = analysis_of(dictionary, "ols", formula="time ~ age + sex", complete=["wt.loss", "age"]).plan
    assert plan.listwise == plan.row_sets[0].columns == ("time", "age", "sex", "wt.loss")
    with pytest.raises(SpecError, match="no column 'weight'"):
        analysis_of(dictionary, "ols", formula="time ~ age", complete=["weight"])
