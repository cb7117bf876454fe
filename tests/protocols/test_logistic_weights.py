"""Every way in which the truncations of one logistic weight may err: it stays where `precondition` needs it."""

from __future__ import annotations

import numpy as np
import pytest

import native
from protocols.engine import SMALL, SMALL_FRAC
from protocols.numeric.logistic import LIMIT, fold, mean_and_slope
from protocols.numeric.solve import NEGATIVE_LOG2
from protocols.plaintext import Clear, Plaintext

TRUNCATIONS = 14  # of one predictor: x, w, T_2 ... T_8, three blocks, and p and the slope
L = float(LIMIT)


class Everything(Plaintext):
    """Row r is truncated to floor + 2 where bit k of r is 1, k being the number of the truncation, else to floor - 1."""

    def __init__(self) -> None:
        super().__init__()
        self.done = 0

    def _rounded(self, elements: np.ndarray, bits: int) -> Clear:
        values = elements.reshape(-1, 1 << TRUNCATIONS, elements.shape[-1])
        number = np.arange(self.done, self.done + len(values))[:, None]
        self.done += len(values)
        off = 3 * (np.arange(1 << TRUNCATIONS) >> number & 1) - 1
        rounded = native.add(native.shift_right_signed(values, bits), native.from_ints(off, elements.shape[-1]))
        return Clear(rounded.reshape(elements.shape))


@pytest.mark.parametrize("eta", [0.0, 17.5, 18.0, 18.1, 18.2, L - 2**-10, L, 1000.0])
@pytest.mark.parametrize("sign", [1, -1])
def test_a_weight_is_never_far_below_zero_or_above_one(eta: float, sign: int) -> None:
    mpc = Everything()
    _, slope = mean_and_slope(mpc, fold(mpc, mpc.constant(np.full(1 << TRUNCATIONS, sign * eta), limbs=SMALL, frac=SMALL_FRAC)))
    assert slope is not None
    assert mpc.done == TRUNCATIONS
    weights = 4 * (native.to_ints(slope.data.value) / 2**slope.frac).astype(float)
    assert weights.min() >= -(2.0 ** (NEGATIVE_LOG2 - 1))
    assert weights.max() <= 1 + 2.0**-10
