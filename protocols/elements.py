"""What engines do to arrays of ring elements: the kernels, and NumPy where elements are only moved.

One object of this class serves every engine that computes. An engine that only plans (outline.py) puts another in its place.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

import native


def indexed(shape: tuple[int, ...], index: Any) -> tuple[int, ...]:
    """The shape of an array of this shape after NumPy indexing. Raises IndexError as that would.

    Memory is that of the axes which the index names.
    """
    index = index if isinstance(index, tuple) else (index,)
    named = len(shape) if any(each is Ellipsis for each in index) else sum(map(_axes, index))
    return (*np.broadcast_to(np.False_, shape[:named])[index].shape, *shape[named:])


def _axes(index: Any) -> int:
    """How many axes one index takes: a mask as many as it has, a new axis none."""
    return 0 if index is None else np.ndim(index) if np.asarray(index).dtype == bool else 1


class Elements:
    """uint64 arrays (*shape, limbs). Shapes and ranges are those of the kernels of the same names."""

    def from_ints(self, values: Any, limbs: int) -> np.ndarray:
        return native.from_ints(values, limbs)

    def neg(self, a: np.ndarray) -> np.ndarray:
        return native.neg(a)

    def add(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return native.add(a, b)

    def sub(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return native.sub(a, b)

    def mul(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return native.mul(a, b)

    def matmul(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return native.matmul(a, b)

    def gram(self, a: np.ndarray) -> np.ndarray:
        return native.gram(a)

    def combine(self, terms: Sequence[np.ndarray], table: np.ndarray, start: np.ndarray) -> np.ndarray:
        return native.combine(terms, table, start)

    def shift_left(self, a: np.ndarray, bits: int) -> np.ndarray:
        return native.shift_left(a, bits)

    def shift_right(self, a: np.ndarray, bits: int) -> np.ndarray:
        return native.shift_right(a, bits)

    def shift_right_signed(self, a: np.ndarray, bits: int) -> np.ndarray:
        return native.shift_right_signed(a, bits)

    def narrow(self, a: np.ndarray) -> np.ndarray:
        return native.narrow(a)

    def widen(self, a: np.ndarray) -> np.ndarray:
        """The same signed integer in Z_2^256."""
        return native.widen(a, signed=True)

    def index(self, a: np.ndarray, index: Any) -> np.ndarray:
        return np.asarray(a[index])

    def contiguous(self, a: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(a)

    def stack(self, arrays: Sequence[np.ndarray], axis: int) -> np.ndarray:
        return np.stack(arrays, axis)

    def concatenate(self, arrays: Sequence[np.ndarray], axis: int) -> np.ndarray:
        return np.concatenate(arrays, axis)
