"""Daemons of a sandbox, one at a time: ended, started again, and asked what they hold."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from unittest import mock

from typer.testing import CliRunner

from engine import sandbox_daemons
from engine.cli.main import app
from engine.sandbox import Sandbox
from engine.sandbox_daemons import START_SECONDS


def process(box: Sandbox, party: str) -> Any:
    """The daemon's Popen."""
    assert box._daemons is not None
    return box._daemons._running[party]


def end(box: Sandbox, party: str, how: signal.Signals = signal.SIGKILL) -> int:
    """Send the signal, and return the exit code when the daemon has ended."""
    os.kill(process(box, party).pid, how)
    return int(process(box, party).wait(timeout=20))


def start_again(box: Sandbox, party: str, before: str = "") -> None:
    """A daemon that has ended, as it was; returns when it is ready. Its earlier log is kept beside the new one.

    `before`: Python that its process runs first, which makes it another program than this checkout's.
    """
    old = process(box, party)
    assert old.poll() is not None
    for pipe in (old.stdin, old.stdout):
        pipe.close()
    log = box.layout.log(party)
    log.rename(log.with_suffix(f".{old.pid}.log"))
    assert box._daemons is not None
    with running_first(before):
        started = sandbox_daemons._spawn(box.layout.config(party), log)
    box._daemons._running[party] = started
    assert started.stdout is not None
    assert sandbox_daemons._says_ready(started.stdout, time.monotonic() + START_SECONDS), log.read_text()


@contextmanager
def running_first(before: str) -> Iterator[None]:
    """Daemons that are started meanwhile run this Python first."""

    def command(arguments: Sequence[str]) -> list[str]:
        return [sys.executable, "-c", f"{before}\nfrom engine.cli.main import main\nmain()", *arguments]

    with mock.patch.object(sandbox_daemons, "command", command):
        yield


def linked(box: Sandbox) -> None:
    """Returns when every daemon holds links to all others."""
    from engine.client import config

    box._wait_for_links(config.load(box.layout.researcher))


def told(box: Sandbox, *arguments: str, party: str) -> Any:
    """What a command of the operator prints as JSON."""
    found = CliRunner().invoke(app, ["party", *arguments, "--json", "--config", str(box.layout.config(party))])
    assert found.exit_code == 0, found.output
    return json.loads(found.stdout)


def doctor(box: Sandbox, party: str) -> list[dict[str, str]]:
    """What `unseen party doctor` finds: lines with check, status, text and advice."""
    arguments = ["party", "doctor", "--json", "--config", str(box.layout.config(party))]
    lines: list[dict[str, str]] = json.loads(CliRunner().invoke(app, arguments).stdout)
    return lines


def logged(box: Sandbox, party: str, words: str, seconds: float = 20) -> dict[str, Any]:
    """The first line of the daemon's log whose event holds these words; waits for it."""
    with subprocess.Popen(["tail", "-n", "+1", "-f", str(box.layout.log(party))], stdout=subprocess.PIPE, text=True) as tail:
        patience = threading.Timer(seconds, tail.kill)
        patience.start()
        try:
            assert tail.stdout is not None
            events = (json.loads(line) for line in tail.stdout if line.startswith("{"))
            found: dict[str, Any] | None = next((event for event in events if words in event["event"]), None)
        finally:
            patience.cancel()
            tail.kill()
    assert found is not None, f"{party} never said {words!r}: {box.layout.log(party).read_text()}"
    return found
