"""The differencing rule over several questions: the real runner, gate and ledger, three hospitals on shares."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from engine.analyses import Ask, Limits, build
from engine.analyses.base import RowSet
from engine.cohort import Condition
from engine.data.frame_source import FrameSource
from engine.dictionary import Dictionary
from engine.party import ledger, runner
from engine.party.gate import GatePolicy
from engine.party.ledger import EarlierRowSet
from engine.party.runner import Outcome, Work
from protocols.session import Session
from protocols.simulation import simulate

COLUMNS: dict[str, Any] = {
    "age": {"type": "integer", "bounds": [18, 110]},
    "lab": {"type": "number", "bounds": [0, 20]},
    "sex": {"type": "category", "levels": ["F", "M"]},
    "arm": {"type": "binary"},
    "ill": {"type": "binary"},
    "visit": {"type": "integer", "bounds": [1, 9]},
    "second": {"type": "number", "bounds": [0, 20]},
}
VICTIM = "age == 99"


class Study:
    """Questions one after the other. The victim, at the first hospital, is the only one of that age."""

    def __init__(self, *, visits: int = 1, empty: int | None = None, unknown: int = 0) -> None:
        self.dictionary = Dictionary.parse(
            {"columns": COLUMNS, **({"person": {"column": "id"}} if visits > 1 else {})},
        )
        frames = [hospital(h, visits) for h in range(3)]
        frames[0].loc[frames[0]["id"] == "0-5", ["age", "sex", "ill"]] = 99, "F", 1
        frames[0]["second"] = np.where(np.arange(len(frames[0])) < unknown, np.nan, 1.0)
        self.frames = frames
        self.sources = [FrameSource(frame.iloc[:0] if h == empty else frame, self.dictionary) for h, frame in enumerate(frames)]
        self.earlier: list[list[EarlierRowSet]] = [[], [], []]
        self.never_charged: list[str] = []
        self.asked = 0

    def ask(self, analysis: str, where: str | None = None, **fields: Any) -> str:
        """How the question ends: "released" or why not."""
        self.asked += 1
        question = build(Ask(analysis, **fields), self.dictionary, Limits(12))
        condition = Condition.parse(where, self.dictionary) if where else None

        def party(session: Session) -> Outcome:
            own = self.sources[session.me], bytes([session.me] * 16), self.earlier[session.me]
            work = Work(question, GatePolicy(hospitals=2), condition, False, *own, never_charged=self.never_charged)
            return runner.run(session, work)

        outcomes = simulate(3, (0, 1, 2), party)
        if outcomes[0].stop:
            return outcomes[0].stop
        for entries, outcome in zip(self.earlier, outcomes, strict=True):
            canonical = condition.canonical() if condition else None
            entries += [EarlierRowSet(f"job {self.asked}", name, d, canonical) for name, d in outcome.row_sets.items()]
        return "released"


def hospital(number: int, visits: int) -> pd.DataFrame:
    rng, people = np.random.default_rng(number), 60
    fixed = pd.DataFrame(
        {
            "id": [f"{number}-{i}" for i in range(people)],
            "age": rng.integers(20, 90, people),
            "sex": np.where(np.arange(people) % 2, "F", "M"),
            "arm": rng.integers(0, 2, people),
            "ill": rng.integers(0, 2, people),
        }
    )
    frame = pd.concat([fixed.assign(visit=k) for k in range(1, visits + 1)], ignore_index=True)
    return frame.assign(lab=np.round(rng.uniform(0, 20, len(frame)), 2), second=1.0)


def describe(*columns: str, **fields: Any) -> dict[str, Any]:
    return {"analysis": "describe", "columns": columns, **fields}


def test_another_where_is_compared_though_no_column_is_shared() -> None:
    """The two numbers of people would differ by 1 exactly if the victim is ill."""
    study = Study()
    assert study.ask("crosstab", "age < 80", formula="sex ~ arm") == "released"
    assert study.ask(**describe("lab", where=f"age < 80 or ({VICTIM} and ill == 1)")) == "refused"
    assert study.ask(**describe("lab", where="age < 80")) == "released"
    assert study.ask(**describe("lab", where="age < 60")) == "released"


def test_a_hospital_that_lost_a_digest_refuses() -> None:
    """The only person that differs is its own."""
    study = Study()
    assert study.ask(**describe("lab", where=f"age < 80 or {VICTIM}")) == "released"
    study.earlier[0] = []
    assert study.ask(**describe("lab", where="age < 80")) == "refused"
    assert study.ask(**describe("lab", where="age < 60")) == "refused"


def test_a_job_that_was_never_charged_here_is_no_lost_digest() -> None:
    study = Study()
    assert study.ask(**describe("lab")) == "released"
    study.earlier[0] = []
    study.never_charged = ["another job"]
    assert study.ask(**describe("lab")) == "refused"
    study.never_charged = ["job 1"]
    assert study.ask(**describe("lab")) == "released"


def test_a_hospital_without_rows_keeps_digests_too() -> None:
    study = Study(empty=2)
    assert study.ask(**describe("lab")) == "released"
    assert study.ask(**describe("lab", where="age < 60")) == "released"
    assert study.ask(**describe("age")) == "released"


def test_one_visit_in_place_of_another_is_a_difference() -> None:
    study = Study(visits=2)
    assert study.ask(**describe("lab", where=f"not ({VICTIM} and visit == 2)")) == "released"
    assert study.ask(**describe("lab", where=f"not ({VICTIM} and visit == 1)")) == "refused"
    assert study.ask(**describe("lab", where=f"not ({VICTIM} and visit == 2)")) == "released"
    assert study.ask(**describe("lab", where="visit == 1")) == "released"


@pytest.mark.parametrize(
    "first",
    [
        describe("lab", by="sex"),
        describe("sex", "lab"),
        {"analysis": "crosstab", "formula": "sex ~ arm"},
        {"analysis": "crosstab", "formula": "arm ~ sex"},
        {"analysis": "ols", "formula": "lab ~ C(sex)"},
    ],
    ids=["by", "frequencies", "rows", "columns", "factor"],
)
def test_a_group_of_an_earlier_answer_is_compared(first: dict[str, Any]) -> None:
    """The group of women, then the women without the victim."""
    study = Study()
    assert study.ask(**first) == "released"
    assert study.ask(**describe("lab", where=f'sex == "F" and not {VICTIM}')) == "refused"
    assert study.ask(**describe("lab", where='sex == "F"')) == "released"
    assert study.ask(**first) == "released"


def test_a_group_of_a_later_answer_is_compared() -> None:
    study = Study()
    assert study.ask(**describe("lab", where=f'sex == "F" and not {VICTIM}')) == "released"
    assert study.ask(**describe("lab", by="sex")) == "refused"
    assert study.ask("crosstab", formula="sex ~ arm") == "refused"


def test_a_cell_of_an_earlier_table_is_compared() -> None:
    study = Study()
    assert study.ask("crosstab", formula="sex ~ ill") == "released"
    assert study.ask(**describe("lab", where=f'sex == "F" and ill == 1 and not {VICTIM}')) == "refused"


def test_all_hospitals_name_a_comparison_alike_and_no_two_comparisons_are_named_alike() -> None:
    sets = [RowSet(("age",)), RowSet(("age",), "sex is F"), RowSet(("age", "sex is F"))]
    earlier = [EarlierRowSet(job, s.name, b"", where) for job in ("a", "b") for s in sets for where in (None,)]
    mine = ledger.concerning(sets, earlier)
    assert len(mine) == len(sets) * len(earlier)
    theirs = ledger.concerning(sets, [EarlierRowSet(e.job, e.columns, b"other", e.where) for e in earlier])
    assert mine.keys() == theirs.keys()


def test_two_answers_whose_complete_sets_differ_by_few_people_are_refused() -> None:
    """Nine people have no second lab value: with `complete=` and without it, the same question is about other people."""
    study = Study(unknown=9)
    model = {"analysis": "ols", "formula": "lab ~ age"}
    assert study.ask(**model) == "released"
    assert study.ask(**model, complete=["second"]) == "refused"
    assert study.ask(**model, complete=["age"]) == "released"
    assert study.ask("describe", columns=["arm"], complete=["second"]) == "released"  # no column in common with the model


def test_two_answers_whose_complete_sets_differ_by_ten_people_are_answered() -> None:
    study = Study(unknown=10)
    assert study.ask("ols", formula="lab ~ age", complete=["second"]) == "released"
    assert study.ask("ols", formula="lab ~ age") == "released"


def test_counts_of_missing_values_meet_each_other_and_other_conditions() -> None:
    study = Study(unknown=12)
    asked = {"analysis": "missing", "columns": ["second", "lab"]}
    assert study.ask(**asked) == "released"
    assert (
        study.ask("ols", formula="lab ~ age", complete=["second"]) == "released"
    )  # a count tells no sum of those who have a value
    assert study.ask(**asked, where=f"not ({VICTIM})") == "refused"
    assert study.ask(**describe("arm", where=f"not ({VICTIM})")) == "refused"
    assert study.ask("missing", columns=["second"], complete=["lab"]) == "released"


def test_counts_of_missing_values_are_compared_where_data_have_grown() -> None:
    """One more patient since yesterday: two counts of missing values would tell whether that one has a value."""
    study = Study(unknown=12)
    assert study.ask("missing", columns=["second", "lab"]) == "released"
    study.sources[0] = FrameSource(pd.concat([study.frames[0], study.frames[0].tail(1)], ignore_index=True), study.dictionary)
    assert study.ask("missing", columns=["second"]) == "refused"


def test_another_reference_is_about_the_same_people() -> None:
    study = Study()
    assert study.ask("ols", formula="lab ~ sex + age") == "released"
    assert study.ask("ols", formula="lab ~ sex + age", reference={"sex": "M"}) == "released"


def test_questions_of_other_missing_columns_are_unpinned_where_they_are_compared() -> None:
    age, both, sex, told = RowSet(("age",)), RowSet(("age", "sex")), RowSet(("sex",)), RowSet((), sources=("age is missing",))
    assert ledger.unpinned([(None, [age]), (None, [sex]), (None, [told])]) == []  # without a common column
    assert ledger.unpinned([(None, [age]), (None, [told]), (None, [both]), (None, [sex])]) == [1, 3, 4]
    assert ledger.unpinned([(None, [both]), (None, [RowSet(("sex", "age"))])]) == []  # the same rows
    assert ledger.unpinned([(None, [age]), ("age > 18", [both])]) == []  # `where` makes the difference
    assert ledger.unpinned([(None, [age, both])]) == []  # one question is not compared with itself
