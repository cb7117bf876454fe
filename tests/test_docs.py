"""The documents name commands, fields, metrics and messages that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer
from prometheus_client import generate_latest

from engine.cli.main import app
from engine.party.log import FIELDS
from engine.party.metrics import Metrics
from engine.transport.codes import LinkCode

ROOT = Path(__file__).resolve().parents[1]
OPERATIONS = (ROOT / "docs" / "operations.md").read_text()
PAGES = [ROOT / "README.md", ROOT / "SECURITY.md", *sorted((ROOT / "docs").glob("*.md"))]
PAGES += [path for path in (ROOT / "packaging").iterdir() if path.suffix != ".py"]
COMMAND = re.compile(r"\bunseen (party|study) ([a-z][a-z-]+)")


def commands() -> dict[str, set[str]]:
    """The commands of each group."""
    groups = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    return {name: set(groups[name].commands) for name in ("party", "study")}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_every_command_in_a_page_exists(path):
    known = commands()
    for group, name in COMMAND.findall(path.read_text()):
        assert name in known[group], f"unseen {group} {name}"


def test_every_command_of_an_operator_is_in_the_readme():
    text = (ROOT / "README.md").read_text()
    named = {name for group, name in COMMAND.findall(text) if group == "party"} | {"resume"} & set(re.findall(r"`(\w+)`", text))
    assert named == commands()["party"]


def test_the_fields_of_logs_are_those_listed():
    (listed,) = re.findall(r"listed fields only \(([^)]*)\)", OPERATIONS)
    assert set(listed.split(", ")) == FIELDS


def test_the_metrics_are_those_named():
    counted = Metrics()
    counted.job("released")
    page = generate_latest(counted.registry).decode()
    named = set(re.findall(r"`(unseen_\w+)`", OPERATIONS))
    assert named == {line.split("{")[0].split()[0] for line in page.splitlines() if line[0] != "#"} - {
        "unseen_job_states_created"
    }


def test_the_messages_in_the_table_are_said_by_the_code():
    code = "".join(path.read_text() for path in (ROOT / "engine").rglob("*.py"))
    plain = re.sub(r"\"\s+f?\"", "", code)  # texts that go over several lines
    plain = re.sub(r"\{[^{}]*\}", "NAME", plain)
    table = OPERATIONS.split("| what is said |")[1].split("\n\n")[0]
    quoted = [text for row in table.splitlines()[2:] for text in re.findall(r"`([^`]+)`", row.split("|")[1])]
    assert len(quoted) > 10
    for text in quoted:
        said = text in plain or text in set(LinkCode) or re.fullmatch(r"(refused \(\w+\)|aborted)", text)
        assert said, text
