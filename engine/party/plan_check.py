"""Does the gate allow every question of a plan, each as if those before it had been answered? Asked before any of them is.

One session for the plan. For each question, in the plan's order, the hospitals read the rows that it would read and contribute
the gate's own counts, and nothing of its statistics; every rule of gate.py is asked on shares. In the differencing rule the row
sets of the plan's earlier questions stand beside those of earlier answers. One bit opens for each question, and with the first
one that is refused the session ends: what is told is which question that is. Unlike questions that are asked one after another,
those before it leave nothing behind to compare with, so a plan that is sure to be refused asks the rules for nothing: flow.py
puts the plans of a researcher whom the rules have refused several before the operator, whatever is approved automatically.

Adversary: the engine's. Leaks: the position of the first refused question, or that there is none. Rounds: the ledger's, the
gate's, and one, for each question. What the gate would release beside an answer is made into shares, which stay where they are
and are dropped.

When a question is asked later, everything is checked again: rows may have changed by then.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np

from engine.analyses.base import Opened, Output, Plan, Stage, State, Statistics, Step
from engine.data.rows import Rows
from engine.party.ledger import EarlierRowSet
from engine.party.runner import Outcome, Work
from protocols.engine import Engine, Secret
from protocols.session import Session

ALLOWED = Output("allowed", (1,), "flag", frac=0)


class GateAlone:
    """A question without its statistics: the rows that it reads, and the groups that the gate counts."""

    name: ClassVar[str] = "plan"
    modes: ClassVar[tuple[str, ...]] = ("result",)

    def __init__(self, plan: Plan) -> None:
        self.plan = Plan(
            columns=plan.columns,
            listwise=plan.listwise,
            cells=plan.cells,
            parameters=plan.parameters,
            row_sets=plan.row_sets,
            outputs=(ALLOWED,),
            rows_log2=plan.rows_log2,
        )

    def start(self) -> State:
        return State("rules")

    def stage(self, state: State) -> Stage:
        return Stage("rules", outputs=(ALLOWED,))

    def local(self, rows: Rows, state: State) -> Statistics:
        for _ in rows:
            pass  # counted and digested on its way
        return {}

    def joint(self, mpc: Engine, totals: Mapping[str, Secret], state: State) -> Step:
        return Step(outputs={ALLOWED.name: mpc.constant(np.ones(1, dtype=np.int64), frac=0)})

    def advance(self, state: State, opened: Mapping[str, np.ndarray], hidden: Any) -> State:
        raise AssertionError("there is one stage")

    def result(self, opened: Opened) -> Any:
        raise AssertionError("nothing of it reaches a researcher")


def check(session: Session, run: Callable[[Session, Work], Outcome], questions: Mapping[str, Work]) -> tuple[Outcome, int]:
    """(how it ended, the refused question's number from 1 or 0). `questions`: job -> its work, in the plan's order.

    Raises what `run` (engine.party.runner) raises.
    """
    ended = Outcome(stop=None, meter=session.meter)
    before: list[EarlierRowSet] = []
    for number, (job, work) in enumerate(questions.items(), 1):
        work.progress(f"rules of question {number} of {len(questions)}")
        outcome = run(session, _rules_alone(work, before))
        ended.stages = number
        ended.joint_seconds += outcome.joint_seconds
        ended.opened += outcome.opened
        if outcome.stop is not None:
            ended.stop, ended.data_error = outcome.stop, outcome.data_error
            ended.out_of_bounds, ended.lost_digest = outcome.out_of_bounds, outcome.lost_digest
            return ended, number
        before += _row_sets(job, work, outcome)
    return ended, 0


def _rules_alone(work: Work, before: list[EarlierRowSet]) -> Work:
    """The work for one question, compared with earlier answers and with the plan's questions before it."""
    alone = GateAlone(work.analysis.plan)
    return replace(work, analysis=alone, steps=False, earlier=[*work.earlier, *before], progress=lambda stage: None)


def _row_sets(job: str, work: Work, outcome: Outcome) -> list[EarlierRowSet]:
    where = None if work.where is None else work.where.canonical()
    return [EarlierRowSet(job, columns, digest, where) for columns, digest in outcome.row_sets.items()]
