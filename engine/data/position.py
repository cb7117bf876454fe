"""How far a query has come through a table: DuckDB's own count of what it has scanned and sorted, not of rows that were chosen.

A share of the table says nothing about which rows, or how many, a question is about: a pass over the whole table goes from 0 to
1 whatever it selects. The position is asked for by other threads while one reads, so a lock keeps a cursor from being closed
in the middle of the question.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import duckdb

SETTINGS = ("enable_progress_bar", "enable_progress_bar_print", "progress_bar_time")  # what a cursor sets for itself
_COUNTED = "SET enable_progress_bar = true; SET enable_progress_bar_print = false; SET progress_bar_time = 0"


class Position:
    """Of one query that takes so many passes. Call it for the share of its reading that is done, 0 to 1; None while it does
    not read, or where DuckDB cannot tell."""

    def __init__(self, passes: int) -> None:
        self._passes, self._done = passes, 0
        self._cursor: duckdb.DuckDBPyConnection | None = None
        self._lock = threading.Lock()

    @contextmanager
    def of(self, cursor: duckdb.DuckDBPyConnection) -> Iterator[None]:
        """While inside, `cursor` runs one of the passes. It is closed by its owner, afterwards."""
        with suppress(duckdb.Error):  # where it may not be set, the position is unknown, and that is all
            cursor.execute(_COUNTED)
        with self._lock:
            self._cursor = cursor
        try:
            yield
        finally:
            with self._lock:
                self._cursor = None
                self._done += 1

    def __call__(self) -> float | None:
        with self._lock:
            if self._cursor is None:
                return None
            percent = self._cursor.query_progress()
        return (self._done + min(percent, 100.0) / 100) / self._passes if percent >= 0 else None
