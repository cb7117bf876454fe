"""The daemons of a sandbox: one process each, started, awaited, and stopped by their own process ids.

A daemon says `ready` on its stdout, or closes it by ending; so nothing here polls. Its stderr is its log, in its own folder. Its
stdin is a pipe that this process holds and never writes to: when this process is killed, the pipe closes and the daemon ends too.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import engine
from engine.sandbox_files import Layout
from native.errors import UnseenError

START_SECONDS = 30.0
GRACE_SECONDS = 10.0
LOG_LINES = 3
PORT_TAKEN = "cannot listen on"


class DaemonFailed(UnseenError):
    """A daemon of the sandbox ended by itself, or does not come up; the message holds the end of its log."""


class PortTaken(DaemonFailed):
    """Somebody else took the port between our choice and the daemon's start: choose again."""


class Daemons:
    """`unseen party serve` for each party, each in a session of its own, so that Ctrl-C reaches the sandbox alone."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self) -> None:
        """Start all, and return when all are ready. Raises DaemonFailed, PortTaken; call `stop` then too."""
        for party in self._layout.parties:
            self._running[party] = _spawn(self._layout.config(party), self._layout.log(party))
        deadline = time.monotonic() + START_SECONDS
        for party, process in self._running.items():
            assert process.stdout is not None
            if not _says_ready(process.stdout, deadline):
                raise self._failure(party, process)

    def pids(self) -> dict[str, int]:
        return {party: process.pid for party, process in self._running.items()}

    def failure(self) -> DaemonFailed | None:
        """Why one of them has ended by itself; None while all run."""
        for party, process in self._running.items():
            if process.poll() is not None:
                return self._failure(party, process)
        return None

    def wait_for_a_failure(self) -> DaemonFailed:
        """Block until one ends by itself; a daemon at work keeps its stdout open and says nothing more."""
        by_output = {process.stdout: (party, process) for party, process in self._running.items() if process.stdout}
        ended, _, _ = select.select(list(by_output), [], [])
        party, process = by_output[ended[0]]
        return self._failure(party, process)

    def stop(self) -> None:
        """SIGINT, which waits for no job, to all at once; SIGKILL to those that have not ended within the grace."""
        deadline = time.monotonic() + GRACE_SECONDS
        for process in self._running.values():
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGINT)
        for process in self._running.values():
            try:
                process.wait(timeout=max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()
        self._running.clear()

    def _failure(self, party: str, process: subprocess.Popen[bytes]) -> DaemonFailed:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=1.0)  # its stdout closes a moment before it ends
        log = self._layout.log(party).read_text(encoding="utf-8", errors="replace")
        kind = PortTaken if PORT_TAKEN in log else DaemonFailed  # gRPC may say more after it
        state = "does not come up" if process.poll() is None else "has ended"
        return kind(f"the daemon of {party} {state}; the end of {self._layout.log(party)}: {_end_of(log)}")


def _spawn(config: Path, log: Path) -> subprocess.Popen[bytes]:
    with log.open("wb") as output:
        return subprocess.Popen(  # noqa: S603  our own program with a path that we wrote
            command(["party", "serve", "--config", str(config), "--until-eof"]),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=output,
            env=environment(),
            start_new_session=True,
        )


def environment() -> dict[str, str]:
    """This process' own, and where this code is, so that an installation is not needed."""
    here = str(Path(engine.__file__).resolve().parent.parent)
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [here, os.environ.get("PYTHONPATH")]))}


def command(arguments: Sequence[str]) -> list[str]:
    """The same program in the same Python as this one."""
    return [sys.executable, "-m", "engine.cli.main", *arguments]


def _says_ready(stdout: IO[bytes], deadline: float) -> bool:
    """Wait for the daemon's one line; False when it ends or is silent instead."""
    readable, _, _ = select.select([stdout], [], [], max(0.0, deadline - time.monotonic()))
    return bool(readable) and stdout.readline().startswith(b"ready ")


def _end_of(log: str) -> str:
    lines = log.strip().splitlines()
    return " | ".join(lines[-LOG_LINES:]) or "empty"
