"""A hospital's file that goes bad, before its daemon starts or under it: that hospital is told, nobody else learns a thing."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import unseen
from engine.errors import REFUSAL
from tests.conformance.daemons import told

HOSPITALS, SPOILED = ("north", "south", "west"), "west"
CANARY = "CANARYTEXT"
DICTIONARY = {"columns": {"age": {"type": "integer", "bounds": [18, 100]}, "dose": {"type": "number", "bounds": [0, 50]}}}
GOOD = b"age,dose\n" + b"".join(b"%d,%d\n" % (18 + number % 80, number % 50) for number in range(200))
HEADER = b"age,dose\n"

AT_START = {
    "empty": (b"", "is empty"),
    "not UTF-8": ("age,größe\n40,1\n".encode("latin-1"), "is not utf-8 text"),
    "without a column": (b"age\n40\n", "has no column 'dose'"),
    "twice the same column": (b"age,dose,dose\n40,1,1\n", "two columns of the same name"),
}
WHILE_IT_RUNS = {
    "ragged": GOOD + f"40,1,{CANARY}\n".encode(),
    "not UTF-8": GOOD + "40,größe\n".encode("latin-1"),
    "a quote that is never closed": GOOD + f'40,"{CANARY}\n'.encode(),
    "another header": b"dose,age\n" + GOOD.removeprefix(HEADER),
    "no rows": HEADER,
    "empty": b"",
    "gone": None,
}


def frames(folder: Path) -> dict[str, Path]:
    paths = {}
    for seed, name in enumerate(HOSPITALS):
        rng = np.random.default_rng(seed)
        paths[name] = folder / f"{name}.csv"
        data = {"age": rng.integers(18, 90, 200), "dose": np.round(rng.uniform(0, 50, 200), 3)}
        pd.DataFrame(data).to_csv(paths[name], index=False)
    return paths


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    opened = unseen.sandbox(frames(tmp_path_factory.mktemp("files")), DICTIONARY, tmp_path_factory.mktemp("spoiled") / "study")
    with opened:
        yield opened


@pytest.mark.slow
@pytest.mark.parametrize("kind", AT_START)
def test_a_daemon_does_not_start_on_a_file_that_it_cannot_read(kind: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    tmp_path = tmp_path_factory.mktemp("s")  # short: a daemon's socket lies in it
    content, said = AT_START[kind]
    paths = frames(tmp_path)
    paths[SPOILED].write_bytes(content)
    with pytest.raises(unseen.UnseenError) as caught, unseen.sandbox(paths, DICTIONARY, tmp_path / "study"):
        pass
    assert said in str(caught.value)
    assert "gr\\" not in str(caught.value)


@pytest.mark.parametrize("kind", WHILE_IT_RUNS)
def test_a_file_that_goes_bad_under_the_daemon_is_a_refusal_like_any_other(kind: str, box: Any) -> None:
    file = box.layout.folder(SPOILED) / f"{SPOILED}.csv"
    before, content = file.read_bytes(), WHILE_IT_RUNS[kind]
    asked = box.study.spec("describe", columns=["dose"])
    file.unlink() if content is None else replace(file, content)
    try:
        job = box.study.submit(asked)
        with pytest.raises(unseen.RefusedByDisclosureRules) as caught:
            job.result(timeout=60)
    finally:
        replace(file, before)
    assert str(caught.value) == REFUSAL
    assert (job.status().code, job.status().by) == ("rules", "")
    assert box.study.describe(["dose"]).nobs == 600
    assert {party: bool(complaints(box, party, job.id)) for party in HOSPITALS} == {
        party: party == SPOILED and kind != "no rows" for party in HOSPITALS
    }
    assert CANARY not in box.layout.log(SPOILED).read_text()
    assert "cannot be counted" not in told(box, "show", job.id, party=SPOILED)["own_rows"]  # all is well again


def replace(file: Path, content: bytes) -> None:
    """As an export does it: the new file takes the old one's place at once."""
    new = file.with_suffix(".new")
    new.write_bytes(content)
    os.replace(new, file)


def complaints(box: Any, party: str, job: str) -> list[str]:
    lines = [json.loads(line) for line in box.layout.log(party).read_text().splitlines()]
    return [line["event"] for line in lines if line.get("job") == job and line["level"] != "info"]
