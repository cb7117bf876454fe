"""Plans across real daemons: one approval, the answers of single questions, refused before any is given, killed in between."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import unseen
from engine.cli.main import app
from engine.dictionary import Dictionary
from engine.errors import REFUSAL
from engine.sandbox_daemons import command, environment
from tests import datasets

FOUR: list[dict[str, Any]] = [
    {"analysis": "describe", "columns": ["age", "risk"]},
    {"analysis": "crosstab", "formula": "indo ~ pep_out"},
    {"analysis": "ols", "formula": "age ~ indo + female + risk", "options": {"vcov": "HC1"}},
    {"analysis": "logit", "formula": "pep_out ~ indo + age"},
]
ABOUT = {"title": "Primary analysis", "purpose": "Does it help?"}


def party(box: Any, name: str, *arguments: str) -> Any:
    found = CliRunner().invoke(app, ["party", *arguments, "--config", str(box.layout.config(name))])
    assert found.exit_code == 0, found.stderr
    return found.stdout


def shown(box: Any, name: str, id: str) -> Any:
    return json.loads(party(box, name, "show", id, "--json"))


def numbers(result: Any) -> dict[str, Any]:
    """All of a result but where it comes from."""
    return {key: value for key, value in result.to_dict().items() if key not in ("job", "receipt")}


@pytest.fixture(scope="module")
def box() -> Iterator[Any]:
    """The real trial; every operator decides by hand."""
    data = datasets.load("indo_rct")
    opened = unseen.sandbox(data.files, Dictionary.parse(data.dictionary), approve="by-hand")
    with opened:
        yield opened


def test_a_plan_is_approved_once_and_answered_as_its_questions_are_alone(box: Any) -> None:
    plan = box.study.plan(FOUR, **ABOUT)
    for name in box.layout.parties:
        assert "Primary analysis" in party(box, name, "show", plan.id[:10])
        assert [each["analysis"] for each in shown(box, name, plan.id)["questions"]] == [each["analysis"] for each in FOUR]
        party(box, name, "approve", plan.id[:10])
    together = plan.results(timeout=120)
    assert plan.status().ended
    assert [result.receipt.plan for result in together] == [plan.id] * 4
    assert plan.receipt().approvals == tuple(sorted(box.layout.parties))
    for fields, result in zip(FOUR, together, strict=True):
        job = box.study.submit(box.study.spec(**fields))
        for name in box.layout.parties:
            party(box, name, "approve", job.id)
        alone = job.result(timeout=120)
        assert alone.receipt.plan is None
        precision = 1e-4 if fields["analysis"] == "logit" else 1e-9  # a fit on shares is rounded at random
        assert close(numbers(result), numbers(alone), precision)


def close(ours: Any, theirs: Any, precision: float) -> bool:
    """Equal texts and counts, and numbers to that precision."""
    if isinstance(ours, dict):
        return ours.keys() == theirs.keys() and all(close(ours[key], theirs[key], precision) for key in ours)
    if isinstance(ours, list | tuple):
        return len(ours) == len(theirs) and all(close(*pair, precision) for pair in zip(ours, theirs, strict=True))
    if isinstance(ours, float):
        return bool(np.isclose(ours, theirs, rtol=precision, atol=precision, equal_nan=True))
    return bool(ours == theirs)


def test_one_operator_rejects_a_plan_for_all_and_is_named(box: Any) -> None:
    plan = box.study.plan(FOUR[:2], **ABOUT)
    party(box, "um", "approve", plan.id)
    party(box, "iu", "reject", plan.id)
    with pytest.raises(unseen.RefusedByPolicy, match=r"^iu"):
        plan.results(timeout=60)
    with pytest.raises(unseen.Refused, match="plan"):
        plan.jobs[0].result(timeout=60)


def test_at_the_shell(box: Any, tmp_path: Path) -> None:
    path = tmp_path / "plan.toml"
    path.write_text(
        'title = "At the shell"\npurpose = "To see."\n[[question]]\nanalysis = "describe"\ncolumns = ["age"]\n'
        '[[question]]\nanalysis = "crosstab"\nformula = "indo ~ pep_out"\n'
    )

    def run(*arguments: str) -> str:
        found = CliRunner().invoke(app, [*arguments, "--study", str(box.layout.researcher)])
        assert found.exit_code == 0, found.stderr
        return found.stdout

    checked = run("plan", "check", str(path))
    assert "crosstab indo ~ pep_out" in checked
    assert "when all parties have agreed" in checked
    assert "complete = [...]" not in checked  # age is in the first alone
    loose = tmp_path / "loose.toml"
    loose.write_text(path.read_text() + '[[question]]\nanalysis = "ols"\nformula = "age ~ female"\n')
    assert "Questions 1, 3 leave out rows for different missing columns" in run("plan", "check", str(loose))
    assert "At the shell" not in run("plan", "list")
    plan = run("plan", "submit", str(path), "--no-wait").strip()
    assert "At the shell" in run("plan", "list")
    assert run("jobs").count(plan[:12]) == 2
    assert "verified" in run("plan", "show", plan[:10])
    assert run("plan", "submit", "--again", plan[:10], "--no-wait").strip() == plan
    for name in box.layout.parties:
        party(box, name, "approve", plan)
    assert [each["nobs"] for each in json.loads(run("plan", "results", plan[:10], "--quiet", "--json"))] == [602, 602]
    assert json.loads(run("plan", "show", plan, "--json"))["plan"]["state"] == "released"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "under [[question]]"),
        ('title = "t"\npurpose = "p"\nquestions = []\n', "it has no questions"),
        ('title = "t"\npurpose = "p"\n[question]\nanalysis = "describe"\n', "under [[question]]"),
        ('title = "t"\n[[question]]\nanalysis = "describe"\ncolumns = ["age"]\n', "purpose"),
        ('title = "t"\npurpose = "p"\n[[question]]\ncolumns = ["age"]\n', "question 1 of the plan: it needs analysis"),
        (
            'title = "t"\npurpose = "p"\n[[question]]\nanalysis = "describe"\ncolumns = ["age"]\n'
            '[[question]]\nanalysis = "describe"\ncolumns = ["ages"]\n',
            "question 2 of the plan",
        ),
    ],
    ids=["empty", "unknown key", "a table", "no purpose", "no analysis", "unknown column"],
)
def test_a_wrong_file_is_misuse_and_says_where(box: Any, tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "plan.toml"
    path.write_text(text)
    found = CliRunner().invoke(app, ["plan", "check", str(path), "--study", str(box.layout.researcher)])
    assert (found.exit_code, said in found.stderr) == (2, True), found.stderr
    assert len(found.stderr.splitlines()) == 1


# -- refused before anything is answered -------------------------------------------------------------------------------------

COLUMNS = {"columns": {"age": {"type": "integer", "bounds": [18, 100]}, "dose": {"type": "number", "bounds": [0, 50]}}}
HOSPITALS, ROWS = ("north", "south", "west"), 100
YOUNG, MIDDLE = "age < 45", "age < 55"  # one person of each hospital is 50, nobody else is in between


def table(seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    age = np.concatenate([[50], rng.integers(20, 40, 50), rng.integers(60, 80, ROWS - 51)])
    return pd.DataFrame({"age": age, "dose": np.round(rng.uniform(0, 50, ROWS), 2)})


def test_two_cohorts_that_differ_by_three_people_are_refused_before_any_question_is_agreed_to() -> None:
    """With a description of everybody before and after them; each cohort alone is answered."""
    tables = {name: table(seed) for seed, name in enumerate(HOSPITALS)}
    everybody = {"analysis": "describe", "columns": ["dose"]}
    box = unseen.sandbox(tables, Dictionary.parse(COLUMNS))
    with box as study:
        plan = study.plan([everybody, {**everybody, "where": YOUNG}, {**everybody, "where": MIDDLE}, everybody], **ABOUT)
        with pytest.raises(unseen.PlanRefused, match="Question 3 of the plan") as caught:
            plan.results(timeout=60)
        assert (caught.value.question, str(caught.value.reason)) == (3, REFUSAL)
        for name in box.layout.parties:
            found = shown(box, name, plan.id)
            assert "1 own people differ from question 2" in found["questions"][2]["own_rows"]
            assert (found["state"], found["code"]) == ("refused", "rules")
            assert [(each["state"], each["code"], each["approvals"]) for each in found["questions"]] == [
                ("refused", "plan", [])
            ] * 4
        assert study.describe(["dose"], where=MIDDLE).nobs == 3 * 51  # nothing of the plan was answered
        after = study.plan([everybody, {**everybody, "where": YOUNG}], **ABOUT)
        with pytest.raises(unseen.PlanRefused) as caught:
            after.results(timeout=60)  # compared with what came before
        assert caught.value.question == 2


# -- killed in the middle of a plan ------------------------------------------------------------------------------------------


@contextmanager
def restarted(box: Any, name: str) -> Iterator[None]:
    """The daemon of one party once more, on its own folder, ready."""
    arguments = command(["party", "serve", "--config", str(box.layout.config(name)), "--until-eof"])
    daemon = subprocess.Popen(
        arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment()
    )
    try:
        assert daemon.stdout is not None
        assert daemon.stdout.readline().startswith(b"ready ")
        yield
    finally:
        daemon.kill()
        daemon.communicate()


@pytest.mark.slow
@pytest.mark.parametrize("victim", [0, 2], ids=["the first compute party", "another"])
def test_a_daemon_killed_after_a_question_goes_on_with_the_plan_when_it_is_back(victim: int) -> None:
    """The second question may have been under way by then: its session is lost, and it is aborted. The third one is answered."""
    data = datasets.load("indo_rct")
    box = unseen.sandbox(data.files, Dictionary.parse(data.dictionary), round_deadline=2.0)
    with box as study:
        name = box.layout.parties[victim]
        plan = study.plan([FOUR[0], FOUR[3], FOUR[1]], **ABOUT)
        first = plan.jobs[0].result(timeout=60)
        os.kill(box.processes[name], signal.SIGKILL)
        with restarted(box, name):
            results = plan.results(timeout=120)
            assert numbers(results[0]) == numbers(first)
            assert isinstance(results[1], unseen.LogitResult | unseen.JobAborted)
            assert results[2].nobs == 602
            assert [each.receipt.plan for each in (first, results[2])] == [plan.id] * 2
            found = shown(box, name, plan.id)
            assert (found["state"], [each["job"] for each in found["questions"]]) == ("released", [job.id for job in plan.jobs])
            assert study.submit_plan(plan.document).id == plan.id  # the same plan again
