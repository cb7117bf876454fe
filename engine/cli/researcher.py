"""unseen submit | jobs | show | events | result: what a researcher does at the shell. Plans: plan.py."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.cli.output import print_json, print_table, print_text, say, when
from engine.errors import SpecError
from engine.spec import Spec
from engine.toml_file import read_toml

if TYPE_CHECKING:
    from engine.client import JobEvent, Study

DEFAULT_STUDY = "researcher.toml"
StudyPath = Annotated[
    Path, typer.Option("--study", envvar="UNSEEN_STUDY", help="Your researcher.toml; or set UNSEEN_STUDY.", show_default=True)
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
JobId = Annotated[str, typer.Argument(help="The job's id, or a unique beginning of it.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="Show no progress.")]
Timeout = Annotated[float | None, typer.Option(help="Seconds to wait at most.")]


def connect(path: Path) -> Study:
    """The SDK's."""
    from engine.client import connect as open_study  # here: an operator's commands start without the statistics

    return open_study(path)


def submit(
    spec: Annotated[Path | None, typer.Argument(help="The question: a TOML file, as examples/spec.toml.")] = None,
    again: Annotated[str, typer.Option(metavar="JOB", help="Instead of a file: a job that some parties have not got.")] = "",
    study: StudyPath = Path(DEFAULT_STUDY),
    wait: Annotated[bool, typer.Option(help="Wait for the result and print it.")] = True,
    timeout: Timeout = None,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Sign a question and send it to every party. The same file again is another job; --again JOB is the same one."""
    require_one(spec, again)
    with connect(study) as connected:
        job = connected.submit(_read_spec(spec, connected)) if spec else connected.submit_again(again)
        if not wait:
            print_json({"job": job.id}) if json else print_text(job.id)
            return
        if not quiet:
            say(f"job {job.id}")
        _print_result(job.result(timeout, quiet or json), json)


def jobs(study: StudyPath = Path(DEFAULT_STUDY), json: Json = False) -> None:
    """List your jobs of this study, newest first."""
    with connect(study) as connected:
        found = connected.jobs()
    if json:
        print_json(
            [
                {"job": j.id, "state": j.state, "submitted": j.submitted, "plan": j.plan, "spec": j.spec.model_dump(mode="json")}
                for j in found
            ]
        )
    else:
        print_table(
            ["JOB", "STATE", "SUBMITTED", "PLAN", "QUESTION"],
            [[j.id[:12], j.state, when(j.submitted), j.plan[:12], question(j.spec)] for j in found],
        )


def show(job: JobId, study: StudyPath = Path(DEFAULT_STUDY), json: Json = False) -> None:
    """Show a job's question and where it stands at each party."""
    with connect(study) as connected:
        found = connected.job(job)
        status = found.status()
    if json:
        print_json({**asdict(status), "spec": found.spec.model_dump(mode="json")})
        return
    why = f" ({status.code}{' at ' + status.by if status.by else ''})" if status.code else ""
    dates = f"submitted {when(status.submitted)}, expires {when(found.spec.expires)} UTC"
    print_text(f"job {status.job}\n{question(found.spec)}\n{status.state}{why}, {dates}\n")
    print_table(["PARTY", "STATE"], [[party, state] for party, state in status.parties.items()])


def events(
    job: JobId, study: StudyPath = Path(DEFAULT_STUDY), timeout: Timeout = None, quiet: Quiet = False, json: Json = False
) -> None:
    """Follow what happens to a job, until it has ended. As JSON, one object a line, every second of a running session too."""
    with connect(study) as connected:
        found, lines = connected.job(job), dict[str, str]()
        with found.progress(quiet or json) as bars:
            for event in found.events(timeout):
                bars.show(event)
                line = _event_line(event)
                if json:
                    typer.echo(_one_line(asdict(event)))
                elif lines.get(event.member) != line:  # what else has changed is in the bars
                    lines[event.member] = line
                    print_text(f"{when(event.time)}  {line}")


def result(
    job: JobId, study: StudyPath = Path(DEFAULT_STUDY), timeout: Timeout = None, quiet: Quiet = False, json: Json = False
) -> None:
    """Wait for a job's end and print its result; at once when it has ended before."""
    with connect(study) as connected:
        _print_result(connected.job(job).result(timeout, quiet or json), json)


def require_one(file: Path | None, again: str) -> None:
    """Raises SpecError."""
    if (file is None) == (not again):
        raise SpecError("give either a file or --again with the id of what was sent before")


def question(spec: Spec) -> str:
    """A question in one line."""
    asked = spec.formula or ", ".join(spec.columns)
    return f"{spec.analysis} {asked}" + (f" by {spec.by}" if spec.by else "") + (f" where {spec.where}" if spec.where else "")


def _read_spec(path: Path, study: Study) -> Spec:
    """A question from its TOML file: the fields of a Spec that a person decides. Raises ConfigError, SpecError."""
    fields = read_toml(path, "give the path of a question like examples/spec.toml")
    if not isinstance(fields.get("analysis"), str):
        raise SpecError(f'{path.name} needs analysis = "..."; this study allows {", ".join(study.charter.analyses)}')
    return study.spec(**fields)


def _print_result(found: Any, as_json: bool) -> None:
    print_json(found.to_dict()) if as_json else print_text(found.summary())


def _event_line(event: JobEvent) -> str:
    why = f" {event.code}{' at ' + event.by if event.by else ''}" if event.code else ""
    return f"{event.member:<12} {event.state}{why}{'  ' + event.detail if event.detail else ''}"


def _one_line(document: dict[str, Any]) -> str:
    import json

    return json.dumps(document, ensure_ascii=False)
