"""A Parquet file that changes while a real daemon reads it: nothing of it is used, its hospital reads why, and the next question
after the repair is answered.

The daemon runs with a stop at two places of its reading, where it asks this process whether to go on; so the file changes at that
very moment, and no test waits for time to pass.
"""

from __future__ import annotations

import io
import json
import os
import secrets
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import unseen
from engine.errors import REFUSAL
from tests.conformance.daemons import running_first

pytestmark = pytest.mark.slow

HOSPITALS, SPOILED = ("north", "south", "west"), "west"
ROWS, FEW = 70_000, 1000  # of the hospital in question, more than one batch; of the others
COLUMNS = {
    "age": {"type": "integer", "bounds": [18, 100]},
    "dose": {"type": "number", "bounds": [0, 50]},
    "event": {"type": "binary"},
}
TABLES: dict[str, Any] = {
    "row by row": {"columns": COLUMNS},
    "by person": {"columns": COLUMNS, "person": {"column": "id"}},
}
STOPS = """
import socket
import sys
from contextlib import suppress
from engine.data.duckdb_source import DuckDBSource

def stop(moment):
    with suppress(OSError), socket.socket(socket.AF_UNIX) as line:
        line.connect("\\0{address}")
        line.sendall(moment)
        line.recv(1)

def stopping(self, tables, statement, position, records=DuckDBSource._records):
    stop(b"begin")
    for record in records(self, tables, statement, position):
        yield record
        stop(b"batch")

if sys.argv[-2].endswith("/{party}/hospital.toml"):
    DuckDBSource._records = stopping
"""
DESCRIBE = {"analysis": "describe", "columns": ["dose"], "options": {"quantiles": False}}
FIT = {"analysis": "logit", "formula": "event ~ age + dose", "disclosure": "steps"}
MOMENTS: dict[str, tuple[str, dict[str, Any], bytes, int]] = {  # the table, the question, and which stop of its reading
    "in the middle of a pass": ("row by row", DESCRIBE, b"batch", 1),
    "between two steps of a fit": ("row by row", FIT, b"begin", 2),
    "between the count of people and their rows": ("by person", DESCRIBE, b"begin", 1),
}
CHANGES = ("replaced", "cut short", "written over")


class Box:
    """A sandbox whose third hospital's daemon stops where STOPS says."""

    def __init__(self, sandbox: Any, address: str) -> None:
        self.sandbox, self.study, self._address = sandbox, sandbox.study, address
        self.file = sandbox.layout.folder(SPOILED) / f"{SPOILED}.parquet"

    def changes(self, how: str, moment: bytes, times: int) -> None:
        """Change the file when the daemon comes to this moment for so many times; then nothing holds it any more."""
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind("\0" + self._address)
            listening.listen()
            listening.settimeout(30)
            with closing(_reached(listening, moment, times)):
                listening.close()
                change(self.file, how)

    def complaints(self, party: str, job: str) -> list[dict[str, Any]]:
        """What the daemon's log says of a job beyond its progress."""
        lines = [json.loads(line) for line in self.sandbox.layout.log(party).read_text().splitlines() if line.startswith("{")]
        return [line for line in lines if line.get("job") == job and line["level"] != "info"]


def _reached(listening: socket.socket, moment: bytes, times: int) -> socket.socket:
    """The line on which the daemon waits; it goes on when this is closed."""
    while True:
        line = listening.accept()[0]
        times -= line.recv(16) == moment
        if times == 0:
            return line
        line.close()


def change(file: Path, how: str) -> None:
    """As an export, a failed export or a program that writes in place would."""
    if how == "cut short":
        os.truncate(file, file.stat().st_size // 2)
        return
    content = io.BytesIO()
    frame(99, ROWS).to_parquet(content, index=False)
    if how == "replaced":
        replace(file, content.getvalue())
    else:
        file.write_bytes(content.getvalue())


def replace(file: Path, content: bytes) -> None:
    new = file.with_suffix(".new")
    new.write_bytes(content)
    os.replace(new, file)


def frame(seed: int, rows: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    data = {"id": np.arange(rows), "age": rng.integers(18, 90, rows), "dose": rng.uniform(0, 50, rows)}
    return pd.DataFrame(data | {"event": (rng.random(rows) < 0.4).astype(int)})


@pytest.fixture(scope="module")
def boxes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Box]]:
    """One for each kind of table, made when it is asked for."""
    frames = {name: frame(seed, ROWS if name == SPOILED else FEW) for seed, name in enumerate(HOSPITALS)}
    with ExitStack() as opened:

        @cache
        def box(table: str) -> Box:
            sandbox = unseen.sandbox(frames, TABLES[table], tmp_path_factory.mktemp("changing") / "study")
            address = f"unseen-{secrets.token_hex(8)}"
            with running_first(STOPS.format(address=address, party=SPOILED)):
                opened.enter_context(sandbox)
            return Box(sandbox, address)

        yield box


@pytest.mark.parametrize("how", CHANGES)
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_parquet_file_that_changes_while_it_is_read_is_a_refusal_like_any_other(
    boxes: Callable[[str], Box], moment: str, how: str
) -> None:
    table, question, stop, times = MOMENTS[moment]
    box = boxes(table)
    before = box.file.read_bytes()
    job = box.study.submit(box.study.spec(**question))
    try:
        box.changes(how, stop, times)
        with pytest.raises(unseen.RefusedByDisclosureRules) as caught:
            job.result(timeout=30)
    finally:
        replace(box.file, before)
    assert str(caught.value) == REFUSAL
    assert (job.status().code, job.status().by) == ("rules", "")
    assert box.study.describe(["dose"], timeout=30).nobs == ROWS + 2 * FEW
    (complaint,) = box.complaints(SPOILED, job.id)
    assert (complaint["event"], complaint["error"]) == ("own data cannot be used", "DataChanged")
    others = [line for party in HOSPITALS if party != SPOILED for line in box.complaints(party, job.id)]
    assert {line["error"] for line in others} <= {"PeerLost"}  # of a later step the others learn that it was not reached
