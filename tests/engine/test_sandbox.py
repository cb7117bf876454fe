"""Sandboxes: what is written for whom, and whole studies of real daemons on other data than the demo's."""

from __future__ import annotations

import json
import math
import os
import select
import signal
import socket
import stat
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import unseen
from engine import sandbox_files
from engine.cli.main import app
from engine.dictionary import Dictionary
from engine.errors import ConfigError
from engine.party import config as party_config
from engine.sandbox_daemons import command, environment
from engine.sandbox_files import Choices, band, free_ports, lay_out, make_identities, member_name, named, write

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
DATA = EXAMPLES / "data"
DICTIONARY = Dictionary.parse({"columns": {"age": {"type": "integer", "bounds": [0, 120]}}})


@pytest.fixture
def files(tmp_path):
    found = {}
    for name in ("um", "iu", "uk_case", "fourth"):
        found[name] = tmp_path / f"{name}.csv"
        found[name].write_text("age\n50\n")
    return found


# -- folders -----------------------------------------------------------------------------------------------------------------


def test_every_members_configuration_is_one_that_the_daemon_accepts(files, tmp_path):
    layout = lay_out(tmp_path / "study", files)
    charter = write(layout, make_identities(layout), DICTIONARY, Choices())
    assert charter.hospitals == ("um", "iu", "uk-case", "fourth")
    assert charter.compute == ("um", "iu", "uk-case")
    for party in layout.parties:
        loaded = party_config.load(layout.config(party))
        assert loaded.charter.id == charter.id
        assert loaded.listen == charter.member(party).address
        assert loaded.policy.approve == "automatic"
        assert loaded.data == {"source": layout.hospitals[party].name}


def test_own_names_stand_in_every_hospitals_configuration(files, tmp_path):
    layout = lay_out(tmp_path / "study", dict(list(files.items())[:2]))
    own = {"age": 'Age "now"\x7f (years) 😀'}
    write(layout, make_identities(layout), DICTIONARY, Choices(), own)
    for name in layout.hospitals:
        assert party_config.load(layout.config(name)).data["columns"] == own
    assert party_config.load(layout.config("compute-3")).data is None


def test_folders_are_private_and_hold_their_own_copy_of_the_data(files, tmp_path):
    layout = lay_out(tmp_path / "study", files)
    for name, copy in layout.hospitals.items():
        assert stat.S_IMODE(layout.folder(name).stat().st_mode) == 0o700
        assert copy.parent == layout.folder(name)
        assert not copy.is_symlink()
    assert stat.S_IMODE(layout.root.stat().st_mode) == 0o700


def test_two_hospitals_get_a_third_compute_party_without_data(files, tmp_path):
    layout = lay_out(tmp_path / "study", dict(list(files.items())[:2]))
    charter = write(layout, make_identities(layout), DICTIONARY, Choices(approve="by-hand", steps=False))
    assert charter.hospitals == ("um", "iu")
    assert charter.compute == ("um", "iu", "compute-3")
    assert charter.floors.hospitals == 2
    loaded = party_config.load(layout.config("compute-3"))
    assert loaded.data is None
    assert (loaded.policy.approve, loaded.policy.steps, loaded.policy.automatic) == ("by-hand", False, [])


def test_one_hospital_is_no_study(files):
    with pytest.raises(ConfigError, match="at least two"), unseen.sandbox({"um": files["um"]}):
        pass


def test_a_folder_with_something_in_it_is_left_alone(files, tmp_path):
    with pytest.raises(ConfigError, match="not empty"), unseen.sandbox(files, directory=tmp_path):
        pass
    assert files["um"].read_text() == "age\n50\n"


@pytest.mark.parametrize(
    ("given", "name"),
    [("um", "um"), ("UK Case_1", "uk-case-1"), ("3 north", "hospital-3-north"), ("Ärzte", "rzte"), ("x" * 60, "x" * 39)],
)
def test_hospitals_names_become_names_of_a_charter(given, name):
    assert member_name(given) == name


@pytest.mark.parametrize("names", [("a b", "a-b", "c"), ("researcher", "b", "c")])
def test_names_that_clash_are_refused(names, files, tmp_path):
    with pytest.raises(ConfigError, match="rename a hospital"):
        lay_out(tmp_path / "study", dict.fromkeys(names, files["um"]))


def test_files_that_are_called_alike_are_named_by_their_folders():
    assert list(named([Path("um/visits.csv"), Path("iu/visits.csv")])) == ["um", "iu"]
    with pytest.raises(ConfigError):
        named([Path("um/a.csv"), Path("iu/a.csv"), Path("iu/b.csv")])


def test_the_band_of_a_table_holds_its_rows(tmp_path):
    for rows in (1, 1023, 1024, 1025, 5000):
        frame = pd.DataFrame({"age": np.arange(rows)})
        frame.to_csv(tmp_path / "t.csv", index=False)
        frame.to_parquet(tmp_path / "t.parquet")
        assert rows <= band(tmp_path / "t.csv") < rows + 2 * 1024
        assert band(tmp_path / "t.parquet") == max(1, math.ceil(rows / 1024)) * 1024


def test_free_ports_differ():
    assert len(set(free_ports(20))) == 20


def test_a_port_that_somebody_took_meanwhile_is_chosen_again(files, monkeypatch):
    """Between our choice and the daemon's start."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        choices = iter([[taken.getsockname()[1], *free_ports(2)], free_ports(3)])
        monkeypatch.setattr(sandbox_files, "free_ports", lambda count: next(choices))
        with unseen.sandbox(dict(list(files.items())[:3]), DICTIONARY) as study:
            assert study.charter.parties
    assert next(choices, None) is None


# -- whole studies -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def lung():
    """Three hospitals, columns with dots, missing values, no dictionary."""
    files = {path.stem: path for path in sorted((DATA / "lung").glob("*.csv"))}
    box = unseen.sandbox(files)
    with box as study:
        started = list(box.processes.values())
        yield box, study
    for process in started:
        with pytest.raises(ProcessLookupError):
            os.kill(process, 0)
    assert not box.layout.root.exists()


@pytest.fixture(scope="module")
def pooled():
    return pd.concat([pd.read_csv(path) for path in sorted((DATA / "lung").glob("*.csv"))])


def test_what_was_inferred_is_said(lung):
    _, study = lung
    assert any(text.startswith("age:") for text in study.assumptions)
    assert "ph.karno" in study.dictionary


def test_a_regression_equals_the_pooled_fit(lung, pooled):
    smf = pytest.importorskip("statsmodels.formula.api")
    _, study = lung
    fit = study.ols("time ~ age + `wt.loss`", where="age >= 50")
    reference = smf.ols("time ~ age + Q('wt.loss')", pooled[pooled.age >= 50]).fit()
    assert fit.nobs == int(reference.nobs)
    assert np.allclose(fit.params, reference.params, rtol=0, atol=1e-6 * reference.bse.to_numpy())
    assert np.allclose(fit.bse, reference.bse, rtol=1e-6)
    assert fit.receipt.job == fit.job


def test_a_question_can_be_followed_and_fetched_again(lung, pooled):
    _, study = lung
    job = study.submit(study.spec("describe", columns=["age"]))
    states = [event.state for event in job.events(timeout=60) if event.member == "hospital-1"]
    assert states[0] == "received"
    assert states[-1] == "released"
    first, again = job.result(timeout=60), study.job(job.id).result(timeout=60)
    assert first.to_dict() == again.to_dict()
    assert study.submit(job.spec).id == job.id
    assert abs(first.to_frame().loc["age", "mean"] - pooled.age.mean()) < 1e-9


def test_refusals_have_their_own_errors(lung):
    _, study = lung
    with pytest.raises(unseen.RefusedByDisclosureRules):
        study.describe(["age"], where="age > 80")
    with pytest.raises(unseen.RefusedByDisclosureRules):  # a cubic goes through the one patient of lung with ph.ecog 3
        study.ols("time ~ `ph.ecog` + I(`ph.ecog`**2) + I(`ph.ecog`**3)")
    with pytest.raises(unseen.UnknownColumn):
        study.describe(["agee"])
    with pytest.raises(unseen.FormulaError):
        study.ols("age ~ __import__('os')")
    with pytest.raises(unseen.CohortError):
        study.describe(["age"], where="age >")


def test_the_shell_gives_the_same_answer(lung, tmp_path):
    box, study = lung
    question = tmp_path / "question.toml"
    question.write_text('analysis = "ols"\nformula = "time ~ age"\n')
    environment = {"UNSEEN_STUDY": str(box.layout.researcher)}
    found = CliRunner().invoke(app, ["submit", str(question), "--json"], env=environment)
    assert found.exit_code == 0, found.stderr
    answer = json.loads(found.stdout)
    other_job = study.ols("time ~ age").params["age"]  # whose truncation rounds at random
    assert abs(answer["params"]["age"] - other_job) < 1e-9 * abs(other_job)
    assert answer["job"][:12] in CliRunner().invoke(app, ["jobs"], env=environment).stdout


def test_names_with_spaces_a_plain_dict_and_the_end_of_a_parent(tmp_path_factory):
    """A sandbox that is killed leaves no daemon behind."""
    tmp_path = tmp_path_factory.mktemp("s")  # short: a daemon's socket lies in it
    generator = np.random.default_rng(2)
    frames = {name: pd.DataFrame({"Age (years)": generator.integers(20, 80, 200)}) for name in ("north", "south")}
    with unseen.sandbox(frames) as study:
        assert "called Age_years here" in study.assumptions[0]
        found = study.describe(["Age_years"]).to_frame().loc["Age_years"]
        pooled = pd.concat(frames.values())["Age (years)"]
        assert (found["median"], found["n"]) == (pooled.median(), len(pooled))
    for name, frame in frames.items():
        frame.set_axis(["age"], axis=1).to_csv(tmp_path / f"{name}.csv", index=False)
    script = f"""
import os, signal, unseen
box = unseen.sandbox({[str(tmp_path / f"{name}.csv") for name in frames]}, {DICTIONARY.to_dict()}, {str(tmp_path / "study")!r})
with box as study:
    assert study.describe(["age"]).nobs == 400
    print(*box.processes.values(), flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""
    ended = subprocess.run([sys.executable, "-c", script], env=environment(), stdout=subprocess.PIPE, timeout=120, check=False)
    assert ended.returncode == -signal.SIGKILL  # and stdout is at its end: nobody holds it any more
    assert len(ended.stdout.split()) == 3
    for process in map(int, ended.stdout.split()):
        assert _ends(process)
    assert '"stopped"' in (tmp_path / "study" / "north" / "daemon.log").read_text()


def _ends(process, seconds=20):
    """Wait for the end of a process that is nobody's child here any more."""
    try:
        handle = os.pidfd_open(process)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([handle], [], [], seconds)[0])
    finally:
        os.close(handle)


@pytest.fixture(scope="module")
def by_hand(tmp_path_factory):
    """Two hospitals whose operators decide; data frames; a folder that stays."""
    generator = np.random.default_rng(1)
    frames = {name: pd.DataFrame({"age": generator.integers(20, 80, 200)}) for name in ("north", "south")}
    folder = tmp_path_factory.mktemp("by-hand") / "study"
    box = unseen.sandbox(frames, DICTIONARY, folder, approve="by-hand", round_deadline=2.0)
    with box as study:
        yield box, study, frames
    assert tomllib.loads(box.layout.researcher.read_text())["name"] == "researcher"


def _party(box, party, *arguments):
    return CliRunner().invoke(app, ["party", *arguments, "--config", str(box.layout.config(party))])


def test_a_question_waits_for_every_operator_and_runs_when_all_agree(by_hand):
    box, study, frames = by_hand
    job = study.submit(study.spec("describe", columns=["age"]))
    with pytest.raises(unseen.ResultTimeout):
        job.result(timeout=0.5)
    shown = json.loads(_party(box, "north", "show", job.id[:8], "--json").stdout)
    assert "age" in shown["question"]
    assert "200" in shown["own_rows"]
    for party in box.layout.parties:
        assert job.id[:12] in _party(box, party, "jobs").stdout
        assert "agreed" in _party(box, party, "approve", job.id[:8]).stdout
    result = job.result(timeout=60)
    assert result.nobs == 400
    assert abs(result.to_frame().loc["age", "mean"] - pd.concat(frames.values()).age.mean()) < 1e-9
    assert any("Two hospitals" in warning for warning in result.warnings)


def test_a_researcher_who_interrupts_the_wait_fetches_the_result_later(by_hand, tmp_path):
    """Ctrl-C at `unseen submit`: the job goes on at the parties, and the same question again is the same job."""
    box, study, _ = by_hand
    question = tmp_path / "question.toml"
    question.write_text('analysis = "describe"\ncolumns = ["age"]\n')
    surroundings = {**environment(), "UNSEEN_STUDY": str(box.layout.researcher)}
    waiting = subprocess.Popen(
        command(["submit", str(question)]),
        env=surroundings,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background jobs ignore it
    )
    job = waiting.stderr.readline().split()[1]
    waiting.send_signal(signal.SIGINT)
    _, said = waiting.communicate(timeout=60)
    assert waiting.returncode not in (0, None)
    assert "Traceback" not in said
    for party in box.layout.parties:
        assert _party(box, party, "approve", job).exit_code == 0
    later = CliRunner().invoke(app, ["result", job[:12], "--quiet", "--json"], env=surroundings)
    assert (later.exit_code, later.stderr) == (0, "")
    assert json.loads(later.stdout)["nobs"] == 400
    known = study.job(job)
    again = study.submit(known.spec)
    assert (again.id, again.result().to_dict()) == (job, known.result().to_dict())


def test_one_operator_can_refuse_for_all_and_is_named(by_hand):
    box, study, _ = by_hand
    job = study.submit(study.spec("describe", columns=["age"]))
    assert _party(box, "compute-3", "reject", job.id).exit_code == 0
    with pytest.raises(unseen.RefusedByPolicy, match=r"^compute-3"):
        job.result(timeout=60)


def test_status_names_the_links(by_hand):
    box, _, _ = by_hand
    status = json.loads(_party(box, "north", "status", "--json").stdout)
    assert sorted(status["connected"]) == ["compute-3", "south"]
    assert status["missing"] == []


def test_a_party_that_dies_is_named_at_the_next_question(by_hand):
    box, study, _ = by_hand
    os.kill(box.processes["south"], signal.SIGKILL)
    with pytest.raises(unseen.Unreachable, match=r"^south"):
        study.describe(["age"])
    assert _party(box, "south", "status").exit_code == 1


def test_a_configuration_that_the_daemon_refuses_is_reported_with_its_words(files, tmp_path):
    broken = tmp_path / "broken.csv"
    broken.write_text("weight\n70\n")
    with (
        pytest.raises(unseen.UnseenError, match="daemon of"),
        unseen.sandbox({"um": files["um"], "iu": files["iu"], "uk": broken}, DICTIONARY),
    ):
        pass
