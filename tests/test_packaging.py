"""What packaging/ holds is what runs: the unit, the container file, the bill of materials, an installation without internet."""

from __future__ import annotations

import json
import os
import re
import runpy
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from engine.cli.main import app
from engine.party.server import DRAIN_SECONDS

ROOT = Path(__file__).resolve().parents[1]
UNIT = ROOT / "packaging" / "unseen@.service"
RELAY = ROOT / "packaging" / "unseen-relay.service"
EXTRAS = ("party", "postgres")  # what a party is installed with
MOST_EXPOSED = 20  # tenths of systemd's exposure level, 0 to 100
ANALYZE = shutil.which("systemd-analyze")
needs_systemd = pytest.mark.skipif(ANALYZE is None, reason="systemd-analyze is not installed")


def settings() -> dict[str, str]:
    return dict(line.split("=", 1) for line in UNIT.read_text().splitlines() if "=" in line and not line.startswith("#"))


def test_the_unit_waits_until_a_drain_has_ended():
    assert int(settings()["TimeoutStopSec"]) > DRAIN_SECONDS
    assert settings()["ExecStart"].split()[1:3] == ["party", "serve"]


@needs_systemd
@pytest.mark.parametrize("unit", [UNIT, RELAY], ids=lambda unit: unit.name)
def test_systemd_understands_the_unit(unit):
    found = subprocess.run([ANALYZE, "verify", str(unit)], capture_output=True, text=True)
    told = [line for line in found.stderr.splitlines() if "is not executable" not in line]  # it is not installed here
    assert told == []


@needs_systemd
@pytest.mark.parametrize("unit", [UNIT, RELAY], ids=lambda unit: unit.name)
def test_the_unit_gives_little_away(unit):
    found = subprocess.run(
        [ANALYZE, "security", "--offline=true", f"--threshold={MOST_EXPOSED}", str(unit)], capture_output=True, text=True
    )
    assert found.returncode == 0, found.stdout.splitlines()[-1]


def test_the_container_copies_what_there_is_and_runs_as_nobody_special():
    text = (ROOT / "packaging" / "Containerfile").read_text()
    copied = [word for line in re.findall(r"^COPY (?!--from)(.*)$", text, re.M) for word in line.split()[:-1]]
    assert copied
    assert all((ROOT / word).exists() for word in copied)
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]["find"]["include"]
    assert {pattern.rstrip("*") for pattern in packages} <= set(copied)
    assert re.search(r"^USER (?!0)\d+", text, re.M)
    assert text.rstrip().endswith('ENTRYPOINT ["unseen", "party", "serve"]')


def container() -> dict[str, list[str]]:
    """The instructions of the container file, and `#` for the comment at its top."""
    found: dict[str, list[str]] = {}
    for line in (ROOT / "packaging" / "Containerfile").read_text().replace("\\\n", " ").splitlines():
        word, _, rest = line.partition(" ")
        found.setdefault(word, []).append(rest)
    return found


def test_what_the_container_runs_and_reads_is_there():
    """The commands that it starts, and that its comment names, are commands; the folder that it copies is the one it made."""
    instructions = container()
    (entry,) = instructions["ENTRYPOINT"]
    named = re.findall(r"(?:podman exec CONTAINER )(unseen .*)$", "\n".join(instructions["#"]), re.M)
    assert named
    for command in [json.loads(entry), *(line.split() for line in named)]:
        found = CliRunner().invoke(app, [*command[1:], "--help"])
        assert (command[0], found.exit_code) == ("unseen", 0), command
    assert "unseen" in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    settings = dict(word.split("=", 1) for line in instructions["ENV"] for word in line.split())
    (made,) = re.findall(r"-m venv (\S+)", " ".join(instructions["RUN"]))
    (copied,) = [line.split()[1:] for line in instructions["COPY"] if line.startswith("--from=build")]
    assert copied == [made, made]
    assert settings["PATH"].split(":")[0] == f"{made}/bin"
    variables = {param.envvar for param in get_command(app).commands["party"].commands["serve"].params}
    assert variables & settings.keys() == {"UNSEEN_PARTY"}
    assert Path(settings["UNSEEN_PARTY"]).parent == Path(*instructions["WORKDIR"])


def test_the_container_is_given_what_a_party_needs():
    instructions = container()
    call = " ".join(line for line in instructions["#"])
    (port,) = instructions["EXPOSE"]
    assert f"--publish {port}:{port}" in call
    assert f"0.0.0.0:{port}" in (ROOT / "examples" / "hospital.toml").read_text()
    assert int(re.search(r"--stop-timeout (\d+)", call)[1]) > DRAIN_SECONDS
    assert [
        option for option in ("--ulimit core=0", "--cap-drop all", "--read-only", "--memory-swappiness 0") if option not in call
    ] == []
    bases = {line.split()[0] for line in instructions["FROM"]}
    (tag,) = {re.search(r"python:(\d+)\.(\d+)-", base).groups() for base in bases}
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    assert tuple(map(int, tag)) >= tuple(map(int, wanted.removeprefix(">=").split(".")))


def test_a_party_is_installed_with_the_same_extras_everywhere():
    extras = f"[{','.join(EXTRAS)}]'"
    for path, before in (
        ("Makefile", "pip wheel --quiet --wheel-dir dist/wheels '."),
        ("packaging/Containerfile", "pip install --no-cache-dir '/src"),
        ("docs/operations.md", "/opt/unseen/bin/pip install '."),
        ("docs/operations.md", "/opt/unseen/bin/pip install --no-index --find-links dist/wheels 'unseen"),
    ):
        assert before + extras in (ROOT / path).read_text(), path


@pytest.mark.parametrize("unit", [UNIT, RELAY], ids=lambda unit: unit.name)
def test_a_unit_that_is_enabled_starts_with_the_machine(unit):
    assert "\n[Install]\nWantedBy=multi-user.target\n" in unit.read_text()


# -- the bill of materials ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sbom(tmp_path_factory) -> dict:
    path = tmp_path_factory.mktemp("sbom") / "sbom.json"
    again = path.with_name("again.json")
    for target in (path, again):
        subprocess.run([sys.executable, str(ROOT / "packaging" / "sbom.py"), str(target)], check=True)
    assert path.read_bytes() == again.read_bytes()
    return json.loads(path.read_text())


def test_every_package_that_a_party_needs_is_listed_with_the_version_that_runs(sbom):
    listed = {component["name"].lower().replace("_", "-"): component["version"] for component in sbom["components"]}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = project["dependencies"] + [need for extra in EXTRAS for need in project["optional-dependencies"][extra]]
    names = {re.match(r"[\w.-]+", requirement)[0].lower() for requirement in wanted}
    assert names <= set(listed)
    assert all(version(name) == listed[name] for name in names)
    assert not {"pytest", "ruff", "statsmodels", "torch"} & set(listed)


def test_every_edge_leads_to_a_component(sbom):
    refs = {component["bom-ref"] for component in sbom["components"]} | {sbom["metadata"]["component"]["bom-ref"]}
    assert {edge["ref"] for edge in sbom["dependencies"]} == refs
    reached, waiting = set(), [sbom["metadata"]["component"]["bom-ref"]]
    edges = {edge["ref"]: edge["dependsOn"] for edge in sbom["dependencies"]}
    while waiting:
        ref = waiting.pop()
        if ref not in reached:
            reached.add(ref)
            waiting += edges[ref]
    assert reached == refs


def test_a_requirement_of_another_platform_is_left_out():
    requirements = runpy.run_path(str(ROOT / "packaging" / "sbom.py"))["requirements"]

    class Package:
        requires = (
            "numpy>=2",
            'pywin32; sys_platform == "win32"',
            'duckdb; extra == "party"',
            'pytest; extra == "dev"',
            "uvicorn[standard]",
        )

    assert set(requirements(Package(), frozenset({"party"}))) == {
        ("numpy", frozenset()),
        ("duckdb", frozenset()),
        ("uvicorn", frozenset({"standard"})),
    }


# -- without internet --------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_wheel_from_a_folder_installs_without_an_index_and_runs(tmp_path):
    source, wheels, target = tmp_path / "source", tmp_path / "wheels", tmp_path / "target"
    unwanted = shutil.ignore_patterns("__pycache__", "*.so", "_kernels*", ".built")
    source.mkdir()
    for name in ("unseen", "engine", "protocols", "native", "benchmarks"):
        shutil.copytree(ROOT / name, source / name, ignore=unwanted)
    for name in ("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE", "NOTICE"):
        shutil.copy(ROOT / name, source)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run(
        [*pip, "wheel", "--no-index", "--no-deps", "--no-build-isolation", "--wheel-dir", str(wheels), str(source)], check=True
    )
    offline = [*pip, "install", "--no-index", "--no-deps", "--find-links", str(wheels), "--target", str(target), "unseen[party]"]
    subprocess.run(offline, check=True)
    script = "import engine, native, unseen; print(engine.__file__, native.isa())"
    found = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(target)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.startswith(str(target))
