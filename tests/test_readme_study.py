"""The README's study chapter, followed as a new operator would: its own commands, from nothing to a first joint result.

Each member has a folder of its own that stands for a machine, and its commands run as processes of their own there. Between the
folders travel the members' files and the charter, as the text says, and nothing else.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import pytest

from engine.sandbox_daemons import environment

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[1]
HOSPITALS, RESEARCHER, RELAY = ("um", "iu", "uk"), "ana", "relay"
MEMBERS = (*HOSPITALS, RESEARCHER)
FILES = dict(zip(HOSPITALS, ("um.csv", "iu.csv", "uk_case.csv"), strict=True))
DATA = ROOT / "examples" / "data" / "indo_rct"
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)
SECONDS = 120


def blocks(title: str = "A real study") -> list[tuple[str, str]]:
    """(who, script) of each fence of the chapter: who is its first line; the question's text comes as ("toml", ...)."""
    chapter = re.split(r"^##+ ", (ROOT / "README.md").read_text(), flags=re.M)
    (text,) = [part for part in chapter if part.startswith(f"{title}\n")]
    found = []
    for language, body in FENCE.findall(text):
        first, _, rest = body.partition("\n")
        found.append((language, body) if language else (first, rest))
    return found


def through_a_relay() -> list[tuple[str, str]]:
    """The chapter with what is different for parties that may not accept connections."""
    (init, relay) = blocks("A party that may not accept connections")
    (_, *others) = blocks()
    start = next(place for place, (_, text) in enumerate(others) if "party serve" in text)
    return [init, *others[:start], relay, *others[start:]]


@dataclass
class Machines:
    """One folder for each member and one for the coordinator; `run` does what a block says, as one of them."""

    root: Path
    ports: dict[str, int]  # of the hospitals' daemons and of the relay
    job: str = ""
    daemons: list[subprocess.Popen[str]] = field(default_factory=list)

    def folder(self, who: str) -> Path:
        return self.root / who

    def script(self, text: str, name: str) -> str:
        """A block's commands with this member's name and address in the place of the README's."""
        text = text.replace("um.example.org:7443", f"127.0.0.1:{self.ports.get(name, 0)}").replace("JOB", self.job)
        text = text.replace("relay.example.org:7444", f"127.0.0.1:{self.ports[RELAY]}")
        return text if name in ("coordinator", RELAY) else re.sub(r"\b(um|ana)\b(?=[ /.\n]|$)", name, text, flags=re.M)

    def start(self, text: str, name: str) -> subprocess.Popen[str]:
        shell = f'unseen() {{ "{sys.executable}" -m engine.cli.main "$@"; }}\nset -e\n{self.script(text, name)}'
        return subprocess.Popen(
            ["bash", "-c", shell],
            cwd=self.folder(name),
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, text: str, *names: str) -> list[str]:
        """At once on all these machines; what each printed."""
        running = [(name, self.start(text, name)) for name in names]
        outputs = []
        for name, process in running:
            out, errors = process.communicate(timeout=SECONDS)
            assert process.returncode == 0, f"{name}: {text}\n{out}\n{errors}"
            outputs.append(out)
        return outputs

    def serve(self, text: str, *names: str) -> None:
        """The daemon is the last command of its block: it takes the shell's place, so that it gets the signal."""
        *before, serve = text.strip().splitlines()
        assert re.match(r"unseen (party|relay) serve\b", serve)
        script = "\n".join([*before, serve.replace("unseen", f'exec "{sys.executable}" -m engine.cli.main')])
        started = [self.start(script, name) for name in names]
        self.daemons += started
        for daemon in started:
            assert daemon.stdout is not None
            if not daemon.stdout.readline().startswith("ready "):
                raise AssertionError(daemon.communicate(timeout=SECONDS)[1])

    def hand(self, file: str, sender: str, receivers: Sequence[str]) -> None:
        """A file that is no secret goes by mail."""
        source = self.folder(sender) / file
        for receiver in receivers:
            if receiver != sender:
                shutil.copy(source, self.folder(receiver) / source.name)

    def stop(self) -> list[int]:
        self.daemons.reverse()  # the relay last
        for daemon in self.daemons:
            daemon.send_signal(signal.SIGTERM)
        codes = []
        for daemon in self.daemons:
            try:
                daemon.communicate(timeout=SECONDS)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.communicate()
            codes.append(daemon.returncode)
        self.daemons.clear()
        return codes


def quiet_ports() -> Iterator[int]:
    """Ports that are free, and that the system gives to no outgoing connection before the daemons need them."""
    for port in range(16384 + os.getpid() % 8192, 32768):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            yield port


@pytest.fixture
def machines(tmp_path: Path) -> Iterator[Machines]:
    found = Machines(tmp_path, dict(zip((*HOSPITALS, RELAY), quiet_ports(), strict=False)))
    for name in (*MEMBERS, "coordinator", RELAY):
        found.folder(name).mkdir()
    for name, file in FILES.items():
        shutil.copy(DATA / file, found.folder(name) / f"{name}.csv")
    for file in ("study.toml", "indo_rct.toml"):
        shutil.copy(ROOT / "examples" / file, found.folder("coordinator") / file)
    try:
        yield found
    finally:
        found.stop()


@pytest.mark.parametrize("chapter", [blocks, through_a_relay])
def test_the_chapter_leads_from_nothing_to_a_first_joint_result(
    machines: Machines, chapter: Callable[[], list[tuple[str, str]]]
) -> None:
    outputs: list[str] = []
    holder = "coordinator"  # of the charter, while it goes from hand to hand
    for who, text in chapter():
        if who == "toml":
            (machines.folder(RESEARCHER) / "question.toml").write_text(text)
        elif who == "# the coordinator":
            for name in MEMBERS:
                machines.hand(f"{name}/{name}.member.toml", name, ["coordinator"])
            outputs += machines.run(text, "coordinator")
        elif who == "# each member, one after another, here um":
            for name in MEMBERS:
                machines.hand("charter.json", holder, [name])
                outputs += machines.run(text, name)
                holder = name
            machines.hand("charter.json", holder, (*MEMBERS, RELAY))
        elif who == "# the relay's operator":
            machines.serve(text.replace("0.0.0.0", "127.0.0.1").replace("7444", str(machines.ports[RELAY])), RELAY)
        elif who == "# each hospital, here um" and "party serve" in text:
            for name in HOSPITALS:
                _listen_on_loopback_only(machines.folder(name) / name / "hospital.toml", machines.ports[name])
            machines.serve(text, *HOSPITALS)
        elif who == "# each hospital, here um":
            outputs += machines.run(text, *HOSPITALS)
        else:
            assert who == "# each researcher, here ana"
            outputs += machines.run(text, RESEARCHER)
            machines.job = outputs[-1].strip() if "unseen submit" in text else machines.job
    assert "age" in outputs[-1]
    _check_against_the_pooled_rows(machines)
    _check_that_keys_stayed_where_they_were_made(machines)
    _check_that_what_is_kept_is_documented(machines.folder("um") / "um" / "state")
    codes = machines.stop()
    assert codes == [0] * (4 if chapter is through_a_relay else 3)


def _check_against_the_pooled_rows(machines: Machines) -> None:
    pooled = pd.concat([pd.read_csv(DATA / file) for file in FILES.values()])
    answer = json.loads(*machines.run("cd ana\nunseen result JOB --json", RESEARCHER))
    table = pd.DataFrame(**{key: answer["table"][key] for key in ("index", "columns", "data")})
    for column in ("age", "risk"):
        assert table.loc[column, "mean"] == pytest.approx(pooled[column].mean(), rel=1e-9)
        assert table.loc[column, "n"] == len(pooled)


def _check_that_keys_stayed_where_they_were_made(machines: Machines) -> None:
    for owner in MEMBERS:
        for key in ("signing.key", "tls.key"):
            secret = (machines.folder(owner) / owner / "keys" / key).read_bytes()
            holders = {
                file.relative_to(machines.root).parts[0]
                for file in machines.root.rglob("*")
                if file.is_file() and secret in file.read_bytes()
            }
            assert holders == {owner}


def _check_that_what_is_kept_is_documented(state: Path) -> None:
    """docs/data-protection.md names every file that a job leaves behind."""
    text = (ROOT / "docs" / "data-protection.md").read_text()
    files = [path for path in state.rglob("*") if not path.is_dir()]
    assert len(files) >= 8
    for path in files:
        assert path.name in text, path.name


def _listen_on_loopback_only(config: Path, port: int) -> None:
    """And, since all these machines are one, on a port of its own."""
    text, found = re.subn(r'listen = "(0\.0\.0\.0|127\.0\.0\.1):\d+"', f'listen = "127.0.0.1:{port}"', config.read_text())
    assert found == 1
    config.write_text(text)
