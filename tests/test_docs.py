"""The documents name commands, fields, metrics and messages that exist."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import typer
from prometheus_client import generate_latest

from engine.cli.main import app
from engine.party.log import FIELDS
from engine.party.metrics import Metrics
from engine.transport.codes import LinkCode

ROOT = Path(__file__).resolve().parents[1]
OPERATIONS = (ROOT / "docs" / "operations.md").read_text()
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]
PACKAGING = [path for path in sorted((ROOT / "packaging").iterdir()) if path.suffix != ".py"]
EXAMPLES = [path for path in sorted((ROOT / "examples").iterdir()) if path.is_file()]
CODE = re.compile(r"^```\w*\n(.*?)^```|`([^`\n]+)`", re.M | re.S)
COMMAND = re.compile(r"(?<![\w.\[-])unseen ([a-z][a-z-]*)((?: +(?!unseen)[^\s#;&|)`]+)*)")


def commands() -> dict[tuple[str, ...], set[str]]:
    """{("party", "show"): its options}, groups included."""
    found: dict[tuple[str, ...], set[str]] = {}

    def enter(command: Any, name: tuple[str, ...]) -> None:
        found[name] = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
        for each, inner in getattr(command, "commands", {}).items():
            enter(inner, (*name, each))

    enter(typer.main.get_command(app), ())
    return found


def said(path: Path) -> list[tuple[str, list[str]]]:
    """The commands of a page, (first word, the words after it): in its code, comments left out; of other files, in any line."""
    text = path.read_text()
    if path.suffix == ".md":
        text = "\n".join(re.sub(r"#.*", "", block or span) for block, span in CODE.findall(text))
    return [(first, rest.split()) for first, rest in COMMAND.findall(text)]


@pytest.mark.parametrize("path", [*PAGES, *PACKAGING, *EXAMPLES], ids=lambda path: path.name)
def test_every_command_and_option_in_a_page_exists(path):
    known = commands()
    groups = {name[0] for name in known if len(name) == 2}
    for first, rest in said(path):
        name = (first, rest[0]) if first in groups and rest else (first,)
        assert name in known, f"unseen {' '.join(name)}"
        options = {word.split("=")[0] for word in rest if word.startswith("--")}
        assert options <= known[name] | {"--help"}, f"unseen {' '.join(name)}: {options - known[name]}"


def test_the_pages_name_many_commands():
    assert len({(first, *rest[:1]) for path in PAGES for first, rest in said(path)}) > 30


def test_every_link_of_a_page_leads_somewhere():
    for path in PAGES:
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", path.read_text()):
            assert "://" in target or (path.parent / target).exists(), f"{path.name}: {target}"


def test_every_command_of_an_operator_is_in_the_readme():
    text = (ROOT / "README.md").read_text()
    named = {rest[0] for first, rest in said(ROOT / "README.md") if first == "party" and rest}
    named |= {"resume"} & set(re.findall(r"`(\w+)`", text))
    assert named == {name[1] for name in commands() if name[:1] == ("party",) and len(name) == 2}


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
