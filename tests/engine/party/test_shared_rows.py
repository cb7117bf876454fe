"""Fits on shared rows: what travels depends on the plan alone, not on who is in the cohort."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from engine.analyses import Ask, Limits, build
from engine.data.frame_source import FrameSource
from engine.dictionary import Dictionary
from engine.party import runner
from engine.party.gate import GatePolicy
from engine.party.runner import Outcome, Work
from protocols.errors import MisuseError
from protocols.session import Session
from protocols.simulation import Frame, Simulation

COLUMNS: dict[str, Any] = {"x": {"type": "number", "bounds": [0, 10]}, "y": {"type": "binary"}}
DICTIONARY = Dictionary.parse({"columns": COLUMNS})
BANDS = (1024, 2048, 1024)


def table(rows: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    x = rng.uniform(0, 10, rows)
    return pd.DataFrame({"x": x, "y": (rng.random(rows) < 1 / (1 + np.exp(2 - 0.4 * x))).astype(int)})


def session_of(rows: tuple[int, ...], members: int = 4, hospitals: tuple[int, ...] = (0, 1, 3)) -> Any:
    """A logistic regression over hospitals of so many rows; the fourth member only holds data."""
    analysis = build(Ask("logit", formula="y ~ x"), DICTIONARY, Limits(12, BANDS))
    sources = {h: FrameSource(table(n, h), DICTIONARY) for h, n in zip(hospitals, rows, strict=True)}

    def party(session: Session) -> Outcome:
        return runner.run(session, Work(analysis, GatePolicy(), source=sources.get(session.me), digest_key=bytes(16)))

    return Simulation(members, hospitals).run(party)


def shapes(view: list[Frame]) -> list[tuple[str, int, tuple[int, ...]]]:
    """Everything that an observer sees of the frames before the first control bit after the start."""
    seen = [(frame.kind, frame.sender, frame.payload.shape) for frame in view]
    return seen[: [kind for kind, _, _ in seen].index("open:converged")]


def test_sizes_do_not_tell_how_many_rows_are_used() -> None:
    few, many = session_of((30, 40, 50)), session_of((1000, 2000, 900))
    for party in range(4):
        assert shapes(few.views[party]) == shapes(many.views[party])
    assert {outcome.stop for outcome in few.results + many.results} == {None}


def test_rows_travel_once_and_padded() -> None:
    outcome = session_of((30, 40, 50))
    assert outcome.results[0].opened.count("refused") == 2  # the gate's, and the leverage rule's
    full = [frame.payload.size for frame in outcome.views[1] if frame.kind == "rows" and frame.sender == 3]
    numbers = BANDS[2] * (2 + 1 + 1)  # two columns, the response, the cohort's weight
    assert full == [2 + 2 * numbers]


def test_a_hospital_with_more_rows_than_its_band_makes_a_refusal_like_any_other() -> None:
    outcome = session_of((30, 40, 1025))
    assert {result.stop for result in outcome.results} == {"refused"}
    assert "charter" in str(outcome.results[3].data_error)
    assert all(result.data_error is None for result in outcome.results[:3])
    assert not any(result.shares for result in outcome.results)
    assert not any(frame.kind == "rows" for view in outcome.views for frame in view)


def test_a_control_bit_that_the_plan_does_not_hold_opens_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.analyses.glm_hidden.CONTROLS", ())
    with pytest.raises(MisuseError, match="control bits"):
        session_of((30, 40, 50))
