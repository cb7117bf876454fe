"""unseen plan check | submit | list | show | results: many questions under one signature and one approval."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.cli.output import print_json, print_table, print_text, say, when
from engine.cli.researcher import DEFAULT_STUDY, Json, Quiet, StudyPath, Timeout, connect, question, require_one
from engine.errors import SpecError
from engine.plan import AnalysisPlan
from engine.toml_file import read_toml
from native.errors import UnseenError

if TYPE_CHECKING:
    from engine.client import Plan, Study

FILE_HELP = "The plan: a TOML file, as examples/plan.toml."
File = Annotated[Path, typer.Argument(help=FILE_HELP)]
PlanId = Annotated[str, typer.Argument(help="The plan's id, or a unique beginning of it.")]
FIELDS = ("title", "purpose", "question")


def check(plan: File, study: StudyPath = Path(DEFAULT_STUDY), json: Json = False) -> None:
    """Check every question of a plan against the charter and its data dictionary. Nothing is sent."""
    from engine.party.ledger import unpinned

    with connect(study) as connected:
        drafted = _draft(plan, connected)
        loose = unpinned([(spec.where, connected.check(spec).plan.row_sets) for spec in drafted.questions])
    if json:
        print_json(drafted.model_dump(mode="json"))
        return
    advice = (
        f"Questions {', '.join(map(str, loose))} leave out rows for different missing columns; pin one set of rows with "
        "complete = [...], or the differencing rule may refuse the plan."
    )
    sound = "Every question is sound; `unseen plan submit` sends the plan."
    rules = "The disclosure rules are asked when all parties have agreed."
    print_text("\n".join([*_lines(drafted), "", f"{sound} {rules}", *([advice] if loose else [])]))


def submit(
    plan: Annotated[Path | None, typer.Argument(help=FILE_HELP)] = None,
    again: Annotated[str, typer.Option(metavar="PLAN", help="Instead of a file: a plan that some parties have not got.")] = "",
    study: StudyPath = Path(DEFAULT_STUDY),
    wait: Annotated[bool, typer.Option(help="Wait for the results and print them.")] = True,
    timeout: Timeout = None,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Sign a plan once and send it to every party. The same file again is another plan; --again PLAN is the same one."""
    require_one(plan, again)
    with connect(study) as connected:
        submitted = connected.submit_plan(_draft(plan, connected) if plan else connected.submitted_plan(again).document)
        if not wait:
            ids = {"plan": submitted.id, "jobs": [job.id for job in submitted.jobs]}
            print_json(ids) if json else print_text(submitted.id)
            return
        if not quiet:
            say(f"plan {submitted.id}")
        _print_results(submitted, timeout, quiet, json)


def list_(study: StudyPath = Path(DEFAULT_STUDY), json: Json = False) -> None:
    """List your plans of this study, newest first."""
    with connect(study) as connected:
        found = connected.plans()
    if json:
        shown = [{"plan": p.id, "state": p.state, "submitted": p.submitted, "title": p.document.title} for p in found]
        print_json([{**each, "jobs": p.document.job_ids} for each, p in zip(shown, found, strict=True)])
    else:
        rows = [[p.id[:12], p.state, when(p.submitted), str(len(p.document.questions)), p.document.title] for p in found]
        print_table(["PLAN", "STATE", "SUBMITTED", "QUESTIONS", "TITLE"], rows)


def show(plan: PlanId, study: StudyPath = Path(DEFAULT_STUDY), json: Json = False) -> None:
    """Show a plan's questions, and where it and each of them stand."""
    from dataclasses import asdict

    with connect(study) as connected:
        found = connected.submitted_plan(plan)
        status = found.status()
    if json:
        print_json({**asdict(status), "document": found.document.model_dump(mode="json")})
        return
    why = f" ({status.plan.code}{' at ' + status.plan.by if status.plan.by else ''})" if status.plan.code else ""
    which = f", for question {status.plan.question}" if status.plan.question else ""
    dates = f"submitted {when(status.plan.submitted)}, expires {when(found.document.expires)} UTC"
    print_text("\n".join([f"plan {found.id}", *_lines(found.document)[:2], f"{status.plan.state}{why}{which}, {dates}", ""]))
    rows = [
        [str(i), j.id[:12], s.state, question(j.spec)]
        for i, (j, s) in enumerate(zip(found.jobs, status.questions, strict=True), 1)
    ]
    print_table(["", "JOB", "STATE", "QUESTION"], rows)
    print_text("")
    print_table(["PARTY", "STATE"], [[party, state] for party, state in status.plan.parties.items()])


def results(
    plan: PlanId, study: StudyPath = Path(DEFAULT_STUDY), timeout: Timeout = None, quiet: Quiet = False, json: Json = False
) -> None:
    """Wait for the answers to all questions of a plan and print them; at once when it has ended before."""
    with connect(study) as connected:
        _print_results(connected.submitted_plan(plan), timeout, quiet, json)


def _draft(path: Path, study: Study) -> AnalysisPlan:
    """A plan from its TOML file. Raises ConfigError, SpecError naming the question."""
    fields = read_toml(path, "give the path of a plan like examples/plan.toml")
    unknown = sorted(set(fields) - set(FIELDS))
    if unknown:
        raise SpecError(f"{path.name}: a plan has {', '.join(FIELDS)}; it has no {', '.join(unknown)}")
    questions = fields.get("question", [])
    if not isinstance(questions, list) or not all(isinstance(each, dict) for each in questions) or not questions:
        raise SpecError(f"{path.name}: write each question under [[question]], as in examples/plan.toml")
    return study.draft_plan(questions, title=fields.get("title", ""), purpose=fields.get("purpose", ""))


def _lines(plan: AnalysisPlan) -> list[str]:
    """Title, purpose, questions."""
    return [plan.title, plan.purpose, "", *(f"{number:>3}  {question(spec)}" for number, spec in enumerate(plan.questions, 1))]


def _print_results(plan: Plan, timeout: float | None, quiet: bool, as_json: bool) -> None:
    found = plan.results(timeout, quiet)
    if as_json:
        print_json([_document(each) for each in found])
        return
    for number, (job, each) in enumerate(zip(plan.jobs, found, strict=True), 1):
        text = f"no answer: {each}" if isinstance(each, UnseenError) else each.summary()
        print_text(f"{number}. {question(job.spec)}\n\n{text}\n")


def _document(result: Any) -> Any:
    return {"error": type(result).__name__, "text": str(result)} if isinstance(result, UnseenError) else result.to_dict()
