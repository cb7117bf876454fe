"""What a session's parties agree on beforehand: the strictest floors, everybody's snapshot."""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from engine.analyses import Ask, Limits, build
from engine.charter import Floors
from engine.dictionary import Dictionary
from engine.party import sitting, terms
from engine.party.progress import Watched
from engine.party.runner import Outcome, Work
from engine.party.sitting import Seat
from engine.party.terms import Terms
from protocols.errors import PeerMisbehaved
from protocols.session import Session
from protocols.simulation import Frame, Simulation
from tests.engine.party.party_study import FakeSource

FLOORS = [Floors(), Floors(cohort=20), Floors(parameters_share=0.05), Floors(hospitals=4)]


def agree(session: Session) -> Terms:
    snapshot = bytes([session.me]) * 32 if session.holds_data else None
    return terms.agree(session, FLOORS[session.me], snapshot)


def test_all_parties_end_with_the_same_and_strictest_terms() -> None:
    outcome = Simulation(members=4, hospitals=(1, 2, 3)).run(agree)
    strictest = Floors(cohort=20, hospitals=4, parameters_share=0.05)
    assert {tuple(sorted(found.snapshots.items())) for found in outcome.results} == {
        tuple(
            sorted((name, bytes([i]).hex() * 32) for i, name in zip((1, 2, 3), sorted(outcome.results[0].snapshots), strict=True))
        )
    }
    assert all(found.floors == strictest for found in outcome.results)


def spoil(values: Callable[[np.ndarray], np.ndarray]) -> Callable[[Frame, int], Frame]:
    def tamper(frame: Frame, receiver: int) -> Frame:
        return replace(frame, payload=values(frame.payload)) if frame.kind == "terms-floors" and frame.sender == 0 else frame

    return tamper


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -1.0, 0.0, 1e300])
def test_floors_that_are_no_floors_are_refused(wrong: float) -> None:
    with pytest.raises(PeerMisbehaved):
        Simulation(tamper=spoil(lambda values: np.full_like(values, wrong))).run(agree)


def test_a_laxer_floor_changes_nothing() -> None:
    laxer = np.array([5, 5, 2, 1, 0.5])
    outcome = Simulation(tamper=spoil(lambda values: laxer)).run(agree)
    assert outcome.results[1].floors == Floors(cohort=20, parameters_share=0.05)


@pytest.mark.parametrize("ask", [Ask("missing", columns=["a"]), Ask("describe", columns=["a"])], ids=lambda ask: ask.analysis)
def test_an_analysis_masks_its_own_counts_by_the_strictest_floor(ask: Ask) -> None:
    dictionary = Dictionary.parse({"columns": {"a": {"type": "binary"}}})
    floors = [Floors(), Floors(cell=20), Floors(cell=15)]
    question: Any = SimpleNamespace(
        analysis=build(ask, dictionary, Limits(10)), where=None, spec=SimpleNamespace(disclosure="result")
    )

    def cell(session: Session) -> int:
        found: list[Any] = []

        def run(_: Session, work: Work) -> Outcome:
            found.append(work.analysis)
            return Outcome(None)

        link: Any = SimpleNamespace(session=lambda: session, heartbeating=nullcontext)
        seat = Seat(run, floors[session.me], False, FakeSource(), b"", lambda: datetime.now(UTC))
        sitting.sit(link, seat, question, list, (), Watched(lambda progress: None))
        return int(found[0].cell)

    assert Simulation().run(cell).results == [20, 20, 20]
