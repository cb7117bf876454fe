"""Sessions of plans: what stands in for the gate and for their questions, and what their parties' journals hold."""

from __future__ import annotations

from collections import Counter
from typing import Any

from engine import plan
from engine.party.journal import recover
from engine.party.plan_check import ALLOWED
from engine.party.runner import Outcome, Work
from engine.plan import SignedPlan
from protocols.session import Session
from tests.engine.party.party_study import Study
from tests.engine.party.stand_ins import Hold, answer, meet

WITH_PLAN = [("refused", "plan", "")] * 3


def ids(signed: SignedPlan) -> tuple[str, ...]:
    """The jobs of its questions."""
    return plan.parse(signed.data).job_ids


def of_plan(work: Work) -> bool:
    """Whether a session asks the gate about a question of a plan, and answers none."""
    return work.analysis.plan.outputs == (ALLOWED,)


class Refuse:
    """Sessions in which the gate refuses the question of that number."""

    def __init__(self, number: int) -> None:
        self.number, self.seen = number, Counter[int]()

    def __call__(self, session: Session, work: Work) -> Outcome:
        self.seen[session.me] += 1
        if of_plan(work) and self.seen[session.me] == self.number:
            meet(session)
            return Outcome("refused", opened=["refused"], meter=session.meter)
        return answer(session, work)


class Only:
    """Holds the sessions that `chosen` names, and answers the others."""

    def __init__(self, chosen: Any) -> None:
        self.hold, self._chosen = Hold(), chosen

    def __call__(self, session: Session, work: Work) -> Outcome:
        return self.hold(session, work) if self._chosen(work) else answer(session, work)


def journal(s: Study, name: str) -> list[dict[str, Any]]:
    return recover((s.folder / name / "journal").read_bytes())[0]


def states(s: Study, name: str, job: str) -> list[str]:
    found = s.daemons[name].flow.book.get(job)
    assert found is not None
    return [event.state for event in found.events if not event.detail]
