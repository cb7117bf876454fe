"""The gate asked about every question of a plan: the real runner, gate and ledger, three hospitals on shares."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pytest

from engine.analyses import Ask, Limits, build
from engine.cohort import Condition
from engine.data.frame_source import FrameSource
from engine.data.row_sets import RowSetDigest
from engine.data.rows import Query
from engine.dictionary import Dictionary
from engine.party import own_differences, plan_check, runner
from engine.party.gate import GatePolicy
from engine.party.ledger import EarlierRowSet
from engine.party.policy import Question
from engine.party.runner import Outcome, Work
from engine.spec import Spec
from protocols.session import Session
from protocols.simulation import Simulation

COLUMNS: dict[str, Any] = {
    "age": {"type": "integer", "bounds": [18, 110]},
    "lab": {"type": "number", "bounds": [0, 20]},
    "arm": {"type": "binary"},
    "ill": {"type": "binary"},
}
DICTIONARY = Dictionary.parse({"columns": COLUMNS})
HOSPITALS = (0, 1, 2)
PEOPLE = 60


def hospital(number: int) -> pd.DataFrame:
    """One person of each hospital is 50, the others are 20 to 39 or 60 to 79."""
    rng = np.random.default_rng(number)
    age = np.concatenate([[50], rng.integers(20, 40, 30), rng.integers(60, 80, PEOPLE - 31)])
    return pd.DataFrame(
        {
            "age": age,
            "lab": np.round(rng.uniform(0, 20, PEOPLE), 2),
            "arm": rng.integers(0, 2, PEOPLE),
            "ill": np.arange(PEOPLE) % 2,
        }
    )


SOURCES = [FrameSource(hospital(h), DICTIONARY) for h in HOSPITALS]


@dataclass(frozen=True)
class Asked:
    analysis: str
    where: str | None = None
    columns: tuple[str, ...] = ()
    formula: str | None = None

    def work(self, member: int, earlier: Sequence[EarlierRowSet]) -> Work:
        question = build(Ask(self.analysis, columns=self.columns, formula=self.formula), DICTIONARY, Limits(12, (1024,) * 3))
        where = Condition.parse(self.where, DICTIONARY) if self.where else None
        return Work(question, GatePolicy(), where, source=SOURCES[member], digest_key=bytes([member] * 16), earlier=earlier)


def checked(
    *questions: Asked, earlier: Sequence[Sequence[EarlierRowSet]] = ((), (), ())
) -> tuple[Any, list[tuple[Outcome, int]]]:
    """The simulation, and (outcome, refused question) of each party."""

    def party(session: Session) -> tuple[Outcome, int]:
        work = {f"job {i}": each.work(session.me, earlier[session.me]) for i, each in enumerate(questions)}
        return plan_check.check(session, runner.run, work)

    ran = Simulation(3, HOSPITALS).run(party)
    return ran, ran.results


def refused(*questions: Asked, **fields: Any) -> int:
    """Which question is, from 1; 0 for none. The same at every party."""
    _, results = checked(*questions, **fields)
    (found,) = {(outcome.stop, number) for outcome, number in results}
    assert (found[0] is None) == (found[1] == 0)
    return found[1]


def question(asked: Asked) -> Any:
    """As a party compiles it."""
    work = asked.work(0, ())
    return Question(Spec.model_construct(), work.analysis, work.where)


YOUNG, MIDDLE = "age < 45", "age < 55"  # three people are in between
DESCRIBE = Asked("describe", columns=("lab",))
FOUR = (
    DESCRIBE,
    Asked("crosstab", formula="arm ~ ill"),
    Asked("ols", formula="lab ~ age + arm"),
    Asked("logit", formula="ill ~ lab + age"),
)


def test_a_plan_of_all_kinds_passes() -> None:
    assert refused(*FOUR) == 0


def test_each_of_two_cohorts_that_differ_by_three_people_passes_alone() -> None:
    for where in (YOUNG, MIDDLE):
        assert refused(Asked("describe", where, ("lab",))) == 0


@pytest.mark.parametrize(
    "second",
    [Asked("describe", MIDDLE, ("lab",)), Asked("ols", MIDDLE, formula="lab ~ age"), Asked("logit", MIDDLE, formula="ill ~ lab")],
    ids=["describe", "ols", "logit"],
)
def test_questions_of_a_plan_that_differ_by_three_people_are_refused(second: Asked) -> None:
    first = Asked("describe", YOUNG, ("lab",))
    assert refused(first, second) == 2
    assert refused(first, DESCRIBE, second) == 3  # not the neighbour alone


def test_a_question_is_compared_with_what_came_before_the_plan() -> None:
    earlier = []
    for h in HOSPITALS:
        key, source = bytes([h] * 16), SOURCES[h]
        digest = RowSetDigest(key)
        for batch in source.rows(Query(("lab", "age"), ("lab",), Condition.parse(YOUNG, DICTIONARY))):
            digest.update(batch.identities, batch.row_identities)
        where = Condition.parse(YOUNG, DICTIONARY).canonical()
        earlier.append([EarlierRowSet("a job before", ("lab",), digest.to_bytes(), where)])
    assert refused(DESCRIBE, Asked("describe", YOUNG, ("lab",)), earlier=earlier) == 0
    assert refused(DESCRIBE, Asked("describe", MIDDLE, ("lab",)), earlier=earlier) == 2


def test_an_operator_is_told_by_how_few_own_people_questions_differ() -> None:
    """One person of each hospital is between the two cohorts; three of all together."""
    where = [None, YOUNG, MIDDLE, YOUNG]
    asked = {f"job {i}": question(Asked("describe", each, ("lab",))) for i, each in enumerate(where)}
    for h in HOSPITALS:
        found = own_differences.smallest(SOURCES[h], bytes([h] * 16), asked, [])
        assert found == [{}, {}, {"job 1": 1}, {"job 2": 1}]
    key, entries = bytes(16), own_differences.digests(SOURCES[0], bytes(16), asked["job 1"])
    earlier = [EarlierRowSet("a job before", ("lab",), entries[0].to_bytes(), asked["job 1"].where.canonical())]
    assert own_differences.smallest(SOURCES[0], key, {"job 2": asked["job 2"]}, earlier) == [{"a job before": 1}]


def test_every_rule_of_the_gate_is_asked() -> None:
    assert refused(DESCRIBE, Asked("describe", "age == 50", ("lab",))) == 2  # three people
    assert refused(Asked("ols", "age > 45 and age < 55", formula="lab ~ age"), DESCRIBE) == 1


def test_nothing_is_opened_but_a_bit_for_each_question_up_to_the_first_refused() -> None:
    ran, results = checked(DESCRIBE, Asked("describe", "age == 50", ("lab",)), DESCRIBE)
    for outcome, number in results:
        assert (number, outcome.stages, outcome.opened) == (2, 2, ["refused", "refused"])
        assert not outcome.shares
        assert not outcome.public
        assert not outcome.row_sets
    kinds = [frame.kind for view in ran.views for frame in view]
    assert {kind for kind in kinds if kind.startswith("open:")} == {"open:refused"}
    assert "rows" not in kinds


def test_sums_of_a_statistic_do_not_travel() -> None:
    """A plan of a fit contributes as much as a plan of counts over the same columns: the gate's numbers."""

    def contributed(asked: Asked) -> int:
        ran, _ = checked(asked)
        return sum(frame.payload.nbytes for frame in ran.views[0] if frame.kind.startswith("sum") or "share" in frame.kind)

    assert contributed(Asked("ols", formula="lab ~ age")) == contributed(Asked("describe", columns=("lab", "age"))) > 0
