"""The ways to answer a conformance case: in the clear, on replicated shares in one process, and across daemons (a study)."""

from __future__ import annotations

from typing import Any

import numpy as np

import native
from engine.analyses import Ask, Limits, build
from engine.analyses.opening import open_outputs
from engine.cohort import Condition
from engine.data.frame_source import FrameSource
from engine.dictionary import Dictionary
from engine.dry_run import run_in_clear
from engine.party import gate, runner
from engine.party.gate import GatePolicy
from engine.party.runner import Outcome, Work
from protocols.session import Session
from protocols.simulation import simulate
from tests.conformance.cases import Case
from tests.datasets import Dataset
from tests.engine.analyses.studies import bands_of

ROWS_LOG2 = 16


def prepared(case: Case, data: Dataset) -> tuple[Any, list[FrameSource], Any, GatePolicy]:
    """The analysis, one source for each hospital, the parsed `where`, and floors that suit the number of hospitals."""
    dictionary = Dictionary.parse(data.dictionary)
    where = Condition.parse(case.fields["where"], dictionary) if case.fields.get("where") else None
    ask = Ask(case.analysis, disclosure=case.disclosure, engine=case.engine, **{**case.fields, "where": None})
    frames = list(data.frames().values())
    sources = [FrameSource(frame, dictionary) for frame in frames]
    policy = GatePolicy(hospitals=min(3, len(sources)))
    return build(ask, dictionary, Limits(ROWS_LOG2, bands_of(frames))), sources, where, policy


def in_the_clear(case: Case, data: Dataset) -> Any:
    """The plaintext engine: the oracle."""
    analysis, sources, where, policy = prepared(case, data)
    return analysis.result(run_in_clear(analysis, sources, policy, where))


def on_shares(case: Case, data: Dataset) -> tuple[Any, list[Outcome]]:
    """The replicated engine: the very program the daemons run, one thread for each member."""
    analysis, sources, where, policy = prepared(case, data)
    members = max(3, len(sources))

    def party(session: Session) -> Outcome:
        source = sources[session.me] if session.holds_data else None
        work = Work(analysis, policy, where, steps=case.disclosure == "steps", source=source, digest_key=bytes([session.me] * 16))
        return runner.run(session, work)

    outcomes = simulate(members, range(len(sources)), party)
    return analysis.result(opened(analysis, outcomes)), outcomes


def opened(analysis: Any, outcomes: list[Outcome]) -> Any:
    """What the researcher would add up."""
    assert {outcome.stop for outcome in outcomes} == {None}
    stage_outputs = [*gate.OUTPUTS, *analysis.plan.outputs]
    exact = {}
    for output in stage_outputs:
        shares = [outcome.shares[output.name].shares for outcome in outcomes[:3]]
        exact[output.name] = np.asarray(native.to_ints(native.add(native.add(shares[0], shares[1]), shares[2])), dtype=object)
    return open_outputs(stage_outputs, exact, outcomes[0].public, outcomes[0].stages, {"engine": "replicated"})
