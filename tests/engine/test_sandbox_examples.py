"""What stands in examples/ works as it stands there."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

import unseen
from engine.cli.main import app
from engine.data import config as data_config
from engine.party import config as party_config
from engine.sandbox_daemons import environment

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
INDO = {name: EXAMPLES / "data" / "indo_rct" / f"{name}.csv" for name in ("um", "iu", "uk_case")}


def _run(*arguments):
    return subprocess.run([sys.executable, *map(str, arguments)], capture_output=True, text=True, timeout=300, env=environment())


@pytest.fixture(scope="module")
def study():
    box = unseen.sandbox(INDO, dictionary=EXAMPLES / "indo_rct.toml")
    with box:
        yield box.layout.researcher


@pytest.mark.parametrize("name", ["indo_rct", "lung", "randhie"])
def test_the_dictionaries_parse(name):
    assert unseen.Dictionary.from_toml(EXAMPLES / f"{name}.toml").columns


def test_the_hospitals_configuration_is_one():
    file = party_config.read(EXAMPLES / "hospital.toml")
    assert (file.party.name, file.policy.approve, file.policy.steps) == ("um", "by-hand", False)
    assert data_config.parse(file.data, unseen.Dictionary.from_toml(EXAMPLES / "indo_rct.toml")).source == "um.csv"


def test_its_commented_keys_are_real_keys(tmp_path):
    text = re.sub(
        r"^# ?(?=(metrics|researcher|analyses|columns|cohort) =|\[)", "", (EXAMPLES / "hospital.toml").read_text(), flags=re.M
    )
    assert "\n[[policy.automatic]]" in text
    path = tmp_path / "hospital.toml"
    path.write_text(text)
    file = party_config.read(path)
    assert file.policy.automatic[0].analyses == ["describe", "crosstab"]
    assert file.policy.floors.cohort == 20


def test_the_questions_file_is_answered(study):
    found = CliRunner().invoke(app, ["submit", str(EXAMPLES / "spec.toml"), "--study", str(study)])
    assert found.exit_code == 0, found.stderr
    assert "indo" in found.stdout
    assert tomllib.loads((EXAMPLES / "spec.toml").read_text())["analysis"] in found.stdout.lower() or "Logistic" in found.stdout


def test_the_plans_file_is_answered(study):
    for words in (["check"], ["submit", "--quiet"]):
        found = CliRunner().invoke(app, ["plan", words[0], str(EXAMPLES / "plan.toml"), *words[1:], "--study", str(study)])
        assert found.exit_code == 0, found.stderr
    asked = tomllib.loads((EXAMPLES / "plan.toml").read_text())["question"]
    assert re.findall(r"^(\d+)\. (\w+)", found.stdout, flags=re.M) == [(str(i), q["analysis"]) for i, q in enumerate(asked, 1)]
    assert "no answer" not in found.stdout


def test_the_researchers_script_runs(study):
    found = _run(EXAMPLES / "researcher.py", study)
    assert found.returncode == 0, found.stderr
    assert "indomethacin:" in found.stdout


@pytest.mark.slow
def test_the_demo_ends_beside_the_pooled_fit():
    found = _run(EXAMPLES / "demo.py")
    assert found.returncode == 0, found.stderr
    assert found.stdout.index("The daemons have stopped") < found.stdout.index("Beside the pooled fit")
    differences = [
        float(line.split()[-1]) for line in found.stdout.splitlines() if re.fullmatch(r"\w+( +-?\d+\.\d{8}){2} +\S+", line)
    ]
    assert len(differences) == 4 + 6 + 6
    assert max(differences[:10]) < 1e-6
    assert max(differences[10:]) < 1e-3  # on ciphertexts
