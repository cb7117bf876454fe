"""The real data sets, one frame for each hospital, with the dictionary a study on them would agree on.

indo_rct, lung and randhie lie in examples/data; the others are looked for beside the checkout, and their tests skip without them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = (ROOT / "examples" / "data", ROOT.parent / "shared" / "data")


def number(low: float, high: float, **extra: Any) -> dict[str, Any]:
    return {"type": "number", "bounds": [low, high], **extra}


def integer(low: int, high: int, **extra: Any) -> dict[str, Any]:
    return {"type": "integer", "bounds": [low, high], **extra}


def category(*levels: Any) -> dict[str, Any]:
    return {"type": "category", "levels": list(levels)}


BINARY: dict[str, Any] = {"type": "binary"}

COLUMNS: dict[str, dict[str, dict[str, Any]]] = {
    "indo_rct": {
        "age": integer(18, 100),
        "female": BINARY,
        "risk": number(0, 8, resolution=0.5),
        "sod1": BINARY,
        "indo": BINARY,
        "pep_out": BINARY,
    },
    "lung": {
        "time": integer(0, 2000),
        "age": integer(18, 110),
        "sex": integer(1, 2),
        "ph.ecog": integer(0, 4),
        "ph.karno": integer(0, 100),
        "pat.karno": integer(0, 100),
        "meal.cal": number(0, 5000),
        "wt.loss": integer(-100, 200),
        "event": BINARY,
    },
    "randhie": {
        "site": category(1, 2, 3, 4, 5, 6),
        "black": BINARY | {"type": "number", "bounds": [0, 1]},
        "xage": number(0, 80),
        "female": BINARY,
        "coins": integer(0, 100),
        "linc": number(0, 12),
        "disea": number(0, 60),
        "physlm": number(0, 1),
        "meddol": number(0, 60_000),
        "mdvis": integer(0, 100),
        "hlthg": BINARY,
    },
    "azpro": {
        "los": integer(0, 200),
        "procedure": BINARY,
        "sex": BINARY,
        "age75": BINARY,
        "admit": BINARY,
    },
    "colon": {
        "rx": category("Obs", "Lev", "Lev+5FU"),
        "sex": BINARY,
        "age": integer(0, 120),
        "obstruct": BINARY,
        "nodes": integer(0, 60),
        "status": BINARY,
        "differ": category(1, 2, 3),
        "time": integer(0, 5000),
    },
    "birthwt": {
        "low": BINARY,
        "age": integer(10, 60),
        "lwt": integer(50, 400),
        "race": category(1, 2, 3),
        "smoke": BINARY,
        "ht": BINARY,
        "ui": BINARY,
        "bwt": integer(300, 7000),
        "black": BINARY,
        "other": BINARY,
    },
    "respiratory": {
        "center": category(1, 2),
        "sex": category("F", "M"),
        "age": integer(0, 120),
        "baseline": BINARY,
        "visit": integer(1, 4),
        "outcome": BINARY,
        "active": BINARY,
        "male": BINARY,
    },
}

PERSONS = {"respiratory": "id"}


@dataclass(frozen=True)
class Dataset:
    """One real study."""

    name: str
    files: dict[str, Path]  # hospital -> its CSV
    dictionary: dict[str, Any]

    def frames(self) -> dict[str, pd.DataFrame]:
        return {hospital: pd.read_csv(path) for hospital, path in self.files.items()}

    def pooled(self) -> pd.DataFrame:
        """All rows, with a column `person` keyed (hospital, person) where people repeat. For the reference only."""
        frames = self.frames()
        person = PERSONS.get(self.name)
        if person:
            frames = {h: f.assign(person=h + "/" + f[person].astype(str)) for h, f in frames.items()}
        pooled = pd.concat(frames.values(), ignore_index=True)
        for name, column in self.dictionary["columns"].items():
            if column["type"] == "category":
                pooled[name] = pd.Categorical(pooled[name], categories=column["levels"])
        return pooled


def load(name: str) -> Dataset:
    """The data set, or a skip with the reason."""
    for folder in FOLDERS:
        files = sorted((folder / name).glob("*.csv"))
        if files:
            dictionary: dict[str, Any] = {"columns": COLUMNS[name]}
            if name in PERSONS:
                dictionary["person"] = {"column": PERSONS[name]}
            return Dataset(name, {f.stem.replace("_", "-"): f for f in files}, dictionary)
    pytest.skip(f"the data set {name} is not beside this checkout")
