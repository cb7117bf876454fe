"""The daemons of a sandbox: one process each, started, awaited, and stopped by their own process ids."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from engine.errors import UnseenError
from engine.sandbox_files import Layout

GRACE_SECONDS = 10.0
LOG_LINES = 5


class DaemonFailed(UnseenError):
    """A daemon of the sandbox ended by itself; the message holds the end of its log."""


class Daemons:
    """`python -m engine.cli.main party serve` for each party, in its own session so that Ctrl-C reaches the sandbox alone."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self) -> None:
        for party in self._layout.parties:
            self._running[party] = _spawn(self._layout.config(party), self._layout.log(party))

    def pids(self) -> dict[str, int]:
        return {party: process.pid for party, process in self._running.items()}

    def check(self) -> None:
        """Raises DaemonFailed when one has ended."""
        for party, process in self._running.items():
            if process.poll() is not None:
                raise DaemonFailed(
                    f"the daemon of {party} ended with code {process.returncode}: {_end_of(self._layout.log(party))}"
                )

    def stop(self) -> None:
        """SIGTERM to all at once; SIGKILL to those that have not ended within the grace."""
        deadline = time.monotonic() + GRACE_SECONDS
        for process in self._running.values():
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
        for process in self._running.values():
            try:
                process.wait(timeout=max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._running.clear()


def command(arguments: Sequence[str]) -> list[str]:
    """The same program in the same Python as this one."""
    return [sys.executable, "-m", "engine.cli.main", *arguments]


def _spawn(config: Path, log: Path) -> subprocess.Popen[bytes]:
    with log.open("ab") as output:
        return subprocess.Popen(  # noqa: S603  our own program with a path that we wrote
            command(["party", "serve", "--config", str(config)]),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def _end_of(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return " | ".join(lines[-LOG_LINES:]) or "its log is empty"
