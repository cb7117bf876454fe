"""Daemons of a sandbox, one at a time: ended, started again, and asked what they hold."""

from __future__ import annotations

import json
import os
import signal
import time
from typing import Any

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


def start_again(box: Sandbox, party: str) -> None:
    """A daemon that has ended, as it was; returns when it is ready. Its earlier log is kept beside the new one."""
    old = process(box, party)
    assert old.poll() is not None
    for pipe in (old.stdin, old.stdout):
        pipe.close()
    log = box.layout.log(party)
    log.rename(log.with_suffix(f".{old.pid}.log"))
    assert box._daemons is not None
    started = sandbox_daemons._spawn(box.layout.config(party), log)
    box._daemons._running[party] = started
    assert started.stdout is not None
    assert sandbox_daemons._says_ready(started.stdout, time.monotonic() + START_SECONDS), log.read_text()


def linked(box: Sandbox) -> None:
    """Returns when every daemon holds links to all others."""
    from engine.client import config

    box._wait_for_links(config.load(box.layout.researcher))


def told(box: Sandbox, *arguments: str, party: str) -> Any:
    """What a command of the operator prints as JSON."""
    found = CliRunner().invoke(app, ["party", *arguments, "--json", "--config", str(box.layout.config(party))])
    assert found.exit_code == 0, found.output
    return json.loads(found.stdout)
