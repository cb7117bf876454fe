"""What a person sees while a job runs: one line on stderr when it is a terminal, nothing otherwise."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from engine.client.watch import JobEvent

WAITS_FOR_PEOPLE = frozenset({"received", "verified"})


class Silent:
    """Shows nothing."""

    def __enter__(self) -> Silent:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def show(self, event: JobEvent) -> None:
        return None


class Line(Silent):
    """A spinner, the time, and what each party is doing."""

    def __init__(self, title: str) -> None:
        from rich.console import Console
        from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        self._states: dict[str, str] = {}
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}"),
            TimeElapsedColumn(),
            TextColumn("[dim]{task.fields[doing]}"),
        )
        self._progress = Progress(*columns, console=Console(stderr=True), transient=True)
        self._task = self._progress.add_task(title, total=None, doing="submitted")

    def __enter__(self) -> Line:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def show(self, event: JobEvent) -> None:
        self._states[event.member] = event.detail or event.state
        self._progress.update(self._task, doing=self._doing())

    def _doing(self) -> str:
        waiting = [member for member, state in self._states.items() if state in WAITS_FOR_PEOPLE]
        if waiting:
            return f"waiting for approval: {', '.join(waiting)}"
        words = list(dict.fromkeys(self._states.values()))
        return words[0] if len(words) == 1 else ", ".join(f"{member} {state}" for member, state in self._states.items())


@contextmanager
def shown(title: str, quiet: bool) -> Iterator[Silent]:
    """A Line when stderr is a terminal and nobody asked for quiet."""
    with Silent() if quiet or not sys.stderr.isatty() else Line(title) as progress:
        yield progress
