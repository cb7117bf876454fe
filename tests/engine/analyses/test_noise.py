"""Fits under truncations that err as on shares, at random and anew at every step."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

import native
from engine import dry_run
from protocols.plaintext import Clear, Plaintext
from tests.engine.analyses.studies import LOOSE, ask, largest, split


class Noisy(Plaintext):
    """floor((z + r_0 + r_1 + r_2) / 2^f) - 1 with three uniform masks: a masked opening's result, replicated/truncate.py."""

    def __init__(self) -> None:
        super().__init__()
        self.random = np.random.default_rng(0)

    def _rounded(self, elements: np.ndarray, bits: int) -> Clear:
        limbs, total = elements.shape[-1], elements
        for _ in range(3):
            mask = self.random.integers(0, 2**64, size=elements.shape, dtype=np.uint64)
            total = native.add(total, native.shift_right(mask, 64 * limbs - bits))
        return Clear(native.sub(native.shift_right_signed(total, bits), native.from_ints(1, limbs)))


COLUMNS: dict[str, Any] = {
    "x": {"type": "number", "bounds": [0, 100]},
    "b": {"type": "binary"},
    "y": {"type": "binary"},
    "tight": {"type": "integer", "bounds": [0, 50]},
    "loose": {"type": "integer", "bounds": [0, 500]},
}


def frame(n: int) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    x = rng.normal(50, 10, n).clip(0, 100)
    counts = rng.poisson(np.exp((x - 50) / 50))
    y = (rng.random(n) < 1 / (1 + np.exp(-(x - 50) / 10))).astype(int)
    return pd.DataFrame({"x": x, "b": rng.integers(0, 2, n), "y": y, "tight": counts, "loose": counts})


@pytest.mark.parametrize(
    ("analysis", "response", "n"),
    [
        ("logit", "y", 60),
        ("logit", "y", 600),
        ("poisson", "tight", 600),
        ("poisson", "loose", 600),
    ],
)
def test_noise_takes_one_step_more_at_most_and_ends_in_the_same_place(
    monkeypatch: pytest.MonkeyPatch, analysis: str, response: str, n: int
) -> None:
    found = []
    for engine in (Plaintext, Noisy):
        monkeypatch.setattr(dry_run, "Plaintext", engine)
        found.append(ask(split(frame(n)), {"columns": COLUMNS}, analysis, policy=LOOSE, formula=f"{response} ~ x + b"))
    clear, noisy = found
    assert noisy.iterations <= clear.iterations + 1
    assert largest((noisy.params - clear.params) / clear.bse) < 1e-4
    assert largest(noisy.bse / clear.bse - 1) < 1e-5
