"""The commands: what they print, where, and with which exit code. Whole studies are in test_sandbox.py."""

from __future__ import annotations

import json
from contextlib import nullcontext
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from engine import errors
from engine import spec as specs
from engine.cli import researcher
from engine.cli.main import app
from engine.client import JobEvent, JobStatus, ListedJob
from engine.dictionary import Dictionary
from engine.sandbox_files import Choices, lay_out, make_identities, write

DICTIONARY = Dictionary.parse({"columns": {"age": {"type": "integer", "bounds": [0, 120]}, "treated": {"type": "binary"}}})
STATES = {"a": "released", "b": "released"}
EVENTS = [
    JobEvent("a", "computing", "start", "", "", "2026-01-01T11:59:58Z", 2, 45, 1000),
    JobEvent("a", "computing", "start", "", "", "2026-01-01T11:59:59Z", 3, 50, 2000),
    JobEvent("a", "refused", "", "policy", "b", "2026-01-01T12:00:00Z", 4),
]


@pytest.fixture
def run():
    runner = CliRunner()
    return lambda *arguments: runner.invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def layout(tmp_path):
    """A sandbox's folders, with no daemon running."""
    files = {}
    for name in ("um", "iu", "uk_case"):
        files[name] = tmp_path / f"{name}.csv"
        files[name].write_text("age,treated\n50,1\n")
    layout = lay_out(tmp_path / "study", files)
    write(layout, make_identities(layout), DICTIONARY, Choices())
    return layout


# -- errors: one line on stderr, no traceback --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.UnknownColumn("no such column"), 2),
        (errors.ConfigError("no such key"), 2),
        (errors.RefusedByDisclosureRules(), 1),
        (errors.Unreachable("b does not answer"), 1),
        (errors.JobAborted("b fell silent"), 1),
        (errors.ResultTimeout("no result yet"), 1),
    ],
)
def test_an_error_is_one_line_and_an_exit_code(run, monkeypatch, error, code):
    def connect(path):
        raise error

    monkeypatch.setattr(researcher, "connect", connect)
    found = run("jobs")
    assert found.exit_code == code
    assert found.stdout == ""
    assert found.stderr == f"unseen: {error}\n"


def test_a_missing_researcher_toml_says_what_to_give(run, tmp_path):
    found = run("jobs", "--study", tmp_path / "nowhere.toml")
    assert found.exit_code == 2
    assert "researcher.toml" in found.stderr


def test_an_unknown_key_of_researcher_toml_is_an_error(run, layout):
    path = layout.researcher
    path.write_text(path.read_text() + 'adress = "x"\n')
    found = run("jobs", "--study", path)
    assert found.exit_code == 2
    assert "adress" in found.stderr


def test_addresses_of_strangers_are_an_error(run, layout):
    path = layout.researcher
    path.write_text(path.read_text() + '[addresses]\nnobody = "127.0.0.1:1"\n')
    found = run("jobs", "--study", path)
    assert found.exit_code == 2
    assert "nobody" in found.stderr


def test_a_charter_that_somebody_did_not_sign_is_not_used(run, layout):
    path = layout.researcher.parent / "charter.json"
    envelope = json.loads(path.read_text())
    del envelope["signatures"]["iu"]
    path.write_text(json.dumps(envelope))
    found = run("jobs", "--study", layout.researcher)
    assert found.exit_code == 1
    assert "iu" in found.stderr


def test_a_question_is_checked_before_anything_is_sent(run, layout, tmp_path):
    question = tmp_path / "question.toml"
    question.write_text('analysis = "ols"\nformula = "age ~ treeted"\n')
    found = run("submit", question, "--study", layout.researcher)
    assert found.exit_code == 2
    assert "treated" in found.stderr  # the close match


@pytest.mark.parametrize(
    "text",
    [
        'formula = "age ~ treated"',
        "analysis = 3",
        'analysis = "ols"\nformula = "age ~ treated"\nwhere_ = "x"',
        'analysis = "ols"\nformula = "age ~ treated"\nstudy = "x"',
        'analysis = "ols"\nformula = "age ~ treated"\nlifetime = 3',
        'analysis = "ols"\nformula = "age ~ treated"\nexpires = 2026-01-31T12:00:00Z',
        'analysis = "ols"\nformula = "age ~ treated"\noptions = {a = nan}',
        'analysis = "describe"\ncolumns = 3',
    ],
)
def test_a_question_with_a_missing_or_unknown_field_is_misuse(run, layout, tmp_path, text):
    question = tmp_path / "question.toml"
    question.write_text(text)
    assert run("submit", question, "--study", layout.researcher).exit_code == 2


def test_a_party_that_is_down_at_submit_is_named(run, layout, tmp_path):
    question = tmp_path / "question.toml"
    question.write_text('analysis = "ols"\nformula = "age ~ treated"\n')
    found = run("submit", question, "--study", layout.researcher)
    assert found.exit_code == 1
    assert "um does not answer" in found.stderr


def test_the_operator_hears_that_the_daemon_does_not_run(run, layout):
    found = run("party", "jobs", "--config", layout.config("um"))
    assert found.exit_code == 1
    assert "unseen party serve" in found.stderr


# -- what is printed ---------------------------------------------------------------------------------------------------------


class FakeStudy:
    """A connected study with one job."""

    charter = SimpleNamespace(analyses=("ols",))

    def __init__(self):
        self.quiet = []  # what the commands asked of the bars
        self.asked = specs.new(study="0" * 64, researcher="ana", analysis="ols", formula="age ~ treated", where="age > 18")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None

    def jobs(self):
        return [ListedJob(self.asked.job_id, self.asked, "released", "2026-01-01T12:00:00.123456Z")]

    def job(self, id):
        assert self.asked.job_id.startswith(id)
        return SimpleNamespace(
            id=self.asked.job_id,
            spec=self.asked,
            status=lambda: JobStatus(self.asked.job_id, "released", STATES, "", "", "2026-01-01T12:00:00Z"),
            events=lambda timeout: iter(EVENTS),
            progress=lambda quiet: self.quiet.append(quiet) or nullcontext(SimpleNamespace(show=lambda event: None)),
            result=lambda timeout, quiet: (
                self.quiet.append(quiet) or SimpleNamespace(summary=lambda: "the table", to_dict=lambda: {"nobs": 602})
            ),
        )

    def spec(self, **fields):
        assert fields == {"analysis": "ols", "formula": "age ~ treated"}
        return self.asked

    def submit(self, spec):
        assert spec is self.asked
        return self.job(spec.job_id)

    def submit_again(self, id):
        return self.job(id)


@pytest.fixture
def study(monkeypatch):
    study = FakeStudy()
    monkeypatch.setattr(researcher, "connect", lambda path: study)
    return study


def test_submit_prints_the_result_alone_on_stdout(run, study, tmp_path):
    question = tmp_path / "question.toml"
    question.write_text('analysis = "ols"\nformula = "age ~ treated"\n')
    found = run("submit", question)
    assert (found.exit_code, found.stdout) == (0, "the table\n")
    assert study.asked.job_id in found.stderr
    assert json.loads(run("submit", question, "--json").stdout) == {"nobs": 602}
    assert run("submit", question, "--quiet").stderr == ""
    assert run("submit", question, "--no-wait").stdout == study.asked.job_id + "\n"


def test_what_was_submitted_is_submitted_again_instead_of_a_file(run, study, tmp_path):
    job = study.asked.job_id
    assert run("submit", "--again", job[:8], "--no-wait").stdout == job + "\n"
    for command in (["submit"], ["plan", "submit"]):
        for arguments in ([], [tmp_path / "question.toml", "--again", job]):
            found = run(*command, *arguments)
            assert (found.exit_code, "either a file or --again" in found.stderr) == (2, True)


def test_jobs_lists_questions(run, study):
    line = run("jobs").stdout.splitlines()[1]
    assert line.split() == [
        study.asked.job_id[:12],
        "released",
        "2026-01-01",
        "12:00:00",
        "ols",
        "age",
        "~",
        "treated",
        "where",
        "age",
        ">",
        "18",
    ]
    assert json.loads(run("jobs", "--json").stdout)[0]["spec"]["formula"] == "age ~ treated"


def test_result_show_and_events_find_a_job_by_a_beginning_of_its_id(run, study):
    id = study.asked.job_id[:8]
    assert run("result", id).stdout == "the table\n"
    assert "age ~ treated where age > 18" in run("show", id).stdout
    assert json.loads(run("show", id, "--json").stdout)["parties"] == STATES
    assert "refused policy at b" in run("events", id).stdout


def test_events_as_text_tell_what_is_new_and_as_json_everything(run, study):
    lines = run("events", study.asked.job_id).stdout.splitlines()
    assert [line.split()[2:] for line in lines] == [["a", "computing", "start"], ["a", "refused", "policy", "at", "b"]]
    found = [json.loads(line) for line in run("events", study.asked.job_id, "--json").stdout.splitlines()]
    assert [(event["read"], event["sent"], event["code"]) for event in found] == [
        (45, 1000, ""),
        (50, 2000, ""),
        (None, 0, "policy"),
    ]


@pytest.mark.parametrize("command", ["events", "result"])
def test_no_bar_where_quiet_or_json_is_asked_for(run, study, command):
    for options in ([], ["--quiet"], ["--json"], ["--quiet", "--json"]):
        run(command, study.asked.job_id, *options)
    assert study.quiet == [False, True, True, True]
