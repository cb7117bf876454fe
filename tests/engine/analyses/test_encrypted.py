"""Fits on encrypted coefficients, run in the clear: the same circuit, the same series, the same conversions.

What ciphertexts add, noise, is in tests/conformance and tests/protocols/ckks/multiparty.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

from engine.analyses import encrypted_families, glm_encrypted
from engine.analyses.base import STOPS
from engine.analyses.encrypted_families import GUARD, encrypted
from engine.analyses.families import Binomial, Poisson
from engine.analyses.glm_encrypted import EncryptedFit
from engine.data.frame_source import FrameSource
from engine.data.rows import Query, Rows
from engine.dictionary import Dictionary
from engine.dry_run import plan_ranges, run_in_clear
from engine.errors import NotEstimable, RefusedByDisclosureRules, SpecError
from protocols.plaintext import Plaintext
from protocols.rowwise import ClearRows
from tests.engine.analyses.studies import LOOSE, analysis_of, ask, largest, split

DICTIONARY = {
    "columns": {
        "y": {"type": "binary"},
        "k": {"type": "integer", "bounds": [0, 40]},
        "x": {"type": "number", "bounds": [-4, 4]},
        "z": {"type": "number", "bounds": [-4, 4]},
    }
}


def made(rows: int, slope: float = 1.0, intercept: float = -0.5, seed: int = 1) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    x, z = rng.uniform(-4, 4, rows), rng.uniform(-4, 4, rows)
    eta = intercept + slope * x - 0.3 * z
    y = (rng.random(rows) < 1 / (1 + np.exp(-eta))).astype(float)
    return pd.DataFrame({"y": y, "k": rng.poisson(np.exp(0.3 + 0.4 * x - 0.2 * z)).clip(0, 40), "x": x, "z": z})


def fit(frame: pd.DataFrame, analysis: str = "logit", formula: str = "y ~ x + z", **more: Any) -> Any:
    return ask(split(frame), DICTIONARY, analysis, formula=formula, engine="ckks", **more)


def reference(frame: pd.DataFrame, analysis: str = "logit") -> Any:
    exogenous = sm.add_constant(frame[["x", "z"]])
    family, response = (sm.families.Binomial(), "y") if analysis == "logit" else (sm.families.Poisson(), "k")
    return sm.GLM(frame[response], exogenous, family=family).fit(tol=1e-14)


@pytest.mark.parametrize(("analysis", "formula"), [("logit", "y ~ x + z"), ("poisson", "k ~ x + z")])
@pytest.mark.parametrize("rows", [300, 3 * 16384 + 60])
def test_fits_equal_statsmodels_with_one_block_and_with_several(analysis: str, formula: str, rows: int) -> None:
    frame = made(rows, slope=0.8)
    found, truth = fit(frame, analysis, formula), reference(frame, analysis)
    order = ["const", "x", "z"]
    params, bse = (a.rename({"Intercept": "const"})[order] for a in (found.params, found.bse))
    assert largest((params - truth.params) / truth.bse) < 1e-3
    assert largest(bse / truth.bse - 1) < 1e-5
    assert found.pearson_chi2 == pytest.approx(truth.pearson_chi2, rel=1e-4)
    if analysis == "logit" or rows > 10_000:  # the constants of few counts are withheld
        assert found.llf == pytest.approx(truth.llf, rel=1e-5)
        assert found.deviance == pytest.approx(truth.deviance, rel=1e-4)
    assert found.error_bound < 1e-2


@pytest.mark.parametrize("beyond", [1.02, 1.5, 2.0])
def test_the_guard_is_enormous_outside_the_interval(beyond: float) -> None:
    assert np.polynomial.chebyshev.chebval(np.array([beyond, -beyond]), GUARD).min() > 1e4


def test_separated_data_end_with_a_declared_flag() -> None:
    frame = made(600)
    frame["y"] = (frame["x"] > 0).astype(float)
    with pytest.raises(NotEstimable) as caught:
        fit(frame)
    assert str(caught.value) in (STOPS["interval"], STOPS["separated"])


def checked_at(eta: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether `interval` opens at the first gradient, for rows with these linear predictors."""
    frame = pd.DataFrame(
        {"y": np.resize([0.0, 1.0], len(eta)), "k": 0, "x": eta / 16, "z": np.resize([0.1, -0.2, 0.3], len(eta))}
    )
    dictionary = Dictionary.parse(DICTIONARY)
    analysis = analysis_of(dictionary, "logit", 17, formula="y ~ 0 + x + z", engine="ckks")
    scale = analysis.model.design.matrix(next(iter(rows_of(frame.iloc[-1:], dictionary, analysis))))[0]
    wanted = np.array([eta[-1] / scale[0], 0.0])
    monkeypatch.setattr(EncryptedFit, "encrypts", lambda self, state: state.hidden[1].engine.constant(wanted, frac=28))
    try:
        run_in_clear(analysis, [FrameSource(part, dictionary) for part in split(frame)], LOOSE)
    except NotEstimable as stopped:
        return str(stopped) == STOPS["interval"]
    except RefusedByDisclosureRules:
        pytest.fail("the rows were refused")
    return False


def rows_of(frame: pd.DataFrame, dictionary: Dictionary, analysis: Any) -> Rows:
    return FrameSource(frame, dictionary).rows(Query(analysis.plan.columns, analysis.plan.listwise))


@pytest.mark.parametrize("beyond", [1.01, 1.02, 1.025, 1.03, 1.035, 1.04, 1.05, 1.06, 1.1, 1.5, 2.5, 3.9])
def test_one_predictor_beyond_the_interval_among_many_ends_the_fit(beyond: float, monkeypatch: pytest.MonkeyPatch) -> None:
    eta = np.append(np.random.default_rng(1).normal(0, 1.5, 50_000).clip(-8, 8), 16 * beyond)
    assert checked_at(eta, monkeypatch)


def test_predictors_inside_the_interval_do_not_end_the_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    eta = np.append(np.random.default_rng(1).uniform(-16, 16, 50_000), 15.99)
    assert not checked_at(eta, monkeypatch)


def test_predictors_a_little_beyond_the_interval_end_the_fit() -> None:
    """The other sums are in range then: a series of degree 63 is only slowly wrong. The guard's sum alone shows it."""
    with pytest.raises(NotEstimable) as caught:
        fit(made(6000, slope=3.9, intercept=0.0))
    assert str(caught.value) == STOPS["interval"]


def errors(found: Any, truth: Any) -> tuple[float, float]:
    """Of coefficients in standard errors, and of these relatively."""
    params, bse = (each.rename({"Intercept": "const"})[truth.params.index] for each in (found.params, found.bse))
    return largest((params - truth.params) / truth.bse), largest(bse / truth.bse - 1)


@pytest.mark.parametrize(("analysis", "rows", "rows_log2"), [("logit", 150, 22), ("logit", 1000, 26), ("poisson", 1000, 20)])
def test_a_small_cohort_in_a_large_study_is_as_far_off_as_it_says(analysis: str, rows: int, rows_log2: int) -> None:
    """Sums arrive divided by 2^rows_log2 with the noise of ciphertexts on them: steps end at their noise."""
    frame = made(rows, slope=0.8)
    found, truth = (
        fit(frame, analysis, f"{'y' if analysis == 'logit' else 'k'} ~ x + z", rows_log2=rows_log2),
        reference(frame, analysis),
    )
    coefficients, standard_errors = errors(found, truth)
    assert 1e-6 < coefficients < found.error_bound < 1e-2
    assert standard_errors < 1e-3
    assert "llf" not in " ".join(found.warnings) or math.isnan(found.llf)
    assert any("noise would show" in each for each in found.warnings)
    assert math.isnan(found.pearson_chi2)


def test_an_answer_that_would_be_noise_is_none() -> None:
    frame = made(150, slope=0.8)
    with pytest.raises(NotEstimable, match="replicated"):
        fit(frame, "poisson", "k ~ x + z", rows_log2=26)
    wide = {"columns": {**DICTIONARY["columns"], "x": {"type": "number", "bounds": [-3000, 3000]}}}
    with pytest.raises(NotEstimable, match="replicated"):
        ask(split(frame), wide, "logit", formula="y ~ x + z", engine="ckks", rows_log2=20)


def test_a_column_narrower_than_its_bounds_is_as_far_off_as_it_says() -> None:
    frame = made(600, slope=0.8)
    wide = {"columns": {**DICTIONARY["columns"], "x": {"type": "number", "bounds": [-200, 200]}}}
    found = ask(split(frame), wide, "logit", formula="y ~ x + z", engine="ckks", rows_log2=18)
    coefficients, standard_errors = errors(found, reference(frame))
    assert 1e-5 < coefficients < found.error_bound < 1e-2
    assert standard_errors < 1e-3


@pytest.mark.parametrize(("rows", "intercept", "events"), [(20_000, -4.0, 600), (100_000, -7.0, 150)])
def test_standard_errors_of_rare_outcomes(rows: int, intercept: float, events: int) -> None:
    """Weights are as small as the little that is added to the Hessian, and that is taken out again."""
    frame = made(rows, slope=0.3, intercept=intercept)
    assert 50 < frame["y"].sum() < events
    found, truth = fit(frame, rows_log2=18), reference(frame)
    coefficients, standard_errors = errors(found, truth)
    assert coefficients < found.error_bound
    assert standard_errors < 5e-4
    assert found.error_bound < 2e-3 or any("may be off by up to" in each for each in found.warnings)


@pytest.mark.parametrize("columns", [3, 52])
def test_iterations_are_the_steps_with_a_hessian(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng, steps, stepped = np.random.default_rng(5), [], EncryptedFit._stepped
    names = [f"x{i}" for i in range(columns - 1)]
    frame = pd.DataFrame({name: rng.uniform(-1, 1, 3000) for name in names})
    frame["y"] = (rng.random(3000) < 1 / (1 + np.exp(-frame["x0"]))).astype(float)
    dictionary = {"columns": {"y": {"type": "binary"}, **{name: {"type": "number", "bounds": [-1, 1]} for name in names}}}
    monkeypatch.setattr(EncryptedFit, "_stepped", lambda self, *args: steps.append(1) or stepped(self, *args))
    found = ask(split(frame), dictionary, "logit", LOOSE, formula="y ~ " + " + ".join(names), engine="ckks")
    assert found.iterations == len(steps) > 0


def test_no_mask_relies_on_what_follows_from_ciphertexts() -> None:
    """Not even where the premise of the inverse fails: no sum that was converted counts as proven, nor what is made of it."""
    analysis = analysis_of(Dictionary.parse(DICTIONARY), "logit", formula="y ~ x + z", engine="ckks")
    mpc = Plaintext()
    totals = {
        name: mpc.constant(np.zeros(count), frac=40)
        for name, count in {"mean": 3, "weight": 6, "cumulant": 1, "guard": 1}.items()
    }
    totals |= {name: mpc.constant(np.zeros(1), frac=40) for name in ("rise", "fall", "rise wide", "fall wide")}
    held = held_of(mpc)
    kept, _ = analysis._checked(mpc, held, totals)
    assert not any(each.proven for name, each in kept.items() if name != "withheld")


def held_of(mpc: Plaintext) -> Any:
    return type("Held", (), {"n": mpc.constant(np.int64(100), frac=0)})()


def test_no_mask_relies_on_a_hessian_made_of_such_sums(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    at, ended = EncryptedFit._at, EncryptedFit._ended

    def watched(self: EncryptedFit, *args: Any) -> Any:
        found = at(self, *args)
        seen.extend([found.hessian, found.gradient, found.z_mean, found.coupled.X, found.coupled.Y, found.coupled.v])
        return found

    def watched_end(self: EncryptedFit, *args: Any) -> Any:
        step = ended(self, *args)
        seen.extend(step.outputs[name] for name in ("gamma", "fit", "pearson", "variance"))
        return step

    monkeypatch.setattr(EncryptedFit, "_at", watched)
    monkeypatch.setattr(EncryptedFit, "_ended", watched_end)
    fit(made(300))
    assert len(seen) >= 10
    assert not any(each.proven for each in seen)


def test_a_chi_square_beyond_its_room_is_withheld(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond its room it would arrive wrong, even negative. With 2^16 rows to come and room for a few, 3000 rows are too many."""
    frame = made(3000, slope=0.5)
    assert fit(frame).pearson_chi2 == pytest.approx(reference(frame).pearson_chi2, rel=1e-4)
    narrow = replace(encrypted(Binomial()), room_log2=-14)
    monkeypatch.setattr(glm_encrypted, "encrypted", lambda family: narrow)
    found = fit(frame)
    assert math.isnan(found.pearson_chi2)
    assert found.warnings == (glm_encrypted.NO_CHI_SQUARE,)
    assert largest((found.params["x"] - reference(frame).params["x"]) / reference(frame).bse["x"]) < 1e-3


def test_series_are_within_their_stated_errors_and_bounds() -> None:
    x = np.linspace(-1, 1, 20001)
    family = encrypted(Binomial())
    value = {name: np.polynomial.chebyshev.chebval(x, each) for name, each in family.series.items()}
    eta = family.limit * x
    assert np.abs(value["mean"] - 1 / (1 + np.exp(-eta))).max() < family.error
    assert np.abs(32 * value["cumulant"] - np.logaddexp(0, eta)).max() < 1e-10
    assert np.abs(value["guard"]).max() <= 1 + 1e-9
    for name, sign in (("rise", 1), ("fall", -1)):
        assert np.abs(value[name] - np.exp(sign * eta / 2)).max() < 1e-8
    assert {name: len(each) for name, each in family.series.items()} == {
        "mean": 64,
        "cumulant": 128,
        "guard": 63,
        "rise": 64,
        "fall": 64,
    }


@pytest.mark.parametrize("most", [1, 8, 1000])
def test_series_of_counts_are_within_their_stated_errors(most: int) -> None:
    family = Poisson(most, most + 1)
    on = encrypted(family)
    x = np.linspace(-1, 1, 20001)
    mean = np.polynomial.chebyshev.chebval(x, on.series["mean"])
    assert np.abs(mean - np.exp(on.limit * (x - 1))).max() < 1e-12
    assert np.abs(mean).max() <= 1 + 1e-12


def test_hospitals_without_rows_compute_as_many_sums_as_others() -> None:
    """Sizes of what travels say nothing about a cohort, and how long a hospital computes little."""
    analysis = analysis_of(Dictionary.parse(DICTIONARY), "logit", formula="y ~ x + z", engine="ckks")
    assert isinstance(analysis, EncryptedFit)
    state = replace(analysis.start(), stage="sums")

    def shapes(frame: pd.DataFrame, least_rows: int) -> dict[str, tuple[int, int]]:
        """By name, how many sums, and over how many blocks."""
        rows = rows_of(frame, Dictionary.parse(DICTIONARY), analysis)
        verbs = ClearRows(np.zeros(3), 128)
        found = analysis.row_wise(rows, state, verbs, least_rows)
        return {name: (len(verbs.sums(each, slice(0, each.count))), len(each.factors)) for name, each in found.items()}

    once = dict.fromkeys(("cumulant", "guard", "rise", "fall", "rise wide", "fall wide"), 1)
    for least_rows, blocks in ((1, 1), (128, 1), (129, 2), (1024, 8)):
        wanted = {name: (count, blocks) for name, count in {"mean": 3, "weight": 6, **once}.items()}
        assert shapes(made(0), least_rows) == shapes(made(40), least_rows) == shapes(made(128), least_rows) == wanted


def test_robust_covariances_need_another_engine() -> None:
    with pytest.raises(SpecError, match="vcov"):
        fit(made(100), options={"vcov": "HC0"})


@pytest.mark.parametrize("columns", [2, 40])
def test_the_range_plan_holds_and_is_priced(columns: int) -> None:
    names = [f"x{i}" for i in range(columns)]
    dictionary = {"columns": {"y": {"type": "binary"}, **{n: {"type": "number", "bounds": [-1, 1]} for n in names}}}
    analysis = analysis_of(Dictionary.parse(dictionary), "logit", 20, formula="y ~ " + " + ".join(names), engine="ckks")
    assert not analysis.plan.shares_rows
    price = plan_ranges(analysis)
    assert price.leakage_log2 <= -40


def test_families_are_made_once() -> None:
    assert encrypted_families.encrypted(Binomial()) is encrypted_families.encrypted(Binomial())
