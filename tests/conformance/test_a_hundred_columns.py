"""As many columns as a study may have: answered to all digits, and refused where there are too few people for them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import unseen

pytestmark = pytest.mark.slow

NAMES = [f"x{number}" for number in range(99)]
DICTIONARY = {"columns": {name: {"type": "number", "bounds": [0, 1]} for name in (*NAMES, "y")}}
FORMULA = f"y ~ {' + '.join(NAMES)}"


def frame(seed: int) -> pd.DataFrame:
    rng = np.random.default_rng([9, seed])
    found = pd.DataFrame(rng.uniform(0, 1, (400, len(NAMES))), columns=NAMES)
    slopes = np.random.default_rng(9).normal(0, 0.01, len(NAMES))
    return found.assign(y=0.4 + found.to_numpy() @ slopes + rng.uniform(-0.1, 0.1, 400))


def test_a_hundred_columns_across_daemons() -> None:
    frames = {name: frame(seed) for seed, name in enumerate(("north", "south", "west"))}
    pooled = pd.concat(frames.values())
    design = np.column_stack([np.ones(len(pooled)), pooled[NAMES]])
    slopes, (residual,), _, _ = np.linalg.lstsq(design, pooled.y.to_numpy(), rcond=None)
    error = np.sqrt(np.diag(np.linalg.inv(design.T @ design)) * residual / (len(pooled) - design.shape[1]))
    with unseen.sandbox(frames, DICTIONARY) as study:
        fit = study.ols(FORMULA)
        assert np.max(np.abs(fit.params - slopes) / error) < 1e-8
        assert np.max(np.abs(fit.bse / error - 1)) < 1e-8
        with pytest.raises(unseen.RefusedByDisclosureRules):  # 100 parameters of fewer than 1000 people
            study.ols(FORMULA, where="x0 < 0.5")
