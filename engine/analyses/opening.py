"""From the shares of the declared outputs, added up, to what an analysis makes its result of. Run by the researcher."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from engine.analyses.base import Opened, Output

TOLD = ("missing", "out_of_bounds")


def open_outputs(
    outputs: Sequence[Output],
    exact: Mapping[str, Any],
    public: Mapping[str, np.ndarray],
    stages: int,
    context: Mapping[str, Any],
) -> Opened:
    """`exact`: the signed ring integers (Python ints) of every output of the last stage and of the gate."""
    values = {output.name: reals(exact[output.name], output.frac) for output in outputs}
    told = {name: None if values[f"{name}_small"] else int(values[name]) for name in TOLD}
    return Opened(
        values=values,
        exact={name: np.asarray(value, dtype=object) for name, value in exact.items()},
        public=public,
        n=int(values["rows"]),
        people=int(values["people"]),
        missing=told["missing"],
        out_of_bounds=told["out_of_bounds"],
        stages=stages,
        context=context,
    )


def reals(integers: Any, frac: int) -> np.ndarray:
    """Ring integers as float64 (frac > 0, correctly rounded) or int64."""
    exact = np.asarray(integers, dtype=object)
    if frac == 0:
        return np.asarray(exact, dtype=np.int64)
    numbers = [int(v) / (1 << frac) for v in exact.reshape(-1)]
    return np.array(numbers, dtype=np.float64).reshape(exact.shape)
