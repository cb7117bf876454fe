"""Three worker processes, one a party, that do the same work at the same time: ours, or a peer's in an interpreter of its own.

A worker reads one JSON object a line from its stdin and answers with one a line: what its `handle` returns, its peak memory, and
its seconds between the start that all wait for and its own end. It must not import more than the standard library and NumPy here,
because peers run in other environments.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

Handle = Callable[[dict[str, Any]], Mapping[str, Any]]
FAILED = "failed"
GRACE_SECONDS = 5.0


class WorkFailed(Exception):
    """A worker could not do the work, or ended; the text says what it said."""


class Trio:
    """Workers by command line. Each answers every request; the answers come in the parties' order."""

    def __init__(self, commands: Sequence[Sequence[str]], environment: Mapping[str, str] | None = None) -> None:
        here = str(Path(__file__).resolve().parent.parent)
        env = {**os.environ, **(environment or {}), "PYTHONPATH": here, "PYTHONUNBUFFERED": "1"}
        pipe = subprocess.PIPE
        self._log: Any = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115  closed in `close`
        self._workers = [
            subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=self._log, env=env, text=True) for command in commands
        ]

    def __enter__(self) -> Trio:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pids(self) -> dict[str, int]:
        return {f"party {i}": worker.pid for i, worker in enumerate(self._workers)}

    def ask(self, timeout: float | None = None, **request: Any) -> list[dict[str, Any]]:
        """The same request to all. Raises WorkFailed, also after `timeout` seconds; then no worker is of use any more."""
        deadline = None if timeout is None else time.monotonic() + timeout
        for worker in self._workers:
            assert worker.stdin is not None
            try:
                worker.stdin.write(json.dumps(request) + "\n")
                worker.stdin.flush()
            except BrokenPipeError:
                raise WorkFailed(self._last_words()) from None
        answers = []
        for worker in self._workers:
            assert worker.stdout is not None
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            if not select.select([worker.stdout], [], [], left)[0]:
                raise WorkFailed(f"no answer within {timeout:.0f} s")
            line = worker.stdout.readline()
            if not line:
                raise WorkFailed(self._last_words())
            answers.append(json.loads(line))
        failures = [answer[FAILED] for answer in answers if FAILED in answer]
        if failures:
            raise WorkFailed(failures[0])
        return answers

    def close(self) -> None:
        """A closed stdin ends a worker; one that hangs is killed."""
        for worker in self._workers:
            assert worker.stdin is not None
            with suppress(BrokenPipeError):
                worker.stdin.close()
        deadline = time.monotonic() + GRACE_SECONDS
        for worker in self._workers:
            try:
                worker.wait(timeout=max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                worker.kill()
                worker.wait()
            assert worker.stdout is not None
            worker.stdout.close()
        self._log.close()

    def _last_words(self) -> str:
        self._log.seek(0)
        lines = self._log.read().strip().splitlines()
        return lines[-1][:200] if lines else "a worker ended without a word"


def together(answers: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """One answer for the three: the largest of what each counts, and the error of whoever saw the answer."""
    merged: dict[str, Any] = {}
    for name in dict.fromkeys(name for answer in answers for name in answer):
        values = [answer[name] for answer in answers if answer.get(name) is not None]
        merged[name] = max(values) if values else None
    return merged


def serve(handle: Handle) -> None:
    """A worker's main loop. What libraries print goes to stderr."""
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    for line in sys.stdin:
        try:
            reply = dict(handle(json.loads(line)))
        except Exception as error:  # told to the bench, which decides
            reply = {FAILED: f"{type(error).__name__}: {error}"[:300]}
        replies.write(json.dumps(reply) + "\n")
        replies.flush()
