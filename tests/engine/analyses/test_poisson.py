"""Poisson regression, in both modes, against statsmodels, reconverged; and the ways in which a fit can fail."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
import statsmodels.formula.api as smf
from scipy.special import gammaln, xlogy

from engine.analyses.people import used
from engine.analyses.shared_families import SharedPoisson
from engine.data.frame_source import FrameSource
from engine.dictionary import Dictionary
from engine.dry_run import plan_ranges, run_in_clear
from engine.errors import NotEstimable, RefusedByDisclosureRules, SpecError
from engine.party.gate import COUNTS, declared
from tests.engine.analyses.studies import LOOSE, analysis_of, ask, ask_set, bands_of, largest, split

RANDHIE = "mdvis ~ coins + female + black + xage + linc + disea + physlm"
QUESTIONS = [("randhie", RANDHIE), ("azpro", "los ~ procedure + sex + admit + age75"), ("randhie", "mdvis ~ C(site) + xage")]
MODES = ("result", "steps")
# of a standard error; in the clear, truncations round alike in equal rows, of which azpro has sixteen kinds
EXACT = {"result": 5e-5, "steps": 1e-9}
ERRORS = {"result": 1e-6, "steps": 1e-9}  # relative, of standard errors
COARSE = 1e-3  # the sums of log y! and y log y are opened to 2^-12, and up to 2^-11 off


def reference(formula: str, pooled: pd.DataFrame, **fit: Any) -> Any:
    return smf.poisson(formula, pooled).fit(method="newton", tol=1e-14, maxiter=100, disp=0, **fit)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("dataset", "formula"), QUESTIONS)
def test_everything_equals_statsmodels(dataset: str, formula: str, mode: str) -> None:
    found, pooled = ask_set(dataset, "poisson", formula=formula, disclosure=mode)
    truth = reference(formula, pooled)
    names = list(truth.params.index)
    assert largest((found.params[names] - truth.params) / truth.bse) < EXACT[mode]
    assert found.error_bound < 1e-3
    assert largest(found.bse[names] / truth.bse - 1) < ERRORS[mode]
    assert largest(found.rate_ratios(0.9).loc[names, "upper"] / np.exp(truth.conf_int(0.1)[1]) - 1) < 1e-5
    relative = 1e-6 if mode == "result" else 1e-7
    assert (found.llr, found.prsquared) == pytest.approx((truth.llr, truth.prsquared), rel=relative)
    for name in ("llf", "llnull", "aic", "bic"):
        assert getattr(found, name) == pytest.approx(getattr(truth, name), rel=relative, abs=COARSE)
    generalized = sm.GLM(truth.model.endog, truth.model.exog, family=sm.families.Poisson()).fit(tol=1e-14)
    assert found.pearson_chi2 == pytest.approx(generalized.pearson_chi2, rel=1e-4 if mode == "result" else 1e-9)
    assert found.deviance == pytest.approx(generalized.deviance, rel=relative, abs=COARSE)
    assert found.null_deviance == pytest.approx(generalized.null_deviance, rel=1e-9, abs=COARSE)
    assert (found.nobs, found.df_model, found.df_resid) == (truth.nobs, truth.df_model, truth.df_resid)
    assert found.total == truth.model.endog.sum()
    assert found.dispersion > 1
    assert "Poisson" in found.summary()


@pytest.mark.parametrize("mode", MODES)
def test_robust_covariances(mode: str) -> None:
    formula = "los ~ procedure + sex + admit + age75"
    found, pooled = ask_set("azpro", "poisson", formula=formula, options={"vcov": "HC0"}, disclosure=mode)
    truth = reference(formula, pooled, cov_type="HC0")
    names = list(truth.params.index)
    assert largest(found.bse[names] / truth.bse - 1) < (1e-5 if mode == "result" else 1e-8)


COLUMNS: dict[str, Any] = {
    "x": {"type": "number", "bounds": [0, 100]},
    "twice": {"type": "number", "bounds": [0, 200]},
    "b": {"type": "binary"},
    "visits": {"type": "integer", "bounds": [0, 200]},
    "none_in_b": {"type": "integer", "bounds": [0, 200]},
}


def synthetic(n: int = 600, seed: int = 1) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    x, b = rng.normal(50, 10, n).clip(0, 100), rng.integers(0, 2, n)
    visits = rng.poisson(np.exp(-1 + 0.04 * x + 0.3 * b)).clip(0, 200)
    frame = {"x": x, "twice": 2 * x, "b": b, "visits": visits, "none_in_b": visits * (1 - b)}
    return pd.DataFrame(frame)


@pytest.mark.parametrize("mode", MODES)
def test_counts_near_their_bound_take_few_steps(mode: str) -> None:
    """A first step from 0 goes far beyond the means that are computed."""
    frame = synthetic()
    frame["visits"] = np.random.default_rng(2).poisson(np.exp(3 + 0.01 * frame.x)).clip(0, 64)
    columns = COLUMNS | {"visits": {"type": "integer", "bounds": [0, 64]}}
    found = ask(split(frame), {"columns": columns}, "poisson", formula="visits ~ x + b", disclosure=mode)
    truth = reference("visits ~ x + b", frame)
    assert largest((found.params[truth.params.index] - truth.params) / truth.bse) < EXACT[mode]
    assert found.iterations <= 4


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("formula", "message"), [("visits ~ x + twice", "collinear"), ("none_in_b ~ b + x", "does not converge")]
)
def test_collinear_and_separated_fits_end_with_a_reason(formula: str, message: str, mode: str) -> None:
    with pytest.raises(NotEstimable, match=message):
        ask(split(synthetic()), {"columns": COLUMNS}, "poisson", formula=formula, disclosure=mode)


def test_means_beyond_what_the_dictionary_allows_end_the_job(monkeypatch: pytest.MonkeyPatch) -> None:
    """A maximum-likelihood fit hardly gets there: one row's linear predictor is said to be beyond."""
    real = SharedPoisson.beyond

    def one_row(family: SharedPoisson, folded: Any) -> Any:
        bits = real(family, folded)
        first = np.zeros(bits.shape, dtype=np.int64)
        first[7] = 1
        return bits.engine.bounded(bits + first, 1, "no other row is")

    monkeypatch.setattr(SharedPoisson, "beyond", one_row)
    with pytest.raises(NotEstimable, match="fitted means"):
        ask(split(synthetic()), {"columns": COLUMNS}, "poisson", formula="visits ~ x + b")


FEW = COLUMNS | {"visits": {"type": "integer", "bounds": [0, 3]}}


def few_visits(ones: tuple[int, int], twos: tuple[int, int]) -> pd.DataFrame:
    """So many people with one visit and with two, where b is 0 and where it is 1; 300 of each b. Nobody has three."""
    frame = pd.DataFrame({"x": np.random.default_rng(3).normal(50, 10, 600).clip(0, 100), "b": np.repeat([0, 1], 300)})
    visits = [np.repeat([1, 2, 0], [one, two, 300 - one - two]) for one, two in zip(ones, twos, strict=True)]
    return frame.assign(twice=2 * frame.x, visits=np.concatenate(visits), none_in_b=0)


ANALYSES = [("poisson", {"disclosure": mode}) for mode in MODES] + [("ols", {})]


@pytest.mark.parametrize(("analysis", "fields"), ANALYSES)
@pytest.mark.parametrize(
    ("ones", "twos", "formula", "given"),
    [
        ((20, 20), (10, 10), "visits ~ b", True),
        ((20, 20), (10, 9), "visits ~ b", False),
        ((20, 9), (10, 10), "visits ~ b", False),
        ((20, 20), (10, 9), "visits ~ b + x", True),  # groups by a measurement tell no group's sum
        ((20, 20), (6, 4), "visits ~ b + x", True),
        ((20, 20), (5, 4), "visits ~ b + x", False),
        ((5, 5), (0, 0), "visits ~ x", True),
        ((3, 2), (0, 0), "visits ~ b", False),
    ],
)
def test_each_value_of_a_response_of_few_obeys_the_table_rule(
    ones: tuple[int, int], twos: tuple[int, int], formula: str, given: bool, analysis: str, fields: dict[str, str]
) -> None:
    frames = split(few_visits(ones, twos))
    if given:
        assert ask(frames, {"columns": FEW}, analysis, formula=formula, **fields).nobs == 600
    else:
        with pytest.raises(RefusedByDisclosureRules):
            ask(frames, {"columns": FEW}, analysis, formula=formula, **fields)


def test_where_a_regression_is_refused_for_a_value_a_description_is() -> None:
    for ones, twos, given in (((20, 20), (10, 10), True), ((20, 20), (10, 9), False), ((3, 2), (0, 0), False)):
        frames = split(few_visits(ones, twos))
        if given:
            assert ask(frames, {"columns": FEW}, "describe", columns=("visits",), by="b").nobs == 600
        else:
            with pytest.raises(RefusedByDisclosureRules):
                ask(frames, {"columns": FEW}, "describe", columns=("visits",), by="b")


def test_the_likelihood_of_a_response_of_few_values_is_given_from_any_number_of_people() -> None:
    """Whose frequencies obey the rule for table cells."""
    frame = few_visits((20, 20), (10, 10))
    found, truth = ask(split(frame), {"columns": FEW}, "poisson", formula="visits ~ b"), reference("visits ~ b", frame)
    assert found.llf == pytest.approx(truth.llf, abs=COARSE)


@pytest.mark.parametrize(("analysis", "fields"), ANALYSES)
@pytest.mark.parametrize(
    ("positive", "given"), [(9, False), (10, True), (590, True), (591, False), (600, True)], ids=lambda value: str(value)
)
def test_who_has_a_count_of_zero_and_who_has_more_are_groups(
    positive: int, given: bool, analysis: str, fields: dict[str, str]
) -> None:
    frame = synthetic()
    chosen = np.random.default_rng(4).permutation(600)[:positive]
    frame["visits"] = 0
    frame.loc[chosen, "visits"] = np.random.default_rng(5).integers(1, 5, positive)
    columns = COLUMNS | {"visits": {"type": "integer", "bounds": [0, 20]}}
    if given:
        assert ask(split(frame), {"columns": columns}, analysis, formula="visits ~ x", **fields).nobs == 600
    else:
        with pytest.raises(RefusedByDisclosureRules):
            ask(split(frame), {"columns": columns}, analysis, formula="visits ~ x", **fields)


WITHHELD = ("llf", "llnull", "aic", "bic", "prsquared", "deviance", "null_deviance")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("people", "most", "given"),
    [(99, 200, False), (100, 200, True), (600, 6, False), (3097, 12, False), (3098, 12, True)],
)
def test_sums_that_would_tell_how_often_y_takes_each_value_are_withheld(people: int, most: int, given: bool, mode: str) -> None:
    frame = synthetic(people)
    frame["visits"] = np.random.default_rng(2).integers(0, most + 1, people)
    columns = COLUMNS | {"visits": {"type": "integer", "bounds": [0, most]}}
    found = ask(split(frame), {"columns": columns}, "poisson", LOOSE, formula="visits ~ x", disclosure=mode)
    truth = reference("visits ~ x", frame)
    expected = [getattr(truth, name) for name in WITHHELD[:5]] if given else [np.nan] * 5
    assert [getattr(found, name) for name in WITHHELD[:5]] == pytest.approx(expected, rel=1e-5, abs=COARSE, nan_ok=True)
    assert [np.isnan(found.deviance), np.isnan(found.null_deviance)] == [not given] * 2
    assert (found.llr, found.llr_pvalue) == pytest.approx((truth.llr, truth.llr_pvalue), rel=1e-3, abs=1e-5)
    assert found.cox_snell == pytest.approx(1 - np.exp(-truth.llr / people), rel=1e-3, abs=1e-6)
    assert any("llf" in warning for warning in found.warnings) is not given
    assert ("no llf" in found.summary()) is not given


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("people", "withheld"), [(99, 1), (100, 0)])
def test_the_sums_open_coarsely_or_as_zeros(people: int, withheld: int, mode: str) -> None:
    """What reaches the researcher, before anything is made of it."""
    frame, dictionary = synthetic(people), Dictionary.parse({"columns": COLUMNS})
    frame["visits"] = 5 * frame["visits"] + 1  # a few without any would be a small group
    frames = split(frame)
    question = analysis_of(dictionary, "poisson", bands=bands_of(frames), formula="visits ~ x", disclosure=mode)
    opened = run_in_clear(question, [FrameSource(each, dictionary) for each in frames], LOOSE)
    assert opened.values["sums_withheld"] == withheld
    y = frame.visits.to_numpy()
    for name, exact in (("log_factorials", gammaln(y + 1).sum()), ("ylogy", xlogy(y, y).sum())):
        in_units = int(opened.exact[name])
        assert abs(in_units - exact * 2**12) <= 3 if not withheld else in_units == 0
    assert opened.values["total"] == y.sum()


@pytest.mark.parametrize(("total", "given"), [(1023, False), (1024, True)])
def test_sums_of_a_small_total_are_withheld(total: int, given: bool) -> None:
    frame = synthetic()
    ones = np.random.default_rng(6).integers(0, 600, total)
    frame["visits"] = np.bincount(ones, minlength=600)
    found = ask(split(frame), {"columns": COLUMNS}, "poisson", LOOSE, formula="visits ~ x", disclosure="steps")
    assert found.total == total
    assert np.isfinite(found.llf) == given


def test_the_first_count_of_the_gate_is_people() -> None:
    totals = {
        each.name: np.arange(each.shape[0])
        for each in declared(
            analysis_of(Dictionary.parse({"columns": COLUMNS}), "poisson", formula="visits ~ x").plan, comparisons=0
        )
    }
    assert COUNTS[int(used(totals))] == "people"


@pytest.mark.parametrize(("formula", "message"), [("x ~ b", "count"), ("log1p(visits) ~ b", "count")])
def test_a_response_that_is_no_count_is_refused(formula: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        analysis_of(Dictionary.parse({"columns": COLUMNS}), "poisson", formula=formula)


def test_counts_whose_means_would_lack_digits_go_by_steps() -> None:
    dictionary = Dictionary.parse({"columns": {**COLUMNS, "visits": {"type": "integer", "bounds": [0, 2000]}}})
    with pytest.raises(SpecError, match="steps"):
        analysis_of(dictionary, "poisson", formula="visits ~ x")
    assert analysis_of(dictionary, "poisson", formula="visits ~ x", disclosure="steps").modes == ("steps",)


@pytest.mark.parametrize("mode", MODES)
def test_ranges_are_planned(mode: str) -> None:
    price = plan_ranges(
        analysis_of(Dictionary.parse({"columns": COLUMNS}), "poisson", 40, formula="visits ~ x + b", disclosure=mode)
    )
    assert price.leakage_log2 <= -40
