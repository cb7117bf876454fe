"""Rows of measurements and how they are shown: an aligned table, markdown, or one JSON object a line.

Every row has the fields of `FIELDS`; a measurement may add others after them. A field that does not exist for a row is None:
rounds of a kernel, the seconds of work that was skipped (`note` says why). `error` is the largest difference from the clear in
the very run that was timed, in `error_unit`; `error_se` repeats it where the unit is the standard error of the estimate.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from statistics import median
from typing import Any

Row = dict[str, Any]

FIELDS = (
    "bench",
    "engine",
    "mode",
    "parties",
    "n",
    "d",
    "seconds",
    "joint_seconds",
    "rounds",
    "bytes_sent",
    "peak_rss",
    "error_se",
    "error",
    "error_unit",
)
SE, ABSOLUTE, MISMATCHES = "se", "absolute", "mismatches"


def row(bench: str, engine: str, **fields: Any) -> Row:
    """A row with all of FIELDS, in their order, then the others that were given."""
    given = {"bench": bench, "engine": engine, **fields}
    if given.get("error_unit") == SE:
        given["error_se"] = given.get("error")
    return {**{name: given.pop(name, None) for name in FIELDS}, **given}


def skipped(bench: str, engine: str, note: str, **fields: Any) -> Row:
    """Work that did not run, and why."""
    return row(bench, engine, note=note, **fields)


def show(rows: Iterable[Row], as_json: bool, markdown: bool = False) -> None:
    """JSON lines as they come; a table when all have come, of the columns that say something."""
    if as_json:
        for each in rows:
            print(json.dumps(each), flush=True)
        return
    found = list(rows)
    for line in _markdown(found) if markdown else _aligned(found):
        print(line)


def middle(runs: Sequence[Row]) -> Row:
    """The run with the median seconds, so that time and error come from one run."""
    return sorted(runs, key=lambda run: run["seconds"])[len(runs) // 2]


def ratio(ours: Sequence[Row], theirs: Sequence[Row]) -> float | None:
    """Median seconds of ours over median seconds of theirs."""
    if not ours or not theirs:
        return None
    quotient: float = median(run["seconds"] for run in ours) / median(run["seconds"] for run in theirs)
    return quotient


def _columns(rows: Sequence[Row]) -> list[str]:
    """Every field that some row has a value for, in the order of the rows; `note` comes last."""
    names = [name for name in dict.fromkeys(n for each in rows for n in each) if any(each.get(name) is not None for each in rows)]
    hidden = {"error_se"} if "error" in names else set()
    return [name for name in names if name not in hidden | {"note"}] + (["note"] if "note" in names else [])


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _cells(rows: Sequence[Row]) -> list[list[str]]:
    names = _columns(rows)
    return [names, *([_cell(each.get(name)) for name in names] for each in rows)]


def _aligned(rows: Sequence[Row]) -> Iterator[str]:
    """As wide as it needs to be: for a terminal, a file or a pipe."""
    if not rows:
        return
    cells = _cells(rows)
    widths = [max(len(line[i]) for line in cells) for i in range(len(cells[0]))]
    for line in cells:
        yield "  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)).rstrip()


def _markdown(rows: Sequence[Row]) -> Iterator[str]:
    if not rows:
        return
    head, *body = _cells(rows)
    yield "| " + " | ".join(head) + " |"
    yield "|" + "---|" * len(head)
    for line in body:
        yield "| " + " | ".join(line) + " |"
