"""The leverage rule: nobody above one half passes, at one hospital or pooled, in one batch or many, row by row or by person."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

import native
from engine.analyses import leverage
from engine.analyses.leverage import FEWEST_PEOPLE, Influential
from engine.data.frame_source import FrameSource
from engine.dictionary import Dictionary
from engine.errors import NotEstimable, RefusedByDisclosureRules
from engine.party import runner
from engine.party.gate import GatePolicy
from engine.party.release import leverage_rule
from engine.party.runner import Outcome, Work
from protocols.plaintext import Plaintext
from protocols.session import Session
from protocols.simulation import simulate
from tests import datasets
from tests.engine.analyses.studies import analysis_of, ask, split

LOOSE_FLOORS = GatePolicy(hospitals=2, residual_df=1, parameters_share=0.5)


def found(z: np.ndarray, persons: np.ndarray | None, batch: int) -> Influential:
    """Rows in batches of about that size that split no person."""
    influential, starts = Influential(), np.arange(0, len(z), batch)
    if persons is not None:
        starts = np.unique([np.flatnonzero(persons == persons[start])[0] for start in starts])
    for start, stop in zip(starts, [*starts[1:], len(z)], strict=True):
        influential.add(z[start:stop], None if persons is None else persons[start:stop], z[:stop].T @ z[:stop])
    return influential


def by_person(z: np.ndarray, persons: np.ndarray) -> dict[int, float]:
    """The trace of each person's block of the hat matrix."""
    h = np.einsum("ij,jk,ik->i", z, np.linalg.pinv(z.T @ z), z)
    return {int(person): float(h[persons == person].sum()) for person in np.unique(persons)}


def rows(seed: int, n: int = 120, d: int = 5) -> np.ndarray:
    """Some columns with long tails, one a rare indicator."""
    rng = np.random.default_rng(seed)
    z = np.column_stack([np.ones(n), np.clip(rng.standard_t(1.2, (n, d - 2)) / 20, -1, 1), rng.random(n) < 0.01])
    return z[rng.permutation(n)]


@pytest.mark.parametrize("batch", [7, 40, 500])
@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("visits", [1, 3])
def test_everybody_above_a_half_is_found_in_one_pass(seed: int, batch: int, visits: int) -> None:
    z = rows(seed)
    persons = np.arange(len(z)) // visits
    influential = found(z, persons if visits > 1 else None, batch)
    kept = {rows.tobytes() for rows in influential._kept}
    for person, h in by_person(z, persons).items():
        mine = z[persons == person]
        if h > 0.5:
            assert mine.tobytes() in kept
            assert np.linalg.eigvalsh(influential.total(5) - mine.T @ mine)[0] > -1e-9
        elif h < 0.44:
            assert mine.tobytes() not in kept
    assert len(influential._kept) <= 2 * 5 / 0.9


def test_what_leaves_the_hospital_is_about_ten_people_or_nobody() -> None:
    usual = np.column_stack([np.ones(200), np.random.default_rng(1).uniform(-0.1, 0.1, 200)])
    assert not found(usual, None, 50).total(2).any()
    usual[120, 1] = 1.0
    influential = found(usual, None, 50)
    assert [rows.tolist() for rows in influential._kept] == [[[1.0, 1.0]]]
    S = influential.total(2)
    assert S[0, 0] == FEWEST_PEOPLE  # as many ones as people
    assert 1.0 <= S[1, 1] < 1.0 + 9 * 0.01
    assert found(usual[120:121], None, 50).total(2)[0, 0] == 1  # the hospital has nobody else


def test_the_bit_is_the_fourth_power_of_the_eigenvalues() -> None:
    rng = np.random.default_rng(2)
    z = rng.uniform(-1, 1, (300, 4))
    for people in (5, 60, 110, 140, 160, 200, 300):
        M, S = z.T @ z / 300, z[:people].T @ z[:people] / 300
        eigenvalues = np.linalg.eigvals(np.linalg.solve(M, S)).real
        mpc = Plaintext()
        signs = mpc.is_negative(leverage.excess(mpc, mpc.constant(np.linalg.inv(M)) @ mpc.constant(S)))
        bits = [int(bit) for bit in native.to_ints(mpc.release_share(signs))]
        assert bits == [0, int(np.sum(eigenvalues**4) > 1 / 16)]


COLUMNS: dict[str, Any] = {
    "x": {"type": "number", "bounds": [-100, 100]},
    "w": {"type": "number", "bounds": [-100, 100]},
    "y": {"type": "number", "bounds": [-1000, 1000]},
}


def study(far: float, n: int = 300) -> pd.DataFrame:
    """One person's x is that far from everybody else's."""
    rng = np.random.default_rng(4)
    frame = pd.DataFrame({"x": rng.uniform(-1, 1, n), "w": rng.uniform(-50, 50, n)})
    frame.loc[7, "x"] = far
    return frame.assign(y=frame.x + rng.normal(size=n))


def largest(frame: pd.DataFrame) -> float:
    z = np.column_stack([np.ones(len(frame)), frame.x, frame.w])
    return float(np.einsum("ij,jk,ik->i", z, np.linalg.inv(z.T @ z), z).max())


@pytest.mark.parametrize(("far", "refused"), [(1.0, False), (6.0, False), (15.0, True), (90.0, True)])
def test_a_rare_extreme_value_is_refused_above_a_half(far: float, refused: bool) -> None:
    frame = study(far)
    assert (largest(frame) > 0.5) == refused
    if refused:
        with pytest.raises(RefusedByDisclosureRules):
            ask(split(frame), {"columns": COLUMNS}, "ols", formula="y ~ x + w")
    else:
        assert ask(split(frame), {"columns": COLUMNS}, "ols", formula="y ~ x + w").nobs == 300


def test_ten_hospitals_with_an_outlier_each_stand_together() -> None:
    """Locally each decides the coefficient; among all, nobody does."""
    frame = study(0.0)
    frame.loc[::30, "x"] = 40.0
    parts = [frame.iloc[30 * h : 30 * (h + 1)].reset_index(drop=True) for h in range(10)]
    assert largest(frame) < 0.2
    assert largest(parts[0]) > 0.9
    with pytest.raises(RefusedByDisclosureRules):  # many are in the sum: refused though it need not be
        ask(parts, {"columns": COLUMNS}, "ols", formula="y ~ x + w")
    assert ask(split(frame), {"columns": COLUMNS}, "ols", formula="y ~ x + w").nobs == 300


@pytest.mark.parametrize("seed", range(12))
def test_nobody_above_a_half_passes(seed: int) -> None:
    rng = np.random.default_rng(100 + seed)
    n = int(rng.integers(40, 200))
    frame = pd.DataFrame({"x": np.clip(rng.standard_t(1.1, n), -100, 100), "w": np.clip(rng.standard_t(1.5, n), -100, 100)})
    frame = frame.assign(y=rng.normal(size=n))
    try:
        ask(split(frame), {"columns": COLUMNS}, "ols", LOOSE_FLOORS, formula="y ~ x + w")
        refused = False
    except RefusedByDisclosureRules:
        refused = True
    assert refused or largest(frame) <= 0.5


def test_a_person_counts_with_all_rows() -> None:
    """Four rows of 0.2 each, of one person."""
    frame = study(0.0).assign(id=[f"p{i}" for i in range(300)])
    frame.loc[8:11, ["x", "id"]] = [10.0, "p8"]
    dictionary = {"columns": COLUMNS, "person": {"column": "id"}}
    parts = [frame.iloc[:100], frame.iloc[100:200], frame.iloc[200:]]
    assert largest(frame) < 0.25
    with pytest.raises(RefusedByDisclosureRules):
        ask(parts, dictionary, "ols", formula="y ~ x + w")
    assert ask(parts, {"columns": COLUMNS}, "ols", formula="y ~ x + w").nobs == 300


def test_what_is_not_determined_says_so_first() -> None:
    frame = study(90.0).assign(w=lambda rows: rows.x)
    with pytest.raises(NotEstimable, match="collinear"):
        ask(split(frame), {"columns": COLUMNS}, "ols", formula="y ~ x + w")


@pytest.mark.parametrize(("far", "stop"), [(1.0, None), (90.0, "refused")])
def test_on_shares_the_refusal_is_like_any_other(far: float, stop: str | None) -> None:
    dictionary = Dictionary.parse({"columns": COLUMNS})
    question = analysis_of(dictionary, "ols", formula="y ~ x + w")
    sources = [FrameSource(part, dictionary) for part in split(study(far))]

    def party(session: Session) -> Outcome:
        return runner.run(session, Work(question, GatePolicy(), source=sources[session.me], digest_key=bytes([session.me] * 16)))

    outcomes = simulate(3, (0, 1, 2), party)
    assert {outcome.stop for outcome in outcomes} == {stop}
    assert {tuple(outcome.opened) for outcome in outcomes} == {("refused", "refused", *(() if stop else ("singular",)))}
    assert all(bool(outcome.shares) == (stop is None) for outcome in outcomes)


def test_the_one_patient_of_a_rare_grade_is_not_predicted() -> None:
    """ECOG 3 has one patient in lung: a cubic in the grade would go through that one."""
    data = datasets.load("lung")
    formula = "time ~ `ph.ecog` + I(`ph.ecog`**2) + I(`ph.ecog`**3)"
    with pytest.raises(RefusedByDisclosureRules):
        ask(list(data.frames().values()), data.dictionary, "ols", formula=formula)


FITS = [("logit", "ill ~ x + w", mode) for mode in ("result", "steps")] + [("poisson", "visits ~ x + w", "steps")]


@pytest.mark.parametrize(("analysis", "formula", "mode"), FITS)
@pytest.mark.parametrize(("far", "refused"), [(6.0, False), (15.0, True)])
def test_iterative_fits_obey_the_rule_too(analysis: str, formula: str, mode: str, far: float, refused: bool) -> None:
    rng = np.random.default_rng(6)
    frame = study(far).assign(ill=rng.integers(0, 2, 300), visits=rng.poisson(3, 300))
    columns = {**COLUMNS, "ill": {"type": "binary"}, "visits": {"type": "integer", "bounds": [0, 30]}}
    fields = {"formula": formula, "disclosure": mode}
    if refused:
        with pytest.raises(RefusedByDisclosureRules):
            ask(split(frame), {"columns": columns}, analysis, **fields)
    else:
        assert ask(split(frame), {"columns": columns}, analysis, **fields).nobs == 300


def test_a_refusal_opens_no_coefficient() -> None:
    """In steps mode the first coefficients open to the parties right after the start."""
    dictionary = Dictionary.parse({"columns": {**COLUMNS, "ill": {"type": "binary"}}})
    frame = study(90.0).assign(ill=np.arange(300) % 2)
    question = analysis_of(dictionary, "logit", formula="ill ~ x + w", disclosure="steps")
    sources = [FrameSource(part, dictionary) for part in split(frame)]

    def party(session: Session) -> Outcome:
        work = Work(question, GatePolicy(), steps=True, source=sources[session.me], digest_key=bytes([session.me] * 16))
        return runner.run(session, work)

    for outcome in simulate(3, (0, 1, 2), party):
        assert (outcome.stop, outcome.opened, outcome.public, outcome.shares) == ("refused", ["refused"] * 2, {}, {})


def test_many_rows_on_a_line_have_leverages() -> None:
    """The Gram matrix is singular but for the roundings of a hundred thousand rows."""
    z = np.column_stack([np.ones(100_000), np.full(100_000, 0.17), np.arange(100_000) % 2])
    influential = found(z, None, 30_000)
    assert not influential.total(3).any()


@pytest.mark.parametrize(
    ("analysis", "formula", "obeys"), [("ols", "y ~ x", True), ("logit", "ill ~ x", True), ("crosstab", "ill ~ g", False)]
)
def test_the_receipt_says_which_answers_obey_the_rule(analysis: str, formula: str, obeys: bool) -> None:
    dictionary = Dictionary.parse({"columns": {**COLUMNS, "ill": {"type": "binary"}, "g": {"type": "binary"}}})
    question = analysis_of(dictionary, analysis, formula=formula)
    assert leverage_rule(question) == ({"leverage": 0.5} if obeys else {})
