"""How far a running session has come, for watchers and metrics: the stage, what was read of the own table, what was sent.

What may leave a hospital by this is chosen to say nothing that the charter and the question do not say already:

    stage   public: every party goes through the same ones
    read    the share of the whole table that the running pass has gone past, rounded down to a multiple of 5 %. It is a position
            in the table, not a count: neither the rows that a condition chose nor the rows of the table, which the charter
            bounds and does not state, change it. It goes to 100 % whatever was chosen
    sent    bytes: they follow from the question, the stage and the rows declared in the charter, since what is shared is padded

It is looked at once a second, so that a watcher learns to within about a second when a hospital read its table, and no finer: how
long reading takes is told to peers by the messages themselves (SECURITY.md), and to the researcher by this. A table that is read
within a second shows nothing. No exact count of rows is kept here, so that none can be logged or measured by mistake.

A worker thread writes, the event loop reads.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from engine.data.rows import DataSource, Query, Rows, unknown
from protocols.session import Session

STEP = 5  # per cent


@dataclass(frozen=True)
class Progress:
    """One look at a session."""

    stage: str = ""  # e.g. "newton 2"; "" before the first
    read: int | None = None  # per cent of the own table, a multiple of STEP; None while this party reads nothing
    sent: int = 0  # bytes, to all peers, since the session began

    def __str__(self) -> str:
        reads = "" if self.read is None else f", {self.read} % of the own table read"
        return f"{self.stage}{reads}, {self.sent / 1e6:.1f} MB sent"


class Watched:
    """A session that is looked at. `on_stage` is called from the worker thread."""

    def __init__(self, on_stage: Callable[[Progress], None]) -> None:
        self._on_stage = on_stage
        self._stage, self._position = "", unknown
        self._session: Session | None = None

    def begin(self, session: Session) -> None:
        self._session = session

    def stage(self, name: str) -> None:
        """The session comes to this stage, a public fact of the plan."""
        self._stage = name
        self._on_stage(self.look())

    def source(self, source: DataSource | None) -> DataSource | None:
        """The same source, whose passes are looked at."""
        return None if source is None else _Source(source, self._follow)

    def look(self) -> Progress:
        position = self._position()
        read = None if position is None else int(100 * position) // STEP * STEP
        return Progress(self._stage, read, self._session.meter.bytes_sent if self._session else 0)

    def _follow(self, rows: Rows) -> None:
        self._position = rows.position


class _Source:
    """A DataSource that shows each stream to `follow`."""

    def __init__(self, source: DataSource, follow: Callable[[Rows], None]) -> None:
        self._source, self._follow = source, follow
        self.size, self.snapshot = source.size, source.snapshot

    def rows(self, query: Query) -> Rows:
        found = self._source.rows(query)
        self._follow(found)
        return found
