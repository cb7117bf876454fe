"""The plaintext engine at its worst: truncations and comparisons as far off as they may be, and every stated bound checked."""

from __future__ import annotations

import numpy as np

import native
from protocols.engine import Secret
from protocols.plaintext import Clear, Plaintext


class Worst(Plaintext):
    """Every truncation errs by `error` units to either side, beside its rounding; a stated bound that is broken is an error."""

    def __init__(self, error: int, seed: int = 0) -> None:
        super().__init__()
        self.error = error
        self.signs = np.random.default_rng(seed)

    def _rounded(self, elements: np.ndarray, bits: int) -> Clear:
        signs = self.signs.choice(np.array([-1, 1], dtype=object), size=elements.shape[:-1])
        off = native.from_ints(np.asarray(self.error * signs, dtype=object), elements.shape[-1])
        return Clear(native.add(super()._rounded(elements, bits).value, off))

    def _negative(self, x: Clear, bits: int, blur: int) -> Clear:
        """Whatever is nearer to zero than the blur counts as negative."""
        off = native.from_ints((1 << blur) - 1, x.value.shape[-1])
        return super()._negative(Clear(native.sub(x.value, off)), bits, blur)

    def bounded(self, x: Secret, bound: int, because: str, *, checked: bool = False) -> Secret:
        assert max(map(abs, native.to_ints(x.data.value).ravel()), default=0) <= bound, because
        return super().bounded(x, bound, because, checked=checked)
