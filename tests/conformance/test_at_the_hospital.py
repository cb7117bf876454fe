"""A hospital whose own data do not fit: refused for all alike, and why is told in that hospital and nowhere else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import unseen
from engine.cli.main import app
from engine.errors import REFUSAL

ROWS, LIMIT = 200, 10  # five percent
HOSPITALS = ("north", "south", "west")
CANARY = "8765.4321"
DICTIONARY = {
    "columns": {
        "age": {"type": "integer", "bounds": [18, 100]},
        "height": {"type": "number", "bounds": [100, 230]},  # in centimetres; west has metres
        "weight": {"type": "number", "bounds": [30, 250]},  # west: one row more out of bounds than is borne
        "pulse": {"type": "number", "bounds": [20, 250]},  # west: as many as are borne
    }
}


def frame(seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    found = pd.DataFrame(
        {
            "age": rng.integers(18, 90, ROWS),
            "height": np.round(rng.normal(172, 8, ROWS), 1),
            "weight": np.round(rng.normal(75, 10, ROWS), 1),
            "pulse": np.round(rng.normal(70, 8, ROWS), 1),
        }
    )
    if seed == 2:
        found["height"] /= 100
        found.loc[:LIMIT, "weight"] = float(CANARY)
        found.loc[: LIMIT - 1, "pulse"] = float(CANARY)
    return found


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    frames = {name: frame(seed) for seed, name in enumerate(HOSPITALS)}
    opened = unseen.sandbox(frames, DICTIONARY, tmp_path_factory.mktemp("misfit") / "study")
    with opened:
        yield opened


def told(box: Any, party: str, job: str) -> list[str]:
    """The warnings and errors that a party's log holds about a job."""
    lines = [json.loads(line) for line in box.layout.log(party).read_text().splitlines()]
    return [line["event"] for line in lines if line.get("job") == job and line["level"] != "info"]


def shown(box: Any, party: str, job: str) -> dict[str, Any]:
    found = CliRunner().invoke(app, ["party", "show", job, "--json", "--config", str(box.layout.config(party))])
    reply: dict[str, Any] = json.loads(found.stdout)
    return reply


@pytest.mark.parametrize("column", ["height", "weight"])
def test_a_hospital_with_too_many_values_out_of_bounds_refuses_and_is_the_only_one_to_know(box: Any, column: str) -> None:
    job = box.study.submit(box.study.spec("describe", columns=[column], complete=[column]))
    with pytest.raises(unseen.RefusedByDisclosureRules) as caught:
        job.result(timeout=60)
    assert str(caught.value) == REFUSAL
    assert (job.status().code, job.status().by) == ("rules", "")
    assert [told(box, party, job.id) for party in ("north", "south")] == [[], []]
    (line,) = told(box, "west", job.id)
    assert "too many own rows are out of bounds" in line
    expected = {"height": ROWS, "weight": LIMIT + 1}[column]
    assert shown(box, "west", job.id)["own_rows"].endswith(f"out of bounds {expected}")
    own = ("own_rows", "submitted")
    same = [{k: v for k, v in shown(box, party, job.id).items() if k not in own} for party in ("north", "west")]
    assert same[0] == same[1]


def test_five_percent_are_borne(box: Any) -> None:
    assert box.study.describe(["pulse"], complete=["pulse"]).nobs == 3 * ROWS - LIMIT


def test_the_doctor_names_the_columns(box: Any) -> None:
    found = CliRunner().invoke(app, ["party", "doctor", "--config", str(box.layout.config("west"))])
    assert "height" in found.stdout
    assert f"{ROWS} of {ROWS} values do not fit" in found.stdout
    assert f"{LIMIT + 1} of {ROWS} values do not fit" in found.stdout
    assert CANARY not in found.stdout


def test_no_value_out_of_bounds_is_in_any_file_but_the_data(box: Any) -> None:
    looked_at = 0
    for party in HOSPITALS:
        for path in Path(box.layout.root / party).rglob("*"):
            if path.is_file() and path.suffix not in (".csv", ".parquet"):
                looked_at += 1
                assert CANARY.encode() not in path.read_bytes(), path.name
    assert looked_at > 10
