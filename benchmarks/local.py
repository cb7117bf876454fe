"""One hospital's LOCAL pass over a Parquet file, in a process of its own: time, memory, and the error against NumPy's lstsq.

The process does what a daemon does for an OLS question: it streams the file, checks every value, counts for the gate, enters
every row into the digest of the row set, adds up the products. `seconds` and `user_seconds` are of that pass (user time of all
threads); `opening_seconds` of opening the file and taking its snapshot before; `peak_rss` is the VmHWM of the whole process.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from threadpoolctl import threadpool_limits

from benchmarks import data, memory, table
from engine.analyses import Ask, Limits, build
from engine.analyses.linear import OLS
from engine.data.config import open_source
from engine.dictionary import Dictionary
from engine.party import runner
from engine.party.gate import GatePolicy
from protocols.session import Meter, Session

ROWS_LOG2 = 32
CHUNK = 1_000_000  # rows of a row group, and of what is made at a time


def measure(rows: int, columns: int, repeat: int) -> Iterator[table.Row]:
    """One row: the run with the median seconds. `columns` are predictors; the table has the response besides."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "rows.parquet"
        reference, errors = write(file, rows, columns)
        yield table.middle([_row(_run(file, columns), rows, columns, reference, errors) for _ in range(repeat)])


def write(file: Path, rows: int, columns: int) -> tuple[np.ndarray, np.ndarray]:
    """A file of correlated columns x1.. and y. Returns the coefficients of lstsq, constant first, and their standard errors.

    lstsq runs on the triangle of a QR decomposition of (1, x, y), put together chunk by chunk (TSQR), so that the file may be
    larger than memory.
    """
    rng = np.random.default_rng([data.SEED, rows, columns])
    beta = rng.uniform(-0.5, 0.5, columns)
    triangle = np.empty((0, columns + 2))
    schema = pa.schema([(name, pa.float64()) for name in [*data.predictors(columns), "y"]])
    with pq.ParquetWriter(file, schema) as writer:
        for start in range(0, rows, CHUNK):
            n = min(CHUNK, rows - start)
            spread, shared = np.sqrt(1 - data.CORRELATION), np.sqrt(data.CORRELATION)
            x = spread * rng.standard_normal((n, columns)) + shared * rng.standard_normal((n, 1))
            x = np.round(np.clip(x, -7.5, 7.5), 6)
            y = np.clip(1.0 + x @ beta + rng.standard_normal(n), -50, 50)
            writer.write_table(pa.table([*x.T, y], schema=schema))
            triangle = np.asarray(np.linalg.qr(np.vstack([triangle, np.column_stack([np.ones(n), x, y])]), mode="r"))
    left, right = triangle[:, :-1], triangle[:, -1]
    coefficients = np.linalg.lstsq(left, right, rcond=None)[0]
    variance = np.sum((right - left @ coefficients) ** 2) / (rows - columns - 1)
    return coefficients, np.sqrt(variance * np.diag(np.linalg.inv(left.T @ left)))


def _run(file: Path, columns: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.local", str(file), str(columns)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"the measured process failed: {done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _row(run: dict[str, Any], rows: int, columns: int, reference: np.ndarray, errors: np.ndarray) -> table.Row:
    difference = np.abs(np.array(run.pop("coefficients")) - reference)
    error = float(np.max(difference / errors))
    return table.row("local ols", "clear", parties=1, n=rows, d=columns, error=error, error_unit=table.SE, **run)


def one_pass(file: Path, columns: int) -> dict[str, Any]:
    """What the process measures, and the coefficients that follow from its sums."""
    threadpool_limits(1, "blas")  # as engine/party/server.py has it
    names = data.predictors(columns)
    numbers = data.dictionary(columns)["columns"]
    dictionary = Dictionary.parse({"columns": {name: numbers[name] for name in [*names, "y"]}})
    analysis = build(Ask("ols", "y ~ " + " + ".join(names)), dictionary, Limits(ROWS_LOG2))
    began = time.perf_counter()
    with open_source({"source": str(file)}, dictionary, bytes(32), file.parent) as source:
        source.snapshot()
        opened = time.perf_counter()
        session = cast(Session, SimpleNamespace(computes=False, holds_data=True, meter=Meter()))
        party = runner._Run(session, runner.Work(analysis, GatePolicy(), source=source))
        user = resource.getrusage(resource.RUSAGE_SELF).ru_utime
        values = party._first_pass(analysis.start(), [])
        return {
            "seconds": time.perf_counter() - opened,
            "user_seconds": resource.getrusage(resource.RUSAGE_SELF).ru_utime - user,
            "opening_seconds": opened - began,
            "peak_rss": memory.peak_mib(),
            "coefficients": _coefficients(cast(OLS, analysis), values).tolist(),
        }


def _coefficients(analysis: OLS, values: dict[str, Any]) -> np.ndarray:
    high, low = values["moments"]
    products = (high + low)[analysis._moments.position]
    return analysis.model.params(np.linalg.solve(products[:-1, :-1], products[:-1, -1]))


if __name__ == "__main__":
    print(json.dumps(one_pass(Path(sys.argv[1]), int(sys.argv[2]))))
