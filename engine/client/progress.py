"""What a person sees while a job runs, on stderr when it is a terminal, nothing otherwise.

One line says what the parties do and how much they have sent; below it is a bar for each hospital while it reads its table.

A bar is of the rows that the charter declares for the table, which is all that is known of them here (engine/party/progress.py).
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
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


class Bars(Silent):
    """A spinner, the time, what each party is doing, bytes sent so far; below it who reads its table, and how far it is.

    `declared`: the rows of each hospital's table, as the charter states them.
    """

    def __init__(self, title: str, declared: Mapping[str, int]) -> None:
        from rich.console import Console, Group
        from rich.live import Live
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        self._declared = declared
        self._states: dict[str, str] = {}
        self._sent: dict[str, int] = {}
        self._line = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            TimeElapsedColumn(),
            TextColumn("[dim]{task.fields[doing]}"),
        )
        self._task = self._line.add_task(title, total=None, doing="submitted")
        self._tables = Progress(
            TextColumn("  {task.description} reads its table"),
            BarColumn(),
            TextColumn("[dim]{task.percentage:.0f} % of at most {task.total:,.0f} rows"),
        )
        self._readers = {name: self._tables.add_task(name, total=rows, visible=False) for name, rows in declared.items()}
        self._live = Live(
            Group(self._line, self._tables),
            console=Console(stderr=True),
            transient=True,
            redirect_stdout=sys.stdout.isatty(),  # or what is printed to a file would go to the screen
        )

    def __enter__(self) -> Bars:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def show(self, event: JobEvent) -> None:
        self._states[event.member] = event.detail or event.state
        self._sent[event.member] = max(event.sent, self._sent.get(event.member, 0))
        self._line.update(self._task, doing=self._doing())
        if event.member in self._readers:
            rows = self._declared[event.member] * (event.read or 0) // 100
            self._tables.update(self._readers[event.member], completed=rows, visible=event.read is not None)

    def _doing(self) -> str:
        waiting = [member for member, state in self._states.items() if state in WAITS_FOR_PEOPLE]
        if waiting:
            return f"waiting for approval: {', '.join(waiting)}"
        words = list(dict.fromkeys(self._states.values()))
        doing = words[0] if len(words) == 1 else ", ".join(f"{member} {state}" for member, state in self._states.items())
        sent = sum(self._sent.values())
        return f"{doing}, {amount(sent)} exchanged" if sent else doing


def amount(size: int) -> str:
    """Bytes, in the unit that a person would use."""
    number, units = float(size), ["bytes", "kB", "MB", "GB"]
    while number >= 1000 and len(units) > 1:
        number, units = number / 1000, units[1:]
    return f"{number:.0f} {units[0]}" if units[0] == "bytes" else f"{number:.1f} {units[0]}"


@contextmanager
def shown(title: str, declared: Mapping[str, int], quiet: bool) -> Iterator[Silent]:
    """Bars when stderr is a terminal and nobody asked for quiet."""
    with Silent() if quiet or not sys.stderr.isatty() else Bars(title, declared) as progress:
        yield progress
