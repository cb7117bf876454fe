"""Whole analyses of nasty data in the clear: every secret number within its bound, whatever truncations and comparisons do."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

import native
from engine import dry_run
from engine.analyses import glm_hidden, leverage, shared_families
from engine.errors import NotEstimable
from protocols import ring
from protocols.engine import Secret
from protocols.numeric import solve
from protocols.plaintext import Clear, Plaintext
from tests.engine.analyses.studies import LOOSE, ask, split

OFF = {"low": (-1, -1), "high": (2, 2), "either": (-1, 2)}


class Watched(Plaintext):
    """Every secret number that is made is held against its bound. Truncations are as far off, and blurs as wrong, as may be."""

    def __init__(self, off: tuple[int, int], seed: int = 0) -> None:
        super().__init__()
        self.off = np.array(off)
        self.random = np.random.default_rng(seed)
        self.made = 0

    def _rounded(self, elements: np.ndarray, bits: int) -> Clear:
        """floor + 2 or floor - 1: the ends of a masked opening's errors."""
        off = native.from_ints(self.random.choice(self.off, size=elements.shape[:-1]), elements.shape[-1])
        return Clear(native.add(native.shift_right_signed(elements, bits), off))

    def _negative(self, x: Clear, bits: int, blur: int) -> Clear:
        """Nearer to zero than the blur, either answer."""
        off = self.random.choice(np.array([0, (1 << blur) - 1]), size=x.value.shape[:-1])
        return super()._negative(Clear(native.sub(x.value, native.from_ints(off, x.value.shape[-1]))), bits, blur)

    def _secret(self, data: Any, frac: int, bound: int, *, proven: bool = True) -> Secret:
        return self._watched(super()._secret(data, frac, bound, proven=proven), "a bound that the engine works out")

    def bounded(self, x: Secret, bound: int, because: str, *, checked: bool = False) -> Secret:
        return self._watched(super().bounded(x, bound, because, checked=checked), because)

    def _watched(self, x: Secret, because: str) -> Secret:
        self.made += 1
        if x.bound < 1 << (ring.bits(x.limbs) - 2):
            bound = native.from_ints(x.bound, x.limbs)
            for room in (native.sub(bound, x.data.value), native.add(bound, x.data.value)):
                assert not (room[..., -1] >> np.uint64(63)).any(), because
        return x


COLUMNS: dict[str, Any] = {
    "x": {"type": "number", "bounds": [0, 100]},
    "twice": {"type": "number", "bounds": [0, 200]},
    "wide": {"type": "number", "bounds": [-1e6, 1e6]},
    "flat": {"type": "number", "bounds": [0, 10]},  # one value
    "line": {"type": "number", "bounds": [0, 10]},
    "group": {"type": "category", "levels": ["a", "b", "c", "none"]},
    "count": {"type": "integer", "bounds": [0, 50]},
    "none": {"type": "integer", "bounds": [0, 50]},
    **{name: {"type": "binary"} for name in ("y", "rare", "b", "above", "almost")},
}


def synthetic(n: int, seed: int = 1) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    x, b = rng.normal(50, 10, n).clip(0, 100), rng.integers(0, 2, n)
    return pd.DataFrame(
        {
            "x": x,
            "twice": 2 * x,
            "wide": np.where(np.arange(n) == 0, 1e6, rng.normal(0, 1, n)),  # one outlier at the dictionary's bound
            "flat": np.full(n, 0.1),
            "group": rng.choice(["a", "b", "c"], n),
            "count": np.where(np.arange(n) == 1, 50, rng.poisson(1, n)),
            "y": (rng.random(n) < 1 / (1 + np.exp(-(x - 50) / 10))).astype(int),
            "rare": (rng.random(n) < 0.05).astype(int),
            "b": b,
            "above": (x > 50).astype(int),
            "none": np.zeros(n, int),
            "almost": ((b == 1) | (rng.random(n) < 0.5)).astype(int),
        }
    )


def hospitals(n: int, kind: str) -> list[pd.DataFrame]:
    frame = synthetic(n)
    if kind == "one is empty":
        return [*split(frame, 2), frame[:0]]
    if kind == "one has everything":
        return [frame, frame[:1], frame[:0]]
    return split(frame)


def watched(monkeypatch: pytest.MonkeyPatch, off: str, frames: list[pd.DataFrame], **fields: Any) -> Any:
    """The result, or why there is none."""
    engines: list[Watched] = []

    def engine() -> Watched:
        engines.append(Watched(OFF[off]))
        return engines[-1]

    columns = {name: column for name, column in COLUMNS.items() if name in frames[0]}
    monkeypatch.setattr(dry_run, "Plaintext", engine)
    monkeypatch.setattr(leverage, "MOST", 10.0)  # fits of few rows and of outliers go on
    try:
        found = ask(frames, {"columns": columns}, policy=LOOSE, rows_log2=20, **fields)
    except NotEstimable as ended:
        found = str(ended)
    assert engines[0].made > 100
    return found


def weights_watched(monkeypatch: pytest.MonkeyPatch, family: Any) -> list[float]:
    """The least and the largest weight of all rows at all steps so far, held against the premise of `precondition`."""
    found = [0.0, 0.0]
    original = family.mean_and_weight

    def checked(self: Any, mpc: Any, folded: Any) -> Any:
        mean, weight = original(self, mpc, folded)
        weights = (native.to_ints(weight.data.value) / 2**weight.frac).astype(float)
        found[:] = min(found[0], weights.min()), max(found[1], weights.max())
        return mean, weight

    monkeypatch.setattr(family, "mean_and_weight", checked)
    return found


FITS = {
    "usual": ("logit", "y ~ x + b + group", 600, "usual", "ok"),
    "thirty rows": ("logit", "y ~ x + b", 30, "usual", "ok"),
    "an empty hospital": ("logit", "y ~ x + b", 600, "one is empty", "ok"),
    "a hospital with everything": ("logit", "y ~ x + b", 60, "one has everything", "ok"),
    "few events": ("logit", "rare ~ x + b + group", 600, "usual", "ok"),
    "separated": ("logit", "above ~ x + b + group", 600, "usual", "converge"),
    "almost separated": ("logit", "almost ~ b + x", 60, "usual", "converge"),
    "collinear": ("logit", "y ~ x + twice", 600, "usual", "collinear"),
    "constant": ("logit", "y ~ flat + x", 600, "usual", "collinear"),
    "outlier": ("logit", "y ~ wide + b", 600, "usual", "converge"),
    "counts": ("poisson", "count ~ x + b + group", 600, "usual", "ok"),
    "counts and an outlier": ("poisson", "count ~ wide", 60, "one is empty", ""),
    "no counts": ("poisson", "none ~ x", 60, "usual", "converge"),
}


@pytest.mark.parametrize("name", FITS)
def test_a_fit_on_shared_rows_keeps_every_bound(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    analysis, formula, n, kind, end = FITS[name]
    monkeypatch.setattr(glm_hidden, "MOST_STEPS", 6)  # a fit that runs away does so from the first step on
    family = shared_families.SharedBinomial if analysis == "logit" else shared_families.SharedPoisson
    weights = weights_watched(monkeypatch, family)
    for off in ("either",) if end == "ok" else ("low", "high"):
        found = watched(monkeypatch, off, hospitals(n, kind), analysis=analysis, formula=formula, options={"vcov": "HC0"})
        assert end in ("", "ok") or end in found
        assert end != "ok" or not isinstance(found, str), found
    assert weights[0] >= -(2.0 ** (solve.NEGATIVE_LOG2 - 1))
    assert weights[1] <= 1 + 2.0**-10


OLS = {
    "usual": ("x ~ b + group", {"vcov": "HC1"}),
    "collinear": ("y ~ x + twice", {}),
    "constant": ("x ~ flat + b", {"vcov": "HC0"}),
    "outlier": ("x ~ wide + flat", {}),
    "constant response": ("flat ~ x", {"vcov": "HC0", "cov_params": True}),
}


@pytest.mark.parametrize("name", OLS)
@pytest.mark.parametrize("off", OFF)
def test_least_squares_keeps_every_bound(monkeypatch: pytest.MonkeyPatch, name: str, off: str) -> None:
    formula, options = OLS[name]
    found = watched(monkeypatch, off, hospitals(60, "one is empty"), analysis="ols", formula=formula, options=options)
    assert isinstance(found, str) == (name != "usual"), found


@pytest.mark.parametrize("disclosure", ["result", "steps"])
@pytest.mark.parametrize("formula", ["y ~ flat", "y ~ line + b"])
def test_many_rows_of_few_values_keep_every_bound(monkeypatch: pytest.MonkeyPatch, formula: str, disclosure: str) -> None:
    """A column that is constant, or linear in a two-valued one: every rounding of a sum of equal terms errs alike."""
    n = 100_000
    b = np.random.default_rng(1).integers(0, 2, n)
    y = (np.arange(n) < 0.4 * n).astype(int)
    frame = pd.DataFrame({"flat": np.full(n, 1.7), "b": b, "line": np.where(b == 1, 0.7, 1.9), "y": y})
    frames = [frame, frame[:20], frame[:20]]
    found = watched(monkeypatch, "low", frames, analysis="logit", formula=formula, disclosure=disclosure)
    assert "collinear" in found


def test_a_broken_bound_is_noticed() -> None:
    mpc = Watched(OFF["low"])
    x = mpc.constant(np.array([5, -7]), frac=0)
    mpc.bounded(x, 7, "true")
    with pytest.raises(AssertionError, match="false"):
        mpc.bounded(x, 6, "false")
