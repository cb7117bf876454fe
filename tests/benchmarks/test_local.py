"""`unseen bench local`: the fit of the measured pass is that of NumPy on the same rows. No clock is looked at."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
from typer.testing import CliRunner

from benchmarks import local, table
from engine.cli.main import app


def test_the_pass_fits_what_lstsq_fits() -> None:
    result = CliRunner().invoke(app, ["bench", "local", "--rows", "3000", "--columns", "4", "--repeat", "1", "--json"])
    assert result.exit_code == 0, result.output
    (row,) = map(json.loads, result.stdout.splitlines())
    assert set(table.FIELDS) <= set(row)
    assert (row["n"], row["d"], row["error_unit"]) == (3000, 4, table.SE)
    assert 0 <= row["error"] < 1e-9
    assert min(row["seconds"], row["user_seconds"], row["opening_seconds"]) > 0
    assert 50 < row["peak_rss"] < 1000


def test_the_reference_is_lstsq_of_the_whole_file(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(local, "CHUNK", 700)
    coefficients, errors = local.write(tmp_path / "rows.parquet", 2000, 3)
    frame = pd.read_parquet(tmp_path / "rows.parquet")
    assert frame.shape == (2000, 4)
    assert not frame.duplicated().any()
    x = np.column_stack([np.ones(2000), frame[["x1", "x2", "x3"]]])
    expected, rss, *_ = np.linalg.lstsq(x, frame["y"], rcond=None)
    np.testing.assert_allclose(coefficients, expected, rtol=1e-12)
    np.testing.assert_allclose(errors, np.sqrt(rss[0] / 1996 * np.diag(np.linalg.inv(x.T @ x))), rtol=1e-10)
